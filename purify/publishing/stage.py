"""`purify publish`: from a dataset to a folder that can be published, and from there to the hub.

    purify publish purified/ -o published/ --license apache-2.0
    purify publish purified/ -o published/ --license apache-2.0 --repo USER/NAME

The folder is a dataset like any other. Its bytes follow from the dataset, the options and the scanning libraries, so a
folder that was made of the same is not made again: after a lost connection only the upload goes on.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from purify.datasets import Dataset, Progress
from purify.datasets.parquet import library_versions
from purify.datasets.verify import REPEATED, verify
from purify.digests import digest
from purify.errors import PurifyError
from purify.publishing import folder
from purify.publishing.config import PublishConfig
from purify.publishing.copy import AUDIT, copy_options, repeated_ids, write_copy
from purify.publishing.report import Audit
from purify.publishing.scan import libraries
from purify.publishing.sources import sources
from purify.publishing.upload import Uploaded, check_repository, upload

_LIBRARIES = ("detect_secrets", "presidio_analyzer", "datasketch", "jinja2")
_WRITERS = ("datasketch", "Jinja2")
"""Libraries that decide bytes of the folder beside those that scan and those that write shards."""


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
    config, out = config or PublishConfig(), _named(Path(out))
    _need(*_LIBRARIES, *(["huggingface_hub"] if config.repo else []))
    dataset = Dataset.open(source)
    if out.resolve() == dataset.path.resolve() or out.resolve().is_relative_to(dataset.path.resolve()):
        raise PurifyError(f"{out}: is the dataset, or lies inside it; a copy is published, never the dataset itself")
    uploads = config.repo is not None and not config.dry_run
    if config.repo is not None and uploads:
        # Before the long scan: a missing token, a repository of something else.
        check_repository(
            out, config.repo, public=config.public, token_env=config.token_env, replace=config.replace_repo
        )
    _refuse_damaged(dataset)
    options = copy_options(dataset, config)
    identity = digest("publish", options, dataset.manifest.digest, dataset.manifest.config_digest, versions())
    standing = "other" if overwrite else _standing(out, identity, dataset)
    if standing != "same":
        # A copy that nobody has touched can be made again at any time.
        replace = overwrite or standing == "earlier"
        write_copy(dataset, out, config, options, identity, overwrite=replace, progress=progress)
    found = Audit.model_validate_json((out / AUDIT).read_bytes())
    aside = folder.aside_of(out)
    made = Published(
        dataset=Dataset.open(out),
        audit=found,
        blocking={kind: count for kind, count in found.counts().items() if not config.allows(kind)},
        reused=standing == "same",
        warnings=list(_warnings(dataset, config)),
        aside=aside if found.dropped and aside.is_file() else None,
    )
    if config.repo is None or not uploads or made.blocking:
        return made
    message = f"purify publish: {made.dataset.manifest.rows:,} rows, data digest {made.dataset.manifest.digest}"
    uploaded = upload(
        out,
        config.repo,
        public=config.public,
        token_env=config.token_env,
        replace=config.replace_repo,
        message=message,
    )
    if config.public and uploaded.private:
        made.warnings.append(f"{config.repo}: stays private; an existing repository is made public on the hub itself")
    return made._replace(uploaded=uploaded)


def versions() -> dict[str, str]:
    """Of the libraries that decide the bytes of the folder."""
    return library_versions() | libraries() | {name: version(name) for name in _WRITERS}


def _named(out: Path) -> Path:
    """`.`, a symbolic link and a path that ends in `..` have no neighbours: the folder that they mean has."""
    return out.resolve() if out.name in ("", "..") or out.is_symlink() else out


def _need(*modules: str) -> None:
    """Say at once what is missing, not after a long scan."""
    for name in modules:
        if find_spec(name) is None:
            raise PurifyError(f"publish needs {name}; install it with: pip install 'purify-trajectories[publish]'")


def _refuse_damaged(dataset: Dataset) -> None:
    # An id that is there twice is a fault of the source, which only a new import could mend: told, not refused.
    findings = [finding for finding in verify(dataset.path).findings if REPEATED not in finding]
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
    if (stranger := folder.stranger_in(out)) is not None:
        raise PurifyError(f"{stranger}: is no part of the published copy, and nobody has looked at it; move it away")
    if (changed := folder.changed_file(out)) is not None:
        raise PurifyError(f"{out / changed}: was changed after it was written; make it again with --overwrite")
    return "same" if manifest.config_digest == identity else "earlier"


def _warnings(dataset: Dataset, config: PublishConfig) -> list[str]:
    lines = []
    if not len(dataset):
        lines.append("the dataset has no rows")
    if config.license is None:
        lines.append("no licence was given: the card says unknown; give one with --license")
    known = sources(dataset, config.source_license)
    if known.unknown:
        lines.append(
            f"the licence of {known.unknown:,} of {len(dataset):,} row(s) is unknown; "
            "give it with --source-license NAME=LICENCE (a framework, model, file or folder of the card's table)"
        )
    lines += [
        f"--source-license {name}: no row has a framework, model, file or folder of that name" for name in known.unused
    ]
    if repeated := repeated_ids(dataset):
        lines.append(f"{repeated:,} trajectory_id(s) on more than one row: croissant.json names no key")
    if dataset.manifest.rejected_files:
        lines.append(f"{dataset.manifest.rejected:,} rejected record(s) are not published: they hold raw text")
    return lines
