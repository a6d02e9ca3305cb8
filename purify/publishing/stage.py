"""`purify publish`: from a dataset to a folder that can be published, and from there to the hub.

    purify publish purified/ -o published/ --license apache-2.0
    purify publish purified/ -o published/ --license apache-2.0 --repo USER/NAME

The folder is a dataset like any other. Its bytes follow from the dataset, the options and the scanning libraries, so a
folder that was made of the same is not made again: after a lost connection only the upload goes on.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from purify.datasets import Dataset, Progress
from purify.datasets.parquet import library_versions
from purify.datasets.verify import verify
from purify.digests import digest
from purify.errors import PurifyError
from purify.publishing import folder
from purify.publishing.config import PublishConfig
from purify.publishing.copy import AUDIT, copy_options, write_copy
from purify.publishing.report import Audit
from purify.publishing.scan import libraries
from purify.publishing.sources import sources
from purify.publishing.upload import Uploaded, upload

_LIBRARIES = ("detect_secrets", "presidio_analyzer", "datasketch", "jinja2")


class Published(NamedTuple):
    dataset: Dataset
    """The published copy."""
    audit: Audit
    blocking: dict[str, int]
    """Findings by kind that stop the upload: those that were not allowed."""
    reused: bool
    """Whether the folder stood there already."""
    warnings: list[str]
    aside: Path | None = None
    """Where rows that were left out are kept."""
    uploaded: Uploaded | None = None


def publish(
    source: str | Path,
    out: str | Path,
    config: PublishConfig | None = None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Published:
    """Write a publishable copy of a dataset to `out`, and upload it if `config` names a repository.

    Findings stop the upload, not the writing. Raises `PurifyError` if `source` is no complete, undamaged dataset, `out`
    holds something else, a benchmark cannot be read, an optional library is missing, or the upload fails.
    """
    config, out = config or PublishConfig(), Path(out)
    _need(*_LIBRARIES, *(["huggingface_hub"] if config.repo else []))
    dataset = Dataset.open(source)
    if out.resolve() == dataset.path.resolve() or out.resolve().is_relative_to(dataset.path.resolve()):
        raise PurifyError(f"{out}: is the dataset, or lies inside it; a copy is published, never the dataset itself")
    _refuse_damaged(dataset)
    options = copy_options(dataset, config)
    versions = library_versions() | libraries()
    identity = digest("publish", options, dataset.manifest.digest, dataset.manifest.config_digest, versions)
    standing = "other" if overwrite else _standing(out, identity, dataset)
    if standing != "same":
        # A copy that nobody has touched can be made again at any time.
        replace = overwrite or standing == "earlier"
        write_copy(dataset, out, config, options, identity, overwrite=replace, progress=progress)
    found = Audit.model_validate_json((out / AUDIT).read_bytes())
    aside = out.with_name(f"{out.name}{folder.DROPPED}")
    made = Published(
        dataset=Dataset.open(out),
        audit=found,
        blocking={kind: count for kind, count in found.counts().items() if not config.allows(kind)},
        reused=standing == "same",
        warnings=list(_warnings(dataset, config)),
        aside=aside if found.dropped else None,
    )
    if config.repo is None or config.dry_run or made.blocking:
        return made
    message = f"purify publish: {made.dataset.manifest.rows:,} rows, data digest {made.dataset.manifest.digest}"
    uploaded = upload(out, config.repo, public=config.public, token_env=config.token_env, message=message)
    return made._replace(uploaded=uploaded)


def _need(*modules: str) -> None:
    """Say at once what is missing, not after a long scan."""
    for name in modules:
        if find_spec(name) is None:
            raise PurifyError(f"publish needs {name}; install it with: pip install 'purify-trajectories[publish]'")


def _refuse_damaged(dataset: Dataset) -> None:
    findings = verify(dataset.path).findings
    if findings:
        more = f" and {len(findings) - 1:,} more" if len(findings) > 1 else ""
        raise PurifyError(f"{dataset.path}: not fit to be published: {findings[0]}{more} (purify verify)")


def _standing(out: Path, identity: str, dataset: Dataset) -> Literal["same", "earlier", "other"]:
    """What stands at `out`: this very copy, one of the same dataset with other options, or neither.

    Raises `PurifyError` if it is a copy of the dataset that someone has changed since.
    """
    if not folder.is_copy(out):
        return "other"
    manifest = Dataset.open(out).manifest
    if manifest.stage != "publish" or manifest.lineage[-1].digest != dataset.manifest.digest:
        return "other"
    if (changed := folder.changed_file(out)) is not None:
        raise PurifyError(f"{out / changed}: was changed after it was written; make it again with --overwrite")
    return "same" if manifest.config_digest == identity else "earlier"


def _warnings(dataset: Dataset, config: PublishConfig) -> list[str]:
    lines = []
    if config.license is None:
        lines.append("no licence was given: the card says unknown; give one with --license")
    known = sources(dataset, config.source_license)
    if known.unknown:
        lines.append(
            f"{known.unknown:,} of {len(dataset):,} rows have a source of unknown licence; "
            "give it with --source-license NAME=LICENCE (a framework, model, file or folder of the card's table)"
        )
    lines += [
        f"--source-license {name}: no row has a framework, model, file or folder of that name" for name in known.unused
    ]
    if dataset.manifest.rejected_files:
        lines.append(f"{dataset.manifest.rejected:,} rejected records are not published: they hold raw text")
    return lines
