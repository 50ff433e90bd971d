"""Augmentation and variation: a seed in other words, its meaning and answer unchanged."""

from __future__ import annotations

import random
from collections.abc import Iterator

from posttrain.synthesize.ideas import Idea, Pool
from posttrain.teacher import prompts

VARIATIONS_PER_SEED = 2
"""More of one seed would be the same sentence again."""


def variation_ideas(pool: Pool, personas: tuple[str, ...], rng: random.Random) -> Iterator[Idea]:
    seeds = rng.sample(pool.seeds, len(pool.seeds))
    for index in range(VARIATIONS_PER_SEED):
        for seed in seeds:
            yield Idea("variation", seed.skill, prompts.variation(seed.prompt, index=index), parent=seed)
