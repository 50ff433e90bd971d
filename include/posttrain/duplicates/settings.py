"""The recipe's section `filter.duplicates`: which duplicates are dropped, and which of two is kept."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from posttrain.section import Section
from posttrain.sentence_vectors import missing

LOWEST_RECALL = 0.95
"""Settings that find a smaller share of the pairs at the threshold are refused."""
AIMED_RECALL = 0.99
"""What the bands are chosen for where the recipe names none."""


def found_share(jaccard: float, bands: int, width: int) -> float:
    """The share of the pairs at this Jaccard that agree in a whole band: 1 − (1 − s**r)**b.

    Source: Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4.2.
    """
    return 1.0 - float(1.0 - jaccard**width) ** bands


class NearDuplicates(Section):
    """Near duplicates by MinHash LSH; nothing is dropped unless its exact Jaccard with a kept row reaches the threshold.

    `shingle_words`: the Jaccard is that of the sets of runs of so many words. One changed word of a text of 60 leaves .90 with
    runs of 3 and .85 with runs of 5.
    `bands`: the signature is cut into so many bands; rows that agree in one whole band are compared. Left out, the widest
    bands are taken that find 99 % of the pairs at the threshold: 21 of width 6 for 128 and .8. Settings that find less than
    95 % of them are refused.
    `leave_out`: sources whose rows are nobody's near duplicate. Questions on one passage share most of their words and are
    different questions; see docs/duplicates.md for what that is in public files.
    """

    threshold: float = Field(default=0.8, ge=0.3, le=1)
    shingle_words: int = Field(default=3, ge=1, le=20)
    permutations: int = Field(default=128, ge=16, le=1024)
    bands: int | None = Field(default=None, ge=1)
    leave_out: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _finds_enough(self) -> NearDuplicates:
        if self.bands is not None and self.bands > self.permutations:
            raise ValueError(f"{self.bands} bands cannot be cut from {self.permutations} permutations")
        bands, width = self.banding()
        share = found_share(self.threshold, bands, width)
        if share < LOWEST_RECALL:
            raise ValueError(
                f"{bands} bands of {width} find {share:.1%} of the pairs at Jaccard {self.threshold:g}, at least "
                f"{LOWEST_RECALL:.0%} is asked; more bands are narrower and find more"
            )
        return self

    def banding(self) -> tuple[int, int]:
        """(bands, width of a band)."""
        if self.bands is not None:
            return self.bands, self.permutations // self.bands
        widths = range(self.permutations, 0, -1)
        enough = (w for w in widths if found_share(self.threshold, self.permutations // w, w) >= AIMED_RECALL)
        width = next(enough, 1)
        return self.permutations // width, width


class SemanticDuplicates(Section):
    """Duplicates in meaning: rows whose sentence vectors have a cosine of at least `threshold`.

    `model`: a folder with a sentence-transformers model, or a name of the Hugging Face Hub, `name@revision` to pin it. What a
    threshold means depends on the model.
    `what`: the vectors are those of all turns, or of the first user turn whatever the answer. A model reads no more of a text
    than its own longest input.
    `same_numbers`: rows whose user turns hold other numbers are no duplicates. To a model one exercise with other numbers is
    nearly the same text.
    `complete_rows`: up to so many rows every two are compared; more are first cut into clusters, and only rows of one cluster
    are compared. See docs/duplicates.md for what the one costs and the other loses.
    `leave_out`: sources whose rows are nobody's semantic duplicate.
    """

    model: str = Field(min_length=1)
    threshold: float = Field(default=0.95, ge=0.5, le=1)
    what: Literal["conversation", "prompt"] = "conversation"
    same_numbers: bool = True
    complete_rows: int = Field(default=200_000, ge=1)
    leave_out: tuple[str, ...] = ()

    @field_validator("model")
    @classmethod
    def _is_there(cls, value: str) -> str:
        what = missing(value)
        if what:
            raise ValueError(what)
        return value


class Duplicates(Section):
    """Which duplicates the filter stage drops, within and across sources.

    `conversations`: the same normalised conversation (NFC; letter case and white space do not count). `prompts`: the same
    normalised first user turn, whatever the answer and later turns. `near`: see NearDuplicates. `semantic`: see
    SemanticDuplicates.
    `priority`: sources whose rows are kept before those of others, the first named first; sources that are not named follow in
    the recipe's order. Within a source the earlier row is kept.
    """

    conversations: bool = True
    prompts: bool = False
    near: NearDuplicates | None = None
    semantic: SemanticDuplicates | None = None
    priority: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether duplicates of any kind are dropped."""
        return self.conversations or self.prompts or self.near is not None or self.semantic is not None

    @model_validator(mode="after")
    def _named_once(self) -> Duplicates:
        twice = [name for n, name in enumerate(self.priority) if name in self.priority[:n]]
        if twice:
            raise ValueError(f"priority names {twice[0]!r} twice")
        return self


def source_ranks(settings: Duplicates, sources: list[str]) -> dict[str, int]:
    """Source name → its place in the order of priority, 0 first. `sources` are all names in the recipe's order."""
    rest = [name for name in sources if name not in settings.priority]
    return {name: rank for rank, name in enumerate([*settings.priority, *rest])}
