"""Find benchmark questions in prompts by common n-grams of words.

As GPT-3 did (Brown et al. 2020, arXiv:2005.14165, appendix C): 13 words in a row, lower case, punctuation dropped; a
shorter question is one n-gram of all its words, down to 8. Below that a match says nothing, and the question is counted
as too short. Departures: the paper derives N from the benchmark's 5th percentile of lengths, here each question has its
own; the paper cuts text around a match, here the row is reported, and dropped only on request.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from purify.digests import file_sha256
from purify.errors import PurifyError
from purify.publishing.report import Benchmark, Contaminated
from purify.tasks.records import SUFFIXES, read_records

LONGEST, SHORTEST = 13, 8
FIELDS = ("question", "problem", "prompt", "query", "instruction", "input", "text", "messages")
"""Fields of a record that may hold the question; the first that is there does."""
_WORD = re.compile(r"\w+")


class _Question(NamedTuple):
    benchmark: str
    number: int


class Contamination:
    """Feed it the rows in order; `rows` grows."""

    def __init__(self, files: tuple[str, ...], field: str | None) -> None:
        self._grams: dict[str, _Question] = {}
        self._lengths: set[int] = set()
        self._known: dict[bytes, tuple[_Question, str] | None] = {}
        self.benchmarks = [self._read(Path(file), field) for file in files]
        self.rows: list[Contaminated] = []

    def _read(self, path: Path, field: str | None) -> Benchmark:
        too_short = count = 0
        for count, question in enumerate(_questions(path, field), 1):
            words = _words(question)
            size = min(len(words), LONGEST)
            if size < SHORTEST:
                too_short += 1
                continue
            self._lengths.add(size)
            for gram in _ngrams(words, size):
                self._grams.setdefault(gram, _Question(path.name, count - 1))
        if not count:
            raise PurifyError(f"{path}: holds no question")
        return Benchmark(name=path.name, sha256=file_sha256(path), questions=count, too_short=too_short)

    def add(self, number: int, row: dict[str, Any]) -> bool:
        """Whether the prompt of this row holds a question."""
        for message in row["messages"] or ():
            found = self._look(message["content"] or "")
            if found is not None:
                question, gram = found
                self.rows.append(
                    Contaminated(
                        row=number,
                        trajectory_id=row["trajectory_id"],
                        benchmark=question.benchmark,
                        question=question.number,
                        ngram=gram,
                    )
                )
                return True
        return False

    def _look(self, text: str) -> tuple[_Question, str] | None:
        """A group shares its prompt, so each is looked at once."""
        key = hashlib.blake2b(text.encode(), digest_size=8).digest()
        if key not in self._known:
            words = _words(text)
            grams = (gram for size in sorted(self._lengths, reverse=True) for gram in _ngrams(words, size))
            self._known[key] = next(((self._grams[gram], gram) for gram in grams if gram in self._grams), None)
        return self._known[key]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _ngrams(words: list[str], size: int) -> Iterator[str]:
    return (" ".join(words[at : at + size]) for at in range(len(words) - size + 1))


def _questions(path: Path, field: str | None) -> Iterator[str]:
    """The questions of a benchmark file, in order.

    Raises `PurifyError` if it cannot be read, or a record has no field that holds a question.
    """
    if path.suffix.lower() not in SUFFIXES and path.is_file():
        yield from (line for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
        return
    for record in read_records(path):
        if record.value is None:
            raise PurifyError(f"{path} row {record.row}: {record.problem}")
        fields = (field,) if field else FIELDS
        value = next((record.value[name] for name in fields if record.value.get(name)), None)
        if value is None:
            there = ", ".join(record.value) or "nothing"
            raise PurifyError(
                f"{path} row {record.row}: no {' or '.join(fields)} in it; name one with --benchmark-field ({there})"
            )
        yield "\n".join(_strings(value))


def _strings(value: object) -> Iterator[str]:
    """The text of a question, or of the messages it consists of."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        yield from _strings(value.get("content") or value.get("text") or "")
