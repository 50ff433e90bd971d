"""The reader: every format, plain and compressed, and what it makes of broken input."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from posttrain.raw_files import Broken, file_format, is_header, parse_json, read_raw_file, rows_of

ROWS = [{"question": "2+3?", "answer": "5"}, {"question": "양파는 어떤 부위인가요?", "answer": "줄기"}]


def _read(path: Path) -> list[Any]:
    return [value for _, value in read_raw_file(path)]


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes({".gz": gzip.compress, ".zst": zstandard.compress}.get(path.suffix, bytes)(data))
    return path


def _parquet(tmp_path: Path) -> bytes:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "table")
    return (tmp_path / "table").read_bytes()


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("format", ["json", "jsonl", "csv", "tsv", "txt", "parquet"])
def test_every_format_plain_and_compressed(format: str, compression: str, tmp_path: Path) -> None:
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    table = "\r\n".join([",".join(ROWS[0]), *(",".join(row.values()) for row in ROWS)])
    data = {
        "json": json.dumps(ROWS).encode(),
        "jsonl": lines.encode(),
        "txt": lines.encode(),
        "csv": table.encode(),
        "tsv": table.replace(",", "\t").encode(),
        "parquet": _parquet(tmp_path),
    }[format]
    assert list(read_raw_file(_write(tmp_path / f"rows.4of5.{format}{compression}", data))) == list(enumerate(ROWS))


@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_under_the_name_of_lines(indent: int | None, compression: str, tmp_path: Path) -> None:
    """As hh-rlhf's red_team_attempts.jsonl.gz."""
    data = json.dumps(ROWS, indent=indent).encode()
    assert list(read_raw_file(_write(tmp_path / f"rows.jsonl{compression}", data))) == list(enumerate(ROWS))


@pytest.mark.parametrize("lines", [
    [["a question", "an answer"]],  # a pair
    [[{"role": "user", "content": "a question"}, {"role": "assistant", "content": "an answer"}]],  # a conversation
    [[{"from": "human", "value": "a question"}]],
    [[{"a": 1}], [{"a": 2}]],
    [[]],
])
def test_lines_that_are_lists_are_rows(lines: list[Any], tmp_path: Path) -> None:
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    assert _read(_write(tmp_path / "rows.jsonl", data)) == lines


def test_a_broken_first_line_that_begins_like_an_array_is_one_broken_line(tmp_path: Path) -> None:
    first, second = _read(_write(tmp_path / "rows.jsonl", b'["a question", "an ans\n["a question", "an answer"]\n'))
    assert isinstance(first, Broken) and second == ["a question", "an answer"]


def test_zst_of_several_frames_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(zstandard.compress(b'{"a": 1}\n') + zstandard.compress(b'{"a": 2}\n'))
    assert _read(path) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.csv", "rows.tsv", "rows.txt", "rows.jsonl.gz"])
def test_empty_files_have_no_rows(name: str, tmp_path: Path) -> None:
    assert _read(_write(tmp_path / name, b"")) == []


class TestJson:
    @pytest.mark.parametrize(
        ("document", "rows"),
        [
            ([{"a": 1}, {"a": 2}], [{"a": 1}, {"a": 2}]),
            ({"name": "sciriff", "dev": [{"input": "x"}]}, [{"input": "x"}]),
            ({"21645374": {"QUESTION": "q"}}, [{"_key": "21645374", "QUESTION": "q"}]),
            (
                {"instructions": ["a", "b"], "tags": ["x", "y"], "inputs": []},
                [{"instructions": "a", "tags": "x"}, {"instructions": "b", "tags": "y"}],
            ),
            ({"instruction": "hi", "output": "hello"}, [{"instruction": "hi", "output": "hello"}]),
            (
                {"id": "a", "messages": [{"role": "user", "content": "hi"}]},
                [{"id": "a", "messages": [{"role": "user", "content": "hi"}]}],
            ),
            ({"dev": [{"a": 1}], "test": [{"a": 2}]}, [{"dev": [{"a": 1}], "test": [{"a": 2}]}]),
            ("only a text", ["only a text"]),
            ([], []),
        ],
        ids=["array", "one list of rows", "keyed rows", "columns", "one row", "one conversation", "two lists", "text", "nothing"],
    )
    def test_layouts(self, document: Any, rows: list[Any]) -> None:
        assert list(rows_of(document)) == rows

    def test_squad_gives_a_row_a_question(self) -> None:
        document = {
            "version": "1.1",
            "data": [
                {
                    "title": "Seoul",
                    "paragraphs": [
                        {
                            "context": "c",
                            "qas": [
                                {"id": "1", "question": "q1", "answers": [{"text": "a", "answer_start": 0}]},
                                {"id": "2", "question": "q2", "answers": []},
                            ],
                        }
                    ],
                }
            ],
        }
        assert list(rows_of(document)) == [
            {"title": "Seoul", "context": "c", "id": "1", "question": "q1", "answers": [{"text": "a", "answer_start": 0}]},
            {"title": "Seoul", "context": "c", "id": "2", "question": "q2", "answers": []},
        ]

    def test_json_lines_under_the_name_json(self, tmp_path: Path) -> None:
        assert _read(_write(tmp_path / "rows.json", b'{"a": 1}\n{"a": 2}\n')) == [{"a": 1}, {"a": 2}]

    def test_a_broken_document_is_one_broken_row(self, tmp_path: Path) -> None:
        (row,) = _read(_write(tmp_path / "rows.json", b'[{"a": 1}, {"a":'))
        assert (row.reason, row.text) == ("invalid_json", '[{"a": 1}, {"a":')

    def test_one_row_with_half_a_surrogate_pair_does_not_take_the_others_along(self, tmp_path: Path) -> None:
        good, broken = _read(_write(tmp_path / "rows.json", b'[{"a": 1}, {"a": "\\udc00"}]'))
        assert (good, broken.reason, broken.field) == ({"a": 1}, "undecodable_text", "a")

    def test_the_field_of_a_wrong_character_is_named(self, tmp_path: Path) -> None:
        row = b'{"id": "\xed\x95\x9c", "turns": [{"value": "ok"}, {"value": "b\xffd"}]}\n{"b\\ud800d": 1}\n{"cut\n'
        in_a_value, in_a_name, cut = _read(_write(tmp_path / "rows.jsonl", row))
        assert (in_a_value.field, in_a_name.field, cut.field) == ("turns.1.value", "row", "row")
        assert "not UTF-8" in in_a_value.detail


