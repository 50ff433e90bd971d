from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.verifiers import GroundTruthError, verify
from posttrain.verifiers.ifeval import follow_list
from posttrain.verifiers.ifeval_functions import FUNCTIONS
from posttrain.verifiers.ifeval_instructions import INSTRUCTIONS
from posttrain.verifiers.text_measures import detect_language, split_sentences, words_in_capitals

KOREAN = "광합성은 식물이 빛을 이용하여 양분을 만드는 과정입니다."

# function, arguments, an answer that follows, an answer that does not
FUNCTION_CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("verify_keywords", {"keyword_list": ["Sun", "leaf"]}, "The sun shines on a LEAF.", "The sun shines."),
    ("verify_keyword_frequency", {"word": "tree", "N": 2}, "A tree. A Tree!", "A tree. Some trees."),
    ("validate_forbidden_words", {"forbidden_words": ["bad"]}, "All good.", "Too Bad."),
    ("verify_letter_frequency", {"letter": "l", "N": 3}, "hello world", "hello"),
    ("validate_response_language", {"language": "ko"}, KOREAN, "Photosynthesis makes food from light."),
    ("verify_paragraph_count", {"N": 2}, "One.\n* * *\nTwo.", "One.\n* * *\n"),
    ("validate_word_constraint", {"N": 20, "quantifier": "around"}, "w " * 22, "w " * 23),
    ("verify_sentence_constraint", {"N": 3, "quantifier": "around"}, "A cat. A dog.", "A cat."),
    ("validate_paragraphs", {"N": 2, "first_word": "Then", "i": 2}, "First.\n\nThen this.", "Then.\n\nFirst."),
    ("verify_postscript", {"postscript_marker": "P.S."}, "Bye.\nP.S. Write soon.", "Bye.\nP.S."),
    ("validate_placeholders", {"N": 2}, "Dear [name], at [address]", "Dear [name]"),
    ("verify_bullet_points", {"N": 2}, "* one\n- two\n**Note**\n---", "* one"),
    ("validate_title", {}, "<<Ode to joy>>\ntext", "<< >> text"),
    ("validate_choice", {"options": ["A", "B"]}, "I choose A.", "Apple or Banana"),
    ("validate_highlighted_sections", {"N": 2}, "*one* and **two**", "*one* and * *"),
    ("validate_sections", {"N": 2, "section_splitter": "Section"}, "Section 1\na\nSECTION 2\nb", "Section one\nSection two"),
    ("validate_json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
    ("validate_repeat_prompt", {"original_prompt": "Why?"}, "Why? Because.", "Because. Why?"),
    ("validate_two_responses", {}, "Yes.\n******\nNo.", "Yes.\n******\nYes."),
    ("validate_uppercase", {}, "SHOUT 123!", "123"),
    ("validate_lowercase", {}, "whisper 123", "123"),
    ("validate_frequency_capital_words", {"N": 2, "quantifier": "at most"}, "NASA and ESA", "NASA, ESA, JAXA"),
    ("validate_end", {"end_phrase": "The end."}, "So it was. The end.\n", "The end. Or not"),
    ("validate_quotation", {}, ' "quoted" ', '"'),
    ("validate_no_commas", {}, "One and two", "One, two"),
]

