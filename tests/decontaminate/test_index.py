from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from posttrain.collect import SourceError
from posttrain.decontaminate.eval_sets import EvalFilesChanged, NoEvalText, check_eval_files, pinned_evals, read_items
from posttrain.decontaminate.index import IndexMismatch, eval_names, load_index, read_eval_items
from posttrain.recipe import EvalSet, FileLoad, ProceduralLoad
from posttrain.storage import read_rejected, sha256_file


def spec(name: str, path: str, fields: tuple[str, ...] = ()) -> EvalSet:
    return EvalSet(name=name, load=FileLoad(kind="file", path=path), fields=fields)


def test_items_come_back_as_published_and_in_file_order(bench) -> None:
    rows = [{"question": f"Question number {n}?", "answer": str(n), "extra": {"n": None}} for n in range(3)]
    bench.add_eval("math", rows)
    bench.add_eval("other", ["Who?"])
    manifest = bench.index()
    assert read_eval_items(manifest, "math") == rows
    assert eval_names(manifest) == ["math", "other"]
    with pytest.raises(KeyError, match="no eval 'maths'.*math, other"):
        read_eval_items(manifest, "maths")


def test_an_item_id_is_file_and_row(bench) -> None:
    bench.add_eval("math", ["First?", "Second?"])
    assert load_index(bench.index()).item_id.to_pylist() == ["math.jsonl:0", "math.jsonl:1"]


def test_the_manifest_counts_items_texts_and_short_texts(bench) -> None:
    bench.add_eval("math", [{"passage": "one two three", "question": "a b c d e f g h"}, {"passage": None, "question": "x y"}],
                   ("passage", "question"))
    facts = bench.index().facts
    assert facts["evals"] == {"math": {"items": 2, "texts": 3, "texts_shorter_than_n": 2, "words": 13}}
    assert facts["eval_files"][0] == {
        "eval": "math", "file": "math.jsonl", "sha256": sha256_file(str(bench.folder / "evals" / "math.jsonl"))}


def test_an_item_without_text_is_rejected_with_file_row_and_field(bench) -> None:
    path = bench.add_eval("math", ["Good question?", {"answer": "42"}, {"question": "?!"}])
    path.write_text(path.read_text() + "{broken\n")
    manifest = bench.index()
    assert manifest.rows == {"read": 4, "kept": 1, "rejected": 3}
    found = [(row["reason"], row["raw_file"], row["raw_row"], row["field"]) for row in read_rejected(manifest)]
    assert found == [("missing_field", "math.jsonl", 1, "prompt"), ("missing_field", "math.jsonl", 2, "prompt"),
                     ("invalid_json", "math.jsonl", 3, None)]


def test_an_eval_set_of_which_no_item_could_be_found_stops_the_run_and_says_what_to_name(bench) -> None:
    """KoSBi's form: a context and a sentence, and no field that is known as a prompt."""
    rows = [{"context": "A man goes by.", "sentence": f"He is {n} years old."} for n in range(3)]
    bench.add_eval("kosbi", rows)
    with pytest.raises(NoEvalText, match=r"no row of the eval sets kosbi has a text to compare; name the fields"):
        bench.index()
    bench.evals.clear()
    bench.add_eval("kosbi", rows, ("context", "sentence"))
    assert bench.index().rows["kept"] == 3


def test_fields_that_no_item_has_stop_the_run(bench) -> None:
    bench.add_eval("good", ["Good question?"])
    bench.add_eval("math", ["Another question?"], ("qestion",))
    with pytest.raises(NoEvalText, match="math: 1 of 1 rows of math.jsonl have no text to compare in qestion; .* has question"):
        bench.index()


