"""Personal data with a form: addresses, numbers and accounts, found by the pattern recognisers of presidio-analyzer.

These work without a language model; names, places and birth dates, which need one, are not looked for. Trajectories
are full of numbers, so a match must be more than digits in a row (`numbers_in_text.py` has the rules):

- a card number passes the Luhn check (presidio) and has a length and prefix that are issued, and is no part of a
  decimal number or of a list of other long numbers;
- a telephone number begins with + or 00, is written with the separators of an American one, or stands behind a word
  like `Tel.`, and is not one of those for fiction;
- a social security number is written 123-45-6789, or stands behind `SSN`;
- an IP address is a public one, not private, loopback, link-local or reserved for documentation, and neither a network
  nor the number of a version.

Domains that RFC 2606 and RFC 6761 reserve (example.com, .test, localhost...) belong to nobody; `git@` and `noreply@`
are nobody's mailbox.

Names: presidio, `presidio-analyzer/presidio_analyzer/predefined_recognizers/generic/*.py` and
`country_specific/us/us_ssn_recognizer.py`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

from purify.publishing import numbers_in_text as numbers

Detector = Callable[[str], Iterator[str]]

_RESERVED = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost|local)\Z")
_NO_MAILBOX = re.compile(r"(?:git|(?:do[-_.]?)?not?[-_.]?reply)\Z", re.IGNORECASE)
_IN_FRONT = re.compile(r"[!#$%&*/=?^`{|}~]")
"""Signs that an e-mail address may have in front of the @, and in a path, a query or a fragment are no part of it."""
_PREFILTERS = {
    "email": re.compile(r"\w@\w"),
    "phone": numbers.PHONE,
    "card": re.compile(r"\d(?:[ -]?\d){12}"),
    "iban": re.compile(r"\b[A-Z]{2}\d\d"),
    "ssn": re.compile(r"(?<![\w.-])\d{3}-\d\d-\d{4}(?![\w.-])"),
    "ip": re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d|[0-9A-Fa-f]:[0-9A-Fa-f:]*:[0-9A-Fa-f]"),
}
PERSONAL_KINDS = tuple(f"personal:{name}" for name in _PREFILTERS)
_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given out; `a::b` and `x[1::2]` are code."""


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
        also, spelt = numbers.ALSO.get(name), numbers.SPELT.get(name, str)

        def find(text: str) -> Iterator[str]:
            # As the recogniser knows it, character for character: a place in one is the same place in the other.
            plain = spelt(text)
            if _PREFILTERS[name].search(plain):
                for result in recogniser.analyze(plain, [entity], None) or ():
                    if keep[name](plain, result):
                        yield _name(text[result.start : result.end])
            if also is not None:
                yield from also(text)

        return find

    return {f"personal:{name}": detector(name) for name in recognisers}


def _name(found: str) -> str:
    """An e-mail address without the path in front of it; anything else as it is."""
    local, at, domain = found.rpartition("@")
    return (_IN_FRONT.split(local)[-1] or local) + at + domain


def _recognisers() -> dict[str, tuple[Any, str]]:
    import tldextract
    from presidio_analyzer import predefined_recognizers as presidio

    # The list of top-level domains that the library brings, not one from the network.
    domains = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    class Email(presidio.EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return bool(domains(pattern_text.rpartition("@")[2]).top_domain_under_public_suffix)

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
        return numbers.alone(text, result.start, result.end)

    def email(text: str, result: Any) -> bool:
        local, _, host = found(text, result).rpartition("@")
        return not reserved_host(host) and not _NO_MAILBOX.fullmatch(_IN_FRONT.split(local)[-1])

    def card(text: str, result: Any) -> bool:
        return result.score == 1 and numbers.issued(found(text, result)) and alone(text, result)

    def phone(text: str, result: Any) -> bool:
        return numbers.PHONE.search(found(text, result)) is not None and not numbers.fiction(found(text, result))

    def ssn(text: str, result: Any) -> bool:
        return _PREFILTERS["ssn"].fullmatch(found(text, result)) is not None and alone(text, result)

    def public(text: str, result: Any) -> bool:
        interface = ipaddress.ip_interface(found(text, result))
        ip, whole = interface.ip, interface.network.prefixlen == interface.max_prefixlen
        return (
            whole
            and alone(text, result)
            and ip.is_global
            and (ip in _UNICAST if ip.version == 6 else not numbers.version(text, result.start, result.end))
        )

    return {
        "email": email,
        "phone": phone,
        "card": card,
        "iban": lambda text, result: result.score == 1,
        "ssn": ssn,
        "ip": public,
    }
