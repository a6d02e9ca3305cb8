"""The demo: what purifying does to a tiny policy, in a few minutes on a laptop.

    purify demo -o demo/

The commands it runs are those of anyone's own data, and it shows each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from purify.lazy import lazy

if TYPE_CHECKING:
    from purify.demo.config import DemoConfig
    from purify.demo.report import write_report
    from purify.demo.script import Scene, scenes, set_up

__all__ = ["DemoConfig", "Scene", "scenes", "set_up", "write_report"]

__getattr__ = lazy(
    __name__,
    {
        "DemoConfig": "config",
        "Scene": "script",
        "scenes": "script",
        "set_up": "script",
        "write_report": "report",
    },
    extra="demo",
)
