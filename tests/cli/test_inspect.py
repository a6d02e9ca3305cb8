"""`purify inspect` as a user sees it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import suppress
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from purify.cleaning import clean
from purify.errors import PurifyError
from purify.saar import SaarConfig
from purify_cli.main import app
from purify_cli.show_trajectory import show_trajectory
from purify_schemas import Call, Provenance, Trajectory
from tests.support import call, step, trajectory, write_dataset

BAD = call("n = 7\nprint(x * n)", "error", error_type="NameError")
GOOD = call("n = 7\nprint(6 * n)")
SHALLOW = trajectory(
    step(BAD, think="Multiply six by seven.", result="NameError: x"),
    step(GOOD, think="I meant six.", result="42"),
    step(think="It is 42."),
    id="shallow",
    reward=1,
)
DEEP = trajectory(step(call("abc", "error")), step(call("12345"), think="Anew.", result="ok"), id="deep")
GATE = trajectory(
    step(call("rm", "error", name="bash"), result="no"),
    step(call("rm -r", name="bash"), result="yes"),
    step(think="Removed."),
    id="gate",
    states={"bash": "external"},
)
HOSTILE = trajectory(
    step(
        Call(
            name="\x1b[5mtool", arguments='{"code": "[bold]\\u001b[31m"}', status="error", error_type="\x1b]0;own\x07E"
        ),
        think="[red]\x00" + "w" * 5000,
        result="\x1b[2J" + "\n".join(f"line {number} :smile:" for number in range(50)),
    ),
    id="\x1b[7mhostile",
    group="[link=http://x]task",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inspect")
    write_dataset(path / "raw", [SHALLOW, DEEP, GATE, HOSTILE])
    clean(path / "raw", path / "purified")
    return path


def run(*arguments: object, width: int = 80) -> Result:
    return CliRunner().invoke(app, ["inspect", *map(str, arguments)], env={"COLUMNS": str(width)})


def lines(*arguments: object, width: int = 80) -> list[str]:
    result = run(*arguments, width=width)
    assert result.exit_code == 0, result.exception
    return [line.rstrip() for line in result.stdout.splitlines()]


def test_shallow_edit_on_a_narrow_terminal(folder: Path) -> None:
    assert lines(folder / "purified", "--row", 0) == [
        "row 0 · shallow " + "─" * 64,
        "task g0 · reward 1 · 3 → 2 steps",
        "user  What is 6 times 7?",
        "",
        "shallow edit of steps 0, 1",
        "  kept the reasoning of step 0, grafted the call and result of step 1",
        "  similarity of 0 and 1: 0.944 ≥ gamma 0.5 → shallow (difflib)",
        "  state gate: pass",
        "before",
        "  ✗ step 0  python error NameError",
        "    reasoning  Multiply six by seven.",
        "    call       n = 7",
        "               print(x * n)",
        "    result     NameError: x",
        "  ✓ step 1  python ok",
        "    reasoning  I meant six.",
        "    call       n = 7",
        "               print(6 * n)",
        "    result     42",
        "after",
        "  ✓ step 0  python ok",
        "    reasoning  Multiply six by seven.",
        "    call       n = 7",
        "               print(6 * n)",
        "    result     42",
        "difference of the calls",
        "  @@ -1,2 +1,2 @@",
        "   n = 7",
        "  -print(x * n)",
        "  +print(6 * n)",
        "",
        "· step 2 → 1  It is 42.",
        "",
        "1 to 1 of 1 matching trajectories",
    ]


def test_deep_edit_side_by_side_on_a_wide_terminal(folder: Path) -> None:
    shown = lines(folder / "purified", "--granularity", "deep", width=100)
    first = shown.index("deep edit of steps 0, 1")
    assert shown[first + 1 : first + 4] == [
        "  dropped step 0; step 1 stays as it is",
        "  similarity of 0 and 1: 0.000 < gamma 0.5 → deep (difflib)",
        "  state gate: pass",
    ]
    assert [[side.strip() for side in line.split("│")] for line in shown[first + 6 : first + 12]] == [
        ["✗ step 0  python error", "✓ step 0  python ok"],
        ["reasoning  thinking", "reasoning  Anew."],
        ["call       abc", "call       12345"],
        ["✓ step 1  python ok", "result     ok"],
        ["reasoning  Anew.", ""],
        ["call       12345", ""],
    ]
    assert "difference of the calls" not in shown


def test_refused_edit_says_why(folder: Path) -> None:
    shown = lines(folder / "purified", "--reason", "gate")
    assert shown[4:8] == [
        "not edited: steps 0, 1 (gate)",
        "  bash changes external state",
        "  similarity of 0 and 1: 0.571 ≥ gamma 0.5 → shallow (difflib)",
        "  state gate: refuse",
    ]
    assert "before" not in shown


def test_raw_trajectories_are_shown_with_their_statuses(folder: Path) -> None:
    shown = lines(folder / "raw", "--row", 2)
    assert shown[4:-2] == [
        "✗ step 0  bash error",
        "  reasoning  thinking",
        "  call       rm",
        "  result     no",
        "✓ step 1  bash ok",
        "  reasoning  thinking",
        "  call       rm -r",
        "  result     yes",
        "· step 2",
        "  reasoning  Removed.",
    ]


def test_arguments_that_are_no_code_are_shown_one_a_line(tmp_path: Path) -> None:
    arguments = '{"to": "SEA", "from": "JFK"}'
    row = trajectory(step(Call(name="search", arguments=arguments, status="ok"), think="", result="none"))
    write_dataset(tmp_path / "raw", [row])
    assert lines(tmp_path / "raw")[4:9] == [
        "✓ step 0  search ok",
        "  call       {",
        '               "from": "JFK",',
        '               "to": "SEA"',
        "             }",
    ]


@pytest.mark.parametrize("options", [(), ("--full",)])
@pytest.mark.parametrize("width", [40, 80, 140])
@pytest.mark.parametrize("dataset", ["raw", "purified"])
def test_hostile_text_is_only_text(folder: Path, dataset: str, width: int, options: tuple[str, ...]) -> None:
    shown = lines(folder / dataset, "--row", 3, *options, width=width)
    text = "\n".join(shown)
    assert not [char for char in text if char != "\n" and ord(char) < 32]
    assert max(map(len, shown)) <= width
    for literal in ("[bold]", "[red]␀w", "row 3 · hostile", "[link=http://x]task", "tool error E", ":smile:"):
        assert literal in text
    assert ("… 45 lines" in text) is not bool(options)
    assert ("… 4,766 characters" in " ".join(text.split())) is not bool(options) or width == 40


def test_failed_calls_that_are_left(folder: Path) -> None:
    def titles(*options: str) -> list[str]:
        return [line.split()[3] for line in lines(folder / "purified", *options) if line.startswith("row ")]

    assert titles("--failed") == ["gate", "hostile"]
    assert titles("--failed", "--tool", "bash") == ["gate"]
    assert titles("--error-type", "NameError") == ["shallow"]
    assert lines(folder / "purified", "--failed", "--error-type", "NameError") == [
        f"{folder / 'purified'}: no row matches all of --error-type NameError (1 alone), --failed (2 alone)"
    ]


def test_pages_and_the_line_below_them(folder: Path) -> None:
    assert lines(folder / "purified", "--limit", 3)[-1] == "1 to 3 of 4 matching trajectories; --page 2 shows more"
    assert lines(folder / "purified", "--limit", 3, "--page", 2)[-1] == "4 to 4 of 4 matching trajectories"
    assert lines(folder / "purified", "--page", 2) == [
        f"{folder / 'purified'}: there is no page 2: 4 matching row(s) fill 1 page(s)"
    ]


def test_no_match_is_no_failure(folder: Path) -> None:
    (line,) = lines(folder / "purified", "--error-type", "KeyError")
    assert line == (
        f"{folder / 'purified'}: no row matches --error-type KeyError; "
        "error types of this dataset: (no type) (2), E (1), NameError (1)"
    )


def test_json_lines_are_all_matching_rows(folder: Path) -> None:
    result = run(folder / "raw", "--json")
    rows = [Trajectory.model_validate(json.loads(line)) for line in result.stdout.splitlines()]
    assert rows == [SHALLOW, DEEP, GATE, HOSTILE]
    nothing = run(folder / "raw", "--json", "--tool", "none")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "no row matches --tool none" in nothing.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("raw", "--edited"), "is a raw dataset"),
        (("purified", "--reason", "luck"), "--reason: Input should be 'unresolved'"),
        (("purified", "--row", "9"), "there is no row 9"),
        (("nowhere",), "no such directory"),
    ],
)
def test_bad_use(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run(folder / arguments[0], *arguments[1:])
    assert isinstance(result.exception, PurifyError)
    assert message in str(result.exception)


def test_rows_left_raw_say_so(folder: Path, tmp_path: Path) -> None:
    clean(folder / "raw", tmp_path / "mixed", SaarConfig(fraction=0))
    shown = lines(tmp_path / "mixed", "--row", 0)
    assert shown[1] == "task g0 · reward 1 · 3 steps · left raw on purpose (fraction, apply_to)"
    assert shown[4] == "✗ step 0  python error NameError  n = 7 print(x * n) ⇒ NameError: x"


def test_rows_edited_while_generating_say_so() -> None:
    online = SHALLOW.model_copy(update={"provenance": Provenance(method="saar", config_digest="c", online=True)})
    screen = StringIO()
    show_trajectory(0, online, Console(width=120, file=screen), full=False)
    assert "edited while generating: there is no raw trajectory to show" in screen.getvalue()


def test_as_a_program_closing_the_pipe_early_is_fine(folder: Path) -> None:
    program = [sys.executable, "-c", "from purify_cli.main import run; run()"]
    whole = subprocess.run([*program, "inspect", str(folder / "purified"), "--edited"], capture_output=True, text=True)
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.startswith("row 0 · shallow ─")
    with subprocess.Popen(
        [*program, "inspect", str(folder / "purified"), "--full"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert (process.wait(), process.stderr.read()) == (0, "")


def on_a_terminal(*arguments: object) -> str:
    """What `purify inspect` writes to a terminal of its own, once `q` has been pressed."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    program = [sys.executable, "-c", "from purify_cli.main import run; run()", "inspect", *map(str, arguments)]
    with subprocess.Popen(program, stdin=its, stdout=its, stderr=its, env=os.environ | {"TERM": "xterm"}) as process:
        os.close(its)
        written = b""
        with suppress(OSError):  # the terminal is gone: the program has ended
            while chunk := os.read(ours, 65536):
                written += chunk
                if b"error types" in written:
                    os.write(ours, b"q")
        os.close(ours)
        assert process.wait() == 0
    return written.decode()


def test_on_a_terminal_it_is_the_browser(folder: Path) -> None:
    written = on_a_terminal(folder / "purified", "--edited")
    assert "error types" in written
    assert "--edited" in written
    assert "matching trajectories" not in written


@pytest.mark.parametrize("option", ["--print", "--full", "--limit=1", "--page=1"])
def test_on_a_terminal_it_prints_if_told(folder: Path, option: str) -> None:
    assert "matching trajectories" in on_a_terminal(folder / "purified", option)


def test_the_command_line_starts_without_textual() -> None:
    program = "import sys; from purify_cli import main; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
