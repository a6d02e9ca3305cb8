"""Sample what is missing: many trajectories in flight, each written to the journal as it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import orjson

from purify.digests import digest
from purify.errors import PurifyError
from purify.generating.agent import Agent
from purify.generating.config import GenerateConfig
from purify.rewards import Rewarder
from purify.saar.config import SaarConfig
from purify.saar.online import Rollback
from purify.saar.rows import is_drawn
from purify.saar.similarity import Similarity
from purify.tasks import Task
from purify_schemas import Message, Source, Step, ToolState, Trajectory


class Sample(NamedTuple):
    """One trajectory to be: the `number`-th of its task's group."""

    task: Task
    number: int
    trajectory_id: str
    group_id: str


def samples_of(tasks: Iterable[Task], group_size: int, scope: Sequence[object]) -> Iterator[Sample]:
    """Every (task, sample) pair in order, with ids that are the same in every run.

    `scope` is what a group must not mix: policy revision, round, options.
    """
    for task in tasks:
        group = digest(*scope, task.task_id)
        for index in range(group_size):
            yield Sample(task, index, digest(*scope, task.task_id, index), group)


@dataclass(frozen=True)
class Sampler:
    """Turns samples into trajectories."""

    agent: Agent
    config: GenerateConfig
    rule: SaarConfig
    similarity: Similarity
    rewarder: Rewarder
    source: Source

    async def run(
        self, samples: Iterable[Sample], concurrency: int, done: Callable[[Trajectory], None]
    ) -> dict[str, str]:
        """Sample all; returns the tasks that do not fit the model, with the reason.

        The engine has at most `concurrency` sequences at a time. While tools run and rewards are found, others take
        their place, up to as many again.

        Raises `EngineError` if the engine is beyond use. What was `done` by then stays done.
        """
        refused: dict[str, str] = {}
        slots, alive = asyncio.Semaphore(concurrency), asyncio.Semaphore(2 * concurrency)

        async def work(sample: Sample, prompt: Sequence[int]) -> None:
            try:
                done(await self.trajectory(sample, prompt, slots))
            finally:
                alive.release()

        try:
            async with asyncio.TaskGroup() as group:
                for task_id, group_of_task in groupby(samples, key=lambda sample: sample.task.task_id):
                    together = list(group_of_task)
                    try:
                        prompt = self._prompt(together[0].task)
                    except PurifyError as error:
                        refused[task_id] = str(error)
                        continue
                    for sample in together:
                        await alive.acquire()
                        await slots.acquire()
                        group.create_task(work(sample, prompt))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return refused

    async def trajectory(self, sample: Sample, prompt: Sequence[int], slots: asyncio.Semaphore) -> Trajectory:
        """Sample, execute and reward one trajectory. Gives back the slot that the caller holds for it."""
        states = [
            ToolState(name=name, state=self.config.tool_state.get(name, tool.state))
            for name, tool in self.agent.tools.items()
        ]
        active = self.config.saar and is_drawn(sample.trajectory_id, self.rule)
        rollback = Rollback(self.rule, self.similarity, states, active=active)
        # The id covers the options, seed included, so every trajectory of every run draws from a stream of its own.
        try:
            finish = await self.agent.rollout(prompt, rollback, sample.trajectory_id, slots)
        finally:
            slots.release()
        trajectory = Trajectory(
            trajectory_id=sample.trajectory_id,
            task_id=sample.task.task_id,
            group_id=sample.group_id,
            sample_index=sample.number,
            messages=self._messages(sample.task),
            tools=self._tools_json(),
            tool_state=states,
            prompt_token_ids=list(prompt),
            steps=rollback.steps,
            answer=_answer(rollback.steps),
            reference=sample.task.answer,
            finish_reason=finish,
            source=self.source.model_copy(update={"row": sample.task.row}),
            extra=sample.task.stored(),
            provenance=rollback.provenance() if self.config.saar else None,
        )
        reward, parts = await self.rewarder(sample.task, trajectory)
        told: dict[str, object] = {"reward": reward, "rewards": parts}
        if problem := self.rewarder.problems.pop(trajectory.trajectory_id, None):
            known = orjson.loads(trajectory.extra) if trajectory.extra else {}
            told["extra"] = orjson.dumps({**known, "reward_problem": problem}).decode()
        return trajectory.model_copy(update=told)

    def _prompt(self, task: Task) -> list[int]:
        """The ids of a task's prompt. Raises `PurifyError` if it cannot be rendered, or leaves the model no room."""
        prompt = self.agent.template.prompt(self._messages(task))
        if len(prompt) >= self.agent.engine.max_length:
            raise PurifyError(
                f"the prompt has {len(prompt):,} tokens, the model's context is {self.agent.engine.max_length:,}"
            )
        return prompt

    def _messages(self, task: Task) -> list[Message]:
        explain = self.agent.format.instruction
        return with_instructions(
            task.messages,
            system=self.config.system,
            instruction=explain(self.config.stateful) if explain and self.agent.tools else None,
            takes_system=self.agent.template.takes_system,
        )

    def _tools_json(self) -> str | None:
        definitions = [tool.definition for tool in self.agent.tools.values()]
        return orjson.dumps(definitions).decode() if definitions else None


def with_instructions(
    messages: Sequence[Message], *, system: str | None, instruction: str | None, takes_system: bool
) -> list[Message]:
    """A task's messages with the run's own words: `system` where there is no system message, `instruction` always.

    A template without a system role gets them before the first user's words.
    """
    first, *rest = messages
    if takes_system and instruction is None and (system is None or first.role == "system"):
        return list(messages)
    if first.role == "system":
        told = [first.content, instruction]
    else:
        told, rest = [system, instruction], list(messages)
    text = "\n\n".join(part for part in told if part)
    if not text:
        return rest
    if takes_system:
        return [Message(role="system", content=text), *rest]
    at = next((index for index, message in enumerate(rest) if message.role == "user"), None)
    if at is None:
        return [Message(role="user", content=text), *rest]
    user = rest[at].model_copy(update={"content": f"{text}\n\n{rest[at].content or ''}"})
    return [*rest[:at], user, *rest[at + 1 :]]


def _answer(steps: Sequence[Step]) -> str | None:
    """What the last turn says after its thinking, if it is an answer and not a call."""
    last = steps[-1] if steps else None
    if last is None or last.calls or last.reasoning.text is None:
        return None
    return last.reasoning.text[last.thinking_chars :]
