from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.files import EvalFolderError, decontaminate_files, folder_evals, resolve_evals
from posttrain.decontaminate.train_files import TrainingFileError, blocks_of, rows_of_block, train_files
from posttrain.raw_files import read_raw_file
from posttrain.recipe import Decontaminate, RecipeError
from posttrain.storage import ArtifactWriter, Manifest, read_parquet, read_rows

LEAK = "How many apples does Tom have after buying five more of them?"


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text, encoding="utf-8")
    return path


def run(train: list[Path], evals: Path, out: Path, dry_run: bool = False, **settings: Any) -> Manifest:
    chosen = Decontaminate(**({"preset": "tulu3"} | settings))
    index = ArtifactWriter(f"{out}-index", stage="index_evals")
    index_eval_sets(*resolve_evals(str(evals)), chosen, index)
    writer = ArtifactWriter(str(out), stage="decontaminate")
    decontaminate_files([str(path) for path in train], index.finish(), chosen, writer, dry_run=dry_run)
    return writer.finish()


def rows_of(manifest: Manifest, role: str) -> list[dict[str, Any]]:
    """The rows of all parts of a role, without the fields that a row lacks."""
    return [{name: value for name, value in row.items() if value is not None} for row in read_rows(manifest, role)]


def why(manifest: Manifest, role: str = "removed") -> list[dict[str, Any]]:
    return [row["decontamination"] for row in read_rows(manifest, role)]


@pytest.fixture
def evals(tmp_path: Path) -> Path:
    write(tmp_path / "evals" / "math.jsonl", [{"question": LEAK, "answer": "#### 9"}])
    return tmp_path / "evals"


