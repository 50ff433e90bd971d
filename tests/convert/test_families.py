"""The table of families is the sum of its files."""

from __future__ import annotations

import importlib
import pkgutil

from posttrain.convert import families
from posttrain.convert.family import Family


def test_every_line_of_every_file_is_in_the_table_and_no_name_stands_twice() -> None:
    names = [found.name for found in pkgutil.iter_modules(families.__path__)]
    files = [importlib.import_module(f"posttrain.convert.families.{name}") for name in names]
    tables = [table for file in files for table in vars(file).values()
              if isinstance(table, dict) and table and all(isinstance(line, Family) for line in table.values())]
    assert sorted(name for table in tables for name in table) == sorted(families.FAMILIES)
    assert all(families.FAMILIES[name] is line for table in tables for name, line in table.items())
