"""Stop strings: whether the text of the generated ids contains one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def stop_finder(tokenizer: Any, stops: Sequence[str]) -> Callable[[list[int]], bool] | None:
    """A function to ask after every generated id; None where there is nothing to look for.

    Special tokens are text here: `<|im_end|>` can be a stop string.
    """
    wanted = [stop for stop in stops if stop]
    if not wanted:
        return None
    # A token is at least one byte, and all before the last id was looked at before; the rest is for characters
    # that are cut at the window's start.
    window = max(len(stop.encode()) for stop in wanted) + 8

    def contains(generated: list[int]) -> bool:
        text = tokenizer.decode(generated[-window:], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return any(stop in text for stop in wanted)

    return contains
