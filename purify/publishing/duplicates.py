"""Near-duplicates: rows whose model wrote almost the same, found by MinHash and locality-sensitive hashing.

Compared are shingles of 5 words of what the model wrote: reasoning and calls. Prompts and observations are left out:
a group shares its prompt, and a tool answers equal calls alike. The similarity is the estimated Jaccard similarity of
the shingles with 128 permutations (Broder 1997; datasketch, `datasketch/minhash.py`, `datasketch/lsh.py`), so the
threshold is met within about 0.05. A row joins the clusters whose first row it is like (leader clustering), and only
first rows are looked up: a thousand rows of one kind cost a thousand comparisons, and a chain of small changes does not
end in one cluster. Nothing is removed: a policy that answers alike eight times is worth knowing about,
not an error.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from purify.publishing.report import Cluster, NearDuplicates

SHINGLE = 5
PERMUTATIONS = 128
_STRICTEST = 0.95
"""Up to which datasketch can look up; above it finds more, and the estimate decides."""
_WORD = re.compile(r"\w+")


class Duplicates:
    """Feed it the rows in order, then ask for the `report`. About 2 kB a cluster stay in memory."""

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHashLSH

        self._threshold = threshold
        self._index = MinHashLSH(threshold=min(threshold, _STRICTEST), num_perm=PERMUTATIONS)
        self._hashes: dict[int, Any] = {}
        self._first: dict[bytes, int] = {}
        self._parent: dict[int, int] = {}
        self._group: dict[int, str] = {}

    def add(self, number: int, row: dict[str, Any]) -> None:
        words = [word for text in _written(row) for word in _WORD.findall(text.lower())]
        if not words:
            return
        self._parent[number] = number
        self._group[number] = row["group_id"]
        # Equal texts are one entry of the index: a thousand of them would be a million pairs.
        key = hashlib.blake2b(" ".join(words).encode(), digest_size=16).digest()
        first = self._first.setdefault(key, number)
        if first != number:
            self._parent[number] = self._root(first)
            return
        signature = _signature(words)
        for other in sorted(self._index.query(signature)):
            if self._root(other) != self._root(number) and self._alike(signature, self._hashes[other]):
                self._parent[self._root(number)] = self._root(other)
        if self._root(number) == number:
            self._hashes[number] = signature
            self._index.insert(number, signature)

    def _alike(self, one: Any, other: Any) -> bool:
        return bool(one.jaccard(other) >= self._threshold)

    def _root(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def report(self) -> NearDuplicates:
        members: dict[int, list[int]] = defaultdict(list)
        for number in self._parent:
            members[self._root(number)].append(number)
        clusters = [
            Cluster(rows=rows, groups=len({self._group[row] for row in rows}))
            for rows in members.values()
            if len(rows) > 1
        ]
        clusters.sort(key=lambda cluster: (-len(cluster.rows), cluster.rows))
        return NearDuplicates(threshold=self._threshold, rows=len(self._parent), clusters=clusters)


def _written(row: dict[str, Any]) -> Iterator[str]:
    """What the model wrote; of a call the arguments, where its raw text is not known."""
    for step in row["steps"] or ():
        yield step["reasoning"]["text"] or ""
        yield step["action"]["text"] or " ".join(call["arguments"] or "" for call in step["calls"] or ())


def _signature(words: list[str]) -> Any:
    from datasketch import MinHash

    shingles = {" ".join(words[at : at + SHINGLE]) for at in range(max(len(words) - SHINGLE + 1, 1))}
    signature = MinHash(num_perm=PERMUTATIONS, seed=1)
    signature.update_batch([shingle.encode() for shingle in shingles])
    return signature
