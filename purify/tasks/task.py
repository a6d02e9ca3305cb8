"""One task: a prompt, and what it takes to check an answer.

Task(task_id="1", messages=[Message(role="user", content="1 + 1?")], answer="2", verifier="math")
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from purify_schemas import Message, Trajectory


class IoTest(BaseModel):
    """A program that reads `input` must print `output`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str
    output: str


Tests = str | list[IoTest]
"""Python source with asserts, or pairs of standard input and output."""


class Task(BaseModel):
    """A row of a task file. `file`, `row` (0-based) and `raw` say where it stood, for reporting it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task_id: str
    messages: list[Message] = Field(description="System, demonstrations, user: what the model is shown.")
    answer: str | None = Field(default=None, description="The expected answer.")
    verifier: str | None = Field(default=None, description="math, exact, unit_tests, or module:function.")
    tests: Tests | None = Field(default=None, description="Of a code task: asserts, or input and output pairs.")
    data_source: str | None = Field(default=None, description="The set that it comes from, by verl's names.")
    extra: str | None = Field(default=None, description="JSON of all other members of the row.")
    file: str = ""
    row: int = 0
    raw: bytes = Field(default=b"", repr=False)

    def stored(self) -> str | None:
        """JSON for a trajectory's `extra`: what re-checking its answer takes beyond its own columns."""
        known: dict[str, Any] = self.model_dump(mode="json", include={"verifier", "tests", "data_source"})
        if self.extra is not None:
            known["extra"] = json.loads(self.extra)
        told = {key: value for key, value in known.items() if value is not None}
        return json.dumps({"task": told}, ensure_ascii=False) if told else None


_TESTS: TypeAdapter[Tests | None] = TypeAdapter(Tests | None)


def stored_task(trajectory: Trajectory) -> Task:
    """The task of a stored trajectory, from its columns and what `Task.stored` left in `extra`.

    Rows of other origin have none of the latter: their task knows its prompt and the reference. A system message that
    the run added is part of the prompt.
    """
    extra = json.loads(trajectory.extra) if trajectory.extra else {}
    told = extra.get("task") if isinstance(extra, dict) else None
    known: dict[str, Any] = told if isinstance(told, dict) else {}
    return Task(
        task_id=trajectory.task_id,
        messages=trajectory.messages,
        answer=trajectory.reference,
        verifier=known.get("verifier"),
        tests=_TESTS.validate_python(known.get("tests")),
        data_source=known.get("data_source"),
        extra=json.dumps(known["extra"], ensure_ascii=False) if "extra" in known else None,
    )
