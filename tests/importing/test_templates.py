from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.errors import RejectedRecordError
from purify.importing.templates import Part, cut_output, cut_prompt, find_template
from tests.importing.hostile import survives

CHATML = "<|im_start|>system\nBe.<|im_end|>\n<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n"
CALL = "<tool_call>\n{}\n</tool_call>"
BACK = "<tool_response>\n2\n</tool_response>"


@pytest.mark.parametrize(
    ("prompt", "output", "template"),
    [
        (CHATML, "2", "chatml"),
        ("<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>", "2", "llama3"),
        ("<s>[INST] hi [/INST]", "2", "mistral"),
        ("system\nBe.\nuser\n1 + 1?\nassistant\n", "2", "roles"),
        ("user\n1 + 1?\nassistant\n<think>\n", "2", "roles"),
        ("What does a user do?\n", "2", "none"),
        ("user\nis a word", "assistant\nis another", "none"),
    ],
)
def test_the_template_is_told_by_its_marks(prompt: str, output: str, template: str) -> None:
    assert find_template(prompt, output) == template


@pytest.mark.parametrize(
    ("prompt", "output", "reason"),
    [
        (
            "user\n\n1 + 1?assistant\n\n",
            "2",
            "the prompt has role words but no marks between its messages; name it: --",
        ),
        ("1 + 1?", "2user\nNo.\nassistant\n3", "the output has a line 'assistant', but the prompt has no roles; name"),
    ],
)
def test_a_text_that_does_not_tell_says_what_to_pass(prompt: str, output: str, reason: str) -> None:
    with pytest.raises(RejectedRecordError) as error:
        find_template(prompt, output)
    assert str(error.value).startswith(reason)
    assert "--template chatml, llama3, mistral, roles" in str(error.value)


def test_chatml() -> None:
    padded = "<|endoftext|><|endoftext|>" + CHATML
    asked = [Part("system", "Be.", True), Part("user", "1 + 1?", True), Part("assistant", "")]
    assert cut_prompt(CHATML, "chatml") == cut_prompt(padded, "chatml") == asked
    output = (
        f"Hm.\n{CALL}<|im_end|>\n<|im_start|>user\n{BACK}<|im_end|>\n<|im_start|>assistant\n2<|im_end|><|endoftext|>"
    )
    assert cut_output(output, "chatml") == [
        Part("assistant", f"Hm.\n{CALL}", True),
        Part("user", BACK, True),
        Part("assistant", "2", True),
    ]
    assert cut_output("<|im_end|>", "chatml") == [Part("assistant", "", True)]
    assert cut_output("cut off", "chatml") == [Part("assistant", "cut off")]


def test_llama3() -> None:
    def head(role: str) -> str:
        return f"<|start_header_id|>{role}<|end_header_id|>\n\n"

    prompt = f"<|begin_of_text|>{head('system')}Be.<|eot_id|>{head('user')}hi<|eot_id|>{head('assistant')}"
    assert cut_prompt(prompt, "llama3") == [
        Part("system", "Be.", True),
        Part("user", "hi", True),
        Part("assistant", ""),
    ]
    output = f"<|python_tag|>1<|eom_id|>{head('ipython')}1<|eot_id|>{head('assistant')}1"
    assert cut_output(output, "llama3") == [
        Part("assistant", "<|python_tag|>1", True),
        Part("ipython", "1", True),
        Part("assistant", "1"),
    ]


def test_mistral() -> None:
    prompt = "<s>[SYSTEM_PROMPT]Be.[/SYSTEM_PROMPT][AVAILABLE_TOOLS] [{}][/AVAILABLE_TOOLS][INST] hi[/INST]"
    assert cut_prompt(prompt, "mistral") == [
        Part("system", "Be."),
        Part("system", "[{}]"),
        Part("user", "hi"),
        Part("assistant", ""),
    ]
    output = "[TOOL_CALLS] [{}]</s>[TOOL_RESULTS] 1[/TOOL_RESULTS] 1</s>"
    assert cut_output(output, "mistral") == [
        Part("assistant", "[TOOL_CALLS] [{}]", True),
        Part("tool", "1"),
        Part("assistant", "1", True),
    ]


@pytest.mark.parametrize("newline", ["", "\n"])
def test_roles_are_looked_for_where_a_template_puts_them(newline: str) -> None:
    prompt = "system\nBe.\nuser\nWho is\nthe user here?\nassistant\n"
    assert cut_prompt(prompt, "roles") == [
        Part("system", "Be."),
        Part("user", "Who is\nthe user here?"),
        Part("assistant", ""),
    ]
    output = f"{CALL}{newline}user\n{BACK}\n{BACK}\nassistant\nIt is I.{newline}user\nWho?\nassistant\nI."
    assert cut_output(output, "roles") == [
        Part("assistant", CALL),
        Part("user", f"{BACK}\n{BACK}"),
        Part("assistant", "It is I."),
        Part("user", "Who?"),
        Part("assistant", "I."),
    ]


@pytest.mark.parametrize("output", ["My\nassistant\nis", "A user\nor user\nx\nassistant\nb"])
def test_a_user_whose_words_cannot_be_told_is_a_rejection(output: str) -> None:
    with pytest.raises(RejectedRecordError, match="output: a line 'assistant' at character"):
        cut_output(output, "roles")
    assert cut_output(output, "none") == [Part("assistant", output)]


def test_without_a_template_the_prompt_is_one_message() -> None:
    assert cut_prompt("What?", "none") == [Part("user", "What?"), Part("assistant", "")]
    assert cut_prompt("", "none") == [Part("assistant", "")]


@pytest.mark.parametrize(
    ("template", "piece"),
    [
        ("chatml", "<|im_end|>"),
        ("chatml", "<|endoftext|>"),
        ("llama3", "<|eot_id|>"),
        ("mistral", "</s>"),
        ("chatml", " "),
    ],
)
def test_end_marks_are_found_in_linear_time(template: str, piece: str) -> None:
    for behind in ("", "x"):
        assert survives(lambda text: cut_output(text, template), piece, behind)  # type: ignore[arg-type]


def test_the_first_end_mark_with_nothing_but_marks_behind_it_closes() -> None:
    output = "a<|im_end|>b<|im_end|> <|endoftext|>\n<|im_end|>"
    assert cut_output(output, "chatml") == [Part("assistant", "a<|im_end|>b", True)]
    assert cut_output("a<|endoftext|><|im_end|>", "chatml") == [Part("assistant", "a<|endoftext|>", True)]
    assert cut_output("a<|endoftext|>", "chatml") == [Part("assistant", "a<|endoftext|>")]


def test_a_prompt_without_roles_is_the_users_under_that_template_too() -> None:
    assert cut_prompt("What?", "roles") == [Part("user", "What?")]
    assert cut_prompt("What?\nassistant\n", "roles") == [Part("user", "What?\n"), Part("assistant", "")]


PIECES = ["<|im_start|>user\n", "<|im_end|>", "\nassistant\n", "user\n", "[INST]", "</s>", "é", "\n", BACK, CALL]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.sampled_from(["chatml", "llama3", "mistral"]))
def test_nothing_but_marks_is_left_out(text: str, template: str) -> None:
    for cut in (cut_prompt, cut_output):
        parts = cut(text, template)  # type: ignore[arg-type]
        assert "".join(part.text for part in parts).count("é") == text.count("é")
        assert all(part.text in text for part in parts)
