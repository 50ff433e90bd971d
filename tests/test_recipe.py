"""Recipes: what is refused, where the error points, and the published numbers of tulu3-8b."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from posttrain.collect import source_files
from posttrain.convert import FAMILIES
from posttrain.convert.rows import convert_rows
from posttrain.decontaminate.presets import CutOffs
from posttrain.raw_files import read_raw_file
from posttrain.recipe import (
    MADE_SOURCES,
    RECIPE_FOLDER,
    STAGES,
    Amount,
    Decontaminate,
    HubLoad,
    Recipe,
    RecipeError,
    check_recipe,
    data_root,
    load_recipe,
    recipe_names,
)
from posttrain.storage import ArtifactWriter

SMALL = """\
name: small
description: one source, as little as a recipe can hold
sources:
  - name: questions
    family: gsm8k
    load: {kind: file, path: questions.jsonl}
    origin: written for this test
    license: MIT
mix:
  sft: [{source: questions, proportion: 1.0}]
model: {kind: tiny}
sft: {learning_rate: 1.0e-3, batch_size: 8, max_length: 64}
dpo: {learning_rate: 1.0e-4, batch_size: 8, max_length: 64}
rlvr: {learning_rate: 1.0e-4, batch_size: 8, max_length: 64}
"""


def refusal(tmp_path: Path, text: str, overrides: dict | None = None) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        load_recipe(str(path), overrides)
    return str(error.value)


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), start=1) if part in line)


def test_the_small_recipe_is_one(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    recipe = load_recipe(str(path))
    assert recipe.source("questions").license == "MIT"
    assert recipe.dpo.beta == 5.0 and recipe.sft.loss_reduction == "sum" and recipe.rlvr.reward == 10.0
    assert recipe.decontaminate.ngram_size == 8 and recipe.decontaminate.preset == "balanced"


# ---------------------------------------------------------------- refusals


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


# ---------------------------------------------------------------- cut-offs


def rules(**section):
    return Decontaminate.model_validate({"preset": "tulu3"} | section)


def test_a_recipe_changes_a_preset_measure_by_measure_and_eval_by_eval():
    found = rules(preset="seed", cut_offs={"count_cosine": {"review": 0.5}, "jaccard": {"remove": None}},
                  evals={"gsm8k": {"count_cosine": {"remove": 0.8}}})
    assert found.cut_offs == {
        "ngram_coverage": CutOffs(remove=0.9, review=0.6), "count_cosine": CutOffs(remove=0.9, review=0.5),
        "jaccard": CutOffs(review=0.6), "reworded": CutOffs(review=0.5)}
    assert found.cut_offs_of("gsm8k", "count_cosine") == CutOffs(remove=0.8, review=0.5)
    assert found.cut_offs_of("mmlu", "count_cosine") == CutOffs(remove=0.9, review=0.5)
    assert found.floors() == {"ngram_coverage": 0.6, "count_cosine": 0.5, "jaccard": 0.6, "reworded": 0.5}
    assert rules(**found.model_dump()) == found


def test_dense_takes_part_where_a_model_is_named():
    assert "dense" not in rules(preset="seed").floors()
    assert rules(preset="seed", dense_model="all-MiniLM-L6-v2").floors()["dense"] == 0.6


def test_a_band_below_the_published_rule_leaves_the_removal_as_it_is():
    assert rules(cut_offs={"ngram_coverage": {"review": 0.35}}).cut_offs == {"ngram_coverage": CutOffs(remove=0.5, review=0.35)}


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("cut_offs: {ngram_coverage: {review: 0.5}}",
         "decontaminate.cut_offs.ngram_coverage.review: review (0.5) must be below remove (0.5): rows from review up to remove"),
        ("cut_offs: {ngram_coverage: {remove: 0.3, review: 0.4}}", "review (0.4) must be below remove (0.3)"),
        ("cut_offs: {ngram_coverag: {remove: 0.3}}", "decontaminate.cut_offs.ngram_coverag"),
        ("cut_offs: {cosine: {remov: 0.3}}", "decontaminate.cut_offs.cosine.remov: unknown key; did you mean 'remove'?"),
        ("cut_offs: {dense: {review: 0.8}}", "decontaminate.cut_offs.dense: name a model as well: decontaminate.dense_model"),
        ("cut_offs: {ngram_coverage: {remove: 1.0}}", "1 cannot be a cut-off of this preset: no score is above 1"),
        ("{preset: seed, cut_offs: {jaccard: {review: 0.0}}}", "0 cannot be a cut-off of this preset: every item would"),
        ("cut_offs: {cosine: {remove: 90}}", "Input should be less than or equal to 1"),
        ("evals: {gsm9k: {cosine: {remove: 0.9}}}", "decontaminate.evals.gsm9k: no eval 'gsm9k'; did you mean 'gsm8k'?"),
        ("evals: {gsm8k: {ngram_coverage: {review: 0.7}}}",
         "decontaminate.evals.gsm8k.ngram_coverage.review: review (0.7) must be below remove (0.5)"),
        ("threshold: 0.4", "decontaminate.threshold: unknown key"),
        ("preset: tulu", "decontaminate.preset: Input should be 'tulu3'"),
    ],
)
def test_a_wrong_cut_off_is_refused_with_its_line(tmp_path, section, said):
    section = section if section.startswith("{") else "{" + ("" if "preset" in section else "preset: tulu3, ") + section + "}"
    text = SMALL + f"evals: [{{name: gsm8k, load: {{kind: file, path: gsm8k.jsonl}}}}]\ndecontaminate: {section}\n"
    message = refusal(tmp_path, text)
    assert f"small.yaml:{len(text.splitlines())}: decontaminate." in message
    assert said in message


def test_a_source_has_a_known_family_and_no_name_of_the_pipeline(tmp_path):
    message = refusal(tmp_path, SMALL.replace("family: gsm8k", "family: gsm9k"))
    assert "small.yaml:5: sources.0.family: 'gsm9k' is no source family; did you mean 'gsm8k'? allowed: alpaca," in message
    for name in MADE_SOURCES:
        message = refusal(tmp_path, SMALL.replace("questions", name))
        assert f"small.yaml:4: sources.0.name: '{name}' is the name of rows that the pipeline makes itself" in message


# ---------------------------------------------------------------- amounts


@pytest.mark.parametrize("given", [{"count": 3}, {"count": 0}, {"proportion": 1.0}, {"proportion": 0.5}, {"proportion": 2.5}])
def test_an_amount_is_a_count_or_a_proportion(given):
    amount = Amount(source="a", **given)
    assert (amount.count, amount.proportion) == (given.get("count"), given.get("proportion"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"count": 1.0}, "valid integer"),
        ({"count": "3"}, "valid integer"),
        ({"count": True}, "valid integer"),
        ({"count": -1}, "greater than or equal to 0"),
        ({"proportion": 1}, "a proportion is a float: 1.0 is 1 times the source, `count: 1` is 1 rows"),
        ({"proportion": 500}, "a proportion is a float: 500.0 is 500 times the source, `count: 500` is 500 rows"),
        ({"proportion": "0.5"}, "valid number"),
        ({"proportion": True}, "valid number"),
        ({"proportion": -0.5}, "greater than or equal to 0"),
        ({"proportion": float("inf")}, "finite number"),
        ({"count": 1, "proportion": 1.0}, "exactly one of `count`"),
        ({}, "exactly one of `count`"),
    ],
)
def test_an_amount_that_does_not_say_which_it_is_is_refused(given, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Amount(source="a", **given)


# ---------------------------------------------------------------- overrides


def test_overrides_merge_key_by_key_and_are_checked_too():
    recipe = load_recipe("smoke", {"gate": {"thresholds": {"addition": 0.1}, "max_rounds": 3}, "seed": 7})
    assert recipe.gate.thresholds == {"addition": 0.1, "korean_division": 0.8}
    assert recipe.gate.max_rounds == 3 and recipe.seed == 7
    assert recipe.sft == load_recipe("smoke").sft
    with pytest.raises(RecipeError, match=r"gate\.max_rouns: unknown key; did you mean 'max_rounds'"):
        load_recipe("smoke", {"gate": {"max_rouns": 3}})


def test_an_override_replaces_a_list_whole():
    recipe = load_recipe("smoke", {"mix": {"rlvr": [{"source": "word_problems", "count": 5}]}})
    assert [amount.count for amount in recipe.mix.rlvr] == [5]


# ---------------------------------------------------------------- the recipes of this project


def test_the_recipes_that_exist():
    assert set(recipe_names()) >= {"demo", "smoke", "real", "tulu3-8b"}


@pytest.mark.parametrize("name", [path.stem for path in sorted(RECIPE_FOLDER.glob("*.yaml"))])
def test_every_recipe_loads_and_survives_json(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert check_recipe(recipe.model_dump(mode="json"), "run.json") == recipe


def test_the_stages_stand_in_the_order_of_the_design():
    assert STAGES[0] == "collect" and STAGES[-1] == "release" and len(STAGES) == 16
    assert STAGES.index("decontaminate") < STAGES.index("mix") < STAGES.index("sft") < STAGES.index("dpo") < STAGES.index("rlvr")


def test_the_data_root_is_a_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("POSTTRAIN_DATA_ROOT", str(tmp_path))
    assert data_root() == tmp_path
    monkeypatch.delenv("POSTTRAIN_DATA_ROOT")
    assert data_root() == Path.cwd()


# ---------------------------------------------------------------- tulu3-8b


@pytest.fixture(scope="module")
def tulu() -> Recipe:
    return load_recipe("tulu3-8b")


def test_published_totals(tulu):
    assert sum(amount.count for amount in tulu.mix.sft) == 939_344
    assert sum(amount.count for amount in tulu.mix.preference) == 271_409
    assert sum(amount.count for amount in tulu.mix.rlvr) == 29_946
    assert [amount.count for amount in tulu.mix.rlvr] == [7_473, 7_500, 14_973]
    assert (len(tulu.mix.sft), len(tulu.mix.preference)) == (19, 7)


def test_published_parts(tulu):
    counts = {amount.source: amount.count for amount in tulu.mix.sft}
    # The card's list leaves out OpenMathInstruct 2 and sums to 889,344.
    assert sum(counts.values()) - counts["tulu_v3.9_open_math_2_gsm8k_50k"] == 889_344
    personas = [tulu.source(n) for n in counts if n.startswith(("personahub", "tulu-3-sft-personas")) or "personahub" in n]
    assert sum(counts[source.name] for source in personas) == 284_919
    by_category: dict[str, int] = {}
    for name, count in counts.items():
        by_category[tulu.source(name).category] = by_category.get(tulu.source(name).category, 0) + count
    assert by_category == {"math": 334_252, "code": 142_275, "general": 116_872, "safety": 110_983, "knowledge": 104_982,
                           "multilingual": 100_000, "precise_if": 29_980}


def test_every_count_of_the_mixture_cites_its_source(tulu):
    for split in ("sft", "preference", "rlvr"):
        for amount in getattr(tulu.mix, split):
            assert amount.cite and re.search(r"\bT\d+\b", amount.cite), amount


def test_every_training_number_stands_beside_its_source():
    text = (RECIPE_FOLDER / "tulu3-8b.yaml").read_text(encoding="utf-8")
    sections = yaml.safe_load(text)
    for name in ("sft", "dpo", "rlvr"):
        block = text[text.index(f"\n{name}:") + 1:]
        for key in sections[name]:
            line = re.search(rf"^  {key}: .*$", block, re.MULTILINE)
            assert line and re.search(r"# (T\d+|command|Tülu 3\.1|this project's)", line.group()), f"{name}.{key} has no source"


def test_published_training_numbers(tulu):
    sft, dpo, rlvr = tulu.sft, tulu.dpo, tulu.rlvr
    assert (sft.learning_rate, sft.batch_size, sft.epochs, sft.max_length) == (5e-6, 128, 2, 4096)
    assert (sft.warmup_ratio, sft.schedule, sft.loss_reduction, sft.weight_decay) == (0.03, "linear", "sum", 0)
    assert (dpo.learning_rate, dpo.batch_size, dpo.epochs, dpo.max_length) == (5e-7, 128, 1, 2048)
    assert (dpo.warmup_ratio, dpo.schedule, dpo.beta) == (0.1, "linear", 5)
    assert (rlvr.learning_rate, rlvr.batch_size, rlvr.beta, rlvr.reward, rlvr.temperature) == (3e-7, 224, 0.05, 10, 1)
    assert rlvr.max_steps == 100_000 // rlvr.batch_size
    assert rlvr.batch_size % rlvr.samples_per_prompt == 0
    assert tulu.model.id == "meta-llama/Llama-3.1-8B"


def test_the_pools_of_the_sft_sources_are_the_published_ones(tulu):
    """T7's pools sum to 23,327,961; UltraFeedback (41,635) and IF-augmented (65,530) are for preferences only."""
    assert sum(amount.pool for amount in tulu.mix.sft) == 23_327_961 - 41_635 - 65_530


