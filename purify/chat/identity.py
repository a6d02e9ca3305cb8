"""Who a tokenizer and its chat template are: ids and prompts mean the same where these digests are equal."""

from __future__ import annotations

from typing import Any

from purify.digests import digest


def tokenizer_digest(tokenizer: Any) -> str:
    """Of the vocabulary of a Hugging Face tokenizer: every token with its id."""
    return digest(sorted(tokenizer.get_vocab().items()))


def template_digest(tokenizer: Any) -> str | None:
    """Of its chat template; None if it has none."""
    return digest(str(tokenizer.chat_template)) if tokenizer.chat_template else None
