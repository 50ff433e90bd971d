"""The whole recipe: its sections, which must agree with each other (checks.py)."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator, model_validator

from posttrain.recipe.checks import CHECKS
from posttrain.recipe.decontaminate import Decontaminate, Review
from posttrain.recipe.evals import EvalSet
from posttrain.recipe.evaluate import Evaluate, Gate, Release
from posttrain.recipe.filter import Filter
from posttrain.recipe.mix import Mix
from posttrain.recipe.model import BaseModelChoice, Tokenize
from posttrain.recipe.sources import Source
from posttrain.recipe.teacher import Improve, Synthesize, Teacher
from posttrain.recipe.training import DPO, RLVR, SFT, Launch, Preferences
from posttrain.section import Section


class Recipe(Section):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*$")
    description: str
    seed: int = 0
    sources: tuple[Source, ...] = Field(min_length=1)
    evals: tuple[EvalSet, ...] = ()
    teacher: Teacher = Teacher()
    filter: Filter = Filter()
    improve: Improve = Improve()
    synthesize: Synthesize = Synthesize()
    decontaminate: Decontaminate = Field(default=Decontaminate(), validate_default=True)
    review: Review = Review()
    mix: Mix
    model: BaseModelChoice
    launch: Launch = Launch()
    tokenize: Tokenize = Tokenize()
    sft: SFT
    preferences: Preferences = Preferences()
    dpo: DPO
    rlvr: RLVR
    evaluate: Evaluate = Evaluate()
    gate: Gate = Gate()
    release: Release = Release()

    @field_validator("decontaminate")
    @classmethod
    def _its_evals(cls, value: Decontaminate, info: ValidationInfo) -> Decontaminate:
        return value.of_collection(info.data["name"]) if "name" in info.data else value

    @model_validator(mode="after")
    def _sections_agree(self) -> Recipe:
        for check in CHECKS:
            check(self)
        return self

    def source(self, name: str) -> Source:
        return next(source for source in self.sources if source.name == name)
