"""The stage with a real engine (a tiny random model) and the real sandbox's absence or presence made explicit."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from purify.datasets import Dataset
from purify.datasets.verify import verify
from purify.engines.loading import load_engine, load_tokenizer
from purify.errors import PurifyError
from purify.generating import GenerateConfig, generate
from purify.generating.agent import response_ids
from purify.generating.journal import Journal, read_journal
from purify.generating.policy import open_sampler
from purify_schemas import RAW_SCHEMA
from tests.engines.stand_in import stand_in
from tests.support import trajectory
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"), max_length=512)


def write_tasks(path: Path, *rows: dict[str, Any] | str) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def config(model: Path, **given: Any) -> GenerateConfig:
    options: dict[str, Any] = {
        "model": str(model),
        "tool": "none",
        "group_size": 3,
        "max_turn_tokens": 12,
        "max_response_tokens": 40,
        **given,
    }
    return GenerateConfig(**options)


TASKS = [
    {"task_id": f"t{index}", "prompt": f"What is {index} + 1?", "answer": str(index + 1), "verifier": "exact"}
    for index in range(4)
]


def test_every_task_has_its_whole_group_in_order(model: Path, tmp_path: Path) -> None:
    dataset = generate(write_tasks(tmp_path / "t.jsonl", *TASKS), tmp_path / "out", config(model), concurrency=5)
    rows = list(dataset)
    assert [(row.task_id, row.sample_index) for row in rows] == [(f"t{t}", s) for t in range(4) for s in range(3)]
    assert len({row.trajectory_id for row in rows}) == 12
    assert [len({row.group_id for row in rows[at : at + 3]}) for at in range(0, 12, 3)] == [1, 1, 1, 1]
    assert len({row.group_id for row in rows}) == 4
    assert verify(tmp_path / "out").findings == []
    assert dataset.manifest.counts["rewarded"] == 12
    assert str(model) not in (tmp_path / "out/manifest.json").read_text()
    source = rows[4].source
    assert (source.framework, source.file, source.row, source.temperature) == ("purify", "t.jsonl", 1, 1.0)
    assert source.logprobs_mode == "processed_logprobs" and source.revision is not None


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_stored_logprobs_are_those_of_the_stored_sequence(model: Path, tmp_path: Path, temperature: float) -> None:
    """Scoring prompt + response as one sequence gives the log-prob that was stored with every sampled token."""
    options = config(model, temperature=temperature, group_size=2)
    rows = list(generate(write_tasks(tmp_path / "t.jsonl", *TASKS[:2]), tmp_path / "out", options))

    async def score(ids: list[int]) -> list[float | None]:
        engine = await load_engine(options)
        try:
            return await engine.score(ids, temperature)
        finally:
            await engine.close()

    for row in rows:
        assert row.prompt_token_ids is not None
        scores = asyncio.run(score([*row.prompt_token_ids, *response_ids(row.steps)]))
        stored = [
            value for step in row.steps for value in (step.reasoning.logprobs or []) + (step.action.logprobs or [])
        ]
        assert scores[len(row.prompt_token_ids) :] == pytest.approx(stored, abs=5e-5)


def test_bad_tasks_and_prompts_that_do_not_fit_are_put_aside(model: Path, tmp_path: Path) -> None:
    long = {"task_id": "long", "prompt": "word " * 600}
    tasks = write_tasks(tmp_path / "t.jsonl", TASKS[0], '{"prompt": ', long, TASKS[1])
    dataset = generate(tasks, tmp_path / "out", config(model))
    assert (dataset.manifest.rows, dataset.manifest.rejected, dataset.manifest.records_in) == (6, 2, 8)
    rejected = [json.loads(line) for line in (tmp_path / "out/rejected/rejected.jsonl").read_text().splitlines()]
    assert [(entry["row"], entry["reason"][:8]) for entry in rejected] == [(1, "not JSON"), (2, "the prom")]
    assert "tokens, the model's context is 512" in rejected[1]["reason"]
    assert json.loads(rejected[1]["record"]) == long


def test_the_response_ends_where_the_context_does(model: Path, tmp_path: Path) -> None:
    options = config(
        model, max_response_tokens=5000, max_turn_tokens=5000, group_size=8, temperature=0.0, max_model_len=80
    )
    (row, *_) = generate(write_tasks(tmp_path / "t.jsonl", TASKS[0]), tmp_path / "out", options)
    assert row.prompt_token_ids is not None
    assert len(row.prompt_token_ids) + len(response_ids(row.steps)) <= 80


def test_equal_options_sample_equal_rows_and_another_seed_others(model: Path, tmp_path: Path) -> None:
    """One at a time: batches of another make-up may round otherwise."""
    tasks = write_tasks(tmp_path / "t.jsonl", *TASKS)
    first, again, other = (
        [row.steps for row in generate(tasks, tmp_path / name, config(model, seed=seed), concurrency=1)]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again
    assert first != other


def test_a_killed_run_samples_only_what_is_missing(model: Path, tmp_path: Path) -> None:
    """kill -9 in the middle; what was finished is kept to the bit, and no pair is missing or there twice."""
    tasks = write_tasks(tmp_path / "t.jsonl", *(dict(TASKS[0], task_id=f"t{index}") for index in range(60)))
    out = tmp_path / "out"
    options = ["--model", str(model), "--tool", "none", "--group-size", "4", "--max-turn-tokens", "100", "-j", "2"]
    command = [
        sys.executable,
        "-c",
        "from purify_cli.main import run; run()",
        "generate",
        str(tasks),
        "-o",
        str(out),
        *options,
    ]
    journal = out / ".partial/journal/00000.arrows"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        deadline = time.monotonic() + 120
        while not (journal.exists() and journal.stat().st_size > 100_000):
            assert run.poll() is None and time.monotonic() < deadline, run.stderr and run.stderr.read()
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
    with pa.ipc.open_stream(pa.memory_map(str(journal))) as reader:
        kept = {}
        try:
            for batch in reader:
                kept[batch.column("trajectory_id")[0].as_py()] = batch.to_pylist()[0]
        except (pa.ArrowInvalid, OSError):
            pass
    assert 0 < len(kept) < 240
    with pytest.raises(PurifyError, match="unfinished dataset"):
        Dataset.open(out)
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False, timeout=240)
    assert again.returncode == 0, again.stderr
    dataset = Dataset.open(out)
    rows = [row for table in dataset.tables() for row in table.to_pylist()]
    assert [(row["task_id"], row["sample_index"]) for row in rows] == [
        (f"t{t}", s) for t in range(60) for s in range(4)
    ]
    assert [row for row in rows if row["trajectory_id"] in kept] == [
        kept[row["trajectory_id"]] for row in rows if row["trajectory_id"] in kept
    ]
    assert verify(out).findings == [] and not (out / ".partial").exists()


def test_a_resume_with_other_options_is_refused(model: Path, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "t.jsonl", *TASKS)
    with pytest.raises(PurifyError, match="--tool nowhere:tool: No module named"):
        generate(tasks, tmp_path / "out", config(model, tool="nowhere:tool"))
    with pytest.raises(PurifyError, match="other options or other input"):
        generate(tasks, tmp_path / "out", config(model, seed=5), mode="resume")


def test_a_resume_with_another_chat_template_is_refused(model: Path, tmp_path: Path) -> None:
    """The template is the prompt's form: two of them must not mix in one group."""
    own = tmp_path / "model"
    shutil.copytree(model, own)
    tasks = write_tasks(tmp_path / "t.jsonl", *TASKS)
    with pytest.raises(PurifyError, match="--tool nowhere:tool"):
        generate(tasks, tmp_path / "out", config(own, tool="nowhere:tool"))
    template = own / "chat_template.jinja"
    template.write_text(template.read_text().replace("# Tools", "# Your tools"))
    with pytest.raises(PurifyError, match="other options or other input"):
        generate(tasks, tmp_path / "out", config(own, tool="nowhere:tool"), mode="resume")


