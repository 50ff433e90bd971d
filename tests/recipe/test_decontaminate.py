"""The section `decontaminate`: a preset, changed measure by measure and eval by eval."""

from __future__ import annotations

import pytest
from tests.recipe.small import SMALL, refusal

from posttrain.decontaminate.presets import CutOffs
from posttrain.recipe import Decontaminate


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
