"""Self-play and bootstrapping: a follow-up question to a seed, then follow-ups to the follow-ups."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count

from posttrain.synthesize.ideas import Idea, Pool
from posttrain.teacher import prompts


def self_play_ideas(pool: Pool, personas: tuple[str, ...], rng: random.Random) -> Iterator[Idea]:
    """`pool.made` is read anew for every idea: once the first questions are accepted, every second idea starts there."""
    for n in count() if pool.seeds else ():
        seed = rng.choice(pool.made if pool.made and n % 2 else pool.seeds)
        yield Idea("self_play", seed.skill, prompts.follow_up(seed.prompt, index=n), parent=seed)
