"""Keys and values of many sequences in one place, so that one forward pass serves them all.

    row 0  k k k k k .      A row is a sequence, a column is a position: there is no padding on the left, and what a
    row 1  k k . . . .      sequence has computed stays where it is while others come, grow and go.

The rows that decode are 0 to n - 1, so a step reads the cache as a view. A row that is not decoding keeps its
sequence: the next turn of a trajectory, or another sample of the same prompt, continues from the part that is equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from purify.engines.layer_cache import LayerCache, Window

if TYPE_CHECKING:
    import torch

Ids = NDArray[np.int64]

_FIRST_COLUMNS = 256
_NOTHING: Ids = np.empty(0, np.int64)


class Slots:
    """The cache of one model, and the forward pass over it. For one thread, in inference mode."""

    def __init__(self, model: Any, max_length: int, max_rows: int, memory: int) -> None:
        """`memory`: bytes of keys and values; rows become fewer as sequences grow."""
        from transformers import Cache

        self._model = model
        self._config = model.config.get_text_config()
        self.vocabulary = int(self._config.vocab_size)
        self.max_length = max_length
        self._max_rows = max_rows
        self._memory = memory
        self.columns = min(_FIRST_COLUMNS, max_length)
        self.rows = max_rows
        self._window = Window()
        self._layers = [LayerCache(self._window, 1, self.columns) for _ in range(self._config.num_hidden_layers)]
        self._cache = Cache(layers=self._layers)
        self._token_bytes = self._measure()
        self._contents: list[Ids] = []
        self._used: list[int] = []
        self._clock = count(1)
        self._resize(self.columns)

    def forward(
        self, first: int, ids: Sequence[Sequence[int]], starts: Sequence[int], *, logits_of_all: bool = False
    ) -> torch.Tensor:
        """Run `ids` of the rows from `first` on, whose earlier `starts` tokens are in the cache.

        Shorter sequences are padded. Returns logits [row, 1, vocabulary] of the last column, or of all columns.
        """
        import torch

        device = self._model.device
        length = max(map(len, ids))
        lengths = torch.tensor([len(row) for row in ids])[:, None]
        begin = torch.tensor(starts)[:, None]
        offsets = torch.arange(length)
        real = offsets < lengths
        positions = torch.where(real, begin + offsets, begin)
        window = self._window
        window.first, window.last = first, first + len(ids)
        window.width = max(start + len(row) for start, row in zip(starts, ids, strict=True))
        window.rows = torch.arange(first, window.last, device=device)[:, None]
        window.columns = torch.where(real, positions, self.columns).to(device)
        positions = positions.to(device)
        padded = [[*row, *[0] * (length - len(row))] for row in ids]
        logits: torch.Tensor = self._model(
            input_ids=torch.tensor(padded, device=device),
            attention_mask=self._mask(positions, window.width),
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=0 if logits_of_all else 1,
        ).logits
        return logits

    def hold(self, row: int, ids: Sequence[int] | Ids) -> None:
        """Note what a row holds now."""
        self._contents[row] = np.asarray(ids, np.int64)
        self._used[row] = next(self._clock)

    def known(self, ids: Ids) -> int:
        """How long a beginning of `ids` some row holds."""
        return max(common(held, ids) for held in self._contents)

    def place(self, ids: Ids, row: int) -> int:
        """Make `row` hold as long a beginning of `ids` as is known, and return its length.

        Rows from `row` on are free; one of them is taken, and comes to stand at `row`.
        """
        shared = [common(held, ids) for held in self._contents]
        source = max(range(self.rows), key=shared.__getitem__)
        oldest = min(range(row, self.rows), key=self._used.__getitem__)
        # A row that is about to be continued is taken over; of one that others may continue, the beginning is copied.
        own = source >= row and 4 * shared[source] >= 3 * len(self._contents[source])
        taken = source if own else oldest
        if taken != source:
            self._copy(source, taken, shared[source])
        self.hold(taken, ids[: shared[source]])
        self.swap(taken, row)
        return shared[source]

    def swap(self, a: int, b: int) -> None:
        """Exchange two rows."""
        if a != b:
            columns = max(len(self._contents[a]), len(self._contents[b]))
            for layer in self._layers:
                layer.swap(a, b, columns)
            self._contents[a], self._contents[b] = self._contents[b], self._contents[a]
            self._used[a], self._used[b] = self._used[b], self._used[a]

    def rows_for(self, length: int) -> int:
        """How many rows there are once one of them holds `length` tokens."""
        return self._rows_of(self._columns_for(length))

    def reserve(self, length: int) -> None:
        """Make room for sequences of `length` tokens. There may be fewer rows afterwards: those at the end go."""
        columns = self._columns_for(length)
        if columns > self.columns:
            self._resize(columns)

    def _columns_for(self, length: int) -> int:
        columns = self.columns
        while columns < length:
            columns *= 2
        return min(columns, self.max_length)

    def _rows_of(self, columns: int) -> int:
        return max(1, min(self._max_rows, self._memory // (self._token_bytes * columns)))

    def _resize(self, columns: int) -> None:
        self.columns, self.rows = columns, self._rows_of(columns)
        for layer in self._layers:
            layer.resize(self.rows, columns)
        missing = max(0, self.rows - len(self._contents))
        self._contents = [*self._contents[: self.rows], *[_NOTHING] * missing]
        self._used = [*self._used[: self.rows], *[0] * missing]

    def _copy(self, source: int, target: int, columns: int) -> None:
        for layer in self._layers:
            layer.copy(source, target, columns)

    def _measure(self) -> int:
        """Bytes of a token in all layers, seen in a first forward pass."""
        self.forward(0, [[0]], [0])
        kept = [states for layer in self._layers for states in (layer.keys, layer.values) if states is not None]
        return sum(states[0, :, 0].numel() * states.element_size() for states in kept)

    def _mask(self, positions: torch.Tensor, width: int) -> Any:
        """What each token sees, [row, 1, token, column] to be added to the scores; by kind where layers differ."""
        import torch

        dtype = self._model.dtype
        columns = torch.arange(width, device=positions.device)
        seen = columns <= positions[:, :, None]
        masks = dict(self._seen_by_kind(seen, columns, positions))
        hidden = torch.finfo(dtype).min
        built = {
            kind: torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, hidden)[:, None]
            for kind, seen in masks.items()
        }
        return built if len(built) > 1 else next(iter(built.values()))

    def _seen_by_kind(
        self, seen: torch.Tensor, columns: torch.Tensor, positions: torch.Tensor
    ) -> Iterator[tuple[str, torch.Tensor]]:
        sliding = getattr(self._config, "sliding_window", None)
        kinds = getattr(self._config, "layer_types", None) or [
            "sliding_attention" if sliding is not None else "full_attention"
        ]
        for kind in sorted(set(kinds)):
            yield kind, seen & (columns > positions[:, :, None] - sliding) if kind == "sliding_attention" else seen


def common(a: Ids, b: Ids) -> int:
    """How many tokens two sequences share from their start."""
    length = min(len(a), len(b))
    differ = np.flatnonzero(a[:length] != b[:length])
    return int(differ[0]) if len(differ) else length
