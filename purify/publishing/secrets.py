"""Credentials in text, found by the detectors of detect-secrets that know the form of a token.

Left out, because they drown the rest in ordinary code and mathematics: both entropy detectors (any digest, id or base64
text is random), the keyword detector (`password = "hello"` in an exercise), Artifactory's (`AP` and nine letters is a
word) and the public IP address (`personal.py` has it). So a password that looks like a word, or a key of a service that
is not listed, is not found.

Names and patterns: detect-secrets, `detect_secrets/plugins/*.py`. Five more, of what these know nothing of, after the
rules of gitleaks, `config/gitleaks.toml` (`huggingface-access-token`, `anthropic-api-key`, `openai-api-key`,
`gcp-api-key`, `github-fine-grained-pat`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import import_module

from purify.publishing.personal import reserved_host

Detector = Callable[[str], Iterator[str]]

_PLUGINS = {
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "cloudant": "CloudantDetector",
    "discord": "DiscordBotTokenDetector",
    "github_token": "GitHubTokenDetector",
    "gitlab_token": "GitLabTokenDetector",
    "ibm_cloud_iam": "IbmCloudIamDetector",
    "ibm_cos_hmac": "IbmCosHmacDetector",
    "jwt": "JwtTokenDetector",
    "mailchimp": "MailchimpDetector",
    "npm": "NpmDetector",
    "openai": "OpenAIDetector",
    "private_key": "PrivateKeyDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "softlayer": "SoftlayerDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}
_MORE = {
    "huggingface": re.compile(r"\bhf_[A-Za-z]{34}\b"),
    "anthropic": re.compile(r"\bsk-ant-[a-z]+\d\d-[A-Za-z0-9_-]{80,}"),
    "openai_project": re.compile(r"\bsk-(?:proj|svcacct|admin)-[\w-]{20,}T3BlbkFJ[\w-]{20,}"),
    "google_api_key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b"),
    "github_fine_grained": re.compile(r"\bgithub_pat_\w{82}\b"),
}
_BASIC_AUTH = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/:@{}$<]+:([^\s/:@{}$<]+)@([\w.-]+)")
SECRET_KINDS = tuple(f"secret:{name}" for name in (*_PLUGINS, *_MORE, "basic_auth"))
_ANY = re.compile(r"[A-Za-z0-9_-]{20}|PRIVATE KEY|://|PuTTY|ENCRYPTED KEY")
"""What all of the above need somewhere in the text: prose is done with one look."""


def secret_detectors() -> dict[str, Detector]:
    """`secret:NAME` to a function that yields what it finds in a text."""
    found: dict[str, Detector] = {}
    for name, detector in _PLUGINS.items():
        plugin = getattr(import_module(f"detect_secrets.plugins.{name}"), detector)()
        found[f"secret:{name}"] = plugin.analyze_string
    for name, pattern in _MORE.items():
        found[f"secret:{name}"] = lambda text, pattern=pattern: iter(pattern.findall(text))  # type: ignore[misc]
    found["secret:basic_auth"] = _basic_auth
    return found


def may_hold_secrets(text: str) -> bool:
    return _ANY.search(text) is not None


def _basic_auth(text: str) -> Iterator[str]:
    """Passwords in addresses, as `detect_secrets/plugins/basic_auth.py`, unless the host is one of documentation."""
    for match in _BASIC_AUTH.finditer(text):
        if not reserved_host(match[2]):
            yield match[1]
