"""`import_dump` end to end: every record is accounted for, ids are stable, and bad use is one clear line."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from purify.datasets import Dataset, ShardSink
from purify.datasets.verify import verify
from purify.errors import PurifyError
from purify.failures import load_rules
from purify.importing import ImportConfig, import_dump
from purify.importing.base import Record, RecordContext
from purify.importing.json_records import Read
from purify.importing.stage import convert, put_aside
from purify_schemas import RAW_SCHEMA, Source, Trajectory


def record(task: str = "t1", code: str = "print(1)", result: str = "1", **more: Any) -> dict[str, Any]:
    return {
        "task_id": task,
        "messages": [
            {"role": "user", "content": "Print one."},
            {
                "role": "assistant",
                "content": "So:",
                "tool_calls": [{"id": "c1", "function": {"name": "python", "arguments": json.dumps({"code": code})}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": result},
        ],
        **more,
    }


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_rows_and_rejected_account_for_every_record(tmp_path: Path) -> None:
    dump = write(tmp_path / "d.jsonl", record(), "{broken", record("t2"), {"messages": 7}, record("t3"))
    dataset = import_dump(dump, tmp_path / "out").dataset
    manifest = dataset.manifest
    assert (manifest.records_in, manifest.rows, manifest.rejected) == (5, 3, 2)
    rejected = [json.loads(line) for line in (tmp_path / "out/rejected/rejected.jsonl").read_text().splitlines()]
    assert [(entry["file"], entry["row"]) for entry in rejected] == [("d.jsonl", 1), ("d.jsonl", 3)]
    assert rejected[0]["record"] == "{broken" and "not JSON" in rejected[0]["reason"]
    assert json.loads(rejected[1]["record"]) == {"messages": 7} and "messages" in rejected[1]["reason"]
    assert verify(tmp_path / "out").findings == []


def test_workers_and_runs_change_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from purify.importing import records

    write(tmp_path / "d.jsonl", *(record(f"t{n}") for n in range(50)))
    monkeypatch.setattr(records, "UNIT_BYTES", 4000)
    digests = [
        import_dump(tmp_path / "d.jsonl", tmp_path / f"out{n}", workers=workers).dataset.manifest.digest
        for n, workers in enumerate((1, 2, 1))
    ]
    assert len(Dataset.open(tmp_path / "out0").manifest.shards) > 1
    assert len(set(digests)) == 1


def test_ids_do_not_depend_on_where_the_dump_lies(tmp_path: Path) -> None:
    for folder in ("a", "b/c"):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder / "d.jsonl", record(), record("t2"))
        import_dump(tmp_path / folder, tmp_path / "out" / folder)
    first, second = (list(Dataset.open(tmp_path / "out" / folder)) for folder in ("a", "b/c"))
    assert first == second and len({row.trajectory_id for row in first}) == 2


def test_groups_are_tasks_of_one_policy(tmp_path: Path) -> None:
    (tmp_path / "dump").mkdir()
    for name in ("a.jsonl", "b.jsonl"):
        write(tmp_path / "dump" / name, record("t1", sample_index=0), record("t1", sample_index=1), record("t2"))

    def groups(out: str, **options: Any) -> list[str]:
        dataset = import_dump(tmp_path / "dump", tmp_path / out, ImportConfig(**options)).dataset
        return [row.group_id for row in dataset]

    # Without a policy name, two files may be two policies: their samples are not compared.
    a1, a2, a3, b1, b2, b3 = groups("plain")
    assert a1 == a2 != a3 and b1 == b2 != b3 and a1 != b1
    a1, a2, a3, b1, b2, b3 = groups("policy", policy="step-100")
    assert a1 == a2 == b1 == b2 and a3 == b3 and a1 != a3
    a1, a2, a3, *_ = groups("prompt", task_by="prompt")
    assert a1 == a2 == a3
    a1, a2, a3, *_ = groups("field", task_by="messages_id")
    assert len({a1, a2, a3}) == 3, "a task field that no record has names no task"


def test_tool_state_and_rules_can_be_given(tmp_path: Path) -> None:
    dump = write(tmp_path / "d.jsonl", record(result="BOOM"))
    rules = tmp_path / "mine.yaml"
    rules.write_text("rules:\n  - {id: boom, text: '^BOOM', status: error, error_type: boom}\n")
    config = ImportConfig(tool_state={"python": "python_kernel"}, rules=str(rules))
    (row,) = import_dump(dump, tmp_path / "out", config).dataset
    assert row.state_of("python") == "python_kernel"
    assert (row.steps[0].calls[0].status, row.steps[0].calls[0].error_type) == ("error", "boom")


def test_a_tool_known_by_its_name_needs_no_option(tmp_path: Path) -> None:
    one = record()
    one["messages"][1]["tool_calls"][0]["function"]["name"] = "execute_bash"
    dump = write(tmp_path / "d.jsonl", one)
    (row,) = import_dump(dump, tmp_path / "a").dataset
    assert row.state_of("execute_bash") == "external"
    (row,) = import_dump(dump, tmp_path / "b", ImportConfig(tool_state={"execute_bash": "stateless"})).dataset
    assert row.state_of("execute_bash") == "stateless"


def test_rounds_and_frameworks_are_never_one_group(tmp_path: Path) -> None:
    context = RecordContext("f", 0, load_rules("tool"), ImportConfig(policy="p"))
    groups = {
        context.trajectory(
            record={},
            messages=[],
            source=Source(framework=name, round=number),
            task_id="t",
            sample_index=0,
            tool_states={},
        ).group_id
        for name in ("a", "b")
        for number in (1, 2)
    }
    assert len(groups) == 4


def test_many_batches_lose_no_record(tmp_path: Path) -> None:
    dump = write(tmp_path / "d.jsonl", *(record(f"t{n}") for n in range(700)))
    dataset = import_dump(dump, tmp_path / "out").dataset
    assert [row.task_id for row in dataset] == [f"t{n}" for n in range(700)]


def test_a_changed_rule_file_is_another_configuration(tmp_path: Path) -> None:
    dump, rules = write(tmp_path / "d.jsonl", record()), tmp_path / "mine.yaml"
    config = ImportConfig(rules=str(rules))
    digests = set()
    for status in ("error", "rejected"):
        rules.write_text(f"rules:\n  - {{id: one, text: '^1', status: {status}}}\n")
        digests.add(import_dump(dump, tmp_path / status, config).dataset.manifest.config_digest)
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "pickle"}, "format 'pickle' is unknown; choose one of: auto,"),
        ({"rules": "nonsense"}, "nonsense"),
    ],
)
def test_bad_options_are_one_clear_line(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    dump = write(tmp_path / "d.jsonl", record())
    with pytest.raises(PurifyError, match=message) as raised:
        import_dump(dump, tmp_path / "out", ImportConfig(**options))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_unknown_formats_are_named_with_their_keys(tmp_path: Path) -> None:
    dump = write(tmp_path / "d.jsonl", {"colour": "red", "shape": "round"})
    with pytest.raises(PurifyError, match=r"format not recognised .* colour, shape.*--format"):
        import_dump(dump, tmp_path / "out")


def test_a_stray_file_in_a_folder_is_put_aside_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "dump").mkdir()
    write(tmp_path / "dump/a.jsonl", record())
    write(tmp_path / "dump/settings.json", {"colour": "red"})
    (tmp_path / "dump/notes.txt").write_text("mine")
    report = import_dump(tmp_path / "dump", tmp_path / "out")
    manifest = report.dataset.manifest
    assert (manifest.rows, manifest.rejected, report.passed_over) == (1, 1, 1)
    assert [entry.format for entry in report.formats] == ["openai", None]
    (entry,) = map(json.loads, (tmp_path / "out/rejected/rejected.jsonl").read_text().splitlines())
    assert entry["file"] == "settings.json" and "format not recognised" in entry["reason"]


def test_the_output_may_not_lie_inside_the_dump(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", record())
    with pytest.raises(PurifyError, match="lies inside the dump"):
        import_dump(tmp_path, tmp_path / "out")


def test_a_dataset_of_ours_is_not_a_dump(tmp_path: Path) -> None:
    import_dump(write(tmp_path / "d.jsonl", record()), tmp_path / "out")
    with pytest.raises(PurifyError, match="is a purify dataset already"):
        import_dump(tmp_path / "out", tmp_path / "again")


@pytest.mark.parametrize("content", ["{broken\n", '[{"a": \n'])
def test_a_dump_without_a_readable_record_replaces_nothing(tmp_path: Path, content: str) -> None:
    write(tmp_path / "good.jsonl", record())
    import_dump(tmp_path / "good.jsonl", tmp_path / "out")
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(PurifyError, match="none of 1 records could be read; 1 x "):
        import_dump(tmp_path / "d.json", tmp_path / "out", mode="overwrite")
    assert len(Dataset.open(tmp_path / "out")) == 1


def test_an_empty_file_gives_an_empty_dataset(tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text("")
    assert import_dump(tmp_path / "d.json", tmp_path / "out").dataset.manifest.rows == 0
    assert verify(tmp_path / "out").findings == []


def test_a_plain_answer_first_does_not_hide_the_calls_of_other_records(tmp_path: Path) -> None:
    plain = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
    text = 'Look:\n<tool_call>\n{"name": "python", "arguments": {"code": "1"}}\n</tool_call>'
    hermes = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": text}]}
    for lines in ([plain, hermes, record()], [hermes, plain, record()]):
        dataset = import_dump(write(tmp_path / "d.jsonl", *lines), tmp_path / "out", mode="overwrite").dataset
        assert dataset.manifest.counts["calls"] == 2 and dataset.manifest.rows == 3


def test_what_cannot_be_written_again_is_still_put_aside(tmp_path: Path) -> None:
    deep = '{"messages": 7, "x": ' + "[" * 300 + "]" * 300 + "}"
    (tmp_path / "d.json").write_text(f'[{json.dumps(record())}, {deep}, {{"messages": 7, "x": NaN, "n": {"9" * 40}}}]')
    manifest = import_dump(tmp_path / "d.json", tmp_path / "out").dataset.manifest
    assert (manifest.rows, manifest.rejected) == (1, 2)


def test_a_failed_guess_does_not_block_the_next(tmp_path: Path) -> None:
    dump = write(tmp_path / "d.jsonl", record())
    with pytest.raises(PurifyError, match="none of 1 records could be read"):
        import_dump(dump, tmp_path / "out", ImportConfig(format="responses"))
    assert len(import_dump(dump, tmp_path / "out").dataset) == 1


def test_what_is_hidden_or_upper_case_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "dump/.ipynb_checkpoints").mkdir(parents=True)
    for name in ("a.jsonl", "B.JSONL", ".hidden.jsonl", ".ipynb_checkpoints/a.jsonl"):
        write(tmp_path / "dump" / name, record())
    dataset = import_dump(tmp_path / "dump", tmp_path / "out").dataset
    assert sorted(row.source.file or "" for row in dataset) == ["B.JSONL", "a.jsonl"]


def rejected(out: Path) -> list[tuple[str, str]]:
    lines = map(json.loads, (out / "rejected/rejected.jsonl").read_text().splitlines())
    return [(line["file"], line["reason"]) for line in lines]


HALF_PAIR = "a string holds half a surrogate pair, which is not text; write U+FFFD instead"


@pytest.mark.parametrize("options", [{}, {"task_by": "prompt"}])
def test_half_a_pair_inside_json_costs_its_record_alone(options: dict[str, Any], tmp_path: Path) -> None:
    bad = record(tools='[{"name": "\\ud800"}]')
    dump = write(tmp_path / "d.jsonl", record("t1"), bad, *(record(f"t{n}") for n in range(2, 300)))
    dataset = import_dump(dump, tmp_path / "out", ImportConfig(**options)).dataset
    assert (dataset.manifest.records_in, dataset.manifest.rows, dataset.manifest.rejected) == (300, 299, 1)
    assert dataset.manifest.counts["calls"] == 299
    assert rejected(tmp_path / "out") == [("d.jsonl", HALF_PAIR)]
    assert verify(tmp_path / "out").findings == []


class Quoting:
    """An importer that says what is wrong in words of the record, or reads it into an id that is no text."""

    name = default_rules = "tool"

    def recognise(self, record: Record) -> str | None:
        return None

    def read(self, record: Record, context: RecordContext) -> list[Trajectory]:
        source = Source(framework="a")
        return [
            context.trajectory(
                record=record, messages=[], source=source, task_id=record["id"], sample_index=0, tool_states={}
            )
        ]


def test_an_id_that_is_no_text_is_a_reason() -> None:
    context = RecordContext("f", 0, load_rules("tool"))
    assert convert(Quoting(), Read(0, {"id": "\ud800"}, None), context) == HALF_PAIR
    with pytest.raises(TypeError, match="Decimal"):  # any other fault is ours
        convert(Quoting(), Read(0, {"id": Decimal(1)}, None), context)


def test_a_reason_that_quotes_half_a_pair_can_be_written(tmp_path: Path) -> None:
    with ShardSink(tmp_path, 0, RAW_SCHEMA, "i") as sink:
        put_aside(Read(0, None, b"x"), "f", "scores.\ud800 is a number", sink)
    (line,) = (tmp_path / "00000.rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == "scores.\\ud800 is a number"


def vf_eval(folder: Path, **metadata: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    result = {"example_id": 3, "prompt": "1 + 1", "completion": "2", "reward": 1.0}
    write(folder / "results.jsonl", result)
    (folder / "metadata.json").write_text(json.dumps({"env_id": "sums", "model": "m", **metadata}))


@pytest.mark.parametrize("name", ["auto", "verifiers"])
def test_a_file_that_is_read_with_another_is_no_dump_file(name: str, tmp_path: Path) -> None:
    vf_eval(tmp_path / "dump/a")
    vf_eval(tmp_path / "dump/b", model="n")
    report = import_dump(tmp_path / "dump", tmp_path / "out", ImportConfig(format=name))
    assert [entry.file for entry in report.formats] == ["a/results.jsonl", "b/results.jsonl"]
    assert (report.dataset.manifest.records_in, report.dataset.manifest.rejected, report.passed_over) == (2, 0, 0)
    assert [row.source.model for row in report.dataset] == ["m", "n"]


def test_other_metadata_beside_a_dump_file_is_put_aside(tmp_path: Path) -> None:
    vf_eval(tmp_path / "dump")
    (tmp_path / "dump/metadata.json").write_text('{"colour": "red"}')
    import_dump(tmp_path / "dump", tmp_path / "out")
    ((file, reason),) = rejected(tmp_path / "out")
    assert (file, reason.startswith("format not recognised")) == ("metadata.json", True)


def test_a_resume_sees_that_a_file_beside_the_dump_has_changed(tmp_path: Path) -> None:
    vf_eval(tmp_path / "dump")
    import_dump(tmp_path / "dump", tmp_path / "out")
    identities = set()
    for model in ("m", "m", "n"):
        vf_eval(tmp_path / "dump", model=model)
        os.utime(tmp_path / "dump/results.jsonl", ns=(0, 0))
        folder = tmp_path / f"partial{len(list(tmp_path.iterdir()))}"
        with pytest.raises(KilledError):
            import_dump(tmp_path / "dump", folder, progress=killed)
        identities.add((folder / ".partial/identity").read_text())
    assert len(identities) == 2
    with pytest.raises(PurifyError, match="the unfinished run had other options or other input"):
        vf_eval(tmp_path / "dump", model="o")
        os.utime(tmp_path / "dump/results.jsonl", ns=(0, 0))
        import_dump(tmp_path / "dump", folder, mode="resume")


class KilledError(Exception):
    """Stands for a run that is killed before its first unit."""


def killed(*, total: int | None = None, units: int = 0, rows: int = 0) -> None:
    raise KilledError


TAKEN_TWICE = {
    "example_id": 3, "prompt": "1 + 1", "completion": "2", "reward": 1.0,
    "eval": {}, "status": "success", "samples": [],
}  # fmt: skip


def test_a_file_that_several_formats_claim_is_put_aside_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "dump").mkdir()
    write(tmp_path / "dump/a.jsonl", TAKEN_TWICE)
    write(tmp_path / "dump/b.jsonl", record())
    report = import_dump(tmp_path / "dump", tmp_path / "out")
    assert [(entry.file, entry.format) for entry in report.formats] == [("a.jsonl", None), ("b.jsonl", "openai")]
    ((file, reason),) = rejected(tmp_path / "out")
    assert file == "a.jsonl" and "inspect" in reason and "verifiers" in reason
    with pytest.raises(PurifyError, match=r"a\.jsonl: .*inspect.*verifiers|a\.jsonl: .*verifiers.*inspect"):
        import_dump(tmp_path / "dump/a.jsonl", tmp_path / "other")


@pytest.mark.parametrize("name", ["x.eval", "x.pt", "x.jsonl", "x.json", "x.parquet", "x.traj"])
def test_an_empty_file_is_called_empty_and_puts_nothing_aside(name: str, tmp_path: Path) -> None:
    (tmp_path / "dump").mkdir()
    write(tmp_path / "dump/a.jsonl", record())
    (tmp_path / "dump" / name).touch()
    report = import_dump(tmp_path / "dump", tmp_path / "out")
    (empty,) = [entry for entry in report.formats if entry.file == name]
    assert (empty.format, empty.why, empty.puts_aside) == (None, "the file is empty", False)
    assert (report.dataset.manifest.records_in, report.dataset.manifest.rejected) == (1, 0)


def test_hostile_records_are_rejected_never_raised(tmp_path: Path) -> None:
    dump = write(
        tmp_path / "d.jsonl",
        record(),
        '{"messages": [{"role": "user", "content": "\\ud800"}]}',
        record(reward=float("nan")),
        record(reward=1e999),
        record(reward=10**40),
    )
    dataset = import_dump(dump, tmp_path / "out").dataset
    assert (dataset.manifest.rows, dataset.manifest.rejected) == (4, 1)
    assert [row.reward for row in dataset][:3] == [None, None, None]
    assert '"NaN"' in (list(dataset)[1].extra or ""), "what is not a number is kept, not guessed"
