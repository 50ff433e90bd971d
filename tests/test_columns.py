"""Examples through Arrow columns and back."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from posttrain.columns import ExampleColumns, examples_of
from posttrain.schema import SCHEMAS, Message, PreferencePair, RLVRExample, SFTExample, to_row

SHARED = dict(source="s", category="math", skill="addition", language="ko", license="MIT", tags=("Level 5",))
ASK, REPLY = Message("user", "2+2는?"), Message("assistant", "4")

texts = st.text(st.characters(codec="utf-8"), max_size=20)
turns = st.lists(st.builds(Message, st.sampled_from(["user", "assistant"]), texts), max_size=4).map(tuple)
tags = st.lists(texts, max_size=2).map(tuple)
shared = {"id": texts, "source": texts, "category": texts, "skill": texts, "language": texts, "license": texts,
          "parent_id": st.none() | texts, "raw_row": st.none() | st.integers(0, 99), "tags": tags}
examples = {
    "sft": st.builds(SFTExample, **shared, messages=turns),
    "rlvr": st.builds(RLVRExample, **shared, messages=turns, ground_truth=texts, verifier=texts),
    "preference": st.builds(PreferencePair, **shared, prompt=texts, chosen=turns, rejected=turns),
}


def collected(kind: str, rows: list) -> pa.Table:
    columns = ExampleColumns(kind)
    for row in rows:
        columns.append(row)
    return columns.table()


def test_a_table_holds_the_rows_as_from_pylist_would() -> None:
    rows = [SFTExample(id="a", **SHARED, messages=(ASK, REPLY)), SFTExample(id="b", **SHARED, messages=())]
    assert collected("sft", rows).equals(pa.Table.from_pylist([to_row(row) for row in rows], schema=SCHEMAS["sft"]))
    assert collected("sft", []).equals(SCHEMAS["sft"].empty_table())


@given(st.data(), st.sampled_from(sorted(examples)), st.integers(0, 3), st.integers(1, 3))
def test_what_goes_in_comes_out_also_of_a_slice(data, kind: str, skip: int, take: int) -> None:
    rows = data.draw(st.lists(examples[kind], max_size=5))
    table = collected(kind, rows)
    assert table.equals(pa.Table.from_pylist([to_row(row) for row in rows], schema=SCHEMAS[kind]))
    batches = table.slice(skip, take).to_batches()
    assert [row for batch in batches for row in examples_of(kind, batch)] == rows[skip:skip + take]


def test_a_null_conversation_is_an_empty_one_and_a_missing_column_takes_its_default() -> None:
    row = to_row(SFTExample(id="a", **SHARED, messages=(ASK, REPLY))) | {"messages": None}
    table = pa.Table.from_pylist([row], schema=SCHEMAS["sft"]).drop_columns(["tags", "persona"])
    (found,) = [e for batch in table.to_batches() for e in examples_of("sft", batch)]
    assert (found.messages, found.tags, found.persona) == ((), (), None)


def test_the_characters_of_the_conversations_are_counted() -> None:
    columns = ExampleColumns("preference")
    columns.append(PreferencePair(id="p", **SHARED, prompt="no part of it", chosen=(ASK, REPLY), rejected=(ASK,)))
    assert columns.characters == 5 + 1 + 5
