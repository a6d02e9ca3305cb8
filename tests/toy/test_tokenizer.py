"""The tokenizer and its chat template: what they write comes back, and a longer dialogue begins like a shorter one."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.chat.call_text import read_generated
from purify.chat.template import ChatTemplate
from purify.toy.config import DESIGNS
from purify.toy.demonstrations import draw_demonstrations
from purify.toy.tokenizer import END, PYTHON_TOOL, TAGS, encode, render, train_tokenizer
from purify_schemas import Message

pytest.importorskip("transformers")

DIALOGUES = [each.messages for each in islice(draw_demonstrations(DESIGNS["B"], frozenset(), 0), 200)]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(DIALOGUES)


def call(code: str, content: str = "I try.") -> dict[str, Any]:
    function = {"name": "python", "arguments": {"code": code}}
    return {"role": "assistant", "content": content, "tool_calls": [{"type": "function", "function": function}]}


def test_digits_are_tokens_of_their_own(tokenizer: Any) -> None:
    for text in ("1234567890", "[40, 7]", "x = 12 ** 3", "10 20", "a1b2", "print(99)"):
        pieces = tokenizer.convert_ids_to_tokens(tokenizer.encode(text))
        assert [piece for piece in pieces if any(sign.isdigit() for sign in piece)] == [
            sign for sign in text if sign.isdigit()
        ]
    for token in tokenizer.get_vocab():
        assert not any(sign in "0123456789" for sign in token) or len(token) == 1


def test_there_are_640_tokens_and_tags_are_whole(tokenizer: Any) -> None:
    assert len(tokenizer) == 640
    for tag in (*TAGS, END):
        assert len(tokenizer.encode(f"a{tag}b")) == 3


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
@settings(max_examples=100, deadline=None)
def test_any_text_comes_back(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text), clean_up_tokenization_spaces=False) == text


def test_a_rendered_dialogue(tokenizer: Any) -> None:
    dialogue = [
        {"role": "user", "content": "What is 6 * 7?"},
        call('print("6 * 7")\nprint(6 * 7)'),
        {"role": "tool", "name": "python", "content": "6 * 7\n42"},
        {"role": "assistant", "content": "The answer is \\boxed{42}."},
    ]
    assert render(tokenizer, dialogue) == (
        "<|im_start|>system\nTool: python(code)<|im_end|>\n"
        "<|im_start|>user\nWhat is 6 * 7?<|im_end|>\n"
        "<|im_start|>assistant\nI try.\n"
        '<tool_call>\n{"name": "python", "arguments": {"code": "print(\\"6 * 7\\")\\nprint(6 * 7)"}}\n</tool_call>'
        "<|im_end|>\n<|im_start|>user\n<tool_response>\n6 * 7\n42\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\nThe answer is \\boxed{42}.<|im_end|>\n"
    )


def test_system_message_and_several_results(tokenizer: Any) -> None:
    dialogue = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "", "tool_calls": [*call("1")["tool_calls"], *call("2")["tool_calls"]]},
        {"role": "tool", "content": "one"},
        {"role": "tool", "content": "two"},
    ]
    rendered = tokenizer.apply_chat_template(dialogue, tools=[PYTHON_TOOL], tokenize=False, add_generation_prompt=True)
    assert rendered == (
        "<|im_start|>system\nBe brief.\nTool: python(code)<|im_end|>\n"
        "<|im_start|>user\n?<|im_end|>\n"
        '<|im_start|>assistant\n<tool_call>\n{"name": "python", "arguments": {"code": "1"}}\n</tool_call>\n'
        '<tool_call>\n{"name": "python", "arguments": {"code": "2"}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\none\n</tool_response>\n"
        "<tool_response>\ntwo\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    without = tokenizer.apply_chat_template(dialogue[1:2], tokenize=False)
    assert without == "<|im_start|>user\n?<|im_end|>\n"


def test_a_longer_dialogue_begins_like_a_shorter_one(tokenizer: Any) -> None:
    for dialogue in DIALOGUES[:30]:
        whole = render(tokenizer, dialogue)
        for length in range(1, len(dialogue)):
            start, end, _ = render(tokenizer, dialogue[:length]).rpartition(END)
            assert end and whole.startswith(start)


def test_calls_are_read_back(tokenizer: Any) -> None:
    for dialogue in DIALOGUES[:30]:
        turns = [turn for turn in dialogue if turn["role"] == "assistant"]
        written = render(tokenizer, dialogue).split("<|im_start|>assistant\n")[1:]
        for turn, text in zip(turns, written, strict=True):
            read = read_generated(text.split(END)[0])
            said = [json.loads(call.arguments or "") for call in read.calls]
            assert said == [made["function"]["arguments"] for made in turn.get("tool_calls", ())]
            assert (read.reasoning or "").rstrip("\n") == turn["content"]


def test_the_assistants_tokens_are_its_turns(tokenizer: Any) -> None:
    for dialogue in DIALOGUES[:30]:
        encoded = encode(tokenizer, dialogue)
        own = [token for token, mine in zip(encoded.ids, encoded.own, strict=True) if mine]
        written = render(tokenizer, dialogue).split("<|im_start|>assistant\n")[1:]
        assert tokenizer.decode(own) == "".join(text.split(END)[0] + END for text in written)
        assert tokenizer.decode(encoded.ids) == render(tokenizer, dialogue)


def test_rollouts_append_what_rendering_would_write(tokenizer: Any) -> None:
    template = ChatTemplate(tokenizer, "toy", [PYTHON_TOOL])
    assert tokenizer.convert_ids_to_tokens(template.end_of_turn) == END
    assert not template.drops_reasoning
    for dialogue in DIALOGUES[:10]:
        rendered = encode(tokenizer, dialogue).ids
        ids = template.prompt([Message(role="user", content=dialogue[0]["content"])])
        for turn, result in zip(dialogue[1::2], [*dialogue[2::2], None], strict=True):
            text = render(tokenizer, [dialogue[0], turn]).split("<|im_start|>assistant\n")[1].removesuffix("\n")
            ids += tokenizer.encode(text)
            if result is not None:
                calls = read_generated(text.removesuffix(END)).calls
                ids += template.observation(calls, [result["content"]], ended=True)
        assert ids == rendered[: len(ids)]
        assert tokenizer.decode(rendered[len(ids) :]) == "\n"
