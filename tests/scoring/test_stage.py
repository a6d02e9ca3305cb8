"""The stage: rows that cannot be scored, refusals, resumption, and what other commands make of scored datasets."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from purify.chat.rendering import Renderer
from purify.cleaning import clean, restore
from purify.datasets import Dataset, ShardSink, Stage, run_stage
from purify.datasets.verify import verify
from purify.engines.loading import load_tokenizer
from purify.errors import PurifyError
from purify.scoring import ScoreConfig, score
from purify.scoring.identity import identity_of
from purify.scoring.rows import TableScorer
from purify.scoring.scorers import Answer, Done, Request
from purify.scoring.summary import ratios
from purify_schemas import RAW_SCHEMA, Observation, Segment, Trajectory, to_table
from tests.scoring.rollouts import reference, rendered, rollouts, update, without_ids
from tests.support import call, step, trajectory, write_dataset
from tests.tiny import tiny_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"), max_length=512)


def config(model: Path, **options: Any) -> ScoreConfig:
    return ScoreConfig(model=str(model), **options)


def shards(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "data").iterdir())]


def numbered(rows: list[Trajectory]) -> list[Trajectory]:
    return [row.model_copy(update={"trajectory_id": f"{n}"}) for n, row in enumerate(rows)]


def broken(model: Path) -> dict[str, Trajectory]:
    """One row for every reason why one cannot be scored."""
    good = rollouts(model)[2]
    last = good.steps[-1]
    (long,) = rendered(model, trajectory(step(think="word " * 600)))
    own = [*good.steps[:-1], last.model_copy(update={"reasoning": Segment(text="1", token_ids=[5, 409, 5000])})]
    unseen = good.steps[0].model_copy(update={"observation": Observation()})
    return {
        "the model's context is 512": long,
        "token id 409 is outside the model's vocabulary of 409": good.model_copy(update={"steps": own}),
        "some of its token ids are missing": good.model_copy(update={"steps": [unseen, last]}),
        "its first model token has no context": good.model_copy(update={"prompt_token_ids": []}),
        "step 0: a call could not be parsed": trajectory(step(call("{", "malformed", name=None))),
    }


def test_rows_that_cannot_be_scored_say_why(model: Path, tmp_path: Path) -> None:
    bad = broken(model)
    rows = numbered([rollouts(model)[0], *bad.values(), rollouts(model)[2]])
    write_dataset(tmp_path / "raw", rows)
    scored = score(tmp_path / "raw", tmp_path / "scored", config(model))
    found = list(scored)
    assert [row.model_copy(update={"scores": None}) for row in found] == rows
    problems = [row.scores.problem for row in found if row.scores is not None]
    assert problems[0] is None and problems[-1] is None
    for expected, problem in zip(bad, problems[1:-1], strict=True):
        assert problem is not None and expected in problem
    assert all(row.scores is not None and row.scores.logprobs is None for row in found[1:-1])
    counts = scored.manifest.counts
    assert (counts["rows_scored"], counts["rows_not_scored"]) == (2, 5)
    kinds = ("too_long", "outside_vocabulary", "ids_missing", "no_context", "not_rendered")
    assert [counts[f"problem_{kind}"] for kind in kinds] == [1] * 5
    assert found[0].scores is not None
    assert found[0].scores.logprobs == pytest.approx(reference(model, found[0]).logprobs, abs=5e-5)


def test_ids_of_the_last_result_are_not_needed(model: Path, tmp_path: Path) -> None:
    """Nothing was generated after it; sources leave them out."""
    row = rollouts(model)[2]
    last = row.steps[-1].model_copy(update={"observation": Observation()})
    write_dataset(tmp_path / "raw", [row.model_copy(update={"steps": [*row.steps[:-1], last]})])
    (found,) = score(tmp_path / "raw", tmp_path / "scored", config(model))
    assert found.scores is not None and found.scores.problem is None


def test_a_row_in_which_the_model_says_nothing(model: Path, tmp_path: Path) -> None:
    empty = rollouts(model)[2].model_copy(update={"steps": [], "trajectory_id": "empty"})
    write_dataset(tmp_path / "raw", [empty])
    (found,) = score(tmp_path / "raw", tmp_path / "scored", config(model, entropy=True))
    assert found.scores is not None and (found.scores.logprobs, found.scores.entropy) == ([], [])
    assert found.scores.self_certainty is None


def test_nothing_that_can_be_scored_is_an_error(model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", numbered([broken(model)["the model's context is 512"]] * 3), shards=3)
    for mode in ("new", "resume"):
        with pytest.raises(PurifyError, match=r"no row can be scored with .* tokens, the model's context is 512\)"):
            score(tmp_path / "raw", tmp_path / "scored", config(model), mode=mode)
    assert not (tmp_path / "scored/manifest.json").exists()


@dataclass(frozen=True)
class _GroupEach:
    """One row group a row."""

    def __call__(self, rows: list[Trajectory], sink: ShardSink) -> None:
        for row in rows:
            sink.write_group(to_table([row]), records=1)


def test_row_groups_behind_one_without_a_score_are_scored(model: Path, tmp_path: Path) -> None:
    rows = numbered([broken(model)["the model's context is 512"], rollouts(model)[2]])
    stage = Stage(name="import", kind="raw", schema=RAW_SCHEMA, config={}, config_digest="x", inputs=["0"])
    run_stage(stage, [rows], _GroupEach(), tmp_path / "raw")
    counts = score(tmp_path / "raw", tmp_path / "scored", config(model)).manifest.counts
    assert (counts["rows_scored"], counts["rows_not_scored"]) == (1, 1)


def test_less_memory_may_be_used_to_go_on(model: Path, tmp_path: Path) -> None:
    """As is said where it did not suffice."""

    def cut(*, total: int | None = None, units: int = 0, rows: int = 0) -> None:
        if units:
            raise KeyboardInterrupt

    write_dataset(tmp_path / "raw", rollouts(model))
    with pytest.raises(KeyboardInterrupt):
        score(tmp_path / "raw", tmp_path / "scored", config(model), progress=cut)
    scored = score(tmp_path / "raw", tmp_path / "scored", config(model, pack_tokens=32), mode="resume")
    assert scored.manifest.counts["rows_scored"] == 3


def test_a_dataset_without_rows(model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [])
    assert len(score(tmp_path / "raw", tmp_path / "scored", config(model))) == 0


class Overflowing:
    """Scores as a model in half precision may: one value is no finite number."""

    max_length, vocabulary = 512, 409

    def __call__(self, requests: Sequence[Request], done: Done) -> list[Answer]:
        values = [np.full(len(request.at), -1.0, dtype=np.float32) for request in requests]
        values[0][2] = -np.inf
        return list(map(Answer, values))

    def close(self) -> None: ...


def test_a_log_prob_that_is_no_number_is_a_problem(model: Path) -> None:
    tokenizer = load_tokenizer(config(model))
    scorer = TableScorer(
        config(model), identity_of(config(model), tokenizer), Overflowing(), Renderer(tokenizer, "tiny")
    )
    scored, counts = scorer(to_table(rollouts(model)))
    problems = [row["problem"] for row in scored.column("scores").to_pylist()]
    assert problems == ["its log-probs are not finite numbers", None, None]
    assert (counts["rows_scored"], counts["problem_not_finite"]) == (2, 1)
    assert counts["tokens_scored"] == sum(len(row["logprobs"] or ()) for row in scored.column("scores").to_pylist())


def test_another_tokenizer_is_refused_unless_allowed(model: Path, tmp_path: Path) -> None:
    rows = rollouts(model)
    write_dataset(tmp_path / "raw", [update(rows[0], tokenizer_digest="theirs"), *rows[1:]])
    with pytest.raises(PurifyError, match=r"the ids of 1 rows are of tokenizer theirs, that of .* is [0-9a-f]{24}; "):
        score(tmp_path / "raw", tmp_path / "scored", config(model))
    allowed = config(model, allow_tokenizer_mismatch=True)
    counts = score(tmp_path / "raw", tmp_path / "scored", allowed).manifest.counts
    assert (counts["rows_scored"], counts["rows_other_tokenizer"]) == (3, 1)


def test_text_of_another_tokenizer_and_template_is_rendered_anew(model: Path, tmp_path: Path) -> None:
    """The ids are made here, so nothing is refused; the drift is counted."""
    row = update(without_ids(rollouts(model)[2]), tokenizer_digest="theirs", template_digest="old", revision="older")
    write_dataset(tmp_path / "raw", [row])
    scored = score(tmp_path / "raw", tmp_path / "scored", config(model))
    (found,) = scored
    counts = scored.manifest.counts
    assert [counts[f"rows_other_{name}"] for name in ("tokenizer", "template", "revision")] == [1, 1, 1]
    assert found.scores is not None and found.scores.rendered and found.scores.tokenizer_digest != "theirs"


def test_manifests_and_rows_name_no_path(model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rollouts(model))
    scored = score(tmp_path / "raw", tmp_path / "scored", config(model, device="cpu"))
    assert str(model) not in (tmp_path / "scored/manifest.json").read_text()
    (row, *_) = scored
    assert row.scores is not None and row.scores.model == scored.manifest.config["model"]
    assert str(row.scores.model).startswith(f"{model.name}@")
    assert scored.manifest.config["device"] == "auto"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "vllm", "entropy": True}, "entropy needs engine transformers"),
        ({"engine": "server", "self_certainty": True}, "self_certainty needs engine transformers"),
        ({"engine": "vllm", "temperature": 0.7}, "engine vllm scores at temperature 1 only"),
        ({"temperature": 0.0}, "greater than 0"),
        ({"url": "http://x"}, "url is read only with engine server"),
    ],
)
def test_options_that_no_engine_can_fulfil(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ScoreConfig(model="m", **options)


def test_an_engine_is_not_loaded_for_rows_that_it_cannot_score(model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rollouts(model, 0.7))
    with pytest.raises(
        PurifyError, match=r"sampled at temperature 0.7, and engine vllm scores at 1 only; add --engine"
    ):
        score(tmp_path / "raw", tmp_path / "scored", config(model, engine="vllm"))


def test_scored_data_is_not_scored_again_nor_cleaned(model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", rollouts(model))
    score(tmp_path / "raw", tmp_path / "scored", config(model))
    with pytest.raises(PurifyError, match="is scored already; score the dataset that it was made from"):
        score(tmp_path / "scored", tmp_path / "twice", config(model))
    with pytest.raises(PurifyError, match="is scored; clean the raw dataset it was scored from"):
        clean(tmp_path / "scored", tmp_path / "purified")


def test_restoring_drops_the_scores(model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", numbered(rollouts(model) * 2), shards=2)
    clean(tmp_path / "raw", tmp_path / "purified")
    scored = score(tmp_path / "purified", tmp_path / "scored", config(model, both=True))
    assert [ancestor.stage for ancestor in scored.manifest.lineage] == ["import", "clean"]
    restore(tmp_path / "scored", tmp_path / "back")
    assert shards(tmp_path / "back") == shards(tmp_path / "raw")
    assert verify(tmp_path / "scored", tmp_path / "purified").findings == []
    assert "Tool-using trajectories (purified, scored)" in (tmp_path / "scored/README.md").read_text()


def test_rendered_rows_are_not_restored(model: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "raw", [without_ids(row) for row in rollouts(model)])
    clean(tmp_path / "raw", tmp_path / "purified")
    score(tmp_path / "purified", tmp_path / "scored", config(model))
    with pytest.raises(PurifyError, match=r"ids were made by `purify score`.*; restore the purified dataset"):
        restore(tmp_path / "scored", tmp_path / "back")
    assert verify(tmp_path / "scored").findings == []


def test_the_ratios_in_a_few_numbers(model: Path, tmp_path: Path) -> None:
    import math

    write_dataset(tmp_path / "raw", rollouts(model))
    clean(tmp_path / "raw", tmp_path / "purified")
    scored = score(tmp_path / "purified", tmp_path / "scored", config(model, both=True))
    values = [edit.log_ratio for row in scored if row.scores for edit in row.scores.edits]
    found = ratios(scored)
    assert found.edits == len(values) == 2
    assert found.mean_log_ratio == pytest.approx(sum(values) / 2)
    assert found.share_low == sum(math.exp(value) < 0.5 for value in values) / 2
    assert ratios(score(tmp_path / "raw", tmp_path / "again", config(model))).edits == 0


RUN = """
import sys
from pathlib import Path
from purify.scoring import ScoreConfig, score

