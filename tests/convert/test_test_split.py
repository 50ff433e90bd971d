"""No question of GSM8K's test split gets through, in whatever family and form; no training question is stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli.rows import read_file
from posttrain.convert import FAMILIES
from posttrain.convert.draft import check_draft
from posttrain.raw_files import read_raw_file
from posttrain.schema import Rejected, UnreadableRow

TEST, TRAIN = "eval/openai__grade-school-math/test.jsonl.gz", "train/openai__grade-school-math/train.jsonl.gz"
RLVR = "train/allenai__open-instruct/rlvr_sample.jsonl.gz"

FORMS: dict[str, Callable[[str], str]] = {
    "as published": str,
    "upper case": str.upper,
    "white space": lambda q: "\n " + q.replace(" ", " \t ") + "  ",
    "no punctuation": lambda q: "".join(c for c in q if c.isalnum() or c.isspace()),
    "an instruction before and after": lambda q: f"Solve the problem: {q}\n\nThink step by step, then write #### and the number.",
}
ROWS: dict[str, Callable[[str], Any]] = {
    "gsm8k": lambda q: {"question": q, "answer": "So it is.\n#### 1"},
    "math": lambda q: {"problem": q, "solution": "\\boxed{1}"},
    "rlvr": lambda q: {"messages": [{"role": "user", "content": q}], "ground_truth": "1", "dataset": "gsm8k"},
    "rlvr_gsm": lambda q: {"messages": [{"role": "user", "content": q}], "ground_truth": ["1"], "dataset": "gsm8k"},
    "code_tests": lambda q: {"question": q, "test_cases": ["assert f() == 1"]},
    "ifeval_rows": lambda q: {"prompt": q, "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
}


def refused(family: str, question: str) -> bool:
    """Whether the row is refused as one of the test split, and by every draft of a guarded source."""
    try:
        for draft in FAMILIES[family].convert(ROWS[family](question)):
            check_draft(draft, "rlvr" in FAMILIES[family].kinds)
    except UnreadableRow as error:
        return error.reason == "test_split_row"
    return False


@pytest.fixture(scope="module")
def questions(test_data: Path) -> list[str]:
    return [row["question"] for _, row in read_raw_file(test_data / TEST)]


@pytest.fixture(scope="module")
def examples(test_data: Path) -> str:
    """The eight worked examples that stand before the question in the published RLVR rows."""
    row = next(row for _, row in read_raw_file(test_data / RLVR) if row["dataset"] == "gsm8k")
    return row["messages"][0]["content"].rpartition("Question:")[0]


def test_every_family_that_a_reward_is_computed_on_is_here() -> None:
    own = {FAMILIES[name].convert for name in ROWS}
    assert {name for name, family in FAMILIES.items() if "rlvr" in family.kinds and family.convert not in own} == set()


@pytest.mark.parametrize("form", FORMS)
def test_in_every_form(form: str, questions: list[str]) -> None:
    assert len(questions) == 1319
    assert [q for q in questions if not refused("rlvr", FORMS[form](q))] == []


@pytest.mark.parametrize("family", ROWS)
def test_in_every_family_after_worked_examples(family: str, questions: list[str], examples: str) -> None:
    assert examples.count("Question:") == 8
    assert all(refused(family, f"{examples}Question: {q}") for q in questions[::9])


def test_the_training_split_passes(test_data: Path, examples: str) -> None:
    train = [row["question"] for _, row in read_raw_file(test_data / TRAIN)]
    assert len(train) == 7473 and not any(refused("gsm8k", q) for q in train)
    assert not any(refused("rlvr", f"{examples}Question: {q}") for q in train[::75])


def rows_of(path: Path) -> Iterator[Any]:
    return (found for found in read_file(path))


def test_a_file_of_reward_rows_that_a_later_stage_reads_passes_the_same_guard(questions: list[str], tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": question, "ground_truth": "1", "verifier": "gsm8k"} for question in questions[:20]]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert all(isinstance(row, Rejected) and row.reason == "test_split_row" for row in rows_of(path))
