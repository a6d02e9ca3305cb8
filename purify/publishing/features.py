"""The columns of a dataset as the hub's card and Croissant describe them.

Card: the `features` of `dataset_info` in the YAML of a card, as datasets writes them (huggingface/datasets,
`src/datasets/features/features.py`, `Features._to_yaml_list`).
Croissant: `cr:Field` of the specification 1.0 (mlcommons/croissant, `docs/croissant-spec.md`), with `subField` for
structs and `repeated` for lists.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

_CROISSANT = {"string": "sc:Text", "bool": "sc:Boolean", "int32": "sc:Integer", "int64": "sc:Integer"}
"""Everything else is a float."""


def card_features(schema: pa.Schema) -> list[dict[str, Any]]:
    """Features in the form of a dataset card."""
    return [{"name": field.name} | _feature(field.type) for field in schema]


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        inner = _feature(kind.value_type)
        return {"list": inner["struct"] if set(inner) == {"struct"} else inner.get("dtype", inner)}
    if pa.types.is_struct(kind):
        return {"struct": card_features(kind)}
    return {"dtype": {"double": "float64", "float": "float32"}.get(str(kind), str(kind))}


def croissant_fields(schema: pa.Schema, record_set: str, file_set: str) -> list[dict[str, Any]]:
    """One field a column, with sub-fields for structs. Lists inside structs are beyond Croissant, and left out."""
    return [_field(field, f"{record_set}/{field.name}", field.name, [], file_set) for field in schema]


def _field(field: pa.Field, name: str, column: str, inside: list[str], file_set: str) -> dict[str, Any]:
    repeated = pa.types.is_list(field.type)
    kind = field.type.value_type if repeated else field.type
    described: dict[str, Any] = {"@type": "cr:Field", "@id": name, "name": name.rpartition("/")[2]}
    if repeated:
        described["repeated"] = True
    if pa.types.is_struct(kind):
        leaves = list(_leaves(kind, []))
        described["subField"] = [
            _field(pa.field("/".join(path), leaf), f"{name}/{'_'.join(path)}", column, path, file_set)
            for path, leaf in leaves
        ]
        return described
    extract: dict[str, Any] = {"extract": {"column": column}, "fileSet": {"@id": file_set}}
    if inside:
        extract["transform"] = {"jsonPath": ".".join(inside)}
    return described | {"dataType": _CROISSANT.get(str(kind), "sc:Float"), "source": extract}


def _leaves(kind: pa.StructType, path: list[str]) -> Any:
    for field in kind:
        here = [*path, field.name]
        if pa.types.is_struct(field.type):
            yield from _leaves(field.type, here)
        elif not pa.types.is_list(field.type):
            yield here, field.type
