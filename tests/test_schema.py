"""Examples as rows: what survives Parquet, and which turns a conversation may have."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.storage.unit import question, run

from posttrain.schema import (
    SCHEMAS,
    Message,
    PreferencePair,
    Provenance,
    RLVRExample,
    SFTExample,
    UnreadableRow,
    check_turns,
    from_row,
    kind_of,
    to_row,
)
from posttrain.storage import ArtifactWriter, read_examples

text = st.text(st.characters(codec="utf-8"), max_size=40)
message = st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=text)
turns = st.lists(message, max_size=4).map(tuple)
name = st.text("abcXYZ09_-", min_size=1, max_size=10)
shared = {
    "id": name, "source": name, "category": name, "skill": name, "language": st.sampled_from(["en", "ko"]), "license": text,
    "made_by": st.sampled_from(["selected", "rewritten", "new"]), "parent_id": st.none() | name, "persona": st.none() | text,
    "raw_file": st.none() | name, "raw_row": st.none() | st.integers(0, 2**40), "request_id": st.none() | name,
}
examples = st.one_of(
    st.builds(SFTExample, **shared, messages=turns),
    st.builds(PreferencePair, **shared, prompt=text, chosen=turns, rejected=turns, chosen_model=st.none() | name,
              rejected_model=st.none() | name, policy=st.sampled_from(["on_policy", "off_policy"])),
    st.builds(RLVRExample, **shared, messages=turns, ground_truth=text, verifier=name),
)


@given(st.lists(examples, max_size=8))
@settings(max_examples=40, deadline=None)
def test_examples_survive_parquet(rows):
    def work(out: ArtifactWriter) -> None:
        for example in rows:
            out.read(example.source)
            out.keep(example)

    found = list(read_examples(run(f"memory://{uuid.uuid4().hex}", work).manifest))
    by_kind = {kind: [e for e in rows if kind_of(e) == kind] for kind in ("preference", "rlvr", "sft")}
    assert found == by_kind["preference"] + by_kind["rlvr"] + by_kind["sft"]


@given(examples)
def test_a_row_is_the_example_in_the_order_of_its_schema(example):
    row = to_row(example)
    assert list(row) == SCHEMAS[kind_of(example)].names
    assert from_row(kind_of(example), row) == example
    assert pa.Table.from_pylist([row], schema=SCHEMAS[kind_of(example)]).to_pylist() == [row]


def test_a_row_with_an_unknown_column_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'score'"):
        from_row("sft", to_row(question(1)) | {"score": 1.0})
    assert issubclass(SFTExample, Provenance)


@pytest.mark.parametrize(
    ("roles", "answered", "reason"),
    [
        ("user assistant", True, None),
        ("system user assistant user assistant", True, None),
        ("user", False, None),
        ("user assistant user", False, None),
        ("user", True, "no_assistant_turn"),
        ("user assistant user", True, "no_assistant_turn"),
        ("user assistant", False, "roles_do_not_alternate"),
        ("assistant user assistant", True, "roles_do_not_alternate"),
        ("user user assistant", True, "roles_do_not_alternate"),
        ("user system assistant", True, "roles_do_not_alternate"),
        ("system", True, "no_user_turn"),
        ("", True, "no_user_turn"),
        ("user tool assistant", True, "unknown_role"),
    ],
)
def test_turns_alternate_and_begin_with_the_user(roles, answered, reason):
    messages = tuple(Message(role, "text") for role in roles.split())
    if reason is None:
        check_turns(messages, answered=answered)
    else:
        with pytest.raises(UnreadableRow) as error:
            check_turns(messages, answered=answered)
        assert error.value.reason == reason