def test_a_turn_ends_where_the_model_says(model: Path) -> None:
    """The template's end of turn, and every end that the model's own generation config names."""
    options = config(model)
    tokenizer = load_tokenizer(options)
    ends = {tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>")}

    async def stop_ids() -> set[int]:
        async with open_sampler(options, tokenizer, [], "t.jsonl") as sampler:
            return set(sampler.agent.sampling.stop_token_ids)

    assert asyncio.run(stop_ids()) == ends


def test_a_journal_that_was_cut_off_keeps_what_is_whole(tmp_path: Path) -> None:
    rows = [trajectory(id=f"t{index}") for index in range(3)]
    with Journal(tmp_path / "j", RAW_SCHEMA) as journal:
        for row in rows:
            journal.add(row)
    (path,) = (tmp_path / "j").glob("*.arrows")
    whole = path.read_bytes()
    for cut in (len(whole) - 20, len(whole) * 2 // 3, len(whole) // 2, 100, 0):
        path.write_bytes(whole[:cut])
        with Journal(tmp_path / "j", RAW_SCHEMA) as journal:
            found = list(journal.places)
        assert found == [row.trajectory_id for row in rows[: len(found)]]
        assert len(found) < 3 or cut > len(whole) * 2 // 3
        for extra in sorted((tmp_path / "j").glob("*.arrows"))[1:]:
            extra.unlink()


def test_a_server_that_dies_in_the_middle_loses_nothing_that_was_finished(model: Path, tmp_path: Path) -> None:
    """One line, what was finished is kept, and with the server back --resume samples the rest alone."""
    tasks = write_tasks(tmp_path / "t.jsonl", *TASKS)
    with stand_in(model=str(model), max_model_len=512) as server:
        options = config(model, engine="server", url=server.url, max_turn_tokens=3)

        def die() -> None:
            while len(server.requests) < 8:
                time.sleep(0.001)
            server.failures[:] = [0] * 1000

        dying = threading.Thread(target=die)
        dying.start()
        with pytest.raises(PurifyError, match="the server is gone"):
            generate(tasks, tmp_path / "out", options, concurrency=1)
        dying.join()
        kept = set(read_journal(tmp_path / "out/.partial/journal", RAW_SCHEMA))
        assert 0 < len(kept) < 12
        server.failures.clear()
        server.requests.clear()
        dataset = generate(tasks, tmp_path / "out", options, concurrency=1, mode="resume")
    assert len(dataset) == 12
    prompts = [request for request in server.requests if request["max_tokens"] == 3]
    assert len(prompts) == 12 - len(kept)