@pytest.mark.parametrize("name", ["sft", "dpo", "rlvr"])
def test_the_batch_is_a_whole_number_of_steps_over_all_processes(tulu, name):
    stage = getattr(tulu, name)
    assert stage.batch_size % (stage.per_device_batch_size * tulu.launch.processes) == 0


def test_decontamination_is_the_published_rule(tulu):
    rule = tulu.decontaminate
    assert (rule.preset, rule.ngram_size, rule.turns, rule.dataset_threshold) == ("tulu3", 8, "user", 0.02)
    assert rule.cut_offs == {"ngram_coverage": CutOffs(remove=0.5)} and not rule.evals


def test_the_published_model_passes_its_own_gate(tulu):
    published = {"gsm8k": 0.876, "ifeval": 0.824}
    assert set(tulu.gate.thresholds) == set(published)
    for skill, threshold in tulu.gate.thresholds.items():
        assert published[skill] - threshold == pytest.approx(0.015)


def test_the_test_split_of_gsm8k_cannot_be_reached_as_rlvr_data(tulu):
    for recipe in (tulu, load_recipe("real")):
        for amount in recipe.mix.rlvr:
            if amount.source in MADE_SOURCES:
                continue
            load = recipe.source(amount.source).load
            if isinstance(load, HubLoad):
                assert load.split == "train" and load.id != "allenai/RLVR-GSM", load
            else:
                assert "test" not in Path(load.path).name, load
    gsm8k = [source for source in tulu.sources if isinstance(source.load, HubLoad) and "gsm8k" in source.load.id.lower()]
    assert [(s.load.id, s.load.split) for s in gsm8k] == [("openai/gsm8k", "train")]
    assert next(a.count for a in tulu.mix.rlvr if a.source == gsm8k[0].name) == 8_792 - 1_319
    assert "allenai/RLVR-GSM" not in {s.load.id for s in tulu.sources}
    assert "allenai/RLVR-GSM-MATH-IF-Mixed-Constraints" not in {s.load.id for s in tulu.sources}
    assert any(isinstance(e.load, HubLoad) and (e.load.id, e.load.split) == ("openai/gsm8k", "test") for e in tulu.evals)


