"""One recipe on top of another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.recipe.small import MORE, SMALL, extending

from posttrain.recipe import RecipeError, check_recipe, load_recipe


def test_sections_are_merged_and_sources_come_together(tmp_path):
    recipe = load_recipe(extending(tmp_path, MORE + "sft: {batch_size: 64}\n"))
    base = load_recipe(str(tmp_path / "small.yaml"))
    assert (recipe.name, [source.name for source in recipe.sources]) == ("over", ["questions", "more"])
    assert recipe.sft.batch_size == 64 and recipe.sft.learning_rate == base.sft.learning_rate and recipe.mix == base.mix
    replaced = load_recipe(extending(tmp_path, MORE.replace("name: more", "name: questions")))
    assert [(source.name, source.load.path) for source in replaced.sources] == [("questions", "b.jsonl")]
    assert check_recipe(recipe.model_dump(mode="json"), "run.json") == recipe


def test_a_section_of_another_kind_replaces_the_base_s(tmp_path):
    recipe = load_recipe(extending(tmp_path, "model: {kind: hub, id: org/model}\n"))
    assert recipe.model.id == "org/model"


@pytest.mark.parametrize(("text", "said"), [
    ("sft: {batch_sizes: 64}\n", "over.yaml:3: sft.batch_sizes: unknown key; did you mean 'batch_size'?"),
    (MORE.replace("gsm8k", "gsm9k"), "over.yaml:4: sources.1.family: 'gsm9k' is no source family"),
    ("mix: {sft: [{source: nothing, count: 1}]}\n", "over.yaml:3: mix.sft.0.source: source 'nothing' is not defined"),
    ("mix: {preference: [{source: questions, count: 1.0}]}\n", "over.yaml:3: mix.preference.0.count: Input should be a valid"),
])
def test_a_mistake_in_the_file_on_top_names_that_file(tmp_path, text, said):
    with pytest.raises(RecipeError, match=re.escape(said)):
        load_recipe(extending(tmp_path, text))


def test_a_mistake_in_the_base_names_the_base(tmp_path):
    base = SMALL.replace("license: MIT", "licence: MIT")
    with pytest.raises(RecipeError, match=r"small\.yaml:8: sources\.0\.licence: unknown key; did you mean 'license'"):
        load_recipe(extending(tmp_path, MORE, base))


@pytest.mark.parametrize(("line", "said"), [
    ("extends: {recipe: smal.yaml}", "over.yaml:1: extends.recipe: no recipe 'smal.yaml'"),
    ("extends: {recipe: tulu3-9b}", "over.yaml:1: extends.recipe: no recipe 'tulu3-9b'; did you mean 'tulu3-"),
    ("extends: {recipe: over.yaml}", "over.yaml:1: extends.recipe: 'over.yaml' extends this recipe itself"),
    ("extends: {recipe: small.yaml, without_sources: [question]}",
     "over.yaml:1: extends.without_sources.0: small.yaml has no source 'question'; did you mean 'questions'?"),
    ("extends: {recipes: small.yaml}", "over.yaml:1: extends.recipe: Field required"),
    ("extends: small.yaml", "over.yaml:1: extends: Input should be a valid dictionary"),
])
def test_a_base_that_cannot_be_had_is_refused(tmp_path, line, said):
    path = Path(extending(tmp_path, ""))
    path.write_text(path.read_text(encoding="utf-8").replace("extends: {recipe: small.yaml}", line), encoding="utf-8")
    with pytest.raises(RecipeError, match=re.escape(said)):
        load_recipe(str(path))
