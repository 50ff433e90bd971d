"""Repetition: answers that say the same line or the same few words again and again."""

from __future__ import annotations

import re
from collections import Counter

import pyarrow as pa

from posttrain import recipe
from posttrain.filters.view import RowView

FEWEST_LINES = 6
SHORTEST_LINE = 10
"""Fewer and shorter lines are not judged: `}`, `---` and table rules repeat in honest text."""

MOST_CHARACTERS = 100_000
"""So much of an answer is judged, which bounds the memory that counting its n-grams takes."""

_ON_END = re.compile(r"([^\W\d_]\S{0,19}?)\1{29,}")
"""A letter and at most 19 characters behind it, no space among them, thirty times on end. Lines of `-` or 0 are no such run."""

_LZ4 = pa.Codec("lz4_raw")


def repeats_itself(row: RowView, settings: recipe.Filter) -> str | None:
    """An answer that LZ4 shrinks to half, with more repeated lines or n-grams than the recipe's limits allow.

    The first test alone finds tables and code, the second alone finds short texts in which "can be used to" stands three
    times; what both find is a text that says one thing again and again.
    """
    limits = settings.repetition_limits
    for answer in row.answers:
        answer = answer[:MOST_CHARACTERS]
        if len(answer) >= FEWEST_LINES * SHORTEST_LINE and compressed_share(answer) <= limits.compressed:
            complaint = repeated_lines(answer, limits) or repeated_ngrams(answer, limits) or repeated_piece(answer, limits)
            if complaint:
                return complaint
    return None


def compressed_share(text: str) -> float:
    """Bytes after LZ4 over bytes before: about .9 for prose of 500 bytes, .05 for one line fifty times."""
    data = text.encode("utf-8", "surrogatepass")
    return len(_LZ4.compress(data, asbytes=True)) / len(data)


def repeated_lines(text: str, limits: recipe.RepetitionLimits) -> str | None:
    """The share of lines of at least 10 characters that are equal to an earlier one, where it is too large."""
    lines = [line for line in map(str.strip, text.split("\n")) if len(line) >= SHORTEST_LINE]
    repeated = len(lines) - len(set(lines))
    if len(lines) < FEWEST_LINES or repeated <= limits.lines * len(lines):
        return None
    line, times = Counter(lines).most_common(1)[0]
    return f"{repeated} of {len(lines)} lines are repeats; {line[:60]!r} stands {times} times"


def repeated_ngrams(text: str, limits: recipe.RepetitionLimits) -> str | None:
    """The most frequent n-gram where it takes too large a share of the words; occurrences may overlap."""
    words = text.split()
    if len(words) < limits.fewest_words:
        return None
    for n, limit in ((2, limits.bigram), (3, limits.trigram), (4, limits.fourgram)):
        ngram, times = Counter(zip(*(words[i:] for i in range(n)), strict=False)).most_common(1)[0]
        if times > 1 and times * n > limit * len(words):
            return f"{' '.join(ngram)[:60]!r} stands {times} times in {len(words)} words"
    return None


def repeated_piece(text: str, limits: recipe.RepetitionLimits) -> str | None:
    """A piece without a space that follows itself, "ㅋㅋㅋ…", where such runs take more characters than a bigram may of words."""
    runs = list(_ON_END.finditer(text))
    share = sum(len(run[0]) for run in runs) / len(text)
    if share <= limits.bigram:
        return None
    run = max(runs, key=lambda run: len(run[0]))
    return f"{run[1]!r} stands {len(run[0]) // len(run[1])} times on end, {share:.0%} of the answer".replace("%", " %")
