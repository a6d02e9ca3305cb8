"""Demonstrations: dialogues in which a program fails, is corrected or silently wrong as often as a design says.

    question -> thought, call -> what the call really printed -> ... -> "The answer is \\boxed{42}."

Only the choice of programs is drawn; results are those of running them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any, NamedTuple

from purify.sandbox import Execution
from purify.toy.config import Design
from purify.toy.execution import execute
from purify.toy.families import FAMILIES
from purify.toy.tasks import Task, draw_new_task

MOST_CALLS = 4
GIVE_UP = "I could not find the answer."

_AFTER = {
    "NameError": ("A name is not defined. I define all I use.", "That name does not exist. I write it in full."),
    "TypeError": ("The types do not fit. I use numbers and text apart.", "Wrong type. I pass the right one."),
    "SyntaxError": ("A sign is missing. I write it again with care.", "That did not parse. I close every bracket."),
    "IndexError": ("The index is past the end. I stay inside.", "There is no such position. I count again."),
}


class Attempt(NamedTuple):
    """One call of a demonstration and what it gave."""

    code: str
    execution: Execution
    right: bool


class Demonstration(NamedTuple):
    task: Task
    attempts: list[Attempt]
    messages: list[dict[str, Any]]
    """As chat templates take them."""


class _Program(NamedTuple):
    code: str
    style: int | None
    """Index of the right program that it is or was made from."""


def draw_demonstrations(design: Design, taken: frozenset[str], seed: int) -> Iterator[Demonstration]:
    """Without end, families in turn. Each has a stream of random numbers of its own."""
    families = list(FAMILIES)
    for index in count():
        random = Random(f"purify toy demonstration {seed} {index}")
        task = draw_new_task(families[index % len(families)], random, taken)
        yield demonstrate(task, design, random)


def demonstrate(task: Task, design: Design, random: Random) -> Demonstration:
    """One dialogue of at most `MOST_CALLS` calls. It ends with the first call that does not fail."""
    attempts: list[Attempt] = []
    messages: list[dict[str, Any]] = [{"role": "user", "content": task.prompt}]
    program: _Program | None = None
    while len(attempts) < MOST_CALLS and (not attempts or attempts[-1].execution.status == "error"):
        thought = _thought(task, attempts, random)
        program = _next_program(task, design, program, random)
        execution = execute(program.code)
        attempts.append(Attempt(program.code, execution, execution.text == task.answer))
        messages += _call(thought, program.code), {"role": "tool", "name": "python", "content": execution.text}
    last = attempts[-1].execution
    final = GIVE_UP if last.status == "error" else f"The answer is \\boxed{{{last.text}}}."
    return Demonstration(task, attempts, [*messages, {"role": "assistant", "content": final}])


def _call(thought: str, code: str) -> dict[str, Any]:
    function = {"name": "python", "arguments": {"code": code}}
    return {"role": "assistant", "content": thought, "tool_calls": [{"type": "function", "function": function}]}


def _thought(task: Task, attempts: list[Attempt], random: Random) -> str:
    if not attempts:
        return random.choice(FAMILIES[task.family].thoughts)
    return random.choice(_AFTER[attempts[-1].execution.error_type or ""])


def _next_program(task: Task, design: Design, failed: _Program | None, random: Random) -> _Program:
    error = 1 - design.retry_fix if failed else design.first_error
    silent = design.retry_silent if failed else design.first_silent
    style = _style(task, failed, random)
    if random.random() < error:
        return random.choice(failing_programs(task))
    if random.random() < silent:
        for slip in random.sample(slips := programs(task, "slips"), len(slips)):
            if execute(slip).text != task.answer:  # a wrong program may be right by chance
                return _Program(slip, None)
    return _Program(programs(task, "programs")[style], style)


def _style(task: Task, failed: _Program | None, random: Random) -> int:
    """A correction mostly stays with the program that failed; else it is another one, written anew."""
    if failed and failed.style is not None and random.random() < 0.7:
        return failed.style
    return random.randrange(len(FAMILIES[task.family].programs))


def programs(task: Task, kind: str) -> list[str]:
    """The task's `programs`, `slips` or `failures`, filled in."""
    return [template.format(**task.values) for template in getattr(FAMILIES[task.family], kind)]


def failing_programs(task: Task) -> list[_Program]:
    """The family's own, and the right ones with a slip of the pen."""
    found = [_Program(code, None) for code in programs(task, "failures")]
    for style, code in enumerate(programs(task, "programs")):
        *before, last = code.split("\n")
        found.append(_Program(code[:-1], style))  # SyntaxError: the last bracket
        if before:
            found.append(_Program("\n".join([*before[1:], last]), style))  # NameError: the first definition
        if ":\n" in code:
            found.append(_Program(code.replace(":\n", "\n", 1), style))  # SyntaxError: the colon
        if FAMILIES[task.family].name != "backwards":  # TypeError, unless the answer is text itself
            found.append(_Program("\n".join([*before, last.replace("print(", "print('Answer: ' + ", 1)]), style))
    return found
