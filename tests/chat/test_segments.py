from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from purify.chat.formats import FORMATS
from purify.chat.segments import Decoded, decode, split_ids
from purify.chat.turn import GeneratedTurn
from tests.tiny import tiny_model

CALL = '<tool_call>\n{"name": "python", "arguments": {"code": "print(1)"}}\n</tool_call>'


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model(Path(tmp_path_factory.mktemp("tiny"))))


def split(
    tokenizer: Any, ids: list[int], name: str = "hermes", ending: int = 0
) -> tuple[str, str, list[int], list[int], str]:
    decoded = decode(tokenizer, ids[: len(ids) - ending])
    turn = FORMATS[name].parse(decoded.text)  # type: ignore[index]
    reasoning, action, boundary = split_ids(turn, decoded, ids, [-float(token) for token in ids])
    assert (reasoning.logprobs or []) + (action.logprobs or []) == [-float(token) for token in ids]
    return reasoning.text or "", action.text or "", reasoning.token_ids or [], action.token_ids or [], boundary


def test_ids_split_where_the_call_begins(tokenizer: Any) -> None:
    before, call, end = tokenizer.encode("Let me see.\n"), tokenizer.encode(CALL), tokenizer.encode("<|im_end|>")
    got = split(tokenizer, [*before, *call, *end], ending=1)
    assert got == ("Let me see.\n", CALL, before, [*call, *end], "exact")


def test_a_turn_that_is_only_a_call_has_no_reasoning_ids(tokenizer: Any) -> None:
    call = tokenizer.encode(CALL)
    assert split(tokenizer, call) == ("", CALL, [], call, "exact")


def test_a_turn_without_a_call_is_all_reasoning(tokenizer: Any) -> None:
    ids = tokenizer.encode("The answer is 42.<|im_end|>")
    assert split(tokenizer, ids, ending=1) == ("The answer is 42.", "", ids, [], "exact")


def test_a_token_with_text_of_both_sides_belongs_to_the_action() -> None:
    turn = GeneratedTurn("Hi\n", 0, "```python\n1\n```")
    decoded = Decoded("Hi\n```python\n1\n```", [2, 6, 18])
    reasoning, action, boundary = split_ids(turn, decoded, [5, 6, 7], [0.0, -1.0, -2.0])
    assert (reasoning.token_ids, action.token_ids, boundary) == ([5], [6, 7], "straddled")


def test_characters_of_several_tokens_are_put_together(tokenizer: Any) -> None:
    text = "naïve 数 🙂 "
    ids = tokenizer.encode(text + CALL)
    decoded = decode(tokenizer, ids)
    assert decoded.text == text + CALL
    assert decoded.ends is not None and decoded.ends[-1] == len(decoded.text) and len(decoded.ends) == len(ids)
    before = tokenizer.encode(text)
    assert split(tokenizer, ids) == (text, CALL, before, tokenizer.encode(CALL), "exact")


def test_without_a_fast_tokenizer_the_ids_stay_whole() -> None:
    class Slow:
        def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
            return "Hm " + CALL

    decoded = decode(Slow(), [1, 2, 3])
    turn = FORMATS["hermes"].parse(decoded.text)
    reasoning, action, boundary = split_ids(turn, decoded, [1, 2, 3], [-1.0, -2.0, -3.0])
    assert (reasoning.token_ids, action.token_ids, action.text, boundary) == ([1, 2, 3], None, CALL, "unknown")


def test_bytes_that_are_no_text_do_not_end_a_run() -> None:
    """A decoder with byte fallback (Llama 2, Gemma) refuses them one at a time; together they are replaced."""
    from tokenizers import Tokenizer, decoders, models

    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)} | {"\u2581so": 256, "<tool_call>": 257}
    backend = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True))
    backend.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])

    class Fast:
        backend_tokenizer = backend

        def decode(self, ids: list[int], *, skip_special_tokens: bool) -> str:
            return str(backend.decode(ids, skip_special_tokens=skip_special_tokens))

    decoded = decode(Fast(), [256, 0xC3, 0xA9, 0xE2, 256])
    assert (decoded.text.replace("\ufffd", "?").count("so"), decoded.ends) == (2, None)
    whole = decode(Fast(), [256, 0xC3, 0xA9, 256])
    assert (whole.text, whole.ends) == (" so\u00e9 so", [3, 3, 4, 7])
