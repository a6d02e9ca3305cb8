"""What a rule file may say (`purify.failures.rules` shows one). Unknown keys are errors."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from purify_schemas.names import Status


def _compiled(value: object) -> re.Pattern[str]:
    scoped = []
    for alternative in value if isinstance(value, list) else [value]:
        if not isinstance(alternative, str):
            raise ValueError(f"must be a regular expression or a list of them, got {alternative!r}")
        try:
            re.compile(alternative)
        except re.error as error:
            raise ValueError(f"bad regular expression {alternative!r}: {error}") from None
        # Flags such as (?i) hold for one alternative only; a comment under (?x) ends with the line.
        flags = _FLAGS.match(alternative)
        end = "\n)" if flags and "x" in flags[1] else ")"
        scoped.append(f"(?{flags[1]}:{alternative[flags.end() :]}{end}" if flags else f"(?:{alternative})")
    try:
        return re.compile("|".join(scoped))
    except re.error as error:
        raise ValueError(f"these regular expressions do not go together: {error}") from None


def _listed(value: object) -> object:
    return value if isinstance(value, list) else [value]


_FLAGS = re.compile(r"\(\?([aimsux]+)\)")
Regex = Annotated[re.Pattern[str], BeforeValidator(_compiled)]
Names = Annotated[list[str], BeforeValidator(_listed)]
Scalars = Annotated[list[str | int | float | bool | None], BeforeValidator(_listed)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextTests(_Strict):
    """Tests of a text; all that are given must hold.

    Each takes a regular expression or a list of which one must match. None sees blank space around the text, nor escape
    sequences.
    """

    start: Regex | None = Field(default=None, description="Matches at the start; sees the first 2,000 characters.")
    last_line: Regex | None = Field(
        default=None, description="Matches at the start of the last non-empty line; sees its first 2,000 characters."
    )
    whole: Regex | None = Field(default=None, description="Matches all of a text of at most 2,000 characters.")
    contains: Names | None = Field(
        default=None, description="One of these literals occurs anywhere. Cheap on long texts."
    )
    text: Regex | None = Field(default=None, description="Matches anywhere. Slow on long texts: prefer the others.")
    exception: Regex | None = Field(
        default=None, description="Matches the whole class name of the Python exception that ends the text."
    )
    exception_inside: Regex | None = Field(
        default=None, description="The same for an exception that at most 20 lines of other output follow."
    )


class FieldTests(TextTests):
    """Tests of one field of a JSON object. All fail where the field is missing; text tests also where it is no text."""

    present: bool | None = Field(
        default=None,
        description="true: the field is true, or a text, list or object that is not empty. A number is not a message.",
    )
    equals: Scalars | None = Field(default=None, description="The value is this, or one of these.")
    differs: Scalars | None = Field(default=None, description="The value is not this, or none of these.")


class Rule(TextTests):
    """One rule. It needs a test or `judge`, and it hits if everything that is given holds."""

    id: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    comment: str | None = None
    tool: Regex | None = Field(default=None, description="Matches the whole name of the tools the rule is for.")
    wrapping: Regex | None = Field(default=None, description="Matches anywhere in the lines set aside.")
    fields: dict[str, FieldTests] = Field(
        default={},
        description="Tests of fields of a JSON object. `a.b` is a nested field; `a|b` the first of them that is there.",
    )
    judge: Names | None = Field(
        default=None, description="Fields, or `.` for the result itself: the rules of `by` judge these texts."
    )
    by: str | None = Field(default=None, description="For `judge`: the rule set whose outcome is taken.")
    status: Status | None = None
    error_type: str | None = Field(
        default=None,
        description="`{name}` stands for a named group or a tested field. Default: the group `error_type`, or the"
        " class name of the exception.",
    )

    @property
    def groups(self) -> set[str]:
        """Names that `error_type` may use."""
        tests: list[TextTests] = [self, *self.fields.values()]
        names = {field_key(path) for path in self.fields}
        for test in tests:
            patterns = [value for _, value in test if isinstance(value, re.Pattern)]
            names.update(name for pattern in patterns for name in pattern.groupindex)
            if test.exception is not None or test.exception_inside is not None:
                names.add("error_type")
        return names

    @model_validator(mode="after")
    def _complete(self) -> Rule:
        if (self.judge is None) != (self.by is None):
            raise ValueError("judge and by go together")
        if self.judge is not None and (self.status is not None or self.error_type is not None):
            raise ValueError("a rule with judge takes status and error_type from the rule set it names")
        if self.judge is None and self.status is None:
            raise ValueError("give a status")
        if self.judge is None and not (self.fields or self.wrapping or text_tests(self)):
            raise ValueError("give a test")
        if empty := [path for path, tests in self.fields.items() if not tests.model_fields_set]:
            raise ValueError(f"field {empty[0]!r} has no test")
        if unknown := set(PLACEHOLDER.findall(self.error_type or "")) - self.groups:
            raise ValueError(f"error_type names {{{min(unknown)}}}, which no test of the rule sets")
        return self


class RuleFile(_Strict):
    """A rule set: its own rules, then those of the sets it extends; the first hit decides."""

    description: str | None = None
    extends: Names = []
    without: Names = Field(default=[], description="Inherited rules to leave out, each as `set/id`.")
    first_lines: Regex | None = Field(default=None, description="Whole lines to set aside before a result.")
    last_lines: Regex | None = Field(default=None, description="Whole lines to set aside after a result.")
    words: Names = Field(
        default=[],
        description="Speed: own rules are tried only on results with one of these words, in any case, in their first"
        " 2,000 characters, their last line or the lines set aside.",
    )
    rules: list[Rule] = []


PLACEHOLDER = re.compile(r"\{(\w+)\}")


def field_key(path: str) -> str:
    """`run_result.status|status` -> `status`: how `error_type` names a tested field (last part of the first path)."""
    return path.split("|")[0].split(".")[-1]


def text_tests(tests: TextTests) -> dict[str, Any]:
    """The text tests that are given, by name."""
    return {name: value for name in TextTests.model_fields if (value := getattr(tests, name)) is not None}
