"""What the hub or the network answers, as one line that says how to mend it.

Running a command again goes on after a lost connection or a fault of the hub. It mends nothing where the hub refuses a
request (4xx), where huggingface_hub refuses to make one (`ValueError`), or where a file of ours cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from purify.errors import PurifyError

AGAIN = "run the same command again to go on: what has arrived is not sent twice"
_MEND = {
    401: "the token is not valid; make a new one with write access",
    408: f"the hub waited too long for the request; {AGAIN}",
    409: f"the repository was changed meanwhile; {AGAIN}",
    413: "a file is larger than the hub takes; import into smaller shards",
    429: f"too many requests; wait for some minutes, then {AGAIN}",
}


@contextmanager
def one_line(repo: str, endpoint: str) -> Iterator[None]:
    """Raises `PurifyError` in place of the errors of huggingface_hub and of the network."""
    from huggingface_hub.errors import HfHubHTTPError

    transport: type[Exception] = HfHubHTTPError.__bases__[0]  # of httpx or its successor, as huggingface_hub uses
    try:
        yield
    except (transport, OSError, RuntimeError, ValueError) as error:
        chain = list(_chain(error))
        reason = _reason(chain)
        if (status := _status(chain)) is not None:
            raise PurifyError(_answered(repo, endpoint, status, reason)) from None
        if any(isinstance(cause, (transport, ConnectionError, TimeoutError)) for cause in chain):
            raise PurifyError(f"{endpoint}: connection lost ({reason}); {AGAIN}") from None
        raise PurifyError(f"{repo}: {reason}") from None


def _answered(repo: str, endpoint: str, status: int, reason: str) -> str:
    if status == 403:
        return f"{repo}: the token may not write there (403); it needs write access to {repo.partition('/')[0]!r}"
    if status == 404:
        return f"{repo}: not found (404); is the name right, and does the token see it? (endpoint {endpoint})"
    if status in _MEND:
        what, _, how = _MEND[status].partition("; ")
        return f"{endpoint}: {what} ({status}); {how}"
    if 400 <= status < 500:
        return f"{repo}: the hub refused the request ({status}): {reason}"
    return f"{endpoint}: the hub answered {status}; {AGAIN}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or current.__context__


def _status(chain: list[BaseException]) -> int | None:
    """The HTTP status behind an error, which uploads in threads wrap."""
    for cause in chain:
        status = getattr(getattr(cause, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _reason(chain: list[BaseException]) -> str:
    """What the hub said, or else what began it, in one line."""
    said = next(filter(None, (getattr(cause, "server_message", None) for cause in chain)), None)
    return str(said or str(chain[-1]).strip() or type(chain[-1]).__name__).split("\n", 1)[0]
