"""The agent loop, step by step, with an engine and a sandbox that say what they are told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from purify.chat.formats import FORMATS, FormatName
from purify.chat.template import ChatTemplate
from purify.engines import EngineError, Sampling
from purify.engines.scripted import ScriptedEngine
from purify.generating.agent import Agent, Budget, response_ids
from purify.generating.tools import FunctionTool, PythonTool, Tool
from purify.saar import SaarConfig
from purify.saar.online import HINT, Rollback
from purify.saar.similarity import Difflib
from purify.sandbox import Execution
from purify.sandbox.scripted import Scripted
from purify_schemas import Message, ToolState
from tests.tiny import tiny_model

QUESTION = [Message(role="user", content="What is 6 times 7?")]


def call(code: str, name: str = "python") -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': {'code': code}})}\n</tool_call>"


def execute(code: str) -> Execution:
    if "bad" in code:
        return Execution("error", "", f"NameError: name {code!r} is not defined", "NameError", 0.25)
    return Execution("ok", f"{len(code)}\n", "", None, 0.5)


@dataclass
class World:
    """A tokenizer, and rollouts of scripted turns through it."""

    tokenizer: Any

    def run(
        self,
        *turns: Any,
        saar: SaarConfig | None = None,
        format: FormatName = "hermes",
        tools: Callable[[Scripted], Sequence[Tool]] = lambda sandbox: [PythonTool(sandbox)],
        max_turns: int = 16,
        max_turn_tokens: int = 500,
        max_response_tokens: int = 3000,
        max_result_chars: int = 8000,
        max_length: int = 4096,
    ) -> Rolled:
        sandbox = Scripted(execute)
        by_name = {tool.name: tool for tool in tools(sandbox)}
        shown = [tool.definition for tool in by_name.values()] if format == "hermes" else []
        template = ChatTemplate(self.tokenizer, "tiny", shown)
        engine = ScriptedEngine(turns, self.tokenizer, max_length=max_length)
        agent = Agent(
            engine=engine,
            tokenizer=self.tokenizer,
            template=template,
            format=FORMATS[format],
            tools=by_name,
            sampling=Sampling(max_tokens=1, stop_token_ids=(template.end_of_turn,), stop=FORMATS[format].stop),
            budget=Budget(max_turns, max_turn_tokens, max_response_tokens, max_result_chars),
        )
        states = [ToolState(name=tool.name, state=tool.state) for tool in by_name.values()]
        rollback = Rollback(saar or SaarConfig(), Difflib(), states, active=saar is not None)
        prompt = template.prompt(QUESTION)

        async def rollout() -> str:
            slots = asyncio.Semaphore(1)
            await slots.acquire()
            return await agent.rollout(prompt, rollback, "stream", slots)

        finish = asyncio.run(rollout())
        return Rolled(finish, prompt, rollback, engine, sandbox, self.tokenizer)


@dataclass
class Rolled:
    finish: str
    prompt: list[int]
    rollback: Rollback
    engine: ScriptedEngine
    sandbox: Scripted
    tokenizer: Any

    @property
    def steps(self) -> Any:
        return self.rollback.steps

    @property
    def sequence(self) -> list[int]:
        return [*self.prompt, *response_ids(self.steps)]

    def shown(self, turn: int) -> str:
        return str(self.tokenizer.decode(self.engine.prompts[turn]))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    from transformers import AutoTokenizer

    return World(AutoTokenizer.from_pretrained(tiny_model(Path(tmp_path_factory.mktemp("tiny")))))


def test_a_call_its_result_and_the_answer(world: World) -> None:
    rolled = world.run("Let me see.\n" + call("print(6*7)"), "The answer is 10.")
    assert rolled.finish == "stop"
    first, last = rolled.steps
    assert (first.reasoning.text, first.action.text, first.boundary) == ("Let me see.\n", call("print(6*7)"), "exact")
    (made,) = first.calls
    assert (made.name, made.status, made.status_source, made.duration_s) == ("python", "ok", "sandbox", 0.5)
    assert json.loads(made.arguments) == {"code": "print(6*7)"}
    assert first.observation.messages == [Message(role="tool", name="python", content="10")]
    assert (last.reasoning.text, last.calls, last.observation.messages) == ("The answer is 10.", [], [])
    assert rolled.sandbox.calls == [("print(6*7)", "")]


def test_the_stored_sequence_is_what_the_engine_saw(world: World) -> None:
    """Each prompt is the one before, the ids sampled then, and the result's ids."""
    rolled = world.run("One.\n" + call("a"), call("bad"), "Two " + call("ccc"), "Done.")
    stored = list(rolled.prompt)
    for step, seen in zip(rolled.steps, rolled.engine.prompts, strict=True):
        assert seen == stored
        for ids in (step.reasoning.token_ids, step.action.token_ids, step.observation.token_ids):
            stored += ids or []
    assert stored == rolled.sequence
    assert world.tokenizer.decode(rolled.sequence).endswith(
        "<|im_start|>user\n<tool_response>\n3\n</tool_response><|im_end|>\n<|im_start|>assistant\nDone.<|im_end|>"
    )


