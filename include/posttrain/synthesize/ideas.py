"""What the methods of synthesis share: the seeds they start from, and the idea of one new row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from posttrain.schema import RLVRExample, guess_language, prompt_of
from posttrain.storage import Manifest, read_examples
from posttrain.teacher.client import Ask

PERSONAS = (
    "maths professor", "high-school maths teacher", "Python developer", "professional cook", "finance expert",
    "logic professor", "machine-learning researcher on neural networks", "virtual teacher of maths",
)
"""Who asks, where the recipe names nobody."""


@dataclass(frozen=True, slots=True)
class Seed:
    """A question with a known numeric answer that new rows may start from."""

    id: str
    skill: str
    language: str
    category: str
    license: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Idea:
    """One row that could be made: what to ask, and what the row will say about its origin."""

    method: str
    skill: str
    ask: Ask
    persona: str | None = None
    parent: Seed | None = None


@dataclass
class Pool:
    """Seeds from the filtered rows. `made` grows with every row made, so that self-play goes on from its own questions."""

    seeds: list[Seed]
    made: list[Seed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.languages = _most_common((seed.skill, seed.language) for seed in self.seeds)
        """The language of most seeds of a skill."""
        self.categories = _most_common((seed.skill, seed.category) for seed in self.seeds)


def read_pool(filtered: Manifest) -> Pool:
    """The seeds: single-turn RLVR rows that the gsm8k verifier can score, so that what is made of them can be checked."""
    return Pool([
        Seed(row.id, row.skill, row.language, row.category, row.license, prompt_of(row))
        for row in read_examples(filtered, "rlvr")
        if isinstance(row, RLVRExample) and row.verifier == "gsm8k" and len(row.messages) == 1
    ])


def personas_for(language: str | None, personas: tuple[str, ...]) -> tuple[str, ...]:
    """The personas that are named in a language, or all of them where none is."""
    return tuple(p for p in personas if guess_language(p) == language) or personas


def _most_common(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Per skill, in the order of the names, the value that stands most often beside it."""
    ranked = sorted(Counter(pairs).items(), key=lambda item: (item[0][0], item[1], item[0][1]))
    return {skill: value for (skill, value), _ in ranked}
