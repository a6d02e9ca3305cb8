"""The SAAR rule (paper, section 3): which failed calls a later success replaces, and how deeply.

    Sim(c_t, c') >= gamma   shallow: keep the reasoning r_t, graft the corrected call and its observation
    Sim(c_t, c') <  gamma   deep:    drop the failed turn whole, take the correction's own reasoning too

Offline, the lookahead of Phase I is already in the dump: a run of at most K failed turns and then a successful turn
of the same tool. Departures from the paper are options (`chain="cascade"`, `compare="call"`: the public code) or
refusals with a reason (everything else).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from purify.saar.config import SaarRule
from purify_schemas import FAILED, Link
from purify_schemas.provenance import EditReason


class CallView(NamedTuple):
    """What the rule needs to know of a call."""

    name: str | None
    arguments: str | None
    status: str
    error_type: str | None = None


class Turn(NamedTuple):
    """What the rule needs to know of a step."""

    calls: Sequence[CallView]
    has_human: bool = False
    boundary: str = "exact"
    has_ids: bool = False
    raw: str | None = None

    @property
    def failed(self) -> bool:
        """A call of it failed, and none was stopped by the service (`infra`) or refused (`rejected`)."""
        statuses = {call.status for call in self.calls}
        return bool(statuses & FAILED) and not statuses & {"infra", "rejected"}

    @property
    def parsed(self) -> bool:
        return all(call.name is not None for call in self.calls)

    @property
    def succeeded(self) -> bool:
        return bool(self.calls) and all(call.status == "ok" for call in self.calls)

    @property
    def tool(self) -> str | None:
        """Name of the first failed call that has one; None where none could be parsed."""
        return next((call.name for call in self.calls if call.status in FAILED and call.name is not None), None)


class Run(NamedTuple):
    """Consecutive failed steps of one tool, and the success that corrects them; without one, `ended` says why."""

    failed: list[int]
    success: int | None
    ended: str | None = None


class Decision(NamedTuple):
    """What to do with a run. `reason` is None where the edit stands."""

    reasoning_from: int
    links: list[Link]
    reason: EditReason | None
    detail: str | None


def find_runs(turns: Sequence[Turn]) -> Iterator[Run]:
    """Phase I, read off a finished rollout: every maximal run of joined failures, in order."""
    run: list[int] = []
    for index, turn in enumerate(turns):
        if run and (ended := _what_ends(turns, run, index)):
            yield Run(run, None, ended)
            run = []
        if turn.failed:
            run = [*run, index]
        elif run:
            yield Run(run, index)
            run = []
    if run:
        yield Run(run, None, "the rollout ends")


def _what_ends(turns: Sequence[Turn], run: list[int], index: int) -> str | None:
    """Why step `index` does not go on with the run before it; None if it is a retry, or the success, of the same tool.

    A call that could not be parsed has no tool and joins whatever follows it.
    """
    turn = turns[index]
    if turns[run[-1]].has_human:
        return f"a person speaks before step {index}"
    if not turn.calls:
        return f"step {index} makes no call"
    if not (turn.failed or turn.succeeded):
        return f"step {index} is neither a failure of the model's nor a success"
    if turn.failed and turn.tool is None:
        return None
    names = {turn.tool} if turn.failed else {call.name for call in turn.calls}
    if any(turns[step].tool not in names for step in run if turns[step].tool is not None):
        return f"step {index} calls another tool"
    return None


def compared_pairs(run: Run, chain: str) -> list[tuple[int, int]]:
    """The (failed, corrected) steps to compare, in the order of the links. The order is part of the contract."""
    if run.success is None:
        return []
    return [(run.failed[0], run.success)] if chain == "first" else list(pairwise([*run.failed, run.success]))


def decide(run: Run, turns: Sequence[Turn], similarities: Sequence[float | None], config: SaarRule) -> Decision:
    """Phase II: where the reasoning comes from, or why the run is left alone.

    `similarities` are those of `compared_pairs`. None is always deep where a call could not be parsed; of parsed
    calls it says that they are too long to compare, and the run is left alone.
    """
    reasoning_from, links = run.failed[0], []
    for (failed, corrected), similarity in zip(compared_pairs(run, config.chain), similarities, strict=True):
        if similarity is None and turns[failed].parsed and turns[corrected].parsed:
            why = f"the calls of steps {failed} and {corrected} are too long to compare"
            return Decision(run.failed[0], [], "too_long", why)
        shallow = similarity is not None and similarity >= config.gamma
        if not shallow:
            reasoning_from = corrected
        links.append(
            Link(
                from_step=failed,
                to_step=corrected,
                similarity=similarity,
                granularity="shallow" if shallow else "deep",
            )
        )
    reason, detail = _refusal(run, turns, reasoning_from, links, config)
    return Decision(reasoning_from, links, reason, detail)


def _refusal(
    run: Run, turns: Sequence[Turn], reasoning_from: int, links: Sequence[Link], config: SaarRule
) -> tuple[EditReason | None, str | None]:
    if run.success is None:
        return "unresolved", f"never corrected: {run.ended}"
    if len(run.failed) > config.max_retries:
        return "unresolved", f"{len(run.failed)} failures, max_retries is {config.max_retries}"
    success = turns[run.success]
    for index in run.failed:
        if missing := _not_repeated(turns[index], success):
            return "parallel_partial", f"step {run.success} does not repeat {missing} of step {index}"
    deep = [link.similarity for link in links if link.granularity == "deep" and link.similarity is not None]
    if deep and min(deep) < config.min_similarity:
        return "not_a_correction", f"similarity {min(deep):.3f} is below {config.min_similarity}"
    if reasoning_from != run.success:
        for index in (reasoning_from, run.success):
            both_ids = turns[reasoning_from].has_ids or success.has_ids
            if both_ids and (turns[index].boundary != "exact" or not turns[index].has_ids):
                return "boundary", f"the ids of step {index} do not split cleanly between reasoning and call"
    return None, None


def _not_repeated(failed: Turn, success: Turn) -> str | None:
    """The first call of a parallel step that the success lacks: the very call if it went well, else one of its tool."""
    if len(failed.calls) == 1:
        return None
    left = list(success.calls)
    for call in sorted(failed.calls, key=lambda call: (call.status in FAILED, call.name is None)):
        broken = call.status in FAILED
        match = next(
            (
                other
                for other in left
                if (broken and call.name is None)
                or (other.name == call.name and (broken or other.arguments == call.arguments))
            ),
            None,
        )
        if match is None:
            return f"{call.name or 'an unparsable call'} ({call.status})"
        left.remove(match)
    return None
