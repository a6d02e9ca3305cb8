"""Personal data with a form: addresses, numbers and accounts, found by the pattern recognisers of presidio-analyzer.

These work without a language model; names, places and birth dates, which need one, are not looked for. Trajectories
are full of numbers, so a match must be more than digits in a row:

- a card number passes the Luhn check (presidio) and has a length and prefix that are issued, and is no part of a
  decimal number or of a longer list of digits;
- a telephone number begins with + or is written with the separators of one, and is not one of those for fiction;
- a social security number is written 123-45-6789;
- an IP address is a public one, not private, loopback, link-local or reserved for documentation, and no network.

Domains that RFC 2606 and RFC 6761 reserve (example.com, .test, localhost...) belong to nobody.

Names: presidio, `presidio-analyzer/presidio_analyzer/predefined_recognizers/generic/*.py` and
`country_specific/us/us_ssn_recognizer.py`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

Detector = Callable[[str], Iterator[str]]

_RESERVED = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost|local)$")
_PREFILTERS = {
    "email": re.compile(r"\w@\w"),
    "phone": re.compile(r"(?<![\w+.])\+\d|\(\d{3}\) ?\d{3}|(?<![\w.-])\d{3}([-.])\d{3}\1\d{4}(?![\w.-])"),
    "card": re.compile(r"\d(?:[ -]?\d){12}"),
    "iban": re.compile(r"\b[A-Z]{2}\d\d"),
    "ssn": re.compile(r"(?<![\w.-])\d{3}-\d\d-\d{4}(?![\w.-])"),
    "ip": re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d|[0-9A-Fa-f]:[0-9A-Fa-f:]*:[0-9A-Fa-f]"),
}
PERSONAL_KINDS = tuple(f"personal:{name}" for name in _PREFILTERS)
_ISSUED = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|5\d\d)\d{12}|35\d{14}"
)
"""Visa, Mastercard, American Express, Diners Club, Discover, JCB: the ranges of ISO/IEC 7812 that are in use."""


_FICTION = re.compile(r"55501\d\d$")
"""Numbers that the North American plan keeps for fiction."""
_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given out; `a::b` and `x[1::2]` are code."""
_BEFORE = re.compile(r"[\w+-]$|\d\.$|\d{13},?\s?$")
_AFTER = re.compile(r"[\w+-]|\.\d|,?\s?\d{13}")


def reserved_host(host: str) -> bool:
    """Whether a host belongs to nobody: reserved names, and addresses that are not public."""
    host = host.rstrip(".").lower()
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return _RESERVED.search(host) is not None


def personal_detectors() -> dict[str, Detector]:
    """`personal:NAME` to a function that yields what it finds in a text."""
    recognisers, keep = _recognisers(), _keep()

    def detector(name: str) -> Detector:
        recogniser, entity = recognisers[name]

        def find(text: str) -> Iterator[str]:
            if _PREFILTERS[name].search(text):
                for result in recogniser.analyze(text, [entity], None) or ():
                    if keep[name](text, result):
                        yield text[result.start : result.end]

        return find

    return {f"personal:{name}": detector(name) for name in recognisers}


def _recognisers() -> dict[str, tuple[Any, str]]:
    import tldextract
    from presidio_analyzer import predefined_recognizers as presidio

    # The list of top-level domains that the library brings, not one from the network.
    domains = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    class Email(presidio.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return bool(domains(pattern_text).top_domain_under_public_suffix)

    return {
        "email": (Email(), "EMAIL_ADDRESS"),
        "phone": (presidio.PhoneRecognizer(supported_regions=("US",), leniency=2), "PHONE_NUMBER"),
        "card": (presidio.CreditCardRecognizer(), "CREDIT_CARD"),
        "iban": (presidio.IbanRecognizer(), "IBAN_CODE"),
        "ssn": (presidio.UsSsnRecognizer(), "US_SSN"),
        "ip": (presidio.IpRecognizer(), "IP_ADDRESS"),
    }


def _keep() -> dict[str, Callable[[str, Any], bool]]:
    """Of what a recogniser finds, what is a finding."""

    def found(text: str, result: Any) -> str:
        return text[result.start : result.end]

    def alone(text: str, result: Any) -> bool:
        """No part of a decimal number or an identifier, and not one of a list of long numbers."""
        before, after = text[max(result.start - 20, 0) : result.start], text[result.end : result.end + 20]
        return not _BEFORE.search(before) and not _AFTER.match(after)

    def card(text: str, result: Any) -> bool:
        digits = re.sub(r"\D", "", found(text, result))
        return result.score == 1 and _ISSUED.fullmatch(digits) is not None and alone(text, result)

    def phone(text: str, result: Any) -> bool:
        digits = re.sub(r"\D", "", found(text, result))
        return _PREFILTERS["phone"].search(found(text, result)) is not None and not _FICTION.search(digits)

    def public(text: str, result: Any) -> bool:
        interface = ipaddress.ip_interface(found(text, result))
        ip, whole = interface.ip, interface.network.prefixlen == interface.max_prefixlen
        return whole and alone(text, result) and ip.is_global and (ip.version == 4 or ip in _UNICAST)

    return {
        "email": lambda text, result: not reserved_host(found(text, result).rpartition("@")[2]),
        "phone": phone,
        "card": card,
        "iban": lambda text, result: result.score == 1,
        "ssn": lambda text, result: (
            _PREFILTERS["ssn"].fullmatch(found(text, result)) is not None and alone(text, result)
        ),
        "ip": public,
    }
