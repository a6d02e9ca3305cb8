"""Plan the edits of many trajectories at once: find runs, compare all pairs in one call, decide, pass the gates.

A plan changes nothing. Both forms of the pass (`rows.py`, `batch.py`) plan here, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence

from purify.saar.config import SaarRule
from purify.saar.gates import EditKey, View, importance_gate, state_gate
from purify.saar.rule import Decision, Run, compared_pairs, decide, find_runs
from purify.saar.similarity import Pair, Similarity
from purify.saar.text import compared_text
from purify_schemas import Edit, GateResult


def plan(views: Sequence[View], config: SaarRule, similarity: Similarity) -> list[list[Edit]]:
    """The edits of each trajectory, accepted and refused, in order, without what they remove."""
    runs = [list(find_runs(view.turns)) for view in views]
    compared: list[Pair] = []
    slots: list[list[list[int | None]]] = []
    for view, found in zip(views, runs, strict=True):
        slots.append([_collect(view, run, config, compared) for run in found])
    scores = similarity(compared)
    return [
        _decide_all(
            view,
            [
                (run, [None if at is None else scores[at] for at in where])
                for run, where in zip(found, slot, strict=True)
            ],
            config,
            similarity.name,
        )
        for view, found, slot in zip(views, runs, slots, strict=True)
    ]


def plan_run(run: Run, view: View, config: SaarRule, similarity: Similarity) -> Edit:
    """The edit of one run, as `plan` would make it."""
    compared: list[Pair] = []
    where = _collect(view, run, config, compared)
    scores = similarity(compared)
    return _decide_all(view, [(run, [None if at is None else scores[at] for at in where])], config, similarity.name)[0]


def _collect(view: View, run: Run, config: SaarRule, compared: list[Pair]) -> list[int | None]:
    """Queue the pairs of a run; return where each one's score will stand (None: not comparable)."""
    where: list[int | None] = []
    for failed, corrected in compared_pairs(run, config.chain):
        texts = compared_text(view.turns[failed], config), compared_text(view.turns[corrected], config)
        if texts[0] is None or texts[1] is None:
            where.append(None)
        else:
            where.append(len(compared))
            compared.append((texts[0], texts[1]))
    return where


def _decide_all(
    view: View, runs: Sequence[tuple[Run, list[float | None]]], config: SaarRule, backend: str
) -> list[Edit]:
    edits: list[Edit] = []
    for run, scores in runs:
        decision = decide(run, view.turns, scores, config)
        gates: list[GateResult] = []
        if decision.reason is None and "state" in config.gates:
            gates.append(state_gate(run, view, config))
        if decision.reason is None and view.importance is not None and run.success is not None:
            key = EditKey((*run.failed, run.success), decision.reasoning_from)
            gates.append(importance_gate(key, view.importance))
        edits.append(_edit(run, decision, gates, config, backend))
    return edits


def _edit(run: Run, decision: Decision, gates: list[GateResult], config: SaarRule, backend: str) -> Edit:
    refusal = next((gate for gate in gates if gate.verdict == "refuse"), None)
    corrected = run.success is not None
    return Edit(
        raw_steps=[*run.failed, *([run.success] if run.success is not None else [])],
        reasoning_from=decision.reasoning_from if corrected else None,
        action_from=run.success,
        links=decision.links,
        backend=backend if decision.links else None,
        threshold=config.gamma,
        gates=gates,
        accepted=decision.reason is None and refusal is None,
        reason=decision.reason or ("gate" if refusal else None),
        detail=decision.detail or (refusal.detail if refusal else None),
    )
