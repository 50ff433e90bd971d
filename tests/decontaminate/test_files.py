from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.decontaminate.files import EvalFolderError, TrainingFileError, decontaminate_files, folder_evals, resolve_evals
from posttrain.recipe import Decontaminate, RecipeError
from posttrain.storage import ArtifactWriter, Manifest, read_parquet, read_rejected, read_rows

LEAK = "How many apples does Tom have after buying five more of them?"


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text, encoding="utf-8")
    return path


def run(train: list[Path], evals: Path, out: Path, **settings: Any) -> Manifest:
    writer = ArtifactWriter(str(out), stage="decontaminate")
    decontaminate_files([str(path) for path in train], str(evals), Decontaminate(**settings), writer)
    return writer.finish()


@pytest.fixture
def evals(tmp_path: Path) -> Path:
    write(tmp_path / "evals" / "math.jsonl", [{"question": LEAK, "answer": "#### 9"}])
    return tmp_path / "evals"


def test_messages_text_and_prompt_rows_keep_their_form(tmp_path: Path, evals: Path) -> None:
    clean = [
        {"id": 7, "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}], "source": "mine"},
        {"text": "some plain text"},
        {"prompt": "write a poem", "completion": "roses", "extra": [1, None]},
    ]
    leaks = [
        {"id": "m", "messages": [{"role": "user", "content": LEAK}], "source": "mine"},
        {"text": "Q: " + LEAK.upper() + " A: 9"},
        {"prompt": LEAK},
    ]
    done = run([write(tmp_path / "train.jsonl", clean + leaks)], evals, tmp_path / "out")
    assert done.rows == {"read": 6, "kept": 3, "rejected": 3}
    assert done.reasons == {"contaminated": 3}
    assert [json.loads(row["raw"]) for row in read_rows(done, "raw")] == clean
    found = [(m["row_id"], m["source"]) for m in read_parquet(done.file("matches.parquet"))]
    train = tmp_path / "train.jsonl"
    assert found == [("m", "mine"), (f"{train}:4", "train"), (f"{train}:5", "train")]


def test_a_folder_of_compressed_files(tmp_path: Path, evals: Path) -> None:
    write(tmp_path / "train" / "a" / "x.jsonl.gz", [{"prompt": LEAK}])
    write(tmp_path / "train" / "b" / "x.jsonl", [{"prompt": LEAK}, {"prompt": "fine"}])  # decon lost rows where names are equal
    done = run([tmp_path / "train"], evals, tmp_path / "out")
    assert done.rows == {"read": 3, "kept": 1, "rejected": 2}
    assert Path(tmp_path / "out" / "index" / "manifest.json").is_file()


def test_rows_that_cannot_be_read_are_rejected_with_file_and_row(tmp_path: Path, evals: Path) -> None:
    path = write(tmp_path / "train.jsonl", [{"prompt": "fine"}, {"label": 1}, {"prompt": None}, 17])
    path.write_text(path.read_text() + "{broken\n")
    done = run([path], evals, tmp_path / "out")
    found = [(row["raw_row"], row["reason"]) for row in read_rejected(done)]
    assert found == [(1, "missing_field"), (2, "missing_field"), (3, "missing_field"), (4, "invalid_json")]
    assert {row["raw_file"] for row in read_rejected(done)} == {str(path)}


def test_an_artifact_stays_examples(tmp_path: Path, evals: Path, bench) -> None:
    rows = bench.rows([bench.sft("leak", LEAK), bench.sft("clean", "hi")])
    done = run([Path(rows.path)], evals, tmp_path / "out")
    assert [row["id"] for row in read_rows(done, "sft")] == ["clean"]


def test_the_band_of_plain_files_and_a_dropped_source(tmp_path: Path, evals: Path) -> None:
    half = "How many apples does Tom have after buying pears?"  # 8 of 12 words
    train = write(tmp_path / "train.jsonl", [{"prompt": half}, {"prompt": "fine"}])
    band = run([train], evals, tmp_path / "band", cut_offs={"ngram_coverage": {"remove": 0.7, "review": 0.5}})
    assert (band.written, band.rows["kept"]) == ({"raw": 1, "review_raw": 1}, 2)
    dropped = run([train], evals, tmp_path / "dropped", drop_overlapping_sources=True)
    assert dropped.reasons == {"contaminated": 1, "eval_set_overlap": 1}


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
