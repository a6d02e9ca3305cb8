"""The SAAR pass over a dataset, and its undoing."""

from purify.cleaning.clean import clean
from purify.cleaning.restore import restore

__all__ = ["clean", "restore"]
