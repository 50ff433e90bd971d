"""`python -m posttrain decontaminate` as a user calls it: what it writes, what it says, and how it ends."""

from __future__ import annotations

import io
import json
import os
import re
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest

from posttrain.cli import main
from posttrain.storage import load_manifest, read_parquet

LEAK = "Tom has some apples and buys seven more apples, how many apples has Tom now?"


def posttrain(folder: Path, *arguments: str | Path) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of a command in `folder`."""
    out, err = io.StringIO(), io.StringIO()
    environment = patch.dict(os.environ, POSTTRAIN_WORKSPACE=str(folder / "workspace"), COLUMNS="200")
    with chdir(folder), environment, redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "train.jsonl", [{"id": "leak", "prompt": LEAK}, {"id": "clean", "text": "Name a colour."}])
    write_jsonl(tmp_path / "evals" / "gsm.jsonl", [{"question": LEAK, "answer": "19"}])
    return tmp_path


def test_gsm8k_train_against_its_test_set_is_2_items_and_3_rows(tmp_path: Path, test_data: Path) -> None:
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "gsm8k.jsonl.gz").write_bytes((test_data / "eval/openai__grade-school-math/test.jsonl.gz").read_bytes())
    train = test_data / "train/openai__grade-school-math/train.jsonl.gz"
    code, shown, said = posttrain(tmp_path, "decontaminate", "--train", train, "--evals", "evals", "--preset", "tulu3",
                                  "--index", "embedded", "--out", "out")
    assert code == 0, said
    assert "clean 7,470, removed 3, review 0" in shown or "clean 7,470, review 0, removed 3" in shown
    assert re.search(r"decontaminate: 7,473 rows, 100 % of 1\.\d MB, [\d,]+ rows/s, 0 s left", said)
    assert (tmp_path / "out" / "contamination.tsv").read_text().splitlines()[1] == "gsm8k\ttrain\t1319\t2\t0.001516\t3\tfalse"
    matches = list(read_parquet(str(tmp_path / "out" / "matches.parquet")))
    assert sorted((int(m["row_id"].rsplit(":", 1)[1]), m["item_id"], m["score"]) for m in matches) == [
        (20, "gsm8k.jsonl.gz:632", 0.625), (1314, "gsm8k.jsonl.gz:602", 0.76), (5162, "gsm8k.jsonl.gz:602", 0.76)]
    assert {(m["measure"], m["decision"], m["rule"]) for m in matches} == {
        ("ngram_coverage", "remove", "tulu3: 8-gram coverage > 0.5")}
    clean, removed = (pq.read_table(tmp_path / "out" / f"{role}-train-00000.parquet") for role in ("clean", "removed"))
    assert (clean.num_rows, clean.column_names) == (7470, ["question", "answer"])
    assert (removed.num_rows, removed.column_names) == (3, ["question", "answer", "decontamination"])
    assert "<mark>" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    manifest = load_manifest(str(tmp_path / "out"))
    assert [parent["path"] for parent in manifest.parents] == ["evals", str(train.resolve())]
    again = posttrain(tmp_path, "decontaminate", "--train", train, "--evals", "out/index", "--preset", "tulu3", "--out", "again")
    assert again[0] == 0 and load_manifest(str(tmp_path / "again")).content == manifest.content


def test_spans_name_the_shared_words_on_both_sides(folder: Path) -> None:
    from posttrain.decontaminate.normalize import words

    text = "Please help: " + LEAK.replace("how many", "tell me how many")
    write_jsonl(folder / "train.jsonl", [{"prompt": text}])
    given = ("--train", "train.jsonl", "--evals", "evals", "--preset", "tulu3", "--out", "out")
    assert posttrain(folder, "decontaminate", *given)[0] == 0
    (match,) = read_parquet(str(folder / "out" / "matches.parquet"))
    ask, item = words(text), words(LEAK)
    assert [ask[s["start"]:s["end"]] for s in match["train_spans"]] == [item[s["start"]:s["end"]] for s in match["eval_spans"]]
    assert [" ".join(item[s["start"]:s["end"]]) for s in match["eval_spans"]] == [
        "tom has some apples and buys seven more apples"]


def test_a_dry_run_writes_the_report_and_no_rows(folder: Path) -> None:
    code, shown, _ = posttrain(folder, "decontaminate", "--train", "train.jsonl", "--evals", "evals", "--out", "out", "--dry-run")
    assert code == 0 and "removed 1" in shown
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "contamination.tsv", "manifest.json", "matches.parquet", "report.html"]
    assert "Nothing was written" in (folder / "out" / "report.html").read_text(encoding="utf-8")


def test_settings_come_from_the_recipe_and_the_command_line(folder: Path) -> None:
    given = ("--train", "train.jsonl", "--evals", "evals")
    assert posttrain(folder, "decontaminate", *given, "--out", "own")[0] == 0
    assert load_manifest(str(folder / "own")).settings["preset"] == "balanced"
    assert posttrain(folder, "decontaminate", *given, "--out", "smoke", "--recipe", "smoke", "--set", "ngram_size=5",
                     "turns=all", "evals.gsm.ngram_coverage.remove=0.9")[0] == 1  # the recipe has no eval called gsm
    code, _, said = posttrain(folder, "decontaminate", *given, "--out", "set", "--preset", "seed", "--set", "ngram_size=5",
                              "turns=all", "evals.gsm.jaccard.remove=0.8", "cut_offs.count_cosine.review=0.7")
    assert code == 0, said
    settings = load_manifest(str(folder / "set")).settings
    assert (settings["preset"], settings["ngram_size"], settings["turns"]) == ("seed", 5, "all")
    assert settings["evals"] == {"gsm": {"jaccard": {"remove": 0.8, "review": 0.6}}}
    assert settings["cut_offs"]["count_cosine"] == {"remove": 0.9, "review": 0.7}


def test_artifacts_of_the_pipeline_stay_examples(folder: Path) -> None:
    write_jsonl(folder / "alpaca.jsonl", [{"instruction": LEAK, "input": "", "output": "19"},
                                          {"instruction": "Name a colour.", "input": "", "output": "Blue is one."}])
    assert posttrain(folder, "convert", "--family", "alpaca", "--in", "alpaca.jsonl", "--out", "converted")[0] == 0
    given = ("decontaminate", "--train", "converted", "--evals", "evals", "--preset", "tulu3")
    assert posttrain(folder, *given, "--out", "out")[0] == 0
    assert sorted(path.name for path in (folder / "out").glob("*.parquet")) == [
        "clean-sft-00000.parquet", "matches.parquet", "removed-00000.parquet"]
    assert posttrain(folder, "mix", "--in", "out", "--out", "mixed", "--json")[0] == 0
    assert posttrain(folder, *given, "--out", "dry", "--dry-run")[0] == 0
    wet, dry = (load_manifest(str(folder / name)) for name in ("out", "dry"))
    assert wet.facts["outcome"] == dry.facts["outcome"] == {"clean": 1, "review": 0, "removed": 1}


# ---------------------------------------------------------------- wrong use and failures


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"--train": "nothing.jsonl"}, 2, "'nothing.jsonl' does not exist"),
        ({"--train": "empty"}, 1, "empty holds no file of a known format (json, jsonl, csv, tsv, txt, parquet, each also"),
        ({"--train": "table.xlsx"}, 1, "table.xlsx: no reader for this ending; allowed: json, jsonl, csv"),
        ({"--evals": "nowhere"}, 2, "--evals nowhere: no such folder or file; recipes are demo, real"),
        ({"--evals": "empty"}, 1, "empty holds no eval file"),
        ({"--evals": "train.jsonl"}, 1, "train.jsonl is a file; --evals takes a folder with one file per eval set, or a recipe"),
        ({"--preset": "tulu"}, 2, "'tulu' is not one of 'tulu3', 'seed', 'balanced'"),
        ({"--index": "solr"}, 2, "'solr' is not one of 'embedded', 'elasticsearch'"),
        ({"--out": "full"}, 1, "full exists and is not empty: give another --out"),
        ({"--set": "ngram=3"}, 2, "ngram: unknown key; there are preset, ngram_size"),
        ({"--set": "ngram_size"}, 2, "--set takes KEY=VALUE, not 'ngram_size'"),
        ({"--set": "cut_offs.cosine.review=2"}, 2, "cut_offs.cosine.review: Input should be less than or equal to 1"),
        ({"--set": "evals.gsn.cosine.review=0.5"}, 2, "evals.gsn: there is no such eval set; there are gsm"),
        ({"--recipe": "demmo"}, 2, "no recipe 'demmo'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong_and_leaves_nothing(
    folder: Path, change: dict[str, str], code: int, message: str,
) -> None:
    (folder / "empty").mkdir()
    (folder / "table.xlsx").write_bytes(b"x")
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("mine")
    before = sorted(path.name for path in folder.iterdir())
    given = {"--train": "train.jsonl", "--evals": "evals", "--out": "out"} | change
    ended, _, said = posttrain(folder, "decontaminate", *(part for pair in given.items() for part in pair))
    plain = re.sub(r"[\s│╭╮╰╯─]+", " ", said)
    assert (ended, message in plain) == (code, True), said
    assert sorted(path.name for path in folder.iterdir()) == before
    assert (folder / "full" / "mine.txt").read_text() == "mine"


def test_an_index_of_other_ngrams_is_refused(folder: Path) -> None:
    assert posttrain(folder, "index_evals", "--in", "evals", "--out", "index")[0] == 0
    ended, _, said = posttrain(folder, "decontaminate", "--train", "train.jsonl", "--evals", "index", "--out", "out",
                               "--set", "ngram_size=5")
    assert ended == 2 and "has 8-grams, and 5-grams are asked for" in re.sub(r"[\s│]+", " ", said)


def test_elasticsearch_without_an_address_says_what_to_set(folder: Path) -> None:
    ended, _, said = posttrain(folder, "decontaminate", "--train", "train.jsonl", "--evals", "evals", "--out", "out",
                               "--index", "elasticsearch")
    assert ended == 1 and "ELASTICSEARCH_URL" in said
    assert sorted(path.name for path in folder.iterdir()) == ["evals", "train.jsonl"]


def test_an_out_that_is_missing_is_named(folder: Path) -> None:
    ended, _, said = posttrain(folder, "decontaminate", "--train", "train.jsonl", "--evals", "evals")
    assert ended == 2 and "missing: --out" in said


def test_an_eval_file_that_changes_under_its_index_stops_the_command(folder: Path) -> None:
    assert posttrain(folder, "index_evals", "--in", "evals", "--out", "index")[0] == 0
    write_jsonl(folder / "evals" / "gsm.jsonl", [{"question": "another"}])
    ended, _, said = posttrain(folder, "decontaminate", "--train", "train.jsonl", "--evals", "index", "--out", "out")
    assert ended == 1 and len(re.findall(r"[0-9a-f]{64}", said)) == 2
    assert not (folder / "out").exists()
