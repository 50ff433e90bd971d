"""Too simple: bare arithmetic, one word answered with one word, answers of one word."""

from __future__ import annotations

import re
import unicodedata

from posttrain import recipe
from posttrain.filters.length import at_most_one_word, count_words
from posttrain.filters.view import RowView
from posttrain.schema import conversation

LONGEST_BARE = 80
"""A prompt of more characters is never bare arithmetic, whatever it says."""

_DIGITS = r"\(?\s*[-−]?\d{1,2}\s*\)?"
_WORDS = (
    r"(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)(?![a-z])"
    r"|하나|둘|셋|넷|다섯|여섯|일곱|여덟|아홉|열|[일이삼사오육칠팔구]?십[일이삼사오육칠팔구]?|[일이삼사오육칠팔구]"
)
_NUMBER = rf"(?:{_DIGITS}|\s*(?:{_WORDS})\s*)"
_SIGN = r"(?:[-+*/×x÷−·]|plus|minus|times|divided\s+by|multiplied\s+by|더하기|빼기|곱하기|나누기)"
_HOW_MUCH = (
    r"(?:얼마\s*(?:인가요|입니까|예요|에요|이에요|야|지|죠|니|일까요?)?"
    r"|몇\s*(?:인가요|입니까|이에요|이야|일까요?)?|뭐\s*(?:예요|에요|야|지|니)|무엇\s*(?:인가요|입니까|이니|일까요?))"
)
_ASKED = (
    rf"(?:[은는이가을를의]|값[은을]|의\s*값[은을])?\s*(?:{_HOW_MUCH}"
    r"|계산\s*(?:하세요|해\s*줘|해\s*주세요|하시오|하라)|구하(?:세요|시오|라))?"
)
_JOINED = r"(?:더하|빼|곱하|나누)(?:면|세요|시오|십시오|라)"
_BARE = re.compile(
    r"(?:please\s+|(?:can|could)\s+you\s+|tell\s+me\s+){0,3}(?:"
    rf"(?:what(?:'s|’s|\s+is|\s+does)?|how\s+much\s+is|calculate|compute|solve|evaluate|work\s+out|add|계산)?[\s:]*"
    rf"{_NUMBER}(?:\s*{_SIGN}\s*{_NUMBER}){{1,3}}\s*(?:=\s*\?*|equals?|is)?\s*{_ASKED}\s*[?.!=]*"
    rf"|(?:what(?:'s|’s|\s+is)\s+)?(?:the\s+)?(?:sum|product|difference|total)\s+(?:of|between)\s+{_NUMBER}\s+and\s+{_NUMBER}\s*[?.!]*"
    rf"|(?:add|subtract|multiply|divide)\s+{_NUMBER}\s*(?:and|to|from|by)\s+{_NUMBER}\s*[?.!]*"
    rf"|(?:두\s*수\s*)?{_NUMBER}\s*(?:[와과에]|에서)\s*{_NUMBER}\s*[을를]?\s*{_JOINED}\s*{_HOW_MUCH}?\s*[?.!]*"
    rf"|(?:두\s*수\s*)?{_NUMBER}\s*[와과]\s*{_NUMBER}\s*의\s*(?:합|곱|차)\s*{_ASKED}\s*[?.!]*)",
    re.IGNORECASE,
)
_FIRST_WORDS = frozenset([
    "please", "can", "could", "tell", "what", "how", "calculate", "compute", "solve", "evaluate", "work", "add", "subtract",
    "multiply", "divide", "the", "sum", "product", "difference", "total", "zero", "one", "two", "three", "four", "five", "six",
    "seven", "eight", "nine", "ten", "eleven", "twelve",
])
_FIRST_SYLLABLES = frozenset("하둘셋넷다여일아열이삼사오육칠팔구십두계")
"""A prompt that begins with another English word or Korean syllable is no bare arithmetic; most are told apart by it."""

_ONE_WORD = re.compile(r"\W*[^\W\d_]+\W*")
"""Letters with punctuation around them; "x+2=4?" is no word."""


def is_too_simple(row: RowView, settings: recipe.Filter) -> str | None:
    """Bare arithmetic of integers below 100 ("2+2?", "2+2는 얼마인가요?") or of number words ("two plus two"), or one word
    answered with one word ("Hi!" "Hello!").

    Only conversations with a single user turn and without a system turn are looked at.
    """
    turns = conversation(row.example)
    if len(turns) > 2 or len(turns) == 0 or turns[0].role != "user" or (len(turns) == 2 and turns[1].role != "assistant"):
        return None
    prompt = (turns[0].content or "").strip()
    if len(prompt) > 3 * LONGEST_BARE:  # decomposed Hangul has up to three code points a syllable
        return None
    if not prompt.isascii():
        prompt = unicodedata.normalize("NFKC", prompt)  # full-width digits, signs and question marks too
    if 0 < len(prompt) <= LONGEST_BARE and _may_be_bare(prompt) and _BARE.fullmatch(prompt):
        return f"bare arithmetic: {prompt!r}"
    if len(turns) == 2 and _ONE_WORD.fullmatch(prompt) and count_words(prompt) == 1 and at_most_one_word(turns[1].content):
        return f"one word for one word: {prompt[:40]!r} → {(turns[1].content or '').strip()[:40]!r}"
    return None


def _may_be_bare(prompt: str) -> bool:
    if "가" <= prompt[0] <= "힣":
        return prompt[0] in _FIRST_SYLLABLES
    first = prompt.split(None, 1)[0]
    return not (first.isascii() and first.isalpha()) or first.lower() in _FIRST_WORDS


LONGEST_WORD = 40


def answers_in_one_word(row: RowView, settings: recipe.Filter) -> str | None:
    """The last answer (of a pair: of either side) is a single word of at most 40 characters: "Yes.", "긍정", "B".

    Whole task families of FLAN answer so, which is why the rule only reports unless the recipe says otherwise.
    """
    for side in row.sides():
        if side and side[-1].role == "assistant" and side[-1].content:
            answer = side[-1].content.strip()
            if len(answer) <= LONGEST_WORD and count_words(answer) == 1:
                return f"one word: {answer!r}"
    return None
