"""Say in plain words which number of a dataset is zero, or unknown, and should not be, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from purify.reporting.figures import AdvantageStats, EditStats, Stats

RULES = "do the failure rules fit these tools (purify import --rules)?"


def remarks(report: Stats, *, recovered: int) -> Iterator[str]:
    """One line each. `recovered` are the trajectories with a failed call that was corrected."""
    calls = report.before
    if not report.rows:
        yield "the dataset has no rows"
    elif not calls.calls:
        yield "no tool call in any trajectory: was it imported with the right --format and --preset?"
    elif not calls.failed:
        yield f"no failed call, so purifying changes nothing: {RULES}"
    elif not report.edits and not recovered:
        yield "no failed call is followed by a successful one of the same tool, so purifying would change nothing"
    unknown = calls.by_status.get("unknown", 0)
    if calls.calls and unknown * 2 >= calls.calls:
        yield f"{unknown:,} of {calls.calls:,} calls have no known status: {RULES}"
    if report.edits and calls.failed:
        yield from _of_edits(report.edits, report.rows)


def _of_edits(edits: EditStats, rows: int) -> Iterator[str]:
    if edits.rows_mixed_in == rows:
        yield "no edit was made: every trajectory was left raw on purpose (--fraction, --apply-to)"
    elif not sum(edits.accepted.values()):
        yield "no edit was made: every failure was refused or never corrected; `purify inspect --refused` shows why"
    if edits.state_unknown:
        yield (
            f"{edits.state_unknown:,} edit(s) of tools whose state is not declared: if such a tool changes files or "
            "a session, clean again with --tool-state NAME=external (or python_kernel, stateless)"
        )


def verdict(advantage: AdvantageStats) -> str:
    """What the sign means for a zero-mean-advantage objective, if there is a sign to speak of."""
    recovered = advantage.means[-1]
    if recovered.mean is None:
        return "No trajectory with a reward recovered from a failed call, so purifying changes no advantage."
    if recovered.standard_error is None:
        return (
            "Only one trajectory with a reward recovered from a failed call: too few to tell whether purifying helps."
        )
    if abs(recovered.mean) <= 2 * recovered.standard_error:
        return (
            "Recovered trajectories score about their group's mean: no clear sign that purifying helps GRPO or hurts."
        )
    if recovered.mean > 0:
        return "Recovered trajectories score above their group's mean: purifying helps GRPO push against failed calls."
    return (
        "Recovered trajectories score below their group's mean: raw GRPO already pushes against their failed "
        "calls, and purifying takes that away. Consider `purify clean --apply-to winners`."
    )
