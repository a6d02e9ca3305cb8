"""What the documents show works: presets, rules, Python, commands and their options, links, the command line's page."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from purify.exporting.config import ExportFormat
from purify.exporting.registry import EXPORTERS
from purify.importing import ImportConfig, import_dump
from purify.importing.registry import IMPORTERS
from purify_cli.main import app

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)


def test_the_preset_and_the_rules_of_the_documentation_work(tmp_path: Path) -> None:
    preset, rules = blocks("docs/formats.md", "yaml")
    (tmp_path / "mine.yaml").write_text(preset)
    (tmp_path / "rules.yaml").write_text(rules)
    chat = [
        {"who": "user", "say": "One?"},
        {"who": "bot", "say": "Let me see. <run>print(1)</run>"},
        {"who": "env", "say": "quota exceeded, try later"},
    ]
    (tmp_path / "d.jsonl").write_text(json.dumps({"id": 7, "chat": chat, "score": 1}))
    config = ImportConfig(preset=str(tmp_path / "mine.yaml"), rules=str(tmp_path / "rules.yaml"))
    dataset = import_dump(tmp_path / "d.jsonl", tmp_path / "out", config).dataset
    (row,) = dataset
    (step,) = row.steps
    assert (step.reasoning.text, step.calls[0].arguments) == ("Let me see. ", '{"code":"print(1)"}')
    assert (step.calls[0].status, row.reward, row.task_id) == ("infra", 1.0, "7")
    assert str(tmp_path) not in (tmp_path / "out/manifest.json").read_text()


@pytest.mark.parametrize("document", ["README.md", "docs/formats.md", "docs/quickstart.md"])
def test_the_python_of_the_documents_runs(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    import_dump(ROOT / "examples/demo.jsonl", "rollouts")
    for code in blocks(document, "python"):
        if "purify.clean" not in code:
            import purify

            purify.clean("rollouts", "purified")
        exec(compile(code, document, "exec"), {})


def test_every_format_is_in_the_documentation() -> None:
    read, _, written = (ROOT / "docs/formats.md").read_text().partition("## What `purify export --to` writes")
    described = re.findall(r"^\| `([\w-]+)` \|", read, re.MULTILINE)
    assert sorted(described) == sorted(IMPORTERS)
    assert ImportConfig.model_fields["format"].description is not None
    listed = ImportConfig.model_fields["format"].description.partition(", or auto")[0].split(", ")
    assert listed == sorted(IMPORTERS)
    assert re.findall(r"^\| `([\w-]+)` \|", written.partition("\n## ")[0], re.MULTILINE) == list(get_args(ExportFormat))
    assert set(get_args(ExportFormat)) == set(EXPORTERS)


DOCUMENTS = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))]


def commands(document: str) -> Iterator[list[str]]:
    """The arguments of every `purify ...` on a line of code."""
    for line in (ROOT / document).read_text().splitlines():
        for part in line.removeprefix("    ").split(" && ") if line.startswith("    ") else ():
            if found := re.match(r"(?:torchrun \S+ \S+ -m purify\.(?=train )|purify )(?=[a-z])(.*)", part):
                yield shlex.split(found.group(1).partition("  #")[0], comments=True)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_in_the_documents_have_these_options(document: str) -> None:
    group: Any = typer.main.get_command(app)
    for name, *words in commands(document):
        assert name in group.commands, f"{document}: purify {name}"
        command = group.commands[name]
        known = {spelling for each in command.params for spelling in (*each.opts, *each.secondary_opts)}
        if words and words[0] != "[OPTIONS]":
            used = {word.partition("=")[0] for word in words if word.startswith("-")}
            assert used <= known | {"-h", "--help"}, f"{document}: purify {name} {' '.join(words)}"


def test_commands_are_found() -> None:
    assert ["stats", "rollouts/"] in commands("docs/quickstart.md")
    assert sum(1 for document in DOCUMENTS for _ in commands(document)) > 40


def test_the_quickstart_works_as_written(tmp_path: Path) -> None:
    """Its first part: a dump of one's own. The second takes a model and a GPU."""
    first = (ROOT / "docs/quickstart.md").read_text().partition("## Your own model")[0].count("\n    purify ")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for words in [*commands("docs/quickstart.md")][:first]:
        run = subprocess.run([sys.executable, "-m", "purify_cli", *words], cwd=tmp_path, capture_output=True, text=True)
        assert run.returncode == 0, f"purify {shlex.join(words)}: {run.stderr}"
    assert {path.name for path in tmp_path.iterdir()} == {
        "examples",
        "rollouts",
        "purified",
        "report.html",
        "again",
        "chat",
        "published",
    }


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text()
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", text, re.M)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, f"{document}: {target}"
        elif not target.startswith("http"):
            assert ((ROOT / document).parent / target.partition("#")[0]).exists(), f"{document}: {target}"


def test_the_page_of_the_command_line_is_what_the_command_line_says() -> None:
    made = subprocess.run(
        [sys.executable, "-c", "import cli; print(cli.page(), end='')"],
        cwd=ROOT / "docs",
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == (ROOT / "docs/cli.md").read_text(), "run `python docs/cli.py`"
