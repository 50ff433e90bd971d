"""The table of source families as facts: what `python -m posttrain sources` and docs/sources.md show."""

from __future__ import annotations

from typing import Any

from posttrain.convert import FAMILIES
from posttrain.convert.family import Family

REAL, BY_HAND = "real files", "rows written by hand"


def catalogue() -> list[dict[str, Any]]:
    """One object a family, in the order of the table."""
    return [family_facts(name, family) for name, family in FAMILIES.items()]


def family_facts(name: str, family: Family) -> dict[str, Any]:
    """Layouts that belong to no publisher have null for origin, licence and Hub id."""
    return {
        "name": name, "kinds": list(family.kinds), "layout": family.layout, "columns": list(family.columns),
        "origin": family.origin, "license": family.license, "non_commercial": family.non_commercial,
        "commercial_use": family.commercial_use, "hub": family.hub, "config": family.config,
        "files": list(family.files),
        "split": family.split if family.hub else None, "revision": family.revision if family.hub else None,
        "options": option_facts(family), "tested": REAL if family.tested_on else BY_HAND, "tested_on": list(family.tested_on),
    }


def option_facts(family: Family) -> dict[str, dict[str, Any]]:
    """Option → its type as JSON schema, its default and what it does."""
    if family.options is None:
        return {}
    return {name: {key: value for key, value in schema.items() if key != "title"}
            for name, schema in family.options.model_json_schema()["properties"].items()}
