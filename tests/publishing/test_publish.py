"""The published copy: what is in it, what reads it, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import mlcroissant
import pytest
import yaml
from huggingface_hub import DatasetCard, DatasetCardData

from purify.cleaning import clean, restore
from purify.datasets import Dataset
from purify.datasets.verify import verify
from purify.errors import PurifyError
from purify.importing import import_dump
from purify.publishing import PublishConfig, Published, publish, stage
from purify.saar.config import SaarConfig
from purify_schemas import PURIFIED_SCHEMA, Call, Message, Source
from tests.publishing.support import purified, row
from tests.support import call, dump, step, trajectory, write_dataset

FILES = ["README.md", "SHA256SUMS", "audit.json", "croissant.json", "data", "manifest.json"]
CROISSANT = pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated", "ignore:The inplace keyword")
"""What mlcroissant uses of rdflib and pandas is about to change; it is not ours to mend."""
QUESTION = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May."


def published(tmp_path: Path, **options: Any) -> Published:
    return publish(tmp_path / "purified", tmp_path / "out", PublishConfig.model_validate(options))


def listed(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def load(folder: Path, cache: Path) -> datasets.Dataset:
    return datasets.load_dataset(str(folder), split="train", cache_dir=str(cache))


def test_the_copy_is_a_dataset_with_the_same_rows(tmp_path: Path) -> None:
    dataset = purified(tmp_path, [row(number) for number in range(5)], shards=2)
    made = published(tmp_path, license="mit")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES
    assert list(made.dataset) == list(dataset)
    manifest = made.dataset.manifest
    assert (manifest.stage, manifest.digest, manifest.rows) == ("publish", dataset.manifest.digest, 5)
    assert [ancestor.stage for ancestor in manifest.lineage] == ["import", "clean"]
    assert manifest.config["of"]["config"]["gamma"] == 0.5
    assert verify(tmp_path / "out", tmp_path / "purified").findings == []
    ended = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "out", capture_output=True, text=True)
    assert ended.returncode == 0 and ended.stdout.count(": OK") == 6
    restored = restore(tmp_path / "out", tmp_path / "raw-again")
    assert restored.manifest.digest == Dataset.open(tmp_path / "raw").manifest.digest
    rows = load(tmp_path / "out", tmp_path / "cache")
    assert rows.num_rows == 5 and rows[3]["steps"][0]["calls"][0]["arguments"] == '{"code": "print(3)"}'
    assert rows.features == datasets.Features.from_arrow_schema(PURIFIED_SCHEMA)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    purified(tmp_path, [row(number) for number in range(3)])
    published(tmp_path, license="mit", source_license={"toy": "cc0-1.0"})
    first = listed(tmp_path / "out")
    assert str(tmp_path).encode() not in b"".join(data for name, data in first.items() if not name.startswith("data"))
    publish(tmp_path / "purified", tmp_path / "again", PublishConfig(license="mit", source_license={"toy": "cc0-1.0"}))
    assert listed(tmp_path / "again") == first


def test_the_card(tmp_path: Path) -> None:
    purified(tmp_path, [row(number, file="a.jsonl" if number else "dir/b.jsonl") for number in range(3)])
    made = published(tmp_path, license="mit", repo="user/rollouts", dry_run=True, source_license={"dir": "cc0-1.0"})
    loaded = DatasetCard.load(tmp_path / "out/README.md")
    assert isinstance(loaded.data, DatasetCardData)
    matter = yaml.safe_load((tmp_path / "out/README.md").read_text().split("---\n")[1])
    assert loaded.data.to_dict() == matter  # type: ignore[no-untyped-call]
    assert (matter["license"], matter["size_categories"]) == ("mit", ["n<1K"])
    (split,) = matter["dataset_info"]["splits"]
    assert (split["name"], split["num_examples"]) == ("train", 3)
    assert matter["dataset_info"]["download_size"] == made.dataset.manifest.shards[0].bytes
    assert datasets.Features._from_yaml_list(matter["dataset_info"]["features"]) == datasets.Features.from_arrow_schema(
        PURIFIED_SCHEMA
    )
    text = loaded.text
    for line in (
        "# rollouts",
        "| failed calls | 3 of 6 (50.0%) | 0 of 3 (0.0%) |",
        "| gamma | 0.5 |",
        "| shallow | 3 |",
        "| python | 6 | 3 | 3 | 0 |",
        '| code_arguments | `["code"]` |',
        "| NameError | 3 | 0 |",
        "| toy | hand | – | a.jsonl | 2 | **unknown** |",
        "| toy | hand | – | dir/b.jsonl | 1 | cc0-1.0 |",
        f"| import | `{made.dataset.manifest.lineage[0].digest}` |",
        "Nothing was found.",
        "- 3 edits were made after sampling",
        "- It is unknown whether benchmark questions are among the prompts.",
        'datasets.load_dataset("user/rollouts", split="train")',
        "`purify restore FOLDER -o raw/`",
        made.dataset.manifest.shards[0].sha256,
    ):
        assert line in text
    assert any("the licence of 2 of 3 row(s) is unknown" in line for line in made.warnings)


def test_the_card_of_a_raw_dataset_speaks_of_no_edits(tmp_path: Path) -> None:
    write_dataset(tmp_path / "purified", [row(0)])
    made = published(tmp_path, source_license={"nobody": "mit"})
    text = (tmp_path / "out/README.md").read_text()
    assert "| python | 2 | 1 |\n" in text and "purify restore" not in text and "What was purified" not in text
    assert "The licence of this dataset was not given" in text
    assert made.warnings[-1] == "--source-license nobody: no row has a framework, model, file or folder of that name"


def test_the_card_lists_the_tools_that_failed_and_counts_the_others(tmp_path: Path) -> None:
    quiet = [call("x", name=name) for name in ("look", "look", "read")]
    failing = step(call("x", "error", name="write"), think="Once.")
    write_dataset(tmp_path / "purified", [trajectory(failing, step(*quiet))])
    published(tmp_path)
    text = (tmp_path / "out/README.md").read_text()
    assert "\n| write | 1 | 1 |\n| 2 more without a failed call | 3 | 0 |\n\n" in text and "| look |" not in text
    write_dataset(tmp_path / "good/raw", [trajectory(step(*quiet))])
    clean(tmp_path / "good/raw", tmp_path / "good/purified")
    published(tmp_path / "good")
    assert (
        "|---|---|---|---|---|\n| 2 tools without a failed call | 3 | 0 | 3 | 0 |\n\n"
        in (tmp_path / "good/out/README.md").read_text()
    )


def test_the_card_shows_the_options_as_yaml_has_them(tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [row(0)])
    states = {"a|b`": "stateless"}
    clean(tmp_path / "raw", tmp_path / "purified", SaarConfig.model_validate({"gates": "off", "tool_state": states}))
    published(tmp_path)
    text = (tmp_path / "out/README.md").read_text()
    table = text.partition("| option | value |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    assert table == [
        "| method | saar |",
        "| gamma | 0.5 |",
        "| max_retries | 3 |",
        "| min_similarity | 0.0 |",
        "| compare | code |",
        "| chain | first |",
        "| similarity | difflib |",
        '| code_arguments | `["code"]` |',
        "| fraction | 1.0 |",
        "| gates | `[]` |",
        '| tool_state | `{"a\\|b\'": "stateless"}` |',
        "| allow_external | false |",
        "| seed | 0 |",
        "| apply_to | all |",
    ]


@CROISSANT
def test_croissant_is_valid_and_its_records_can_be_read(tmp_path: Path) -> None:
    purified(tmp_path, [row(number) for number in range(3)], shards=2)
    published(tmp_path, license="mit", repo="user/name", dry_run=True, date_published="2026-01-02")
    described = mlcroissant.Dataset(jsonld=tmp_path / "out/croissant.json")
    assert (set(described.metadata.ctx.issues.errors), set(described.metadata.ctx.issues.warnings)) == (set(), set())
    records = list(described.records("trajectories"))
    assert [record["trajectories/trajectory_id"] for record in records] == [b"t0", b"t1", b"t2"]
    assert records[1]["trajectories/steps"][1 - 1]["trajectories/steps/reasoning_text"].startswith(b"word100 word101")
    assert records[1]["trajectories/source"]["trajectories/source/row"] == 1
    shards = json.loads((tmp_path / "out/croissant.json").read_text())["distribution"]
    assert [one["sha256"] for one in shards[:2]] == [s.sha256 for s in Dataset.open(tmp_path / "out").manifest.shards]


@CROISSANT
def test_a_real_dump(tmp_path: Path) -> None:
    import_dump(dump("mathcoder"), tmp_path / "raw")
    clean(tmp_path / "raw", tmp_path / "purified")
    made = published(tmp_path, license="apache-2.0", source_license={"MathCoder": "apache-2.0"})
    assert made.audit.findings == [] and made.dataset.manifest.rows == 1020
    assert load(tmp_path / "out", tmp_path / "cache").num_rows == 1020
    described = mlcroissant.Dataset(jsonld=tmp_path / "out/croissant.json")
    assert described.metadata.ctx.issues.errors == set()
    assert sum(1 for _ in described.records("trajectories")) == 1020
    assert "| failed calls | 214 of 2,641 (8.1%) | 167 of 2,594 (6.4%) |" in (tmp_path / "out/README.md").read_text()


def test_findings_block_unless_allowed(tmp_path: Path) -> None:
    purified(tmp_path, [row(0), row(1, result="from anna.schmidt@bank.de")])
    made = published(tmp_path)
    assert made.blocking == {"personal:email": 1} and (tmp_path / "out/audit.json").is_file()
    assert b"anna.schmidt" not in b"".join(
        data for name, data in listed(tmp_path / "out").items() if name[:4] != "data"
    )
    assert "| personal:email | 1 |" in (tmp_path / "out/README.md").read_text()
    for allowed in ("personal:email", "personal", "all"):
        again = published(tmp_path, allow_findings=allowed)
        assert again.reused and again.blocking == {}
    assert published(tmp_path, allow_findings="secret").blocking == {"personal:email": 1}


def test_contaminated_rows_are_told_or_dropped_and_kept_aside(tmp_path: Path) -> None:
    rows = [row(0), row(1, prompt=f"Solve: {QUESTION}"), row(2, result="anna.schmidt@bank.de"), row(3, prompt=QUESTION)]
    dataset = purified(tmp_path, rows, shards=2)
    (tmp_path / "gsm.txt").write_text(QUESTION + "\n")
    told = published(tmp_path, benchmark=str(tmp_path / "gsm.txt"))
    assert [hit.row for hit in told.audit.contaminated] == [1, 3]
    assert told.dataset.manifest.rows == 4 and told.aside is None

    options = PublishConfig(benchmark=(str(tmp_path / "gsm.txt"),), drop_contaminated=True)
    made = publish(tmp_path / "purified", tmp_path / "less", options)
    kept = [list(dataset)[number] for number in (0, 2)]
    assert list(made.dataset) == kept
    assert [finding.row for finding in made.audit.findings] == [1]
    manifest = made.dataset.manifest
    assert (manifest.rows, manifest.records_in, manifest.counts["rows_dropped_contaminated"]) == (2, 4, 2)
    assert manifest.lineage[-1].rows == 4 and verify(tmp_path / "less").findings == []
    assert made.aside == tmp_path / "less.dropped.jsonl"
    aside = [json.loads(line) for line in made.aside.read_text().splitlines()]
    assert [(one["reason"], one["row"], one["trajectory_id"], one["record"]["trajectory_id"]) for one in aside] == [
        ("contaminated", 1, "t1", "t1"),
        ("contaminated", 3, "t3", "t3"),
    ]
    text = (tmp_path / "less/README.md").read_text()
    assert "\n2 rows of the dataset that was published are left out, for" in text and "2, left out |" in text
    assert "gives back the raw rows, but for those that were left out." in text
    assert load(tmp_path / "less", tmp_path / "cache").num_rows == 2


def test_every_row_may_be_contaminated(tmp_path: Path) -> None:
    purified(tmp_path, [row(0, prompt=QUESTION), row(1, prompt=QUESTION)], shards=2)
    (tmp_path / "gsm.txt").write_text(QUESTION)
    made = published(tmp_path, benchmark=str(tmp_path / "gsm.txt"), drop_contaminated=True)
    assert made.dataset.manifest.rows == 0 and verify(tmp_path / "out").findings == []


def test_the_folder_is_made_once_and_never_over_something_else(tmp_path: Path) -> None:
    purified(tmp_path, [row(0)])
    assert not published(tmp_path, license="mit").reused
    assert published(tmp_path, license="mit").reused
    assert not published(tmp_path, license="apache-2.0").reused
    assert "license: apache-2.0" in (tmp_path / "out/README.md").read_text()
    purified(tmp_path / "other", [row(1)])
    with pytest.raises(PurifyError, match="holds a published copy of another dataset"):
        publish(tmp_path / "other/purified", tmp_path / "out")
    published(tmp_path, license="mit")
    (tmp_path / "out/README.md").write_text("mine")
    with pytest.raises(PurifyError, match=r"README\.md: was changed after it was written"):
        published(tmp_path, license="mit")
    assert not publish(tmp_path / "purified", tmp_path / "out", PublishConfig(license="mit"), overwrite=True).reused
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(PurifyError, match=r"notes\.txt: is no part of the published copy"):
        publish(tmp_path / "purified", tmp_path / "out", PublishConfig(), overwrite=True)
    assert (tmp_path / "out/notes.txt").read_text() == "mine"
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("mine")
    with pytest.raises(PurifyError, match="holds something else than a published copy"):
        publish(tmp_path / "purified", tmp_path / "full", PublishConfig(), overwrite=True)
    with pytest.raises(PurifyError, match="is the dataset, or lies inside it"):
        publish(tmp_path / "purified", tmp_path / "purified/out")


def test_a_damaged_dataset_is_refused(tmp_path: Path) -> None:
    dataset = purified(tmp_path, [row(0)])
    shard = tmp_path / "purified" / dataset.manifest.shards[0].path
    shard.write_bytes(shard.read_bytes() + b"x")
    with pytest.raises(PurifyError, match=r"not fit to be published: data/train.* sha256 differs"):
        published(tmp_path)
    assert not (tmp_path / "out").exists()
    with pytest.raises(PurifyError, match="not a dataset"):
        publish(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"repo": "name"}, "must be USER/NAME"),
        (
            {"allow_findings": "secrets"},
            r"no such kind of finding \(did you mean secret\?\); name all, secret, personal, or a",
        ),
        ({"drop_contaminated": True}, "drop_contaminated needs a benchmark"),
        ({"benchmark_field": "stem"}, "benchmark_field needs a benchmark"),
        ({"public": True}, "public needs a repo to upload to"),
        ({"replace_repo": True, "dry_run": True}, "replace_repo needs a repo to upload to"),
        ({"license": "Apache 2.0"}, "no identifier of the hub: those are in lower case, like apache-2.0"),
        ({"license": "mit\n# x"}, "no identifier of the hub"),
        ({"license": ""}, "no identifier of the hub"),
        ({"date_published": "today"}, "should match pattern"),
        ({"near_duplicates": 1.5}, "less than or equal to 1"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        PublishConfig.model_validate(options)


def test_a_missing_library_is_said_before_anything_is_read(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["datasketch"] = None
from purify.errors import PurifyError
from purify.publishing import publish
try:
    publish("nowhere", "out")
except PurifyError as error:
    sys.exit(str(error))
"""
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": f"{root}:{root / 'schemas'}"}
    )
    assert ended.stderr == "publish needs datasketch; install it with: pip install 'purify-trajectories[publish]'\n"


