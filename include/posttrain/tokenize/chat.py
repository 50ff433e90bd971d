"""Conversations → text → token ids, and which of the ids are answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from posttrain.schema import Message, UnreadableRow, check_turns
from posttrain.tokenize.tokenizer import ChatTokenizer

Span = tuple[int, int]
"""First position and the one after the last."""


def render_turns(chat: ChatTokenizer, messages: tuple[Message, ...], *, answered: bool = True) -> tuple[str, list[Span]]:
    """The text of a conversation and the spans of its characters that are answers, end token included.

    `answered=False` is for a prompt: it ends where the model is to go on. Raises UnreadableRow with the reason for which
    the turns are refused.
    """
    from jinja2 import TemplateError
    from transformers.utils.chat_template_utils import render_jinja_template

    check_turns(messages, answered=answered)
    turns = [{"role": message.role, "content": message.content} for message in messages]
    tokenizer = chat.tokenizer
    try:
        texts, spans = render_jinja_template(
            [turns], chat_template=tokenizer.chat_template, return_assistant_tokens_mask=True,
            add_generation_prompt=not answered, **tokenizer.special_tokens_map,
        )
    except TemplateError as error:
        raise UnreadableRow("template_cannot_hold", "messages", str(error)) from error
    if not texts[0].isascii():
        try:
            texts[0].encode()
        except UnicodeEncodeError as error:
            raise UnreadableRow("undecodable_text", "messages", f"a lone surrogate: {error.reason}") from error
    return texts[0], spans[0]


def encode_texts(chat: ChatTokenizer, texts: Sequence[str]) -> list[Any]:
    """A `tokenizers.Encoding` for every text: ids, and the characters that each stands for. Adds no token to the text."""
    core = chat.tokenizer.backend_tokenizer
    core.no_truncation()
    core.no_padding()
    core.encode_special_tokens = False
    return core.encode_batch(list(texts), add_special_tokens=False)


def answer_tokens(encoding: Any, spans: list[Span]) -> list[Span]:
    """The spans of tokens that cover spans of characters, as transformers' `return_assistant_tokens_mask` counts them."""
    found = []
    for start, end in spans:
        # A tokenizer may drop characters, spaces above all: then the answer begins at the next one that it kept.
        first = next((t for c in range(start, end) if (t := encoding.char_to_token(c)) is not None), None)
        last = next((t for c in range(end - 1, start - 1, -1) if (t := encoding.char_to_token(c)) is not None), None)
        if first is not None and last is not None:
            found.append((first, last + 1))
    return found
