"""Which digits in a text are somebody's number, and which are a version, a decimal or a list of integers.

What is not clear stays unfound: a national telephone number or a social security number without separators or a word in
front of it looks like any other number.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator

PHONE = re.compile(r"(?<![\w+.])\+\d|\(\d{3}\) ?\d{3}|(?<![\w.-])(?:1([-.]))?\d{3}([-.])\d{3}\2\d{4}(?![\w.-])")
_ISSUED = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|5\d\d)\d{12}|35\d{14}"
)
"""Visa, Mastercard, American Express, Diners Club, Discover, JCB: the ranges of ISO/IEC 7812 that are in use."""
_FICTION = re.compile(r"55501\d\d\Z")
"""Numbers that the North American plan keeps for fiction."""
_BEFORE = re.compile(r"(?:[\w+-]|\d\.)\Z")
_AFTER = re.compile(r"[\w+-]|\.\d")
_LISTED_BEFORE = re.compile(r"(\d{13,19})['\"]?[,;|]?\s?['\"]?\Z")
_LISTED_AFTER = re.compile(r"['\"]?[,;|]?\s?['\"]?(\d{13,19})")
_VERSION_BEFORE = re.compile(
    r"(?:[=~<>!]=|[@^]|\b(?:versions?|ver|release[ds]?|sections?|chapter|clause|paragraph|driver|build)[:.]?\s?|§\s?)\Z",
    re.IGNORECASE,
)
_HOST_BEFORE = re.compile(
    r"(?://|\[|@|\b(?:ip|host|addr|address|from|server|inet|client|peer)(?: ?[=:] ?|\s)[\"']?)\Z", re.I
)
_HOST_AFTER = re.compile(r"\]|:\d")
_SMALL = 31
"""Up to which the parts of a version go mostly; three such parts in front are 1 of 500 addresses."""
_LABELLED_PHONE = re.compile(
    r"\b(?:tel(?:efon|ephone)?|phone(?:[ _]?(?:no|number))?|mobile?|cell|fax|handy|whatsapp)\b"
    r"\.?[\"']?\s?[:=]?\s?[\"']?(\(?0?[1-9]?\d[\d ()./-]{6,15}\d)(?![\w-]|\.\d)",
    re.IGNORECASE,
)
_ABROAD = re.compile(r"(?<![\w.,+-])00([1-9]\d{1,2}[ ./-]?\(?\d[\d ()./-]{5,13}\d)(?![\w-]|\.\d)")
_LABELLED_SSN = re.compile(
    r"\b(?:ssn|social security(?: (?:number|no\.?))?)\b[\"']?\s?(?:[:=#]|is)?\s?[\"']?"
    r"(\d{3} ?\d\d ?\d{4})(?![\w-]|\.\d)",
    re.IGNORECASE,
)
_LOWER_IBAN = re.compile(r"\b[a-z]{2}\d\d ?[a-z0-9]{4}(?: ?[a-z0-9]{2,4}){2,7}\b")
_DOTTED_CARD = re.compile(r"(?<![\w.])\d{4}\.\d{4}\.\d{4}\.\d{4}(?![\w.])")
_SPACES = {ord(space): " " for space in "\u00a0\u2007\u2009\u202f"}
_CAPITALS = dict(zip(map(ord, string.ascii_lowercase), string.ascii_uppercase, strict=True))


def alone(text: str, start: int, end: int) -> bool:
    """No part of a decimal number or an identifier, and not one of a list of long numbers that are no cards."""
    before, after = text[max(start - 24, 0) : start], text[end : end + 24]
    if _BEFORE.search(before) or _AFTER.match(after):
        return False
    neighbours = (_LISTED_BEFORE.search(before), _LISTED_AFTER.match(after))
    return all(issued(match[1]) and _luhn(match[1]) for match in neighbours if match)


def issued(number: str) -> bool:
    """Whether a card has the length and prefix of one that is issued."""
    return _ISSUED.fullmatch(re.sub(r"\D", "", number)) is not None


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(map(int, digits[-1::-2]))) % 10 == 0


def fiction(number: str) -> bool:
    return _FICTION.search(re.sub(r"\D", "", number)) is not None


def version(text: str, start: int, end: int) -> bool:
    """Whether four numbers with dots are a version or a section: said so, or small and in no place of an address."""
    before, after = text[max(start - 16, 0) : start], text[end : end + 2]
    if _VERSION_BEFORE.search(before):
        return True
    if _HOST_BEFORE.search(before) or _HOST_AFTER.match(after):
        return False
    return all(int(part) <= _SMALL for part in text[start:end].split(".")[:3])


def _phones(text: str) -> Iterator[str]:
    import phonenumbers

    for match in _ABROAD.finditer(text):
        try:
            number = phonenumbers.parse("+" + re.sub(r"\D", "", match[1]))
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            yield match[0]
    for match in _LABELLED_PHONE.finditer(text):
        digits = re.sub(r"\D", "", match[1])
        if 9 <= len(digits) <= 13 and digits[:5] not in "0123456789" and len(set(digits)) > 3 and not fiction(digits):
            yield match[1]


def _labelled_ssns(text: str) -> Iterator[str]:
    for match in _LABELLED_SSN.finditer(text):
        digits = re.sub(r"\D", "", match[1])
        if digits[:3] not in ("000", "666") and digits not in ("123456789", "987654321") and len(set(digits)) > 2:
            yield match[1]


def _spelt_card(text: str) -> str:
    return _DOTTED_CARD.sub(lambda match: match[0].replace(".", "-"), _plain(text))


def _spelt_iban(text: str) -> str:
    return _LOWER_IBAN.sub(lambda match: match[0].translate(_CAPITALS), _plain(text))


def _plain(text: str) -> str:
    """With spaces that break no line as the ordinary one."""
    return text if text.isascii() else text.translate(_SPACES)


SPELT: dict[str, Callable[[str], str]] = {"card": _spelt_card, "iban": _spelt_iban}
"""Other spellings, brought to the one that a recogniser knows; the length stays."""
ALSO: dict[str, Callable[[str], Iterator[str]]] = {"phone": _phones, "ssn": _labelled_ssns}
"""What no recogniser finds."""
