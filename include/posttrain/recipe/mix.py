"""`mix`: which rows go into the splits, how many of each source, under which licences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from posttrain.recipe.errors import wrong
from posttrain.recipe.sources import LanguageCode
from posttrain.schema import CATEGORIES
from posttrain.section import Section

Split = Literal["sft", "preference_prompts", "preference", "rlvr"]
SPLITS: tuple[str, ...] = get_args(Split)
"""The splits of a mixture, in the order in which they are filled unless `mix.disjoint` says otherwise."""


Rows = Annotated[int, Field(ge=0, strict=True)]
"""A number of rows: `5`, never `5.0`."""


class Amount(Section):
    """How much of a source: either `count` rows (an integer) or a `proportion` of it (a float; above 1 upsamples).

    `count: 1.0` and `proportion: 1` are both refused: one row or the whole source, who can tell. `proportion: 500` would
    otherwise repeat every row 500 times. `prompts` is for `preference_prompts`: all of the source's, only those that the SFT
    split took (`reused`), or only those that it did not take (`unused`). Tülu 3 has both (T15).
    """

    source: str
    count: int | None = Field(default=None, ge=0, strict=True)
    proportion: float | None = Field(default=None, ge=0, strict=True)
    at_most: int | None = Field(default=None, ge=0, strict=True, description="cap in rows on what the proportion gives")
    pool: int | None = Field(default=None, gt=0, strict=True, description="published rows of the source, for `mix --plan`")
    prompts: Literal["any", "reused", "unused"] = "any"
    cite: str | None = Field(default=None, description="where a published number comes from")

    @field_validator("proportion", mode="before")
    @classmethod
    def _proportion_is_a_float(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            raise ValueError(f"a proportion is a float: {value}.0 is {value} times the source, `count: {value}` is {value} rows")
        return value

    @model_validator(mode="after")
    def _one_of_two(self) -> Amount:
        if (self.count is None) == (self.proportion is None):
            raise ValueError("give exactly one of `count` (rows, an integer) and `proportion` (a float such as 1.0)")
        if self.count is not None and self.at_most is not None:
            raise ValueError("`at_most` caps a proportion; a count is exact already")
        return self


def amount_names(amounts: Sequence[Amount]) -> list[str]:
    """What an amount is one of: its source; `reused` and `unused` prompts of one source are two."""
    return [a.source if a.prompts == "any" else f"{a.source}, {a.prompts} prompts" for a in amounts]


class Temperature(Section):
    """`total` rows of several sources, source i with n_i rows getting total × n_i^(1/T) / Σ_j n_j^(1/T).

    T = 1 keeps the sources' own shares; a large T gives every source the same. Rows are whole by the largest remainder.
    """

    sources: tuple[str, ...] = Field(min_length=1)
    total: int = Field(ge=0, strict=True)
    temperature: float = Field(gt=0)
    max_repeats: float | None = Field(default=None, gt=0, description="a source gives at most so many times its rows; "
                                                                      "what it cannot give goes to the others")


class Mix(Section):
    """Which rows go into the splits, under which licences.

    A quota caps the rows of a category or language in each of `quota_splits`. `disjoint`: no prompt stands in two of these
    splits; the one named first keeps it. The licence gate looks at every row: what is not allowed here is left out.
    """

    sft: tuple[Amount, ...] = ()
    preference_prompts: tuple[Amount, ...] = Field(default=(), description="prompts to be answered on-policy")
    preference: tuple[Amount, ...] = Field(default=(), description="ready-made pairs")
    rlvr: tuple[Amount, ...] = ()
    temperature: dict[Split, Temperature] = Field(default_factory=dict)
    quotas: dict[Literal[CATEGORIES], Rows] = Field(default_factory=dict)  # type: ignore[valid-type]
    language_quotas: dict[LanguageCode, Rows] = Field(default_factory=dict)
    quota_splits: tuple[Split, ...] = ("sft",)
    disjoint: tuple[Split, ...] = ()
    focus_proportion: float = Field(default=1.0, ge=0, description="in a later round: proportion of the rows made for the gaps")
    focus_upsampling: float = Field(default=1.0, ge=1, description="in a later round: SFT and RLVR rows of a skill in focus, but "
                                                                   "those made for the gaps, are taken so many times as often")
    allow_non_commercial: bool = False
    allow_share_alike: bool = True
    allow_unstated: bool = Field(default=False, description="rows whose licence is not stated")

    @model_validator(mode="after")
    def _splits_agree(self) -> Mix:
        for split, drawn in self.temperature.items():
            both = {amount.source for amount in getattr(self, split)} & set(drawn.sources)
            if both or len(set(drawn.sources)) < len(drawn.sources):
                name = min(both) if both else next(s for s in drawn.sources if drawn.sources.count(s) > 1)
                raise wrong(("mix", "temperature", split, "sources"), f"source {name!r} stands twice in the split {split}")
        if self.disjoint and (len(self.disjoint) < 2 or len(set(self.disjoint)) < len(self.disjoint)):
            raise wrong(("mix", "disjoint"), "name at least two splits, each once; the one named first keeps a prompt")
        return self._reuse_can_be_had()

    def _reuse_can_be_had(self) -> Mix:
        order = [*self.disjoint, *(split for split in SPLITS if split not in self.disjoint)]
        chosen = [(split, n, a) for split in SPLITS for n, a in enumerate(getattr(self, split)) if a.prompts != "any"]
        for into, n, amount in chosen:
            where = ("mix", into, n, "prompts")
            if into != "preference_prompts":
                raise wrong(where, f"{amount.prompts!r} is for mix.preference_prompts: what was used in SFT or not")
            if amount.prompts == "reused" and {"sft", into} <= set(self.disjoint):
                raise wrong(where, "mix.disjoint names sft and preference_prompts: nothing can be reused")
            if order.index(into) < order.index("sft"):
                raise wrong(where, "mix.disjoint fills preference_prompts before it is known what sft takes")
        return self
