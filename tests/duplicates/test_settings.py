"""The recipe's section `filter.duplicates`."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from posttrain.duplicates.settings import Duplicates, NearDuplicates, found_share, source_ranks
from posttrain.recipe import RecipeError, load_recipe


def test_default_is_exact_conversations_only() -> None:
    assert Duplicates() == Duplicates(conversations=True, prompts=False, near=None, priority=())


@pytest.mark.parametrize(("threshold", "permutations", "banding"), [
    (0.8, 128, (21, 6)), (0.9, 128, (12, 10)), (0.7, 128, (32, 4)), (0.8, 256, (32, 8)), (1.0, 128, (1, 128)), (0.3, 16, (16, 1)),
])
def test_bands_that_find_99_of_100_pairs_at_the_threshold(threshold: float, permutations: int, banding: tuple[int, int]) -> None:
    near = NearDuplicates(threshold=threshold, permutations=permutations)
    assert near.banding() == banding and found_share(threshold, *banding) >= 0.99


def test_the_share_by_hand() -> None:
    """1 - (1 - .5 ** 2) ** 2 = 1 - .5625."""
    assert found_share(0.5, 2, 2) == 0.4375


def test_bands_that_find_too_little_are_refused() -> None:
    """128 permutations in 5 bands of 25 at .9 is a setting in use; it finds three pairs in ten."""
    with pytest.raises(ValidationError, match=r"5 bands of 25 find 31\.1% of the pairs at Jaccard 0\.9, at least 95% is asked"):
        NearDuplicates(threshold=0.9, bands=5)
    with pytest.raises(ValidationError, match="200 bands cannot be cut from 128 permutations"):
        NearDuplicates(bands=200)
    assert NearDuplicates(bands=18).banding() == (18, 7)


def test_priority_first_then_the_order_of_the_recipe() -> None:
    assert source_ranks(Duplicates(priority=("c",)), ["a", "b", "c"]) == {"c": 0, "a": 1, "b": 2}
    with pytest.raises(ValidationError, match="priority names 'a' twice"):
        Duplicates(priority=("a", "b", "a"))


def test_a_recipe_that_names_an_unknown_source_is_refused() -> None:
    for section in ({"priority": ["nobody"]}, {"near": {"leave_out": ["nobody"]}}):
        with pytest.raises(RecipeError, match=r"filter\.duplicates\..*0: source 'nobody' is not defined"):
            load_recipe("smoke", {"filter": {"duplicates": section}})
