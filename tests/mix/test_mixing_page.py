"""docs/mixing.md says what the recipe really has."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from posttrain.cli import DATA_COMMANDS, STAGE_COMMANDS
from posttrain.licence_terms import TERMS
from posttrain.mix import REJECTIONS
from posttrain.recipe import Amount, Mix, Temperature, load_recipe


def page(project: Path) -> str:
    return (project / "docs" / "mixing.md").read_text(encoding="utf-8")


def test_every_setting_is_explained(project: Path) -> None:
    words = set(re.findall(r"\w+", page(project)))
    fields = {name for model in (Mix, Amount, Temperature) for name in model.model_fields} - {"cite"}
    assert fields <= words, fields - words
    assert set(TERMS) <= words and {"prompt_in_other_split", "license_not_allowed"} <= words & set(REJECTIONS)


def test_its_commands_exist_and_its_recipe_loads(project: Path, tmp_path: Path) -> None:
    commands = set(re.findall(r"python -m posttrain ([a-z][\w-]*)", page(project)))
    assert commands == {"mix", "books", "diff"} and commands <= {*STAGE_COMMANDS, *DATA_COMMANDS}
    block = re.findall(r"```yaml\n(.*?)```", page(project), flags=re.DOTALL)[-1]
    # GSM8K's rows are left out of the example, so they cannot be mixed either.
    amounts = [amount.model_dump() for amount in load_recipe("tulu3-8b").mix.rlvr if amount.source != "gsm8k_train"]
    (tmp_path / "mine.yaml").write_text(block + yaml.safe_dump({"mix": {"rlvr": amounts}}), encoding="utf-8")
    assert load_recipe(str(tmp_path / "mine.yaml")).name == "mine"


def test_the_numbers_of_its_examples(project: Path) -> None:
    text = page(project)
    for example in re.findall(r"^\| `(\{source: .*?\})`", text, flags=re.MULTILINE):
        Amount.model_validate(yaml.safe_load(example))
    assert "as 91 and 9" in text  # test_choice.py: √1000 : √10