def progress(*, total=None, units=0, rows=0):
    print("progress", units, flush=True)

source, out, model, mode = sys.argv[1:]
score(source, out, ScoreConfig(model=model, both=True), mode=mode, progress=progress)
"""


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(model: Path, tmp_path: Path) -> None:
    rows = numbered(rollouts(model) * 60)
    write_dataset(tmp_path / "raw", rows, shards=6)
    clean(tmp_path / "raw", tmp_path / "purified")
    paths = [str(tmp_path / "purified"), str(tmp_path / "out"), str(model)]
    command = [sys.executable, "-c", RUN, *paths]
    process = subprocess.Popen([*command, "new"], stdout=subprocess.DEVNULL, cwd=ROOT)
    deadline = time.monotonic() + 100
    while not list((tmp_path / "out").glob(".partial/*.done")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(list((tmp_path / "out/.partial").glob("*.done"))) < 6
    with pytest.raises(PurifyError, match="other options or other input"):
        score(paths[0], paths[1], config(model), mode="resume")
    resumed = score(paths[0], paths[1], config(model, both=True), mode="resume")
    whole = score(paths[0], tmp_path / "whole", config(model, both=True))
    assert shards(tmp_path / "out") == shards(tmp_path / "whole")
    assert resumed.manifest.counts == whole.manifest.counts


def test_progress_counts_rows_and_tokens(model: Path, tmp_path: Path) -> None:
    rows = numbered([*rollouts(model), *broken(model).values()])
    write_dataset(tmp_path / "raw", rows, shards=2)
    told = {"total": 0, "units": 0, "rows": 0}

    def progress(*, total: int | None = None, units: int = 0, rows: int = 0) -> None:
        told["total"] = total or told["total"]
        told["units"] += units
        told["rows"] += rows

    score(tmp_path / "raw", tmp_path / "scored", config(model), progress=progress)
    assert (told["total"], told["units"]) == (8, 8)
    lengths = [
        len(row.prompt_token_ids or ())
        + sum(
            len(part.token_ids or ()) for step in row.steps for part in (step.reasoning, step.action, step.observation)
        )
        for row in Dataset.open(tmp_path / "scored")
        if row.scores is not None and row.scores.problem is None
    ]
    assert told["rows"] == sum(lengths)
