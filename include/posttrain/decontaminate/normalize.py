"""Text → words: the one normaliser that the eval index and every training turn go through.

    "The  Eiffel\\nTower: isn't it 3.5 km?"   the eiffel tower isnt it 3 5 km
    "Ｆｕｌｌ－ｗｉｄｔｈ　ＡＢＣ"                  full width abc
    "$\\left(2x\\right)\\,\\dfrac{1}{2}$"         2 x 1 2
    "두 정수의 합이 10이다."                    두 정수 합 10
    "今天 AI 很好"                             今 天 ai 很 好

NFKC and lower case. A word is a run of letters and digits, with the marks on them: punctuation, line wrapping, indentation,
underscores and the spacing of formulas do not count. What else is decided:

- An apostrophe between letters is no boundary: isn't, isn’t and isnt are one word.
- A hyphen is a boundary, at the end of a line too: what wraps text breaks at the hyphens that it has (well-known), and
  whether one is there for the line alone cannot be seen. A soft hyphen can: with the line break after it, it is nothing.
- A letter after a digit begins a word (2x is 2 x), as do small digits (x² is x^2); w1 is one word. A number before Hangul is one
  with its ending.
- Of LaTeX, commands that only set type are left out, and those that have a sign (×, ≤, ½), since signs are no words; Greek
  letters are letters. \\frac12 is \\frac{1}{2}.
- Vowel points of Arabic and Hebrew are left out, and digits of any script are those of ASCII.
- Scripts that are written without spaces (Chinese, Japanese, Thai, Lao, Burmese, Khmer) give one token a character.
- Of a Korean word its stem counts, by its morphemes (korean.py): particles and endings are left out. As tokens of their own
  they would make eight tokens of three or four words, and every "…은 몇 개입니까" of a template an n-gram.

`words` is the definition. `tokens.tokenise` does the same for many texts at once, `spans` says where each word stands.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from posttrain.decontaminate import korean

NORMALISER = f"words-3/unicode-{unicodedata.unidata_version}/{korean.analyser()}"
"""Raise the number whenever `words` would give other tokens. An index says which normaliser made it."""

_BEYOND = "\x80-\U0010ffff"
_LETTERS = f"A-Za-z{_BEYOND}"
_JOINT = rf"(?:(?<=[{_LETTERS}])'|(?<=\xad)[ \t]*\r?\n[ \t]*)(?=[{_LETTERS}])"
_UNCUT = rf"(?:(?<=[A-Za-z{_BEYOND}])|(?<=[0-9])(?![A-Za-z]))"
_FRACTION = r"(?<=\\frac{0})|(?<=\\[dtc]frac{0})|(?<=\\frac {0})|(?<=\\[dtc]frac {0})"
CHUNK = re.compile(
    rf"[0-9](?:{_FRACTION.format('[0-9]')})|(?<=[0-9])[0-9A-Za-z](?:{_FRACTION.format('[0-9][0-9A-Za-z]')})"
    rf"|(?<=\\)[A-Za-z]++(?:'[A-Za-z]++)*+(?=[0-9])"
    rf"|[A-Za-z]++(?:'[A-Za-z]++)*+[0-9]*+(?!'?[{_BEYOND}])|[0-9]++(?![{_BEYOND}])"
    rf"|[0-9{_LETTERS}](?:(?:{_UNCUT}|{_JOINT})[0-9{_LETTERS}])*")
"""A run of ASCII letters, ASCII digits and everything that is not ASCII, cut where an ASCII letter follows a digit; the name of a
LaTeX command before a digit; each of the two characters of a fraction without braces. Chunks are normalised one by one."""

SOFT_BREAK = re.compile(rf"\xad[ \t]*\r?\n[ \t]*(?=[{_LETTERS}])")
"""A soft hyphen with the line break after it, as CHUNK takes it into a chunk."""

FRACTIONS = ("frac", "dfrac", "tfrac", "cfrac")

LOOKS = (
    "left right middle big bigl bigr bigg biggl biggr quad qquad enspace thinspace displaystyle textstyle limits nolimits text "
    "textrm textbf textit texttt emph mathrm mathbf mathit mathbb mathcal mathsf mathtt boldsymbol operatorname mbox hbox "
    "noindent nonumber hfill newline")
SIGNS = (
    "frac dfrac tfrac cfrac sqrt times cdot div pm mp ast star circ bullet prime le leq leqslant ge geq geqslant ne neq approx "
    "equiv sim cong dots ldots cdots to rightarrow leftarrow leftrightarrow mapsto implies iff infty in notin subset subseteq "
    "supset cup cap setminus emptyset forall exists sum prod int partial nabla angle triangle perp parallel mid lvert rvert "
    "langle rangle lfloor rfloor lceil rceil")
NO_WORD_COMMANDS = frozenset(f"{LOOKS} {SIGNS}".split())
"""LaTeX commands that change how a formula looks, and those for which there is a sign: signs are no words either."""

GREEK = {
    name: letter for letter, names in {
        "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon varepsilon", "ζ": "zeta", "η": "eta",
        "θ": "theta vartheta", "ι": "iota", "κ": "kappa", "λ": "lambda", "μ": "mu", "ν": "nu", "ξ": "xi", "π": "pi varpi",
        "ρ": "rho varrho", "σ": "sigma varsigma", "τ": "tau", "υ": "upsilon", "φ": "phi varphi", "χ": "chi", "ψ": "psi",
        "ω": "omega"}.items() for name in names.split()}
"""LaTeX commands that are a letter. (Capitals are lower case by then.)"""

_INVISIBLE = (
    "\u00ad\u034f\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u3164\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff"
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u0652\u0656-\u065f\u0670\u06d6-\u06dc"
    "\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a"
)
"""Soft hyphen, zero-width and direction marks, selectors of a character's look: they split a word for a machine and not for a
reader. The vowel points of Hebrew, Arabic and Syriac and the stretching of Arabic words: the same text stands with them and
without."""

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
    return list(each_span(text))


def each_span(text: str) -> Iterator[tuple[str, int, int]]:
    """The same one by one."""
    for match in CHUNK.finditer(text):
        readable, places = _aligned(match[0])
        at = 0
        for token in chunk_pieces(text, match):
            word = korean.stem(token) if is_korean(token) else token
            start = readable.find(token, at)
            if start < 0:  # a command under its other name
                yield word, match.start(), match.end()
                continue
            at = start + len(token)
            yield word, match.start() + places[start][0], match.start() + places[at - 1][1]


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
_SMALL_DIGITS = re.compile("[\u00b2\u00b3\u00b9\u2070-\u2079\u2080-\u2089]+")
_LETTER_AFTER_DIGIT = re.compile("(?<=[0-9])(?=[a-z])")
_UP_TO_DIGITS = re.compile("[^0-9]*[0-9]+|[^0-9]+")
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")


def pieces(chunk: str, is_command: bool = False) -> tuple[str, ...]:
    """The tokens of a chunk, Korean words as they are written. `is_command`: a backslash stands before the chunk."""
    if not chunk.isascii():
        return _pieces(chunk)
    token = chunk.replace("'", "").lower()
    if not is_command:
        return (token,)
    return () if token in NO_WORD_COMMANDS else (GREEK.get(token, token),)


@functools.lru_cache(maxsize=1 << 16)
def _pieces(chunk: str) -> tuple[str, ...]:
    readable = _readable(_folded(chunk))
    pattern = _patterns()[2] if _SPECIAL.search(readable) else _PLAIN
    found: list[str] = []
    for token in pattern.findall(readable):
        for piece in _LETTER_AFTER_DIGIT.split(token):
            # A Korean word is read with the number before it: 10이고 is 10 and its ending.
            found += [piece] if is_korean(piece) else _UP_TO_DIGITS.findall(piece)
    return tuple(found)


def _folded(chunk: str) -> str:
    visible = _SMALL_DIGITS.sub(r" \g<0>", _BETWEEN.sub("", chunk).translate(_BLANKS))
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).lower())
    return _OTHER_DIGIT.sub(lambda match: str(unicodedata.decimal(match[0])), folded)


def _readable(folded: str) -> str:
    """Without what vanishes: invisible characters, and apostrophes inside of a word."""
    if not _SPECIAL.search(folded):
        return folded
    invisible, apostrophe, _ = _patterns()
    return unicodedata.normalize("NFKC", apostrophe.sub("", invisible.sub("", folded)))


_BLANKS = {0x3164: " ", 0xFFA0: " "}
"""The Hangul fillers, which are seen as a space."""
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
        re.compile(f"[{_INVISIBLE}]|(?<=[0-9])[{marks}]+"),
        re.compile(r"(?<=[^\W\d_])['\u2018\u2019\u02bc](?=[^\W\d_])"),
        re.compile(rf"(?:[{spaceless}]|[{_SPACELESS_BEYOND}])[{marks}]*|{letter}+(?:[{marks}]+{letter}*)*"),
    )
