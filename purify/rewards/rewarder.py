"""The one entry point of the agent loop: a finished trajectory in, its reward and the parts of it out.

    rewarder = Rewarder("math", tasks, sandbox=None)
    reward, rewards = await rewarder(task, trajectory)

The first part bears the name of the verifier, so that a stored row says how it was judged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from purify.errors import PurifyError
from purify.rewards.base import Verdict, Verifier
from purify.rewards.exact import Exact
from purify.rewards.functions import Function
from purify.rewards.mathematics import MathVerifier
from purify.rewards.overlong import Overlong, response_length
from purify.rewards.unit_tests import UnitTests
from purify.sandbox import Limits, Sandbox
from purify.tasks import Task
from purify_schemas import Reward, Trajectory


def _unit_tests(sandbox: Sandbox | None, limits: Limits | None) -> Verifier:
    if sandbox is None:
        raise PurifyError("the verifier unit_tests runs code and needs a sandbox")
    return UnitTests(sandbox, limits)


VERIFIERS: dict[str, Callable[[Sandbox | None, Limits | None], Verifier]] = {
    "math": lambda sandbox, limits: MathVerifier(),
    "exact": lambda sandbox, limits: Exact(),
    "unit_tests": _unit_tests,
}


def needs_sandbox(default: str | None, tasks: Iterable[Task]) -> bool:
    """Whether judging these tasks runs code."""
    return any((task.verifier or default) == "unit_tests" for task in tasks)


class Rewarder:
    """Judges each trajectory with the verifier of its task, or with the default one."""

    def __init__(
        self,
        default: str | None,
        tasks: Sequence[Task],
        sandbox: Sandbox | None,
        overlong: Overlong | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Load every verifier that the tasks name; `limits` are those of one run of code.

        Raises `PurifyError` if a verifier cannot be used.
        """
        self._default = default
        self._sandbox = sandbox
        self._overlong = overlong
        self._limits = limits
        self._verifiers: dict[str, Verifier] = {}
        self.problems: dict[str, str] = {}
        """Why a trajectory has no reward, by trajectory_id."""
        for task in tasks:
            if (name := task.verifier or default) is not None and name not in self._verifiers:
                try:
                    self._verifiers[name] = load_verifier(name, sandbox, limits)
                except PurifyError as error:
                    where = f"{task.file}, row {task.row}: " if task.verifier and task.file else ""
                    raise PurifyError(f"{where}{error}") from None

    async def __call__(self, task: Task, trajectory: Trajectory) -> tuple[float | None, list[Reward]]:
        """The reward, null where nothing can be said, and its parts."""
        verdict = await self.judge(task, trajectory)
        if verdict.problem is not None:
            self.problems[trajectory.trajectory_id] = verdict.problem
        return as_stored(verdict)

    async def judge(self, task: Task, trajectory: Trajectory) -> Verdict:
        """The verdict, overlong shaping included. A task without a verifier has none, and no problem either."""
        name = task.verifier or self._default
        if name is None:
            return Verdict(None)
        if name not in self._verifiers:
            self._verifiers[name] = load_verifier(name, self._sandbox, self._limits)
        verdict = await self._verifiers[name](task, trajectory)
        length = response_length(trajectory)
        if self._overlong is None or verdict.reward is None or length is None:
            return verdict
        # Rounded as it is stored, so that the sum can be found again from what is stored.
        penalty = Reward(name="overlong", value=self._overlong.penalty(length)).value
        return Verdict(verdict.reward + penalty, {**verdict.parts, "overlong": penalty})

    async def close(self) -> None:
        """End the verifiers' worker processes."""
        for verifier in self._verifiers.values():
            await verifier.close()


def as_stored(verdict: Verdict) -> tuple[float | None, list[Reward]]:
    """Reward and parts, with the precision that they are stored with."""
    parts = [Reward(name=name, value=value) for name, value in verdict.parts.items()]
    return None if verdict.reward is None else Reward(name="reward", value=verdict.reward).value, parts


def load_verifier(name: str, sandbox: Sandbox | None, limits: Limits | None = None) -> Verifier:
    """Raises `PurifyError` if it is unknown or cannot be used here."""
    if ":" in name:
        return Function(name)
    if name not in VERIFIERS:
        raise PurifyError(f"verifier {name!r} is unknown; there are {', '.join(VERIFIERS)} and module:function")
    return VERIFIERS[name](sandbox, limits)
