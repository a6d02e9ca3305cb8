"""`croissant.json`: the dataset described for machines, in MLCommons Croissant 1.0 (JSON-LD).

Property names: mlcommons/croissant, `docs/croissant-spec.md`; the context is the one that mlcroissant writes
(`python/mlcroissant/mlcroissant/_src/core/rdf.py`).
"""

from __future__ import annotations

from typing import Any

import orjson
import pyarrow as pa

from purify.publishing.features import croissant_fields
from purify_schemas import Manifest

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(
    manifest: Manifest,
    schema: pa.Schema,
    *,
    title: str,
    text: str,
    license: str | None,
    url: str | None,
    date: str | None,
    unique: bool,
) -> bytes:
    """The JSON-LD of a published dataset; the same input gives the same bytes.

    `unique`: whether no two rows share a trajectory_id, which is the key then.
    """
    shards = [
        {
            "@type": "cr:FileObject",
            "@id": shard.path,
            "name": shard.path,
            "contentUrl": shard.path,
            "contentSize": f"{shard.bytes} B",
            "encodingFormat": "application/x-parquet",
            "sha256": shard.sha256,
        }
        for shard in manifest.shards
    ]
    files = {
        "@type": "cr:FileSet",
        "@id": "shards",
        "name": "shards",
        "description": "The shards, in order.",
        "encodingFormat": "application/x-parquet",
        "includes": "data/*.parquet",
    }
    rows = {
        "@type": "cr:RecordSet",
        "@id": "trajectories",
        "name": "trajectories",
        "description": "One record is one trajectory.",
        **({"key": {"@id": "trajectories/trajectory_id"}} if unique else {}),
        "field": croissant_fields(schema, "trajectories", "shards"),
    }
    described: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": title,
        "description": text,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": "1.0.0",
        "citeAs": f"{title}, data digest {manifest.digest}",
        "distribution": [*shards, files],
        "recordSet": [rows],
    }
    said = {"license": license, "url": url, "datePublished": date}
    described |= {name: value for name, value in said.items() if value is not None}
    return orjson.dumps(described, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
