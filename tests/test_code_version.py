"""The code version of a stage changes when, and only when, code that it can reach changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from posttrain import code_version as subject
from posttrain.code_version import code_version


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A package of five modules: stage → rules → words; typed → only for type checking → words; alone."""
    files = {
        "__init__.py": "",
        "stage.py": "from posttrain.rules import check\n",
        "rules/__init__.py": "from . import deep\nfrom .deep import rule\n",
        "rules/deep.py": "def rule():\n    for n in [1]:\n        try:\n            pass\n        except ValueError:\n"
                         "            match n:\n                case 1:\n                    from posttrain import words\n",
        "words.py": "WORDS = 1\n",
        "typed.py": "if TYPE_CHECKING:\n    from posttrain.words import WORDS\nelse:\n    import posttrain.alone\n",
        "alone.py": "import json\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(subject, "PACKAGE", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    subject._imports.cache_clear()
    subject.code_version.cache_clear()


def changed(package: Path, name: str, module: str) -> bool:
    """Whether the version of `module` changes when a line is added to the file `name`."""
    before = code_version(module)
    (package / name).write_text((package / name).read_text() + "# another line\n")
    forget()
    return code_version(module) != before


@pytest.mark.parametrize("name", ["stage.py", "rules/__init__.py", "rules/deep.py", "words.py"])
def test_the_version_changes_with_every_module_that_a_stage_reaches(package, name):
    """Reached directly, through a package, by a relative import, and from inside a function."""
    assert changed(package, name, "posttrain.stage")


@pytest.mark.parametrize("name", ["alone.py", "typed.py"])
def test_the_version_stays_where_another_module_changes(package, name):
    assert not changed(package, name, "posttrain.stage")


def test_a_converter_is_no_part_of_a_stage_that_reads_the_recipe():
    """The check of the recipe imports the table of families; it decides no result."""
    assert "posttrain.convert" not in subject._imports(subject.PACKAGE / "recipe" / "checks.py")
    assert "posttrain.section" in subject._imports(subject.PACKAGE / "recipe" / "checks.py")


def test_an_import_for_type_checking_is_never_executed_and_does_not_count(package):
    assert not changed(package, "words.py", "posttrain.typed")
    assert changed(package, "alone.py", "posttrain.typed")


def test_the_version_is_stable_and_differs_between_modules(package):
    versions = {module: code_version(f"posttrain.{module}") for module in ("stage", "words", "alone", "typed")}
    forget()
    assert versions == {module: code_version(f"posttrain.{module}") for module in versions}
    assert len(set(versions.values())) == 4
    assert all(len(version) == 16 and int(version, 16) >= 0 for version in versions.values())


def test_the_place_of_the_package_does_not_count(package, tmp_path_factory, monkeypatch):
    before = code_version("posttrain.stage")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "posttrain"
    shutil.copytree(package, elsewhere)
    monkeypatch.setattr(subject, "PACKAGE", elsewhere)
    forget()
    assert code_version("posttrain.stage") == before


def test_modules_may_import_each_other(package):
    (package / "words.py").write_text("import posttrain.stage\n")
    forget()
    assert code_version("posttrain.stage")


def test_a_module_that_does_not_exist_is_refused(package):
    with pytest.raises(ModuleNotFoundError, match=r"posttrain\.nothing is not a module of posttrain"):
        code_version("posttrain.nothing")


@pytest.mark.parametrize("module", ["posttrain.collect", "posttrain.filters", "posttrain.mix", "posttrain.gate"])
def test_the_stages_of_this_project_have_a_version(module):
    assert len(code_version(module)) == 16


def test_the_mixture_does_not_depend_on_the_converters_or_the_trainers():
    """What the stage's own modules import; the plan, the books and the difference are none of the stage's."""
    own, todo = set[str](), ["posttrain.mix"]
    reached = set[str]()
    while todo:
        own.add(todo.pop())
        found = {name for module in own for name in subject._imports(subject._module_file(module))}
        reached |= found
        todo = [name for name in found if name.startswith("posttrain.mix") and name not in own]
    assert not own & {"posttrain.mix.plan", "posttrain.mix.books", "posttrain.mix.diff"} and "posttrain.mix.writing" in own
    assert "posttrain.recipe" in reached and "posttrain.storage" in reached
    assert not any(name.startswith(("posttrain.convert", "posttrain.train")) for name in reached)
