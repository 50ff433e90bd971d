"""Repetition: answers that say the same line or the same few words again and again."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from posttrain import recipe
from posttrain.filters.view import RowView

REPEATED_NGRAMS = {2: 0.20, 3: 0.18, 4: 0.16}
"""Words in an n-gram → the greatest share of the text that its most frequent n-gram may take.

Source: MassiveText, Rae et al. 2021 (arXiv 2112.11446), table A1. There shares are of characters, here of words.
"""
REPEATED_LINES = 0.30
"""The greatest share of lines that stand further up already (same table: duplicate line fraction)."""

FEWEST_WORDS = 50
FEWEST_LINES = 6
SHORTEST_LINE = 10
"""Shorter texts and lines are not judged: `}`, `---` and table rules repeat in honest text."""

COMPRESSIBLE = 0.75
"""An answer that LZ4 leaves longer than this share of its bytes is not looked at: it has no long repeats.

This is part of the rule, for speed: of 20,000 real answers none that passes it exceeds a share above.
"""

_LZ4 = pa.Codec("lz4_raw")


def repeats_itself(row: RowView, settings: recipe.Filter) -> str | None:
    """An answer above one of the shares of repeated lines or n-grams, the numbers in REPEATED_LINES and REPEATED_NGRAMS."""
    for answer in row.answers:
        if len(answer) >= 2 * FEWEST_LINES and is_compressible(answer):
            complaint = repeated_lines(answer) or repeated_ngrams(answer)
            if complaint:
                return complaint
    return None


def is_compressible(text: str) -> bool:
    data = text.encode("utf-8", "surrogatepass")
    return len(_LZ4.compress(data, asbytes=True)) <= COMPRESSIBLE * len(data)


def repeated_lines(text: str) -> str | None:
    """The share of lines of at least 10 characters that are equal to an earlier one, where it is too large."""
    lines = [line for line in map(str.strip, text.split("\n")) if len(line) >= SHORTEST_LINE]
    repeated = len(lines) - len(set(lines))
    if len(lines) < FEWEST_LINES or repeated <= REPEATED_LINES * len(lines):
        return None
    line, times = Counter(lines).most_common(1)[0]
    return f"{repeated} of {len(lines)} lines are repeats; {line[:60]!r} stands {times} times"


def repeated_ngrams(text: str) -> str | None:
    """The most frequent n-gram where it takes too large a share of the words; occurrences may overlap."""
    words = text.split()
    if len(words) < FEWEST_WORDS:
        return None
    for n, limit in REPEATED_NGRAMS.items():
        ngram, times = Counter(zip(*(words[i:] for i in range(n)), strict=False)).most_common(1)[0]
        if times > 1 and times * n > limit * len(words):
            return f"{' '.join(ngram)[:60]!r} stands {times} times in {len(words)} words"
    return None
