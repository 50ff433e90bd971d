"""The sections on the data: one view for the report of a run and for the page of a mixture alone."""

from __future__ import annotations

from typing import Any

from posttrain.report.asks import VERBS
from posttrain.report.distributions import QUANTILES, distributions_view
from posttrain.report.diversity import diversity_view
from posttrain.report.dropped import rejected_view, rules_view, silent_rules
from posttrain.report.duplicate_pairs import duplicates_view
from posttrain.report.flow import flow_view
from posttrain.report.licence_rows import licences_view
from posttrain.report.mixture import Mixture
from posttrain.report.sample import sample_mixture
from posttrain.report.shares import shares_view

SECTIONS = (("flow", "Flow"), ("shares", "Shares"), ("lengths", "Lengths and turns"), ("rules", "Rules"),
            ("duplicates", "Duplicates"), ("licences", "Licences"), ("prompts", "Prompts"))
SEED = 0
"""Seed of every sample that the report draws: the same mixture gives the same page."""


def data_view(mixture: Mixture) -> dict[str, Any]:
    """What mixture.html.j2 shows. Counts are of all rows; lengths, turns and prompts are of a sample where it says so."""
    samples = sample_mixture(mixture.mix, SEED) if mixture.mix else []
    return {
        "flow": flow_view(mixture), "shares": shares_view(mixture), "lengths": distributions_view(samples, mixture),
        "rules": rules_view(mixture), "silent": silent_rules(mixture), "rejected": rejected_view(mixture),
        "duplicates": duplicates_view(mixture), "licences": licences_view(mixture), "diversity": diversity_view(samples, SEED),
        "quantiles": [name for name, _ in QUANTILES], "seed": SEED, "verbs": len(VERBS),
    }
