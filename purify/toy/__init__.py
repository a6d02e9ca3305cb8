"""The tiny policy: a language model of 0.9 million parameters that really fails and really corrects itself.

It is scaffolding. It lets everything downstream run on real samples, real execution and real failures where no model
can be downloaded, and says nothing about real models.

    purify toy -o toy/ && purify generate toy/train.jsonl -o rollouts/ --model toy/model
"""

from purify.toy.config import ToyConfig
from purify.toy.folder import ToyReport, make_toy

__all__ = ["ToyConfig", "ToyReport", "make_toy"]
