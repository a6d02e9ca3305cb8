"""Which verifier a data set of verl's layout is checked with, by its `data_source`.

The names are those of verl's own rule-based scoring. Sets that it scores by other rules (search and visual question
answering) have none here: name a `verifier` in the rows, or one for all with `--verifier`.
"""

from __future__ import annotations

_MATH = (
    "openai/gsm8k",
    "lighteval/MATH",
    "DigitalLearningGmbH/MATH-lighteval",
    "HuggingFaceH4/MATH-500",
    "math",
    "math_dapo",
    "math_dapo_reasoning",
    "numina_aops_forum",
    "numina_synthetic_math",
    "numina_amc_aime",
    "numina_synthetic_amc",
    "numina_cn_k12",
    "numina_olympiads",
)
_CODE = ("codecontests", "apps", "codeforces", "taco")

VERIFIER_OF_SOURCE: dict[str, str] = {**dict.fromkeys(_MATH, "math"), **dict.fromkeys(_CODE, "unit_tests")}


def verifier_of_source(data_source: str) -> str | None:
    """`math`, `unit_tests`, or None for a set that is not known. Names that start with `aime` are mathematics."""
    return "math" if data_source.startswith("aime") else VERIFIER_OF_SOURCE.get(data_source)
