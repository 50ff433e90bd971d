"""The screens of the filter rules: no row that a rule speaks against may escape them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.columns import ExampleColumns, examples_of
from posttrain.filters.rules import check_example, prepare_screen
from posttrain.recipe import Filter
from posttrain.schema import Message, SFTExample

OFF = {name: "off" for name in ("too_simple", "one_word_answers", "repetition", "language", "truncated")}
"""The rules that see every row: with one of them there is nothing to screen."""

SETTINGS = [
    Filter(**OFF),
    Filter(**OFF, min_tokens=3, max_tokens=8, keyword_form="korean", encoding="drop", personal_data="drop", refusals="drop"),
]

ROLE = st.sampled_from(["user", "assistant", "system", "tool"])
CONTENT = st.one_of(
    st.sampled_from(["", " ", "\u3000", "\u2009\n", "GPT-4 said so",
                     "I am gpt4", "챗GPT는", "OpenAI를", "<|im_end|>", "hi", "답", "a b c",
                     "\ufffd", "010-1234-5678", "me@example.org", "I'm sorry, but I can't", "x" * 40, "\u00a0x", "{{name}}"]),
    st.text(max_size=12),
)
TURNS = st.one_of(
    st.lists(st.tuples(ROLE, CONTENT), max_size=4),
    st.tuples(CONTENT, CONTENT).map(lambda pair: [("user", pair[0]), ("assistant", pair[1])]),
)


def example(number: int, turns: list[tuple[str, str]]) -> SFTExample:
    return SFTExample(id=f"r{number}", source="s", category="general", skill="general", language="en", license="MIT",
                      messages=tuple(Message(role, text) for role, text in turns))


def batch_of(examples: list[SFTExample]) -> pa.RecordBatch:
    columns = ExampleColumns("sft")
    for one in examples:
        columns.append(one)
    return columns.table().combine_chunks().to_batches()[0]


@pytest.mark.parametrize("rules", SETTINGS, ids=["usual", "strict"])
@given(rows=st.lists(TURNS, min_size=1, max_size=8), cut=st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_every_row_that_a_rule_drops_is_seen(rules: Filter, rows: list[list[tuple[str, str]]], cut: int) -> None:
    examples = [example(n, turns) for n, turns in enumerate(rows)]
    try:
        batch = batch_of(examples).slice(cut)  # a slice has offsets that do not begin at 0
    except UnicodeEncodeError:
        return  # a lone surrogate never gets into a column
    if not batch.num_rows:
        return
    screen = prepare_screen(rules)
    assert screen is not None
    seen = screen(batch.column("messages"))
    dropped = [check_example(one, rules) is not None for one in examples_of("sft", batch)]
    assert all(seen[n] for n, drop in enumerate(dropped) if drop)


def test_clean_rows_are_not_seen_one_by_one() -> None:
    clean = example(0, [("user", "Name a colour."), ("assistant", "Red, for one.")])
    named = example(1, [("user", "Who made you?"), ("assistant", "OpenAI made me.")])
    empty = example(2, [("user", "Name a colour."), ("assistant", " \n")])
    twice = example(3, [("user", "Name a colour."), ("user", "And a shape.")])
    screen = prepare_screen(SETTINGS[0])
    assert screen is not None
    assert screen(batch_of([clean, named, empty, twice]).column("messages")).tolist() == [False, True, True, True]


def test_a_rule_without_screen_and_marks_sees_every_row() -> None:
    assert prepare_screen(Filter()) is None
