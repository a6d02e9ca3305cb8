"""A static check for interpreters that keep names between calls: can what stays depend on what an edit removes?

`state.py` decides. `cells.py` parses, `traceback.py` finds the failing line, `scopes.py`, `names.py` and `flow.py` say
which names a cell binds and reads, `effects.py` and `outside.py` what else it may have changed.
"""

from purify.saar.kernel.state import RemovedCell, depends_on_removed

__all__ = ["RemovedCell", "depends_on_removed"]
