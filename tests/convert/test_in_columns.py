"""Rows read as columns: whatever the rows are, the same examples, refusals and notes as from the row functions."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.convert import FAMILIES, READERS, convert_source, in_columns
from posttrain.convert.rows import convert_batches, convert_rows
from posttrain.convert.sharegpt import ShareGptOptions
from posttrain.convert.turns import ROLE_ALIASES
from posttrain.raw_files import plain_schema, read_raw_file
from posttrain.raw_rows import RawWriter, raw_rows
from posttrain.recipe import FileLoad, Source
from posttrain.schema import RAW_SCHEMA, guess_language
from posttrain.storage import ArtifactWriter, read_examples, read_rejected

TEXTS = st.one_of(
    st.sampled_from([
        "Hi", "", " ", "\u3000질문\u2003", "{{name}}", "`{{name}}`", "안녕하세요, 반갑습니다.", "<p>Hi <b>you</b></p>",
        "{ {name}}", "a<|endoftext|>",
        "b <|endoftext|> ", "2023-05-01", "2023-05-01T10:00:00Z", "é", "\x1fx\x1f", "x" * 90, "ᄒ" * 40, "\u0000", "ko", "en-US",
        "한 tenth of it " + "x" * 12, "그 " + "y" * 20 + "’", "{" * 3, "0", "gpt",
    ]),
    st.text(alphabet="ab {}<>:가나\u3000\u00a0\n\"\\’", max_size=12),
)
SOMETHING = st.one_of(st.none(), TEXTS, st.integers(-3, 3), st.booleans(), st.lists(TEXTS, max_size=2), st.just({"a": 1}),
                      st.floats(allow_nan=True, allow_infinity=False), st.just(2**70))
TURN = st.one_of(
    st.fixed_dictionaries({"role": st.sampled_from([*ROLE_ALIASES, "User", "tool", "nobody", ""]), "content": TEXTS}),
    st.fixed_dictionaries({"from": st.sampled_from(["human", "gpt", "GPT", "system", "function"]), "value": TEXTS}),
    st.fixed_dictionaries({"role": SOMETHING, "content": SOMETHING}, optional={"tool_calls": SOMETHING, "value": TEXTS}),
)
EXCHANGE = st.tuples(TEXTS, TEXTS).map(
    lambda pair: [{"role": "user", "content": pair[0]}, {"role": "assistant", "content": pair[1]}])
SHARED = st.tuples(TEXTS, TEXTS).map(
    lambda pair: [{"from": "human", "value": pair[0]}, {"from": "gpt", "value": pair[1]}])
CONVERSATION = st.one_of(EXCHANGE, EXCHANGE, SHARED, st.lists(TURN, max_size=4),
                         st.tuples(EXCHANGE, EXCHANGE).map(lambda both: both[0] + both[1]),
                         st.tuples(TURN, EXCHANGE).map(lambda both: [both[0], *both[1]]),
                         st.tuples(EXCHANGE, TURN).map(lambda both: [*both[0], both[1]]), SOMETHING)
MORE = {"system": SOMETHING, "source": SOMETHING, "dataset": TEXTS,
        "id": st.one_of(TEXTS, st.sampled_from(["r1", "tiny_1"]), st.integers())}


def conversations(*names: str) -> st.SearchStrategy[Any]:
    some = {name: CONVERSATION for name in names[1:]}
    return st.fixed_dictionaries({names[0]: CONVERSATION}, optional=some | MORE | {"lang": TEXTS, "language": SOMETHING,
                                                                                 "prompt": TEXTS})


ALPACA = st.fixed_dictionaries({"instruction": TEXTS, "output": TEXTS}, optional={
    "input": TEXTS, "context": SOMETHING, "response": TEXTS, "category": TEXTS, "text": TEXTS,
    "history": st.one_of(st.just([]), st.none(), st.just([["q", "a"]]), SOMETHING)} | MORE)
COMPLETION = st.fixed_dictionaries({"prompt": TEXTS, "completion": TEXTS}, optional={
    "question": SOMETHING, "answer": TEXTS, "text": TEXTS, "skill": TEXTS} | MORE)
ROWS: dict[str, st.SearchStrategy[Any]] = {
    "alpaca": ALPACA, "prompt_completion": COMPLETION, "messages": conversations("messages", "conversation"),
    "sharegpt": conversations("conversations", "items"), "tulu3_persona_math": conversations("messages"),
    "tulu3_sft_mixture": conversations("messages"),
}


def spec_of(family: str, **fields: Any) -> Source:
    return Source(name="tiny", family=family, load=FileLoad(kind="file", path="x"), origin="o", license="l", **fields)


def both_ways(family: str, rows: list[Any], batch_rows: int = 5, **fields: Any) -> tuple[Any, Any]:
    """What is kept, refused and noted of the rows, first by the row function and then as columns, in batches."""
    spec, found = spec_of(family, **fields), FAMILIES[family]
    convert, _ = found.bind(spec.options)
    read: Any = READERS[found.convert]
    if found.options:
        options = found.options.model_validate(spec.options)
        read = lambda table, read=read: read(table, options=options)  # noqa: E731
    numbers, raws = range(len(rows)), [json.dumps(row, ensure_ascii=False) for row in rows]
    names = ["a.jsonl" if n < 7 else "b.jsonl" for n in range(len(rows))]
    table = pa.table({"raw_file": names, "raw_row": list(numbers), "raw": raws}, schema=RAW_SCHEMA)
    ways: list[Callable[[ArtifactWriter], None]] = [
        lambda out: convert_rows(convert, zip(names, numbers, map(json.loads, raws), strict=True), spec, out, guarded=False),
        lambda out: convert_batches(convert, read, table.to_batches(max_chunksize=batch_rows), spec, out),
    ]
    results = []
    for way in ways:
        with tempfile.TemporaryDirectory() as folder:
            out = ArtifactWriter(f"{folder}/out", stage="convert")
            way(out)
            manifest = out.finish()
            results.append((repr(list(read_examples(manifest))), repr(list(read_rejected(manifest))), repr(manifest.facts),
                            manifest.rows, [entry.sha256 for entry in manifest.files]))
    return results[0], results[1]


def published(family: str, rows: list[Any], batch_rows: int = 5) -> tuple[Any, Any] | None:
    """What becomes of the rows of a Parquet file: as JSON texts by the row function, and as the columns that they were published
    in. None where the rows cannot be columns."""
    try:
        table = pa.Table.from_pylist(rows)
    except (pa.ArrowException, TypeError, OverflowError):
        return None
    if not rows or not plain_schema(table.schema):
        return None
    spec, results = spec_of(family), []
    for in_columns_too in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            raw = ArtifactWriter(f"{folder}/raw", stage="collect")
            writer = RawWriter(raw)
            for start in range(0, len(rows), batch_rows):
                (batch,) = table.slice(start, batch_rows).combine_chunks().to_batches()
                if in_columns_too:
                    writer.add_batch("a.parquet", start, batch)
                else:
                    for number, row in enumerate(batch.to_pylist(), start=start):
                        writer.add("a.parquet", number, json.dumps(row, ensure_ascii=False))
            raw.read("tiny", len(rows))
            raw.kept("tiny", len(rows))
            writer.flush()
            out = ArtifactWriter(f"{folder}/out", stage="convert")
            if in_columns_too:
                convert_source(raw.finish(), spec, out)
            else:
                convert_rows(FAMILIES[family].bind({})[0], raw_rows(raw.finish()), spec, out, guarded=False)
            manifest = out.finish()
            results.append((repr(list(read_examples(manifest))), repr(list(read_rejected(manifest))), repr(manifest.facts),
                            manifest.rows, [entry.sha256 for entry in manifest.files]))
    return results[0], results[1]


@pytest.mark.parametrize("family", ROWS)
def test_columns_of_a_parquet_file_give_what_their_rows_give(family: str) -> None:
    compared = 0

    @settings(max_examples=60, deadline=None)
    @given(st.lists(ROWS[family], min_size=1, max_size=11))
    def check(rows: list[Any]) -> None:
        nonlocal compared
        for part in ([rows] if len(rows) > 1 and published(family, rows) else [[row] for row in rows]):
            if found := published(family, part):
                compared += len(part)
                assert found[0] == found[1]

    check()
    assert compared > 50


@pytest.mark.parametrize(("limit", "by_row"), [(64 << 20, 0), (200, 0), (40, 6)])
def test_columns_with_much_text_are_read_in_parts(limit: int, by_row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six rows of some 60 bytes: at once, in parts, and one by one where a row alone has too much."""
    monkeypatch.setattr(in_columns, "BYTES_AT_ONCE", limit)
    monkeypatch.setattr(in_columns, "SMALLEST_BATCH", 1)
    raw = pa.array([{"instruction": f"{n}" * 20, "output": "a" * 20} for n in range(6)])
    found = list(in_columns.pieces(raw))
    assert [row for start, length, _ in found for row in range(start, start + length)] == [0, 1, 2, 3, 4, 5]
    assert sum(length for _, length, table in found if table is None) == by_row
    assert (len(found) > 1) == (limit < 1000)