@pytest.mark.parametrize("name", ["tulu3-8b", "tulu3-70b", "tulu3-405b"])
def test_a_recipe_pins_a_hub_set_as_the_table_of_families_does(name):
    known = {family.hub: family.revision for family in FAMILIES.values()}
    loads = [source.load for source in load_recipe(name).sources]
    found = {load.id: load.revision for load in loads if isinstance(load, HubLoad) and load.id in known}
    assert found and found == {hub: known[hub] for hub in found}


def test_a_test_question_of_gsm8k_is_refused_by_the_converter_itself(test_data, tmp_path, tulu):
    path = test_data / "eval" / "openai__grade-school-math" / "test.jsonl.gz"
    rows = [("test.jsonl.gz", number, value) for number, value in read_raw_file(path)]
    out = ArtifactWriter(str(tmp_path / "converted"), stage="convert")
    convert_rows(FAMILIES["gsm8k"].convert, rows, tulu.source("gsm8k_train"), out)
    manifest = out.finish()
    assert manifest.rows == {"read": 1_319, "kept": 0, "rejected": 1_319}
    assert manifest.reasons == {"test_split_row": 1_319}


def test_non_commercial_sources_are_marked(tulu):
    assert {s.name for s in tulu.sources if s.non_commercial} == {"no_robots_converted", "numinamath_tir_math_decontaminated"}
    for recipe in (tulu, load_recipe("real")):
        for source in recipe.sources:
            if re.search(r"\bNC\b", source.license):
                assert source.non_commercial, source.name


