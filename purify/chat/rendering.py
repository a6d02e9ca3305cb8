"""Token ids for a trajectory that has only text: what the model's chat template makes of it.

    render = Renderer(tokenizer, "Qwen/Qwen3-0.6B")
    with_ids, notes = render(trajectory)

Turns whose raw text is known are taken as they are; others are written by the template. Each turn is encoded by
itself, as an engine's ids are: prompt, turn, what came back, turn. Nothing is ever rendered as a whole conversation,
since many templates leave out earlier thinking then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from purify.chat.as_openai import text_of
from purify.chat.segments import decode, split_ids
from purify.chat.template import ChatTemplate
from purify.chat.turn import GeneratedTurn
from purify.errors import PurifyError
from purify_schemas import Observation, Step, Trajectory

_TEMPLATES = 256
"""Sets of tools whose template is kept. Each row of some datasets has tools of its own."""
_THINK, _THOUGHT = "<think>", "</think>"
_RESULT_ROLES = frozenset({"tool", "function"})


class Notes(NamedTuple):
    """What is to be known of a rendered row."""

    exact: bool = True
    """Whether the ids of its turns decode to the text that was rendered."""
    reshaped: bool = False
    """Whether the template wrote a turn, whose raw text is not known."""
    forgets: bool = False
    """Whether it has thinking in an earlier turn, which this template leaves out when it renders a conversation."""


class Renderer:
    """Renders rows for one tokenizer. `name` is the model's, for messages."""

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer = tokenizer
        self._name = name
        self._template = lru_cache(_TEMPLATES)(self._make_template)

    def __call__(self, trajectory: Trajectory) -> tuple[Trajectory, Notes]:
        """The row with all of its ids; log-probs are not known and stay null.

        Raises `PurifyError` with the reason if it cannot be rendered.
        """
        template = self._template(trajectory.tools)
        if isinstance(template, PurifyError):
            raise template
        steps: list[Step] = []
        exact = True
        for index, step in enumerate(trajectory.steps):
            last = index == len(trajectory.steps) - 1
            cut = last and trajectory.finish_reason == "length" and not step.observation.messages
            try:
                with_ids, same = self._turn(template, step, cut=cut)
                exact = exact and same
                steps.append(self._observed(template, with_ids, last=last))
            except PurifyError as error:
                raise PurifyError(f"step {index}: {error}") from None
        source = trajectory.source
        rendered = trajectory.model_copy(
            update={
                "prompt_token_ids": template.prompt(trajectory.messages),
                "steps": steps,
                "source": source.model_copy(
                    update={
                        "tokenizer_digest": source.tokenizer_digest or template.tokenizer_digest,
                        "template_digest": source.template_digest or template.digest,
                    }
                ),
            }
        )
        notes = Notes(
            exact=exact,
            reshaped=any(not _is_raw(step) for step in trajectory.steps),
            forgets=template.drops_reasoning and any(step.thinking_chars for step in trajectory.steps[:-1]),
        )
        return rendered, notes

    def _make_template(self, tools: str | None) -> ChatTemplate | PurifyError:
        """Or why there is none, which is as worth remembering."""
        try:
            return ChatTemplate(self._tokenizer, self._name, _read_tools(tools))
        except PurifyError as error:
            return PurifyError(str(error).partition(";")[0])

    def _turn(self, template: ChatTemplate, step: Step, *, cut: bool) -> tuple[Step, bool]:
        """The step with its own ids, and whether they decode to its text."""
        text, at = _written(template, step)
        ids = self._encode(text)
        decoded = decode(self._tokenizer, ids)
        same = decoded.text == text
        if not same:
            decoded = decoded._replace(ends=None)
        if not cut:
            ids = [*ids, template.end_of_turn]
        turn = GeneratedTurn(reasoning=text[:at], action=text[at:] or None)
        # It wants log-probs beside the ids; there are none to keep.
        reasoning, action, boundary = split_ids(turn, decoded, ids, [0.0] * len(ids))
        told = step.model_copy(
            update={
                "reasoning": step.reasoning.model_copy(update={"token_ids": reasoning.token_ids, "logprobs": None}),
                "action": step.action.model_copy(update={"token_ids": action.token_ids or [], "logprobs": None}),
                "boundary": boundary,
            }
        )
        return told, same

    def _observed(self, template: ChatTemplate, step: Step, *, last: bool) -> Step:
        """The step with the ids of what came back. No generation follows the last one: the model never saw it."""
        messages = step.observation.messages
        ids: list[int] = []
        if not last:
            results = [text_of(message) for message in messages if message.role in _RESULT_ROLES]
            said = [message for message in messages if message.role not in _RESULT_ROLES]
            ids = template.between(step.calls, results, said, ended=True)
        return step.model_copy(update={"observation": Observation(token_ids=ids, messages=messages)})

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False, verbose=False))


def _is_raw(step: Step) -> bool:
    """Whether the text of a turn is what the model wrote: its call too, and its thinking in its own tags."""
    if step.action.text is not None:
        return True
    thinking = (step.reasoning.text or "")[: step.thinking_chars]
    in_tags = not thinking or _THOUGHT in thinking or thinking.lstrip().startswith(_THINK)
    # A call that could not be parsed may stand in the text itself, with nothing of it known apart.
    return in_tags and all(call.name is None and call.arguments is None for call in step.calls)


def _written(template: ChatTemplate, step: Step) -> tuple[str, int]:
    """The text of a turn, without its end token, and where in it the call begins."""
    spoken = step.reasoning.text or ""
    if _is_raw(step):
        text, at = spoken + (step.action.text or ""), len(spoken)
    else:
        thinking, content = spoken[: step.thinking_chars], spoken[step.thinking_chars :]
        if _THOUGHT in thinking:
            thinking, content = "", spoken
        text, at = template.turn(content, thinking, step.calls)
    if not template.opens_thinking:
        return text, at
    # The prompt has written <think> already; a turn without thought closes it.
    front = len(text) - len(text.lstrip())
    if text[front:].startswith(_THINK):
        front += len(_THINK) + text[front + len(_THINK) :].startswith("\n")
        return text[front:], max(0, at - front)
    if step.thinking_chars:
        return text, at
    closing = f"\n{_THOUGHT}\n\n"
    return closing + text, len(closing) + at


def _read_tools(tools: str | None) -> Sequence[dict[str, Any]]:
    """Definitions as templates take them. Raises `PurifyError` for what is no list of functions."""
    if tools is None:
        return ()
    try:
        found = json.loads(tools)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(tool, dict) for tool in found):
        raise PurifyError("its tools are not a JSON list of definitions")
    shaped = [
        tool if isinstance(tool.get("function"), dict) else {"type": "function", "function": tool} for tool in found
    ]
    if not all(isinstance(tool["function"].get("name"), str) for tool in shaped):
        raise PurifyError("one of its tools has no name")
    return shaped