def test_every_reader_is_tried() -> None:
    assert {FAMILIES[family].convert for family in ROWS} == set(READERS)


@pytest.mark.parametrize("family", ROWS)
def test_columns_give_what_the_rows_give(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_columns, "SMALLEST_BATCH", 1)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(ROWS[family], max_size=11), st.booleans())
    def check(rows: list[Any], short: bool) -> None:
        fields = {"options": {"context_length": 64}} if family == "sharegpt" and short else {"language": "en"} if short else {}
        by_row, by_column = both_ways(family, rows, **fields)
        assert by_row == by_column

    check()


TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(("family", "row"), [
    ("alpaca", {"instruction": "q", "input": "i", "output": "a"}),
    ("prompt_completion", {"prompt": "q", "completion": "a"}),
    ("messages", {"id": "1", "messages": TURNS}),
    ("sharegpt", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}),
    ("tulu3_persona_math", {"prompt": "q", "messages": TURNS}),
    ("tulu3_sft_mixture", {"source": "ai2-adapt-dev/oasst1_converted", "messages": TURNS}),
])
def test_plain_rows_never_come_to_the_row_function(family: str, row: dict[str, Any], tmp_path: Path) -> None:
    def refused(value: Any) -> Any:
        raise AssertionError(value)

    table = pa.table({"raw_file": ["a"] * 3, "raw_row": [0, 1, 2], "raw": [json.dumps(row)] * 3}, schema=RAW_SCHEMA)
    out = ArtifactWriter(str(tmp_path / "out"), stage="convert")
    convert_batches(refused, READERS[FAMILIES[family].convert], table.to_batches(), spec_of(family), out)
    assert out.finish().rows == {"read": 3, "kept": 3, "rejected": 0}


