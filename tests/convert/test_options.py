"""What the options of a family change, and that a wrong one is refused before a run starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posttrain.convert import FAMILIES
from posttrain.convert.languages import language_code
from posttrain.convert.rows import convert_rows
from posttrain.convert.split import split_conversation, tokens_of
from posttrain.recipe import FileLoad, RecipeError, Source, load_recipe
from posttrain.schema import Message, UnreadableRow
from posttrain.storage import ArtifactWriter, read_rows


def texts(family: str, row: Any, options: dict[str, Any]) -> list[list[str]]:
    convert, _ = FAMILIES[family].bind(options)
    return [[m.content for m in draft.messages] for draft in convert(row)]


class TestReasoning:
    S1K = {"question": "q", "thinking_trajectories": ["t"], "attempt": "a"}
    S1K11 = {"question": "q", "deepseek_thinking_trajectory": "d", "deepseek_attempt": "D", "gemini_thinking_trajectory": "g",
             "gemini_attempt": "G"}
    NEMOTRON = {"input": "q", "output": "<think>\nwhy\n</think>\n\na", "system_prompt": "detailed thinking on"}

    @pytest.mark.parametrize(
        ("family", "row", "options", "expected"),
        [
            ("s1k", S1K, {}, ["q", "<think>\nt\n</think>\n\na"]),
            ("s1k", S1K, {"trace": "drop"}, ["q", "a"]),
            ("s1k_1_1", S1K11, {"teacher": "gemini"}, ["q", "<think>\ng\n</think>\n\nG"]),
            ("s1k_1_1", S1K11, {"teacher": "gemini", "trace": "drop"}, ["q", "G"]),
            ("llama_nemotron", NEMOTRON, {}, ["detailed thinking on", "q", "<think>\nwhy\n</think>\n\na"]),
            ("llama_nemotron", NEMOTRON, {"trace": "drop"}, ["q", "a"]),
            ("llama_nemotron", NEMOTRON | {"system_prompt": "Be brief."}, {"trace": "drop"}, ["Be brief.", "q", "a"]),
            ("llama_nemotron", {"input": "q", "output": "a"}, {"trace": "drop"}, ["q", "a"]),
            ("open_code_reasoning", {"input": "q", "output": " <think></think>\na"}, {"trace": "drop"}, ["q", "a"]),
        ],
    )
    def test_the_trace_is_kept_in_tags_or_left_out(
        self, family: str, row: Any, options: dict[str, Any], expected: list[str]
    ) -> None:
        assert texts(family, row, options) == [expected]

    @pytest.mark.parametrize(
        ("family", "row", "expected", "trace"),
        [
            ("s1k", S1K, ["q", "a"], "t"),
            ("s1k_1_1", S1K11, ["q", "D"], "d"),
            ("llama_nemotron", NEMOTRON, ["q", "a"], "why"),
            ("llama_nemotron", {"input": "q", "output": "a"}, ["q", "a"], None),
            ("open_code_reasoning", {"input": "q", "output": "<think>\nwhy\n</think>\na"}, ["q", "a"], "why"),
        ],
    )
    def test_the_trace_in_a_field_of_its_own(
        self, family: str, row: Any, expected: list[str], trace: str | None, tmp_path: Path,
    ) -> None:
        (draft,) = FAMILIES[family].bind({"trace": "field"})[0](row)
        assert ([m.content for m in draft.messages], draft.trace) == (expected, trace)
        spec = Source(name="s", family=family, load=FileLoad(kind="file", path="x"), origin="o", license="l")
        writer = ArtifactWriter(str(tmp_path / "out"), stage="convert")
        convert_rows(FAMILIES[family].bind({"trace": "field"})[0], [("x", 0, row)], spec, writer)
        (kept,) = read_rows(writer.finish(), "sft")
        assert kept["trace"] == trace

    @pytest.mark.parametrize("output", ["<think>\nnever ends", "<think>\nonly thought\n</think>\n "])
    def test_reasoning_without_an_answer_is_refused_where_the_trace_goes(self, output: str) -> None:
        with pytest.raises(UnreadableRow, match="no_assistant_turn in field 'output'"):
            texts("llama_nemotron", {"input": "q", "output": output}, {"trace": "drop"})


def test_hardcoded_rows_are_repeated() -> None:
    row = {"messages": [{"role": "user", "content": "누구세요?"}, {"role": "assistant", "content": "Tülu입니다."}]}
    assert texts("tulu3_hardcoded", row, {}) == [["누구세요?", "Tülu입니다."]] * 10
    assert len(texts("tulu3_hardcoded", row, {"repeat": 3})) == 3


# ---------------------------------------------------------------- splitting at a context length

A, B, C = (f"{letter}" * 60 for letter in "abc")  # 20 estimated tokens and 6 for the turn


def shared(*turns: str) -> dict[str, Any]:
    return {"conversations": [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(turns)]}


@pytest.mark.parametrize(
    ("length", "pieces"),
    [
        (156, [[A, B, C, A, B, C]]),
        (155, [[A, B, C, A], [B, C]]),
        (104, [[A, B, C, A], [B, C]]),
        (103, [[A, B], [C, A], [B, C]]),
        (64, [[A, B], [C, A], [B, C]]),
    ],
)
def test_a_long_conversation_is_split_between_an_answer_and_a_question(length: int, pieces: list[list[str]]) -> None:
    assert texts("sharegpt", shared(A, B, C, A, B, C), {"context_length": length}) == pieces


def test_bytes_of_a_token_can_be_given() -> None:
    options = {"context_length": 84}  # 60 bytes of 2 a token, and 6: two turns are 72, four are 144
    assert texts("sharegpt", shared(A, B, C, A), options | {"bytes_per_token": 2}) == [[A, B], [C, A]]
    assert texts("sharegpt", shared(A, B, C, A), options | {"bytes_per_token": 4.0}) == [[A, B, C, A]]


def test_every_piece_has_the_system_turn_and_a_long_pair_a_note() -> None:
    row = shared("하나", "둘", "셋" * 300, "넷", "다섯", "여섯") | {"system": "짧게."}
    convert, _ = FAMILIES["sharegpt"].bind({"context_length": 64})
    drafts = convert(row)
    assert [[m.content[:2] for m in draft.messages] for draft in drafts] == [
        ["짧게", "하나", "둘"], ["짧게", "셋셋", "넷"], ["짧게", "다섯", "여섯"]]
    assert [draft.note for draft in drafts] == [None, "one question with its answer is about 322 tokens long", None]


@given(st.lists(st.integers(0, 400), min_size=2, max_size=20).filter(lambda lengths: len(lengths) % 2 == 0), st.integers(64, 500))
def test_no_turn_is_lost_or_cut_and_no_piece_is_too_long(lengths: list[int], context_length: int) -> None:
    turns = tuple(Message(("user", "assistant")[n % 2], "x" * length) for n, length in enumerate(lengths))
    pieces = split_conversation(turns, context_length)
    assert tuple(turn for piece in pieces for turn in piece) == turns
    assert all(piece[0].role == "user" and piece[-1].role == "assistant" for piece in pieces)
    assert all(len(piece) == 2 or tokens_of(piece) <= context_length for piece in pieces)
    joined = [tokens_of(first + second[:2]) for first, second in zip(pieces, pieces[1:], strict=False)]
    assert all(length > context_length for length in joined), "two pieces that fit into one"


# ---------------------------------------------------------------- refusals, languages


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "sources.0.options.top_k: Input should be greater than or equal to 1"),
        ({"top_k": "all"}, "sources.0.options.top_k: Input should be a valid integer"),
        ({"topk": 1}, "sources.0.options.topk: unknown key; did you mean 'top_k'? allowed: order, top_k, unanswered"),
        ({"order": "random"}, "sources.0.options.order: Input should be 'rank' or 'quality'"),
    ],
)
def test_a_wrong_option_is_refused_with_its_key_before_the_run(options: dict[str, Any], message: str) -> None:
    demo = load_recipe("demo")
    source = demo.sources[0].model_dump() | {"family": "oasst", "options": options}
    with pytest.raises(RecipeError, match=message.replace("?", "[?]")):
        load_recipe("demo", {"sources": [source, *(s.model_dump() for s in demo.sources[1:])]})


def test_a_family_without_options_takes_none() -> None:
    with pytest.raises(ValueError, match="no options, but was given top_k"):
        FAMILIES["aya"].bind({"top_k": 1})


@pytest.mark.parametrize(
    ("name", "code"),
    [("kor", "ko"), ("Korean", "ko"), ("ko", "ko"), ("English", "en"), ("zho", "zh"), ("arb", "ar"), ("zsm", "ms"),
     ("arz", "arz"), ("Nolang", None), ("unknown", None), ("", None)],
)
def test_language_codes(name: str, code: str | None) -> None:
    assert language_code(name) == code
