"""The section `mix`: amounts, and what a mixture cannot mean."""

from __future__ import annotations

import re

import pytest
from tests.recipe.small import SMALL, refusal

from posttrain.recipe import Amount


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
