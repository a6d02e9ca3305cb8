"""Cut rendered chat text into messages: what stands in dumps that keep text and no messages.

    <|im_start|>user\\n1 + 1?<|im_end|>\\n<|im_start|>assistant\\n      ->  user "1 + 1?", assistant ""

A cut is a guess that the template's marks are not part of what was said. Trainers often decode without special tokens,
and then only role words are left (`roles`): there the marks are looked for only where a template puts them.

Marks: the chat templates of Qwen2.5 (chatml), Llama 3 and Mistral Instruct.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from purify.errors import RejectedRecordError

TemplateName = Literal["auto", "chatml", "llama3", "mistral", "roles", "none"]

ADVICE = "name it: --template chatml, llama3, mistral, roles (special tokens skipped) or none (one turn, no marks)"

_ROLES = "system|developer|user|assistant|tool|function|ipython"


class Part(NamedTuple):
    """One message of the text. `closed` says that its end mark was there."""

    role: str
    text: str
    closed: bool = False


class _Marks(NamedTuple):
    header: re.Pattern[str]
    """What begins a message; its last matching group names the role, or is the mark that `roles` knows."""
    ends: tuple[str, ...]
    """What closes a message; behind it nothing but these, white space and `padding` follows in its stretch of text."""
    padding: tuple[str, ...]
    roles: dict[str, str] = {}


_CHATML = _Marks(
    re.compile(rf"<\|im_start\|>({_ROLES})\n?"),
    ("<|im_end|>",),
    ("<|endoftext|>",),
)
_LLAMA3 = _Marks(
    re.compile(rf"<\|start_header_id\|>({_ROLES})<\|end_header_id\|>(?:\n\n)?"),
    ("<|eot_id|>", "<|eom_id|>"),
    ("<|end_of_text|>", "<|finetune_right_pad_id|>"),
)
_MISTRAL = _Marks(
    re.compile(r" ?(\[/?INST\]|\[SYSTEM_PROMPT\]|\[/SYSTEM_PROMPT\]|\[/?AVAILABLE_TOOLS\]|\[/?TOOL_RESULTS\]) ?"),
    ("</s>",),
    ("<pad>",),
    {
        "[INST]": "user",
        "[/INST]": "assistant",
        "[SYSTEM_PROMPT]": "system",
        "[AVAILABLE_TOOLS]": "system",
        "[TOOL_RESULTS]": "tool",
        "[/TOOL_RESULTS]": "assistant",
    },
)
_MARKED: dict[TemplateName, _Marks] = {"chatml": _CHATML, "llama3": _LLAMA3, "mistral": _MISTRAL}
_PADDING = re.compile(
    r"(?:\s|<\|endoftext\|>|<\|begin_of_text\|>|<\|end_of_text\|>|<\|finetune_right_pad_id\|>|</?s>)*+"
)

_OPENS_WITH_ROLE = re.compile(r"\s*(?:system|user)\n")
_ASKS = re.compile(r"(?:\A|\n)assistant\n+(?:<think>\n*)?\Z")
_ASKS_GLUED = re.compile(r"[^\n]assistant\n\n\Z")
_ROLE_LINE = re.compile(r"(?:\A|(?<=\n))(system|user|assistant)\n")
# Agent loops append the user part right behind the turn, often without the newline of the template.
_RESULTS = re.compile(r"\n?user\n(?=<tool_response>)")
_TURN = re.compile(r"(?<=</tool_response>)\nassistant\n")
_LONE_TURN = re.compile(r"\nassistant\n")
_USER = re.compile(r"\n?user\n")


def find_template(prompt: str, output: str) -> TemplateName:
    """The template of a record's texts. Raises `RejectedRecordError`, saying what to pass, where they do not tell."""
    text = prompt + output
    for name, mark in (("chatml", "<|im_start|>"), ("llama3", "<|start_header_id|>"), ("mistral", "[INST]")):
        if mark in text:
            return name  # type: ignore[return-value]  # each is one of the names
    opens = _OPENS_WITH_ROLE.match(prompt)
    if opens and _ASKS.search(prompt):
        return "roles"
    if opens and _ASKS_GLUED.search(prompt):
        raise RejectedRecordError(f"the prompt has role words but no marks between its messages; {ADVICE}")
    if _LONE_TURN.search(output):
        raise RejectedRecordError(f"the output has a line 'assistant', but the prompt has no roles; {ADVICE}")
    return "none"