class TestLines:
    def test_a_broken_line_keeps_its_number_and_its_text(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "rows.jsonl", '{"a": 1}\n\n{"a": "\\어시스턴트"}\n"only a text"\n'.encode())
        (_, first), (number, broken), (last, text) = read_raw_file(path)
        assert (first, number, last, text) == ({"a": 1}, 2, 3, "only a text")
        assert (broken.reason, broken.text) == ("invalid_json", '{"a": "\\어시스턴트"}')

    def test_bytes_that_are_no_utf8(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "rows.jsonl", b'{"a": "\xff\xfe"}\n' + '{"a": "정상"}\n'.encode())
        broken, good = _read(path)
        assert (broken.reason, good) == ("undecodable_text", {"a": "정상"})
        assert broken.text.encode().decode() == '{"a": "\\udcff\\udcfe"}'

    def test_half_a_surrogate_pair_is_refused_and_a_whole_one_read(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "rows.jsonl", b'{"a": "\\ud83d"}\n{"a": "\\ud83d\\ude00"}\n')
        broken, good = _read(path)
        assert (broken.reason, good) == ("undecodable_text", {"a": "\U0001f600"})

    def test_line_separators_inside_a_text_do_not_split_it(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "rows.jsonl", '{"a": "one\u2028two\u0085three"}\r\n'.encode())
        assert _read(path) == [{"a": "one\u2028two\u0085three"}]

    def test_byte_order_mark(self, tmp_path: Path) -> None:
        assert _read(_write(tmp_path / "rows.jsonl", b'\xef\xbb\xbf{"a": 1}\n')) == [{"a": 1}]

    def test_nesting_deeper_than_python_can_read(self, tmp_path: Path) -> None:
        (row,) = _read(_write(tmp_path / "rows.jsonl", b"[" * 100_000))
        assert row.reason == "invalid_json"

    def test_txt_lines_are_records_or_texts(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "rows.txt", b'{"chosen": "a"}\n- one\\n- two\n{"chosen": "a"b"}\n')
        record, text, broken = _read(path)
        assert (record, text, broken.reason) == ({"chosen": "a"}, "- one\\n- two", "invalid_json")


class TestNesting:
    """Reading and writing JSON recurse, so that very deep rows would end a run somewhere later; they are refused here."""

    @pytest.mark.parametrize(("depth", "kept"), [(10, True), (198, True), (200, False), (900, False), (100_000, False)])
    @pytest.mark.parametrize("kind", ["list", "object"])
    def test_a_row_that_is_nested_too_deep(self, kind: str, depth: int, kept: bool, tmp_path: Path) -> None:
        inner = "[" * depth + "]" * depth if kind == "list" else '{"a": ' * depth + "1" + "}" * depth
        line = f'{{"messages": {inner}}}'
        (value,) = _read(_write(tmp_path / "a.jsonl", line.encode()))
        assert (value == json.loads(line)) if kept else (value.reason, value.text) == ("invalid_json", line)

    def test_only_that_row_of_a_document(self, tmp_path: Path) -> None:
        rows: list[Any] = [{"a": 1}, {"messages": json.loads("[" * 300 + "]" * 300)}, {"a": 2}]
        first, deep, last = _read(_write(tmp_path / "a.json", json.dumps(rows).encode()))
        assert (first, last) == (rows[0], rows[2])
        assert (deep.reason, deep.detail) == ("invalid_json", "nested deeper than 200 levels")
        assert json.loads(deep.text) == rows[1]