def test_messages_text_and_prompt_rows_keep_their_fields(tmp_path: Path, evals: Path) -> None:
    clean = [
        {"id": 7, "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}], "source": "mine"},
        {"text": "some plain text"},
        {"prompt": "write a poem", "completion": "roses", "extra": [1, None]},
    ]
    leaks = [
        {"id": 8, "messages": [{"role": "user", "content": LEAK}], "source": "mine"},
        {"text": "Q: " + LEAK.upper() + " A: 9"},
        {"prompt": LEAK},
    ]
    train = write(tmp_path / "train.jsonl", clean + leaks)
    done = run([train], evals, tmp_path / "out")
    assert done.rows == {"read": 6, "kept": 3, "rejected": 3}
    assert done.reasons == {"contaminated": 3}
    assert rows_of(done, "clean") == clean
    assert [{k: v for k, v in row.items() if k != "decontamination"} for row in rows_of(done, "removed")] == leaks
    found = [(m["row_id"], m["source"]) for m in read_parquet(done.file("matches.parquet"))]
    assert found == [("8", "mine"), (f"{train}:4", "train"), (f"{train}:5", "train")]
    assert [(w["row_id"], w["file"], w["row"], w["eval"], w["item_id"], w["rule"]) for w in why(done)][:1] == [
        ("8", str(train), 3, "math", "math.jsonl:0", "tulu3: 8-gram coverage > 0.5")]
    assert done.facts["outcome"] == {"clean": 3, "review": 0, "removed": 3}


def test_a_parquet_file_stays_what_it_is(tmp_path: Path, evals: Path) -> None:
    """Columns, their types and the metadata; conversations are read as columns, other forms row by row."""
    turn = pa.struct([("role", pa.string()), ("content", pa.large_string())])
    table = pa.table({
        "messages": pa.array([[{"role": "user", "content": "hi"}, {"role": "assistant", "content": LEAK}],
                              [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"},
                               {"role": "user", "content": LEAK}], None], pa.list_(turn)),
        "n": pa.array([1, 2, 3], pa.uint8()), "prompt": pa.array([None, None, LEAK]),
        "when": pa.array([0, 1, 2], pa.timestamp("ms")),
    }).replace_schema_metadata({"huggingface": "{}"})
    pq.write_table(table, tmp_path / "train.parquet")
    done = run([tmp_path / "train.parquet"], evals, tmp_path / "out")
    kept = pq.read_table(done.file("clean-train-00000.parquet"))
    assert kept.schema.equals(pq.read_schema(tmp_path / "train.parquet"), check_metadata=True)
    assert kept.to_pylist() == table.slice(0, 1).to_pylist()
    gone = pq.read_table(done.file("removed-train-00000.parquet")).drop_columns(["decontamination"])
    assert gone.to_pylist() == table.slice(1, 2).to_pylist()
    assert [m["turn"] for m in read_parquet(done.file("matches.parquet"))] == [2, 0]
    every = run([tmp_path / "train.parquet"], evals, tmp_path / "every", turns="all")
    assert [m["turn"] for m in read_parquet(every.file("matches.parquet"))] == [1, 2, 0]
    assert {m["rule"] for m in read_parquet(every.file("matches.parquet"))} == {
        "recipe: 8-gram coverage > 0.5 (not part of tulu3)"}


def test_two_files_of_one_name_are_told_apart(tmp_path: Path, evals: Path) -> None:
    """decon left leaked rows in the clean output of the second."""
    write(tmp_path / "train" / "a" / "x.jsonl.gz", [{"prompt": LEAK}])
    write(tmp_path / "train" / "b" / "x.jsonl", [{"prompt": LEAK}, {"prompt": "fine"}])
    write(tmp_path / "train" / "b" / "x.json", [{"prompt": "as well"}])
    for n, paths in enumerate(([tmp_path / "train"], sorted((tmp_path / "train").rglob("x.json*")))):
        done = run(paths, evals, tmp_path / f"out{n}")
        assert done.rows == {"read": 4, "kept": 2, "rejected": 2}
        assert len({cell["source"] for cell in done.facts["contamination"]}) == 3
        assert sorted(row["prompt"] for row in rows_of(done, "clean")) == ["as well", "fine"]
        assert {Path(w["file"]).parent.name for w in why(done)} == {"a", "b"}


def test_a_file_that_is_given_twice_counts_once(tmp_path: Path, evals: Path) -> None:
    write(tmp_path / "train" / "x.jsonl", [{"prompt": "fine"}])
    assert run([tmp_path / "train", tmp_path / "train" / "x.jsonl"], evals, tmp_path / "out").rows["read"] == 1


def test_rows_that_cannot_be_read_go_with_file_and_row(tmp_path: Path, evals: Path) -> None:
    path = write(tmp_path / "train.jsonl", [{"prompt": "fine"}, {"label": 1}, {"prompt": None}, 17])
    path.write_text(path.read_text() + "{broken\n")
    done = run([path], evals, tmp_path / "out")
    found = [(w["row"], w["reason"], w["raw"]) for w in why(done)]
    assert found == [(1, "missing_field", None), (2, "missing_field", None), (3, "missing_field", "17"),
                     (4, "invalid_json", "{broken")]
    assert {w["file"] for w in why(done)} == {str(path)}
    assert rows_of(done, "clean") == [{"prompt": "fine"}]


@pytest.mark.parametrize(
    "ending", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".json.gz", ".parquet", ".parquet.zst", ".csv.gz", ".txt"])
def test_every_format_and_compression(tmp_path: Path, evals: Path, ending: str) -> None:
    path = tmp_path / f"train{ending}"
    rows = [{"prompt": LEAK, "answer": "9"}, {"prompt": "fine", "answer": "é"}]
    if "parquet" in ending:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "plain.parquet")
        data = (tmp_path / "plain.parquet").read_bytes()
    elif "csv" in ending:
        data = ("prompt,answer\n" + "".join(f"{row['prompt']},{row['answer']}\n" for row in rows)).encode()
    else:
        data = (json.dumps(rows) if ".json." in ending else "\n".join(json.dumps(row) for row in rows)).encode()
    packed = gzip.compress(data) if ending.endswith("gz") else zstandard.compress(data) if ending.endswith("zst") else data
    path.write_bytes(packed)
    done = run([path], evals, tmp_path / "out")
    assert rows_of(done, "clean") == rows[1:]
    assert done.reasons == {"contaminated": 1}


