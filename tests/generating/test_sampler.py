from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from purify.chat.formats import FORMATS
from purify.chat.template import ChatTemplate
from purify.engines import Sampling
from purify.engines.scripted import ScriptedEngine
from purify.generating import GenerateConfig
from purify.generating.agent import Agent, Budget
from purify.generating.sampler import Sampler, samples_of, with_instructions
from purify.generating.tools import FunctionTool
from purify.rewards import Rewarder
from purify.saar.similarity import Difflib
from purify.tasks import Task
from purify_schemas import Message, Source, Trajectory
from tests.tiny import tiny_model

USER = Message(role="user", content="Q?")
SYSTEM = Message(role="system", content="Be brief.")


def system(text: str) -> Message:
    return Message(role="system", content=text)


@pytest.mark.parametrize(
    ("messages", "given", "told", "takes_system", "expected"),
    [
        ([USER], None, None, True, [USER]),
        ([SYSTEM, USER], None, None, True, [SYSTEM, USER]),
        ([USER], "S", None, True, [system("S"), USER]),
        # A task's own system message is kept; the explanation of the format comes with every one.
        ([SYSTEM, USER], "S", None, True, [SYSTEM, USER]),
        ([SYSTEM, USER], "S", "I", True, [system("Be brief.\n\nI"), USER]),
        ([USER], "S", "I", True, [system("S\n\nI"), USER]),
        ([USER], None, "I", True, [system("I"), USER]),
        # Without a system role the first user hears it.
        ([USER], None, "I", False, [Message(role="user", content="I\n\nQ?")]),
        ([SYSTEM, USER], None, "I", False, [Message(role="user", content="Be brief.\n\nI\n\nQ?")]),
        ([SYSTEM, USER], None, None, False, [Message(role="user", content="Be brief.\n\nQ?")]),
        ([USER], None, None, False, [USER]),
    ],
)
def test_what_the_model_is_told(
    messages: list[Message], given: str | None, told: str | None, takes_system: bool, expected: list[Message]
) -> None:
    assert with_instructions(messages, system=given, instruction=told, takes_system=takes_system) == expected


def test_while_tools_run_the_engine_serves_others(tmp_path: Path) -> None:
    """Two sequences at a time in the engine, and all four trajectories inside their tool at once."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model(tmp_path))
    inside, decoding, most = [], [], 0
    everyone = asyncio.Event()

    async def wait() -> str:
        inside.append(1)
        if len(inside) == 4:
            everyone.set()
        await asyncio.wait_for(everyone.wait(), 20)
        return "done"

    async def reply(ids: list[int], sampling: Sampling) -> list[int]:
        nonlocal most
        decoding.append(1)
        most = max(most, len(decoding))
        await asyncio.sleep(0.01)
        decoding.pop()
        called = "<tool_response>" in tokenizer.decode(ids)
        text = "Bye." if called else '<tool_call>{"name": "wait", "arguments": {}}</tool_call>'
        return list(tokenizer.encode(text + "<|im_end|>"))

    definition = {"type": "function", "function": {"name": "wait", "parameters": {}}}
    tool = FunctionTool(wait, definition)
    template = ChatTemplate(tokenizer, "tiny", [definition])
    config = GenerateConfig(model="tiny", group_size=4)
    agent = Agent(
        engine=ScriptedEngine(reply, tokenizer),
        tokenizer=tokenizer,
        template=template,
        format=FORMATS["hermes"],
        tools={"wait": tool},
        sampling=Sampling(max_tokens=1, stop_token_ids=(template.end_of_turn,)),
        budget=Budget(4, 100, 1000, 8000),
    )
    sampler = Sampler(agent, config, config.rule, Difflib(), Rewarder(None, [], None), Source())
    samples = list(samples_of([Task(task_id="t", messages=[USER])], 4, ("scope",)))
    rows: list[Trajectory] = []
    assert asyncio.run(sampler.run(samples, 2, rows.append)) == {}
    assert (len(inside), most) == (4, 2)
    assert sorted(row.sample_index or 0 for row in rows) == [0, 1, 2, 3]
    assert {row.answer for row in rows} == {"Bye."}
    assert {row.reward for row in rows} == {None}
