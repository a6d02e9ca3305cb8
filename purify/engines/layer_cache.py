"""One layer's keys and values in the cache of `purify.engines.slots`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Window:
    """Where the forward pass that is running reads and writes; shared by all layers."""

    first: int
    last: int
    width: int
    rows: torch.Tensor
    """[batch, 1]"""
    columns: torch.Tensor
    """[batch, tokens]: the token's position; the spare column for padding."""


class LayerCache:
    """One layer's keys and values, [row, head, column, dim], as `transformers.Cache` expects a layer to behave."""

    is_sliding = False
    is_compileable = False
    supports_early_init = False

    def __init__(self, window: Window, rows: int, columns: int) -> None:
        self._window = window
        self._shape = (rows, columns)
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        window = self._window
        if self.keys is None or self.values is None:
            self.keys, self.values = (self._empty(states, *self._shape) for states in (key_states, value_states))
        for kept, states in ((self.keys, key_states), (self.values, value_states)):
            kept[window.rows, :, window.columns] = states.transpose(1, 2)
        rows = slice(window.first, window.last)
        return self.keys[rows, :, : window.width], self.values[rows, :, : window.width]

    def resize(self, rows: int, columns: int) -> None:
        if self.keys is not None and self.values is not None:
            self.keys, self.values = (self._resized(kept, rows, columns) for kept in (self.keys, self.values))
        self._shape = (rows, columns)

    def copy(self, source: int, target: int, columns: int) -> None:
        for kept in (self.keys, self.values):
            if kept is not None:
                kept[target, :, :columns] = kept[source, :, :columns]

    def swap(self, a: int, b: int, columns: int) -> None:
        for kept in (self.keys, self.values):
            if kept is not None:
                held = kept[a, :, :columns].clone()
                kept[a, :, :columns] = kept[b, :, :columns]
                kept[b, :, :columns] = held

    def _resized(self, kept: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        larger = self._empty(kept, rows, columns)
        both = min(rows, self._shape[0]), min(columns, self._shape[1])
        larger[: both[0], :, : both[1]] = kept[: both[0], :, : both[1]]
        return larger

    @staticmethod
    def _empty(like: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
        # Zeros, and one column more for padding: a masked column counts nothing, unless it holds a NaN.
        return like.new_zeros(rows, like.shape[1], columns + 1, like.shape[3])
