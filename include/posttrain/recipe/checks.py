"""What the sections of a recipe must agree on: names that one of them says and another defines. One function a check."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import ValidationError

from posttrain.recipe.errors import allowed, wrong
from posttrain.recipe.evals import eval_tasks
from posttrain.recipe.mix import SPLITS, amount_names
from posttrain.recipe.sources import MADE_SOURCES, Source
from posttrain.section import Section
from posttrain.tokenize.templates import OWN, TEMPLATES

if TYPE_CHECKING:
    from posttrain.recipe.recipe import Recipe


def _names_stand_once(recipe: Recipe) -> None:
    _refuse_twice([source.name for source in recipe.sources], ("sources",), "source")
    _refuse_twice([item.name for item in recipe.evals], ("evals",), "eval")


def _refuse_twice(names: list[str], path: tuple[str, ...], what: str) -> None:
    seen = set[str]()
    for n, name in enumerate(names):
        if name in seen:
            raise wrong((*path, n), f"{what} {name!r} stands twice")
        seen.add(name)


def _families_are_known(recipe: Recipe) -> None:
    from posttrain.convert import FAMILIES

    for n, source in enumerate(recipe.sources):
        if source.name in MADE_SOURCES:
            raise wrong(("sources", n, "name"), f"{source.name!r} is the name of rows that the pipeline makes itself")
        if source.family not in FAMILIES:
            message = f"{source.family!r} is no source family; {allowed(source.family, FAMILIES)}"
            raise wrong(("sources", n, "family"), message)
        _check_options(source, FAMILIES[source.family].options, ("sources", n, "options"))


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


def _filter_names_sources(recipe: Recipe) -> None:
    named = [source.name for source in recipe.sources]
    duplicates, select = recipe.filter.duplicates, recipe.filter.select
    lists = {("duplicates", "priority"): duplicates.priority,
             ("duplicates", "near", "leave_out"): duplicates.near.leave_out if duplicates.near else (),
             ("duplicates", "semantic", "leave_out"): duplicates.semantic.leave_out if duplicates.semantic else (),
             ("select", "sources"): select.sources if select else ()}
    for place, mentioned in lists.items():
        for n, name in enumerate(mentioned):
            if name not in named:
                raise wrong(("filter", *place, n), f"source {name!r} is not defined; {allowed(name, named)}")


def _mixture_names_sources(recipe: Recipe) -> None:
    known = {*(source.name for source in recipe.sources), *MADE_SOURCES}
    rejected = {s.name: s.review for s in recipe.sources if s.review and s.review.decision == "reject"}
    for split in SPLITS:
        amounts = getattr(recipe.mix, split)
        _refuse_twice(amount_names(amounts), ("mix", split), "source")
        paths: list[tuple[str | int, ...]] = [("mix", split, n, "source") for n in range(len(amounts))]
        names = [amount.source for amount in amounts]
        if split in recipe.mix.temperature:
            names += recipe.mix.temperature[split].sources
            paths += [("mix", "temperature", split, "sources")] * (len(names) - len(paths))
        for path, name in zip(paths, names, strict=True):
            if name not in known:
                raise wrong(path, f"source {name!r} is not defined; {allowed(name, known)}")
            if name in rejected:
                who = f"{rejected[name].by}, {rejected[name].date}"
                raise wrong(path, f"source {name!r} was rejected in review ({who}): take it out of the mixture")


def _template_exists(recipe: Recipe) -> None:
    if recipe.tokenize.template == OWN and recipe.model.kind == "tiny" and recipe.tokenize.tokenizer.kind == "own":
        message = f"a tokenizer that is trained on the mixture has no template; {allowed('', TEMPLATES)}"
        raise wrong(("tokenize", "template"), message)


def _tasks_exist(recipe: Recipe) -> None:
    tasks = eval_tasks()
    for n, item in enumerate(recipe.evals):
        if item.task and item.task not in tasks:
            raise wrong(("evals", n, "task"), f"no folder {item.task!r} under include/evals; {allowed(item.task, tasks)}")


def _decontamination_names_evals(recipe: Recipe) -> None:
    known = [item.name for item in recipe.evals]
    for name in recipe.decontaminate.evals:
        if name not in known:
            raise wrong(("decontaminate", "evals", name), f"no eval {name!r}; {allowed(name, known)}")


def _gate_names_skills(recipe: Recipe) -> None:
    skills = {item.skill or item.name for item in recipe.evals if item.task}
    for skill in recipe.gate.thresholds:
        if skill not in skills:
            message = f"no eval with a task measures skill {skill!r}; {allowed(skill, skills)}"
            raise wrong(("gate", "thresholds", skill), message)


CHECKS: tuple[Callable[[Recipe], None], ...] = (
    _names_stand_once, _families_are_known, _filter_names_sources, _mixture_names_sources, _template_exists, _tasks_exist,
    _decontamination_names_evals, _gate_names_skills,
)
"""In the order in which a recipe is told what is wrong with it; each raises the error that names the key."""
