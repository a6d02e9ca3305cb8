"""Which sampled tokens are reasoning and which are the call: offsets of tokens in the text, in linear time.

Ids are never tokenised again; the text is what they decode to, token by token.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, NamedTuple

from purify.chat.turn import GeneratedTurn
from purify_schemas import Segment
from purify_schemas.names import Boundary


class Decoded(NamedTuple):
    """A text and, for each token, where in the text it ends. A token that only begins a character ends before it."""

    text: str
    ends: list[int] | None
    """None where the tokenizer cannot decode these one at a time."""


def decode(tokenizer: Any, token_ids: list[int]) -> Decoded:
    """Decode a generation (special tokens shown), keeping track of where each token's text ends."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return Decoded(str(tokenizer.decode(token_ids, skip_special_tokens=False)), None)
    from tokenizers.decoders import DecodeStream

    stream = DecodeStream(skip_special_tokens=False)
    pieces, ends, length = [], [], 0
    for token in token_ids:
        try:
            piece = stream.step(backend, token)
        except Exception:  # the library has no class of its own: bytes that are no text, of a byte-fallback decoder
            return Decoded(str(tokenizer.decode(token_ids, skip_special_tokens=False)), None)
        if piece is not None:
            pieces.append(piece)
            length += len(piece)
        ends.append(length)
    return Decoded("".join(pieces), ends)


def split_ids(
    turn: GeneratedTurn, decoded: Decoded, token_ids: list[int], logprobs: list[float]
) -> tuple[Segment, Segment, Boundary]:
    """The two segments of a turn and how clean the cut between their ids is.

    `token_ids` may be longer than what was decoded: the tokens that end a turn have no text and belong to its last
    segment. A token with text of both sides belongs to the action.
    """
    reasoning, action = turn.reasoning or "", turn.action
    if action is None:
        return Segment(text=turn.reasoning, token_ids=token_ids, logprobs=logprobs), _EMPTY, "exact"
    if decoded.ends is None:
        whole = Segment(text=reasoning, token_ids=token_ids, logprobs=logprobs)
        return whole, Segment(text=action), "unknown"
    at = len(reasoning)
    cut = bisect_right(decoded.ends, at)
    clean = at == (decoded.ends[cut - 1] if cut else 0)
    return (
        Segment(text=reasoning, token_ids=token_ids[:cut], logprobs=logprobs[:cut]),
        Segment(text=action, token_ids=token_ids[cut:], logprobs=logprobs[cut:]),
        "exact" if clean else "straddled",
    )


_EMPTY = Segment(token_ids=[], logprobs=[])
