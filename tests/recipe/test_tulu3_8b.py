"""The published numbers of tulu3-8b."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from posttrain.convert import FAMILIES
from posttrain.convert.rows import convert_rows
from posttrain.decontaminate.presets import CutOffs
from posttrain.raw_files import read_raw_file
from posttrain.recipe import MADE_SOURCES, RECIPE_FOLDER, TRAINED, HubLoad, load_recipe
from posttrain.storage import ArtifactWriter


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


def numbers_without_source(name: str) -> list[str]:
    """The training numbers of a recipe whose line does not say where they come from."""
    text = (RECIPE_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    values, found = yaml.safe_load(text), []
    for section in TRAINED:
        block = text[text.index(f"\n{section}:") + 1:]
        for key in values[section]:
            line = re.search(rf"^  {key}: .*$", block, re.MULTILINE)
            if not line or not re.search(r"# (T\d+|command|Tülu 3\.1|this project's)", line.group()):
                found.append(f"{section}.{key}")
    return found


def test_every_training_number_stands_beside_its_source():
    assert numbers_without_source("tulu3-8b") == []


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
