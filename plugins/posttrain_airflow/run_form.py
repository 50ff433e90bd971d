"""The typed forms of the DAGs. Every value is checked by Airflow before a run exists; unknown keys by the start task."""

from __future__ import annotations

from airflow.sdk import Param

from posttrain.recipe import DATA_STAGES, STAGES, recipe_names

DEFAULT_RECIPE = "demo"
MODEL_STAGES = STAGES[len(DATA_STAGES):]

_LOOP = "Set by the loop"


def recipe() -> Param:
    return Param(DEFAULT_RECIPE, type="string", enum=recipe_names(), title="Recipe",
                 description_md="A file of `include/recipes`: every number of the run.")


def published_recipe() -> Param:
    return Param(None, type=["null", "string"], enum=[None, *recipe_names()], title="Recipe",
                 description="Unless given, that of the event, else that of the mixture that was published last.")


def accept() -> Param:
    return Param([], type="array", items={"type": "string", "pattern": "^[0-9a-f]{12,64}$"}, title="Accept changed eval files",
                 description="The new sha256 (12 digits or more) of every file that changed under its name on purpose.")


def mixture_run() -> Param:
    return Param(None, type=["null", "string"], minLength=1, maxLength=250, title="Run of the mixture",
                 description="Train on the mixture that this run made. Unless given, that of the event that triggered the run, "
                             "else the one that was published last.")


def until(stages: tuple[str, ...]) -> Param:
    return Param(stages[-1], type="string", enum=list(stages), title="Run until",
                 description="The last stage to run; what comes after it is skipped.")


def approval() -> Param:
    return Param(False, type="boolean", title="Approval by a person",
                 description="Ask a person what to do with the review band, and before the release. Needs a scheduler.")


def seed() -> Param:
    return Param(None, type=["null", "integer"], minimum=0, title="Seed", description="Overrides the recipe's seed.")


def tulu3_form() -> dict[str, Param]:
    return {
        "recipe": recipe(),
        "until": until(STAGES),
        "max_rounds": Param(None, type=["null", "integer"], minimum=1, maximum=20, title="Rounds at most",
                            description="How often the loop may go round; the recipe's number unless given."),
        "approval": approval(),
        "thresholds": Param({}, type="object", additionalProperties={"type": "number", "minimum": 0, "maximum": 1},
                            title="Thresholds", description='Overrides per skill, such as {"addition": 0.8}.'),
        "seed": seed(),
        "accept": accept(),
        "root_run_id": Param(None, type=["null", "string"], minLength=1, maxLength=200, title="Root run id", section=_LOOP,
                             description="The id of the loop's first round."),
        "round": Param(0, type="integer", minimum=0, maximum=19, title="Round", section=_LOOP),
        "focus": Param({}, type="object", additionalProperties={"type": "number", "minimum": 0}, title="Focus", section=_LOOP,
                       description="The gap of every skill that fell short in the round before."),
    }
