"""Imports point one way: schemas <- shared ground <- stages (never each other) <- command line."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGES = {"importing", "generating", "cleaning", "reporting", "toy"}
OURS = {"purify", "purify_cli", "purify_schemas"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def layer(module: str) -> tuple[str, str | None]:
    """("purify", stage or None), or the package alone."""
    parts = module.split(".")
    stage = parts[1] if parts[0] == "purify" and len(parts) > 1 and parts[1] in STAGES else None
    return parts[0], stage


def points_back(name: str, module: str) -> bool:
    """Whether an import of `module` in the module `name` goes against the order of the layers."""
    own, own_stage = layer(name)
    top, stage = layer(module)
    if top not in OURS or (name == "purify.__init__" and own == top):
        return False
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
    assert not points_back("purify.cleaning.clean", "purify.saar.rule")
    assert not points_back("purify_cli.clean", "purify.cleaning.clean")


def test_heavy_libraries_are_imported_only_where_they_are_used() -> None:
    heavy = {"torch", "transformers", "vllm", "ray", "sentence_transformers"}
    for path in (ROOT / "purify").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not {name.split(".")[0] for name in names} & heavy, path
