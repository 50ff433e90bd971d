"""Selection by quality, difficulty and diversity, as s1 chose 1,000 of 59,029 questions (arXiv 2501.19393, section 2.2).

Quality: no rule speaks against the row. Difficulty: a model does not solve it, and the longer its answer or trace, the
likelier it is taken. Diversity: a group is drawn uniformly, then one of its rows with weight 2^−rank, the longest first;
again and again until `count` rows are taken. s1's groups are domains of mathematics that a model assigned; here they are
categories, skills, sources, languages, or clusters of prompts.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from typing import Any

from posttrain import recipe
from posttrain.filters.length import estimate_tokens
from posttrain.filters.rules import Drop
from posttrain.schema import Example, SFTExample, conversation, prompt_of

RULE = "select"
_THOUGHT = re.compile(r"<think>(.*?)(?:</think>|\Z)", re.DOTALL)
CLUSTER_SAMPLE = 20_000
"""Prompts that the clusters are fitted on, drawn by the seed."""
CLUSTER_BATCH = 10_000
CLUSTERED_CHARACTERS = 400
"""So much of a prompt decides its cluster. At 939,344 rows that is at most 400 MB."""


class SelectionError(ValueError):
    """The selection cannot be made: fewer rows pass than the recipe wants, or a file of scores cannot be read."""


class Candidates:
    """The rows that could be chosen, in reading order: what a choice needs to know of each, and no more."""

    def __init__(self, settings: recipe.Select) -> None:
        self.settings = settings
        self.groups: list[str] = []
        self.difficulty: list[int] = []
        self.positions: list[int] = []
        self.refused: dict[int, Drop] = {}
        self._solved = read_solved(settings.solved)

    def add(self, position: int, example: Example, reported: tuple[Drop, ...]) -> None:
        """One row that every rule keeps. `position` is its number among all rows of the stage."""
        if self.settings.sources and example.source not in self.settings.sources:
            return
        if self.settings.quality and reported:
            self.refused[position] = Drop(RULE, "reported_by_a_rule", f"{reported[0].rule}: {reported[0].detail}")
        elif example.id in self._solved:
            self.refused[position] = Drop(RULE, "solved_by_a_model", f"score {self._solved[example.id]:g}")
        else:
            self.positions.append(position)
            self.groups.append(group_of(example, self.settings))
            self.difficulty.append(difficulty_of(example, self.settings))

    def choose(self) -> tuple[dict[int, Drop], dict[str, Any]]:
        """Every candidate that is not taken, by position, with the reason; and the facts of the selection.

        Raises SelectionError where fewer candidates are left than the recipe wants.
        """
        settings = self.settings
        if len(self.positions) < settings.count:
            raise SelectionError(
                f"filter.select wants {settings.count} rows, and {len(self.positions)} are left of "
                f"{len(self.positions) + len(self.refused)} ({dict(Counter(d.reason for d in self.refused.values()))})"
            )
        groups = cluster(self.groups, settings) if settings.diversity == "clusters" else self.groups
        taken = draw(groups, self.difficulty, settings)
        refused = dict(self.refused)
        for n, (position, group) in enumerate(zip(self.positions, groups, strict=True)):
            if n not in taken:
                refused[position] = Drop(RULE, "not_chosen", f"{settings.diversity} {group}, {self.difficulty[n]} tokens")
        available, chosen = Counter(groups), Counter(groups[n] for n in taken)
        facts = {
            "count": settings.count, "candidates": len(self.positions),
            "reasons": dict(sorted(Counter(d.reason for d in refused.values()).items())),
            "groups": {name: {"available": available[name], "taken": chosen[name]} for name in sorted(available)},
        }
        return refused, facts


def draw(groups: list[str], difficulty: list[int], settings: recipe.Select) -> set[int]:
    """The numbers of exactly `count` rows: a group uniformly among those that have rows left, then a row with weight 2^−rank.

    [a, a, b] with difficulties [9, 5, 1] and count 2: the first draw is b or one of a with even odds, and of a the row with
    9 in two of three cases.
    """
    chance = random.Random(settings.seed)
    rows: dict[str, list[int]] = {}
    for n in sorted(range(len(groups)), key=lambda n: (difficulty[n], -n)):  # the hardest last; of equals the first read
        rows.setdefault(groups[n], []).append(n)
    names, taken = sorted(rows), set[int]()
    while len(taken) < settings.count:
        at = chance.randrange(len(names))
        left = rows[names[at]]
        taken.add(left.pop(_rank(len(left), chance, settings)))
        if not left:
            names[at] = names[-1]
            names.pop()
    return taken


def _rank(rows: int, chance: random.Random, settings: recipe.Select) -> int:
    """The index from the end, −1 the hardest: rank r with probability proportional to 2^−r; any where difficulty is `none`."""
    if settings.difficulty == "none":
        return chance.randrange(rows)
    while True:
        rank = 1
        while chance.random() < 0.5:
            rank += 1
        if rank <= rows:
            return -rank


def group_of(example: Example, settings: recipe.Select) -> str:
    """What the row's diversity is counted by; for clusters the prompt, from which they are made."""
    if settings.diversity == "clusters":
        return prompt_of(example)[:CLUSTERED_CHARACTERS]
    return str(getattr(example, settings.diversity))


def difficulty_of(example: Example, settings: recipe.Select) -> int:
    """Estimated tokens (`estimate_tokens`) of the answers, or of what stands in <think> tags in them and in the field `trace`."""
    answers = [m.content or "" for m in conversation(example) if m.role == "assistant"]
    if settings.difficulty == "trace_length":
        answers = [trace for answer in answers for trace in _THOUGHT.findall(answer)]
        answers += [example.trace] if isinstance(example, SFTExample) and example.trace else []
    return 0 if settings.difficulty == "none" else sum(map(estimate_tokens, answers))


def cluster(prompts: list[str], settings: recipe.Select) -> list[str]:
    """`cluster 000` … for every prompt: seeded k-means over hashed character n-grams, fitted on a sample.

    Prompts become vectors a batch at a time: those of 939,344 at once would take 5 GB.
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.feature_extraction.text import HashingVectorizer

    # Character n-grams within words: Korean particles and English endings do not make two words of one.
    vectors = HashingVectorizer(analyzer="char_wb", ngram_range=(3, 4), n_features=2**12, alternate_sign=False)
    sample = random.Random(settings.seed).sample(prompts, min(len(prompts), CLUSTER_SAMPLE))
    wanted = min(settings.clusters, len(set(sample)))
    model = MiniBatchKMeans(n_clusters=wanted, random_state=settings.seed, batch_size=4096, n_init=1, max_iter=5)
    model.fit(vectors.transform(sample))
    batches = (prompts[start:start + CLUSTER_BATCH] for start in range(0, len(prompts), CLUSTER_BATCH))
    return [f"cluster {label:03d}" for batch in batches for label in model.predict(vectors.transform(batch))]


def read_solved(files: tuple[str, ...]) -> dict[str, float]:
    """id → score of the rows that a model solves (score of at least 1 in any file); null is not scored. Raises SelectionError
    with file and line.
    """
    solved: dict[str, float] = {}
    for name in files:
        path = recipe.data_root() / name
        if not path.is_file():
            raise SelectionError(f"filter.select.solved: there is no file {path}")
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    row = json.loads(line)
                    if row["score"] is not None and float(row["score"]) >= 1:
                        solved[str(row["id"])] = float(row["score"])
                except (ValueError, KeyError, TypeError) as error:
                    raise SelectionError(f"{path}:{number}: not an object with `id` and `score`: {error}") from error
    return solved
