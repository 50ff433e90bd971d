"""Llama-Nemotron post-training data: {input, output, system_prompt, reasoning: "on" or "off", category, …}."""

from __future__ import annotations

from typing import Any

from posttrain.convert.draft import Draft
from posttrain.convert.fields import label_of, object_of, optional_text, text_of
from posttrain.convert.think import TraceOptions, split_trace
from posttrain.convert.turns import turns_of
from posttrain.schema import Message, check_turns

THINKING_ON = "detailed thinking on"
DEFAULT = TraceOptions()


def convert_llama_nemotron(row: Any, options: TraceOptions = DEFAULT) -> list[Draft]:
    """`input` (turns or a text), then `output`, after `system_prompt`; `category` is the skill, the licence the row's own.

    Outputs with reasoning begin with a <think> block. Where the trace leaves the answer, the system text that asks for it goes.
    """
    fields = object_of(row)
    prompt = fields.get("input")
    turns = (Message("user", prompt),) if isinstance(prompt, str) else turns_of(prompt, "input")
    output, system = text_of(fields, "output"), optional_text(fields, "system_prompt") or ""
    output, trace = split_trace(output, "output", options.trace)
    if options.trace != "tags":
        system = "" if system.strip() == THINKING_ON else system
    messages = (*turns, Message("assistant", output))
    if system.strip() and messages[0].role != "system":
        messages = (Message("system", system), *messages)
    check_turns(messages)
    return [Draft(messages=messages, skill=label_of(fields, "category"), license=optional_text(fields, "license"),
                  trace=trace)]
