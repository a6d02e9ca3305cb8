"""Nothing that a tool printed can act on the terminal it is shown in."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from purify_cli.terminal import one_line, plain, shorten


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hhome", "home"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b31mred", "red"),
        ("\x1b]0;never closed\nrest", "0;never closed\nrest"),
        ("\x1b[31", "31"),
        ("a\x00b\x07c\x7f", "a␀b␇c␡"),
        ("a\x1b", "a␛"),
        ("10%\r20%\r\nend", "10%\n20%\nend"),
        ("tab\tkept", "tab\tkept"),
        ("\u202eevil\u2066", "\ufffdevil\ufffd"),
        ("a\U000e0041\u3164b", "a\ufffd\ufffdb"),
        ("[bold]é✓🎉", "[bold]é✓🎉"),
    ],
)
def test_plain(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(st.characters(codec="utf-8", categories=["Cc", "Cf", "Lu", "Po", "Zl"])))
def test_no_control_character_is_left(text: str) -> None:
    assert not [char for char in plain(text) if char not in "\n\t" and (ord(char) < 32 or 127 <= ord(char) < 160)]


def test_one_line() -> None:
    assert one_line("a\n  b\tc", 10) == "a b c"
    assert one_line("abcdef", 6) == "abcdef"
    assert one_line("abcdefg", 6) == "abcde…"


def test_shorten_leaves_out_the_middle() -> None:
    text = "\n".join("abcdefgh")
    assert shorten(text, 8) == text
    assert shorten(text, 5) == "a\nb\n… 4 lines\ng\nh"
    assert shorten(text, 3) == "a\n… 6 lines\nh"
    assert shorten("x" * 30, 1, width=10) == "x" * 10 + "… 20 characters"
    assert shorten(text + "x" * 999, None) == text + "x" * 999