def cut_prompt(text: str, template: TemplateName) -> list[Part]:
    """The messages of a prompt; the last one, empty or the beginning of an answer, is where the model goes on."""
    if template == "none":
        return [Part("user", text), Part("assistant", "")] if text else [Part("assistant", "")]
    if template == "roles":
        return list(_role_lines(text))
    return list(_marked(text, _MARKED[template], before="user"))


def cut_output(text: str, template: TemplateName) -> list[Part]:
    """The messages of what followed the prompt, from the model's first turn on.

    Raises `RejectedRecordError` where a `roles` text leaves open what a user said between two turns.
    """
    if template == "none":
        return [Part("assistant", text)]
    if template == "roles":
        return list(_by_roles(text))
    return list(_marked(text, _MARKED[template], before="assistant"))


def _marked(text: str, marks: _Marks, *, before: str) -> Iterator[Part]:
    """Messages between headers. `before` is the role of text in front of the first one."""
    role, start = before, 0
    for match in [*marks.header.finditer(text), None]:
        stretch = text[start : match.start() if match else len(text)]
        closed = _closed_at(stretch, marks)
        said = stretch[:closed]
        # Padding in front is nobody's, and nothing follows Mistral's closing tags.
        nothing = _PADDING.fullmatch(said) and closed is None if start == 0 else not role and not said.strip()
        if not nothing:
            yield Part(role or "system", said, closed is not None)
        if match:
            role, start = marks.roles.get(match[1], "") if marks.roles else match[1], match.end()


def _closed_at(stretch: str, marks: _Marks) -> int | None:
    """Where the first of the marks begins that close this stretch. From its end, so that each mark is seen once."""
    found, at = None, len(stretch)
    while at:
        if stretch[at - 1].isspace():
            at -= 1
            continue
        mark = next((mark for mark in (*marks.ends, *marks.padding) if stretch.endswith(mark, 0, at)), None)
        if mark is None:
            break
        at -= len(mark)
        found = at if mark in marks.ends else found
    return found


def _role_lines(text: str) -> Iterator[Part]:
    """Messages behind lines that are nothing but a role; what stands before the first one is the user's."""
    found = list(_ROLE_LINE.finditer(text))
    before = text[: found[0].start() if found else len(text)]
    if before.strip():
        yield Part("user", before)
    for match, following in zip(found, [*found[1:], None], strict=False):
        said = text[match.end() : following.start() if following else len(text)]
        yield Part(match[1], said.removesuffix("\n") if following else said)


def _by_roles(text: str) -> Iterator[Part]:
    start = 0
    while True:
        results = _RESULTS.search(text, start)
        turn = _TURN.search(text, results.end()) if results else None
        said = text[start : results.start() if results else len(text)]
        yield from _with_users(said)
        if results is None:
            return
        yield Part("user", text[results.end() : turn.start() if turn else len(text)])
        if turn is None:
            return
        start = turn.end()


def _with_users(text: str) -> Iterator[Part]:
    """Model text in which a user may have spoken: then one line `assistant` follows exactly one `user`."""
    start = 0
    for turn in _LONE_TURN.finditer(text):
        users = list(_USER.finditer(text, start, turn.start()))
        if len(users) != 1:
            raise RejectedRecordError(
                f"output: a line 'assistant' at character {turn.start() + 1} of a turn, and {len(users)} places where"
                f" a user may have begun before it; decode with special tokens, or {ADVICE}"
            )
        yield Part("assistant", text[start : users[0].start()])
        yield Part("user", text[users[0].end() : turn.start()])
        start = turn.end()
    yield Part("assistant", text[start:])
