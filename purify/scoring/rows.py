"""Score a table: its rows in, the same rows with `scores` out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from purify.chat.rendering import Renderer
from purify.saar.apply import undo_edits
from purify.saar.grafts import Graft, grafts
from purify.scoring.config import ScoreConfig
from purify.scoring.edits import SampledLogprobs, edit_score, graft_logprobs
from purify.scoring.identity import Identity, sampled_alike, temperature_of
from purify.scoring.ids import Batch, Problem, with_ids
from purify.scoring.scorers import Answer, Request, Scorer, Singles
from purify_schemas import EditScore, scored_schema
from purify_schemas.arrow import SCORES, column

_NONE = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True)
class _Raw:
    """The raw trajectories of a table's rows: log-probs by row of the table, and where the edited ones lie."""

    logprobs: dict[int, Singles] = field(default_factory=dict)
    batch: Batch | None = None
    place: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TableScorer:
    """Made once for a run. `advance` is told of rows and tokens that are done."""

    config: ScoreConfig
    identity: Identity
    scorer: Scorer
    renderer: Renderer
    advance: Callable[[int, int], None] = lambda rows, tokens: None

    def __call__(self, table: pa.Table) -> tuple[pa.Table, Counter[str]]:
        """The scored table, and what was done, counted."""
        sources = table.column("source").to_pylist()
        temperatures = [temperature_of(source["temperature"], self.config) for source in sources]
        made = grafts(table)
        batch = self._with_ids(table)
        self.advance(len(batch.problems), 0)
        answers = self._answers(batch, temperatures, advance=1)
        raw = self._raw(table, made, answers, temperatures) if self.config.both else _Raw()
        sampled = [
            row in answers and sampled_alike(source, temperatures[row], self.identity)
            for row, source in enumerate(sources)
        ]
        edits = _edit_scores(batch, made, answers, raw, sampled)
        scores = self._column(batch, answers, raw, edits, temperatures)
        counts = batch.counts + self._count(batch, answers, sources)
        counts["edits"] += sum(map(len, made))
        counts["edits_scored"] += sum(map(len, edits))
        if raw.batch is not None:
            counts["raw_not_scored"] += len(raw.batch.problems)
        return batch.table.append_column(scored_schema(table.schema).field("scores"), scores), +counts

    def _with_ids(self, table: pa.Table) -> Batch:
        return with_ids(table, self.renderer, max_length=self.scorer.max_length, vocabulary=self.scorer.vocabulary)

    def _answers(self, batch: Batch, temperatures: Sequence[float], *, advance: int = 0) -> dict[int, Answer]:
        """By row, without those that have a problem; log-probs that are no numbers are one."""
        requests: dict[int, Request] = {}
        answers: dict[int, Answer] = {}
        for row in range(len(batch.table)):
            if row in batch.problems:
                continue
            here = batch.sequences.row(row)
            at = np.flatnonzero(batch.own[here])
            if len(at):
                requests[row] = Request(batch.sequences.ids[here], at, temperatures[row])
            else:
                extras = [_NONE if wanted else None for wanted in (self.config.entropy, self.config.self_certainty)]
                answers[row] = Answer(_NONE, *extras)
                self.advance(advance, 0)
        given = self.scorer(list(requests.values()), lambda request: self.advance(advance, len(request.ids)))
        for row, answer in zip(requests, given, strict=True):
            if all(value is None or np.isfinite(value).all() for value in answer):
                answers[row] = answer
            else:
                batch.problems[row] = Problem("not_finite", "its log-probs are not finite numbers")
        return answers

    def _raw(
        self,
        table: pa.Table,
        made: Sequence[Sequence[Graft]],
        answers: dict[int, Answer],
        temperatures: Sequence[float],
    ) -> _Raw:
        """Undo the edits and score what comes out. A row without any has been scored already."""
        if "provenance" not in table.column_names:
            return _Raw()
        online = pc.struct_field(table.column("provenance").combine_chunks(), "online").to_pylist()
        edited = [row for row in answers if made[row] and not online[row]]
        logprobs = {row: answer.logprobs for row, answer in answers.items() if not made[row]}
        if not edited:
            return _Raw(logprobs)
        batch = self._with_ids(undo_edits(table.take(edited).combine_chunks()))
        found = self._answers(batch, [temperatures[row] for row in edited])
        logprobs |= {edited[place]: answer.logprobs for place, answer in found.items()}
        return _Raw(logprobs, batch, {edited[place]: place for place in found})

    def _column(
        self,
        batch: Batch,
        answers: dict[int, Answer],
        raw: _Raw,
        edits: Sequence[Sequence[EditScore]],
        temperatures: Sequence[float],
    ) -> pa.StructArray:
        rows = range(len(batch.table))
        present = [answers.get(row) for row in rows]
        fields: dict[str, pa.Array] = {
            "temperature": pa.array(temperatures, pa.float64()),
            "rendered": pa.array(batch.rendered),
            "raw_logprobs": _lists([raw.logprobs.get(row) for row in rows]),
            "edits": column(edits, SCORES.field("edits").type),
            "problem": pa.array(
                [batch.problems[row].text if row in batch.problems else None for row in rows], "string"
            ),
        }
        for name in Answer._fields:
            fields[name] = _lists([answer and getattr(answer, name) for answer in present])
        for name, value in self.identity._asdict().items():
            fields[name] = pa.array([value] * len(rows), pa.string())
        return pa.StructArray.from_arrays([fields[child.name] for child in SCORES], fields=list(SCORES))

    def _count(self, batch: Batch, answers: dict[int, Answer], sources: Sequence[dict[str, Any]]) -> Counter[str]:
        counts = Counter(
            {
                "rows_scored": len(answers),
                "rows_not_scored": len(batch.problems),
                "rows_rendered": int(batch.rendered.sum()),
                "tokens_scored": sum(len(answer.logprobs) for answer in answers.values()),
            }
        )
        counts.update(f"problem_{problem.kind}" for problem in batch.problems.values())
        for row in answers:
            source = sources[row]
            named = {name: source[name] for name in ("revision", "tokenizer_digest", "template_digest")}
            counts.update(
                f"rows_other_{name.removesuffix('_digest')}"
                for name, theirs in named.items()
                if theirs is not None and theirs != getattr(self.identity, name)
            )
            counts["rows_unknown_tokenizer"] += source["tokenizer_digest"] is None and not batch.rendered[row]
            counts["rows_unknown_temperature"] += source["temperature"] is None and self.config.temperature is None
        return counts


