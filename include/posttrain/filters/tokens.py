"""Special tokens of chat templates inside a turn."""

from __future__ import annotations

import re

from posttrain import recipe
from posttrain.filters.view import RowView, fold

TEMPLATE_TOKENS: dict[str, tuple[str, ...]] = {
    "ChatML, Qwen": ("<|im_start|>", "<|im_end|>", "<|im_sep|>"),
    "GPT": ("<|endoftext|>", "<|endofprompt|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
    "gpt-oss": ("<|start|>", "<|channel|>", "<|message|>", "<|return|>", "<|call|>"),
    "Tülu, Zephyr, Phi": ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
    "Llama 2, Mistral": ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    "Mistral": ("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
                "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]", "[/THINK]"),
    "Llama 3": ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>",
                "<|python_tag|>"),
    "Llama 4": ("<|header_start|>", "<|header_end|>", "<|eot|>", "<|eom|>"),
    "Gemma": ("<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<start_of_image>"),
    "Gemma 4": ("<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>",
                "<tool_response|>"),
    "OpenAssistant, OpenChat": ("<|prompter|>", "<|end_of_turn|>"),
    "Command R": ("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>",
                  "<BOS_TOKEN>", "<EOS_TOKEN>"),
    "DeepSeek": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
    "EXAONE": ("[|system|]", "[|user|]", "[|assistant|]", "[|endofturn|]", "[|tool|]"),
    "GLM": ("[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|observation|>"),
    "InternLM 1": ("<eoh>", "<eoa>"),
    "Baichuan": ("<reserved_102>", "<reserved_103>", "<reserved_106>", "<reserved_107>"),
    "Nemotron": ("<extra_id_0>", "<extra_id_1>", "<SPECIAL_10>", "<SPECIAL_11>", "<SPECIAL_12>"),
    "MiniCPM": ("<用户>",),
    "MiniMax": ("]~!b[", "]~b]", "[e~["),
    "Seed": ("<seed:bos>", "<seed:eos>"),
    "Ling": ("<role>HUMAN</role>", "<|role_end|>"),
    "InternLM": ("<|action_start|>", "<|action_end|>", "<|interpreter|>", "<|plugin|>"),
}
"""Marks that begin or end a turn. `<|name|>` and `<｜name｜>` are caught for any name, the others must stand here."""

SPECIAL_TOKENS = tuple(dict.fromkeys(token for tokens in TEMPLATE_TOKENS.values() for token in tokens))

_OTHERS = [token for token in SPECIAL_TOKENS if not re.fullmatch(r"<\|\w+\|>|<｜.+｜>", token)]
# ASCII: only A–Z have a second letter case here.
_TOKEN = re.compile(r"<\|[a-z][a-z0-9_]{0,40}\|>|<｜[^｜<>\n]{1,40}｜>|" + "|".join(map(re.escape, _OTHERS)),
                    re.IGNORECASE | re.ASCII)

MARKS = ("<|", "<｜", "<s>", "</s>", *(fold(token) for token in _OTHERS))


_TYPE = re.compile(r"\w<s>", re.ASCII)


def has_special_token(row: RowView, settings: recipe.Filter) -> str | None:
    """A turn with a mark of a chat template, whatever its letter case, would end or forge a turn in training.

    `<s>` and `</s>` are also HTML for struck-out text: a balanced pair inside a turn is kept; a pair around the whole
    turn, or one without the other, is the begin or end mark of Llama's tokenizer. `vector<s>` and `List<S>` are types.
    """
    for n, message in enumerate(row.messages):
        text = message.content or ""
        found = _TOKEN.search(text)
        mark = found[0].lower() if found else _sentence_mark(text)
        if mark:
            return f"turn {n} ({message.role}) holds {mark!r}"
    return None


def _sentence_mark(text: str) -> str | None:
    begins, ends = text.count("<s>"), text.count("</s>")
    if ends > begins:
        return "</s>"
    if begins - len(_TYPE.findall(text)) > ends:
        return "<s>"
    return "<s>" if text.strip().startswith("<s>") and text.strip().endswith("</s>") and text.count("<s>") == 1 else None
