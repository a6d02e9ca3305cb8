"""Imports point one way: schemas <- shared ground <- stages (never each other) <- orchestrators <- command line."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGES = {"importing", "generating", "cleaning", "scoring", "training", "reporting", "exporting", "toy"}
ORCHESTRATORS = ("evaluating", "iterating", "demo", "publishing")
"""Each may call those before it."""
ENTRY = "purify.train"
"""What torchrun starts: `purify train` under a name of its own, so it may name the command line."""
HEAVY = {"torch", "transformers", "vllm", "ray", "sentence_transformers", "peft", "trl"}
TORCH = {"lm", "training"}
"""Packages whose modules may import torch at their top. Nobody imports such a module at theirs."""
OURS = {"purify", "purify_cli", "purify_schemas"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def layer(module: str) -> tuple[str, str | None]:
    """("purify", stage or orchestrator or None), or the package alone."""
    parts = module.split(".")
    known = STAGES | set(ORCHESTRATORS)
    stage = parts[1] if parts[0] == "purify" and len(parts) > 1 and parts[1] in known else None
    return parts[0], stage


def points_back(name: str, module: str) -> bool:
    """Whether an import of `module` in the module `name` goes against the order of the layers."""
    own, own_stage = layer(name)
    top, stage = layer(module)
    if top not in OURS or (name == "purify.__init__" and own == top) or name == ENTRY:
        return False
    if own_stage in ORCHESTRATORS and stage not in ORCHESTRATORS[ORCHESTRATORS.index(own_stage) + 1 :]:
        return top == "purify_cli"  # they call stages, and the orchestrators before them
    return (
        (own == "purify_schemas" and top != own)
        or (own == "purify" and top == "purify_cli")
        or (own == "purify" and stage is not None and own_stage != stage)
    )


def violations() -> Iterator[str]:
    for folder, package in (("schemas", "purify_schemas"), ("", "purify"), ("cli", "purify_cli")):
        for path in sorted((ROOT / folder / package).rglob("*.py")):
            name = path.relative_to(ROOT / folder).with_suffix("").as_posix().replace("/", ".")
            for module in imports(path):
                if points_back(name, module):
                    yield f"{name} imports {module}"


def test_imports_point_one_way() -> None:
    assert list(violations()) == []


def test_the_check_can_fail() -> None:
    assert layer("purify.cleaning.clean") == ("purify", "cleaning")
    assert layer("purify.saar.rule") == ("purify", None)
    assert points_back("purify.cleaning.clean", "purify.importing.stage")
    assert points_back("purify.saar.rule", "purify.cleaning.clean")
    assert points_back("purify.saar.rule", "purify_cli.main")
    assert points_back("purify_schemas.rows", "purify.errors")
    assert points_back("purify.saar.rule", "purify.evaluating.evaluate")
    assert points_back("purify.training.train", "purify.evaluating.evaluate")
    assert points_back("purify.evaluating.evaluate", "purify.iterating.iterate")
    assert points_back("purify.iterating.iterate", "purify_cli.main")
    assert not points_back("purify.iterating.iterate", "purify.evaluating.evaluate")
    assert not points_back("purify.iterating.iterate", "purify.training.train")
    assert points_back("purify.iterating.iterate", "purify.demo.report")
    assert not points_back("purify.demo.report", "purify.iterating.iterate")
    assert not points_back("purify.cleaning.clean", "purify.saar.rule")
    assert not points_back("purify_cli.clean", "purify.cleaning.clean")


def test_heavy_libraries_are_imported_only_where_they_are_used() -> None:
    for path in (ROOT / "purify").rglob("*.py"):
        package = path.relative_to(ROOT / "purify").parts[0]
        if package in TORCH and path.name not in ("__init__.py", "config.py"):
            continue
        for node in ast.parse(path.read_text()).body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not {name.split(".")[0] for name in names} & HEAVY, path


def test_the_command_line_loads_nothing_heavy() -> None:
    code = f"import purify, purify_cli.main, sys; print(sorted({HEAVY | {'pyarrow', 'polars'}} & set(sys.modules)))"
    paths = [str(ROOT), str(ROOT / "cli"), str(ROOT / "schemas")]
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == "[]"
