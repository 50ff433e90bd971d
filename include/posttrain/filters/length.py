"""Length in tokens, by a cheap count or by a tokenizer file that the recipe names."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

from posttrain import recipe
from posttrain.filters.view import RowView
from posttrain.text_pieces import PIECE, pieces

BYTES_PER_TOKEN = 4
"""The cheap count: one token for every four bytes of UTF-8, rounded up.

Against the GPT-NeoX tokenizer of the test data it is 1.1 times the tokens of Dolly, 1.0 of GSM8K, .8 of CodeAlpaca, .6 of Chinese
OASST and .4 of Korean TyDi QA, whose syllables that tokenizer breaks into bytes.
"""

_HAN_OR_KANA = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


def count_words(text: str | None) -> int:
    """Words between white space; where Chinese or Japanese is written without spaces, every character is one."""
    return sum(_characters(word) or 1 for piece in pieces(text or "") for word in piece.split())


def _characters(word: str) -> int:
    """The Chinese and Japanese characters of a word, which may be a whole book."""
    return sum(len(_HAN_OR_KANA.findall(word[begin : begin + PIECE])) for begin in range(0, len(word), PIECE))


def at_most_one_word(text: str | None) -> bool:
    """`count_words(text) <= 1`, without counting a long text."""
    return len((text or "").split(maxsplit=1)) < 2 and count_words(text) <= 1


def estimate_tokens(text: str) -> int:
    """Four bytes of UTF-8 a token, rounded up: 12 for an English sentence of 48 letters, 12 for 16 Hangul syllables."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def count_tokens(text: str, tokenizer: str | None) -> int:
    """Tokens of one text, without any mark of a chat template. Raises FileNotFoundError where the tokenizer is not there."""
    if tokenizer is None:
        return estimate_tokens(text)
    return len(_open(str(tokenizer_file(tokenizer))).encode(text, add_special_tokens=False))


def tokenizer_file(tokenizer: str) -> Path:
    """The tokenizer.json that the recipe names; a relative path starts at the data root."""
    return recipe.data_root() / tokenizer


@functools.lru_cache(maxsize=4)
def _open(path: str) -> Any:
    import gzip

    from tokenizers import Tokenizer

    data = Path(path).read_bytes()
    return Tokenizer.from_str((gzip.decompress(data) if path.endswith(".gz") else data).decode("utf-8"))


def is_too_short(row: RowView, settings: recipe.Filter) -> str | None:
    """Fewer tokens in the last answer than the recipe's min_tokens; a row without an answer (RLVR) has nothing to measure."""
    for side in row.sides():
        if side and side[-1].role == "assistant":
            answer = (side[-1].content or "").strip()
            # A text that is not empty is at least a token; four characters are at least four bytes.
            if (answer and settings.min_tokens <= 1) or (
                    settings.tokenizer is None and len(answer) >= BYTES_PER_TOKEN * settings.min_tokens):
                continue
            if (tokens := count_tokens(answer, settings.tokenizer)) < settings.min_tokens:
                return f"{tokens} tokens in the last answer, {settings.min_tokens} wanted"
    return None


def is_too_long(row: RowView, settings: recipe.Filter) -> str | None:
    """More tokens in the whole conversation (of a pair: in the longer side) than the recipe's max_tokens."""
    # A token has at least a byte; a tokenizer may put a mark before each turn, and NFC lengthens UTF-8 at most three times.
    most = len(row.folded) if settings.tokenizer is None else 3 * (len(row.folded) + len(row.messages))
    if settings.max_tokens is None or most <= settings.max_tokens:
        return None
    tokens = max((sum(count_tokens(m.content or "", settings.tokenizer) for m in side) for side in row.sides()), default=0)
    return f"{tokens} tokens, {settings.max_tokens} allowed" if tokens > settings.max_tokens else None
