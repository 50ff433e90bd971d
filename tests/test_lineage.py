"""A row of the mixture back to its raw row, through the real data stages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from posttrain import pipeline
from posttrain.lineage import RowNotFound, _passed_rules, trace
from posttrain.recipe import DATA_STAGES, check_recipe
from posttrain.run import Run, start_run
from posttrain.storage import read_rows

QUESTIONS = [
    ("Tom has 12 apples and buys 7. How many now?", "12 + 7 = 19\n#### 19"),
    ("2+2?", "2 + 2 = 4\n#### 4"),
    ("Ann found 5 coins, then 9 more. What is the total?", "5 + 9 = 14\n#### 14"),
    ("민수에게 사과 3개가 있고 8개를 더 샀습니다. 모두 몇 개인가요?", "3 + 8 = 11\n#### 11"),
    ("Ben has 20 pens and buys 6. How many now?", "As ChatGPT, I say 26.\n#### 26"),
    ("Zoe had 33 shells but sold 4. What is left?", "33 - 4 = 29\n#### 29"),
]
RECIPE: dict[str, Any] = {
    "name": "small", "description": "six rows", "seed": 0,
    "sources": [{
        "name": "problems", "family": "gsm8k", "origin": "written by hand", "license": "MIT", "category": "math",
        "load": {"kind": "file", "path": "REPLACED"},
    }],
    "evals": [{"name": "shells", "fields": ["question"], "load": {"kind": "file", "path": "REPLACED"}}],
    "synthesize": {"rows": {"variation": 2}},
    "mix": {
        "sft": [{"source": name, "proportion": 1.0} for name in ("problems", "improved", "synthesized")],
        "rlvr": [{"source": "problems", "proportion": 1.0}],
    },
    "model": {"kind": "tiny"},
    "sft": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
    "dpo": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
    "rlvr": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The data half of a run over QUESTIONS; the last one is an eval item as well."""
    folder = tmp_path_factory.mktemp("lineage")
    rows = [json.dumps({"question": q, "answer": a}, ensure_ascii=False) for q, a in QUESTIONS]
    (folder / "problems.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "shells.jsonl").write_text(rows[-1] + "\n", encoding="utf-8")
    value = json.loads(json.dumps(RECIPE))
    value["sources"][0]["load"]["path"] = str(folder / "problems.jsonl")
    value["evals"][0]["load"]["path"] = str(folder / "shells.jsonl")
    run = start_run(check_recipe(value, "test"), "small", workspace=str(folder / "workspace"))
    for stage in DATA_STAGES:
        if stage in pipeline.MAPPED_STAGES:
            pipeline.MAPPED_STAGES[stage](run, "problems")
        else:
            pipeline.LIBRARY_STAGES[stage](run)
    return run


def test_a_selected_row_goes_back_to_its_raw_text(run: Run) -> None:
    steps = trace("problems_0", run, run.workspace)
    assert [step.stage for step in steps] == ["mix", "decontaminate", "filter", "convert", "collect"]
    assert steps[0].what == "in split sft"
    assert "keywords" in steps[2].rules["passed"] and "duplicates" in steps[2].rules["passed"]
    assert steps[3].rules == {"family": "gsm8k", "license": "MIT", "origin": "written by hand"}
    assert json.loads(steps[-1].row)["question"] == QUESTIONS[0][0]
    assert steps[-1].what.startswith("raw row 0 of ") and steps[-1].what.endswith("problems.jsonl")


def test_a_korean_row_and_its_rlvr_twin_end_at_the_same_raw_row(run: Run) -> None:
    raw = [trace(row_id, run, run.workspace)[-1].row for row_id in ("problems_3", "problems_3-rlvr")]
    assert raw[0] == raw[1] and json.loads(raw[0])["question"] == QUESTIONS[3][0]


def test_a_rewritten_row_goes_through_the_teacher_to_the_prompt_that_was_too_simple(run: Run) -> None:
    row_id = next(row["id"] for row in read_rows(run.manifest("mix"), "sft") if row["source"] == "improved")
    steps = trace(row_id, run, run.workspace)
    improved = next(step for step in steps if step.stage == "improve")
    parent = improved.row["parent_id"]
    assert parent in ("problems_1", "problems_1-rlvr")
    assert improved.what.startswith(f"rewritten from {parent}, teacher request ")
    assert Path(improved.rules["journal_file"]).is_file()
    assert json.loads(Path(improved.rules["journal_file"]).read_text(encoding="utf-8"))["key"] == improved.row["request_id"]
    original = [step for step in steps if step.row_id == parent]
    assert [step.stage for step in original] == ["filter", "convert", "collect"]
    assert original[0].what.startswith("dropped: too_simple")
    assert json.loads(original[-1].row)["question"] == "2+2?"


def test_a_synthesized_row_names_its_request(run: Run) -> None:
    row = next(row for row in read_rows(run.manifest("mix"), "sft") if row["source"] == "synthesized")
    steps = trace(row["id"], run, run.workspace)
    made = next(step for step in steps if step.stage == "synthesize")
    assert Path(made.rules["journal_file"]).is_file()
    assert steps[-1].stage == "collect" and steps[-1].row_id == row["parent_id"]


@pytest.mark.parametrize(
    ("row_id", "stage", "reason"),
    [("problems_4", "filter", "names_another_assistant"), ("problems_5", "decontaminate", "contaminated")],
)
def test_a_dropped_row_says_where_and_why(run: Run, row_id: str, stage: str, reason: str) -> None:
    steps = trace(row_id, run, run.workspace)
    assert steps[0].stage == stage and steps[0].what.startswith(f"dropped: {reason}")
    assert steps[-1].stage == "collect"


def test_a_contaminated_row_shows_its_best_match(run: Run) -> None:
    match = trace("problems_5", run, run.workspace)[0].rules["best_match"]
    assert (match["eval"], match["score"]) == ("shells", 1.0)


def test_without_a_run_the_workspace_is_searched(run: Run) -> None:
    assert trace("problems_0", None, run.workspace) == trace("problems_0", run, run.workspace)


def test_an_unknown_id_gives_close_ones(run: Run) -> None:
    with pytest.raises(RowNotFound, match="no row 'problem_0' in run small; close to it: problems_0"):
        trace("problem_0", run, run.workspace)


def test_the_command_prints_the_raw_row_and_fails_with_1_on_an_unknown_id(run: Run) -> None:
    def lineage(*arguments: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "POSTTRAIN_WORKSPACE": run.workspace}
        return subprocess.run([sys.executable, "-m", "posttrain", "lineage", *arguments], env=env, capture_output=True, text=True)

    done = lineage("problems_3")
    assert done.returncode == 0 and QUESTIONS[3][0] in done.stdout and "keywords" in done.stdout
    assert [step["stage"] for step in json.loads(lineage("problems_3", "--json").stdout)][-1] == "collect"
    unknown = lineage("problem_3", "--run", "small")
    assert unknown.returncode == 1 and "problems_3" in unknown.stderr and "Traceback" not in unknown.stderr


@pytest.mark.parametrize("reason", ["duplicate_conversation", "duplicate_prompt", "near_duplicate", "semantic_duplicate"])
def test_a_duplicate_of_any_kind_did_not_pass_the_duplicates(reason: str) -> None:
    assert _passed_rules({"keywords": 0, "duplicates": 1, "select": 0}, reason) == ["keywords"]
    assert _passed_rules({"keywords": 0, "duplicates": 1}, None) == ["keywords", "duplicates"]
