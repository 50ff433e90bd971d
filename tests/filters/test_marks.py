"""The search for marks never changes what a rule says: a row on which a rule speaks always holds one of its marks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain import recipe
from posttrain.filters import RULES, FilterRule, RowView, prepare_rules
from posttrain.filters.encoding import KNOWN_GARBLE
from posttrain.filters.keywords import FORMS, KEYWORDS, KOREAN_KEYWORDS, first_keyword
from posttrain.filters.rules import LONGEST_SEARCHED, as_bytes
from posttrain.filters.tokens import SPECIAL_TOKENS
from posttrain.raw_files import read_raw_file
from posttrain.schema import Message, SFTExample

MARKED = [rule for rule in RULES if rule.marks is not None]
SETTINGS = [recipe.Filter(), recipe.Filter(keyword_form="korean")]

PIECES = st.one_of(
    st.sampled_from([
        *KEYWORDS, *KOREAN_KEYWORDS, *SPECIAL_TOKENS, *KNOWN_GARBLE, "OPENA\u0130", "openA\u0131", "\u212a", "B\u0131ngChat",
        "LA\u0130ON",
        "<s>", "</S>", "{{name}}", "{{ user name }}", "as an AI language model", "I’m a large language model", "As an AI, ",
        "저는 인공지능이라서", "AI 언어 모델로서", "I'm sorry, but I can't help", "I’m unable to provide",
        "죄송하지만 드릴 수 없습니다",
        "답변드릴 수 없습니다", "a@b.io", "010-1234-5678", "(010)12345678", "+82 10 1234 5678", "01012345678", "010 123 4567",
        "02-345-6789", "(212)736-5000", "1-212.736\u20115000", "900101-1234568", "900101 - 1234568", "900101\u20131234567",
        "주민 9001011234568", "Â°", "Ã©", "â€™", "Ã ", "ì•ˆë…•", "\x00", "\x9f", "\ufffd", "\ud800", "Spaß“", "é",
        "한국어", " ", ".", "9",
    ]),
    st.text(max_size=6),
    st.text(alphabet="0123456789-+.() @aAiIkKsS\u0130\u0131\u017f\u212a<|>{}[]/GPTgpt3.5", max_size=16),
)


def spoken_without_marks(rule: FilterRule, row: RowView, rules: recipe.Filter) -> str | None:
    """What a rule says to a row that holds none of its marks: None, or the marks are wrong."""
    assert rule.marks is not None
    return None if any(as_bytes(mark) in row.folded for mark in rule.marks) else rule.rule(row, rules)


def conversation(*texts: str) -> SFTExample:
    messages = tuple(Message(role, text) for role, text in zip(("user", "assistant") * 2, texts, strict=False))
    return SFTExample(id="a", source="s", category="general", skill="general", language="en", license="MIT", messages=messages)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=8), st.lists(PIECES, max_size=8))
def test_a_rule_speaks_only_where_one_of_its_marks_stands(asked: list[str], answered: list[str]) -> None:
    row = RowView(conversation("".join(asked), "".join(answered)))
    for rules in SETTINGS:
        for rule in MARKED:
            assert spoken_without_marks(rule, row, rules) is None, (rule.name, row.text)


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8), st.lists(PIECES, min_size=1, max_size=8))
def test_the_prepared_rules_say_what_the_rules_one_by_one_say(asked: list[str], answered: list[str]) -> None:
    example = conversation("".join(asked), "".join(answered))
    rules = recipe.Filter(**{rule.name: "report" for rule in RULES if rule.name in recipe.Filter.model_fields
                             and not rule.name.endswith("_tokens")}, special_tokens="report", min_tokens=0)
    verdict = prepare_rules(rules)(example)
    row = RowView(example)
    said = {rule.name: detail for rule in RULES if (detail := rule.rule(row, rules)) is not None}
    assert verdict.drop is None and {drop.rule: drop.detail for drop in verdict.reported} == said


def test_a_row_too_long_to_be_searched_is_shown_to_every_rule() -> None:
    example = conversation("Tell me", "I am ChatGPT. " + "0" * LONGEST_SEARCHED)
    drop = prepare_rules(recipe.Filter())(example).drop
    assert drop is not None and drop.reason == "names_another_assistant"


@pytest.mark.parametrize("file", [
    "hiyouga__LLaMA-Factory/lima.4of5.json.gz", "hiyouga__LLaMA-Factory/alpaca_en_demo.json.gz",
    "sahil280114__codealpaca/code_alpaca_2k.json.gz", "sagorbrur__tydiqa-language-specific/korean_tydiqa_train.json.gz",
    "sionic-ai__Data_Ko_hh-rlhf/ko_harmless_base_test.4of5.txt.gz", "hiyouga__LLaMA-Factory/oaast_sft_zh.json.gz",
    "vinid__safety-tuned-llamas/safety_only_data_Instructions.4of5.json.gz",
])
def test_on_real_rows_as_well(test_data: Path, file: str) -> None:
    raw = [str(row) for _, row in read_raw_file(test_data / "train" / file)]
    for text in random.Random(0).sample(raw, min(150, len(raw))):
        row = RowView(conversation(text, text))
        for rules in SETTINGS:
            for rule in MARKED:
                assert spoken_without_marks(rule, row, rules) is None, (rule.name, text[:200])


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(PIECES, st.sampled_from(KEYWORDS + KOREAN_KEYWORDS)), max_size=6).map("".join), st.booleans())
def test_the_first_keyword_is_what_the_pattern_finds(text: str, upper: bool) -> None:
    text = text.upper() if upper else text
    for pattern in FORMS.values():
        found, expected = first_keyword(pattern, text), pattern.search(text)
        assert (found and found.span()) == (expected and expected.span())
