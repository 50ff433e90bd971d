"""The recipe of Tülu 3 8B."""

from __future__ import annotations

import pytest

from posttrain.recipe import Recipe, load_recipe


@pytest.fixture(scope="module")
def tulu() -> Recipe:
    return load_recipe("tulu3-8b")
