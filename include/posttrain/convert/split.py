"""Conversations longer than the context, as several: cut between an answer and the next question, never inside a turn."""

from __future__ import annotations

import math

from posttrain.schema import Message

BYTES_PER_TOKEN = 3.0
"""So that no tokenizer has to be chosen before the model is. With GPT-NeoX's tokenizer the texts of LIMA have 4.3 UTF-8 bytes a
token, Alpaca 4.7, GSM8K 3.4, Code Alpaca 3.3: there the estimate is on the safe side. Texts in languages that a tokenizer
has seen little of need a smaller number: with the same one OASST in Chinese has 2.3, Chatbot_data in Korean 1.6."""
TOKENS_PER_TURN = 6
"""Role marks and end of turn, as FastChat's split_long_conversation.py counts them."""


def split_conversation(
    messages: tuple[Message, ...], context_length: int, bytes_per_token: float = BYTES_PER_TOKEN,
) -> list[tuple[Message, ...]]:
    """Pieces of at most `context_length` estimated tokens; each begins with the system turn, if there is one, and a question.

    A single question with its answer that is longer than that stays a piece of its own.
    """
    system = messages[:1] if messages and messages[0].role == "system" else ()
    turns = messages[len(system):]
    pieces: list[tuple[Message, ...]] = []
    piece, used = system, tokens_of(system, bytes_per_token)
    for n in range(0, len(turns), 2):
        pair = turns[n : n + 2]
        more = tokens_of(pair, bytes_per_token)
        if len(piece) > len(system) and used + more > context_length:
            pieces.append(piece)
            piece, used = system, tokens_of(system, bytes_per_token)
        piece, used = piece + pair, used + more
    return [*pieces, piece]


def tokens_of(messages: tuple[Message, ...], bytes_per_token: float = BYTES_PER_TOKEN) -> int:
    """Estimated tokens of turns: for each its UTF-8 bytes by the bytes of a token, rounded up, and 6."""
    return sum(math.ceil(len(m.content.encode(errors="surrogatepass")) / bytes_per_token) + TOKENS_PER_TURN for m in messages)
