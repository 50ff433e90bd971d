"""What a rule sees of a row: the example, and the texts that several rules need, put together once."""

from __future__ import annotations

from posttrain.schema import Example, Message, PreferencePair

_FOLD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ123456789", b"abcdefghijklmnopqrstuvwxyz" + b"0" * 9)


class RowView:
    """One example with its turns.

    `messages` are all turns, both sides of a pair included; `answers` the texts of the assistant's turns; `text` all
    turns joined by line breaks; `folded` the same as UTF-8 with ASCII letters in lower case and every digit a 0.
    """

    __slots__ = ("answers", "example", "folded", "messages", "text", "turn_problem")

    def __init__(self, example: Example) -> None:
        self.example = example
        self.messages: tuple[Message, ...] = (
            example.chosen + example.rejected if isinstance(example, PreferencePair) else example.messages
        )
        self.answers = [m.content for m in self.messages if m.role == "assistant" and m.content]
        self.text = "\n".join([m.content or "" for m in self.messages])
        self.folded = fold(self.text)
        self.turn_problem: tuple[str, str] | None = None  # found by the first rule that asks

    def sides(self) -> tuple[tuple[Message, ...], ...]:
        """The conversation; of a pair, those of its two sides that are there."""
        if isinstance(self.example, PreferencePair):
            return tuple(side for side in (self.example.chosen, self.example.rejected) if side)
        return (self.messages,)


def fold(text: str) -> bytes:
    """UTF-8, ASCII letters in lower case, every digit 0–9 a 0: "GPT-4 를" → b"gpt-0 \\xeb\\xa5\\xbc". Lone surrogates stay."""
    return fold_bytes(text.encode("utf-8", "surrogatepass"))


def fold_bytes(text: bytes) -> bytes:
    return text.translate(_FOLD)
