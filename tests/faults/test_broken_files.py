"""Files that are cut off, spoilt, empty, changed on the way, or one endless line: an error that names them, or rejected rows."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from posttrain import collect as collecting
from posttrain import raw_files
from posttrain.collect import SourceError
from posttrain.raw_rows import raw_rows
from posttrain.storage import read_examples, read_rejected

ROWS = [{"instruction": f"{n}번 문제를 {'자세히 ' * (n % 5)}설명해 줘", "output": f"{n}번 문제의 답은 {n * 7}입니다."}
        for n in range(3000)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
HALF = LINES.index(b"\n", len(LINES) // 2) + 1
TABLE = ("instruction,output\r\n" + "".join(f'"{row["instruction"]}","{row["output"]}"\r\n' for row in ROWS)).encode()


MEMORY = 3_500_000_000
"""For a line of 200 MB, from the file through the filter and its search for near duplicates; up to 2.3 GB were measured."""


def parquet_bytes() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(ROWS), sink, row_group_size=500)
    return sink.getvalue().to_pybytes()


def spoilt(data: bytes, part: float) -> bytes:
    """The bytes with sixteen of them overwritten."""
    at = int(len(data) * part)
    return data[:at] + b"\xff" * 16 + data[at + 16:]


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


DAMAGED: dict[str, bytes] = {
    "cut.jsonl.gz": cut(gzip.compress(LINES)),
    "cut.jsonl.zst": cut(zstandard.compress(LINES)),
    "cut-in-the-second-frame.jsonl.zst": zstandard.compress(LINES[:HALF]) + cut(zstandard.compress(LINES[HALF:])),
    "cut.csv.gz": cut(gzip.compress(TABLE)),
    "cut.csv.zst": cut(zstandard.compress(TABLE)),
    "cut.txt.zst": cut(zstandard.compress(LINES)),
    "cut.parquet": cut(parquet_bytes()),
    "spoilt.parquet": spoilt(parquet_bytes(), 0.5),
    "spoilt.jsonl.gz": spoilt(gzip.compress(LINES), 0.5),
    "spoilt.jsonl.zst": spoilt(zstandard.ZstdCompressor(write_checksum=True).compress(LINES), 0.5),
    "cut.json.gz": cut(gzip.compress(json.dumps(ROWS).encode())),
    "cut.json.zst": cut(zstandard.compress(json.dumps(ROWS).encode())),
    "cut.parquet.gz": cut(gzip.compress(parquet_bytes())),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_gives_what_stands_before_the_damage_and_a_rejected_row(name, data_folder, run_to_mix, caplog) -> None:
    (data_folder / name).write_bytes(DAMAGED[name])
    run = run_to_mix({"tiny": ("alpaca", name)}, until="convert")
    collected = run.manifest("collect", "tiny")
    raw = [row for _, _, row in raw_rows(collected)]
    *others, last = list(read_rejected(collected))
    assert last["reason"] == "damaged_file" and last["raw_file"] == name and last["row"] and last["detail"]
    assert name.startswith("spoilt") or raw == ROWS[: len(raw)], "no half row"
    assert collected.rows["read"] == len(raw) + len(others) + 1
    assert f"{name} is damaged" in caplog.text
    if name.startswith("cut.") and ".json." not in name and "parquet" not in name:
        assert len(raw) > 500


@pytest.mark.parametrize("data", [LINES[:-3], json.dumps(ROWS).encode()[:-3]], ids=["lines", "array"])
def test_json_that_is_cut_off(data: bytes, data_folder: Path, run_to_mix: Any) -> None:
    """The last of the lines is rejected; of an array it is not known where a row ends, and it is rejected as a whole."""
    name = "cut.jsonl" if data.startswith(b"{") else "cut.json"
    (data_folder / name).write_bytes(data)
    collected = run_to_mix({"tiny": ("alpaca", name)}, until="collect").manifest("collect", "tiny")
    (rejected,) = read_rejected(collected)
    body = data.splitlines()[-1].decode()
    assert (rejected["reason"], rejected["raw_file"], rejected["row"]) == ("invalid_json", name, body)
    assert collected.rows["kept"] == (len(ROWS) - 1 if name == "cut.jsonl" else 0)


class TestQuoting:
    @pytest.mark.parametrize(("data", "kept", "lines", "body"), [
        (b'Q,A\n1,2\n"open,3\n4,5\n6,7\n', [("1", "2")], "lines 3 to 5: ", '"open,3\n4,5\n6,7\n'),
        (b'Q,A\n1,2\n"open,3\n4,5\n"6",7\n8,9\n', [("1", "2"), ("8", "9")], "lines 3 to 5: ", '"open,3\n4,5\n"6",7\n'),
        (b'Q,A\n1,2\n"a "word" b",3\n4,5\n', [("1", "2"), ("4", "5")], "lines 3 to 3: ", '"a "word" b",3\n'),
        (b'"Q,A\n1,2\n', [], "lines 1 to 2: ", '"Q,A\n1,2\n'),
    ], ids=["never closed", "closed by another row's quote", "a quote within a cell", "in the header"])
    def test_rows_that_a_quote_swallows_are_rejected(self, data, kept, lines, body, data_folder, run_to_mix) -> None:
        (data_folder / "a.csv").write_bytes(data)
        collected = run_to_mix({"tiny": ("korean_qa", "a.csv")}, until="collect").manifest("collect", "tiny")
        assert [row for _, _, row in raw_rows(collected)] == [{"Q": q, "A": a} for q, a in kept]
        (rejected,) = read_rejected(collected)
        assert (rejected["reason"], rejected["row"]) == ("broken_quoting", body)
        assert rejected["detail"].startswith(lines)


class TestEncodings:
    def test_rows_in_another_encoding_are_rejected_with_their_bytes(self, data_folder: Path, run_to_mix: Any) -> None:
        lines = LINES.splitlines()[:5]
        lines[1] = lines[1].decode().encode("cp949")
        lines[3] = lines[3].decode().encode("utf-16")
        (data_folder / "mixed.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        run = run_to_mix({"tiny": ("alpaca", "mixed.jsonl")}, until="convert")
        collected = run.manifest("collect", "tiny")
        assert {row["reason"] for row in read_rejected(collected)} == {"undecodable_text", "invalid_json"}
        kept = [example.messages[0].content for example in read_examples(run.manifest("convert", "tiny"))]
        assert kept == [ROWS[n]["instruction"] for n in (0, 2, 4)]

    def test_a_header_in_another_encoding(self, data_folder: Path, run_to_mix: Any) -> None:
        (data_folder / "a.csv").write_bytes("질문,답변\n".encode("cp949") + "안녕,네\n".encode())
        (rejected,) = read_rejected(run_to_mix({"tiny": ("korean_qa", "a.csv")}, until="collect").manifest("collect", "tiny"))
        assert rejected["reason"] == "undecodable_text" and '"안녕"' in rejected["row"]

    def test_text_in_parquet_that_is_no_utf8_keeps_its_row(self, data_folder: Path, run_to_mix: Any) -> None:
        columns = {"instruction": pa.array([b"a", b"\xff\xfe"]).view(pa.string()), "output": pa.array(["b", "네"])}
        pq.write_table(pa.table(columns), data_folder / "a.parquet")
        (rejected,) = read_rejected(run_to_mix({"tiny": ("alpaca", "a.parquet")}, until="collect").manifest("collect", "tiny"))
        assert (rejected["reason"], rejected["row"]) == ("undecodable_text", '{"instruction": "\\\\xff\\\\xfe", "output": "네"}')


class TestNothingToRead:
    @pytest.mark.parametrize(("name", "data"), [
        ("a.jsonl", b""), ("a.jsonl", b"\n\n"), ("a.json", b""), ("a.json", b"[]"), ("a.csv", b"Q,A\n"), ("a.txt", b""),
        ("a.jsonl.gz", b""), ("a.jsonl.gz", gzip.compress(b"")), ("a.jsonl.zst", b""), ("a.jsonl.zst", zstandard.compress(b"")),
    ])
    def test_an_empty_file_is_a_rejected_row_that_names_it(
        self, name: str, data: bytes, data_folder: Path, run_to_mix: Any, caplog: pytest.LogCaptureFixture,
    ) -> None:
        (data_folder / name).write_bytes(data)
        (data_folder / "b.jsonl").write_bytes(LINES)
        collected = run_to_mix({"tiny": ("alpaca", "[ab].*")}, until="collect").manifest("collect", "tiny")
        (rejected,) = read_rejected(collected)
        assert (rejected["reason"], rejected["raw_file"]) == ("empty_file", name)
        assert collected.rows["kept"] > 0 and f"{name} of source tiny holds no row" in caplog.text

    def test_an_empty_parquet_file_is_a_rejected_row(self, data_folder: Path, run_to_mix: Any) -> None:
        (data_folder / "a.parquet").write_bytes(b"")
        (rejected,) = read_rejected(run_to_mix({"tiny": ("alpaca", "a.parquet")}, until="collect").manifest("collect", "tiny"))
        assert (rejected["reason"], rejected["row"]) == ("damaged_file", "a.parquet: the whole file")


class TestChanges:
    def test_between_two_runs(self, data_folder: Path, run_to_mix: Any) -> None:
        path = data_folder / "a.jsonl"
        path.write_bytes(LINES)
        first, second = run_to_mix({"tiny": ("alpaca", "a.jsonl")}), run_to_mix({"tiny": ("alpaca", "a.jsonl")})
        assert [record["skipped"] for record in second.stage_records()] == [True] * 9
        before = first.manifest("collect", "tiny"), first.manifest("mix")
        path.write_bytes(LINES.replace("3번".encode(), "4번".encode(), 1))
        third = run_to_mix({"tiny": ("alpaca", "a.jsonl")})
        after = third.manifest("collect", "tiny"), third.manifest("mix")
        assert [m.key for m in before] != [m.key for m in after] and before[1].content != after[1].content

    def test_while_it_is_read(self, data_folder: Path, run_to_mix: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Another program appends a row between the hash that names the artifact and the last line read."""
        path = data_folder / "a.jsonl"
        path.write_bytes(LINES)

        def slow(file: Path) -> raw_files.Rows:
            for number, value in raw_files.read_raw_batches(file):
                if number == 10:
                    with path.open("ab") as f:
                        f.write(LINES[: LINES.index(b"\n") + 1])
                yield number, value

        monkeypatch.setattr(collecting, "read_raw_batches", slow)
        with pytest.raises(SourceError, match="a.jsonl of source tiny changed while it was read"):
            run_to_mix({"tiny": ("alpaca", "a.jsonl")})
        monkeypatch.undo()

    def test_between_its_hash_and_its_reading(self, data_folder: Path, run_to_mix: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        path = data_folder / "a.jsonl"
        path.write_bytes(LINES)
        pinned = collecting.pinned

        def then_replaced(*arguments: Any) -> dict[str, Any]:
            pin = pinned(*arguments)
            path.write_bytes(LINES[: LINES.index(b"\n") + 1])
            return pin

        monkeypatch.setattr(collecting, "pinned", then_replaced)
        with pytest.raises(SourceError, match="changed while it was read"):
            run_to_mix({"tiny": ("alpaca", "a.jsonl")})


@pytest.mark.parametrize(("end", "until", "outcome"), [('"}\n', "filter", {}), ("\n", "collect", {"invalid_json": 1})],
                         ids=["a row", "a line cut off"])
def test_a_line_of_200_megabytes(end: str, until: str, outcome: dict[str, int], tmp_path: Path, recipe_file: Any) -> None:
    """Raw line, JSON value and turn are a Python text each, with Parquet's buffers on top."""
    data = tmp_path / "data"
    data.mkdir()
    with (data / "long.jsonl").open("w") as f:
        f.write(json.dumps(ROWS[0]) + "\n" + '{"instruction": "q", "output": "')
        for _ in range(200):
            f.write("word " * 200_000)
        f.write(end + json.dumps(ROWS[1]) + "\n")
    recipe = recipe_file({"tiny": ("alpaca", "long.jsonl")}, filter={"max_tokens": None, "duplicates": {"near": {}}})
    environment = os.environ | {"POSTTRAIN_WORKSPACE": str(tmp_path / "workspace"), "POSTTRAIN_DATA_ROOT": str(data)}
    program = ("import resource, sys; from posttrain.cli import main\n"
               "try: main(sys.argv[1:])\n"
               "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)")
    done = subprocess.run([sys.executable, "-c", program, "run", str(recipe), "--until", until, "--run-id", "long", "--json"],
                          env=environment, capture_output=True, text=True, check=False)
    (data / "long.jsonl").unlink()
    assert done.returncode == 0, done.stderr[-2000:]
    *shown, kilobytes = done.stdout.splitlines()
    reasons: dict[str, int] = {}
    for stage in json.loads("\n".join(shown))["stages"]:
        reasons |= stage["reasons"]
    assert reasons == outcome
    assert int(kilobytes) * 1024 < MEMORY


def test_an_empty_eval_file_is_an_error(data_folder: Path, run_to_mix: Any) -> None:
    """An index without items would let every row pass."""
    (data_folder / "a.jsonl").write_bytes(LINES)
    (data_folder / "eval.jsonl").write_bytes(b"")
    with pytest.raises(SourceError, match="eval.jsonl of eval tiny_eval has no row"):
        run_to_mix({"tiny": ("alpaca", "a.jsonl")}, until="index_evals",
                   evals=[{"name": "tiny_eval", "load": {"kind": "file", "path": "eval.jsonl"}}], gate={})
