"""`decontaminate` and `review`: which rows are too close to an eval item, and what becomes of the band between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from posttrain.decontaminate.presets import MEASURES, PRESETS, CutOffs, Measure, Preset, PresetName
from posttrain.recipe.errors import wrong
from posttrain.section import Section


class Decontaminate(Section):
    """Which rows are too close to an eval item, by which rule.

    A preset is a rule as it stands in its source (`decontaminate.presets`). `cut_offs` changes it measure by measure, and
    `evals` changes that for one eval set; what is not said stays. Read, both hold what is in force: `cut_offs` every measure
    that takes part, `evals` only the measures that are named there.
    """

    preset: PresetName = "balanced"
    ngram_size: int = Field(default=8, gt=0, description="words of an n-gram of `ngram_coverage`")
    turns: Literal["user", "all"] = Field(default="user", description="which turns of a conversation are compared")
    dense_model: str | None = Field(
        default=None, min_length=1, description="a sentence-transformers model by name or path; switches the measure `dense` on")
    cut_offs: dict[Measure, CutOffs] = Field(
        default_factory=dict, validate_default=True, description="measure → {remove, review}; null is never")
    evals: dict[str, dict[Measure, CutOffs]] = Field(default_factory=dict, description="eval set → measure → {remove, review}")
    dataset_threshold: float = Field(
        default=0.02, ge=0, lt=1, description="share of an eval's items that one source may hold")
    drop_overlapping_sources: bool = Field(default=False, description="drop a source over that share with all of its rows")
    index: Literal["embedded", "elasticsearch"] = "embedded"
    _collection: str = "evals"

    @property
    def collection(self) -> str:
        """Which collection of eval sets an alias on a server stands for: the recipe's name, or what `of_collection` was told.
        It decides nothing about the rows, and is no setting."""
        return self._collection

    def of_collection(self, name: str) -> Decontaminate:
        """The same settings for this collection of eval sets."""
        own = self.model_copy()
        own._collection = name
        return own

    @field_validator("cut_offs")
    @classmethod
    def _over_the_preset(cls, value: dict[Measure, CutOffs], info: ValidationInfo) -> dict[Measure, CutOffs]:
        if "preset" not in info.data or "dense_model" not in info.data:
            return value
        preset, has_model = PRESETS[info.data["preset"]], info.data["dense_model"] is not None
        if "dense" in value and not has_model:
            raise wrong(("decontaminate", "cut_offs", "dense"), "name a model as well: decontaminate.dense_model")
        own = {measure: cut_offs for measure, cut_offs in preset.cut_offs.items() if measure != "dense" or has_model}
        return _cut_offs_over(own, own | value, preset, ("decontaminate", "cut_offs"))

    @field_validator("evals")
    @classmethod
    def _over_the_cut_offs(cls, value: dict[str, dict[Measure, CutOffs]], info: ValidationInfo) -> dict[str, Any]:
        if "cut_offs" not in info.data:
            return value
        own, preset = info.data["cut_offs"], PRESETS[info.data["preset"]]
        for name, changed in value.items():
            if "dense" in changed and "dense" not in own:
                raise wrong(("decontaminate", "evals", name, "dense"), "name a model as well: decontaminate.dense_model")
        return {name: _cut_offs_over(own, changed, preset, ("decontaminate", "evals", name)) for name, changed in value.items()}

    def cut_offs_of(self, eval_name: str, measure: Measure) -> CutOffs:
        """What is in force for one eval set and measure."""
        return self.evals.get(eval_name, {}).get(measure) or self.cut_offs.get(measure, CutOffs())

    def floors(self) -> dict[Measure, float]:
        """Measure → the lowest score that any cut-off in force asks for; a measure without cut-offs takes no part."""
        asked = [*self.cut_offs.items(), *(pair for changed in self.evals.values() for pair in changed.items())]
        scores = {measure: [value for m, c in asked if m == measure for value in (c.remove, c.review) if value is not None]
                  for measure in MEASURES}
        return {measure: min(found) for measure, found in scores.items() if found}


def _cut_offs_over(
    base: Mapping[Measure, CutOffs], changed: Mapping[Measure, CutOffs], preset: Preset, path: tuple[str, ...],
) -> dict[Measure, CutOffs]:
    """The changed measures, what they do not say taken from `base`. A band that is not below the removal is refused."""
    merged = {}
    for measure, given in changed.items():
        said = {name: getattr(given, name) for name in given.model_fields_set}
        merged[measure] = own = CutOffs(**(base.get(measure, CutOffs()).model_dump() | said))
        if own.remove is not None and own.review is not None and own.review >= own.remove:
            raise wrong((*path, measure, *(["review"] if "review" in said else ["remove"])),
                         f"review ({own.review:g}) must be below remove ({own.remove:g}): rows from review up to remove are the "
                         "band that a person decides about; `review: null` is no band")
        for name, value in own.model_dump().items():
            if value is not None and value == (0.0 if preset.at_least else 1.0):
                why = "every item would be at least 0" if preset.at_least else "no score is above 1"
                raise wrong((*path, measure, name), f"{value:g} cannot be a cut-off of this preset: {why}")
    return merged


class Review(Section):
    """What happens to the review band where nobody decides in time, and what the teacher's opinion of its rows is for.

    `judge`: `sort` asks the teacher whether each row gives its eval item away, and shows the reviewer those first;
    `decide` lets the answer decide where no person has: deleted where it does, kept where it does not.
    """

    unattended: Literal["paraphrase", "delete", "keep"] = "paraphrase"
    timeout_hours: float = Field(default=24.0, gt=0)
    judge: Literal["off", "sort", "decide"] = "off"