def test_the_band_of_plain_files_and_a_dropped_source(tmp_path: Path, evals: Path) -> None:
    half = "How many apples does Tom have after buying pears?"  # 8 of 12 words
    train = write(tmp_path / "train.jsonl", [{"prompt": half}, {"prompt": "fine"}, {"prompt": LEAK, "source": "other"}])
    band = run([train], evals, tmp_path / "band", cut_offs={"ngram_coverage": {"remove": 0.7, "review": 0.5}})
    assert (band.written, band.rows["kept"]) == ({"clean": 1, "removed": 1, "review": 1}, 2)
    assert [w["reason"] for w in why(band, "review")] == ["review"]
    dropped = run([train], evals, tmp_path / "dropped", drop_overlapping_sources=True)
    assert dropped.reasons == {"contaminated": 2, "eval_set_overlap": 1}
    assert sorted((w["row"], w["reason"], w["source"]) for w in why(dropped)) == [
        (0, "contaminated", "train"), (1, "eval_set_overlap", "train"), (2, "contaminated", "other")]
    both = run([train], evals, tmp_path / "both", drop_overlapping_sources=True, dataset_threshold=0.5,
               cut_offs={"ngram_coverage": {"remove": 0.99, "review": 0.5}})
    assert both.facts["outcome"] == {"clean": 1, "review": 1, "removed": 1}  # only `other` holds the item over the cut-off


def test_a_dry_run_finds_the_same_and_writes_no_row(tmp_path: Path, evals: Path) -> None:
    train = write(tmp_path / "train.jsonl", [{"prompt": LEAK}, {"prompt": "fine"}, 17])
    wet, dry = run([train], evals, tmp_path / "wet"), run([train], evals, tmp_path / "dry", dry_run=True)
    assert (dry.rows, dry.reasons, dry.facts["contamination"]) == (wet.rows, wet.reasons, wet.facts["contamination"])
    assert dry.facts["outcome"] == wet.facts["outcome"] == {"clean": 1, "review": 0, "removed": 2}
    assert list(read_parquet(dry.file("matches.parquet"))) == list(read_parquet(wet.file("matches.parquet")))
    assert sorted(path.name for path in (tmp_path / "dry").iterdir()) == ["contamination.tsv", "manifest.json", "matches.parquet"]


# ---------------------------------------------------------------- blocks

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(
    scalars, lambda own: st.lists(own, max_size=3) | st.dictionaries(st.sampled_from("abc"), own, max_size=3), max_leaves=6)
