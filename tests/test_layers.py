"""dags → posttrain_airflow → posttrain, never back; asserted on the source, so that an import inside a function counts."""

from __future__ import annotations

import ast
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def imported_packages(source: str) -> set[str]:
    """The top-level packages that a module imports anywhere: `from a.b import c` inside a function → {"a"}."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).split(".")[0])
    return names


def test_imports_are_found_at_any_depth() -> None:
    source = "import os.path\ndef f():\n    if True:\n        from airflow.sdk import dag\n"
    assert imported_packages(source) == {"os", "airflow"}


def importers(folder: str, packages: set[str]) -> dict[str, set[str]]:
    files = sorted((PROJECT / folder).rglob("*.py"))
    assert files, f"no Python file under {folder}"
    found = {str(path.relative_to(PROJECT)): imported_packages(path.read_text(encoding="utf-8")) & packages for path in files}
    return {path: names for path, names in found.items() if names}


def test_library_does_not_know_airflow() -> None:
    assert importers("include", {"airflow", "posttrain_airflow", "posttrain_plugin", "dags", "plugins"}) == {}


def test_plugins_do_not_import_dags() -> None:
    dags = {path.stem for path in (PROJECT / "dags").glob("*.py")}
    assert importers("plugins", {"dags", *dags}) == {}


def test_nobody_spells_the_library_include_posttrain() -> None:
    """`include.posttrain` and `posttrain` would be two modules with two sets of classes."""
    for folder in ("dags", "plugins", "include", "tests"):
        assert importers(folder, {"include"}) == {}


def test_heavy_libraries_are_imported_inside_functions() -> None:
    heavy = {"torch", "transformers", "datasets", "trl", "lm_eval", "matplotlib", "pandas", "elasticsearch", "openai",
             "accelerate"}
    for folder in ("dags", "plugins", "include/posttrain"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], type_ignores=[])
            assert imported_packages(ast.unparse(top)) & heavy == set(), path
