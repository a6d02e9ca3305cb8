"""Credentials in text, found by their form: by detectors of detect-secrets, and the forms of `token_forms.py`.

Left out of detect-secrets, because they drown the rest in ordinary code and mathematics: both entropy detectors (any
digest, id or base64 text is random), the keyword detector (`password = "hello"` in an exercise), Artifactory's (`AP`
and nine letters is a word) and the public IP address (`personal.py` has it). So a password that looks like a word, or a
key of a service that is not listed, is not found. Left out as well: its detectors of GitHub and GitLab tokens, which
report the prefix alone, and of private keys, which knows no encrypted ones.

Names: detect-secrets, `detect_secrets/plugins/*.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib import import_module

from purify.publishing.personal import reserved_host
from purify.publishing.token_forms import FORMS, find, is_stand_in

Detector = Callable[[str], Iterator[str]]

_PLUGINS = {
    "aws": "AWSKeyDetector",
    "azure_storage_key": "AzureStorageKeyDetector",
    "cloudant": "CloudantDetector",
    "discord": "DiscordBotTokenDetector",
    "ibm_cloud_iam": "IbmCloudIamDetector",
    "ibm_cos_hmac": "IbmCosHmacDetector",
    "jwt": "JwtTokenDetector",
    "mailchimp": "MailchimpDetector",
    "npm": "NpmDetector",
    "openai": "OpenAIDetector",
    "pypi_token": "PypiTokenDetector",
    "sendgrid": "SendGridDetector",
    "slack": "SlackDetector",
    "softlayer": "SoftlayerDetector",
    "square_oauth": "SquareOAuthDetector",
    "stripe": "StripeDetector",
    "telegram_token": "TelegramBotTokenDetector",
    "twilio": "TwilioKeyDetector",
}
_BASIC_AUTH = re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^\s/:@\"'<>{}$?#]*:([^\s@\"'<>{}$?#]+)@([\w.-]+)")
_PORT = re.compile(r"\d{1,5}(?:/|\Z)")
"""`https://host:8080/@scope/package` has no password."""
SECRET_KINDS = tuple(f"secret:{name}" for name in (*_PLUGINS, *FORMS, "basic_auth"))


def secret_detectors() -> dict[str, Detector]:
    """`secret:NAME` to a function that yields what it finds in a text."""
    found: dict[str, Detector] = {}
    for name, detector in _PLUGINS.items():
        plugin = getattr(import_module(f"detect_secrets.plugins.{name}"), detector)()
        found[f"secret:{name}"] = plugin.analyze_string
    for name in FORMS:
        found[f"secret:{name}"] = lambda text, name=name: iter(find(name, text, _lower(text)))  # type: ignore[misc]
    found["secret:basic_auth"] = _basic_auth
    return found


_ANY = re.compile(r"[A-Za-z0-9_-]{20}|PRIVATE KEY|://|PuTTY")
_SHORT = ("access", "auth", "curl", "machine", "sig=")
"""What all of the above need somewhere in the text, and the words of forms that may do with less: prose is done with
one look."""


def may_hold_secrets(text: str) -> bool:
    return _ANY.search(text) is not None or any(word in _lower(text) for word in _SHORT)


@lru_cache(maxsize=1)
def _lower(text: str) -> str:
    """One text is asked for by every form."""
    return text.lower()


def _basic_auth(text: str) -> Iterator[str]:
    """Passwords in addresses, as `detect_secrets/plugins/basic_auth.py`, unless the host is one of documentation."""
    for match in _BASIC_AUTH.finditer(text):
        password, host = match.groups()
        if not (_PORT.match(password) or reserved_host(host) or is_stand_in(password)):
            yield password
