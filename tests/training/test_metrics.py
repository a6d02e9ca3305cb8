"""Metrics of a resumed run are those of one that was never stopped."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_what_came_after_the_checkpoint_is_dropped(tmp_path: Path) -> None:
    from purify.training.metrics import METRICS, MetricsWriter, read_metrics

    with MetricsWriter(tmp_path, 0) as writer:
        for step in (1, 2, 3):
            writer.write(step, {"loss": step / 2, "mfu": None, "kl": float("inf")})
    with (tmp_path / METRICS).open("ab") as lines:
        lines.write(b'{"step": 4, "lo')  # killed
    with MetricsWriter(tmp_path, 2) as writer:
        writer.write(3, {"loss": 9.0})
    assert read_metrics(tmp_path) == [
        {"step": 1, "loss": 0.5, "mfu": None, "kl": None},
        {"step": 2, "loss": 1.0, "mfu": None, "kl": None},
        {"step": 3, "loss": 9.0},
    ]


def test_a_line_that_lost_its_end_is_ended(tmp_path: Path) -> None:
    from purify.training.metrics import METRICS, MetricsWriter, read_metrics

    (tmp_path / METRICS).write_bytes(b'{"step":1}\n{"step":2}')
    with MetricsWriter(tmp_path, 2) as writer:
        writer.write(3, {"loss": 9.0})
    assert read_metrics(tmp_path) == [{"step": 1}, {"step": 2}, {"step": 3, "loss": 9.0}]


def test_tensorboard_has_the_same_numbers(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from purify.training.metrics import MetricsWriter

    with MetricsWriter(tmp_path, 0) as writer:
        writer.write(1, {"loss": 0.5})
        writer.write(2, {"loss": 0.25, "mfu": None})
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert board.Tags()["scalars"] == ["loss"]
    assert [(event.step, event.value) for event in board.Scalars("loss")] == [(1, 0.5), (2, 0.25)]


def test_flops_of_a_step_by_hand() -> None:
    from purify.training.flops import Shape, peak_flops, training_flops

    # Two sequences of 3 and 5 tokens, 4 of the 8 trained; 100 weights in matrices, a head of 70, L A D = 10.
    forward = 2 * 8 * 100 + 2 * 4 * 70 + 2 * (9 + 25) * 10
    assert training_flops(Shape(100, 70, 10, 3), [3, 5], 4) == 3 * forward
    assert peak_flops("NVIDIA H100 80GB HBM3") == pytest.approx(989e12)
    assert peak_flops("some other card") is None
