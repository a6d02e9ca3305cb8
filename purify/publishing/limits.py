"""What a published dataset cannot promise, said of this one: only what applies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from purify.publishing.counts import counted
from purify.publishing.report import Audit
from purify.reporting.figures import Stats


def limits(
    stats: Stats, audit: Audit, options: dict[str, Any], *, online: bool, log_probs: bool, repeated: int
) -> Iterator[str]:
    """One sentence or two each."""
    if stats.edits is not None:
        accepted = sum(stats.edits.accepted.values())
        if accepted and not online:
            yield (
                f"{counted(accepted, 'edit was', 'edits were')} made after sampling: what follows an edit was sampled "
                "with the failed call still in the context"
                + (", so its stored log-probs are those of another context" if log_probs else "")
                + " (`provenance.stale_from` says from where on)."
            )
        if stats.edits.state_unknown:
            yield (
                f"For {counted(stats.edits.state_unknown, 'edit')} the state of the tool is not declared. If such a "
                "tool changes files or a session, a later result may depend on a call that is no longer there."
            )
        if left := stats.edits.rows_mixed_in:
            asked = ", ".join(f"{name} {options[name]}" for name in ("fraction", "apply_to") if name in options)
            were = counted(left, "trajectory was", "trajectories were")
            yield f"{were} left raw on purpose ({asked or 'by an option'}): `mixed_in` is true."
        if stats.after and stats.after.failed:
            yield (
                f"Failed calls remain ({stats.after.failed:,}): nothing in the same trajectory corrected them, or the "
                "edit was refused."
            )
        yield (
            "A later success is taken for a correction of the failure before it; where it was another attempt "
            "altogether, the edit is wrong."
        )
        yield (
            "Removed turns stay in `provenance.edits[].removed`: who reads only `steps` sees none of them, but they "
            "are published."
        )
    if repeated:
        ids = counted(repeated, "trajectory_id is", "trajectory_ids are")
        yield f"{ids} on more than one row: the source repeats samples."
    if unknown := (stats.after or stats.before).by_status.get("unknown", 0):
        calls = counted(unknown, "tool call has", "tool calls have")
        yield f"{calls} no known status, and count{'s' if unknown == 1 else ''} neither as failed nor as successful."
    yield (
        "The scan knows the form of tokens, keys and numbers. It does not find passwords that look like words, keys "
        "of services it does not know, telephone numbers without separators or a word in front, names, places or birth "
        "dates, nor what stands in pictures or encoded text"
        + ("." if audit.findings else "; nothing found is no proof that nothing is there.")
    )
    if audit.contamination is None:
        yield "It is unknown whether benchmark questions are among the prompts."
    else:
        yield (
            "Benchmark questions that were rephrased, translated, or have fewer than 8 words of their own are not "
            "recognised."
        )
    yield "Rejected records and the run log are not published: they hold raw text and the paths of a machine."
