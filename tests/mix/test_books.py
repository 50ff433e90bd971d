"""The books of a real run balance; whatever is spoiled in it comes out as unexplained rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from posttrain.cli import app
from posttrain.collect import collect
from posttrain.convert import convert_source
from posttrain.mix.books import books_of, keep_books
from posttrain.recipe import Source
from posttrain.run import Run
from posttrain.storage import ArtifactWriter


def test_every_row_of_a_run_is_explained(nights: tuple[Run, Run]) -> None:
    for run in nights:
        books = keep_books(run)
        assert (books.unexplained, books.problems) == (0, [])
    stages = {entry.stage for entry in keep_books(nights[0]).entries}
    assert stages == {"collect", "convert", "filter", "improve", "synthesize", "decontaminate", "review", "mix"}


def test_the_chain_goes_from_the_pool_to_the_mixture(nights: tuple[Run, Run]) -> None:
    run, books = nights[0], keep_books(nights[0])
    chain = books.chain("word_problems")
    assert list(chain) == ["pool", "converted", "made", "filtered", "deduplicated", "decontaminated", "mixed"]
    assert chain["pool"] == 400 and chain["converted"] > chain["filtered"] > chain["deduplicated"] >= chain["decontaminated"]
    dropped = {(stage, reason): rows for stage, source, reason, rows in books.reasons() if source == "word_problems"}
    assert chain["filtered"] - chain["deduplicated"] == dropped["filter", "duplicate_conversation"]
    assert chain["decontaminated"] - chain["mixed"] == dropped["mix", "not_sampled"]
    read = sum(run.manifest("mix").by_source[source]["read"] for source in books.sources())
    assert read == sum(books.chain(source)["decontaminated"] for source in books.sources())


ANSWERS = [{"prompt": "q", "response": text, **dict.fromkeys(("helpfulness", "correctness", "coherence", "complexity"), score),
            "verbosity": 1} for text, score in (("a", 4), ("b", 1), ("c", 0))]
MESSAGES = [{"message_id": n, "parent_id": parent, "message_tree_id": "1", "text": f"text {n}", "role": role, "lang": "en"}
            for n, parent, role in (("1", None, "prompter"), ("2", "1", "assistant"), ("3", "2", "prompter"),
                                    ("4", "3", "assistant"))]


@pytest.mark.parametrize(("family", "rows", "joined"), [("helpsteer2", ANSWERS, 2), ("oasst", MESSAGES, 3)])
def test_rows_that_become_one_example_together_are_explained(
    family: str, rows: list[Any], joined: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three answers to a prompt are a pair; four messages are a conversation. One row more is missing, and nobody can say why."""
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"no": "row"}]), encoding="utf-8")
    spec = Source.model_validate({"name": "s", "family": family, "origin": "here", "license": "MIT",
                                  "load": {"kind": "file", "path": "rows.jsonl"}})
    raw = ArtifactWriter(str(tmp_path / "raw"), stage="collect")
    collect(spec, tmp_path, 0, raw)
    collected = raw.finish()
    out = ArtifactWriter(str(tmp_path / "converted"), stage="convert",
                         parents=[{"stage": "collect", "path": collected.path, "content": collected.content}])
    convert_source(collected, spec, out)
    converted = out.finish()
    books = books_of("run", "recipe", [collected, converted], [])
    assert (books.unexplained, books.problems) == (0, [])
    assert [(e.stage, e.kept, e.joined, e.written) for e in books.entries] == [
        ("collect", len(rows) + 1, 0, len(rows) + 1), ("convert", len(rows), joined, 1)]
    converted.facts["joined"]["s"] -= 1
    assert books_of("run", "recipe", [collected, converted], []).unexplained == 1


