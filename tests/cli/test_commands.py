"""The command line as a user meets it: exit codes, one clear line for every mistake, and --help at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support import call, step, trajectory, write_dataset

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "examples/demo.jsonl"


def purify(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = "from purify_cli.main import run; run()"
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, timeout=120
    )


def good(*arguments: str | Path) -> str:
    ended = purify(*arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def bad(*arguments: str | Path) -> str:
    """The one line a mistake gets; never a traceback."""
    ended = purify(*arguments)
    assert ended.returncode == 2, ended
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_the_main_job(tmp_path: Path) -> None:
    rollouts, purified, back = (tmp_path / name for name in ("rollouts", "purified", "back"))
    said = good("import", DEMO, "-o", rollouts)
    assert "format openai" in said and "32 records = 32 read + 0 rejected" in said
    said = good("clean", rollouts, "-o", purified, "--workers", "2")
    assert "shallow" in said and "refused" in said
    assert "finding" not in good("verify", purified, "--parent", rollouts)
    assert json.loads(good("verify", purified, "--json"))["findings"] == []
    assert good("inspect", purified, "--edited", "--limit", "2")
    assert json.loads(good("stats", purified, "--json"))
    assert "identical to the raw dataset" in good("restore", purified, "-o", back)


def test_verify_exits_1_on_findings(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "raw", [trajectory(step(call("a")))])
    shard = tmp_path / "raw" / dataset.manifest.shards[0].path
    shard.write_bytes(shard.read_bytes()[:-1])
    ended = purify("verify", tmp_path / "raw")
    assert ended.returncode == 1 and "sha256 differs" in ended.stdout


def test_options_come_from_yaml_and_the_command_line_wins(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [trajectory(step(call("abcd", "error")), step(call("abce")))])
    options = tmp_path / "options.yaml"
    options.write_text("gamma: 0.9\nmax-retries: 2\ngates: off\ntool_state: {python: stateless}\n")
    good("clean", tmp_path / "raw", "-o", tmp_path / "out", "--config", options, "--gamma", "0.7")
    config = json.loads((tmp_path / "out/manifest.json").read_text())["config"]
    assert (config["gamma"], config["max_retries"], config["gates"]) == (0.7, 2, [])
    assert config["tool_state"] == {"python": "stateless"}

    options.write_text("gama: 0.9\n")
    line = bad("clean", tmp_path / "raw", "-o", tmp_path / "x", "--config", options)
    assert f"{options}: unknown option 'gama'; known: gamma," in line
    options.write_text("gamma: high\n")
    assert "--gamma: Input should be a valid number" in bad(
        "clean", tmp_path / "raw", "-o", tmp_path / "x", "--config", options
    )
    options.write_text("gamma: [")
    assert "not YAML" in bad("clean", tmp_path / "raw", "-o", tmp_path / "x", "--config", options)
    assert "No such file" in bad("clean", tmp_path / "raw", "-o", tmp_path / "x", "--config", tmp_path / "none")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "/nowhere", "-o", "{out}"], "/nowhere: no such file or directory"),
        (["import", "{raw}", "-o", "{out}"], "is a purify dataset already"),
        (["import", DEMO, "-o", "{out}", "--format", "pickle"], "format 'pickle' is unknown"),
        (["import", DEMO, "-o", "{raw}"], "already holds a dataset"),
        (["import", DEMO, "-o", "{out}", "--overwrite", "--resume"], "choose one"),
        (["import", DEMO, "-o", "{out}", "--tool-state", "python"], "expected NAME=VALUE"),
        (["import", DEMO, "-o", "{out}", "--tool-state", "python=liquid"], "--tool-state: Input should be"),
        (["clean", "/nowhere", "-o", "{out}"], "/nowhere: no such directory"),
        (["clean", "{raw}", "-o", "{raw}", "--overwrite"], "is the input, or lies inside it"),
        (["clean", "{raw}", "-o", "{out}", "--gamma", "2"], "--gamma: Input should be less than or equal to 1"),
        (["clean", "{raw}", "-o", "{out}", "--chain", "loop"], "--chain: Input should be 'first' or 'cascade'"),
        (["clean", "{raw}", "-o", "{out}", "--apply-to", "winners"], "needs rewards"),
        (["restore", "{raw}", "-o", "{out}"], "nothing to restore"),
        (["verify", "/nowhere"], "no such directory"),
        (["stats", "/nowhere"], "no such directory"),
        (["inspect", "/nowhere"], "no such directory"),
        (["clean", "{raw}"], "Missing option"),
        (["polish"], "No such command"),
    ],
)
def test_bad_use_is_one_clear_line(tmp_path: Path, arguments: list[str | Path], message: str) -> None:
    raw = tmp_path / "raw"
    write_dataset(raw, [trajectory(step(call("a")))])
    filled = [str(argument).format(raw=raw, out=tmp_path / "out") for argument in arguments]
    assert message in bad(*filled)
    assert not (tmp_path / "out").exists()


def test_stages_that_change_nothing_say_so(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [trajectory(step(call("a")))])
    assert "no failed call in the dataset" in purify("clean", tmp_path / "raw", "-o", tmp_path / "a").stderr
    write_dataset(tmp_path / "open", [trajectory(step(call("a", "error")))])
    assert "nothing was edited" in purify("clean", tmp_path / "open", "-o", tmp_path / "b").stderr
    (tmp_path / "empty.jsonl").write_text("")
    assert "no rows" in purify("import", tmp_path / "empty.jsonl", "-o", tmp_path / "c").stderr


def test_undeclared_tools_are_pointed_out(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [trajectory(step(call("abcd", "error")), step(call("abce")), states={})])
    assert "--tool-state NAME=external" in purify("clean", tmp_path / "raw", "-o", tmp_path / "a").stderr


def test_misspelt_tools_and_repeated_samples_are_pointed_out(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [trajectory(step(call("a", "error")))])
    said = purify("clean", tmp_path / "raw", "-o", tmp_path / "a", "--tool-state", "pyhton=external").stderr
    assert "no row has a tool pyhton; there are python" in said
    lines = DEMO.read_text().splitlines()
    (tmp_path / "twice.jsonl").write_text("\n".join([*lines, lines[0]]))
    said = purify("import", tmp_path / "twice.jsonl", "-o", tmp_path / "b").stderr
    assert "1 row(s) repeat a (task, sample) pair" in said


def test_a_reader_that_leaves_is_no_error() -> None:
    program = f"{sys.executable} -c 'from purify_cli.main import run; run()'"
    command = f"set -o pipefail; {program} schema | head -c 10"
    assert subprocess.run(["bash", "-c", command], capture_output=True, cwd=ROOT).returncode == 0


def test_schema_is_json_schema() -> None:
    schema = json.loads(good("schema"))
    assert schema["title"] == "Trajectory" and schema["x-purify-schema-version"] == 1


def test_help_loads_no_heavy_library() -> None:
    program = (
        "import sys\nfrom purify_cli.main import app\n"
        "heavy = {'pyarrow', 'polars', 'numpy', 'torch', 'ijson', 'datasets', 'yaml'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    start = time.perf_counter()
    assert "clean" in good("--help")
    assert good("--version") == f"purify {version('purify-trajectories')}\n"
    assert time.perf_counter() - start < 30, "a hang, not a measurement"


def test_every_command_has_an_example() -> None:
    for command in ("import", "clean", "restore", "inspect", "stats", "verify", "schema"):
        assert f"Example: purify {command}" in good(command, "--help")


def test_ctrl_c_keeps_finished_shards(tmp_path: Path) -> None:
    rows = [trajectory(step(call("abcd", "error")), step(call("abce")), id=f"t{n}") for n in range(300)]
    write_dataset(tmp_path / "raw", rows, shards=150)
    program = "from purify_cli.main import run; run()"
    command = [sys.executable, "-c", program, "clean", str(tmp_path / "raw"), "-o", str(tmp_path / "out")]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out/.partial/00002.done").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert said == "purify: interrupted; finished shards are kept, add --resume to go on\n"
    assert "300 rows" in good("clean", tmp_path / "raw", "-o", tmp_path / "out", "--resume")
