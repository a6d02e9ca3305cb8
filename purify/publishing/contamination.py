"""Find benchmark questions in prompts by common n-grams of words.

As GPT-3 did (Brown et al. 2020, arXiv:2005.14165, appendix C): 13 words in a row, lower case, punctuation dropped; a
shorter question is one n-gram of all its words, down to 8. Below that a match says nothing, and the question is counted
as too short. Words that stand in an n-gram of more than 10 different questions of a file are its instructions to the
model, which a prompt may have without any of the questions: they are taken out of the question first. (The paper
ignored n-grams that matched more than 10 training documents, for the same reason.) Other departures: the paper derives
N from the benchmark's 5th percentile of lengths, here each question has its own; the paper cuts text around a match,
here the row is reported, and dropped only on request.

A word is what is left of it after NFKC, without invisible signs; of Chinese and Japanese, which put no spaces, each
character is one.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from purify.digests import file_sha256
from purify.errors import PurifyError
from purify.publishing.report import Benchmark, Contaminated
from purify.tasks.records import SUFFIXES, read_records

LONGEST, SHORTEST = 13, 8
COMMON = 10
"""An n-gram of more questions than this belongs to none of them."""
FIELDS = ("question", "problem", "prompt", "query", "instruction", "input", "text", "messages")
"""Fields of a record that may hold the question; the first that is there does."""
_HAN_AND_KANA = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af"
_WORD = re.compile(rf"[{_HAN_AND_KANA}]|[^\W{_HAN_AND_KANA}]+")
_BEYOND_ASCII = re.compile("[^\0-~]")
"""Where one of these is, the text may have to be normalised."""


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
        questions = [_words(question) for question in _questions(path, field)]
        if not questions:
            raise PurifyError(f"{path}: holds no question")
        # A benchmark that repeats a question, to sample it more often, does not share it.
        different = {" ".join(words): words for words in questions}.values()
        counts = Counter(gram for words in different for gram in set(_ngrams(words, LONGEST)))
        common = {gram for gram, count in counts.items() if count > COMMON}
        too_short = shared = 0
        for number, words in enumerate(questions):
            pieces = [piece for piece in _own(words, common) if len(piece) >= SHORTEST]
            if len(words) < SHORTEST:
                too_short += 1
            elif not pieces:
                shared += 1
            for piece in pieces:
                size = min(len(piece), LONGEST)
                self._lengths.add(size)
                for gram in _ngrams(piece, size):
                    self._grams.setdefault(gram, _Question(path.name, number))
        return Benchmark(
            name=path.name,
            sha256=file_sha256(path),
            questions=len(questions),
            too_short=too_short,
            shared=shared,
        )

    def add(self, number: int, row: dict[str, Any]) -> bool:
        """Whether the prompt of this row holds a question."""
        for text in _asked(row):
            found = self._look(text)
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


def _asked(row: dict[str, Any]) -> Iterator[str]:
    """What the model was asked: the prompt, and what a user says between its turns."""
    later = (message for step in row.get("steps") or () for message in step["observation"]["messages"] or ())
    for message in (*(row["messages"] or ()), *(message for message in later if message["role"] == "user")):
        yield message["content"] or ""
        if parts := message.get("parts"):
            try:
                yield "\n".join(_strings(orjson.loads(parts)))
            except orjson.JSONDecodeError:
                yield parts


def _words(text: str) -> list[str]:
    if _BEYOND_ASCII.search(text):
        text = "".join(sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign) != "Cf")
    return _WORD.findall(text.lower())


def _own(words: list[str], common: set[str]) -> list[list[str]]:
    """The pieces of a question between the n-grams that it shares with many others."""
    if not common:
        return [words]
    shared = set[int]()
    for at, gram in enumerate(_ngrams(words, LONGEST)):
        if gram in common:
            shared.update(range(at, at + LONGEST))
    pieces: list[list[str]] = [[]]
    for at, word in enumerate(words):
        if at not in shared:
            pieces[-1].append(word)
        elif pieces[-1]:
            pieces.append([])
    return pieces


def _ngrams(words: list[str], size: int) -> Iterator[str]:
    return (" ".join(words[at : at + size]) for at in range(len(words) - size + 1))


def _questions(path: Path, field: str | None) -> Iterator[str]:
    """The questions of a benchmark file, in order.

    Raises `PurifyError` if it cannot be read, or a record has no field that holds a question.
    """
    if path.suffix.lower() not in SUFFIXES and path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise PurifyError(f"{path}: is no UTF-8 text; questions are JSON, JSON lines, Parquet or text") from None
        yield from (line for line in text.splitlines() if line.strip())
        return
    for record in read_records(path, file="benchmark file", record="question"):
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
