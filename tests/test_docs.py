"""What the pages say is compared with the code."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli import DATA_COMMANDS, RUN_COMMANDS, STAGE_COMMANDS
from posttrain.convert import FAMILIES
from posttrain.filters import RowView
from posttrain.recipe import STAGES, Filter, recipe_names
from posttrain.schema import Message, SFTExample, UnreadableRow


def generator(project: Path) -> Any:
    spec = importlib.util.spec_from_file_location("generate", project / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(project: Path, name: str) -> str:
    return (project / name).read_text(encoding="utf-8")


def test_generated_pages_are_up_to_date(project: Path) -> None:
    for name, page in generator(project).PAGES.items():
        assert read(project, f"docs/{name}") == page(), f"docs/{name} is old: run `python docs/generate.py`"


def test_the_readme_begins_with_the_two_commands(project: Path) -> None:
    assert [line.split()[:2] for line in read(project, "README.md").splitlines()[3:5]] == [["make", "demo"], ["make", "test"]]


def test_the_readme_lists_the_stages_in_order(project: Path) -> None:
    listed = re.findall(r"^\| `(\w+)` \| ", read(project, "README.md"), flags=re.MULTILINE)
    assert tuple(name for name in listed if name in STAGES) == STAGES


def test_the_readme_lists_the_dags(project: Path) -> None:
    listed = set(re.findall(r"^\| `(\w+)` \| ", read(project, "README.md"), flags=re.MULTILINE))
    assert {path.stem for path in (project / "dags").glob("*.py")} <= listed


def test_the_readme_states_the_number_of_source_families(project: Path) -> None:
    assert f"raw rows of {len(FAMILIES)} source families" in read(project, "README.md")


def test_every_command_that_a_page_shows_exists(project: Path) -> None:
    text = "".join(read(project, name) for name in ("README.md", "docs/extending.md", "docs/sources.md"))
    shown = set(re.findall(r"python -m posttrain ([a-z][\w-]*)", text))
    assert shown and shown <= {*STAGE_COMMANDS, *DATA_COMMANDS, *RUN_COMMANDS}


def test_every_make_target_that_the_readme_shows_exists(project: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", read(project, "Makefile"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", read(project, "README.md"), flags=re.MULTILINE)) <= targets


def test_every_file_that_a_page_links_exists(project: Path) -> None:
    for page in ("README.md", "docs/extending.md"):
        for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", read(project, page)):
            assert ((project / page).parent / target).exists(), f"{page} links {target}"


def test_every_recipe_that_the_changelog_names_exists(project: Path) -> None:
    line = next(line for line in read(project, "CHANGELOG.md").splitlines() if line.startswith("- Recipes"))
    assert set(re.findall(r"`([\w-]+)`", line)) == set(recipe_names())


# ---------------------------------------------------------------- the examples of docs/extending.md run


def example_of(project: Path, function: str) -> Any:
    """The function that a Python block of docs/extending.md defines."""
    blocks = re.findall(r"```python\n(.*?)```", read(project, "docs/extending.md"), flags=re.DOTALL)
    block = next(block for block in blocks if f"def {function}(" in block)
    lines = block.splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    names: dict[str, Any] = {}
    header = "from posttrain import recipe\nfrom posttrain.filters import RowView\n" \
             "from posttrain.verifiers.verdict import Verdict\n"
    exec(header + "\n".join(line[indent:] for line in lines), names)
    return names[function]


def test_the_example_family_reads_a_row_and_refuses_one(project: Path) -> None:
    convert = example_of(project, "convert_my_family")
    drafts = convert({"ask": "1+1?", "reply": "2"})
    assert drafts[0].messages == (Message("user", "1+1?"), Message("assistant", "2"))
    with pytest.raises(UnreadableRow, match="missing_field in field 'reply'"):
        convert({"ask": "1+1?"})


def test_the_example_rule_finds_what_it_says(project: Path) -> None:
    rule = example_of(project, "shouts")
    own = {"id": "1", "source": "s", "category": "general", "skill": "general", "language": "en", "license": "MIT"}
    asked = Message("user", "HI")
    loud, calm = (SFTExample(**own, messages=(asked, Message("assistant", text))) for text in ("GO AWAY", "Hello"))
    assert rule(RowView(loud), Filter()) == "the answer shouts: 'GO AWAY'" and rule(RowView(calm), Filter()) is None


@pytest.mark.parametrize(("completion", "score"), [("Yes, it is.", 1.0), ("no", 0.0), ("", 0.0)])
def test_the_example_verifier_scores(project: Path, completion: str, score: float) -> None:
    assert example_of(project, "verify_yes_no")(completion, "yes").score == score
