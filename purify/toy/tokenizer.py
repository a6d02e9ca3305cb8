"""The tiny policy's tokenizer: byte-level BPE, every digit a token of its own, tags of tools and turns whole.

Brackets, quotes, commas and line ends are kept apart, so that a list or a text is the same tokens in a
question, in a program and in what it prints: copying is then one rule. Between them merges may span words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

VOCABULARY = 640
CONTEXT = 2048
PAD, START, END = SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
TEMPLATE = Path(__file__).with_name("chat_template.jinja")

PYTHON_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "python",
        "description": "Run Python code and return what it prints. Every call is a fresh program.",
        "parameters": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    },
}

# An escaped or real line end with the indentation after it; other escapes of JSON; a digit; signs of JSON in a row; a
# comma; a bracket or quote.
_APART = r"""\\n *|\n *|\\["\\]|[0-9]|[{}":, ]*[{}"][{}":, ]*|, ?|[\[\]()']"""
_MARKS = re.compile("|".join(map(re.escape, (*SPECIAL, *TAGS))))
_ASSISTANT = re.compile(re.escape(START) + r"assistant\n(.*?" + re.escape(END) + ")", re.DOTALL)


class Encoded(NamedTuple):
    """A dialogue's token ids, and which of them the assistant wrote (the end of its turn too)."""

    ids: list[int]
    own: list[bool]


def train_tokenizer(dialogues: Iterable[Sequence[dict[str, Any]]]) -> Any:
    """A Hugging Face tokenizer with the chat template; its merges are learnt from these dialogues."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    apart = pre_tokenizers.Split(Regex(_APART), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.pre_tokenizer = pre_tokenizers.Sequence([apart, to_bytes])
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, pad_token=PAD, chat_template=TEMPLATE.read_text()
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(TAGS),
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (text for dialogue in dialogues for text in _MARKS.split(render(tokenizer, dialogue)))
    backend.train_from_iterator(texts, trainer)
    backend.add_tokens([AddedToken(tag, normalized=False) for tag in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=END,
        pad_token=PAD,
        chat_template=tokenizer.chat_template,
        model_max_length=CONTEXT,
    )


def render(tokenizer: Any, messages: Sequence[dict[str, Any]]) -> str:
    """A dialogue as text, with the tool that it may call."""
    return str(tokenizer.apply_chat_template(list(messages), tools=[PYTHON_TOOL], tokenize=False))


def encode(tokenizer: Any, messages: Sequence[dict[str, Any]]) -> Encoded:
    """A dialogue as the policy learns it. What the assistant wrote is found in the text, so it fits any tokenizer."""
    text = render(tokenizer, messages)
    encoding = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    spans = [found.span(1) for found in _ASSISTANT.finditer(text)]
    own = [any(start <= at < end for start, end in spans) for at, _ in encoding.offsets]
    return Encoded(encoding.ids, own)