# ---------------------------------------------------------------- tulu3-70b, tulu3-405b


BIGGER = ("tulu3-70b", "tulu3-405b")


def test_published_totals_of_the_70b(tulu):
    recipe = load_recipe("tulu3-70b")
    assert recipe.mix.sft == tulu.mix.sft and recipe.mix.rlvr == tulu.mix.rlvr
    counts = [amount.count for amount in recipe.mix.preference]
    assert counts == [19_444, 96_911, 65_530, 10_792, 17_207, 82_783, 41_635] and sum(counts) == 334_302 == 354_192 - 19_890
    ids = {recipe.source(amount.source).load.id for amount in recipe.mix.preference}
    assert sum(id_.endswith("-70b") for id_ in ids) == 5 and not any(id_.endswith("-8b") for id_ in ids)
    assert {"allenai/tulu-3-sft-reused-off-policy", "allenai/tulu-3-wildchat-unused"} < ids


def test_published_totals_of_the_405b(tulu):
    recipe = load_recipe("tulu3-405b")
    assert recipe.mix.sft == tulu.mix.sft and sum(amount.count for amount in recipe.mix.sft) == 939_344
    assert [(amount.source, amount.count) for amount in recipe.mix.rlvr] == [("rlvr_math", 7_500)]
    [pairs] = recipe.mix.preference  # its number of rows is not published: the served mixture, whole
    assert pairs.proportion == 1.0 and recipe.source(pairs.source).load.id == "allenai/llama-3.1-tulu-3-405b-preference-mixture"


