from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from purify.chat.template import ChatTemplate
from purify.errors import PurifyError
from purify_schemas import Call, Message
from tests.tiny import tiny_model

TOOL = {
    "type": "function",
    "function": {"name": "python", "description": "Run.", "parameters": {"type": "object", "properties": {}}},
}
USER = Message(role="user", content="What is 6 times 7?")
CALL = Call(name="python", arguments='{"code": "print(6*7)"}')

# Takes no tools and no tool messages, insists that user and assistant alternate, ends with </s> (Llama 2, Mistral).
ALTERNATING = """{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate') }}{% endif %}{% if m.role == 'user' %}[INST] {{ m.content }} \
[/INST]{% else %} {{ m.content }}<|endoftext|>{% endif %}{% endfor %}"""

# Cuts the thinking out of every assistant turn it renders (DeepSeek-R1).
FORGETTING = """{% for m in messages %}<|im_start|>{{ m.role }}
{% set text = m.content or '' %}{% if m.role == 'assistant' %}{% set text = text.split('</think>')[-1] %}{% endif %}\
{{ text }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.arguments | tojson }}</tool_call>{% endfor %}\
<|im_end|>
{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}{% if add_generation_prompt %}<|im_start|>assistant
<think>
{% endif %}"""

# Gives the newest assistant turn an empty thinking part, which disappears once another turn follows (Qwen3).
CHANGING = """{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'assistant' and loop.last %}<think>

</think>

{% endif %}{{ m.content or '' }}{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.arguments | tojson }}\
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model(tmp_path))


def observed(tokenizer: Any, template: ChatTemplate, *calls: Call, ended: bool = True) -> str:
    results = [str(42 + index) for index, _ in enumerate(calls)]
    return str(tokenizer.decode(template.observation(calls, results, ended=ended)))


def test_prompt_and_observation_continue_what_the_engine_has(tokenizer: Any) -> None:
    """Appending gives the very ids that rendering the whole conversation would."""
    template = ChatTemplate(tokenizer, "tiny", [TOOL])
    prompt = template.prompt([USER])
    written = '<tool_call>\n{"name": "python", "arguments": {"code": "print(6*7)"}}\n</tool_call>'
    sampled = tokenizer.encode(written + "<|im_end|>")
    appended = [*prompt, *sampled, *template.observation([CALL], ["42"], ended=True)]
    calls = [{"type": "function", "function": {"name": "python", "arguments": {"code": "print(6*7)"}}}]
    conversation = [
        {"role": "user", "content": USER.content},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "42"},
    ]
    rendered = tokenizer.apply_chat_template(conversation, tools=[TOOL], add_generation_prompt=True, tokenize=False)
    assert tokenizer.decode(appended) == rendered
    assert appended == tokenizer.encode(rendered)
    assert template.end_of_turn == tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert not template.drops_reasoning


def test_results_of_parallel_calls_come_together(tokenizer: Any) -> None:
    template = ChatTemplate(tokenizer, "tiny", [TOOL])
    assert observed(tokenizer, template, CALL, CALL) == (
        "\n<|im_start|>user\n<tool_response>\n42\n</tool_response>\n<tool_response>\n43\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_turn_that_a_stop_string_ended_is_closed_first(tokenizer: Any) -> None:
    template = ChatTemplate(tokenizer, "tiny", [TOOL])
    assert observed(tokenizer, template, CALL, ended=False).startswith("<|im_end|>\n<|im_start|>user\n")


def test_a_template_without_tool_messages_gets_results_as_the_user(tokenizer: Any) -> None:
    tokenizer.chat_template = ALTERNATING
    tokenizer.bos_token = "<|im_start|>"
    template = ChatTemplate(tokenizer, "old")
    assert tokenizer.decode(template.prompt([USER])) == "<|im_start|>[INST] What is 6 times 7? [/INST]"
    assert observed(tokenizer, template, CALL) == "[INST] 42 [/INST]"
    assert template.end_of_turn == tokenizer.convert_tokens_to_ids("<|endoftext|>")


def test_a_template_that_drops_thinking_is_detected_and_appended_to_all_the_same(tokenizer: Any) -> None:
    tokenizer.chat_template = FORGETTING
    template = ChatTemplate(tokenizer, "forgetting", [TOOL])
    assert template.drops_reasoning
    assert observed(tokenizer, template, CALL).startswith("\n<|im_start|>tool\n42<|im_end|>\n")
    assert observed(tokenizer, template, CALL).endswith("<|im_start|>assistant\n<think>\n")


def test_a_template_that_renders_the_newest_turn_otherwise_is_appended_to(tokenizer: Any) -> None:
    tokenizer.chat_template = CHANGING
    template = ChatTemplate(tokenizer, "changing", [TOOL])
    assert observed(tokenizer, template, CALL) == "\n<|im_start|>tool\n42<|im_end|>\n<|im_start|>assistant\n"


def test_no_template_is_one_clear_line(tokenizer: Any) -> None:
    tokenizer.chat_template = None
    with pytest.raises(PurifyError, match="tiny: its tokenizer has no chat template"):
        ChatTemplate(tokenizer, "tiny")


def test_a_template_that_hides_the_tools_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = ALTERNATING
    with pytest.raises(PurifyError, match="old: its chat template does not show tools to the model; add --call-format"):
        ChatTemplate(tokenizer, "old", [TOOL])


def test_a_template_that_closes_no_turn_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    with pytest.raises(PurifyError, match="closes no turn with a special token"):
        ChatTemplate(tokenizer, "plain")


def test_a_conversation_that_cannot_be_rendered_is_named(tokenizer: Any) -> None:
    tokenizer.chat_template = ALTERNATING
    template = ChatTemplate(tokenizer, "old")
    with pytest.raises(
        PurifyError, match=r"the chat template cannot render this conversation \(Conversation roles must alternate"
    ):
        template.prompt([USER, USER])


def test_results_of_calls_without_a_name_are_rendered(tokenizer: Any) -> None:
    template = ChatTemplate(tokenizer, "tiny", [TOOL])
    broken = Call(name=None, arguments="{", status="malformed")
    assert "<tool_response>\n42\n</tool_response>" in observed(tokenizer, template, broken)
