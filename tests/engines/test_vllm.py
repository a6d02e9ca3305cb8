"""vLLM for real, in process and as a server. `make test-vllm` runs these in an environment that has it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from purify.engines import Engine, EngineError, Sampling
from purify.engines.config import EngineConfig
from purify.engines.loading import load_engine, load_tokenizer
from purify.errors import PurifyError
from tests.engines.reference import farthest, greedy, logprobs_of

pytestmark = [
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed here; run make test-vllm"),
    # vLLM and what it imports warn a lot; none of it is ours.
    pytest.mark.filterwarnings("default"),
]

PROMPT = list(range(20, 60))
SAMPLINGS = [
    Sampling(max_tokens=40, seed=1),
    Sampling(max_tokens=40, temperature=0.7, seed=2),
    Sampling(max_tokens=40, temperature=0.7, top_k=20, seed=3),
    Sampling(max_tokens=40, temperature=1.3, top_p=0.8, seed=4),
    Sampling(max_tokens=40, temperature=0.0),
]
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_CI_ENV": "1",  # run what is traced as it is: no half minute of compilation
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


class Running:
    """An engine and the event loop that it belongs to."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.runner = asyncio.Runner()
        try:
            self.engine: Any = self.runner.run(load_engine(config))
        except BaseException:
            self.runner.close()
            raise

    def generate(self, *samplings: Sampling, prompt: list[int] = PROMPT) -> list[Any]:
        async def all_at_once() -> list[Any]:
            return await asyncio.gather(*(self.engine.generate(prompt, sampling) for sampling in samplings))

        return self.runner.run(asyncio.wait_for(all_at_once(), 60))

    def score(self, ids: list[int], temperature: float = 1.0) -> list[float | None]:
        scores: list[float | None] = self.runner.run(asyncio.wait_for(self.engine.score(ids, temperature), 60))
        return scores

    def close(self) -> None:
        self.runner.run(self.engine.close())
        self.runner.close()


@pytest.fixture(scope="module")
def in_process(tiny: Path) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        running = Running(EngineConfig(engine="vllm", model=str(tiny), dtype="float32", kv_cache_gb=0.25, max_batch=16))
        yield running
        running.close()


@contextmanager
def server(tiny: Path, *flags: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A vLLM server of its own process group: its address, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(tiny)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--kv-cache-memory-bytes", str(2**28), "--max-num-seqs", "16", *flags]
    process = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, start_new_session=True)
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            except (URLError, OSError):
                assert process.poll() is None, "the server ended while it started"
                assert time.monotonic() < deadline, "the server is not ready after 240 s"
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a server and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


@pytest.fixture(scope="module")
def served(tiny: Path) -> Iterator[Running]:
    with server(tiny, "--logprobs-mode", "processed_logprobs") as (url, _):
        running = Running(EngineConfig(engine="server", url=url, model="tiny", tokenizer=str(tiny)))
        yield running
        running.close()


@pytest.fixture(params=["in_process", "served"])
def running(request: pytest.FixtureRequest) -> Running:
    found: Running = request.getfixturevalue(request.param)
    return found


def test_logprobs_are_those_of_transformers(running: Running, tiny: Path) -> None:
    generations = running.generate(*SAMPLINGS)
    assert [generation.finish_reason for generation in generations] == ["length"] * len(SAMPLINGS)
    for sampling, generation in zip(SAMPLINGS, generations, strict=True):
        assert len(generation.token_ids) == len(generation.logprobs) == 40
        assert farthest(tiny, PROMPT, generation, sampling) < 1e-4, sampling
    assert generations[-1].token_ids == greedy(tiny, PROMPT, 40)


def test_what_the_engine_says_of_itself(running: Running) -> None:
    engine: Engine = running.engine
    assert engine.max_length == 2048
    assert engine.logprobs_mode == "processed_logprobs"
    assert engine.name == running.config.engine


def test_a_seed_repeats_a_generation(running: Running) -> None:
    first, second, other = running.generate(SAMPLINGS[0], SAMPLINGS[0], Sampling(max_tokens=40, seed=9))
    assert first.token_ids == second.token_ids != other.token_ids


def test_more_prompt_than_a_step_takes_is_no_trouble_for_seeded_requests(in_process: Running) -> None:
    """On a CPU vLLM cannot go on with a seeded request after part of its prompt: prompts are not taken in parts."""
    samplings = [Sampling(max_tokens=4, seed=seed) for seed in range(48)]
    assert [len(g.token_ids) for g in in_process.generate(*samplings, prompt=list(range(20, 120)) * 8)] == [4] * 48


def test_stop_ids_end_a_generation_and_are_kept(running: Running) -> None:
    [free] = running.generate(SAMPLINGS[0])
    stop = free.token_ids[7]
    end = free.token_ids.index(stop) + 1
    [stopped] = running.generate(Sampling(max_tokens=40, seed=1, stop_token_ids=(stop,)))
    assert stopped.finish_reason == "stop"
    assert stopped.token_ids == free.token_ids[:end]
    assert stopped.logprobs == pytest.approx(free.logprobs[:end], abs=1e-5)


