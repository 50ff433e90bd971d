"""Chat templates as published, each with marks around what the model learns: the answers and the token that ends them.

The Jinja text is what a tokenizer keeps as its `chat_template`, so training, sampling, evaluation and the released
model use one text. Turns that do not alternate are refused before a template sees them (`schema.check_turns`); Llama-2
and Alpaca refuse them on their own as well, as a user of the released tokenizer would expect.
"""

from __future__ import annotations

from dataclasses import dataclass

OWN = "tokenizer"
"""The name that stands for the tokenizer's own template instead of one of the table."""


@dataclass(frozen=True)
class Template:
    """One published form.

    `tokens`: special tokens of the form; a tokenizer without them gets them. `begin`: what the text begins with where the
    tokenizer has no beginning-of-text token of its own. `end`: the token that ends an answer, or None for the tokenizer's
    end-of-text token. `source`: where the form is published.
    """

    jinja: str
    source: str
    tokens: tuple[str, ...] = ()
    begin: str | None = None
    end: str | None = None


# ---------------------------------------------------------------- Tülu

_TULU = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ '<|assistant|>\n' }}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% if not loop.last %}{{ '\n' }}{% endif %}"
    "{% else %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + '\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)

# ---------------------------------------------------------------- ChatML


def _chatml(separator: str, after: str) -> str:
    """The role stands between `<|im_start|>` and `separator`; `after` follows `<|im_end|>`."""
    return (
        "{% for message in messages %}"
        "{{ '<|im_start|>' + message['role'] + '" + separator + "' }}"
        "{% if message['role'] == 'assistant' %}"
        "{% generation %}{{ message['content'] + '<|im_end|>' }}{% endgeneration %}"
        "{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}"
        "{{ '" + after + "' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant" + separator + "' }}{% endif %}"
    )


# ---------------------------------------------------------------- Llama-2

LLAMA2_SYSTEM_PROMPT = (
    "You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being safe. "
    "Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content. "
    "Please ensure that your responses are socially unbiased and positive in nature.\n\n"
    "If a question does not make any sense, or is not factually coherent, explain why instead of answering something not "
    "correct. If you don't know the answer to a question, please don't share false information."
)


def _llama2(default_system: str | None) -> str:
    """Each exchange is `<s>[INST] question [/INST] answer </s>`; the system prompt stands within the first question."""
    system = "none" if default_system is None else "'" + default_system.replace("'", "\\'") + "'"
    return (
        "{% set system = " + system + " %}"
        "{% if messages[0]['role'] == 'system' %}"
        "{% set system = messages[0]['content'] %}{% set messages = messages[1:] %}"
        "{% endif %}"
        "{% for message in messages %}"
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('user and assistant do not take turns, beginning with the user') }}"
        "{% endif %}"
        "{% if message['role'] == 'user' %}"
        "{% set head = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' if loop.first and system is not none else '' %}"
        "{{ bos_token + '[INST] ' + (head + message['content']).strip() + ' [/INST]' }}"
        "{% else %}"
        "{% generation %}{{ ' ' + message['content'].strip() + ' ' + eos_token }}{% endgeneration %}"
        "{% endif %}"
        "{% endfor %}"
    )


# ---------------------------------------------------------------- Llama-3

_LLAMA3 = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] | trim + '<|eot_id|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] | trim + '<|eot_id|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)

# ---------------------------------------------------------------- Alpaca

ALPACA_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
ALPACA_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)


def _alpaca(before_answer: str) -> str:
    """One instruction and its response. What follows the first empty line of the question is the input.

    That is how an Alpaca row becomes a question (instruction, empty line, input), read backwards.
    """
    return (
        "{% if messages[0]['role'] != 'user' or messages | length > 2 %}"
        "{{ raise_exception('Alpaca holds one instruction and one response, and no system prompt') }}"
        "{% endif %}"
        "{% set question = messages[0]['content'] %}"
        "{% set parts = question.split('\n\n', 1) %}"
        "{% if parts | length == 2 and parts[0].strip() and parts[1].strip() %}"
        "{{ '" + ALPACA_WITH_INPUT + "\n\n### Instruction:\n' + parts[0] + '\n\n### Input:\n' + parts[1] }}"
        "{% else %}"
        "{{ '" + ALPACA_WITHOUT_INPUT + "\n\n### Instruction:\n' + question }}"
        "{% endif %}"
        "{{ '\n\n### Response:' }}"
        "{% if messages | length == 2 or add_generation_prompt %}{{ '" + before_answer + "' }}{% endif %}"
        "{% if messages | length == 2 %}"
        "{% generation %}{{ messages[1]['content'] + eos_token }}{% endgeneration %}"
        "{% endif %}"
    )


TEMPLATES: dict[str, Template] = {
    "tulu": Template(_TULU, "tokenizer_config.json of allenai/Llama-3.1-Tulu-3-8B"),
    "chatml": Template(
        _chatml("\n", "\n"), "OpenAI's ChatML document, as Qwen and OLMo use it",
        tokens=("<|im_start|>", "<|im_end|>"), end="<|im_end|>",
    ),
    "chatml_sep": Template(
        _chatml("<|im_sep|>", ""), "ChatML with <|im_sep|>, as tiktokenizer shows GPT-4 and Phi-4 uses it",
        tokens=("<|im_start|>", "<|im_sep|>", "<|im_end|>"), end="<|im_end|>",
    ),
    "llama2": Template(_llama2(None), "tokenizer_config.json of meta-llama/Llama-2-7b-chat-hf", begin="<s>"),
    "llama2_default_system": Template(
        _llama2(LLAMA2_SYSTEM_PROMPT), "generation.py of facebookresearch/llama, first release: Meta's system prompt where "
        "the conversation has none", begin="<s>",
    ),
    "llama3": Template(
        _LLAMA3, "tokenizer_config.json of meta-llama/Meta-Llama-3-8B-Instruct",
        tokens=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), begin="<|begin_of_text|>", end="<|eot_id|>",
    ),
    "alpaca": Template(_alpaca("\n"), "README of tatsu-lab/stanford_alpaca: the response on a line of its own"),
    "alpaca_stanford": Template(_alpaca(""), "train.py of tatsu-lab/stanford_alpaca: the response right after the colon"),
}
"""Every template by the name that recipes and commands use."""
