"""What a demonstration shows is what the sandbox shows."""

from __future__ import annotations

import asyncio
import shutil
from itertools import islice

import pytest

from purify.sandbox import Execution
from purify.sandbox.bubblewrap import Bubblewrap
from purify.toy.config import DESIGNS
from purify.toy.demonstrations import draw_demonstrations
from purify.toy.execution import execute


def test_the_text_is_output_then_traceback() -> None:
    execution = execute("x = 'ab'\nprint(x)\nprint(x[2])")
    assert (execution.status, execution.error_type) == ("error", "IndexError")
    assert execution.text == (
        "ab\n"
        "Traceback (most recent call last):\n"
        '  File "/tmp/main.py", line 3, in <module>\n'
        "    print(x[2])\n"
        "          ~^^^\n"
        "IndexError: string index out of range"
    )


def test_programs_share_no_names() -> None:
    assert execute("left = 1").status == "ok"
    assert execute("print(left)").error_type == "NameError"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_the_sandbox_shows_the_same_bytes() -> None:
    demonstrations = islice(draw_demonstrations(DESIGNS["B"], frozenset(), 3), 60)
    here = {attempt.code: attempt.execution for shown in demonstrations for attempt in shown.attempts}

    async def there() -> list[Execution]:
        sandbox = Bubblewrap(workers=1)
        try:
            return [await sandbox.run(code) for code in here]
        finally:
            await sandbox.close()

    for code, execution in zip(here, asyncio.run(there()), strict=True):
        assert execution.text == here[code].text, code
        assert (execution.status, execution.error_type) == (here[code].status, here[code].error_type), code
    kinds = {execution.error_type for execution in here.values()}
    assert kinds == {None, "NameError", "TypeError", "SyntaxError", "IndexError"}
