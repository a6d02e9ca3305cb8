"""Turn a stage's configuration class into command-line options, so that an option is written down once.

    @app.command()
    @configured(SaarConfig)
    def clean(source: Path, config: SaarConfig) -> None: ...

Every field of the class becomes an option (its description is the help), and `--config file.yaml` sets any of them;
what is given on the command line wins, and unknown keys are errors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from purify.errors import PurifyError
from purify.yaml_files import read_yaml

Config = TypeVar("Config", bound=BaseModel)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="YAML file with any of these options (underscores in names).")
]


def configured(model: type[BaseModel]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace the `config` parameter of a command by one option a field of `model`, and `--config`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = inspect.get_annotations(command, eval_str=True)
        own = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in inspect.signature(command).parameters.values()
            if parameter.name != "config"
        ]
        options = [_option(name, field) for name, field in model.model_fields.items()]
        from_file = inspect.Parameter(
            "config_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigFile
        )

        @wraps(command)
        def run(**given: Any) -> None:
            fields = {name: given.pop(name) for name in model.model_fields}
            file = given.pop("config_file")
            command(**given, config=build(model, file, fields))

        signature = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own] + options + [from_file]
        run.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in signature}
        return run

    return decorate


def build(model: type[Config], file: Path | None, given: dict[str, Any]) -> Config:
    """Defaults, then the YAML file, then the command line. Raises `PurifyError` naming the option that is wrong."""
    values = _read_yaml(file) if file else {}
    for name, value in given.items():
        if value is not None:
            parsed = _parsed(name, model.model_fields[name], value)
            # A mapping on the command line adds to the file's, entry by entry.
            merge = isinstance(parsed, dict) and isinstance(values.get(name), dict)
            values[name] = {**values[name], **parsed} if merge else parsed
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        name = str(first["loc"][0]) if first["loc"] else ""
        where = f"{file}: " if file and given.get(name) is None else ""
        if first["type"] == "extra_forbidden":
            raise PurifyError(f"{where}unknown option {name!r}; known: {', '.join(model.model_fields)}") from None
        if not name:
            raise PurifyError(said) from None
        if first["type"] == "missing":
            raise PurifyError(f"--{name.replace('_', '-')} is required") from None
        raise PurifyError(f"{where}--{name.replace('_', '-')}: {said}, got {first['input']!r}") from None


def _read_yaml(file: Path) -> dict[str, Any]:
    loaded = read_yaml(file)
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise PurifyError(f"{file}: options must be a mapping of name to value")
    values = {str(name).replace("-", "_"): value for name, value in loaded.items()}
    if len(values) < len(loaded):
        raise PurifyError(f"{file}: an option stands twice, with - and with _ in its name")
    return values


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    """One option. Unset is None, so that a YAML value is not overruled by a default; the help names the default."""
    kind = field.annotation
    annotation: Any = kind
    metavar = None
    if get_origin(kind) is dict:
        annotation, metavar = list[str], f"NAME={_choices(get_args(kind)[1])}"
    elif get_origin(kind) is tuple:
        annotation, metavar = list[str], _choices(get_args(kind)[0])
    elif get_origin(kind) is Literal:
        annotation, metavar = str, _choices(kind)
    repeated = " Repeat it for several." if annotation == list[str] else ""
    option = typer.Option(help=f"{field.description}{repeated}{_default(field)}", metavar=metavar, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[annotation | None, option]
    )


def _choices(kind: Any) -> str:
    return "|".join(map(str, get_args(kind))) if get_origin(kind) is Literal else "TEXT"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "  [required]"
    default = field.default
    if default is None or default is False or default in ({}, ()):
        return ""
    return f"  [default: {','.join(map(str, default)) if isinstance(default, tuple) else default}]"


def _parsed(option: str, field: FieldInfo, value: Any) -> Any:
    if get_origin(field.annotation) is not dict:
        return value
    parsed: dict[str, str] = {}
    for text in value:
        name, separator, item = text.partition("=")
        if not separator or not name:
            raise PurifyError(f"--{option.replace('_', '-')}: expected NAME=VALUE, got {text!r}")
        if parsed.setdefault(name, item) != item:
            raise PurifyError(f"--{option.replace('_', '-')}: {name} is both {parsed[name]} and {item}")
    return parsed
