"""From generations to scores, by numbers one can redo by hand."""

from pathlib import Path

import pytest
import yaml

from posttrain.evaluate import task_file
from posttrain.evaluate.harness import harness_task, score_table, task_table
from posttrain.recipe import EvalSet
from posttrain.recipe.evals import EVAL_FOLDER, eval_tasks


def row(checkpoint: str, name: str, skill: str, score: float) -> dict:
    return {"checkpoint": checkpoint, "eval": name, "skill": skill, "score": score}


ROWS = [
    *[row("sft", "easy", "math", score) for score in (1.0, 1.0, 1.0, 0.0)],
    row("sft", "hard", "math", 0.0), row("sft", "hard", "math", 0.5),
    row("rlvr", "easy", "math", 1.0), row("rlvr", "hard", "math", 1.0),
]


def test_a_skill_is_the_mean_of_its_evals_and_not_of_its_items():
    scores = score_table(ROWS)
    assert scores["sft"]["math"] == pytest.approx((0.75 + 0.25) / 2)
    assert scores["rlvr"] == {"math": 1.0}


def test_a_task_says_how_many_items_by_which_verifier():
    about = {name: {"version": 1.0, "verifier": "gsm8k"} for name in ("easy", "hard")}
    assert task_table(ROWS, about)["sft"]["easy"] == {"score": 0.75, "items": 4, "version": 1.0, "verifier": "gsm8k"}


def test_the_harness_scores_with_the_verifier_of_the_task():
    spec = EvalSet.model_validate({
        "name": "addition", "skill": "addition", "task": "word_problems",
        "load": {"kind": "procedural", "rows": 1, "skills": ["addition"]},
    })
    items = [{"question": "사과 5개와 3개?", "answer": "5 + 3 = 8\n#### 8"}, {"question": "?", "answer": "#### 1"}]
    task = harness_task(spec.model_copy(update={"limit": 1}), items, max_new_tokens=8)
    assert len(task["custom_dataset"]()["test"]) == 1
    assert task["process_results"](items[0], ["모두 8개"]) == {"verified": 1.0}
    assert task["process_results"](items[0], ["7"]) == {"verified": 0.0}


@pytest.mark.parametrize("folder", eval_tasks())
def test_every_eval_folder_has_a_readme_with_its_version(folder: str):
    version = yaml.safe_load(task_file(folder).read_text())["metadata"]["version"]
    readme = Path(EVAL_FOLDER / folder / "README.md").read_text()
    assert f"| {version} |" in readme


def test_an_unknown_task_names_those_that_exist():
    with pytest.raises(FileNotFoundError, match="gsm8k, ifeval, word_problems"):
        task_file("gsm9k")
