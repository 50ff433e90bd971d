"""`tokenize` and `render` as a user calls them."""

from __future__ import annotations

import io
import json
import os
from contextlib import chdir, redirect_stderr, redirect_stdout
from subprocess import CompletedProcess
from unittest.mock import patch

import pytest

from posttrain.cli import main
from posttrain.schema import Message
from posttrain.storage import ArtifactWriter, load_manifest, read_rejected, read_rows
from posttrain.tokenize.rows import damaged_files

ROWS = [
    {"id": "ax38", "source": "seed", "messages": [
        {"role": "system", "content": "You are a helpful assistant"}, {"role": "user", "content": "What is 4 + 4?"},
        {"role": "assistant", "content": "4 + 4 = 8"}]},
    {"id": "ko", "source": "other", "messages": [
        {"role": "user", "content": "둘에 둘을\x1b[31m 더하면?"}, {"role": "assistant", "content": "넷"}]},
    {"instruction": "Classify.", "input": "Oak tree, copper ore", "output": "plant, mineral"},
]
BAD = {"id": "bad", "source": "seed", "messages": [
    {"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]}


def posttrain(*arguments, folder):
    out, err = io.StringIO(), io.StringIO()
    environment = patch.dict(os.environ, POSTTRAIN_WORKSPACE=str(folder / "workspace"))
    with chdir(folder), environment, redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return CompletedProcess(arguments, int(ended.value.code or 0), out.getvalue(), err.getvalue())


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    return path


def test_tokenize_prints_counts_and_leaves_an_artifact(file, saved, tmp_path):
    with file.open("a") as f:
        f.write(json.dumps(BAD) + "\nno json\n")
    given = ("--in", file, "--tokenizer", saved, "--template", "chatml")
    done = posttrain("tokenize", *given, "--out", "out", "--json", folder=tmp_path)
    counts = json.loads(done.stdout)
    assert done.returncode == 0 and counts["rows"] == {"read": 5, "kept": 3, "rejected": 2} and counts["written"] == {"sft": 3}
    assert counts["reasons"] == {"invalid_json": 1, "roles_do_not_alternate": 1}
    manifest = load_manifest(str(tmp_path / "out"))
    assert [row["id"] for row in read_rows(manifest)] == ["ax38", "ko", "rows_2"]
    assert {row["raw_row"] for row in read_rejected(manifest)} == {3, 4}
    assert manifest.parents[0]["path"] == str(file) and damaged_files(manifest) == []
    statistics = counts["facts"]["per_source"]
    assert set(statistics) == {"seed", "other", "rows"}
    assert counts["facts"]["tokens"] == sum(s["tokens"] for s in statistics.values())


def test_a_second_time_the_rows_come_from_the_workspace(file, saved, tmp_path):
    for out in ("a", "b"):
        done = posttrain("tokenize", "--in", file, "--tokenizer", saved, "--out", out, folder=tmp_path)
        assert done.returncode == 0
    assert "unchanged: same settings, code and inputs" in done.stderr
    assert "together" in done.stdout.splitlines()[-1]
    first, second = (load_manifest(str(tmp_path / out)) for out in ("a", "b"))
    assert (first.key, first.content) == (second.key, second.content)


def test_tokenize_takes_the_recipes_length(file, saved, tmp_path):
    given = ("--in", file, "--tokenizer", saved, "--json")
    done = posttrain("tokenize", *given, "--recipe", "smoke", "--out", "out", folder=tmp_path)
    assert json.loads(done.stdout)["facts"]["max_length"] == 128
    done = posttrain("tokenize", *given, "--max-length", 9, "--no-truncation", "--out", "short", folder=tmp_path)
    assert json.loads(done.stdout)["reasons"] == {"too_many_tokens": 3}


def test_rows_without_any_sft_row_are_an_error(tmp_path, saved):
    path = tmp_path / "rlvr.jsonl"
    path.write_text(json.dumps({"prompt": "1+1?", "ground_truth": "2"}) + "\n")
    done = posttrain("tokenize", "--in", path, "--tokenizer", saved, "--out", "out", folder=tmp_path)
    assert done.returncode == 1 and "no SFT rows to tokenise; rows: 1 in rlvr" in done.stderr


@pytest.mark.parametrize(("arguments", "complaint"), [
    (["tokenize", "--in", "rows.jsonl", "--tokenizer", "tokenizer", "--template", "chatlm", "--out", "o"],
     "no template 'chatlm'; there are tulu, chatml"),
    (["tokenize", "--in", "rows.jsonl", "--out", "o"], "missing: --tokenizer"),
    (["tokenize", "--in", "rows.jsonl", "--tokenizer", "nothing", "--out", "o"], "neither a file or folder nor a Hub id"),
    (["tokenize", "--in", "absent.jsonl", "--tokenizer", "tokenizer", "--out", "o"], "absent.jsonl"),
    (["render", "rows.jsonl", "--template", "chatlm"], "no template 'chatlm'; there are tulu, chatml"),
    (["render", "rows.jsonl"], "--template"),
    (["render", "rows.jsonl", "--template", "tokenizer"], "missing: --tokenizer"),
    (["render", "rows.jsonl", "--template", "tulu", "--rows", "0"], "--rows"),
])
def test_wrong_use_ends_with_2_and_says_what_is_allowed(file, saved, tmp_path, arguments, complaint):
    done = posttrain(*arguments, folder=tmp_path)
    assert done.returncode == 2 and complaint in " ".join(done.stderr.split()) and not done.stdout


def test_render_shows_ids_and_text_side_by_side_safe_for_a_terminal(file, real_file, tmp_path):
    done = posttrain("render", file, "--template", "chatml", "--tokenizer", real_file, "--rows", 2, folder=tmp_path)
    assert done.returncode == 0 and "\x1b" not in done.stdout and "'\\x1b" in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0].endswith("(50,282 tokens, added <|im_start|> 50280, <|im_end|> 50281)")
    assert lines[3].split() == ["0", "50280", "'<|im_start|>'"]
    assert sum("refused" in line for line in lines) == 0 and sum(line.startswith("  *") for line in lines) > 6


def test_render_as_json_has_the_exact_text(file, tmp_path):
    """Without a tokenizer: the tiny one, trained on the file."""
    done = posttrain("render", file, "--template", "chatml", "--rows", 1, "--json", folder=tmp_path)
    shown = json.loads(done.stdout)
    assert [row["text"] for row in shown["rows"]] == [
        "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n<|im_start|>user\nWhat is 4 + 4?<|im_end|>\n"
        "<|im_start|>assistant\n4 + 4 = 8<|im_end|>\n"]
    row = shown["rows"][0]
    assert "".join(row["pieces"]) == row["text"] and len(row["input_ids"]) == len(row["labels"])


def test_render_of_an_alpaca_row_has_its_input_in_its_place(file, tmp_path):
    done = posttrain("render", file, "--template", "alpaca", "--json", folder=tmp_path)
    texts = [row["text"] for row in json.loads(done.stdout)["rows"]]
    assert texts[2].endswith(
        "### Instruction:\nClassify.\n\n### Input:\nOak tree, copper ore\n\n### Response:\nplant, mineral<|end_of_text|>")
    assert done.returncode == 1, "Alpaca has no place for the first row's system prompt"


def test_a_row_that_is_refused_is_shown_in_its_place_and_ends_with_1(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (ROWS[0], BAD, {"messages": 3})))
    done = posttrain("render", path, "--template", "llama2", folder=tmp_path)
    assert done.returncode == 1
    refused = [line for line in done.stdout.splitlines() if "refused" in line]
    assert refused == ["bad  source seed  refused: roles_do_not_alternate in messages: user user assistant",
                       "row 2  source rows  refused: wrong_type in messages: a list of messages, not int"]


def test_artifacts_are_read_and_tokenised_ones_refused(mixture, tmp_path, saved):
    manifest = mixture((Message("user", "a"), Message("assistant", "b")))
    done = posttrain("render", manifest.path, "--template", "tulu", "--tokenizer", saved, folder=tmp_path)
    assert done.returncode == 0 and "seed_0" in done.stdout
    assert posttrain("tokenize", "--in", manifest.path, "--tokenizer", saved, "--out", "out", folder=tmp_path).returncode == 0
    for again in (("tokenize", "--in", "out", "--out", "again"), ("render", "out", "--template", "tulu")):
        done = posttrain(*again, "--tokenizer", saved, folder=tmp_path)
        assert done.returncode == 1 and "out is tokenised already" in done.stderr


def test_the_tokenizer_of_a_checkpoint_artifact_is_found(file, saved, tmp_path):
    out = ArtifactWriter(str(tmp_path / "sft"), stage="sft", key="s")
    out.add_folder("checkpoint", str(saved))
    out.finish()
    assert posttrain("tokenize", "--in", file, "--tokenizer", "sft", "--out", "out", folder=tmp_path).returncode == 0