def test_a_file_that_was_put_into_the_copy_is_not_taken_for_part_of_it(tmp_path: Path) -> None:
    purified(tmp_path, [row(0)])
    published(tmp_path, license="mit")
    (tmp_path / "out/data/extra.parquet").write_bytes(b"x")
    with pytest.raises(PurifyError, match=r"extra\.parquet: is no part of the published copy, and nobody has looked"):
        published(tmp_path, license="mit")


def test_the_copy_is_its_own(tmp_path: Path) -> None:
    """Neither a link of the source (as huggingface_hub's cache has them) nor a later change of it shows."""
    dataset = purified(tmp_path, [row(0)])
    shard = tmp_path / "purified" / dataset.manifest.shards[0].path
    (tmp_path / "blobs").mkdir()
    shard.rename(tmp_path / "blobs/x")
    shard.symlink_to("../../blobs/x")
    made = published(tmp_path, license="mit")
    copied = tmp_path / "out" / made.dataset.manifest.shards[0].path
    assert not copied.is_symlink()
    with (tmp_path / "blobs/x").open("r+b") as file:
        file.write(b"XXXX")
    assert verify(tmp_path / "out").findings == []


def test_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    purified(tmp_path, [row(0)])
    for name in ("here", "real"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("new")
    monkeypatch.chdir(tmp_path / "here")
    config = PublishConfig(license="mit")
    for out, place in ((".", "here"), ("../link", "real"), ("../dangling", "new")):
        assert publish(tmp_path / "purified", out, config).dataset.path == tmp_path / place
        assert sorted(path.name for path in (tmp_path / place).iterdir()) == FILES
        assert publish(tmp_path / "purified", out, config).reused
    monkeypatch.chdir(tmp_path / "here")
    assert not publish(tmp_path / "purified", ".", PublishConfig(license="cc0-1.0")).reused
    assert sorted(path.name for path in Path().iterdir()) == FILES and verify(".").findings == []


@CROISSANT
def test_repeated_ids_are_told_and_are_no_key(tmp_path: Path) -> None:
    write_dataset(tmp_path / "purified", [row(0), row(0), row(1)])
    made = published(tmp_path, license="mit", source_license={"toy": "mit"})
    assert made.warnings == ["1 trajectory_id(s) on more than one row: croissant.json names no key"]
    described = json.loads((tmp_path / "out/croissant.json").read_text())
    assert "key" not in described["recordSet"][0]
    assert mlcroissant.Dataset(jsonld=tmp_path / "out/croissant.json").metadata.ctx.issues.errors == set()
    assert "- 1 trajectory_id is on more than one row" in (tmp_path / "out/README.md").read_text()


def test_a_copy_without_contaminated_rows_is_verified_against_the_dataset(tmp_path: Path) -> None:
    purified(tmp_path, [row(0), row(1, prompt=QUESTION)])
    (tmp_path / "gsm.txt").write_text(QUESTION)
    published(tmp_path, benchmark=str(tmp_path / "gsm.txt"), drop_contaminated=True)
    assert verify(tmp_path / "out", tmp_path / "purified").findings == []
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    manifest["counts"]["rows_dropped_contaminated"] = 2
    (tmp_path / "out/manifest.json").write_text(json.dumps(manifest))
    (finding,) = verify(tmp_path / "out", tmp_path / "purified").findings
    assert finding.endswith("has 2 rows, this has 1 and left out 2")


def test_the_file_of_rows_left_out_is_never_somebody_elses_and_never_stale(tmp_path: Path) -> None:
    purified(tmp_path, [row(0), row(1, prompt=QUESTION)])
    (tmp_path / "gsm.txt").write_text(QUESTION)
    options = {"benchmark": str(tmp_path / "gsm.txt"), "drop_contaminated": True, "license": "mit"}
    aside = tmp_path / "out.dropped.jsonl"
    aside.write_text("mine")
    with pytest.raises(PurifyError, match=r"out\.dropped\.jsonl: is no file of rows that were left out"):
        published(tmp_path, **options)
    assert aside.read_text() == "mine" and not (tmp_path / "out").exists()
    published(tmp_path, license="mit")
    assert aside.read_text() == "mine"
    aside.unlink()
    assert published(tmp_path, **options).aside == aside and aside.is_file()
    assert published(tmp_path, license="mit").aside is None and not aside.exists()
    published(tmp_path, **options)
    aside.unlink()
    again = published(tmp_path, **options)
    assert again.reused and again.aside is None and again.audit.dropped == 1


def test_the_card_and_the_audit_do_not_show_what_was_found(tmp_path: Path) -> None:
    mail, token = "anna.schmidt@bank.de", "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH"
    leaky = row(0, result=f"{mail} and {token}")
    source = leaky.source.model_copy(update={"model": token, "file": f"home/{mail}/x.jsonl"})
    asked = [Message(role="user", content=QUESTION)]
    rows = [
        leaky.model_copy(update={"trajectory_id": f"{mail}/{n}", "source": source, "messages": asked}) for n in (1, 2)
    ]
    write_dataset(tmp_path / "purified", rows)
    (tmp_path / "gsm.txt").write_text(QUESTION)
    for drop in (False, True):
        made = publish(
            tmp_path / "purified",
            tmp_path / f"out-{drop}",
            PublishConfig(benchmark=(str(tmp_path / "gsm.txt"),), drop_contaminated=drop, title=f"Of {mail}"),
        )
        assert made.audit.contaminated[1].trajectory_id == "an… (20 characters)/2"
        for name in ("README.md", "audit.json", "croissant.json"):
            text = (tmp_path / f"out-{drop}" / name).read_text()
            assert mail not in text and token not in text
    assert "home/an… (20 characters)/x.jsonl" in (tmp_path / "out-False/README.md").read_text()
    assert "# Of an… (20 characters)\n" in (tmp_path / "out-False/README.md").read_text()


def test_options_are_published_and_so_they_are_scanned(tmp_path: Path) -> None:
    purified(tmp_path, [row(0)])
    made = published(tmp_path, license="mit", source_license={"toy": "ask anna.schmidt@bank.de"})
    assert [(one.row, one.field) for one in made.audit.findings] == [(None, "manifest.json config.source_license.toy")]
    assert made.blocking == {"personal:email": 1}


def test_names_of_others_are_no_markup(tmp_path: Path) -> None:
    evil = "![x](https://evil.test/p.png) [y](https://evil.test) &lt;img&gt; *b*\n# h"
    failed = step(Call(name=evil, arguments="{}", status="error", error_type=evil))
    rows = [trajectory(failed, step(Call(name=evil, arguments="{}", status="ok")))]
    source = Source(framework=evil, format="hand", model=evil, file="a", row=0)
    write_dataset(tmp_path / "purified", [rows[0].model_copy(update={"source": source})])
    published(tmp_path, title=f"T\n{evil}", source_license={"hand": evil})
    text = (tmp_path / "out/README.md").read_text().split("---\n", 2)[2]
    shown = r"!\[x\](https://evil.test/p.png) \[y\](https://evil.test) &amp;lt;img&amp;gt; \*b\* # h".replace(
        "!", r"\!"
    )
    assert text.count("evil.test") == 2 * 6 and text.count(shown) == 6
    assert f"\n# T {shown}\n" in text and "\n# h" not in text


def test_log_probs_are_spoken_of_where_there_are_some(tmp_path: Path) -> None:
    purified(tmp_path / "without", [row(0)])
    steps = [
        step(call("prin(1)", "error"), raw="<call>prin(1)", reasoning_ids=[1], action_ids=[2, 3], observation_ids=[4]),
        step(call("print(1)"), raw="<call>print(1)", reasoning_ids=[5], action_ids=[6, 7], observation_ids=[8]),
    ]
    purified(tmp_path / "with", [row(0).model_copy(update={"steps": steps})])
    for name, said in (("with", True), ("without", False)):
        published(tmp_path / name)
        text = (tmp_path / name / "out/README.md").read_text()
        assert ("its stored log-probs are those of another context" in text) is said
        assert "- 1 edit was made after sampling" in text


def test_a_copy_without_rows_does_not_promise_to_load(tmp_path: Path) -> None:
    write_dataset(tmp_path / "purified", [])
    published(tmp_path)
    text = (tmp_path / "out/README.md").read_text()
    assert "refuses a dataset without rows" in text and "split=" not in text
    with pytest.raises(ValueError):
        load(tmp_path / "out", tmp_path / "cache")


def test_every_library_that_decides_bytes_is_part_of_the_identity() -> None:
    assert stage.versions().keys() >= {"datasketch", "Jinja2", "detect-secrets", "pyarrow"}


def test_a_published_copy_can_be_published_again(tmp_path: Path) -> None:
    purified(tmp_path, [row(0)])
    published(tmp_path, license="mit")
    again = publish(tmp_path / "out", tmp_path / "twice", PublishConfig(license="mit"))
    assert [ancestor.stage for ancestor in again.dataset.manifest.lineage] == ["import", "clean", "publish"]
    assert again.dataset.manifest.config["of"]["stage"] == "clean"
    assert "| gamma | 0.5 |" in (tmp_path / "twice/README.md").read_text()
