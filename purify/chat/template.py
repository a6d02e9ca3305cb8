"""A tokenizer's chat template, used the way rollouts need it: render the prompt once, then only ever append.

Rendering a conversation again after each turn would tokenise sampled text a second time, and many templates drop
earlier thinking when they do. So a tool result is rendered behind a stand-in turn, and what the template writes after
that turn's end is appended to the engine's own ids.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from purify.digests import digest
from purify.errors import PurifyError
from purify_schemas import Call, Message

# Letters only: no template trims, escapes or splits it.
_STAND_IN = "PurifyStandIn"
_USER = {"role": "user", "content": "hello"}


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
        self.name = name
        self.digest = digest(str(tokenizer.chat_template))
        self.tokenizer_digest = digest(sorted(tokenizer.get_vocab().items()))
        prompt = self._render([_USER])
        for tool in tools:
            if tool["function"]["name"] not in prompt:
                raise PurifyError(
                    f"{name}: its chat template does not show tools to the model; "
                    "add --call-format python, or use a model whose template renders tools"
                )
        self.end_of_turn = self._find_end_of_turn()
        self._end_text = tokenizer.convert_ids_to_tokens(self.end_of_turn)
        self._tool_role = self._takes_tool_role()
        self.drops_reasoning = self._drops_reasoning()
        """Whether the template, rendering a conversation again, leaves out what was thought in earlier turns."""

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a conversation, up to where the assistant goes on.

        Raises `PurifyError` if it cannot be rendered.
        """
        return self._encode(self._render([as_openai(message) for message in messages]))

    def observation(self, calls: Sequence[Call], results: Sequence[Message], *, ended: bool) -> list[int]:
        """The ids between the end of a turn and the start of the next: tool results and the template's own tokens.

        `ended` says whether the turn's ids close with the end-of-turn token; if not (a stop string ended it), it comes
        first here.
        """
        if self._tool_role:
            turn = _calling_turn(calls)
            ids = [call["id"] for call in turn["tool_calls"]]
            told = [{**as_openai(result), "tool_call_id": id} for result, id in zip(results, ids, strict=True)]
        else:
            turn = {"role": "assistant", "content": _STAND_IN}
            told = [{"role": "user", "content": "\n".join(message.content or "" for message in results)}]
        rendered = self._render([_USER, turn, *told])
        after = rendered[rendered.rindex(_STAND_IN) + len(_STAND_IN) :]
        _, end, delta = after.partition(self._end_text)
        if not end:
            raise PurifyError(f"{self.name}: its chat template does not end a turn that calls a tool")
        return self._encode(delta if ended else self._end_text + delta)

    def _render(self, messages: Sequence[dict[str, Any]], *, go_on: bool = True) -> str:
        from jinja2 import TemplateError

        try:
            rendered = self._tokenizer.apply_chat_template(
                list(messages), tools=self._tools, add_generation_prompt=go_on, tokenize=False
            )
        except (TemplateError, TypeError, ValueError) as error:
            first = str(error).split("\n", 1)[0]
            raise PurifyError(f"{self.name}: its chat template cannot render this conversation ({first})") from None
        return str(rendered)

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _find_end_of_turn(self) -> int:
        """The token that closes an assistant turn: the first special one after its content."""
        rendered = self._render([_USER, {"role": "assistant", "content": _STAND_IN}], go_on=False)
        special = set(self._tokenizer.all_special_ids) | set(self._tokenizer.added_tokens_decoder)
        tail = self._encode(rendered[rendered.rindex(_STAND_IN) + len(_STAND_IN) :])
        found = next((token for token in tail if token in special), None)
        if found is None:
            raise PurifyError(f"{self.name}: its chat template closes no turn with a special token, so none would end")
        return found

    def _takes_tool_role(self) -> bool:
        try:
            shown = self._render([_USER, _calling_turn([Call(name="f")]), {"role": "tool", "content": "told"}])
        except PurifyError:
            return False
        return "told" in shown and self._end_text in shown[shown.rindex(_STAND_IN) :]

    def _drops_reasoning(self) -> bool:
        turn = _calling_turn([Call(name="f")]) if self._tool_role else {"role": "assistant", "content": "done"}
        turn["content"] = "<think>\nthought\n</think>\n\n" + (turn["content"] or "")
        answer = {"role": "tool" if self._tool_role else "user", "content": "told"}
        return "thought" not in self._render([_USER, turn, answer])


def as_openai(message: Message) -> dict[str, Any]:
    """A message of ours as chat templates take it. Inverse of the OpenAI importer for what templates read."""
    known: dict[str, Any] = {"role": message.role, "content": message.content or ""}
    if message.parts is not None:
        known["content"] = json.loads(message.parts)
    if message.name is not None:
        known["name"] = message.name
    if message.tool_calls is not None:
        known["tool_calls"] = json.loads(message.tool_calls)
    if message.call_id is not None:
        known["tool_call_id"] = message.call_id
    return known


def _calling_turn(calls: Sequence[Call]) -> dict[str, Any]:
    """A stand-in for a turn that made so many calls: its end is found by the argument of its last call."""
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {
                "id": call.id or f"call{index:05d}",
                "type": "function",
                "function": {"name": call.name or "unknown", "arguments": {"stand_in": _STAND_IN}},
            }
            for index, call in enumerate(calls)
        ],
    }
