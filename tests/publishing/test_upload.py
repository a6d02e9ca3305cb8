"""Uploads to a stand-in for the hub, each in a process of its own, as huggingface_hub reads its settings once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from purify.datasets import Dataset
from purify.publishing import PublishConfig, publish
from tests.publishing.hub_server import TOKEN, Hub, hub_server
from tests.publishing.support import purified, row

ROOT = Path(__file__).parents[2]
UPLOAD = """
import sys
from pathlib import Path
from purify.errors import PurifyError
from purify.publishing.upload import upload
folder, options = Path(sys.argv[1]), dict(pair.split("=") for pair in sys.argv[2:])
try:
    print(*upload(folder, "user/name", public="public" in options, token_env=options.get("token_env"),
          replace="replace" in options, message="m"))
except PurifyError as error:
    sys.exit(f"purify: {error}")
"""
COMMAND = """
import sys
import typer
from purify.errors import PurifyError
from purify_cli import publish
app = typer.Typer()
app.command()(publish.command)
try:
    app()
except PurifyError as error:
    sys.exit(f"purify: {error}")
"""


def run(program: str, hub: Hub | str, *arguments: str | Path, token: str | None = TOKEN) -> tuple[int, str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment |= {
        "HF_ENDPOINT": hub if isinstance(hub, str) else hub.url,
        "HF_HUB_DISABLE_XET": "1",  # Xet's storage is no part of the stand-in
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HOME": "/nonexistent",
        "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("", "cli", "schemas")),
    }
    if token is not None:
        environment["HF_TOKEN"] = token
    ended = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def one_line(ended: tuple[int, str, str]) -> str:
    code, _, errors = ended
    lines = [line for line in errors.splitlines() if line.startswith("purify: ")]
    assert code and len(lines) == 1, errors
    return lines[0]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    purified(tmp_path, [row(number) for number in range(4)], shards=2)
    publish(tmp_path / "purified", tmp_path / "out", PublishConfig(license="mit", repo="user/name", dry_run=True))
    return tmp_path / "out"


def listed(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_files_arrive_as_they_are_and_nothing_is_sent_twice(copy: Path) -> None:
    with hub_server() as hub:
        code, said, _ = run(UPLOAD, hub, copy)
        assert (code, said) == (0, f"{hub.url}/datasets/user/name True\n")
        assert hub.files == listed(copy)
        assert hub.private is True and len(hub.sent) == 3
        assert {card.encode() for card in hub.cards} == {hub.files["README.md"]}
        assert run(UPLOAD, hub, copy)[0] == 0
        assert len(hub.sent) == 3 and hub.files == listed(copy)


def test_public_is_what_was_asked_for(copy: Path) -> None:
    with hub_server() as hub:
        assert run(UPLOAD, hub, copy, "public=yes")[:2] == (0, f"{hub.url}/datasets/user/name False\n")
        assert hub.private is False and hub.files == listed(copy)


def test_a_public_repository_is_not_taken_for_a_private_one(copy: Path) -> None:
    with hub_server(private=False) as hub:
        assert "user/name: is a public repository; say --public" in one_line(run(UPLOAD, hub, copy))
        assert hub.files == {} and hub.sent == []


def test_after_a_failure_the_next_run_goes_on(copy: Path) -> None:
    first, second = (shard.sha256 for shard in Dataset.open(copy).manifest.shards)
    with hub_server(full={second}) as hub:
        line = one_line(run(UPLOAD, hub, copy))
        assert "the hub answered 507; run the same command again to go on" in line
        assert hub.sent == [first] and hub.files == {}
        hub.full = set()
        assert run(UPLOAD, hub, copy)[0] == 0
        assert hub.sent == [first, second, "commit"]
        assert hub.files == listed(copy)


def test_a_lost_connection_is_tried_again_at_once(copy: Path) -> None:
    first, second = (shard.sha256 for shard in Dataset.open(copy).manifest.shards)
    with hub_server(lose={second}) as hub:
        assert run(UPLOAD, hub, copy)[0] == 0
        assert sorted(hub.sent[:2]) == sorted([first, second]) and hub.files == listed(copy)


def test_shards_of_an_earlier_version_do_not_stay(copy: Path) -> None:
    old = {"data/train-00002-of-00003.parquet": b"old", "data/test.parquet": b"old", "notes.md": b"by hand"}
    old |= {"README.md": b"old", "manifest.json": (copy / "manifest.json").read_bytes() + b" "}
    with hub_server(private=True, files=dict(old)) as hub:
        assert run(UPLOAD, hub, copy)[0] == 0
        assert hub.deleted == ["data/train-00002-of-00003.parquet", "data/test.parquet"]
        assert hub.files == {"notes.md": b"by hand", **listed(copy)}


def test_refusals_are_one_line_that_says_what_to_do(copy: Path) -> None:
    with hub_server() as hub:
        assert "set HF_TOKEN, or log in with `hf auth login`" in one_line(run(UPLOAD, hub, copy, token=None))
        assert "MINE is not set; set MINE" in one_line(run(UPLOAD, hub, copy, "token_env=MINE"))
        assert "the token is not valid (401)" in one_line(run(UPLOAD, hub, copy, token="hf_wrong"))
        for status, said in (
            (403, "may not write there (403)"),
            (404, "not found (404)"),
            (400, "the hub refused the request (400): refused"),
            (418, "the hub refused the request (418): refused"),
        ):
            hub.refuse = status
            assert said in one_line(run(UPLOAD, hub, copy))
        address = hub.url
    assert "connection lost" in one_line(run(UPLOAD, address, copy))


THEIRS = {".gitattributes": b"", "README.md": b"somebody's", "data/train-00000-of-00001.parquet": b"theirs"}


@pytest.mark.parametrize("manifest", [None, b"[]", b'{"stage": "publish"}'])
def test_a_repository_of_something_else_is_left_alone(manifest: bytes | None, copy: Path) -> None:
    theirs = THEIRS | ({} if manifest is None else {"manifest.json": manifest})
    with hub_server(private=True, files=dict(theirs)) as hub:
        line = one_line(run(UPLOAD, hub, copy))
        assert "user/name: holds files that publish did not write (README.md)" in line and "--replace-repo" in line
        assert hub.files == theirs and hub.sent == []
        assert run(UPLOAD, hub, copy, "replace=yes")[0] == 0
        assert hub.files == {".gitattributes": b"", **listed(copy)}


def test_a_first_upload_that_was_cut_off_goes_on(copy: Path) -> None:
    shard = Dataset.open(copy).manifest.shards[0].path
    with hub_server(private=True, files={".gitattributes": b"", shard: (copy / shard).read_bytes()}) as hub:
        assert run(UPLOAD, hub, copy)[0] == 0
        assert hub.files == {".gitattributes": b"", **listed(copy)}


def test_files_that_nobody_has_looked_at_are_not_sent(copy: Path) -> None:
    files = listed(copy)
    (copy / ".env").write_text("HF_TOKEN=x")
    (copy / "data/extra.parquet").write_bytes(b"x")
    with hub_server() as hub:
        assert run(UPLOAD, hub, copy)[0] == 0
        assert hub.files == files


def test_what_would_stop_the_upload_is_said_before_the_scan(tmp_path: Path) -> None:
    purified(tmp_path, [row(0)])
    arguments = (tmp_path / "purified", "-o", tmp_path / "out", "--license", "mit", "--repo")
    with hub_server(private=True, files=dict(THEIRS)) as hub:
        assert "set HF_TOKEN" in one_line(run(COMMAND, hub, *arguments, "user/name", token=None))
        assert "(401)" in one_line(run(COMMAND, hub, *arguments, "user/name", token="hf_wrong"))
        assert "holds files that publish did not write" in one_line(run(COMMAND, hub, *arguments, "user/name"))
        for name in ("user/a..b", "user/-ab-"):
            line = one_line(run(COMMAND, hub, *arguments, name))
            assert "--repo: " in line and "run the same command" not in line
        assert not (tmp_path / "out").exists()
        code, said, _ = run(COMMAND, hub, *arguments, "user/name", "--replace-repo")
        assert (
            code == 0
            and "uploaded" in said
            and hub.files.keys() == listed(tmp_path / "out").keys() | {".gitattributes"}
        )


def test_a_private_repository_does_not_become_public(tmp_path: Path) -> None:
    purified(tmp_path, [row(0)])
    arguments = (tmp_path / "purified", "-o", tmp_path / "out", "--license", "mit", "--repo", "user/name", "--public")
    with hub_server(private=True) as hub:
        code, said, warned = run(COMMAND, hub, *arguments)
        assert code == 0 and "(private)" in said and "user/name: stays private" in warned


def test_the_command_from_end_to_end(tmp_path: Path) -> None:
    purified(tmp_path, [row(0), row(1, result="from anna.schmidt@bank.de")])
    arguments = (tmp_path / "purified", "-o", tmp_path / "out", "--repo", "user/name", "--license", "mit")
    with hub_server() as hub:
        code, said, warned = run(COMMAND, hub, *arguments, "--source-license", "toy=cc0-1.0")
        assert code == 1 and "personal:email 1; the places are in" in said
        assert "so nothing was uploaded: mend the data, or accept them with --allow-findings personal:email" in warned
        assert hub.private is None and (tmp_path / "out/audit.json").is_file()

        allowed = (*arguments, "--source-license", "toy=cc0-1.0", "--allow-findings", "personal")
        code, said, _ = run(COMMAND, hub, *allowed, "--dry-run")
        assert code == 0 and "nothing was uploaded: --dry-run" in said and hub.private is None
        code, said, _ = run(COMMAND, hub, *allowed)
        assert code == 0 and f"uploaded: {hub.url}/datasets/user/name (private)" in said
        assert "as it was made before" in said and hub.files == listed(tmp_path / "out")