def test_one_odd_row_sends_few_to_the_row_function() -> None:
    rows: list[Any] = [{"instruction": str(n), "output": "a"} for n in range(4096)]
    rows[1000] = ["no", "object"]
    raw = pa.array([json.dumps(row) for row in rows])
    found = sorted((start, length) for start, length, table in in_columns.pieces(raw) if table is None)
    assert len(found) == 1 and found[0][0] <= 1000 < sum(found[0]) and found[0][1] <= in_columns.SMALLEST_BATCH
    assert sum(length for _, length, _ in in_columns.pieces(raw)) == 4096


def test_a_test_question_of_gsm8k_is_refused_from_columns_too(test_data: Path) -> None:
    questions = [row["question"] for _, row in read_raw_file(test_data / "eval/openai__grade-school-math/test.jsonl.gz")]
    rows = [{"instruction": form, "output": "a"} for q in questions for form in (q, f"질문: {q}", q.upper())]
    by_row, by_column = both_ways("alpaca", [*rows, {"instruction": "1 + 1?", "output": "a"}], 4096)
    assert by_row == by_column and by_column[3] == {"read": 3 * 1319 + 1, "kept": 1, "rejected": 3 * 1319}


def test_languages_are_those_of_the_guess() -> None:
    random = Random(0)
    words = ["한국어", "뷁", "english", "é", "ᄒ", "1234", "!?", "가나다라마바사", "x" * 30, "漢字", "\u0958"]
    texts = [" ".join(random.choices(words, k=random.randrange(1, 9)))[:60] for _ in range(400)]
    count = len(texts)
    found = in_columns.exchanges(pa.array(texts), pa.array(texts[::-1]), np.ones(count, bool))
    expected = [guess_language(f"{first} {second}") for first, second in zip(texts, texts[::-1], strict=True)]
    assert in_columns.languages(found) == expected and set(expected) == {"ko", "en"}


def test_the_longest_of_sharegpt_are_split_as_before() -> None:
    texts = [("가" * n, "b" * n) for n in range(1, 60)]
    rows = [{"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}] * 2} for q, a in texts]
    for length in (64, 80):
        by_row, by_column = both_ways("sharegpt", rows, 64, options={"context_length": length})
        assert by_row == by_column
    assert ShareGptOptions(context_length=64).bytes_per_token == 3.0
