"""Conversations longer than the context, as several: cut between an answer and the next question, never inside a turn."""

from __future__ import annotations

from posttrain.schema import Message

BYTES_PER_TOKEN = 3.0
"""An estimate on the safe side, so that no tokenizer has to be chosen before the model is."""
TOKENS_PER_TURN = 6
"""Role marks and end of turn, as FastChat's split_long_conversation.py counts them."""


def split_conversation(messages: tuple[Message, ...], context_length: int) -> list[tuple[Message, ...]]:
    """Pieces of at most `context_length` estimated tokens; each begins with the system turn, if there is one, and a question.

    A single question with its answer that is longer than that stays a piece of its own.
    """
    system = messages[:1] if messages and messages[0].role == "system" else ()
    turns = messages[len(system):]
    pieces: list[tuple[Message, ...]] = []
    piece, used = system, tokens_of(system)
    for n in range(0, len(turns), 2):
        pair = turns[n : n + 2]
        if len(piece) > len(system) and used + tokens_of(pair) > context_length:
            pieces.append(piece)
            piece, used = system, tokens_of(system)
        piece, used = piece + pair, used + tokens_of(pair)
    return [*pieces, piece]


def tokens_of(messages: tuple[Message, ...]) -> int:
    """Estimated tokens of turns: their UTF-8 bytes / 3, rounded up, and 6 a turn."""
    return sum(-int(-len(m.content.encode(errors="surrogatepass")) // BYTES_PER_TOKEN) + TOKENS_PER_TURN for m in messages)