INSTRUCTION_CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("keywords:existence", {"keywords": ["sun", "c++"]}, "Sun and C++", "Sun"),
    ("keywords:frequency", {"keyword": "tree", "frequency": 2, "relation": "at least"}, "tree trees", "tree"),
    ("keywords:forbidden_words", {"forbidden_words": ["ape"]}, "grapes", "an ape"),
    ("keywords:letter_frequency", {"letter": "Q", "let_frequency": 2, "let_relation": "less than"}, "q", "Qq"),
    ("language:response_language", {"language": "ko"}, KOREAN, "This is plain English text."),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, "Dr. Who came.", "One. Two."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb\n***\n", "a\n***\n***\nb"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, "one, two-three", "one two"),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
     "a\n\n\"then, b", "a\n\nb then"),
    ("detectable_content:number_placeholders", {"num_placeholders": 1}, "[name]", "name"),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "x p.p. s. y", "P.S. x"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "* a\n** b"),
    ("detectable_format:constrained_response", {}, "My answer is yes.", "yes"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* *b*", "*a* **"),
    ("detectable_format:multiple_sections", {"section_spliter": "Day", "num_sections": 2}, "Day 1 a Day 2 b", "day 1 day 2"),
    ("detectable_format:json_format", {}, "[1, 2]", "no json"),
    ("detectable_format:title", {}, "<<t>>", "<t>"),
    ("combination:two_responses", {}, "******\na\n******\nb", "a\n******\n******\nb"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi"}, " say hi\nhi", "hi"),
    ("startend:end_checker", {"end_phrase": "Is there more?"}, 'x is there more?"', "is there more? x"),
    ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "at least"}, "WELL-KNOWN NASA", "NASA"),
    ("change_case:english_capital", {}, "THIS IS A PLAIN ENGLISH SENTENCE.", "This is a plain English sentence."),
    ("change_case:english_lowercase", {}, "this is a plain english sentence.", "This is a plain English sentence."),
    ("punctuation:no_comma", {}, "a b", "a, b"),
    ("startend:quotation", {}, '"a"', 'a"'),
]


def test_every_function_and_instruction_has_a_case() -> None:
    assert [case[0] for case in FUNCTION_CASES] == list(FUNCTIONS) and len(FUNCTIONS) == 25
    assert [case[0] for case in INSTRUCTION_CASES] == list(INSTRUCTIONS) and len(INSTRUCTIONS) == 25


@pytest.mark.parametrize(("name", "arguments", "follows", "fails"), FUNCTION_CASES)
def test_function(name: str, arguments: dict[str, Any], follows: str, fails: str) -> None:
    """Ground truth as in the Tülu 3 data: every argument of every function, most of them null."""
    every = {"N": None, "quantifier": None, "options": None, "language": None, "word": None}
    truth = json.dumps(every | arguments | {"func_name": name})
    assert verify("ifeval", follows, truth).score == 1
    assert verify("ifeval", fails, truth).score == 0
    assert verify("ifeval", follows, truth).score == 1  # the second call sees the same ground truth


@pytest.mark.parametrize(("name", "arguments", "follows", "fails"), INSTRUCTION_CASES)
def test_instruction(name: str, arguments: dict[str, Any], follows: str, fails: str) -> None:
    before = copy.deepcopy(arguments)
    assert follow_list(follows, [name], [arguments]) == [True]
    assert follow_list(fails, [name], [arguments]) == [False]
    assert arguments == before


def test_the_new_form_scores_the_share_of_instructions() -> None:
    truth = [{"instruction_id": ["punctuation:no_comma", "startend:quotation"], "kwargs": [None, {"x": None}]}]
    assert verify("ifeval", "no comma", json.dumps(truth)).score == 0.5
    assert verify("ifeval", '"no comma"', json.dumps(truth[0])).score == 1


def test_thinking_is_not_part_of_the_answer() -> None:
    truth = '{"func_name": "validate_no_commas"}'
    assert verify("ifeval", "<think>well, hm, so</think>\nno comma", truth).score == 1
    assert verify("ifeval", "well, hm", truth).score == 0


def test_an_empty_answer_follows_nothing() -> None:
    assert verify("ifeval", " ", '{"func_name": "validate_no_commas"}').score == 0
    assert follow_list("", ["punctuation:no_comma"], [{}], loose=True) == [False]


def test_loose_forgives_a_first_line_a_last_line_and_asterisks() -> None:
    ids, kwargs = ["punctuation:no_comma"], [{}]
    assert follow_list("Sure, here it is:\ntext", ids, kwargs) == [False]
    assert follow_list("Sure, here it is:\ntext", ids, kwargs, loose=True) == [True]
    assert follow_list("text\nbye, friend", ids, kwargs, loose=True) == [True]
    assert follow_list("a, b\nc, d\ne, f", ids, kwargs, loose=True) == [False]
    assert follow_list('*"quoted"*', ["startend:quotation"], [{}], loose=True) == [True]


