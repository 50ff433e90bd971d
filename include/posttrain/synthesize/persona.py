"""Persona-driven synthesis: every skill of the data, asked for from the viewpoint of one persona after the other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import count

from posttrain.synthesize.ideas import Idea, Pool, personas_for
from posttrain.teacher import prompts


def persona_ideas(pool: Pool, personas: tuple[str, ...], rng: random.Random) -> Iterator[Idea]:
    skills = list(pool.languages)
    for n in count() if skills else ():
        skill = skills[n % len(skills)]
        language = pool.languages.get(skill)
        fitting = personas_for(language, personas)
        persona = fitting[n // len(skills) % len(fitting)]
        ask = prompts.word_problem(skill, language=language, persona=persona, index=n)
        yield Idea("persona", skill, ask, persona)
