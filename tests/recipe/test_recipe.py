"""A recipe: what is refused, where the error points, and what its sections must agree on."""

from __future__ import annotations

import pytest
from tests.recipe.small import SMALL, line_of, refusal

from posttrain.recipe import MADE_SOURCES, RecipeError, load_recipe


def test_the_small_recipe_is_one(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    recipe = load_recipe(str(path))
    assert recipe.source("questions").license == "MIT"
    assert recipe.dpo.beta == 5.0 and recipe.sft.loss_reduction == "sum" and recipe.rlvr.reward == 10.0
    assert recipe.decontaminate.ngram_size == 8 and recipe.decontaminate.preset == "balanced"


@pytest.mark.parametrize(
    ("found", "wrong", "line", "keys", "said"),
    [
        ("max_length: 64}\ndpo", "max_lenght: 64}\ndpo", "sft: {learn", "sft.max_lenght", "did you mean 'max_length'?"),
        ("license: MIT", "licence: MIT", "licence: MIT", "sources.0.licence", "did you mean 'license'? allowed: category,"),
        ("path: questions", "pth: questions", "pth", "sources.0.load.pth", "did you mean 'path'? allowed: kind, path"),
        ("kind: tiny", "kind: tiny, layer: 2", "kind: tiny", "model.layer", "did you mean 'layers'?"),
        ("model:", "modle: {}\nmodel:", "modle", "modle", "did you mean 'model'? allowed: decontaminate, description, dpo,"),
        ("proportion: 1.0", "fraction: 1.0", "fraction", "mix.sft.0.fraction",
         "allowed: at_most, cite, count, pool, prompts, proportion, source"),
    ],
)
def test_an_unknown_key_is_refused_with_line_key_path_and_what_is_allowed(tmp_path, found, wrong, line, keys, said):
    text = SMALL.replace(found, wrong)
    message = refusal(tmp_path, text)
    assert f"small.yaml:{line_of(text, line)}: {keys}: unknown key; " in message
    assert said in message


@pytest.mark.parametrize(
    ("found", "wrong", "said"),
    [
        ("1.0e-3, batch_size: 8", "1.0e-3, batch_size: many", ":12: sft.batch_size: Input should be a valid integer"),
        ("learning_rate: 1.0e-3", "learning_rate: -1.0", ":12: sft.learning_rate: Input should be greater than 0"),
        ("learning_rate: 1.0e-3", "learning_rate: .nan", ":12: sft.learning_rate: Input should be a finite number"),
        ("kind: tiny", "kind: huge", ":11: model: Input tag 'huge' found using 'kind' does not match"),
        ("license: MIT", "license: MIT\n    category: maths", ":9: sources.0.category: Input should be 'general'"),
        ("origin: written for this test", "origin: ''", ":7: sources.0.origin: String should have at least 1 character"),
        ("name: questions", "name: ../questions", ":4: sources.0.name: String should match pattern"),
        ("name: questions", "name: a..b", ":4: sources.0.name: String should match pattern"),
        ("name: small", "name: Small Recipe", ":1: name: String should match pattern"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path, found, wrong, said):
    assert said in refusal(tmp_path, SMALL.replace(found, wrong))


@pytest.mark.parametrize("field", ["origin", "license"])
def test_a_source_without_origin_or_licence_is_refused(tmp_path, field):
    text = "\n".join(line for line in SMALL.splitlines() if f"    {field}:" not in line)
    assert f"small.yaml:4: sources.0.{field}: Field required" in refusal(tmp_path, text)


def test_all_mistakes_are_named_at_once(tmp_path):
    message = refusal(tmp_path, SMALL.replace("family: gsm8k", "famly: gsm8k").replace("kind: tiny", "kind: tiny, layers: 0"))
    assert len(message.splitlines()) == 3
    assert "sources.0.famly: unknown key" in message and "sources.0.family: Field required" in message
    assert "model.layers: Input should be greater than 0" in message
    assert "at least 1 item" not in message


def test_a_key_that_stands_twice_is_refused(tmp_path):
    message = refusal(tmp_path, SMALL.replace("    license: MIT", "    license: MIT\n    license: Apache-2.0"))
    assert "small.yaml:9: not valid YAML: key 'license' stands twice" in message


@pytest.mark.parametrize(("text", "said"), [
    ("a: 1\nname: [unclosed", ":2: not valid YAML"),
    ("- a\n- b\n", "a recipe is a mapping of keys, not list"),
    ("", "a recipe is a mapping of keys, not NoneType"),
    ("? [a, b]\n: 1\n", ":1: not valid YAML: a key is a plain text"),
])
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text, said):
    assert said in refusal(tmp_path, text)


def test_an_unknown_recipe_is_refused_with_the_names_that_exist():
    with pytest.raises(RecipeError, match=r"no recipe 'demmo'; did you mean 'demo'\? allowed: demo, real, smoke, tulu3-405b"):
        load_recipe("demmo")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mix": {"sft": [{"source": "question", "count": 1}]}},
         ":10: mix.sft.0.source: source 'question' is not defined; did you mean 'questions'?"),
        ({"mix": {"sft": [{"source": "questions", "count": 1}, {"source": "questions", "proportion": 1.0}]}},
         "mix.sft.1: source 'questions' stands twice"),
        ({"gate": {"thresholds": {"gsm8k": 0.5}}}, "gate.thresholds.gsm8k: no eval with a task measures skill 'gsm8k'"),
        ({"evals": [{"name": "a", "load": {"kind": "file", "path": "a"}, "task": "gsm9k"}]},
         "evals.0.task: no folder 'gsm9k' under include/evals; did you mean 'gsm8k'?"),
        ({"evals": [{"name": "a", "load": {"kind": "file", "path": "a"}}, {"name": "a", "load": {"kind": "file", "path": "b"}}]},
         "evals.1: eval 'a' stands twice"),
        ({"evals": [{"name": "a/../../b", "load": {"kind": "file", "path": "a"}}]}, "evals.0.name: String should match pattern"),
    ],
)
def test_names_must_agree_across_sections(tmp_path, change, said):
    assert said in refusal(tmp_path, SMALL, change)


def test_a_source_has_a_known_family_and_no_name_of_the_pipeline(tmp_path):
    message = refusal(tmp_path, SMALL.replace("family: gsm8k", "family: gsm9k"))
    assert "small.yaml:5: sources.0.family: 'gsm9k' is no source family; did you mean 'gsm8k'? allowed: alpaca," in message
    for name in MADE_SOURCES:
        message = refusal(tmp_path, SMALL.replace("questions", name))
        assert f"small.yaml:4: sources.0.name: '{name}' is the name of rows that the pipeline makes itself" in message
