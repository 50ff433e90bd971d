"""The rules by name: which measures decide, from which score on, and how a score is compared with a cut-off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import Field

from posttrain.section import Section

Measure = Literal["ngram_coverage", "cosine", "count_cosine", "jaccard", "reworded", "dense"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

PresetName = Literal["tulu3", "seed", "balanced"]


class CutOffs(Section):
    """From which score on a measure removes a row, or gives it to a reviewer. None: never."""

    remove: float | None = Field(default=None, ge=0, le=1)
    review: float | None = Field(default=None, ge=0, le=1)


@dataclass(frozen=True)
class Preset:
    """A rule as it stands in its source. `at_least`: a score, or a share of an eval, on the cut-off counts.

    `judged`: the review cut-offs only say which pairs are looked at, and `balanced.judge` decides about each of them.
    """

    cut_offs: Mapping[Measure, CutOffs]
    at_least: bool
    source: str
    judged: bool = False

    @property
    def sign(self) -> str:
        return "≥" if self.at_least else ">"

    def reaches(self, value: float, cut_off: float | None) -> bool:
        """Whether `value` is over `cut_off`; what is 0 never is, and nothing is over a cut-off of None."""
        return cut_off is not None and value > 0 and (value >= cut_off if self.at_least else value > cut_off)


_SEED = CutOffs(remove=0.9, review=0.6)

PRESETS: dict[PresetName, Preset] = {
    "tulu3": Preset(
        {"ngram_coverage": CutOffs(remove=0.5)}, at_least=False,
        source="Tülu 3 paper, section 3.2: 8-grams of one training turn cover more than half of the eval item",
    ),
    "seed": Preset(
        {"ngram_coverage": _SEED, "count_cosine": _SEED, "jaccard": _SEED, "dense": _SEED, "reworded": CutOffs(review=0.5)},
        at_least=True, source="at least 90 % similar: removed; 60 to 90 %: a person decides; below: kept",
    ),
    "balanced": Preset(
        {"ngram_coverage": CutOffs(review=0.3), "cosine": CutOffs(review=0.7), "reworded": CutOffs(review=0.5),
         "dense": CutOffs(review=0.8)}, at_least=True, judged=True,
        source="this project: rare words, numbers, names and template wording decide about what the measures nominate",
    ),
}
"""`dense` takes part where the recipe names a model."""
