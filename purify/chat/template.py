"""A tokenizer's chat template, used the way rollouts need it: render the prompt once, then only ever append.

Rendering a conversation again after each turn would tokenise sampled text a second time, and many templates drop
earlier thinking when they do. So a tool result is rendered behind a stand-in turn, and what the template writes after
that turn's end is appended to the engine's own ids. What a template can render is found out by rendering.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from itertools import takewhile
from typing import Any

from purify.chat.as_openai import as_call, as_openai
from purify.chat.identity import template_digest, tokenizer_digest
from purify.errors import PurifyError
from purify_schemas import Call, Message

# Letters only: no template trims, escapes or splits them. The result's is put in where its text is encoded apart.
_STAND_IN = "PurifyStandIn"
_RESULT = "PurifyResult"
_USER = {"role": "user", "content": "hello"}
_TOLD = {"role": "tool", "content": "told"}


class ChatTemplate:
    """Token ids of prompts and tool results. `tokenizer` is a Hugging Face one with a chat template."""

    def __init__(self, tokenizer: Any, name: str, tools: Sequence[dict[str, Any]] = ()) -> None:
        """Raises `PurifyError` if there is no template, or if it does not show `tools` to the model."""
        if not tokenizer.chat_template:
            raise PurifyError(
                f"{name}: its tokenizer has no chat template, so there is no way to write a prompt for it; "
                "use an instruction-tuned model, or save a template with the tokenizer (tokenizer.chat_template)"
            )
        self._tokenizer = tokenizer
        self._tools = list(tools) or None
        self.digest = str(template_digest(tokenizer))
        self._asked = prompt = self._render([_USER])
        for tool in tools:
            if tool["function"]["name"] not in prompt:
                raise PurifyError(
                    f"{name}: its chat template does not show tools to the model; "
                    "add --call-format python, or use a model whose template renders tools"
                )
        self.opens_thinking = prompt.rstrip().endswith("<think>")
        """Whether the prompt ends inside an open `<think>`, so that a turn begins as thought."""
        self.end_of_turn = self._find_end_of_turn(name)
        self._end_text = tokenizer.convert_ids_to_tokens(self.end_of_turn)
        self._control = [*tokenizer.all_special_tokens, *map(str, tokenizer.added_tokens_decoder.values())]
        self._cuts = re.compile(
            "|".join(f"(?<={re.escape(t[0])})(?={re.escape(t[1:])})" for t in self._control if t[1:])
        )
        self._arguments_as_text = False
        self._tool_role = self._takes(_calling_turn(1), _TOLD)
        if not self._tool_role:
            self._tool_role = self._arguments_as_text = self._takes(_calling_turn(1, as_text=True), _TOLD)
        self._parallel = self._takes(self._turn(2), _TOLD, _TOLD)
        self.takes_system = self._can_render({"role": "system", "content": "told"}, _USER)
        self.drops_reasoning = self._drops_reasoning()
        """Whether the template, rendering a conversation again, leaves out what was thought in earlier turns."""

    @cached_property
    def tokenizer_digest(self) -> str:
        """Of the vocabulary. Templates are made by the hundred where each row has tools of its own, so when asked."""
        return tokenizer_digest(self._tokenizer)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a conversation, up to where the assistant goes on.

        Raises `PurifyError` if it cannot be rendered.
        """
        known = [as_openai(message, arguments_as_text=self._arguments_as_text) for message in messages]
        return self._encode(self._render(known))

    def observation(self, calls: Sequence[Call], results: Sequence[str], *, ended: bool) -> list[int]:
        """The ids between the end of a turn and the start of the next: tool results and the template's own tokens.

        `results` are the texts of the calls' results, in order. `ended` says whether the turn's ids close with the
        end-of-turn token; if not (a stop string ended it), it comes first here. A result's text never becomes a control
        token, whatever a program prints.
        """
        return self.between(calls, results, (), ended=ended)

    def between(
        self, calls: Sequence[Call], results: Sequence[str], said: Sequence[Message], *, ended: bool
    ) -> list[int]:
        """As `observation`, with what was `said` before the next turn behind the results. Both may be empty."""
        if results and not (self._tool_role and (self._parallel or len(results) == 1)):
            results = ["\n".join(results)]
        hostile = any(token in result for result in results for token in self._control)
        shown = [f"{_RESULT}{index:03d}" for index in range(len(results))] if hostile else results
        known = [*calls, *[Call()] * len(shown)]
        told = [self._told(known[index], text, index) for index, text in enumerate(shown)]
        more = [as_openai(message, arguments_as_text=self._arguments_as_text) for message in said]
        delta = self._after_turn(len(told), [*told, *more])
        delta = delta if ended else self._end_text + delta
        return self._encode_apart(delta, results) if hostile else self._encode(delta)

    def turn(self, content: str, thinking: str, calls: Sequence[Call]) -> tuple[str, int]:
        """How the template writes a turn, up to its end token, and where in that text the calls begin.

        What a template leaves out (thinking, or words beside a call) is put in front. Raises `PurifyError` if it cannot
        write the calls.
        """
        turn: dict[str, Any] = {"role": "assistant", "content": content}
        if thinking:
            turn |= {"reasoning_content": thinking, "thinking": thinking}
        made = [as_call(call, _id(index), as_text=self._arguments_as_text) for index, call in enumerate(calls)]
        text = self._written(turn, made)
        begin = len(text)
        if calls:
            alone = self._written({"role": "assistant", "content": ""}, made)
            begin -= len(_common_end(text, alone).lstrip())
            if begin == len(text):
                raise PurifyError("the chat template writes no tool calls")
        front = ""
        if thinking.strip() not in text[:begin]:
            front += f"<think>\n{thinking.strip()}\n</think>\n\n"
        if content.strip() not in text[:begin]:
            front += f"{content}\n"
        return front + text, len(front) + begin

    def _written(self, turn: dict[str, Any], calls: Sequence[dict[str, Any]]) -> str:
        """A turn as the template writes it behind a user. With calls it is rendered before their results: the last
        turn of a conversation may look otherwise."""
        asked = self._asked[: self._asked.rindex("<think>")] if self.opens_thinking else self._asked
        told = [self._told(Call(), "told", index) for index in range(len(calls))]
        if calls:
            rendered = self._render([_USER, {**turn, "tool_calls": list(calls)}, *told])
            end = self._end_text + self._after_turn(len(calls), told)
        else:
            rendered = self._render([_USER, turn], go_on=False)
            end = self._end_text + rendered.rpartition(self._end_text)[2]
        if not (rendered.startswith(asked) and rendered.endswith(end)):
            raise PurifyError("the chat template writes a turn in another place than where it asks for one")
        return rendered[len(asked) : -len(end)]

    def _after_turn(self, calls: int, following: Sequence[dict[str, Any]]) -> str:
        """What is written between the end token of a turn with so many calls and the start of the next turn."""
        rendered = self._render([_USER, self._turn(calls), *following])
        # The first one: a result may quote it.
        _, _, after = rendered.partition(_last(calls))
        _, end, delta = after.partition(self._end_text)
        if not end:
            raise PurifyError("the chat template does not end a turn that calls a tool")
        return delta

    def _turn(self, calls: int) -> dict[str, Any]:
        """A turn whose end is found by its last words."""
        if not (self._tool_role and calls):
            return {"role": "assistant", "content": _last(calls)}
        return _calling_turn(calls, as_text=self._arguments_as_text)

    def _told(self, call: Call, text: str, index: int) -> dict[str, Any]:
        if not self._tool_role:
            return {"role": "user", "content": text}
        return {"role": "tool", "name": call.name or "unknown", "content": text, "tool_call_id": _id(index)}

    def _render(self, messages: Sequence[dict[str, Any]], *, go_on: bool = True) -> str:
        from jinja2 import TemplateError

        try:
            rendered = self._tokenizer.apply_chat_template(
                list(messages), tools=self._tools, add_generation_prompt=go_on, tokenize=False
            )
        except (TemplateError, TypeError, ValueError) as error:
            first = str(error).split("\n", 1)[0]
            raise PurifyError(f"the chat template cannot render this conversation ({first})") from None
        return str(rendered)

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False, verbose=False))

    def _encode_apart(self, text: str, results: Sequence[str]) -> list[int]:
        """Encode what the template wrote as it is, and each result in its place as mere text."""
        ids: list[int] = []
        for part in re.split(f"({_RESULT}[0-9]{{3}})", text):
            if part.startswith(_RESULT):
                # Cut behind the first character of each control token, so that none is met whole.
                for piece in self._cuts.split(results[int(part.removeprefix(_RESULT))]):
                    ids += self._encode(piece)
            else:
                ids += self._encode(part)
        return ids

    def _can_render(self, *messages: dict[str, Any]) -> bool:
        try:
            shown = self._render(messages)
        except PurifyError:
            return False
        return "told" in shown

    def _takes(self, turn: dict[str, Any], *told: dict[str, Any]) -> bool:
        """Whether tool messages are rendered behind a turn, and the turn's end is found."""
        results = [{**message, "tool_call_id": _id(index)} for index, message in enumerate(told)]
        if not self._can_render(_USER, turn, *results):
            return False
        shown = self._render([_USER, turn, *results])
        return shown.count("told") == len(told) and self._end_text in shown.partition(_last(len(told)))[2]

    def _find_end_of_turn(self, name: str) -> int:
        """The token that closes an assistant turn: the first special one after its content."""
        rendered = self._render([_USER, {"role": "assistant", "content": _STAND_IN}], go_on=False)
        special = set(self._tokenizer.all_special_ids) | set(self._tokenizer.added_tokens_decoder)
        tail = self._encode(rendered.partition(_STAND_IN)[2])
        found = next((token for token in tail if token in special), None)
        if found is None:
            raise PurifyError(f"{name}: its chat template closes no turn with a special token, so none would end")
        return found

    def _drops_reasoning(self) -> bool:
        turn = self._turn(1)
        turn["content"] = f"<think>\nthought\n</think>\n\n{turn['content']}"
        return "thought" not in self._render([_USER, turn, self._told(Call(name="f"), "told", 0)])


def _common_end(one: str, other: str) -> str:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(reversed(one), reversed(other), strict=False))
    return one[len(one) - sum(1 for _ in pairs) :]


def _calling_turn(calls: int, *, as_text: bool = False) -> dict[str, Any]:
    """A stand-in for a turn that made so many calls. Ids of our own: some templates take no others than these."""
    made = []
    for index in range(calls):
        arguments: Any = {"stand_in": _last(calls) if index == calls - 1 else "more"}
        function = {"name": "unknown", "arguments": json.dumps(arguments) if as_text else arguments}
        made.append({"id": _id(index), "type": "function", "function": function})
    return {"role": "assistant", "content": "", "tool_calls": made}


def _last(calls: int) -> str:
    return f"{_STAND_IN}{calls:03d}"


def _id(index: int) -> str:
    return f"call{index:05d}"
