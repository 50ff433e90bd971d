"""How much a shared word says: the weight of a word or of a place of an eval text, from 0 (everybody writes it) to 1.

    weight(word) = ln((N + 1) / df) / ln(N + 1)     N items in the index, df of them with the word; at least LEAST

Function words, single characters and the stock words of tasks ("write a function that …") weigh at most what FUNCTION and
STOCK say, however small the index is. Numbers weigh NUMBER each, and nothing where they are a sequence that anybody
writes down (1 2 3 4, 10 20 30 40): a count from 1 to 12 is no trace of the item that adds 1 to 12 up.
Wording that many items share is a template (templates.py) and weighs nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from posttrain.decontaminate.index import EvalIndex

FUNCTION, STOCK, NUMBER, LEAST = 0.1, 0.15, 0.3, 0.05
"""The most that a function word, a stock word of tasks and a number weigh, and the least that any word does."""

SEQUENCE = 4
"""So many numbers in a row with one difference are a sequence."""

_FUNCTION_WORDS = """
the an of to in on for and or is are was were be been being it its this that these those with by at from as if then than so do
does did have has had not no you he she they we me my your his her their our what which who whom whose when where why how can
could would will should may might must there here about into out up down over between through during before after above below
again all any each few more most other some such only own same too very just also but because until while using use used re ll
ve 은 는 이 가 을 를 의 에 에서 에게 로 으로 와 과 도 만 부터 까지 하다 하 되 되다 이다 있다 있 없 것 수 등 및 그 저 무엇 어떤
어디 언제 누구 왜 어떻게 몇 다음 ᆫ ᆯ ᆷ 는가 ᆫ가 ㄴ ㄹ ㅁ 었 았 겠 시 고 며 면 아 어 지 요 다 습니다 ᆸ니다 인가요 인가 나요
"""
_STOCK_WORDS = """
write function find given list following statement statements true false python code program return returns number numbers
string strings input output example question questions answer answers provide create generate explain describe step guide make
give show tell please let many much sum calculate compute value values determine evaluate word words sentence sentences text
name names choose select option options correct one two three first second last
"""
FUNCTION_WORDS, STOCK_WORDS = frozenset(_FUNCTION_WORDS.split()), frozenset(_STOCK_WORDS.split())
"""English, and of Korean the particles, endings and question words that the morphemes of every question have."""


@functools.lru_cache(maxsize=2)
def _table(index: EvalIndex) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The weight of every word number by the formula above."""
    items = len(index.texts_of_item)
    owner = np.repeat(index.item_of_text, np.diff(index.offsets))
    pairs = np.unique(owner * max(len(index.number), 1) + index.flat)
    frequency = np.bincount(pairs % max(len(index.number), 1), minlength=len(index.number))
    return np.log((items + 1) / np.maximum(frequency, 1)) / math.log(items + 1) if items else np.zeros(0)


def word_weights(index: EvalIndex, tokens: Sequence[str]) -> list[float]:
    """The weight of each word by itself; a word that no eval text has weighs 1. Numbers weigh nothing here."""
    table = _table(index)
    return [_capped(token, float(table[n]) if (n := index.number.get(token)) is not None else 1.0) for token in tokens]


def _capped(token: str, weight: float) -> float:
    if has_digit(token):
        return 0.0
    if token in FUNCTION_WORDS or (len(token) == 1 and token.isascii()):
        return FUNCTION
    return max(LEAST, min(weight, STOCK) if token in STOCK_WORDS else weight)


def has_digit(token: str) -> bool:
    return any(character.isdigit() for character in token)


def number_weights(tokens: Sequence[str]) -> list[float]:
    """NUMBER for each number of a text, 0 for words and for the numbers of a sequence.

    "divide 7 by 3": 0 .3 0 .3        "count 1 2 3 4 5": all 0
    """
    places = [k for k, token in enumerate(tokens) if token.isdecimal()]
    weights = [NUMBER if has_digit(token) else 0.0 for token in tokens]
    values = [int(tokens[k]) if len(tokens[k]) < 19 else -1 for k in places]
    begin = 0
    while begin < len(values) - 1:
        end, step = begin + 1, values[begin + 1] - values[begin]
        while end + 1 < len(values) and values[end + 1] - values[end] == step:
            end += 1
        if end - begin + 1 >= SEQUENCE:
            for k in places[begin : end + 1]:
                weights[k] = 0.0
        begin = end
    return weights
