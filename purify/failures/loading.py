"""Find and read rule files, and put the sets that extend each other in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError

from purify.errors import PurifyError
from purify.failures.format import FieldTests, Rule, RuleFile

BUILT_IN = Path(__file__).with_name("rulesets")


class NamedFile(NamedTuple):
    name: str
    path: Path
    content: RuleFile


def known_sets() -> list[str]:
    """Names of the built-in rule sets."""
    return sorted(path.stem for path in BUILT_IN.glob("*.yaml"))


def locate(name_or_path: str, named_in: Path | None = None) -> Path:
    """Path of a rule set: a file, relative to the one that names it, if it ends in .yaml or .yml; else a built-in."""
    where = f"{named_in}: " if named_in else ""
    if name_or_path.endswith((".yaml", ".yml")):
        path = named_in.parent / name_or_path if named_in else Path(name_or_path)
        if not path.is_file():
            raise PurifyError(f"{where}rule file {path} does not exist; give a YAML file or the name of a rule set")
        return path
    if name_or_path not in known_sets():
        known = ", ".join(known_sets())
        raise PurifyError(f"{where}rule set {name_or_path!r} is unknown; known are {known}; a file ends in .yaml")
    return BUILT_IN / f"{name_or_path}.yaml"


def rule_files(path: Path) -> list[NamedFile]:
    """The file and all that it extends, each set before the sets that it extends."""
    visits = {file.path.resolve(): file for file in reversed(list(_visits(path, ())))}
    return list(reversed(visits.values()))


def chosen_rules(files: list[NamedFile]) -> list[tuple[NamedFile, Rule]]:
    """All rules in the order they are tried, less those that a file leaves out."""
    rules = [(file, rule) for file in files for rule in file.content.rules]
    names = {f"{file.name}/{rule.id}" for file, rule in rules}
    for file in files:
        for left_out in file.content.without:
            if left_out not in names:
                raise PurifyError(f"{file.path}: without: no inherited rule is called {left_out!r}; write set/id")
    left_out_anywhere = {name for file in files for name in file.content.without}
    return [(file, rule) for file, rule in rules if f"{file.name}/{rule.id}" not in left_out_anywhere]


def _visits(path: Path, below: tuple[Path, ...]) -> Iterator[NamedFile]:
    resolved = path.resolve()
    if resolved in below:
        raise PurifyError(f"{path}: extends itself through {' -> '.join(file.name for file in (*below, resolved))}")
    content = _read(path)
    yield NamedFile(path.stem, path, content)
    for name in content.extends:
        yield from _visits(locate(name, path), (*below, resolved))


def _read(path: Path) -> RuleFile:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PurifyError(f"{path}: not a YAML file: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise PurifyError(f"{path}: a rule file is a mapping with keys such as rules and extends")
    try:
        content = RuleFile.model_validate(data)
    except ValidationError as error:
        raise PurifyError(f"{path}: {_first_problem(error, data)}") from None
    ids = [rule.id for rule in content.rules]
    if twice := [name for name in ids if ids.count(name) > 1]:
        raise PurifyError(f"{path}: two rules have the id {twice[0]!r}; rename one")
    return content


def _first_problem(error: ValidationError, data: dict[str, Any]) -> str:
    problem = error.errors(include_url=False)[0]
    location = problem["loc"]
    where = ".".join(str(part) for part in location)
    if len(location) > 1 and location[0] == "rules" and isinstance(location[1], int):
        rule = data["rules"][location[1]]
        name = rule.get("id") if isinstance(rule, dict) else None
        where = ".".join(["rule " + (repr(name) if name else str(location[1] + 1)), *map(str, location[2:])])
    if problem["type"] == "extra_forbidden":
        model: type[BaseModel] = FieldTests if "fields" in location else Rule if location[0] == "rules" else RuleFile
        return f"{where}: unknown key; known are {', '.join(model.model_fields)}"
    return f"{where}: {problem['msg'].removeprefix('Value error, ')}"