def _edit_scores(
    batch: Batch,
    made: Sequence[Sequence[Graft]],
    answers: dict[int, Answer],
    raw: _Raw,
    sampled: Sequence[bool],
) -> list[list[EditScore]]:
    """Of each row. "As sampled" is the raw trajectory's score, else the log-prob that was stored while sampling."""
    stored = SampledLogprobs(batch.table)
    scores: list[list[EditScore]] = [[] for _ in made]
    for row, answer in answers.items():
        for graft in made[row]:
            before = None
            if raw.batch is not None and row in raw.place:
                before = graft_logprobs(raw.batch, raw.place[row], raw.logprobs[row], graft.raw, deep=graft.deep)
            elif sampled[row]:
                before = stored.of(row, graft.stored, deep=graft.deep)
            now = graft_logprobs(batch, row, answer.logprobs, graft.stored, deep=graft.deep)
            if before is not None and len(before) and len(now):
                scores[row].append(edit_score(graft, now, before))
    return scores


def _lists(values: Sequence[Singles | None]) -> pa.ListArray:
    offsets = np.cumsum([0, *(0 if value is None else len(value) for value in values)])
    flat = np.concatenate([_NONE, *(value for value in values if value is not None)])
    nulls = pa.array([value is None for value in values], pa.bool_())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat, pa.float32()), mask=nulls)