def test_items_that_are_left_out_are_counted_in_the_log(bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.add_eval("math", ["Good question?", {"answer": "42"}])
    bench.add_eval("judge_prompts", [{"template": "Rate this."}])  # no eval set, and in a folder of them
    bench.index()
    assert "eval set judge_prompts: 1 of 1 rows of judge_prompts.jsonl have no text to compare" in caplog.text
    assert "eval set math: 1 of 2 rows of math.jsonl have no text to compare and are not indexed" in caplog.text


def test_the_same_evals_give_the_same_bytes(bench) -> None:
    bench.add_eval("math", ["The quick brown fox jumps over the lazy dog today", "Who?"])
    first = bench.index()
    (bench.folder / "index").rename(bench.folder / "first")
    assert bench.index().content == first.content


def test_many_files_are_one_eval(tmp_path: Path) -> None:
    """MMLU's layout: headerless CSV files, the question in the first column."""
    (tmp_path / "b.csv").write_text('"Is it, or not?",yes,no,maybe,never,A\n')
    with gzip.open(tmp_path / "a.csv.gz", "wt") as f:
        f.write("What is 2+2?,1,2,3,4,D\nWhat is 3+3?,5,6,7,8,B\n")
    found = [(file, row, item["c0"]) for file, row, item in read_items(spec("mmlu", "*.csv*"), tmp_path, 0)]
    assert found == [("a.csv.gz", 0, "What is 2+2?"), ("a.csv.gz", 1, "What is 3+3?"), ("b.csv", 0, "Is it, or not?")]


def test_procedural_items_do_not_follow_the_recipes_seed() -> None:
    load = ProceduralLoad(kind="procedural", rows=5, skills=("addition", "subtraction"), seed_offset=7)
    evals = EvalSet(name="sums", load=load)
    first, second = (list(read_items(evals, Path("."), seed)) for seed in (0, 1))
    assert first == second
    assert [file for file, _, _ in first] == ["procedural/addition"] * 3 + ["procedural/subtraction"] * 2
    assert pinned_evals((evals,), Path("."), 0) == pinned_evals((evals,), Path("."), 1)


def test_pinned_evals_follow_the_bytes_of_the_files(tmp_path: Path) -> None:
    path = tmp_path / "math.jsonl"
    path.write_text('{"question": "Who?"}\n')
    first = pinned_evals((spec("math", "math.jsonl"),), tmp_path, 0)
    json.dumps(first)
    path.write_text('{"question": "Why?"}\n')
    assert pinned_evals((spec("math", "math.jsonl"),), tmp_path, 0) != first
    assert pinned_evals((spec("math", "math.jsonl", ("question",)),), tmp_path, 0) != first
    with pytest.raises(SourceError, match="none.jsonl"):
        pinned_evals((spec("math", "none.jsonl"),), tmp_path, 0)


def test_a_changed_eval_file_is_named_with_both_hashes(bench) -> None:
    path = bench.add_eval("math", ["Who?"])
    manifest = bench.index()
    check_eval_files(manifest)
    before = sha256_file(str(path))
    path.write_text(path.read_text() + "\n")
    with pytest.raises(EvalFilesChanged, match=f"math.jsonl.*{before} when indexed, now {sha256_file(str(path))}"):
        check_eval_files(manifest)
    path.unlink()
    with pytest.raises(EvalFilesChanged, match="no such file"):
        check_eval_files(manifest)


def test_an_index_of_another_normaliser_is_refused(bench) -> None:
    bench.add_eval("math", ["Who?"])
    manifest = bench.index()
    about = Path(manifest.file("index.json"))
    about.write_text(about.read_text().replace("words-3", "words-1"))
    with pytest.raises(IndexMismatch, match="words-1.*words-3"):
        load_index(manifest)


def test_a_stored_index_loads_as_it_was_built(bench) -> None:
    bench.add_eval("math", ["the cat sat on the mat and the dog sat too", "a short one"])
    index = load_index(bench.index())
    assert sorted(index.tables) == [3, 8]
    assert len(index.tables[8].hashes) == 4  # 11 words
    assert np.array_equal(np.sort(index.tables[8].positions), [0, 1, 2, 3])


def test_an_index_without_evals_finds_nothing(bench) -> None:
    done = bench.decontaminate([bench.sft("a", "Anything at all, however long it may be, is clean.")])
    assert done.rows == {"read": 1, "kept": 1, "rejected": 0}