def test_the_books_lie_in_the_folder_of_the_run(nights: tuple[Run, Run]) -> None:
    written = json.loads(Path(nights[0].folder, "books.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(keep_books(nights[0]).as_json())) and written["unexplained"] == 0


def edit(run: Run, stage: str, part: str, change: Callable[[dict[str, Any]], None]) -> None:
    path = Path(run.manifest(stage, part).file("manifest.json"))
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def keep_one_more(manifest: dict[str, Any]) -> None:
    manifest["by_source"]["word_problems"]["kept"] += 1
    manifest["rows"]["kept"] += 1


def read_ten_fewer(manifest: dict[str, Any]) -> None:
    manifest["by_source"]["word_problems"]["read"] -= 10
    manifest["rows"]["read"] -= 10


def forget_a_source(manifest: dict[str, Any]) -> None:
    manifest["by_source"].pop("word_problems")


def move_a_reason(manifest: dict[str, Any]) -> None:
    manifest["reasons"]["too_simple"] -= 1
    manifest["reasons"]["too_long"] = 1


@pytest.mark.parametrize(("stage", "part", "change", "said"), [
    ("filter", "", keep_one_more, "filter/.*: word_problems: [0-9]+ read, but [0-9]+ kept and"),
    ("decontaminate", "", read_ten_fewer, "decontaminate/.*: word_problems: [0-9]+ rows came, [0-9]+ were read"),
    ("mix", "", forget_a_source, "mix/.*: word_problems: [0-9]+ rows came, 0 were read"),
    ("filter", "", move_a_reason, "filter/.*: too_long: the files hold 0 rows, the manifest says 1"),
    ("convert", "word_problems", lambda m: m["written"].update(sft=1),
     "convert/.*: split sft holds [0-9]+ rows, the manifest says 1"),
    ("mix", "", lambda m: m["facts"]["amounts"].pop(0), "mix/.*: split sft: the amounts took [0-9]+ rows, [0-9]+ were written"),
])
def test_a_doctored_manifest_is_found_out(doctored: Run, stage: str, part: str, change: Any, said: str) -> None:
    edit(doctored, stage, part, change)
    books = keep_books(doctored)
    assert books.unexplained > 0 and any(re.match(said, problem) for problem in books.problems), books.problems


def test_a_row_that_a_file_has_lost_is_missed(doctored: Run) -> None:
    path = doctored.manifest("filter").file("part-sft-00000.parquet")
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    problems = keep_books(doctored).problems
    rows = table.num_rows
    assert any(f"part-sft-00000.parquet holds {rows - 1} rows, the manifest says {rows}" in problem for problem in problems)


def test_an_artifact_that_is_gone_is_said(doctored: Run) -> None:
    Path(doctored.manifest("convert", "word_problems").file("manifest.json")).unlink()
    problems = keep_books(doctored).problems
    assert any(problem.startswith("convert word_problems: the artifact is gone") for problem in problems)
    assert any("word_problems: 0 rows came" in problem for problem in problems)


def test_an_artifact_that_nobody_reads_is_missed(doctored: Run) -> None:
    def forget_review(manifest: dict[str, Any]) -> None:
        manifest["parents"] = [parent for parent in manifest["parents"] if parent["stage"] != "review"]

    edit(doctored, "mix", "", forget_review)
    books = keep_books(doctored)
    assert any(p.startswith("review/") and "no later stage read its" in p for p in books.problems) and books.unexplained > 0


def test_the_command_fails_where_a_row_is_unexplained(doctored: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTTRAIN_WORKSPACE", doctored.workspace)
    fine = CliRunner().invoke(app, ["books", "monday"])
    assert fine.exit_code == 0 and "unexplained rows: 0" in fine.stdout and "duplicate_conversation" in fine.stdout
    as_json = json.loads(CliRunner().invoke(app, ["books", "monday", "--json"]).stdout)
    assert as_json["unexplained"] == 0 and as_json["chain"]["word_problems"]["pool"] == 400
    edit(doctored, "filter", "", keep_one_more)
    wrong = CliRunner().invoke(app, ["books", "monday"])
    assert wrong.exit_code == 1 and "word_problems" in wrong.stderr and "unexplained rows: 0" not in wrong.stdout
