"""What the pages say is compared with the code."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from posttrain.cli import DATA_COMMANDS, RUN_COMMANDS, STAGE_COMMANDS
from posttrain.convert import FAMILIES
from posttrain.convert.family import Family
from posttrain.convert.rows import convert_rows
from posttrain.filters import RowView
from posttrain.raw_files import read_raw_file
from posttrain.recipe import STAGES, Filter, Source, recipe_names
from posttrain.report.prompt_map import PROMPTS
from posttrain.report.sample import ROWS
from posttrain.schema import Message, SFTExample, UnreadableRow
from posttrain.storage import ArtifactWriter, read_examples


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
    targets = set(re.findall(r"^([a-z-]+):", read(project, "Makefile"), flags=re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", read(project, "README.md"), flags=re.MULTILINE)) <= targets


def test_every_file_that_a_page_links_exists(project: Path) -> None:
    for page in ("README.md", "docs/extending.md"):
        for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", read(project, page)):
            assert ((project / page).parent / target).exists(), f"{page} links {target}"


def test_the_changelog_names_every_recipe(project: Path) -> None:
    assert set(recipe_names()) <= set(re.findall(r"`([\w-]+)`", read(project, "CHANGELOG.md")))


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


# ---------------------------------------------------------------- docs/data.md


def block_of(project: Path, language: str, holds: str) -> str:
    """The block of docs/data.md in this language that holds the text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", read(project, "docs/data.md"), flags=re.DOTALL)
    return next(block for block in blocks if holds in block)


@pytest.fixture
def chatbot_topics(project: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's module, under the name that it has on the page."""
    module = ModuleType("posttrain.convert.chatbot_topics")
    exec(block_of(project, "python", "def convert_chatbot_topics"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def family_of(project: Path, chatbot_topics: ModuleType) -> Family:
    line = block_of(project, "python", '"chatbot_topics": Family(')
    return eval("{" + line + "}", {"Family": Family, **vars(chatbot_topics)})["chatbot_topics"]


def test_the_test_of_the_data_page_passes(
    project: Path, chatbot_topics: ModuleType, test_data: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(FAMILIES, "chatbot_topics", family_of(project, chatbot_topics))
    names: dict[str, Any] = {}
    exec(block_of(project, "python", "def test_what_is_refused"), names)
    tests = [names[name] for name in names if name.startswith("test_")]
    assert len(tests) == 3
    for test in tests:
        test(*([test_data] if "test_data" in test.__annotations__ else []))


def test_the_function_of_the_data_page_reads_the_real_file(
    project: Path, chatbot_topics: ModuleType, test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    family = family_of(project, chatbot_topics)
    monkeypatch.setitem(FAMILIES, "chatbot_topics", family)
    source = yaml.safe_load(block_of(project, "yaml", "family: chatbot_topics"))["sources"][0]
    path = test_data / source["load"]["path"]
    assert family.tested_on == (source["load"]["path"],)
    spec = Source.model_validate(source)
    out = ArtifactWriter(str(tmp_path / "converted"), stage="convert")
    convert_rows(family.convert, ((path.name, n, row) for n, row in read_raw_file(path)), spec, out)
    manifest = out.finish()
    assert manifest.rows == {"read": 9459, "kept": 9459, "rejected": 0}
    tags = Counter(example.tags for example in read_examples(manifest))
    assert set(tags) == {("daily life",), ("break-up",), ("love",)} and tags.total() == 9459


def test_every_command_and_link_of_the_data_page_exists(project: Path) -> None:
    text = read(project, "docs/data.md")
    shown = set(re.findall(r"python -m posttrain ([a-z][\w-]*)", text))
    assert {"prepare", "doctor", "sources", "sample", "mix", "books", "diff", "report"} <= shown
    assert shown <= {*STAGE_COMMANDS, *DATA_COMMANDS, *RUN_COMMANDS}
    for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", text):
        assert (project / "docs" / target).exists(), target
    assert f"a sample of {ROWS:,} a split" in text and f"a sample of {PROMPTS:,} prompts" in text
