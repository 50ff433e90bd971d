"""The gate compares every score with its threshold and names every gap."""

import pytest

from posttrain.gate import find_gaps
from posttrain.storage import StorageError


def test_every_gap_is_named_and_a_score_at_the_threshold_passes():
    scores = {"addition": 0.8, "division": 0.25, "subtraction": 0.79}
    assert find_gaps(scores, {"addition": 0.8, "division": 0.75, "subtraction": 0.8}) == {"division": 0.5, "subtraction": 0.01}


def test_a_skill_without_threshold_is_not_gated():
    assert find_gaps({"addition": 0.0}, {}) == {}


def test_a_threshold_without_score_is_no_verdict():
    with pytest.raises(StorageError, match="no score for division"):
        find_gaps({"addition": 1.0}, {"addition": 0.5, "division": 0.5})
