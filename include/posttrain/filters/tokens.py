"""Special tokens of chat templates inside a turn."""

from __future__ import annotations

from posttrain import recipe
from posttrain.schema import Example, all_messages

SPECIAL_TOKENS = (
    "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|endoftext|>", "<|endofprompt|>", "<|fim_prefix|>", "<|fim_middle|>",
    "<|fim_suffix|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|eot_id|>", "<|eom_id|>", "<|begin_of_text|>",
    "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>", "<|prompter|>", "<|end_of_turn|>",
    "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>",
)
"""Marks of the chat templates of ChatML, GPT, Llama 2 and 3, Phi, Gemma, Zephyr, Tülu, OpenAssistant."""


def has_special_token(example: Example, settings: recipe.Filter) -> str | None:
    """A turn with a mark of a chat template, whatever its letter case, would end or forge a turn in training.

    `<s>` and `</s>` are also HTML for struck-out text: a balanced pair inside a turn is kept; a pair around the whole
    turn, or one without the other, is the begin or end mark of Llama's tokenizer.
    """
    if not settings.special_tokens:
        return None
    for n, message in enumerate(all_messages(example)):
        text = (message.content or "").lower()
        found = next((token for token in SPECIAL_TOKENS if token.lower() in text), None) or _sentence_mark(text)
        if found:
            return f"turn {n} ({message.role}) holds {found!r}"
    return None


def _sentence_mark(text: str) -> str | None:
    if text.count("<s>") != text.count("</s>"):
        return "<s>" if text.count("<s>") > text.count("</s>") else "</s>"
    return "<s>" if text.strip().startswith("<s>") and text.strip().endswith("</s>") and text.count("<s>") == 1 else None
