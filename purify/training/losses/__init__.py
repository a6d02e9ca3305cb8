"""Losses: one algorithm a file, each a pure function of `Tokens` that can be checked by hand; see `algorithms.py`."""
