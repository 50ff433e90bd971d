"""Closing a gap: new rows for one skill that fell short, from personas and from the few seeds that there are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count

from posttrain.synthesize.ideas import Idea, Pool, personas_for
from posttrain.synthesize.variation import variation_ideas
from posttrain.teacher import prompts


def gap_ideas(skill: str, pool: Pool, personas: tuple[str, ...], rng: random.Random) -> Iterator[Idea]:
    """Every third idea varies a seed of the skill, as long as there are any; the others ask for a new problem."""
    language = pool.languages.get(skill)
    fitting = personas_for(language, personas)
    variations = variation_ideas(Pool([seed for seed in pool.seeds if seed.skill == skill]), personas, rng)
    for n in count():
        varied = next(variations, None) if n % 3 == 2 else None
        persona = fitting[n % len(fitting)]
        ask = prompts.word_problem(skill, language=language, persona=persona, index=n)
        yield varied or Idea("persona", skill, ask, persona)
