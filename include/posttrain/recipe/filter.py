"""`filter`: which rows go, by which rule, and which of the others are chosen."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from posttrain.duplicates.settings import Duplicates
from posttrain.section import Section


def _action(value: Any) -> Any:
    return "drop" if value is True else "off" if value is False else value


Action = Annotated[Literal["drop", "report", "off"], BeforeValidator(_action)]
"""What a filter rule does with a row that it speaks against. `true` is drop, `false` off (which is also how YAML reads off)."""


class Select(Section):
    """Choosing `count` rows of some sources by quality, difficulty and diversity (s1, arXiv 2501.19393, section 2.2)."""

    count: int = Field(gt=0, description="rows that are kept of `sources`, exactly")
    sources: tuple[str, ...] = Field(default=(), description="the sources that are chosen from; all of them unless said")
    seed: int = 0
    quality: bool = Field(default=True, description="leave out rows against which a reporting rule speaks")
    solved: tuple[str, ...] = Field(
        default=(), description="JSONL files with `id` and `score` (as `verify` writes them): what a model solves is too easy")
    difficulty: Literal["answer_length", "trace_length", "none"] = Field(
        default="answer_length", description="what a harder row has more of; trace: the text in <think> tags")
    diversity: Literal["category", "skill", "source", "language", "clusters"] = "category"
    clusters: int = Field(default=50, gt=1, description="groups of prompts, where diversity is by clusters")


class RepetitionLimits(Section):
    """How much of an answer may be repeats. Shares from MassiveText (Rae et al. 2021, arXiv 2112.11446, table A1), of which
    those of n-grams count characters there and words here.
    """

    compressed: float = Field(default=0.5, ge=0, le=1, description="only an answer that LZ4 shrinks to this share is judged")
    lines: float = Field(default=0.30, ge=0, le=1, description="share of lines that stand further up already")
    bigram: float = Field(default=0.20, ge=0, le=1, description="share of the words that the most frequent two words take")
    trigram: float = Field(default=0.18, ge=0, le=1)
    fourgram: float = Field(default=0.16, ge=0, le=1)
    fewest_words: int = Field(default=30, ge=4, description="n-grams of shorter answers are not judged")


class Filter(Section):
    """Rules of the filter stage, in the order keyword → empty → turns → quality, then exact duplicates, then the selection.

    A rule drops a row, or only reports it: counts it, and shows examples. Rules on which honest people differ report.
    """

    keywords: Action = "drop"
    keyword_form: Literal["open_instruct", "korean"] = Field(
        default="open_instruct", description="korean: also beside Hangul (OpenAI를) and in Korean spelling (챗GPT)")
    empty: Action = "drop"
    too_simple: Action = "drop"
    special_tokens: Action = "drop"
    encoding: Action = "report"
    placeholders: Action = "report"
    min_tokens: int = Field(default=1, ge=0, description="tokens of the last answer")
    max_tokens: int | None = Field(default=16_384, gt=0, description="tokens of the whole conversation")
    tokenizer: str | None = Field(
        default=None, description="a tokenizer.json (or .json.gz), relative to the data root; unset, four bytes are a token")
    one_word_answers: Action = "report"
    repetition: Action = "report"
    repetition_limits: RepetitionLimits = RepetitionLimits()
    language: Action = "report"
    model_phrases: Action = "report"
    refusals: Action = "report"
    truncated: Action = "report"
    prompt_differs: Action = "report"
    personal_data: Annotated[Literal["drop", "mask", "report", "off"], BeforeValidator(_action)] = "report"
    personal_data_kinds: tuple[Literal["email", "phone", "resident_number"], ...] = ("email", "phone", "resident_number")
    duplicates: Duplicates = Duplicates()
    select: Select | None = None
