"""Near-duplicates of what the model wrote."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purify.publishing.duplicates import Duplicates
from purify.publishing.report import Cluster, NearDuplicates

WORDS = [f"w{number}" for number in range(200)]


def entry(words: list[str], group: str) -> dict[str, Any]:
    step = {"reasoning": {"text": " ".join(words)}, "action": {"text": None}, "calls": [{"arguments": "{}"}]}
    return {"group_id": group, "steps": [step]}


def report(*rows: dict[str, Any], threshold: float = 0.8) -> NearDuplicates:
    duplicates = Duplicates(threshold)
    for number, row in enumerate(rows):
        duplicates.add(number, row)
    return duplicates.report()


def test_clusters_within_and_across_groups() -> None:
    changed = [*WORDS[:100], "other", *WORDS[101:]]
    rows = [
        entry(WORDS, "a"),
        entry([f"x{word}" for word in WORDS], "a"),
        entry(WORDS, "a"),
        entry(changed, "b"),
        entry([f"y{word}" for word in WORDS], "c"),
        entry([f"y{word}" for word in WORDS], "c"),
        entry([], "c") | {"steps": []},
    ]
    found = report(*rows)
    assert found.clusters == [Cluster(rows=[0, 2, 3], groups=2), Cluster(rows=[4, 5], groups=1)]
    assert (found.rows, found.clustered, found.across) == (6, 5, 1)


def test_the_threshold_decides() -> None:
    half = [*WORDS[:100], *(f"z{word}" for word in WORDS[100:])]
    assert report(entry(WORDS, "a"), entry(half, "a")).clusters == []
    assert report(entry(WORDS, "a"), entry(half, "a"), threshold=0.2).clusters == [Cluster(rows=[0, 1], groups=1)]


@pytest.mark.parametrize("threshold", [1.0, 0.99, 0.97])
def test_thresholds_that_datasketch_cannot_look_up(threshold: float) -> None:
    changed = [*WORDS[:100], "other", *WORDS[101:]]
    found = report(entry(WORDS, "a"), entry(WORDS, "b"), entry(changed, "c"), threshold=threshold)
    assert found.clusters == [Cluster(rows=[0, 1], groups=2)]


def test_alike_rows_are_compared_with_one_of_them() -> None:
    """So that a thousand rows cost a thousand comparisons: counted, as a clock would depend on the machine."""
    duplicates = Duplicates(0.8)
    words = [f"w{at}" for at in range(400)]
    for number in range(300):
        duplicates.add(number, entry([*words[:200], f"u{number}", *words[201:]], "a"))
    assert duplicates.report().clusters == [Cluster(rows=list(range(300)), groups=1)]
    assert len(duplicates._hashes) == 1


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 4), max_size=12))
def test_equal_rows_are_one_cluster_whatever_their_order(kinds: list[int]) -> None:
    found = report(*(entry([f"k{kind}-{word}" for word in WORDS[:20]], str(kind)) for kind in kinds))
    expected = sorted(
        ([at for at, kind in enumerate(kinds) if kind == wanted] for wanted in set(kinds)),
        key=lambda rows: (-len(rows), rows),
    )
    assert [cluster.rows for cluster in found.clusters] == [rows for rows in expected if len(rows) > 1]
