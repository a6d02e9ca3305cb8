"""`purify schema`: the data contract as JSON Schema."""

from __future__ import annotations


def command() -> None:
    """Print the JSON Schema of a trajectory.

    Example: purify schema > trajectory.schema.json
    """
    import orjson

    from purify_cli.writing import say
    from purify_schemas import SCHEMA_VERSION, Trajectory

    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "x-purify-schema-version": SCHEMA_VERSION,
        **Trajectory.model_json_schema(),
    }
    say(orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode())
