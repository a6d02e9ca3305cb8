"""Upload a published folder to the hub, privately unless asked otherwise.

`upload_folder` of huggingface_hub (`src/huggingface_hub/hf_api.py`): files that are there already are not sent again,
so the same command goes on after a failure. With hf-xet, which comes with huggingface_hub, a large folder goes in
several commits and a half-sent file goes on at the missing chunks; without, a file is sent whole and all are committed
at once. Shards of an earlier version that this one no longer has are deleted in the same upload: readers of
`data/*.parquet` would mix them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from purify.errors import PurifyError

AGAIN = "run the same command again to go on: what has arrived is not sent twice"


class Uploaded(NamedTuple):
    url: str
    private: bool


def upload(folder: Path, repo: str, *, public: bool = False, token_env: str | None = None, message: str) -> Uploaded:
    """Create the repository if there is none, and bring it to what the folder holds.

    Raises `PurifyError` if there is no token, the hub refuses, the connection is lost, or the repository is public
    although `public` was not asked for.
    """
    from huggingface_hub import HfApi

    token = _token(token_env)
    # As huggingface_hub reads it when it is imported; read here, it can be set later.
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token, library_name="purify")
    with _one_line(repo, api.endpoint):
        api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True)
        private = bool(api.dataset_info(repo).private)
        if not public and not private:
            raise PurifyError(
                f"{repo}: is a public repository; say --public, make it private on the hub, or name another"
            )
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            repo_type="dataset",
            commit_message=message,
            delete_patterns=["data/train-*.parquet"],
        )
    return Uploaded(f"{api.endpoint}/datasets/{repo}", private)


def _token(variable: str | None) -> str:
    from huggingface_hub import get_token

    token = os.environ.get(variable) if variable else get_token()
    if not token:
        where = f"the environment variable {variable} is not set" if variable else "no token for the hub"
        raise PurifyError(f"{where}; set {variable or 'HF_TOKEN'}, or log in with `hf auth login`")
    return token


@contextmanager
def _one_line(repo: str, endpoint: str) -> Iterator[None]:
    """Turn what the hub or the network answers into one line that says how to mend it."""
    from huggingface_hub.errors import HfHubHTTPError

    transport: type[Exception] = HfHubHTTPError.__bases__[0]  # of httpx or its successor, as huggingface_hub uses
    try:
        yield
    except (transport, OSError, RuntimeError, ValueError) as error:
        status = _status(error)
        if status == 401:
            raise PurifyError(f"{endpoint}: the token is not valid (401); make a new one with write access") from None
        if status == 403:
            raise PurifyError(
                f"{repo}: the token may not write there (403); it needs write access to {repo.partition('/')[0]!r}"
            ) from None
        if status == 404:
            raise PurifyError(
                f"{repo}: not found (404); is the name right, and does the token see it? (endpoint {endpoint})"
            ) from None
        what = f"the hub answered {status}" if status else f"connection lost ({_reason(error)})"
        raise PurifyError(f"{endpoint}: {what}; {AGAIN}") from None


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error, which uploads in threads wrap."""
    for cause in _chain(error):
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _reason(error: BaseException) -> str:
    last = list(_chain(error))[-1]
    return (str(last).strip() or type(last).__name__).split("\n", 1)[0]
