"""The messages of a mini-swe-agent run, as prompt and turns.

{"role": "assistant", "content": "I look.\n\n```bash\nls\n```"}
{"role": "user", "content": "<returncode>0</returncode>\n<output>\nsetup.py\n</output>"}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from purify.failures.rules import Outcome
from purify.importing.checks import as_list, as_object, json_text, leftover, optional_string, string
from purify.importing.formats.openai_turns import read_message, read_turn
from purify.importing.formats.responses_items import read_output
from purify.importing.formats.text_action import command_call, no_action, split_at_action
from purify.importing.turns import Reply, Result, Turn
from purify_schemas import Message

_OPENING = re.compile(r"```(?:bash|mswea_bash_command)(\s*)")
_CLOSING = "\n```"
SUBMIT = ("COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT", "MINI_SWE_AGENT_FINAL_OUTPUT")

_SUBMITTED = Outcome("ok", None, "source:exit_status")
_MALFORMED = Outcome("malformed", "unparsable_call", "source:interrupt_type")
_REJECTED = Outcome("rejected", "refused", "source:interrupt_type")
_NOT_EXECUTED = Outcome("unknown", "not_executed", "source:exception_info")


def read_conversation(messages: Sequence[Any], status: object) -> tuple[list[Message], list[Turn], str | None]:
    """Prompt, turns, and what was submitted, as far as the messages tell. `status` is the file's `exit_status`."""
    prompt: list[Message] = []
    turns: list[Turn] = []
    submission: str | None = None
    for item, path in _items(messages):
        role, extra = string(item, "role", path), _extra(item)
        if role == "assistant":
            turns.append(_turn(item, path))
            continue
        kind = extra.get("interrupt_type")
        if kind == "FormatError" and (not turns or turns[-1].replies):
            turns.append(_unusable(extra, path))  # since 2.0 the turn itself is no message
        if not turns:
            prompt.append(_message(item, path))
        elif role == "exit":
            submission = _exit(turns[-1], item, extra, path) or submission
        else:
            turns[-1].replies.append(_reply(turns[-1], item, extra, kind, path))
    if submission is None and turns and status in (None, "Submitted") and _asks_to_submit(turns[-1]):
        # Before 2.0 the output after the submitting command was the last message.
        results = [result for reply in turns[-1].replies for result in reply.results]
        if results:
            results[-1].flag, submission = _SUBMITTED, results[-1].text
    return prompt, turns, submission


