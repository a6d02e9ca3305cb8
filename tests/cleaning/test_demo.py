"""The shipped dump shows every outcome, and each trajectory does what examples/README.md says of it."""

from __future__ import annotations

from pathlib import Path

from purify.cleaning import clean
from purify.importing import ImportConfig, import_dump

DEMO = Path(__file__).parents[2] / "examples/demo.jsonl"
STATES = ImportConfig(tool_state={"python": "stateless", "lookup": "stateless", "book_slot": "external"})

DESIGNED = {
    "digit-sum": ["-", "shallow", "shallow", "-"],
    "count-primes": ["deep", "shallow", "unresolved", "shallow"],
    "median": ["shallow", "deep", "unresolved", "unresolved"],
    "log-share": ["shallow", "deep", "unresolved", "-"],
    "palindromes": ["shallow", "deep", "-", "deep"],
    "parts-cost": ["shallow", "shallow", "parallel_partial", "unresolved"],
    "book-room": ["-", "gate", "-", "gate"],
    "fibonacci": ["-", "deep", "unresolved", "-"],
}


def test_each_trajectory_does_what_it_was_written_for(tmp_path: Path) -> None:
    raw = import_dump(DEMO, tmp_path / "raw", STATES).dataset
    statuses = {call.status for row in raw for step in row.steps for call in step.calls}
    assert statuses == {"ok", "error", "timeout", "malformed", "infra", "rejected", "unknown"}
    purified = clean(tmp_path / "raw", tmp_path / "purified")
    found: dict[str, list[str]] = {}
    for row in purified:
        assert row.provenance is not None
        outcomes = [edit.granularity if edit.accepted else edit.reason for edit in row.provenance.edits]
        found.setdefault(row.task_id, []).append(outcomes[0] or "" if outcomes else "-")
    assert found == DESIGNED
