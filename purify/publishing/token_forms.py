"""Forms of credentials that detect-secrets does not know, or reports as less than the whole credential.

Lengths and prefixes after the rules of gitleaks (`config/gitleaks.toml`) and the detectors of trufflehog
(`pkg/detectors/*`), and for Azure SAS, netrc and Docker after the manuals of these. The expressions are our own.

A form has a word that every such credential comes with: a text without it is not searched. What follows a name
(`AWS_SECRET_ACCESS_KEY=`) or a scheme (`Bearer`) is the group of its expression; without a group the match is.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple


class Form(NamedTuple):
    word: str
    """In lower case."""
    pattern: re.Pattern[str]


_SET = r"""["'\s]*(?::=|=>|[=:])\s*["']?"""
"""Between a name and its value, in a shell, in Python, JSON, YAML or a header."""

FORMS: dict[str, Form] = {
    name: Form(word, re.compile(pattern))
    for name, word, pattern in (
        ("github_token", "gh", r"\bgh[pousr]_[A-Za-z0-9]{36,}"),
        ("github_fine_grained", "github_pat_", r"\bgithub_pat_\w{82}\b"),
        (
            "gitlab_token",
            "g",
            r"\b(?:gl(?:pat|dt|ft|soat|rt|imt|ptt|agent|oas)-[\w-]{20,}|glcbt-(?:[0-9a-fA-F]{2}_)?[\w-]{20,}"
            r"|GR1348941[\w-]{20,})",
        ),
        ("private_key", "key", r"BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?|PuTTY-User-Key-File-\d"),
        ("huggingface", "_", r"\b(?:hf_|api_org_)[A-Za-z0-9]{34}\b|\bhf_oauth_[\w.-]{30,}"),
        ("anthropic", "sk-ant-", r"\bsk-ant-[a-z]+\d\d-[A-Za-z0-9_-]{80,}"),
        ("openai_project", "sk-", r"\bsk-(?:proj|svcacct|admin)-[\w-]{20,}T3BlbkFJ[\w-]{20,}"),
        ("sk_key", "sk-", r"\bsk-(?:[0-9a-f]{32}|(?!\w{20}T3BlbkFJ)[A-Za-z0-9]{48})\b"),
        ("openrouter", "sk-or-", r"\bsk-or-v1-[0-9a-f]{64}\b"),
        ("groq", "gsk_", r"\bgsk_[A-Za-z0-9]{48,56}\b"),
        ("xai", "xai-", r"\bxai-\w{70,85}\b"),
        ("nvidia", "nvapi-", r"\bnvapi-[\w-]{60,70}"),
        ("perplexity", "pplx-", r"\bpplx-[A-Za-z0-9]{48}\b"),
        ("tavily", "tvly-", r"\btvly-(?:(?:dev|prod)-)?[A-Za-z0-9-]{24,}"),
        ("replicate", "r8_", r"\br8_[\w-]{37}(?![\w-])"),
        ("wandb", "wandb", r"(?i)\bwandb_api_key" + _SET + r"([0-9a-f]{40})\b"),
        ("google_api_key", "aiza", r"\bAIza[A-Za-z0-9_-]{35}\b"),
        ("google_oauth", "ya29.", r"\bya29\.[\w-]{30,}"),
        ("npm_token", "npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
        (
            "aws_secret_key",
            "access",
            r"(?i)(?<![a-z])(?:aws_?)?secret_?access_?key" + _SET + r"([a-z0-9/+]{40})(?![a-z0-9/+=])",
        ),
        ("aws_session_token", "token", r"(?i)(?<![a-z])(?:aws_?)?session_?token" + _SET + r"([a-z0-9/+=]{100,})"),
        (
            "azure_sas",
            "sig=",
            r"\bsv=20\d\d-\d\d-\d\d[^\s\"'<>]*&sig=([\w%/+-]{40,}={0,2})"
            r"|\bsig=([\w%/+-]{40,}={0,2})&[^\s\"'<>]*\bsv=20\d\d-\d\d-\d\d",
        ),
        (
            "discord_webhook",
            "/api/webhooks/",
            r"\bhttps?://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{60,72}",
        ),
        ("bearer", "authorization", r"(?i)\bauthorization" + _SET + r"(?:bearer|token)\s+(?!eyJ)([\w.~+/-]{20,}=*)"),
        ("basic", "authorization", r"(?i)\bauthorization" + _SET + r"basic\s+([a-z0-9+/]{8,}={0,2})"),
        ("docker_auth", "auth", r'"auth"\s*:\s*"([A-Za-z0-9+/]{8,}={0,2})"'),
        ("netrc", "machine", r"\bmachine\s+\S+\s+login\s+\S+\s+password\s+([^\s\"'$<{]+)"),
        (
            "curl_user",
            "curl",
            r"\bcurl\b[^\n|;&]*?\s(?:-u|--user)(?:\s+|=)?[\"']?[^\s:\"'$<{}]+:([^\s:\"'$<{}]+)",
        ),
    )
}
_DECODED = frozenset({"basic", "docker_auth"})
"""Base64 of user:password, or no credential."""
_NAMED = frozenset({"curl_user", "netrc"})
"""Forms whose passwords people choose: one that says of itself that it is none is left alone."""
_STAND_IN = re.compile(
    r"(?:my|your)?[-_]?(?:pass(?:w(?:or)?d?|w0rd)?|pwd?|secret|token|(?:api[-_]?)?key)"
    r"|change[-_]?me|user(?:name)?|guest|(?:minio)?admin|root|test|foo|bar|baz|postgres|mysql|hidden|redacted",
    re.IGNORECASE,
)


def find(name: str, text: str, lowered: str) -> list[str]:
    """The credentials of a form in a text; `lowered` is the text in lower case."""
    form = FORMS[name]
    if form.word not in lowered:
        return []
    found = (next(filter(None, match.groups()), match[0]) for match in form.pattern.finditer(text))
    return [value for value in found if _credential(name, value)]


def _credential(name: str, value: str) -> bool:
    """Whether it is no stand-in: `hf_xxxx…`, `wJalr…EXAMPLEKEY` of the AWS manual, words in place of a token."""
    if name in _DECODED:
        return _is_user_and_password(value)
    if name in _NAMED:
        return not is_stand_in(value)
    if name == "bearer":
        return len(set(value)) > 4 and any(map(str.isdigit, value)) and "EXAMPLE" not in value.upper()
    body = value[len(value) // 3 :]
    return name == "private_key" or (len(set(body)) > 1 and not value.endswith(("EXAMPLE", "EXAMPLEKEY")))


def is_stand_in(password: str) -> bool:
    """Whether a password stands for one, or protects nothing: `YOUR_PASSWORD`, `***`, `xxxx`, `postgres`."""
    return _STAND_IN.fullmatch(password) is not None or len(set(password)) < 3


def _is_user_and_password(encoded: str) -> bool:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return False
    user, colon, password = decoded.partition(":")
    return bool(user and colon and password) and decoded.isprintable() and not is_stand_in(password)
