"""Labels of tokens, as trainers take them."""

from __future__ import annotations

IGNORED = -100
"""The label of a token without a loss (torch.nn.CrossEntropyLoss)."""
