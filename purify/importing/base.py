"""What an importer is: one function from a foreign record to trajectories.

Adding a format is one file with an `Importer` and one line in `registry.py`. An importer understands fields; ids,
group digests, declared tool states and failure rules come from the `RecordContext`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pydantic import ValidationError

from purify.digests import digest
from purify.errors import RejectedRecordError, first_problem
from purify.failures.rules import Outcome, Rules
from purify.importing.config import ImportConfig
from purify.importing.tool_states import KNOWN_STATES
from purify_schemas import Message, Source, ToolState, Trajectory
from purify_schemas.carried import CARRIED, carried_by
from purify_schemas.names import ToolStateName

Record = Mapping[str, Any]


class Importer(Protocol):
    """Reads one foreign format."""

    name: str
    """What `--format` takes."""

    default_rules: str
    """Rule set used where the user names none (see `purify/failures/rulesets/`)."""

    def recognise(self, record: Record) -> str | None:
        """Say in a few words why this record is of this format, or return None."""
        ...

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        """Convert one record to one or more trajectories.

        Raises `RejectedRecordError` with the reason if the record cannot be understood, and
        `pydantic.ValidationError` if what was read makes no row; the stage puts both aside with their first problem.
        """
        ...


@runtime_checkable
class Lossy(Protocol):
    """An importer whose files never hold all of a rollout."""

    lossy: str
    """What is missing, as a line for the user."""


@runtime_checkable
class ReadsBeside(Protocol):
    """An importer that reads more than the dump file itself."""

    def beside(self, path: Path) -> list[str]:
        """The names of the files in the folder of the dump file `path` that its records are read with."""
        ...


@dataclass(frozen=True, slots=True)
class RecordContext:
    """Where a record stands and what the user asked for."""

    file: str
    """Path relative to the imported folder, with forward slashes."""
    row: int
    """0-based record number inside the file."""
    rules: Rules
    config: ImportConfig = field(default_factory=ImportConfig)
    root: Path | None = None
    """The imported folder, for formats that keep what all records of a file share in another file beside it."""
    unheeded: set[str] = field(default_factory=set)
    """Options that had nothing to act on in this record, for the user to be told."""

    def outcome(self, text: str | None, *, tool: str | None = None) -> Outcome:
        """Judge a tool result by the failure rules; None means that no result came back."""
        return self.rules.judge(text, tool=tool)

    def trajectory(
        self,
        *,
        record: Record,
        messages: Sequence[Message],
        source: Source,
        task_id: str | None,
        sample_index: int | None,
        sample: int = 0,
        tool_states: Mapping[str, ToolStateName],
        **fields: Any,
    ) -> Trajectory:
        """Build the row: ids (`DESIGN`: digest of source, task, policy revision, round, sample; else of file and row).

        `sample` tells apart the samples of one record; `sample_index` is the source's own number, if it has one.
        `tool_states` is what the importer knows of each tool in the row. Where that is nothing, the tool's name may
        tell; the user's `--tool-state` wins.
        """
        source = source.model_copy(update={"revision": self.config.policy or source.revision})
        task = self._task(record, messages, task_id)
        scope = self._scope(source, task)
        # A sample's number counts within the source's own task: one that the user named may span several.
        own = () if task == task_id else (task_id,)
        part = (sample,) if sample else ()
        by_sample = task is not None and task_id is not None and sample_index is not None
        states = {name: self._state(name, state) for name, state in tool_states.items()}
        row = Trajectory(
            trajectory_id=digest(*scope, *own, sample_index, *part)
            if by_sample
            else digest(self.file, self.row, sample),
            task_id=task if task is not None else f"{self.file}#{self.row}",
            group_id=digest(*(scope if task is not None else (self.file, self.row))),
            sample_index=sample_index,
            messages=list(messages),
            tool_state=[ToolState(name=name, state=states[name]) for name in sorted(states)],
            source=source.model_copy(update={"file": self.file, "row": self.row}),
            **fields,
        )
        return self._as_exported(row, record)

    def _as_exported(self, row: Trajectory, record: Record) -> Trajectory:
        """The row as it was, if `purify export` wrote this record."""
        try:
            told = carried_by(record)
            return row if told is None else self.as_asked(record, told.onto(row, record))
        except ValidationError as error:
            reason = f"{first_problem(error)}; remove this member if the record was changed"
            raise RejectedRecordError(f"{CARRIED}: {reason}") from None
        except ValueError as error:
            raise RejectedRecordError(f"{CARRIED}: {error}") from None

    def as_asked(self, record: Record, told: Trajectory) -> Trajectory:
        """The row that our own record tells of, but where the user's options say otherwise."""
        config, update = self.config, dict[str, Any]()
        if config.tool_state:
            states = [(each.name, config.tool_state.get(each.name, each.state)) for each in told.tool_state]
            update["tool_state"] = [ToolState(name=name, state=state) for name, state in states]
        if config.policy is not None or config.task_by is not None:
            source = told.source.model_copy(update={"revision": config.policy or told.source.revision})
            task = self._task(record, told.messages, told.task_id)
            if task is not None:
                update |= {"task_id": task, "group_id": digest(*self._scope(source, task))}
            update["source"] = source
        if config.rules is not None:
            self.unheeded.add("rules")
        return told.model_copy(update=update)

    def _state(self, tool: str, state: ToolStateName) -> ToolStateName:
        known = KNOWN_STATES.get(tool, state) if state == "unknown" else state
        return self.config.tool_state.get(tool, known)

    def _scope(self, source: Source, task: str | None) -> tuple[Any, ...]:
        """What the samples of one group share."""
        return (source.framework, source.revision if source.revision is not None else self.file, task, source.round)

    def _task(self, record: Record, messages: Sequence[Message], task_id: str | None) -> str | None:
        match self.config.task_by:
            case None:
                return task_id
            case "prompt":
                return digest(*(message.model_dump() for message in messages))
            case dotted:
                value: Any = record
                for key in dotted.split("."):
                    value = value.get(key) if isinstance(value, Mapping) else None
                if value is None:
                    self.unheeded.add("task_by")
                return None if value is None else str(value)
