"""The command line as a user calls it: a process, its exit status, one JSON object on standard output."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
import yaml

from posttrain.cli import STAGE_COMMANDS, main, spread_values
from posttrain.cli.rows import read_file, read_inputs, to_example
from posttrain.decontaminate.review.decision_log import DecisionLog
from posttrain.recipe import RECIPE_FOLDER, STAGES
from posttrain.schema import Message, PreferencePair, Rejected, RLVRExample, SFTExample, UnreadableRow
from posttrain.storage import load_manifest, read_examples, read_rejected

ALPACA = [
    {"instruction": "Name a colour.", "input": "", "output": "Blue is a colour."},
    {"instruction": "2+2?", "input": "", "output": "4"},
    {"instruction": "색 하나를 말해줘", "input": "", "output": "파란색은 색입니다."},
    {"instruction": "Who made you?", "input": "", "output": "I am ChatGPT."},
    {"instruction": "An answer is missing."},
]


def process(*arguments: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`python -m posttrain …` in `folder`, which also holds the workspace."""
    env = {**os.environ, "POSTTRAIN_WORKSPACE": str(folder / "workspace"), **environment}
    command = [sys.executable, "-m", "posttrain", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def posttrain(*arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The same in this process, which saves the second that Python takes to start and import."""
    out, err = io.StringIO(), io.StringIO()
    environment = patch.dict(os.environ, POSTTRAIN_WORKSPACE=str(folder / "workspace"))
    with chdir(folder), environment, redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), out.getvalue(), err.getvalue())


def counts(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("given", "spread"),
    [
        (["mix", "--in", "a", "b", "--out", "c"], ["mix", "--in", "a", "--in", "b", "--out", "c"]),
        (["mix", "--in", "a", "--in", "b"], ["mix", "--in", "a", "--in", "b"]),
        (["decontaminate", "--train", "a", "b", "c", "--evals", "d"],
         ["decontaminate", "--train", "a", "--train", "b", "--train", "c", "--evals", "d"]),
        (["show", "run", "--json"], ["show", "run", "--json"]),
    ],
)
def test_values_after_an_option_that_takes_many_each_get_the_option(given: list[str], spread: list[str]) -> None:
    assert spread_values(given) == spread


def test_every_stage_of_the_pipeline_is_a_command() -> None:
    assert set(STAGES) <= STAGE_COMMANDS.keys()


def test_help_lists_the_commands(tmp_path: Path) -> None:
    done = process("--help", folder=tmp_path)
    assert done.returncode == 0
    for command in [*STAGE_COMMANDS, "run", "runs", "show", "report", "lineage"]:
        assert f" {command} " in done.stdout


# ---------------------------------------------------------------- data stages


def test_convert_then_filter_then_mix(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "alpaca.jsonl", ALPACA)
    converted = counts(process(
        "convert", "--family", "alpaca", "--in", "alpaca.jsonl", "--out", "converted", "--license", "MIT", "--json",
        folder=tmp_path,
    ))
    assert converted["rows"] == {"read": 5, "kept": 4, "rejected": 1}
    assert converted["reasons"] == {"missing_field": 1}
    manifest = load_manifest(str(tmp_path / "converted"))
    assert [e.license for e in read_examples(manifest)] == ["MIT"] * 4
    assert [(r["raw_file"], r["raw_row"], r["field"]) for r in read_rejected(manifest)] == [("alpaca.jsonl", 4, "output")]

    filtered = counts(posttrain("filter", "--in", "converted", "--out", "filtered", "--json", folder=tmp_path))
    assert filtered["rows"] == {"read": 4, "kept": 2, "rejected": 2}
    assert filtered["reasons"] == {"too_simple": 1, "names_another_assistant": 1}

    mixed = counts(posttrain("mix", "--in", "filtered", "--out", "mixed", "--seed", "1", "--json", folder=tmp_path))
    assert mixed["written"] == {"sft": 2}
    parents = load_manifest(str(tmp_path / "mixed")).parents
    assert [(p["stage"], p["content"]) for p in parents] == [("filter", load_manifest(str(tmp_path / "filtered")).content)]


def test_the_same_command_writes_the_same_rows(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "alpaca.jsonl", ALPACA)
    for out in ("one", "two"):
        counts(posttrain("convert", "--family", "alpaca", "--in", "alpaca.jsonl", "--out", out, "--json", folder=tmp_path))
    assert load_manifest(str(tmp_path / "one")).content == load_manifest(str(tmp_path / "two")).content


def test_filter_takes_plain_rows_and_counts_the_unreadable_ones(tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": "Blue is one."}]},
        {"prompt": "2+2는?", "completion": "4"},
        {"messages": "not a list"},
    ]
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt", encoding="utf-8") as f:
        f.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows) + "{broken\n")
    done = counts(posttrain("filter", "--in", "rows.jsonl.gz", "--out", "out", "--json", folder=tmp_path))
    assert done["rows"] == {"read": 4, "kept": 1, "rejected": 3}
    assert done["reasons"] == {"invalid_json": 1, "too_simple": 1, "wrong_type": 1}
    manifest = load_manifest(str(tmp_path / "out"))
    assert manifest.parents[0]["path"] == str(tmp_path / "rows.jsonl.gz")
    kept = next(iter(read_examples(manifest)))
    assert (kept.source, kept.license, kept.language, kept.raw_row) == ("rows", "not stated", "en", 0)


def test_collect_records_sha256_licence_and_origin(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "alpaca.jsonl", ALPACA)
    done = counts(posttrain("collect", "--in", "alpaca.jsonl", "--out", "raw", "--license", "MIT", "--origin", "here", "--json",
                            folder=tmp_path))
    assert done["rows"]["kept"] == 5
    assert (done["facts"]["license"], done["facts"]["origin"]) == ("MIT", "here")
    assert len(done["facts"]["files"][0]["sha256"]) == 64
    converted = counts(posttrain("convert", "--family", "alpaca", "--in", "raw", "--out", "converted", "--json", folder=tmp_path))
    assert converted["rows"] == {"read": 5, "kept": 4, "rejected": 1}
    assert next(iter(read_examples(load_manifest(str(tmp_path / "converted"))))).license == "MIT"


LEAK = "Tom has 12 apples and buys 7 more apples, how many apples has Tom now?"
TRAIN = [{"id": "leak", "prompt": LEAK, "completion": "19"}, {"id": "clean", "text": "Name a colour."}]


def test_decontaminate_takes_files_and_a_folder_of_evals(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", TRAIN)
    (tmp_path / "evals").mkdir()
    write_jsonl(tmp_path / "evals" / "gsm.jsonl", [{"question": LEAK, "answer": "19"}])
    command = ("decontaminate", "--train", "train.jsonl", "--evals", "evals", "--out", "clean", "--json")
    done = counts(posttrain(*command, folder=tmp_path))
    assert done["rows"] == {"read": 2, "kept": 1, "rejected": 1}
    assert done["reasons"] == {"contaminated": 1}
    assert pq.read_table(tmp_path / "clean" / "removed-train-00000.parquet")["id"].to_pylist() == ["leak"]
    # The clean rows go on to the next command in the form that they have.
    mixed = counts(posttrain("mix", "--in", "clean", "--out", "mixed", "--json", folder=tmp_path))
    assert mixed["written"] == {"sft": 1}


def test_decontaminate_with_an_index_of_its_own_command(tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    write_jsonl(tmp_path / "evals" / "gsm.jsonl", [{"question": LEAK, "answer": "19"}])
    write_jsonl(tmp_path / "train.jsonl", TRAIN)
    indexed = counts(posttrain("index_evals", "--in", "evals", "--out", "index", "--json", folder=tmp_path))
    assert indexed["rows"] == {"read": 1, "kept": 1, "rejected": 0}
    command = ("decontaminate", "--train", "train.jsonl", "--evals", "index", "--out", "clean", "--json")
    done = counts(posttrain(*command, folder=tmp_path))
    assert done["reasons"] == {"contaminated": 1}
    parents = load_manifest(str(tmp_path / "clean")).parents
    assert [p["stage"] for p in parents] == ["index_evals", "file"] and parents[0]["path"] == str(tmp_path / "index")


def test_decontaminate_takes_artifacts_and_files_together(tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    write_jsonl(tmp_path / "evals" / "gsm.jsonl", [{"question": LEAK, "answer": "19"}])
    write_jsonl(tmp_path / "train.jsonl", TRAIN)
    write_jsonl(tmp_path / "alpaca.jsonl", ALPACA)
    converted = counts(posttrain("convert", "--family", "alpaca", "--in", "alpaca.jsonl", "--out", "converted", "--json",
                                 folder=tmp_path))
    command = ("decontaminate", "--train", "converted", "train.jsonl", "--evals", "evals", "--out", "clean", "--json")
    done = counts(posttrain(*command, folder=tmp_path))
    assert done["rows"] == {"read": converted["rows"]["kept"] + 2, "kept": converted["rows"]["kept"] + 1, "rejected": 1}


def test_verify_scores_rows(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", [
        {"completion": "5 + 3 - 2 = 6\n#### 6", "ground_truth": "6", "id": "철수"},
        {"completion": "I think 7", "ground_truth": "6", "id": "b"},
    ])
    command = ("verify", "--verifier", "gsm8k", "--in", "rows.jsonl", "--out", "scored.jsonl", "--json")
    done = counts(posttrain(*command, folder=tmp_path))
    assert done["rows"] == {"read": 2, "kept": 2, "rejected": 0}
    scored = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["id"], row["score"], row["extracted"]) for row in scored] == [("철수", 1.0, "6"), ("b", 0.0, "7")]


# ---------------------------------------------------------------- runs


def test_a_run_is_listed_and_shown_and_its_second_start_skips_everything(tmp_path: Path) -> None:
    command = ("run", "smoke", "--until", "filter", "--seed", "3", "--run-id", "first")
    shown = counts(posttrain(*command, "--json", folder=tmp_path))
    assert [stage["stage"] for stage in shown["stages"]] == ["collect", "convert", "filter"]
    assert (shown["seed"], shown["until"], shown["verdict"]) == (3, "filter", "not judged")
    for stage in shown["stages"]:
        assert stage["rows"]["kept"] + stage["rows"]["rejected"] == stage["rows"]["read"] > 0
        assert sum(stage["reasons"].values()) == stage["rows"]["rejected"]
    assert Path(shown["report"]).is_file()

    assert [run["run_id"] for run in json.loads(posttrain("runs", "--json", folder=tmp_path).stdout)] == ["first"]
    assert "filter" in posttrain("show", "first", folder=tmp_path).stdout
    again = counts(posttrain("show", "first", "--json", folder=tmp_path))
    assert again == shown

    second = counts(posttrain(*command, "--json", folder=tmp_path))
    assert all(stage["skipped"] and stage["why"].startswith("unchanged") for stage in second["stages"])

    more = counts(posttrain("filter", "--run", "first", "--json", folder=tmp_path))
    assert more["rows"] == shown["stages"][2]["rows"]


def test_a_command_in_the_middle_of_a_run_names_the_stage_that_is_missing(tmp_path: Path) -> None:
    counts(posttrain("run", "smoke", "--until", "collect", "--run-id", "first", "--json", folder=tmp_path))
    done = posttrain("filter", "--run", "first", folder=tmp_path)
    assert done.returncode == 1
    assert "stage convert of word_problems has not finished; run it first" in done.stderr


# ---------------------------------------------------------------- exit status


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("filter", "--nope"), "No such option"),
        (("filter", "--in", "alpaca.jsonl"), "--out"),
        (("filter", "--in", "absent.jsonl", "--out", "o"), "absent.jsonl"),
        (("convert", "--family", "nope", "--in", "alpaca.jsonl", "--out", "o"), "allowed_families"),
        (("verify", "--verifier", "nope", "--in", "alpaca.jsonl", "--out", "o"), "gsm8k"),
        (("filter", "--in", "alpaca.jsonl", "--out", "o", "--recipe", "nope"), "demo"),
        (("run", "nope"), "demo"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_is_right(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    write_jsonl(tmp_path / "alpaca.jsonl", ALPACA)
    done = posttrain(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert ("alpaca, alpaca_gpt4" if message == "allowed_families" else message) in done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert not (tmp_path / "o").exists()


def test_a_finished_out_folder_is_refused_with_1_and_left_alone(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "alpaca.jsonl", ALPACA)
    command = ("convert", "--family", "alpaca", "--in", "alpaca.jsonl", "--out", "out")
    counts(posttrain(*command, "--json", folder=tmp_path))
    before = (tmp_path / "out" / "manifest.json").read_bytes()
    done = posttrain(*command, folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == "error: out is a finished artifact already: remove it, or give another --out"
    assert (tmp_path / "out" / "manifest.json").read_bytes() == before


def test_a_folder_with_other_files_is_never_written_over(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "alpaca.jsonl", ALPACA)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")
    done = posttrain("convert", "--family", "alpaca", "--in", "alpaca.jsonl", "--out", "mine", folder=tmp_path)
    assert done.returncode == 1 and "not empty" in done.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    assert not list(tmp_path.glob(".*unfinished"))


def test_a_failure_shows_its_traceback_only_on_demand(tmp_path: Path) -> None:
    assert "Traceback" not in process("show", "nope", folder=tmp_path).stderr
    assert "Traceback" in process("--debug", "show", "nope", folder=tmp_path).stderr
    assert "Traceback" in process("show", "nope", folder=tmp_path, POSTTRAIN_DEBUG="1").stderr


def test_a_recipe_with_a_wrong_key_fails_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: bad\nfilterr: {}\n")
    done = posttrain("run", "bad.yaml", folder=tmp_path)
    assert done.returncode == 1
    assert "bad.yaml:2: filterr: unknown key; did you mean 'filter'?" in done.stderr


# ---------------------------------------------------------------- rows


def row(raw: dict[str, Any]) -> Any:
    return to_example(raw, "file", "file.jsonl", 3)


def test_the_columns_decide_the_kind_of_a_row() -> None:
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    assert type(row({"messages": turns})) is SFTExample
    assert type(row({"chosen": turns, "rejected": turns[:1] + [{"role": "assistant", "content": "3"}]})) is PreferencePair
    assert type(row({"messages": turns[:1], "ground_truth": "2", "dataset": "MATH"})) is RLVRExample
    graded = row({"messages": turns[:1], "ground_truth": "2", "dataset": "MATH"})
    assert (graded.verifier, graded.source) == ("math", "file")
    assert row({"messages": turns, "dataset": "flan"}).source == "flan"
    assert row({"instruction": "Shorten.", "input": "A long text."}).messages == (Message("user", "Shorten.\n\nA long text."),)
    assert row({"text": "plain"}).messages == (Message("user", "plain"),)
    pair = row({"prompt": "1+1?", "chosen": "2", "rejected": "3"})
    assert (pair.prompt, pair.chosen) == ("1+1?", (Message("user", "1+1?"), Message("assistant", "2")))


def test_provenance_is_kept_where_it_is_there_and_filled_where_it_is_not() -> None:
    filled = row({"text": "안녕하세요"})
    assert (filled.id, filled.source, filled.license, filled.language) == ("file_3", "file", "not stated", "ko")
    stated = {"id": 7, "source": "s", "license": "MIT", "skill": "greeting", "made_by": "new", "parent_id": "p"}
    own = row({"text": "hello", **stated})
    assert (own.id, own.source, own.license, own.skill, own.made_by, own.parent_id) == ("7", "s", "MIT", "greeting", "new", "p")


@pytest.mark.parametrize(
    ("raw", "reason", "field"),
    [
        ({"answer": "no question"}, "missing_field", "messages"),
        ({"messages": [{"role": "user"}]}, "missing_field", "messages[0].content"),
        ({"messages": [{"role": "user", "content": True}]}, "wrong_type", "messages[0].content"),
        ({"prompt": 5}, "wrong_type", "prompt"),
        ([1, 2], "wrong_type", "(row)"),
    ],
)
def test_a_row_that_is_no_example_names_reason_and_field(raw: Any, reason: str, field: str) -> None:
    with pytest.raises(UnreadableRow) as caught:
        row(raw)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_parquet_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "rows.jsonl", [{"text": "a", "id": "x"}, {"text": "b", "persona": "baker"}])
    inputs = read_inputs([file], tmp_path / "work")
    first = list(read_examples(inputs.manifests[0]))
    parquet = tmp_path / "work" / "rows-0000" / "part-sft-00000.parquet"
    assert list(read_file(parquet)) == first
    assert not any(isinstance(found, Rejected) for found in first)


def test_review_takes_what_people_of_the_workspace_decided(tmp_path: Path) -> None:
    question = "Tom has 31 apples and buys 8. How many now?"
    write_jsonl(tmp_path / "rows.jsonl", [{"instruction": question, "output": "31 + 8 = 39\n#### 39"}])
    (tmp_path / "evals").mkdir()
    item = question + " Write one line for each step and say it in full sentences."
    write_jsonl(tmp_path / "evals/exam.jsonl", [{"question": item}])
    rule = {"preset": "tulu3", "cut_offs": {"ngram_coverage": {"review": 0.3}}}
    recipe = yaml.safe_load((RECIPE_FOLDER / "smoke.yaml").read_text()) | {"decontaminate": rule, "name": "own"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(recipe, allow_unicode=True))

    def do(*arguments: str) -> dict[str, Any]:
        return counts(posttrain(*arguments, "--json", folder=tmp_path))

    given = ("--evals", "evals", "--recipe", "own.yaml")
    do("collect", "--in", "rows.jsonl", "--out", "raw")
    do("convert", "--family", "alpaca", "--in", "raw", "--out", "rows")
    assert do("decontaminate", "--train", "rows", *given, "--out", "clean")["written"] == {"review_sft": 1}
    assert do("review", "--in", "clean", *given, "--out", "first")["written"] == {"sft": 1}, "paraphrased"
    log = DecisionLog(str(tmp_path / "workspace"))
    (line,) = log.lines()
    assert (line.action, line.who, line.run_id) == ("paraphrase", "unattended: paraphrase", "first")
    log.append(lambda lines: [replace(line, action="delete", who="rita", by_person=True)])
    assert do("review", "--in", "clean", *given, "--out", "second")["rows"] == {"read": 1, "kept": 0, "rejected": 1}
    assert len(log.lines()) == 2
