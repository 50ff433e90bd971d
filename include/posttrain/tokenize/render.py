"""A row as the model sees it: its text, cut where the tokenizer cuts it, each piece beside its id."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from posttrain.schema import Example, Message, PreferencePair, Rejected, RLVRExample, UnreadableRow
from posttrain.tokenize.chat import answer_tokens, encode_texts, render_turns
from posttrain.tokenize.rows import NO_LABEL
from posttrain.tokenize.tokenizer import ChatTokenizer


@dataclass(frozen=True)
class Rendered:
    """One conversation. `side` is chosen or rejected for a pair, prompt for an RLVR row, else empty.

    `pieces`: the text of each token; together they are `text`. A character of several tokens stands with its first, the
    others' pieces are empty. `refused`: {reason, field, detail} where the turns do not fit; then the rest is empty.
    """

    id: str
    source: str
    side: str
    text: str = ""
    input_ids: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    pieces: tuple[str, ...] = ()
    refused: dict[str, Any] | None = None


def render_row(chat: ChatTokenizer, row: Example | Rejected) -> Iterator[Rendered]:
    """The conversation of a row, or both sides of a pair; a row that is none, or whose turns are refused, says why."""
    if isinstance(row, Rejected):
        refused = {"reason": row.reason, "field": row.field, "detail": row.detail}
        yield Rendered(row.id or f"row {row.raw_row}", row.source, "", refused=refused)
        return
    for side, messages in _sides(row).items():
        try:
            text, spans = render_turns(chat, messages, answered=side != "prompt")
        except UnreadableRow as error:
            refused = {"reason": error.reason, "field": error.field, "detail": error.detail}
            yield Rendered(row.id, row.source, side, refused=refused)
            continue
        encoding = encode_texts(chat, [text])[0]
        labels = [NO_LABEL] * len(encoding.ids)
        for start, end in answer_tokens(encoding, spans):
            labels[start:end] = encoding.ids[start:end]
        yield Rendered(row.id, row.source, side, text, tuple(encoding.ids), tuple(labels), tuple(_pieces(text, encoding.offsets)))


def _sides(row: Example) -> dict[str, tuple[Message, ...]]:
    if isinstance(row, PreferencePair):
        return {side: turns for side, turns in (("chosen", row.chosen), ("rejected", row.rejected)) if turns}
    return {"prompt" if isinstance(row, RLVRExample) else "": row.messages}


def _pieces(text: str, offsets: list[tuple[int, int]]) -> Iterator[str]:
    """What each token stands for. A character that the tokenizer passed over, such as a space, goes with the next token."""
    done = 0
    for n, (_, end) in enumerate(offsets):
        end = max(end, done) if n < len(offsets) - 1 else len(text)
        yield text[done:end]
        done = end


# ---------------------------------------------------------------- as lines


def rendered_lines(row: Rendered) -> Iterator[str]:
    """A heading, then a line a token: a star where it is trained on, position, id, text. Safe for a terminal."""
    heading = "  ".join(filter(None, [printable(row.id), f"source {printable(row.source)}", row.side]))
    if row.refused:
        where = f" in {row.refused['field']}" if row.refused["field"] else ""
        detail = f": {printable(row.refused['detail'])}" if row.refused["detail"] else ""
        yield f"{heading}  refused: {row.refused['reason']}{where}{detail}"
        return
    trained = sum(label != NO_LABEL for label in row.labels)
    yield f"{heading}  {len(row.input_ids):,} tokens, {trained:,} of them trained on (*)"
    for n, (token, label, piece) in enumerate(zip(row.input_ids, row.labels, row.pieces, strict=True)):
        text = f"'{printable(piece)}'" if piece else "(the same character)"
        yield f"  {'*' if label != NO_LABEL else ' '} {n:>6} {token:>8}  {text}"


_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Categories that steer a terminal, turn the direction of writing, or cannot be seen."""


def printable(text: str) -> str:
    r"""The text in one line, with control characters, invisible ones and backslashes as escapes: a newline is `\n`.

    A space that is not U+0020 is escaped as well; what looks like a space is one.
    """
    return "".join(_escape(c) for c in text)


def _escape(c: str) -> str:
    if c == "\\":
        return "\\\\"
    category = unicodedata.category(c)
    if category in _UNSAFE or (category == "Zs" and c != " "):
        named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(c)
        code = ord(c)
        return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return c
