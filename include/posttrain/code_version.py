"""The code version of a stage: a hash over the source of its module and of every posttrain module it imports.

A version number that a person must remember to raise goes stale (open-instruct's cache did, PR #1509 and #1518);
this one changes when, and only when, code that the stage can reach changes.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent

UNCOUNTED = {"recipe/checks.py": "posttrain.convert"}
"""The recipe looks at the table of source families only to check itself, and its sections stand in a stage's settings: a new
converter must not have every stage done again."""

BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""The parts of a statement that hold statements. An import is one: expressions, nine tenths of a file, are not looked through."""


def _module_file(module: str) -> Path | None:
    base = PACKAGE.joinpath(*module.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _package(path: Path, level: int) -> str:
    """The package that the dots of a relative import stand for, e.g. `posttrain.train` for one dot in train/sft.py."""
    parts = ("posttrain", *path.relative_to(PACKAGE).parts)
    return ".".join(parts[: len(parts) - level]) if level else ""


@functools.cache
def _imports(path: Path) -> frozenset[str]:
    """The posttrain modules that a source file names in an import statement, at any depth of the file.

    Imports under `if TYPE_CHECKING:` do not count: they are never executed.
    """
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        unseen = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for block in ("orelse",) if unseen else BLOCKS:
            todo.extend(getattr(node, block, ()))
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, [_package(path, node.level), node.module]))
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        found.update(n for n in names if n.split(".")[0] == "posttrain" and _module_file(n))
    uncounted = UNCOUNTED.get(path.relative_to(PACKAGE).as_posix())
    return frozenset(name for name in found if not (uncounted and f"{name}.".startswith(f"{uncounted}.")))


@functools.cache
def code_version(*modules: str) -> str:
    """16 hex digits over the sources of `modules` and everything of posttrain that they import, directly or not."""
    todo, seen = list(modules), set[str]()
    while todo:
        module = todo.pop()
        path = _module_file(module)
        if path is None:
            raise ModuleNotFoundError(f"{module} is not a module of posttrain")
        if module not in seen:
            seen.add(module)
            todo.extend(_imports(path))
    digest = hashlib.sha256()
    for module in sorted(seen):
        path = _module_file(module)
        if path is not None and path.name != "code_version.py":
            digest.update(module.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