class TestTables:
    def test_quotes_commas_and_line_breaks(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "rows.csv", 'Q,A\n"안녕, 잘 지내?","네.\n""아주"" 잘"\n'.encode())
        assert _read(path) == [{"Q": "안녕, 잘 지내?", "A": '네.\n"아주" 잘'}]

    def test_cells_too_many_and_too_few(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "rows.csv", b"Q,A\none\n1,2,3\n")
        assert _read(path) == [{"Q": "one"}, {"Q": "1", "A": "2", "c2": "3"}]

    def test_mmlu_has_no_header(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "rows.csv", b"Where is the ulna?,leg,arm,head,foot,B\nWhat is 1+1?,0,1,2,3,C\n")
        assert list(read_raw_file(path)) == [
            (0, {"c0": "Where is the ulna?", "c1": "leg", "c2": "arm", "c3": "head", "c4": "foot", "c5": "B"}),
            (1, {"c0": "What is 1+1?", "c1": "0", "c2": "1", "c3": "2", "c4": "3", "c5": "C"}),
        ]

    @pytest.mark.parametrize(
        ("cells", "header"),
        [
            (["Q", "A", "label"], True),
            (["", "instruction", "output"], True),
            (["id", "prompt", "type", "label", "focus", "note"], True),
            (["question", "A", "B", "C", "D", "answer"], True),
            (["3박4일 놀러가고 싶다", "여행은 언제나 좋죠.", "0"], False),
            (["a", "a"], False),
            (["a", ""], False),
            (["x" * 65, "b"], False),
        ],
    )
    def test_is_header(self, cells: list[str], header: bool) -> None:
        assert is_header(cells) is header

    def test_a_cell_of_a_million_characters(self, tmp_path: Path) -> None:
        (row,) = _read(_write(tmp_path / "rows.csv", b"Q,A\nq," + b"a" * 1_000_000 + b"\n"))
        assert len(row["A"]) == 1_000_000


class TestDamage:
    def test_a_cut_archive_gives_the_rows_before_the_cut(self, tmp_path: Path) -> None:
        lines = b"".join(b'{"a": %d}\n' % n for n in range(50_000))
        path = tmp_path / "rows.jsonl.gz"
        path.write_bytes(gzip.compress(lines)[:-5000])
        *good, last = _read(path)
        assert good[:3] == [{"a": 0}, {"a": 1}, {"a": 2}] and len(good) > 1000
        assert isinstance(last, Broken) and last.reason == "damaged_file"

    @pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.jsonl.zst", "rows.parquet"])
    def test_no_archive_at_all(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / name
        path.write_bytes(b"this is not what the name says, and is long enough to have a header")
        (row,) = _read(path)
        assert row.reason == "damaged_file"

    def test_a_missing_file_and_an_unknown_ending_are_errors(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            _read(tmp_path / "rows.jsonl")
        with pytest.raises(ValueError, match="allowed: json, jsonl, csv, tsv, txt, parquet"):
            _read(tmp_path / "rows.xlsx")

    @given(st.binary(max_size=200), st.sampled_from(["json", "jsonl", "csv", "tsv", "txt", "parquet", "jsonl.gz", "csv.zst"]))
    def test_no_bytes_stop_the_reader(self, tmp_path_factory: pytest.TempPathFactory, data: bytes, ending: str) -> None:
        path = tmp_path_factory.mktemp("raw") / f"rows.{ending}"
        path.write_bytes(data)
        for _, value in read_raw_file(path):
            text = value.text if isinstance(value, Broken) else json.dumps(value, ensure_ascii=False)
            text.encode()


def test_file_format() -> None:
    names = ["a.4of5.jsonl.gz", "a.JSON", "a.csv.zst", "manifest", "a.gz", "a.txt"]
    assert [file_format(Path(name)) for name in names] == ["jsonl", "json", "csv", None, None, "txt"]


@pytest.mark.parametrize("text", [
    "[NaN, -Infinity, 1e400]", "-0", "-0.0", "1E5", "18446744073709551616", "12345678901234567890.5e-7", '"\\ud83d\\ude00"',
    '{"a": 1, "a": 2}', "01", "1.", "[1,]", '"a\tb"', "nul", "[] x", "{'a': 1}", '"\\x"', "[" * 5000, "+1", "\ufeff1",
])
def test_json_is_read_as_the_json_module_reads_it(text: str) -> None:
    """The reader in use is a faster one, which is stricter."""
    try:
        expected = json.loads(text)
    except (ValueError, RecursionError) as error:
        found = parse_json(text)
        assert isinstance(found, Broken)
        assert found.detail == str(error)
    else:
        assert repr(parse_json(text)) == repr(expected)
