"""The whole recipe: its sections, and what they must agree on."""

from __future__ import annotations

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from posttrain.recipe.decontaminate import Decontaminate, Review
from posttrain.recipe.errors import allowed, wrong
from posttrain.recipe.evals import EVAL_FOLDER, EvalSet
from posttrain.recipe.evaluate import Evaluate, Gate, Release
from posttrain.recipe.filter import Filter
from posttrain.recipe.mix import SPLITS, Mix, amount_names
from posttrain.recipe.model import BaseModelChoice, Tokenize
from posttrain.recipe.sources import MADE_SOURCES, Source
from posttrain.recipe.teacher import Improve, Synthesize, Teacher
from posttrain.recipe.training import DPO, RLVR, SFT, Launch, Preferences
from posttrain.section import Section
from posttrain.tokenize.templates import OWN, TEMPLATES


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
    def _names_agree(self) -> Recipe:
        from posttrain.convert import FAMILIES

        refuse_twice([source.name for source in self.sources], "sources", "source")
        refuse_twice([item.name for item in self.evals], "evals", "eval")
        for n, source in enumerate(self.sources):
            if source.name in MADE_SOURCES:
                raise wrong(("sources", n, "name"), f"{source.name!r} is the name of rows that the pipeline makes itself")
            if source.family not in FAMILIES:
                message = f"{source.family!r} is no source family; {allowed(source.family, FAMILIES)}"
                raise wrong(("sources", n, "family"), message)
            _check_options(source, FAMILIES[source.family].options, ("sources", n, "options"))
        named = [source.name for source in self.sources]
        duplicates, select = self.filter.duplicates, self.filter.select
        lists = {("duplicates", "priority"): duplicates.priority,
                 ("duplicates", "near", "leave_out"): duplicates.near.leave_out if duplicates.near else (),
                 ("duplicates", "semantic", "leave_out"): duplicates.semantic.leave_out if duplicates.semantic else (),
                 ("select", "sources"): select.sources if select else ()}
        for place, mentioned in lists.items():
            for n, name in enumerate(mentioned):
                if name not in named:
                    message = f"source {name!r} is not defined; {allowed(name, named)}"
                    raise wrong(("filter", *place, n), message)
        known = {*named, *MADE_SOURCES}
        rejected = {s.name: s.review for s in self.sources if s.review and s.review.decision == "reject"}
        for split in SPLITS:
            amounts = getattr(self.mix, split)
            refuse_twice(amount_names(amounts), ("mix", split), "source")
            paths: list[tuple[str | int, ...]] = [("mix", split, n, "source") for n in range(len(amounts))]
            names = [amount.source for amount in amounts]
            if split in self.mix.temperature:
                names += self.mix.temperature[split].sources
                paths += [("mix", "temperature", split, "sources")] * (len(names) - len(paths))
            for path, name in zip(paths, names, strict=True):
                if name not in known:
                    raise wrong(path, f"source {name!r} is not defined; {allowed(name, known)}")
                if name in rejected:
                    who = f"{rejected[name].by}, {rejected[name].date}"
                    raise wrong(path, f"source {name!r} was rejected in review ({who}): take it out of the mixture")
        if self.tokenize.template == OWN and self.model.kind == "tiny" and self.tokenize.tokenizer.kind == "own":
            message = f"a tokenizer that is trained on the mixture has no template; {allowed('', TEMPLATES)}"
            raise wrong(("tokenize", "template"), message)
        tasks = {path.parent.name for path in EVAL_FOLDER.glob("*/task.yaml")}
        for n, item in enumerate(self.evals):
            if item.task and item.task not in tasks:
                raise wrong(("evals", n, "task"), f"no folder {item.task!r} under include/evals; {allowed(item.task, tasks)}")
        for name in self.decontaminate.evals:
            known_evals = [item.name for item in self.evals]
            if name not in known_evals:
                raise wrong(("decontaminate", "evals", name), f"no eval {name!r}; {allowed(name, known_evals)}")
        skills = {item.skill or item.name for item in self.evals if item.task}
        for skill in self.gate.thresholds:
            if skill not in skills:
                message = f"no eval with a task measures skill {skill!r}; {allowed(skill, skills)}"
                raise wrong(("gate", "thresholds", skill), message)
        return self

    def source(self, name: str) -> Source:
        return next(source for source in self.sources if source.name == name)


def _check_options(source: Source, model: type[Section] | None, path: tuple[str | int, ...]) -> None:
    """Refuse options that the source's family does not have, or of another type."""
    for key in source.options:
        if model is None or key not in model.model_fields:
            raise wrong((*path, key), f"unknown key; {allowed(key, model.model_fields if model else ())}")
    try:
        if model:
            model.model_validate(source.options)
    except ValidationError as error:
        first = error.errors()[0]
        raise wrong((*path, *first["loc"]), first["msg"].removeprefix("Value error, ")) from error


def refuse_twice(names: list[str], path: str | tuple[str, ...], what: str) -> None:
    seen = set[str]()
    for n, name in enumerate(names):
        if name in seen:
            raise wrong((*([path] if isinstance(path, str) else path), n), f"{what} {name!r} stands twice")
        seen.add(name)
