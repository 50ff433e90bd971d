"""The recipe: one YAML file holds every number of a run. Unknown keys are refused before the first task starts.

An error names the file, the line and the key path, and what would have been allowed.

    sources.py        sources, and what they are loaded from        model.py     model, tokenize
    evals.py          evals                                         training.py  launch, sft, preferences, dpo, rlvr
    filter.py         filter                                        evaluate.py  evaluate, gate, release
    teacher.py        teacher, improve, synthesize                  recipe.py    the whole
    decontaminate.py  decontaminate, review                         checks.py    what the sections must agree on
    mix.py            mix                                           stages.py    the stages, in their order

    reading.py → extends.py → files.py    a recipe from its files; complaints.py and errors.py: what is said of a wrong one

A new key: one field in the section's file; the recipes that want another value than its default.
"""

from posttrain.recipe.decontaminate import Decontaminate, Review
from posttrain.recipe.errors import RecipeError
from posttrain.recipe.evals import EvalSet
from posttrain.recipe.evaluate import Evaluate, Gate, Release
from posttrain.recipe.files import RECIPE_FOLDER, recipe_names
from posttrain.recipe.filter import Filter, RepetitionLimits, Select
from posttrain.recipe.mix import SPLITS, Amount, Mix, Temperature, amount_names
from posttrain.recipe.model import FileTokenizer, HubModel, HubTokenizer, OwnTokenizer, TinyModel, Tokenize
from posttrain.recipe.reading import check_recipe, load_recipe
from posttrain.recipe.recipe import Recipe
from posttrain.recipe.sources import (
    MADE_SOURCES,
    FileLoad,
    HubLoad,
    Load,
    ProceduralLoad,
    Source,
    SourceReview,
    data_root,
)
from posttrain.recipe.stages import DATA_STAGES, STAGES, TRAINED
from posttrain.recipe.teacher import Improve, Synthesize, Teacher
from posttrain.recipe.training import DPO, RLVR, SFT, Launch, Preferences, Training

__all__ = [
    "DATA_STAGES", "DPO", "MADE_SOURCES", "RECIPE_FOLDER", "RLVR", "SFT", "SPLITS", "STAGES", "TRAINED", "Amount",
    "Decontaminate", "EvalSet", "Evaluate", "FileLoad", "FileTokenizer", "Filter", "Gate", "HubLoad", "HubModel",
    "HubTokenizer", "Improve", "Launch", "Load", "Mix", "OwnTokenizer", "Preferences", "ProceduralLoad", "Recipe",
    "RecipeError", "Release", "RepetitionLimits", "Review", "Select", "Source", "SourceReview", "Synthesize", "Teacher",
    "Temperature", "TinyModel", "Tokenize", "Training", "amount_names", "check_recipe", "data_root", "load_recipe",
    "recipe_names",
]