def test_every_turn_draws_from_a_stream_of_its_own(world: World) -> None:
    seeds = [sampling.seed for sampling in world.run(call("a"), call("b"), "Done.").engine.samplings]
    assert len(set(seeds)) == 3
    assert seeds == [sampling.seed for sampling in world.run(call("x"), call("y"), "Z.").engine.samplings]


def test_a_call_that_cannot_be_parsed_is_an_observation(world: World) -> None:
    rolled = world.run("<tool_call>\n{not json\n</tool_call>", "I give up.")
    (made,) = rolled.steps[0].calls
    assert (made.name, made.status, made.error_type) == (None, "malformed", "invalid_json")
    assert "Error: the tool call could not be parsed (invalid_json)" in rolled.shown(1)
    assert rolled.finish == "stop" and rolled.sandbox.calls == []


@pytest.mark.parametrize(
    ("written", "status", "error_type", "told"),
    [
        ('{"name": "shell", "arguments": {}}', "error", "unknown_tool", "there is no tool 'shell'; there are python"),
        ('{"name": "python", "arguments": [1]}', "malformed", "invalid_json", "the arguments are not a JSON object"),
        ('{"name": "python", "arguments": {"source": "1"}}', "error", "invalid_arguments", "must be a string"),
        ('{"name": "python", "arguments": {"code": 1}}', "error", "invalid_arguments", "must be a string"),
        ('{"name": "python"}', "error", "invalid_arguments", "must be a string"),
    ],
)
def test_wrong_calls_are_told_to_the_model(world: World, written: str, status: str, error_type: str, told: str) -> None:
    rolled = world.run(f"<tool_call>\n{written}\n</tool_call>", "Oh.")
    (made,) = rolled.steps[0].calls
    assert (made.status, made.error_type) == (status, error_type)
    assert told in rolled.shown(1)


def test_parallel_calls_are_answered_together_in_their_order(world: World) -> None:
    rolled = world.run(call("a") + "\n" + call("bad") + "\n" + call("ccc"), "Done.")
    assert [made.status for made in rolled.steps[0].calls] == ["ok", "error", "ok"]
    assert [message.content for message in rolled.steps[0].observation.messages][::2] == ["1", "3"]
    assert rolled.shown(1).count("<tool_response>") == 3


@pytest.mark.parametrize(
    ("limits", "finish", "steps"),
    [
        ({"max_turns": 2}, "max_turns", 2),
        ({"max_turn_tokens": 20}, "length", 1),
        ({"max_response_tokens": 60}, "length", 2),
    ],
)
def test_limits_end_a_trajectory(world: World, limits: dict[str, int], finish: str, steps: int) -> None:
    rolled = world.run(*[call("aaaa")] * 10, **limits)  # type: ignore[arg-type]
    assert (rolled.finish, len(rolled.steps)) == (finish, steps)
    # Nothing was sampled after the last step, so the engine never saw ids of its results.
    assert not rolled.steps[-1].observation.token_ids
    for seen, sampling in zip(rolled.engine.prompts, rolled.engine.samplings, strict=True):
        assert len(seen) + sampling.max_tokens <= 4096
        assert len(seen) - len(rolled.prompt) + sampling.max_tokens <= limits.get("max_response_tokens", 3000)


def test_the_models_context_ends_a_trajectory(world: World) -> None:
    prompt = len(world.run("x").prompt)
    rolled = world.run(*[call("aaaa")] * 10, max_length=prompt + 100)
    assert rolled.finish == "length"
    assert len(rolled.sequence) <= prompt + 100


def test_a_turn_that_is_cut_off_runs_nothing(world: World) -> None:
    rolled = world.run(call("aaaaaaaaaaaaaaaa"), max_turn_tokens=12)
    assert rolled.finish == "length" and rolled.sandbox.calls == []
    assert rolled.steps[0].calls[0].status == "malformed"
    assert len(rolled.engine.samplings) == 1


def test_long_results_lose_their_middle(world: World) -> None:
    rolled = world.run(call("bad" + "x" * 300), "Done.", max_result_chars=100)
    text = rolled.steps[0].observation.messages[0].content
    assert text.startswith("NameError: name 'badxxx") and text.endswith("x' is not defined")
    assert "\n[... 236 characters ...]\n" in text