def test_the_models_own_end_tokens_end_nothing(running: Running, tiny: Path) -> None:
    """Only the request's stop ids do, and the model's generation config adds neither those nor a top-k."""
    tokenizer = load_tokenizer(EngineConfig(model=str(tiny)))
    ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    generations = running.generate(*(Sampling(max_tokens=200, seed=seed, temperature=2.0) for seed in range(12)))
    assert {generation.finish_reason for generation in generations} == {"length"}
    assert any(token in ends for generation in generations for token in generation.token_ids[:-1])


def test_stop_strings_end_a_generation_and_their_ids_are_kept(running: Running, tiny: Path) -> None:
    tokenizer = load_tokenizer(EngineConfig(model=str(tiny)))
    [free] = running.generate(SAMPLINGS[0])
    # The text of two neighbours, found by the second.
    at = next(
        at
        for at in range(5, 39)
        if "\ufffd" not in (text := tokenizer.decode(free.token_ids[at : at + 2]))
        and tokenizer.decode(free.token_ids).count(text) == 1
    )
    stop = tokenizer.decode(free.token_ids[at : at + 2])
    [stopped] = running.generate(Sampling(max_tokens=40, seed=1, stop=(stop,)))
    assert stopped.finish_reason == "stop"
    assert stopped.token_ids == free.token_ids[: at + 2]
    assert len(stopped.logprobs) == at + 2


def test_scores_are_those_of_transformers(running: Running, tiny: Path) -> None:
    ids = [(7 * place) % 400 for place in range(300)]
    scores = running.score(ids)
    assert scores[0] is None
    assert scores[1:] == pytest.approx(logprobs_of(tiny, ids[:1], ids[1:], Sampling(max_tokens=1)), abs=1e-4)
    with pytest.raises(PurifyError, match="--engine transformers"):
        running.score(ids, temperature=0.7)


def test_a_full_context_can_be_generated_and_scored(running: Running, tiny: Path) -> None:
    [generation] = running.generate(Sampling(max_tokens=8, seed=1), prompt=[5] * 2040)
    assert len(generation.token_ids) == 8
    ids = [5] * 2040 + generation.token_ids
    assert running.score(ids)[2040:] == pytest.approx(generation.logprobs, abs=1e-4)
    with pytest.raises(ValueError, match="2,048"):
        running.generate(Sampling(max_tokens=9), prompt=[5] * 2040)


def test_closing_cancels_and_ends(tiny: Path, in_process: Running, served: Running) -> None:
    async def close_under_way() -> None:
        engine = await load_engine(served.config)
        request = asyncio.create_task(engine.generate(PROMPT, Sampling(max_tokens=1900)))
        await asyncio.sleep(0.3)
        await engine.close()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(asyncio.wait_for(close_under_way(), 60))


def test_a_server_with_raw_logprobs_and_its_death(tiny: Path) -> None:
    with server(tiny) as (url, process):
        running = Running(EngineConfig(engine="server", url=url, model="tiny", tokenizer=str(tiny)))
        assert running.engine.logprobs_mode == "raw_logprobs"
        with pytest.raises(PurifyError, match="--logprobs-mode processed_logprobs"):
            running.generate(Sampling(max_tokens=4, temperature=0.7))
        [generation] = running.generate(SAMPLINGS[0])
        assert farthest(tiny, PROMPT, generation, SAMPLINGS[0]) < 1e-4

        with pytest.raises(PurifyError, match="serves tiny, not other"):
            Running(EngineConfig(engine="server", url=url, model="other"))

        async def die() -> None:
            request = asyncio.create_task(running.engine.generate(PROMPT, Sampling(max_tokens=1900)))
            await asyncio.sleep(0.3)
            assert not request.done()
            end(process)
            with pytest.raises(EngineError, match=r"^http://127.0.0.1:\d+/v1: the server is gone \(.*tried 8 times\)$"):
                await request

        running.runner.run(asyncio.wait_for(die(), 60))
        running.close()


def test_a_dead_engine_is_an_engine_error(tiny: Path) -> None:
    """The engine's process is killed while it decodes. In a process of its own: vLLM takes its parent down with it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        script = Path(__file__).with_name("die_in_vllm.py")
        ended = subprocess.run(
            [sys.executable, str(script), str(tiny)], capture_output=True, text=True, timeout=240, check=False
        )
    assert "EngineError: vLLM's engine died" in ended.stdout, ended.stdout + ended.stderr


def test_the_engine_does_not_outlive_a_killed_run(tiny: Path) -> None:
    """It would keep the device's memory, and there would be none for a resumed run."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        script = Path(__file__).with_name("die_in_vllm.py")
        command = [sys.executable, str(script), str(tiny), "wait"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
            assert run.stdout is not None
            said = next(line for line in run.stdout if line.startswith("children "))  # vLLM prints, too
            children = [int(pid) for pid in said.split()[1:]]
            run.kill()
    assert children
    deadline = time.monotonic() + 60
    while any(_runs(pid) for pid in children):
        assert time.monotonic() < deadline, children
        time.sleep(0.2)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
