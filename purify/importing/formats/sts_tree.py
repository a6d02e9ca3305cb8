"""The tree of messages in a session of llama.app, which keeps every answer that was asked for again.

    root - user - assistant (a)                     two ways: user, a  and  user, b, user, c
                  assistant (b) - user - assistant (c)

Each message names its `parent`. The root is an empty message that only holds the tree, and is left out.

Field names: an export of llama.app.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from purify.errors import RejectedRecordError

MOST = 100_000
"""So many messages may the ways through one tree have in all, as each repeats what is before its branch."""


def ways_through(lines: Sequence[Any]) -> list[list[int]]:
    """The lines of each conversation, as positions: those of each way to a leaf, else all but the header.

    It is a tree only if every message says where it hangs, and on an earlier one. Raises `RejectedRecordError` where
    its ways have more than `MOST` messages.
    """
    told = [line.get("message") if isinstance(line, dict) else None for line in lines[1:]]
    messages = [message if isinstance(message, dict) else {} for message in told]
    places = {message["id"]: at for at, message in enumerate(messages, 1) if isinstance(message.get("id"), str)}
    parents = {at: places.get(p) if isinstance(p := m.get("parent"), str) else None for at, m in enumerate(messages, 1)}
    hung = any(parents.values()) and all("parent" in message for message in messages)
    if not hung or any(parent is not None and parent >= at for at, parent in parents.items()):
        return [list(parents)]
    leaves = sorted(parents.keys() - set(parents.values()))
    _check_length(parents, leaves)
    found = []
    for leaf in leaves:
        way: list[int] = []
        at: int | None = leaf
        while at is not None:
            way.append(at)
            at = parents[at]
        found.append([at for at in way[::-1] if not _is_root(messages[at - 1])])
    return found


def _check_length(parents: Mapping[int, int | None], leaves: Sequence[int]) -> None:
    """Refuse a tree before its ways are built. One way alone repeats nothing, however long."""
    depths: dict[int, int] = {}
    for at, parent in parents.items():
        depths[at] = 1 if parent is None else depths[parent] + 1
    total = sum(depths[leaf] for leaf in leaves)
    if len(leaves) > 1 and total > MOST:
        raise RejectedRecordError(
            f"the {len(leaves):,} ways through its tree have too many messages: {total:,}, at most {MOST:,} are read; "
            "remove answers that are not needed"
        )


def _is_root(message: Mapping[str, Any]) -> bool:
    return message.get("type") == "root" and message.get("content") == "" and message.get("parent") is None
