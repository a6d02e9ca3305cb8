"""Sim(failed, corrected), for all pairs of a batch at once. A backend is one class and one line in `BACKENDS`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Protocol, TypeVar

from purify.engines.loading import portable_name
from purify.errors import PurifyError
from purify.saar.config import SaarRule

Pair = tuple[str, str]
Config = TypeVar("Config", bound=SaarRule)

DEFAULT_EMBEDDING_MODEL = "sentence-transformers/all-MiniLM-L6-v2"


class Similarity(Protocol):
    """A similarity in [0, 1] that need not be symmetric: pairs are (failed, corrected), in this order.

    None for a pair that is too long to compare.
    """

    name: str
    """Recorded in provenance; names the model where there is one."""

    def __call__(self, pairs: Sequence[Pair]) -> Sequence[float | None]: ...


class Difflib:
    """`difflib.SequenceMatcher(None, failed, corrected).ratio()` to the last bit (autojunk on), in C++."""

    name = "difflib"
    longest = 10**6
    """Characters of a text, and `most` the product of two texts' lengths, up to which a pair is compared.

    The time grows with the product: some seconds for ordinary text at the limit.
    """
    most = 10**10

    def __call__(self, pairs: Sequence[Pair]) -> Sequence[float | None]:
        known = {pair: self._ratio(*pair) for pair in dict.fromkeys(pairs)}
        return [known[pair] for pair in pairs]

    def _ratio(self, failed: str, corrected: str) -> float | None:
        from cydifflib import SequenceMatcher

        if max(len(failed), len(corrected)) > self.longest or len(failed) * len(corrected) > self.most:
            return None
        return float(SequenceMatcher(None, failed, corrected).ratio())


class Embedding:
    """Cosine similarity of sentence embeddings, negative values taken as 0. Each distinct text is encoded once."""

    def __init__(self, model: str | None) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise PurifyError(
                "similarity 'embedding' needs sentence-transformers; "
                "install it with: pip install 'purify-trajectories[embed]'"
            ) from None
        model = model or DEFAULT_EMBEDDING_MODEL
        try:
            self._model = SentenceTransformer(model, device="cpu")
        except (OSError, ValueError) as error:
            first = str(error).split("\n", 1)[0]
            raise PurifyError(
                f"embedding model {model!r} cannot be loaded ({first}); give a model name or path"
            ) from None
        self.name = f"embedding:{portable_name(model)}"

    def __call__(self, pairs: Sequence[Pair]) -> list[float]:
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        if not texts:
            return []
        vectors = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        row = {text: index for index, text in enumerate(texts)}
        # Rounded: the last digits depend on what else is in the batch, and a decision must not.
        return [min(1.0, max(0.0, round(float(vectors[row[a]] @ vectors[row[b]]), 5))) for a, b in pairs]


BACKENDS: dict[str, Callable[[str | None], Similarity]] = {
    "difflib": lambda model: Difflib(),
    "embedding": Embedding,
}


def load_similarity(config: SaarRule) -> Similarity:
    """The backend that `config.similarity` names. Raises `PurifyError` if its extra or its model is missing."""
    return _load(config.similarity, config.embedding_model)


@cache
def _load(backend: str, model: str | None) -> Similarity:
    """One backend a process: an embedding model takes seconds to load."""
    return BACKENDS[backend](model)


def recorded(config: Config, similarity: Similarity) -> Config:
    """The configuration as data and manifests name it: the same wherever the embedding model lies."""
    if config.similarity != "embedding":
        return config
    return config.model_copy(update={"embedding_model": similarity.name.removeprefix("embedding:")})
