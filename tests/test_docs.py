"""What the documents show works: the preset, the rule file and the Python of docs/formats.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from purify.importing import ImportConfig, import_dump

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)


def test_the_preset_and_the_rules_of_the_documentation_work(tmp_path: Path) -> None:
    preset, rules = blocks("docs/formats.md", "yaml")
    (tmp_path / "mine.yaml").write_text(preset)
    (tmp_path / "rules.yaml").write_text(rules)
    chat = [
        {"who": "user", "say": "One?"},
        {"who": "bot", "say": "Let me see. <run>print(1)</run>"},
        {"who": "env", "say": "quota exceeded, try later"},
    ]
    (tmp_path / "d.jsonl").write_text(json.dumps({"id": 7, "chat": chat, "score": 1}))
    config = ImportConfig(preset=str(tmp_path / "mine.yaml"), rules=str(tmp_path / "rules.yaml"))
    dataset = import_dump(tmp_path / "d.jsonl", tmp_path / "out", config).dataset
    (row,) = dataset
    (step,) = row.steps
    assert (step.reasoning.text, step.calls[0].arguments) == ("Let me see. ", '{"code":"print(1)"}')
    assert (step.calls[0].status, row.reward, row.task_id) == ("infra", 1.0, "7")
    assert str(tmp_path) not in (tmp_path / "out/manifest.json").read_text()


@pytest.mark.parametrize("document", ["README.md", "docs/formats.md"])
def test_the_python_of_the_documents_runs(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    import_dump(ROOT / "examples/demo.jsonl", "rollouts")
    for code in blocks(document, "python"):
        if "purify.clean" not in code:
            import purify

            purify.clean("rollouts", "purified")
        exec(compile(code, document, "exec"), {})
