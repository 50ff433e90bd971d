"""Review of sources: a typed decision in the recipe, and no release of external rows without one that accepts."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from posttrain.gate import judge_run
from posttrain.recipe import RecipeError, check_recipe, load_recipe
from posttrain.release import ReleaseRefused, build_release
from posttrain.run import Run, start_run
from posttrain.schema import Message, SFTExample
from posttrain.source_review import source_rows, undecided_sources
from posttrain.storage import ArtifactWriter, StorageError

TRAINING = {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64}
RECIPE: dict[str, Any] = {
    "name": "reviewed", "description": "An external and a procedural source.",
    "sources": [
        {"name": "web", "family": "alpaca", "origin": "the web", "license": "MIT", "load": {"kind": "file", "path": "web.jsonl"}},
        {"name": "sums", "family": "gsm8k", "origin": "here", "license": "Apache-2.0",
         "load": {"kind": "procedural", "rows": 2, "skills": ["addition"]}},
    ],
    "mix": {"sft": [{"source": "web", "proportion": 1.0}, {"source": "sums", "proportion": 1.0}]},
    "model": {"kind": "tiny"}, "sft": TRAINING, "dpo": TRAINING, "rlvr": TRAINING,
}
ROWS = {"web": 3, "sums": 2, "improved": 1}


def reviewed(**review: Any) -> dict[str, Any]:
    recipe = copy.deepcopy(RECIPE)
    recipe["sources"][0]["review"] = review
    return recipe


ACCEPTED = {"decision": "accept", "by": "김민지", "date": "2026-11-21", "note": "50 rows read"}


def test_an_external_source_needs_a_decision_and_a_procedural_one_does_not() -> None:
    (line,) = undecided_sources(check_recipe(RECIPE, "test"), ROWS)
    assert line.startswith("web (3 rows): no review;") and "posttrain sample web --recipe reviewed" in line


def test_a_decision_that_accepts() -> None:
    recipe = check_recipe(reviewed(**ACCEPTED), "test")
    assert undecided_sources(recipe, ROWS) == []
    review = recipe.source("web").review
    assert review and (review.by, str(review.date), review.note) == ("김민지", "2026-11-21", "50 rows read")


def test_only_sources_that_the_rows_come_from_count() -> None:
    assert undecided_sources(check_recipe(RECIPE, "test"), {"sums": 2}) == []


def test_rows_of_a_source_that_the_recipe_does_not_know() -> None:
    assert undecided_sources(check_recipe(reviewed(**ACCEPTED), "test"), {"elsewhere": 1}) == [
        "elsewhere (1 rows): the recipe does not define it"]


def test_a_rejected_source_may_stand_in_the_recipe_but_not_in_the_mixture() -> None:
    recipe = reviewed(**ACCEPTED | {"decision": "reject"})
    with pytest.raises(RecipeError, match=r"mix\.sft\.0\.source: source 'web' was rejected in review \(김민지, 2026-11-21\)"):
        check_recipe(recipe, "test")
    recipe["mix"]["sft"] = recipe["mix"]["sft"][1:]
    checked = check_recipe(recipe, "test")
    assert undecided_sources(checked, {"web": 1}) == ["web (1 rows): rejected by 김민지 on 2026-11-21: 50 rows read"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [({"decision": "maybe"}, "review.decision"), ({"by": ""}, "review.by"), ({"date": "soon"}, "review.date"),
     ({"who": "x"}, "unknown key")],
)
def test_a_review_is_typed(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        check_recipe(reviewed(**ACCEPTED | change), "test")


def test_a_date_as_yaml_reads_it(tmp_path: Path) -> None:
    """YAML makes a date of an unquoted 2026-11-21."""
    import yaml

    path = tmp_path / "my.yaml"
    review = "review: {decision: accept, by: me, date: 2026-11-21}"
    path.write_text(yaml.safe_dump(RECIPE).replace("origin: the web", f"origin: the web\n  {review}"))
    assert undecided_sources(load_recipe(str(path)), ROWS) == []


def test_a_decision_changes_no_key() -> None:
    """What was converted before the decision is what was decided about; it is not converted again."""
    from posttrain import pipeline

    keys = set()
    for recipe in (copy.deepcopy(RECIPE), reviewed(**ACCEPTED)):
        recipe["sources"][0]["load"] = {"kind": "procedural", "rows": 2, "skills": ["addition"]}
        recipe["sources"][0]["family"] = "gsm8k"
        run = start_run(check_recipe(recipe, "test"), "keys")
        pipeline.collect(run, "web")
        keys.add(pipeline.convert(run, "web").manifest.key)
    assert len(keys) == 1


def test_rows_are_counted_over_all_splits(tmp_path: Path) -> None:
    out = ArtifactWriter(str(tmp_path / "mix"), stage="mix")
    for number, source in enumerate(["a", "a", "b"]):
        out.read(source)
        out.keep(SFTExample(id=str(number), source=source, category="general", skill="general", language="en", license="MIT",
                            messages=(Message("user", "q"), Message("assistant", "a"))))
    manifest = out.finish()
    assert source_rows([manifest, manifest]) == {"a": 4, "b": 2}


# ---------------------------------------------------------------- the release


def run_with_a_row_of(source: str, recipe: dict[str, Any]) -> Run:
    """A run whose gate passed; its mixture has one row. Nothing is trained: the release looks at the reviews before that."""
    value = recipe | {
        "evals": [{"name": "sums_test", "skill": "addition", "task": "word_problems",
                   "load": {"kind": "procedural", "rows": 2, "skills": ["addition"]}}],
        "evaluate": {"checkpoints": ["sft"]}, "gate": {"thresholds": {"addition": 0.5}},
    }
    run = start_run(check_recipe(value, "test"), f"review-{source}-{'review' in recipe['sources'][0]}")
    row = SFTExample(id="1", source=source, category="general", skill="general", language="en", license="MIT",
                     messages=(Message("user", "q"), Message("assistant", "a")))

    def mix(out: ArtifactWriter) -> None:
        out.read(source)
        out.keep(row)

    def record(stage: str, work: Any) -> None:
        run.stage(stage, "posttrain.storage", inputs=[], settings={"source": source}, work=work)

    record("mix", mix)
    record("sft", lambda out: None)
    record("evaluate", lambda out: out.facts.update(scores={"sft": {"addition": 1.0}}, tasks={}))
    judge_run(run)
    return run


def test_a_release_is_refused_without_a_review_of_an_external_source() -> None:
    with pytest.raises(ReleaseRefused, match=r"sources without a review that accepts them:\nweb \(1 rows\): no review"):
        build_release(run_with_a_row_of("web", RECIPE))


@pytest.mark.parametrize(("source", "recipe"), [("web", reviewed(**ACCEPTED)), ("sums", RECIPE)], ids=["accepted", "procedural"])
def test_a_release_goes_on_with_an_accepted_or_procedural_source(source: str, recipe: dict[str, Any]) -> None:
    """As far as the checkpoint, which is not there."""
    with pytest.raises(StorageError, match="no checkpoint"):
        build_release(run_with_a_row_of(source, recipe))
