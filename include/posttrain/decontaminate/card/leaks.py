"""Leaks made from the items of items.yaml, each with the item that it gives away, and clean rows on the same topics."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

Language = Literal["en", "ko"]
LANGUAGES: tuple[Language, ...] = ("en", "ko")

ITEMS_FILE = Path(__file__).with_name("items.yaml")

CLEAN = "clean, near topic"


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the card in one language. `near` is a clean row on its topic; `number` is the same in both languages."""

    number: int
    language: Language
    question: str
    answer: str
    near: str


@dataclass(frozen=True, slots=True)
class Row:
    """A training turn. `item` is what it gives away, as (language, number); None for a clean row."""

    kind: str
    language: Language
    turn: str
    item: tuple[Language, int] | None


def card_items() -> list[Item]:
    """The items in both languages, in file order."""
    entries = yaml.safe_load(ITEMS_FILE.read_text(encoding="utf-8"))
    return [Item(number, language, **entry[language]) for language in LANGUAGES for number, entry in enumerate(entries)]


# ---------------------------------------------------------------- the ways to leak

_WRAPPED = {
    "en": "You are a careful helper. Think step by step and give the final answer on the last line.\n\nQuestion: {}\n\nAnswer:",
    "ko": "당신은 꼼꼼한 조수입니다. 차근차근 생각하고 마지막 줄에 답을 쓰십시오.\n\n문제: {}\n\n답:",
}
_CONTEXT = {
    "en": ("We met at the harbour at six and waited until the rain had stopped. Nobody had brought an umbrella, and the café "
           "closes early on Mondays, so we talked about the week. ",
           " My sister said that she would look it up at home, but she forgot. The bus came ten minutes late as always."),
    "ko": ("우리는 여섯 시에 항구에서 만나 비가 그칠 때까지 기다렸습니다. 우산을 가져온 사람이 없었고 찻집은 일찍 닫아서 "
           "한 주 이야기를 나누었습니다. ",
           " 누나는 집에서 찾아보겠다고 했지만 잊어버렸습니다. 버스는 늘 그렇듯이 십 분 늦게 왔습니다."),
}
SHORTENED = 0.6
"""Share of the words that a shortened leak keeps, from the beginning."""

_REWRITES: dict[Language, dict[str, str]] = {
    "en": {
        "how many": "what number of", "which": "what", "find": "work out", "write": "compose", "explain": "make clear",
        "why": "for what reason", "implement": "build", "suggest": "propose", "summarise": "sum up", "given": "for",
        "sells": "has sold", "carries": "transports", "returns": "comes back", "left": "remaining", "altogether": "in total",
        "in all": "in total", "deepest": "most deep", "who painted": "which artist painted", "average": "mean",
        "takes": "gets", "only": "just", "each": "every", "decide whether": "check if", "people": "persons", "stores": "keeps",
        "now": "at this point", "so that": "such that", "saves": "puts aside", "turn green": "become green", "has": "possesses",
    },
    "ko": {
        "무엇입니까": "무엇인가요", "몇 개": "얼마나", "모두": "다 합해서", "구하시오": "계산하세요",
        "작성하시오": "만들어 보세요", "설명하시오": "알기 쉽게 말해 주세요", "누구입니까": "누구인가요", "왜": "어째서",
        "쓰시오": "적어 보세요", "다 자란": "성체인", "가장": "제일", "판단하시오": "확인하세요", "제안하되": "추천하되",
        "요약하시오": "간추리세요", "남았습니까": "남아 있나요", "저장하는": "보관하는", "대부분을": "거의 전부를",
        "였습니까": "였나요", "합니까": "하나요", "있습니까": "있나요", "주어질 때": "있을 때", "돌려주는": "반환하는",
        "변합니까": "바뀌나요",
    },
}
"""Fixed rewrites of a paraphrase: each is applied wherever it stands."""


def _paraphrased(item: Item) -> str:
    """The rewrites of _REWRITES, and the last sentence, which asks, at the beginning."""
    text = item.question
    for old, new in _REWRITES[item.language].items():
        pattern = rf"\b{re.escape(old)}\b" if item.language == "en" else re.escape(old)
        text = re.sub(pattern, new, text, flags=re.IGNORECASE)
    sentences = re.split(r"(?<=[.?!])\s+", text)
    return " ".join([sentences[-1], *sentences[:-1]])


def _shortened(item: Item) -> str:
    words = item.question.split()
    return " ".join(words[: math.ceil(SHORTENED * len(words))])


def _in_context(language: Language, text: str) -> str:
    before, after = _CONTEXT[language]
    return before + text + after


LEAKS: dict[str, Callable[[Item], str]] = {
    "verbatim, with its answer": lambda item: f"{item.question}\n{item.answer}",
    "prompt only": lambda item: item.question,
    "answer only": lambda item: item.answer,
    "wrapped in an instruction": lambda item: _WRAPPED[item.language].format(item.question),
    "shortened": _shortened,
    "with added context": lambda item: _in_context(item.language, item.question),
    "paraphrased by fixed rewrites": _paraphrased,
}
TRANSLATED = "translated"


def card_rows(items: list[Item]) -> Iterator[Row]:
    """Every leak of every item, and three clean rows each: the near one alone, wrapped and with added context."""
    others = {(item.language, item.number): item for item in items}
    for item in items:
        own, language = (item.language, item.number), item.language
        for kind, leak in LEAKS.items():
            yield Row(kind, language, leak(item), own)
        other: Language = "ko" if language == "en" else "en"
        yield Row(TRANSLATED, language, others[other, item.number].question, own)
        for near in (item.near, _WRAPPED[language].format(item.near), _in_context(language, item.near)):
            yield Row(CLEAN, language, near, None)
