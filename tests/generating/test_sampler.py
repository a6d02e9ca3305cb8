from __future__ import annotations

import pytest

from purify.generating.sampler import with_instructions
from purify_schemas import Message

USER = Message(role="user", content="Q?")
SYSTEM = Message(role="system", content="Be brief.")


def system(text: str) -> Message:
    return Message(role="system", content=text)


@pytest.mark.parametrize(
    ("messages", "given", "told", "takes_system", "expected"),
    [
        ([USER], None, None, True, [USER]),
        ([SYSTEM, USER], None, None, True, [SYSTEM, USER]),
        ([USER], "S", None, True, [system("S"), USER]),
        # A task's own system message is kept; the explanation of the format comes with every one.
        ([SYSTEM, USER], "S", None, True, [SYSTEM, USER]),
        ([SYSTEM, USER], "S", "I", True, [system("Be brief.\n\nI"), USER]),
        ([USER], "S", "I", True, [system("S\n\nI"), USER]),
        ([USER], None, "I", True, [system("I"), USER]),
        # Without a system role the first user hears it.
        ([USER], None, "I", False, [Message(role="user", content="I\n\nQ?")]),
        ([SYSTEM, USER], None, "I", False, [Message(role="user", content="Be brief.\n\nI\n\nQ?")]),
        ([SYSTEM, USER], None, None, False, [Message(role="user", content="Be brief.\n\nQ?")]),
        ([USER], None, None, False, [USER]),
    ],
)
def test_what_the_model_is_told(
    messages: list[Message], given: str | None, told: str | None, takes_system: bool, expected: list[Message]
) -> None:
    assert with_instructions(messages, system=given, instruction=told, takes_system=takes_system) == expected
