"""Text → words: the one normaliser that the eval index and every training turn go through.

    "The  Eiffel\\nTower: isn't it 3.5 km?"   the eiffel tower isnt it 3 5 km
    "Ｆｕｌｌ－ｗｉｄｔｈ　ＡＢＣ"                  full width abc
    "$\\left(2x\\right)\\,\\dfrac{1}{2}$"         2x frac 1 2
    "두 정수의 합이 10이다."                    두 정수 합 10
    "今天 AI 很好"                             今 天 ai 很 好

NFKC and lower case. A word is a run of letters and digits, with the marks on them: punctuation, line wrapping, indentation,
underscores and the spacing of formulas do not count. What else is decided:

- An apostrophe between letters is no boundary: isn't, isn’t and isnt are one word.
- A hyphen is a boundary, at the end of a line too: what wraps text breaks at the hyphens that it has (well-known), and
  whether one is there for the line alone cannot be seen. A soft hyphen can: with the line break after it, it is nothing.
- LaTeX commands that only set type are left out, and the sizes of a fraction are one command.
- Scripts that are written without spaces (Chinese, Japanese, Thai, Lao, Burmese, Khmer) give one token a character.
- Of a Korean word its stem counts, by its morphemes (korean.py): particles and endings are left out. As tokens of their own
  they would make eight tokens of three or four words, and every "…은 몇 개입니까" of a template an n-gram.

`words` is the definition. `tokens.tokenise` does the same for many texts at once, `spans` says where each word stands.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable

from posttrain.decontaminate import korean

NORMALISER = f"words-2/unicode-{unicodedata.unidata_version}/{korean.analyser()}"
"""Raise the number whenever `words` would give other tokens. An index says which normaliser made it."""

_LETTERS = "A-Za-z\x80-\U0010ffff"
_JOINT = rf"(?:(?<=[{_LETTERS}])'|(?<=\xad)[ \t]*\r?\n[ \t]*)(?=[{_LETTERS}])"
CHUNK = re.compile(rf"(?<=\\)[{_LETTERS}]+(?:{_JOINT}[{_LETTERS}]+)*(?=[0-9])|[0-9{_LETTERS}]+(?:{_JOINT}[0-9{_LETTERS}]+)*")
"""A run of ASCII letters, ASCII digits and everything that is not ASCII; the name of a LaTeX command ends before a digit.
Chunks are normalised one by one."""

SOFT_BREAK = re.compile(rf"\xad[ \t]*\r?\n[ \t]*(?=[{_LETTERS}])")
"""A soft hyphen with the line break after it, as CHUNK takes it into a chunk."""

TYPESETTING = frozenset(
    ["left", "right", "middle", "big", "bigl", "bigr", "bigg", "biggl", "biggr", "quad", "qquad", "enspace", "thinspace",
     "displaystyle", "textstyle", "limits", "nolimits", "text", "textrm", "textbf", "textit", "emph", "mathrm", "mathbf",
     "mathit", "operatorname", "mbox", "hbox", "noindent", "nonumber", "hfill"])
"""LaTeX commands that change how a formula looks and not what it says: no word."""

ONE_COMMAND = {"dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "le": "leq", "leqslant": "leq", "ge": "geq",
               "geqslant": "geq", "ne": "neq", "ldots": "dots", "cdots": "dots", "to": "rightarrow"}
"""LaTeX commands that say the same."""

_INVISIBLE = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
"""Soft hyphen, zero-width and direction marks: they split a word for a machine and not for a reader."""

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff"
)
_SPACELESS_BEYOND = "\U00020000-\U0003134f"

Stem = Callable[[str], str]
"""A word with Hangul → its stem."""


def words(text: str, stem: Stem = korean.stem) -> list[str]:
    """The tokens of a text, in order."""
    return [stem(token) if is_korean(token) else token for match in CHUNK.finditer(text) for token in chunk_pieces(text, match)]


def has_word(text: str) -> bool:
    """Whether a text has any token."""
    return _BEGINS_WITH_A_WORD.match(text) is not None or any(chunk_pieces(text, match) for match in CHUNK.finditer(text))


_BEGINS_WITH_A_WORD = re.compile(r"\s*[0-9A-Za-z]")


def spans(text: str) -> list[tuple[str, int, int]]:
    """`words` with the characters of the text that each stands for, [start, end); of a Korean word, particles included."""
    found = []
    for match in CHUNK.finditer(text):
        readable, places = _aligned(match[0])
        at = 0
        for token in chunk_pieces(text, match):
            word = korean.stem(token) if is_korean(token) else token
            start = readable.find(token, at)
            if start < 0:  # a command under its other name
                found.append((word, match.start(), match.end()))
                continue
            at = start + len(token)
            found.append((word, match.start() + places[start][0], match.start() + places[at - 1][1]))
    return found


def is_korean(token: str) -> bool:
    return not token.isascii() and _HANGUL.search(token) is not None


def chunk_pieces(text: str, match: re.Match[str]) -> tuple[str, ...]:
    """The tokens of a match of CHUNK, Korean words as they are written."""
    return pieces(match[0], is_command=match.start() > 0 and text[match.start() - 1] == "\\")


# ---------------------------------------------------------------- one chunk

_HANGUL = re.compile(f"[{korean.HANGUL}]")
_SPECIAL = re.compile(
    "[^\x00-\xac\xae-\u02bb\u02bd-\u02ff\u0370-\u0482\u048a-\u0590"
    "\u2010-\u2017\u201a-\u2029\u20a0-\u20cf\u2100-\u2bff]"
)
"""Anything but Latin, Greek, Cyrillic and symbols: marks, invisible characters, apostrophes or a spaceless script."""
_PLAIN = re.compile(r"[^\W_]+")


def pieces(chunk: str, is_command: bool = False) -> tuple[str, ...]:
    """The tokens of a chunk, Korean words as they are written. `is_command`: a backslash stands before the chunk."""
    if not chunk.isascii():
        return _pieces(chunk)
    token = chunk.replace("'", "").lower()
    if not is_command:
        return (token,)
    return () if token in TYPESETTING else (ONE_COMMAND.get(token, token),)


@functools.lru_cache(maxsize=1 << 16)
def _pieces(chunk: str) -> tuple[str, ...]:
    readable = _readable(_folded(chunk))
    pattern = _patterns()[2] if _SPECIAL.search(readable) else _PLAIN
    return tuple(pattern.findall(readable))


def _folded(chunk: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _BETWEEN.sub("", chunk)).lower())


def _readable(folded: str) -> str:
    """Without what vanishes: invisible characters, and apostrophes inside of a word."""
    if not _SPECIAL.search(folded):
        return folded
    invisible, apostrophe, _ = _patterns()
    return apostrophe.sub("", invisible.sub("", folded))


_BETWEEN = re.compile(r"['\s]", re.ASCII)
"""What CHUNK lets stand inside of a chunk."""


def _aligned(chunk: str) -> tuple[str, list[tuple[int, int]]]:
    """The chunk as its tokens are read from it and, for each character of that, the characters [start, end) of the chunk."""
    clusters = [(match[0], match.start(), match.end()) for match in _patterns_of_clusters().finditer(chunk)]
    folded, places = "", []
    for cluster, start, end in clusters:
        own = _folded(cluster) if not chunk.isascii() else cluster.replace("'", "").lower()
        folded += own
        places += [(start, end)] * len(own)
    readable = _readable(_folded(chunk)) if not chunk.isascii() else folded
    kept, at = [], 0
    for character in readable:
        at = folded.find(character, at)
        if at < 0:  # letters that change with their neighbours: no place is better than the whole chunk
            return readable, [(0, len(chunk))] * len(readable)
        kept.append(places[at])
        at += 1
    return readable, kept


def _ranges(characters: Iterable[str]) -> str:
    """Ascending characters as ranges of a character class, of which `re` reads a few quicker than thousands of characters."""
    found: list[list[str]] = []
    for c in characters:
        if found and ord(c) == ord(found[-1][1]) + 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return "".join(first if first == last else f"{first}-{last}" for first, last in found)


def _marks() -> str:
    return _ranges(c for c in map(chr, range(0x300, 0x10000)) if unicodedata.category(c) in ("Mn", "Mc"))


@functools.cache
def _patterns_of_clusters() -> re.Pattern[str]:
    """A character with what NFKC may join to it: marks, Korean vowels and finals, half-width voice marks."""
    return re.compile(f".[{_marks()}\u1160-\u11ff\uff9e\uff9f]*", re.DOTALL)


@functools.cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """What vanishes, an apostrophe inside of a word, and a token with its marks.

    Python's \\w leaves out combining marks, which would cut Telugu or Arabic words at every vowel sign.
    """
    marks, in_spaceless = _marks(), re.compile(f"[{_SPACELESS}]")
    spaceless = _ranges(c for c in map(chr, range(0x0E00, 0x10000)) if c.isalnum() and in_spaceless.match(c))
    letter = rf"[^\W_{spaceless}{_SPACELESS_BEYOND}]"
    return (
        re.compile(f"[{_INVISIBLE}]"),
        re.compile(r"(?<=[^\W\d_])['\u2018\u2019\u02bc](?=[^\W\d_])"),
        re.compile(rf"(?:[{spaceless}]|[{_SPACELESS_BEYOND}])[{marks}]*|{letter}+(?:[{marks}]+{letter}*)*"),
    )