def test_fenced_python_is_run_and_its_output_invented_by_nobody(world: World) -> None:
    """The stop string ends the turn; the end-of-turn token that the model did not write comes with the result."""
    rolled = world.run("So:\n```python\nprint(1)\n```\n```output\nfoo", "Done.", format="python")
    first = rolled.steps[0]
    assert first.action.text == "```python\nprint(1)\n```\n```output"
    assert world.tokenizer.decode(first.observation.token_ids).startswith(
        "<|im_end|>\n<|im_start|>user\n<tool_response>\n```output\n8\n```"
    )
    assert first.observation.messages == [Message(role="tool", name="python", content="8")]


def test_a_tool_of_ones_own(world: World) -> None:
    def shout(text: str) -> str:
        if not text:
            raise ValueError("nothing to shout")
        return text.upper()

    definition = {"type": "function", "function": {"name": "shout", "parameters": {}}}
    rolled = world.run(
        '<tool_call>{"name": "shout", "arguments": {"text": "hi"}}</tool_call>',
        '<tool_call>{"name": "shout", "arguments": {"text": ""}}</tool_call>',
        '<tool_call>{"name": "shout", "arguments": {"no": 1}}</tool_call>',
        "Done.",
        tools=lambda sandbox: [FunctionTool(shout, definition)],
    )
    assert [step.calls[0].status for step in rolled.steps[:3]] == ["ok", "error", "error"]
    assert [step.calls[0].error_type for step in rolled.steps[:3]] == [None, "ValueError", "TypeError"]
    assert rolled.steps[0].observation.messages[0].content == "HI"
    assert rolled.steps[1].observation.messages[0].content == "ValueError: nothing to shout"


def test_saar_goes_on_from_the_purified_context(world: World) -> None:
    """Phase I has the failure in view; after the graft the engine sees the kept reasoning with the corrected call."""
    rolled = world.run("I try.\n" + call("print(bad)"), "Oops.\n" + call("print(good)"), "Done.", saar=SaarConfig())
    assert [step.reasoning.text for step in rolled.steps] == ["I try.\n", "Done."]
    assert "NameError" in rolled.shown(1)
    assert "NameError" not in rolled.shown(2) and "Oops" not in rolled.shown(2)
    assert "I try.\n" + call("print(good)") in rolled.shown(2)
    assert rolled.engine.prompts[2] == rolled.sequence[: len(rolled.engine.prompts[2])]
    (edit,) = rolled.rollback.provenance().edits
    assert (edit.granularity, edit.raw_steps) == ("shallow", [0, 1])


def test_saar_tells_the_model_when_its_retries_are_exhausted(world: World) -> None:
    rolled = world.run(
        call("bad1"), call("bad2"), call("bad3"), call("bad4"), call("good"), "Done.", saar=SaarConfig(max_retries=2)
    )
    assert HINT in rolled.shown(3) and "bad1" not in rolled.shown(3) and "bad3" in rolled.shown(3)
    # Without a rollback everything stays from here on.
    assert "bad3" in rolled.shown(5) and "bad4" in rolled.shown(5)
    assert rolled.engine.prompts[5] == rolled.sequence[: len(rolled.engine.prompts[5])]


def test_an_engine_that_dies_ends_the_rollout(world: World) -> None:
    with pytest.raises(EngineError, match="out of order"):
        world.run(call("a"), EngineError("out of order"))


def test_a_tool_may_return_anything(world: World) -> None:
    loop: list[Any] = []
    loop.append(loop)
    values: list[Any] = [{(1, 2): 3}, loop, "x\ud800y", None, [1, "a"]]

    def give(which: int) -> Any:
        return values[which]

    definition = {"type": "function", "function": {"name": "give", "parameters": {}}}
    calls = [f'<tool_call>{{"name": "give", "arguments": {{"which": {n}}}}}</tool_call>' for n in range(5)]
    rolled = world.run(*calls, "Done.", tools=lambda sandbox: [FunctionTool(give, definition)])
    assert [step.calls[0].status for step in rolled.steps[:5]] == ["error", "error", "ok", "ok", "ok"]
    assert [step.observation.messages[0].content for step in rolled.steps[2:5]] == ["x?y", "null", '[1, "a"]']


def test_parallel_calls_of_a_notebook_share_one_session(world: World) -> None:
    sessions = []

    class Counted(Scripted):
        async def session(self, limits: Any = None) -> Any:
            await asyncio.sleep(0.01)
            sessions.append(1)
            return await super().session(limits)

    counted = Counted(execute)
    rolled = world.run(
        call("a") + call("bb") + call("ccc"), "Done.", tools=lambda sandbox: [PythonTool(counted, stateful=True)]
    )
    assert sessions == [1]
    assert [code for code, _ in counted.calls] == ["a", "bb", "ccc"]
    assert rolled.steps[0].observation.messages[2].content == "3"


def test_a_truncated_turn_replaces_no_failure(world: World) -> None:
    rolled = world.run(call("bad"), call("x" * 300), saar=SaarConfig(max_retries=1), max_turn_tokens=60)
    assert rolled.finish == "length" and len(rolled.steps) == 2