objects = st.dictionaries(st.sampled_from(["prompt", "x", "y", "id", "source"]), values, max_size=4)
json_rows = objects | st.text(max_size=3) | values


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=st.lists(json_rows, max_size=12), leaks=st.lists(st.integers(0, 11), max_size=3), block=st.integers(1, 200))
def test_no_row_is_lost_whatever_the_rows_and_the_cuts(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], leaks: list[int], block: int,
) -> None:
    """Every line comes out once, in its place, under clean, review or removed; a copied prompt never under clean."""
    folder = tmp_path_factory.mktemp("rows")
    write(folder / "evals" / "math.jsonl", [{"question": LEAK}])
    rows = [{"prompt": LEAK, "n": n} if n in leaks else row for n, row in enumerate(rows)]
    path = write(folder / "train.jsonl", [*rows, {"prompt": "the last one", "marker": "z"}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("posttrain.decontaminate.train_files.BLOCK_BYTES", block)
        patch.setattr("posttrain.decontaminate.train_files.READ_BYTES", 7)
        done = run([path], folder / "evals", folder / "out", cut_offs={"ngram_coverage": {"review": 0.2}})
    outcome = done.facts["outcome"]
    assert sum(outcome.values()) == done.rows["read"] == len(rows) + 1
    assert {role: done.written.get(role, 0) for role in outcome} == outcome
    gone = {w["row"] for role in ("removed", "review") for w in why(done, role)}
    assert len(gone) == outcome["removed"] + outcome["review"]
    assert set(leaks) & set(range(len(rows))) <= gone
    stays = [row for n, row in enumerate([*rows, {"prompt": "the last one", "marker": "z"}]) if n not in gone]
    kept = list(read_rows(done, "clean"))
    assert len(kept) == len(stays)
    for row, found in zip(stays, kept, strict=True):
        row = row if isinstance(row, dict) else {"text": row}
        assert {k for k, v in row.items() if v is not None} == {k for k, v in found.items() if v is not None}
    assert kept[-1]["prompt"] == "the last one" and kept[-1]["marker"] == "z"
    schemas = {str(pq.read_schema(done.file(e.name)).remove_metadata()) for e in done.files if e.split == "clean"}
    assert len(schemas) == 1


def test_lines_in_blocks_are_the_lines_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\ufeff" + '{"a": 1}\n\n"x"\n{broken\n' + '{"long": "' + "y" * 300 + '"}\n' + '{"n": "\\ud800"}\n17'
    monkeypatch.setattr("posttrain.decontaminate.train_files.READ_BYTES", 5)
    for size in (1, 8, 50, 10_000):
        monkeypatch.setattr("posttrain.decontaminate.train_files.BLOCK_BYTES", size)
        for name, data in (("a.jsonl", text.encode()), ("b.jsonl.gz", gzip.compress(text.encode())),
                           ("c.jsonl.zst", zstandard.compress(text.encode())), ("d.jsonl.gz", gzip.compress(text.encode())[:-9]),
                           ("e.jsonl", b""), ("f.jsonl", b"\xff\n{}\n")):
            (tmp_path / name).write_bytes(data)
            (file,) = train_files([str(tmp_path / name)])
            blocks = list(blocks_of(file))
            found = [row for block in blocks for row in rows_of_block(block)]
            assert [n for n, _ in found] == [n for n, _ in read_raw_file(tmp_path / name)], name
            assert [str(v) for _, v in found] == [str(v) for _, v in read_raw_file(tmp_path / name)], name
            assert sum(block.bytes for block in blocks) == (tmp_path / name).stat().st_size


def test_several_processes_give_what_one_gives(tmp_path: Path, evals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"prompt": LEAK if n % 7 == 0 else f"row {n}", "n": n if n < 60 else f"{n}"} for n in range(100)]
    train = write(tmp_path / "train.jsonl.gz", rows)
    pq.write_table(pa.Table.from_pylist([{"prompt": row["prompt"]} for row in rows]), tmp_path / "t.parquet", row_group_size=30)
    monkeypatch.setattr("posttrain.decontaminate.train_files.BLOCK_BYTES", 1_000)
    monkeypatch.setattr("posttrain.decontaminate.train_files.READ_BYTES", 100)
    monkeypatch.setattr("posttrain.decontaminate.train_files.ROWS_PER_PART", 30)
    done = []
    for number, name in ((1, "one"), (2, "two")):
        monkeypatch.setattr("posttrain.decontaminate.files.BYTES_FOR_WORKERS", 0)
        monkeypatch.setenv("POSTTRAIN_WORKERS", str(number))
        done.append(run([train, tmp_path / "t.parquet"], evals, tmp_path / name))
    assert done[0].content == done[1].content
    assert done[0].facts["examples"] == done[1].facts["examples"]
    assert len([e for e in done[0].files if e.name.startswith("clean-t-")]) == 4
    kept = [row["n"] for row in read_rows(done[0], "clean") if "n" in row]
    assert kept == [str(n) for n in range(100) if n % 7]  # numbers in the first blocks, texts in the last: one column of text


def test_a_damaged_file_is_one_row_that_says_so(tmp_path: Path, evals: Path) -> None:
    pq.write_table(pa.table({"prompt": ["fine"] * 10}), tmp_path / "a.parquet")
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    (tmp_path / "a.parquet").write_bytes(data[:-10])
    done = run([tmp_path / "a.parquet"], evals, tmp_path / "out")
    assert (done.rows, done.reasons) == ({"read": 1, "kept": 0, "rejected": 1}, {"damaged_file": 1})


def test_evals_are_not_written(tmp_path: Path, evals: Path) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in evals.iterdir()}
    run([write(tmp_path / "train.jsonl", [{"prompt": LEAK}])], evals, tmp_path / "out")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in evals.iterdir()} == before


