"""What the page shows of one trajectory when it is opened, as plain JSON values.

Every raw step is there once. A passage names its steps by number, and a step after an edit as the raw step that its
reasoning is from and the one that its call is from: that is all an edit does, and the page puts them together.
Token ids and log-probs are left out.
"""

from __future__ import annotations

from typing import Any

from purify.reporting.calls import code_text
from purify.reporting.columns import NO_TOOL
from purify.reporting.passages import Passage, passages
from purify_schemas import Call, Edit, Message, Step, Trajectory
from purify_schemas.provenance import EditReason

HEAD, TAIL = 12_000, 4_000
"""Characters that are kept of a longer text; the page says how many it leaves out between them."""

REASONS: dict[EditReason, str] = {
    "unresolved": "no later call of the same tool succeeded within the retries",
    "not_a_correction": "the later call is too different to be a correction",
    "parallel_partial": "only some calls of a parallel step failed, and the later step does not repeat them all",
    "too_long": "the calls are too long to compare",
    "boundary": "the ids do not show where reasoning ends and the call begins",
    "gate": "a gate refused it",
}
"""Why an edit was not made. The page has these sentences once, apart from the texts, where no search finds them."""

LEFT_OUT = "left_out"

Text = str | dict[str, str | int]
"""A text, or its head, how many characters are left out, and its tail."""


def shortened(text: str | None) -> Text:
    text = text or ""
    left_out = len(text) - HEAD - TAIL
    return text if left_out <= 0 else {"head": text[:HEAD], LEFT_OUT: left_out, "tail": text[-TAIL:]}


def details(row: int, trajectory: Trajectory) -> dict[str, Any]:
    """All that the page shows of the trajectory at row number `row`."""
    found = passages(trajectory)
    source, provenance = trajectory.source, trajectory.provenance
    return {
        "row": row,
        "id": trajectory.trajectory_id,
        "task": trajectory.task_id,
        "group": trajectory.group_id,
        "sample": trajectory.sample_index,
        "reward": trajectory.reward,
        "rewards": [[part.name, part.value] for part in trajectory.rewards],
        "finish": trajectory.finish_reason,
        "source": None if source.file is None else f"{source.file} record {source.row}",
        "model": source.model,
        "mixed_in": provenance is not None and provenance.mixed_in,
        "online": len(provenance.edits) if provenance is not None and provenance.online else None,
        "prompt": [_message(message) for message in trajectory.messages],
        "steps": [_step(step) for passage in found for _, step in passage.before],
        "passages": [_passage(passage) for passage in found],
        "answer": None if trajectory.answer is None else shortened(trajectory.answer),
        "reference": None if trajectory.reference is None else shortened(trajectory.reference),
    }


def _message(message: Message) -> dict[str, Any]:
    parts = [message.content, message.parts, message.tool_calls]
    return {"role": message.role, "name": message.name, "text": shortened("\n".join(filter(None, parts)))}


def _step(step: Step) -> dict[str, Any]:
    reasoning = step.reasoning.text or ""
    return {
        "failed": step.failed,
        "thinking": shortened(reasoning[: step.thinking_chars]),
        "reasoning": shortened(reasoning[step.thinking_chars :]),
        "calls": [_call(call) for call in step.calls],
        # Where calls could be read, the raw text says nothing more.
        "action": "" if any(call.arguments for call in step.calls) else shortened(step.action.text),
        "results": [_message(message) for message in step.observation.messages],
    }


def _call(call: Call) -> dict[str, Any]:
    return {
        "tool": call.name or NO_TOOL,
        "status": call.status,
        "error": call.error_type,
        "rule": call.status_source,
        "code": shortened(code_text(call)),
    }


def _passage(passage: Passage) -> dict[str, Any]:
    before, edit = [number for number, _ in passage.before], passage.edit
    sources = [(number, number) for number in before]
    if edit is not None and edit.accepted:
        assert edit.reasoning_from is not None and edit.action_from is not None
        sources = [(edit.reasoning_from, edit.action_from)]
    after = [
        {"number": number, "reasoning_from": reasoning, "action_from": action}
        for (number, _), (reasoning, action) in zip(passage.after, sources, strict=True)
    ]
    return {"before": before, "after": after, "edit": None if edit is None else _edit(edit)}


def _edit(edit: Edit) -> dict[str, Any]:
    return {
        "accepted": edit.accepted,
        "granularity": edit.granularity,
        "reason": edit.reason,
        "detail": edit.detail,
        "backend": edit.backend,
        "gamma": edit.threshold,
        "links": [
            {"from": link.from_step, "to": link.to_step, "similarity": link.similarity, "granularity": link.granularity}
            for link in edit.links
        ],
        "gates": [{"name": gate.name, "verdict": gate.verdict, "detail": gate.detail} for gate in edit.gates],
    }