def _items(messages: Sequence[Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Messages; whole responses and their items (Responses API) as the messages they stand for."""
    for index, value in enumerate(messages):
        path = f"messages[{index}]"
        item = as_object(value, path)
        if item.get("object") == "response":
            item = {"role": "assistant", **item}
        elif item.get("type") == "function_call_output":
            told = leftover(item, ("type", "call_id", "output"))
            item = {"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output"), **told}
        elif item.get("type") == "message" and isinstance(parts := item.get("content"), list):
            texts = [part.get("text") if isinstance(part, dict) else None for part in parts]
            if all(isinstance(text, str) for text in texts):
                item = {**leftover(item, ("type",)), "content": "".join(map(str, texts))}
        yield item, path


def _extra(item: Mapping[str, Any]) -> dict[str, Any]:
    extra = item.get("extra")
    return extra if isinstance(extra, dict) else {}


def _message(item: Mapping[str, Any], path: str, role: str | None = None) -> Message:
    message = read_message(item, path)
    if role is None or role == message.role:
        return message
    extra = {**orjson.loads(message.extra or "{}"), "role": message.role}
    return message.model_copy(update={"role": role, "extra": json_text(extra, path)})


def _turn(item: Mapping[str, Any], path: str) -> Turn:
    if item.get("object") == "response":
        return _response(item, path)
    turn = read_turn(item, path)
    listed = _extra(item).get("actions")
    if turn.calls:
        return turn
    if isinstance(listed, list):
        commands = [action.get("command") if isinstance(action, dict) else None for action in listed]
        found = [command for command in commands if isinstance(command, str)]
    else:
        found = [command.strip() for command in fenced(turn.reasoning or "", turn.thinking_chars)]
        if len(found) != 1:
            turn.calls = [no_action()]
            return turn
    turn.calls = [command_call("bash", command) for command in found]
    if len(found) == 1:
        split_at_action(turn, found[0])
    return turn


def fenced(text: str, start: int = 0) -> Iterator[str]:
    """What mini-swe-agent's own ```` ```bash\\s*\\n(.*?)\\n``` ```` finds, in time that is linear in the text."""
    last = text.rfind(_CLOSING)
    while (opening := _OPENING.search(text, start)) is not None:
        space, end = opening[1], opening.end()
        body = opening.start(1) + space.rfind("\n") + 1
        start = end
        if "\n" in space and body <= last:
            close = text.index(_CLOSING, body)
        elif space.count("\n") > 1 and space.endswith("\n") and text.startswith("```", end):
            body, close = opening.start(1) + space.rfind("\n", 0, -1) + 1, end - 1  # a fence around nothing
        else:
            continue
        yield text[body:close]
        start = close + len(_CLOSING)


def _response(item: Mapping[str, Any], path: str) -> Turn:
    """A whole response of the Responses API is one turn."""
    turns, _ = read_output(as_list(item.get("output"), f"{path}.output"), f"{path}.output")
    turn = turns[0] if len(turns) == 1 and not turns[0].replies else Turn(None, calls=[no_action()])
    rest = leftover(item, ("role", "object", "output"))
    if turn not in turns:
        rest["output"] = item["output"]
    elif turn.extra:
        rest["output"] = orjson.loads(turn.extra)
    turn.extra = json_text(rest, path)
    return turn


def _unusable(extra: Mapping[str, Any], path: str) -> Turn:
    """The turn inside a complaint about it: the response of the service, or its text; or nothing is left of it."""
    response = extra.get("response")
    choices = response.get("choices") if isinstance(response, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(message, dict):
        message = {"content": optional_string(extra, "model_response", f"{path}.extra")}
    turn = read_turn(message, f"{path}.extra.response")
    turn.calls = turn.calls or [no_action()]
    return turn


def _reply(turn: Turn, item: Mapping[str, Any], extra: Mapping[str, Any], kind: object, path: str) -> Reply:
    answered = sum(len(reply.results) for reply in turn.replies)
    waits = answered < len(turn.calls)
    if kind == "FormatError":
        return _answer(item, path, _MALFORMED)
    if kind is not None or "actions" in extra:  # a person stepped in, or gave a command
        if kind == "UserRejection":
            for result in (result for reply in turn.replies for result in reply.results):
                result.flag = _REJECTED if result.flag == _NOT_EXECUTED else result.flag
        return Reply(_message(item, path), [Result(None, flag=_REJECTED)] if waits and kind == "UserRejection" else [])
    if item["role"] == "tool" or waits:
        return _answer(item, path, _flag(extra))
    return Reply(_message(item, path))


def _answer(item: Mapping[str, Any], path: str, flag: Outcome | None) -> Reply:
    message = _message(item, path, "tool")
    extra = _extra(item)
    text = message.content
    if isinstance(raw := extra.get("raw_output"), str) and isinstance(code := extra.get("returncode"), int):
        text = f"<returncode>{code}</returncode>\n<output>\n{raw}\n</output>"
    return Reply(message, [Result(text, message.call_id, flag=flag)])


def _flag(extra: Mapping[str, Any]) -> Outcome | None:
    """What the environment says about a command that it could not run to its end."""
    told = extra.get("exception_info")
    if not isinstance(told, str) or not told:
        return None
    if told == "action was not executed":
        return _NOT_EXECUTED
    kind = extra.get("exception_type")
    if kind in ("TimeoutExpired", "TimeoutError") or "timed out" in told:
        return Outcome("timeout", "timeout", "source:exception_info")
    return Outcome("unknown", kind if isinstance(kind, str) else None, "source:exception_info")


def _exit(turn: Turn, item: Mapping[str, Any], extra: Mapping[str, Any], path: str) -> str | None:
    """The harness's last message. A submission is how the last call that has no other result ended."""
    message = _message(item, path, "tool")
    submitted = extra.get("exit_status") == "Submitted"
    results = [result for reply in turn.replies for result in reply.results]
    open_result = next((result for result in results if result.flag == _NOT_EXECUTED), None)
    reply = Reply(message)
    if submitted and open_result is not None:
        open_result.flag = _SUBMITTED
    elif submitted and len(results) < len(turn.calls):
        reply.results.append(Result(message.content, flag=_SUBMITTED))
    turn.replies.append(reply)
    told = extra.get("submission", message.content)
    return told if submitted and isinstance(told, str) else None


def _asks_to_submit(turn: Turn) -> bool:
    return any(mark in (call.arguments or "") for call in turn.calls for mark in SUBMIT)