# ---------------------------------------------------------------- eval folders


def test_one_file_is_one_eval_set_named_by_its_path(tmp_path: Path) -> None:
    for name in ("math.jsonl", "bbh/dates.json.gz", "input_data.3of5.jsonl", "한국어 시험.jsonl", "twice.jsonl", "twice.csv",
                 "README.md"):
        write(tmp_path / name, [{"question": "Who?"}])
    names = {spec.load.path: spec.name for spec in folder_evals(tmp_path)}
    assert names["math.jsonl"] == "math"
    assert names["bbh/dates.json.gz"] == "bbh/dates"
    assert names["input_data.3of5.jsonl"] == "input_data.3of5"
    assert (names["twice.jsonl"], names["twice.csv"]) == ("twice.jsonl", "twice.csv")
    assert len(names) == len(set(names.values())) == 6


def test_hidden_folders_and_earlier_results_are_no_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A download keeps its state in `.cache`, the command its own in `.<out>.unfinished`, and results may lie among the files."""
    data = tmp_path / "data"
    write(data / "math.jsonl", [{"question": LEAK}])
    write(data / ".cache/huggingface/download/math.jsonl.metadata", ["0a1b2c"])
    write(data / ".clean.unfinished/index/fields.jsonl", [{"text": LEAK}])
    run([data / "math.jsonl"], data, data / "clean")
    write(data / "published" / "more.jsonl", [{"question": LEAK}])
    (data / "published" / "manifest.json").write_text('{"files": ["more.jsonl"]}')
    assert [file.source for file in train_files([str(data)])] == ["math", "published/manifest", "published/more"]
    (data / "published" / "manifest.json").unlink()
    assert [spec.name for spec in folder_evals(data)] == ["math", "published/more"]
    assert f"{data}: finished artifacts inside of it are not read: clean, clean-index" in caplog.text
    assert len(train_files([str(data / "clean-index")])) > 1, "but what is named is read"


def test_evals_yaml_names_the_fields_that_count(tmp_path: Path) -> None:
    write(tmp_path / "drop.jsonl", [{"passage": "P", "question": "Q"}])
    write(tmp_path / "math.jsonl", [{"question": "Q"}])
    (tmp_path / "evals.yaml").write_text("drop.jsonl: {fields: [passage, question]}\nmath: {fields: [question]}\n")
    assert {spec.name: spec.fields for spec in folder_evals(tmp_path)} == {"drop": ("passage", "question"), "math": ("question",)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drop.json: {fields: [passage]}", "'drop.json' is no eval file here; there are: drop, drop.jsonl"),
        ("drop: {field: [passage]}", "a mapping such as"),
        ("drop: {fields: passage}", "a mapping such as"),
        ("- drop", "a mapping such as"),
        ("drop: [", "not valid YAML"),
    ],
)
def test_a_wrong_evals_yaml_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "drop.jsonl", [{"question": "Q"}])
    (tmp_path / "evals.yaml").write_text(text)
    with pytest.raises(EvalFolderError, match=message):
        folder_evals(tmp_path)


def test_wrong_paths_say_what_is_wrong(tmp_path: Path, evals: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "odd" / "eval.xlsx", ["x"])
    with pytest.raises(EvalFolderError, match="holds no eval file"):
        folder_evals(tmp_path / "empty")
    with pytest.raises(EvalFolderError, match="no reader for eval.xlsx"):
        folder_evals(tmp_path / "odd")
    with pytest.raises(EvalFolderError, match="is a file"):
        resolve_evals(str(evals / "math.jsonl"))
    with pytest.raises(RecipeError, match="no recipe 'nothing'"):
        resolve_evals("nothing")
    with pytest.raises(TrainingFileError, match="no such file or folder"):
        run([tmp_path / "none.jsonl"], evals, tmp_path / "out")


def test_a_recipe_names_its_evals() -> None:
    evals, _, seed = resolve_evals("demo")
    assert seed == 0
    assert evals