def test_the_prompt_level_score_asks_for_every_instruction_and_is_loose() -> None:
    both = json.dumps({"instruction_id": ["punctuation:no_comma", "startend:quotation"], "kwargs": [None, None]})
    assert verify("ifeval_prompt_loose", '"no comma"', both).score == 1
    assert verify("ifeval_prompt_loose", "no comma", both).score == 0
    assert verify("ifeval_prompt_loose", 'Sure, here it is:\n"no comma"', both).score == 1
    assert verify("ifeval_prompt_loose", "", both).score == 0
    one = '{"func_name": "validate_no_commas"}'
    assert verify("ifeval_prompt_loose", "Sure, here:\nno comma", one).score == 1
    assert verify("ifeval_prompt_loose", "a, b\nc, d\ne, f", one).score == 0


@pytest.mark.parametrize(("truth", "complaint"), [
    ("no json", "not JSON"), ("[]", "an object"), ("{}", "neither"),
    ('{"func_name": "verify_magic"}', "unknown func_name 'verify_magic'"),
    ('{"func_name": "verify_keywords"}', "needs keyword_list"),
    ('{"func_name": "verify_keywords", "keyword_list": 5}', "cannot use"),
    ('{"instruction_id": ["no:such"], "kwargs": [{}]}', "unknown instruction_id 'no:such'"),
    ('{"instruction_id": ["punctuation:no_comma"], "kwargs": [{}, {}]}', "1 objects"),
    ('{"instruction_id": ["keywords:existence"], "kwargs": [{}]}', "needs keywords"),
])
def test_a_bad_ground_truth_is_the_rows_fault(truth: str, complaint: str) -> None:
    with pytest.raises(GroundTruthError, match=complaint):
        verify("ifeval", "text", truth)


@pytest.mark.parametrize(("text", "sentences"), [
    ("Dr. Smith paid 3.5 dollars. He left!", 2),
    ("J. R. Smith is from the U.S. and is tall.", 1),
    ("1. First point.\n2. Second point.", 2),
    ('He said "Stop." Then he left', 2),
    ("광합성이란 무엇인가? 식물이 양분을 만든다. 끝", 3),
    ("一つです。二つです。", 2),
    ("no end", 1), ("...", 0), ("", 0), ("Wait... what?!", 2),
])
def test_split_sentences(text: str, sentences: int) -> None:
    assert len(split_sentences(text)) == sentences, split_sentences(text)


def test_words_in_capitals_ignore_digits_and_mixed_case() -> None:
    assert words_in_capitals("NASA and McDONALD'S, WELL-KNOWN A1 42 I") == 4


def test_language_is_the_same_at_every_call() -> None:
    """A short text between two languages, on which unseeded langdetect changes its mind."""
    for text in ("otec matka syn.", "Hotel Taxi Restaurant", "no comma"):
        assert len({detect_language(text) for _ in range(20)}) == 1
    assert detect_language("123 !?") is None


def test_every_real_ifeval_prompt_can_be_checked(test_data: Path) -> None:
    path = test_data / "eval/ShotaSato0916__google-research-IFEval/input_data.3of5.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    answer = 'Section 1\n\nThis is a "plain" answer.\n\n* one\n* two\n\nP.S. bye'
    strict = loose = total = 0
    for row in rows:
        ids, kwargs = row["instruction_id_list"], row["kwargs"]
        total += len(ids)
        strict += sum(follow_list(answer, ids, kwargs))
        loose += sum(follow_list(answer, ids, kwargs, loose=True))
        assert verify("ifeval", answer, json.dumps(row)).score == sum(follow_list(answer, ids, kwargs)) / len(ids)
    assert len(rows) == 325 and {i for row in rows for i in row["instruction_id_list"]} == set(INSTRUCTIONS)
    assert 0 < strict <= loose < total
