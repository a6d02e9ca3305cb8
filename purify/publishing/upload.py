"""Upload a published folder to the hub, privately unless asked otherwise.

`upload_folder` of huggingface_hub (`src/huggingface_hub/hf_api.py`): files that are there already are not sent again,
so the same command goes on after a failure. With hf-xet, which comes with huggingface_hub, a large folder goes in
several commits and a half-sent file goes on at the missing chunks; without, a file is sent whole and all are committed
at once. Sent are the files of `SHA256SUMS` and no others. Shards of an earlier version that this one no longer has are
deleted in the same upload: readers of `data/*.parquet` would mix them.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from purify.datasets.dataset import MANIFEST
from purify.errors import PurifyError
from purify.publishing.folder import listed
from purify.publishing.hub_errors import one_line

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

_OF_THE_HUB = ".gitattributes"
"""Every repository has one."""


class Uploaded(NamedTuple):
    url: str
    private: bool


def upload(
    folder: Path,
    repo: str,
    *,
    public: bool = False,
    token_env: str | None = None,
    replace: bool = False,
    message: str,
) -> Uploaded:
    """Create the repository if there is none, and bring it to what the folder holds.

    `replace`: whether a repository of something else may be used; all that it holds is deleted then. Raises
    `PurifyError` if there is no token, the hub refuses, the connection is lost, the repository is public although
    `public` was not asked for, or it holds something else.
    """
    api = _api(token_env)
    names = listed(folder)
    with one_line(repo, api.endpoint):
        api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        private = bool(api.dataset_info(repo).private)
        _refuse(api, repo, folder, private=private, public=public, replace=replace)
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            repo_type="dataset",
            commit_message=message,
            allow_patterns=names,
            delete_patterns=["*"] if replace else ["data/*.parquet"],
        )
    return Uploaded(f"{api.endpoint}/datasets/{repo}", private)


def check_repository(folder: Path, repo: str, *, public: bool, token_env: str | None, replace: bool) -> None:
    """Whether an upload could begin: token, connection, and a repository that is none or one of ours.

    `folder` need not be there yet. Raises `PurifyError` as `upload` does.
    """
    from huggingface_hub.errors import HfHubHTTPError

    api = _api(token_env)
    with one_line(repo, api.endpoint):
        try:
            private = bool(api.dataset_info(repo).private)
        except HfHubHTTPError as error:
            if error.response.status_code == 404:
                return  # it will be created
            raise
        _refuse(api, repo, folder, private=private, public=public, replace=replace)


def _api(token_env: str | None) -> HfApi:
    from huggingface_hub import HfApi

    # The endpoint as huggingface_hub reads it when it is imported; read here, it can be set later.
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=_token(token_env), library_name="purify")


def _refuse(api: HfApi, repo: str, folder: Path, *, private: bool, public: bool, replace: bool) -> None:
    from huggingface_hub.hf_api import RepoFile

    if not public and not private:
        raise PurifyError(f"{repo}: is a public repository; say --public, make it private on the hub, or name another")
    if replace:
        return
    listing = api.list_repo_tree(repo, repo_type="dataset", recursive=True)
    there = [file for file in listing if isinstance(file, RepoFile)]
    names = {file.path for file in there} - {_OF_THE_HUB}
    if MANIFEST in names:
        foreign = _stage(api, repo) != "publish"
    else:
        # Of a first upload that was cut off after some of its commits, there are files of ours without a manifest.
        foreign = any(file.path in names and not _same(folder, file) for file in there)
    if foreign:
        raise PurifyError(
            f"{repo}: holds files that publish did not write ({sorted(names)[0]}); name another repository, "
            "or replace all of them with --replace-repo"
        )


def _same(folder: Path, file: RepoFile) -> bool:
    """Whether a file of the repository is that of the folder, by its name and size."""
    return (folder / file.path).is_file() and (folder / file.path).stat().st_size == file.size


def _stage(api: HfApi, repo: str) -> str | None:
    """Which stage wrote the manifest in a repository; null if it is none of ours."""
    with tempfile.TemporaryDirectory() as scratch:
        path = api.hf_hub_download(repo, MANIFEST, repo_type="dataset", local_dir=scratch)
        try:
            manifest = json.loads(Path(path).read_bytes())
        except ValueError:
            return None
    return manifest.get("stage") if isinstance(manifest, dict) and "config_digest" in manifest else None


def _token(variable: str | None) -> str:
    from huggingface_hub import get_token

    token = os.environ.get(variable) if variable else get_token()
    if not token:
        where = f"the environment variable {variable} is not set" if variable else "no token for the hub"
        raise PurifyError(f"{where}; set {variable or 'HF_TOKEN'}, or log in with `hf auth login`")
    return token
