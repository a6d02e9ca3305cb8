"""What both sides of the sandbox agree on."""

from __future__ import annotations

import struct

KEEPER_UID, PROGRAM_UID = 0, 1000
"""Inside. Outside they are root and nobody if root runs the sandbox, otherwise both are who runs it."""

DESCRIPTORS = 5
"""A child's: control (PID 1's), channel (the runner's), standard input, output and error."""

READY = b"+"
"""The runner's first byte, before it reads the job: without it the sandbox failed, not the program."""

STATUS = struct.Struct("<i")
"""The program's exit code, or minus its signal, from the warm interpreter to PID 1."""

SESSION = b"session"
PROGRAM = b"program"