@pytest.mark.parametrize(("name", "sft", "dpo", "rlvr", "steps", "warmup"), [
    ("tulu3-70b", (2e-6, 128), (2e-7, 128), (1e-7, 640, 0.07), 400_000 // 640, 0.07),
    ("tulu3-405b", (2e-6, 256), (2e-7, 256), (1e-7, 1_856, 0.05), 139_200 // 1_856, 0.0),
])
def test_published_training_numbers_of_the_bigger_models(tulu, name, sft, dpo, rlvr, steps, warmup):
    recipe = load_recipe(name)
    assert (recipe.sft.learning_rate, recipe.sft.batch_size) == sft and (recipe.dpo.learning_rate, recipe.dpo.batch_size) == dpo
    assert (recipe.rlvr.learning_rate, recipe.rlvr.batch_size, recipe.rlvr.beta) == rlvr
    assert (recipe.rlvr.max_steps, recipe.rlvr.warmup_ratio) == (steps, warmup)
    for stage in ("sft", "dpo"):  # T11 and T20 give the rest once for all sizes
        same = {"epochs", "max_length", "warmup_ratio", "schedule", "weight_decay"}
        assert getattr(recipe, stage).model_dump(include=same) == getattr(tulu, stage).model_dump(include=same)
    assert recipe.rlvr.batch_size % recipe.rlvr.samples_per_prompt == 0
    for stage in (recipe.sft, recipe.dpo, recipe.rlvr):
        assert stage.batch_size % (stage.per_device_batch_size * recipe.launch.processes) == 0


@pytest.mark.parametrize("name", BIGGER)
def test_every_number_of_the_bigger_recipes_stands_beside_its_source(name):
    text = (RECIPE_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    for section in ("sft", "dpo", "rlvr"):
        block = text[text.index(f"\n{section}:") + 1:]
        for key in values[section]:
            line = re.search(rf"^  {key}: .*$", block, re.MULTILINE)
            assert line and re.search(r"# (T\d+|command|this project's)", line.group()), f"{section}.{key} has no source"
    for split in ("preference", "rlvr"):
        for amount in values["mix"].get(split, []):
            assert re.search(r"\bT\d+\b", amount["cite"]), amount


@pytest.mark.parametrize("name", BIGGER)
def test_the_bigger_recipes_load_nothing_that_they_do_not_mix(name):
    recipe = load_recipe(name)
    mixed = {amount.source for split in ("sft", "preference", "rlvr") for amount in getattr(recipe.mix, split)}
    assert {source.name for source in recipe.sources} == mixed
    assert recipe.evals == load_recipe("tulu3-8b").evals and (
        recipe.decontaminate.model_dump() == load_recipe("tulu3-8b").decontaminate.model_dump())


# ---------------------------------------------------------------- one recipe on top of another


def extending(tmp_path, text, base=SMALL):
    (tmp_path / "small.yaml").write_text(base, encoding="utf-8")
    path = tmp_path / "over.yaml"
    path.write_text("extends: {recipe: small.yaml}\nname: over\n" + text, encoding="utf-8")
    return str(path)


MORE = "sources:\n  - {name: more, family: gsm8k, load: {kind: file, path: b.jsonl}, origin: here, license: MIT}\n"


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


# ---------------------------------------------------------------- the mixture's settings


@pytest.mark.parametrize(("change", "said"), [
    ({"quotas": {"math": 5.0}}, "mix.quotas.math: Input should be a valid integer"),
    ({"language_quotas": {"ko": -1}}, "mix.language_quotas.ko: Input should be greater than or equal to 0"),
    ({"language_quotas": {"Korean": 5}}, "mix.language_quotas.Korean.[key]: 'Korean' is no language code such as ko or zh-Hant"),
    ({"disjoint": ["rlvr"]}, "mix.disjoint: name at least two splits, each once"),
    ({"disjoint": ["rlvr", "eval"]}, "mix.disjoint.1: Input should be 'sft'"),
    ({"temperature": {"sft": {"sources": ["questions"], "total": 5, "temperature": 2}}},
     "mix.temperature.sft.sources: source 'questions' stands twice in the split sft"),
    ({"temperature": {"rlvr": {"sources": ["question"], "total": 5, "temperature": 2}}},
     "mix.temperature.rlvr.sources: source 'question' is not defined; did you mean 'questions'?"),
    ({"temperature": {"rlvr": {"sources": ["questions"], "total": 5.0, "temperature": 2}}}, "mix.temperature.rlvr.total: "),
    ({"temperature": {"rlvr": {"sources": ["questions"], "total": 5, "temp": 2}}},
     "mix.temperature.rlvr.temp: unknown key; allowed: max_repeats, sources, temperature, total"),
    ({"sft": [{"source": "questions", "count": 5, "at_most": 3}]}, "mix.sft.0: `at_most` caps a proportion"),
    ({"sft": [{"source": "questions", "count": 5, "prompts": "reused"}]},
     "mix.sft.0.prompts: 'reused' is for mix.preference_prompts"),
    ({"preference_prompts": [{"source": "questions", "count": 5, "prompts": "reused"}],
      "disjoint": ["sft", "preference_prompts"]},
     "mix.preference_prompts.0.prompts: mix.disjoint names sft and preference_prompts: nothing can be reused"),
    ({"preference_prompts": [{"source": "questions", "count": 5, "prompts": "unused"}],
      "disjoint": ["preference_prompts", "rlvr"]},
     "mix.preference_prompts.0.prompts: mix.disjoint fills preference_prompts before it is known what sft takes"),
])
def test_a_mixture_that_does_not_say_what_it_means_is_refused(tmp_path, change, said):
    assert re.search(rf"small\.yaml:\d+: {re.escape(said)}", refusal(tmp_path, SMALL, {"mix": change}))


# ---------------------------------------------------------------- real


def test_every_file_of_the_real_recipe_exists(test_data):
    recipe = load_recipe("real")
    for source in recipe.sources:
        files = source_files(source.load, test_data)
        assert files and all(file.relative_to(test_data).parts[0] == "train" for file in files), source.name
    for item in recipe.evals:
        files = source_files(item.load, test_data)
        assert files and all(file.relative_to(test_data).parts[0] == "eval" for file in files), item.name


def test_the_real_recipe_leaves_out_only_what_it_says(test_data):
    recipe = load_recipe("real")
    used = {file for part in (*recipe.sources, *recipe.evals) for file in source_files(part.load, test_data)}
    there = {file for part in ("train", "eval") for file in (test_data / part).rglob("*") if file.is_file()}
    rest = {file.relative_to(test_data).as_posix() for file in there - used}
    prompts_only = ("coconot.dev", "question.jsonl", "prompt_lottery", "if_constraint", "synth_pref_example", "acecode")
    judge_files = ("judge_prompts", "xstest_v2_completions", "alpaca_eval_vicuna-13b_annotations")
    assert {name for name in rest if not any(part in name for part in (*prompts_only, *judge_files))} == set()


def test_the_real_recipe_gates_non_commercial_sources_and_evaluates_two_sets():
    recipe = load_recipe("real")
    assert not recipe.mix.allow_non_commercial
    gated = {source.name for source in recipe.sources if source.non_commercial}
    assert {"stanford_alpaca", "lima", "code_alpaca", "persona_hub_tools", "safety_tuned_llamas"} <= gated
    assert gated <= {amount.source for amount in recipe.mix.sft}
    assert {item.task: item.limit for item in recipe.evals if item.task} == {"gsm8k": 100, "ifeval": 100}
    assert set(recipe.gate.thresholds) == {"gsm8k", "ifeval"}
