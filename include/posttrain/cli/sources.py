"""`sources`: the table of source families."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from posttrain.cli import options

Name = Annotated[str | None, typer.Argument(show_default="all of them", help="One family, with its columns and options.")]


def sources(name: Name = None, as_json: options.AsJson = False) -> None:
    """The source families: what each reads, licence, origin, whether it may be used commercially, and where it was tested."""
    from posttrain.convert.catalogue import catalogue

    families = catalogue()
    if name is not None:
        known = [facts["name"] for facts in families]
        if name not in known:
            raise typer.BadParameter(f"no source family {name!r}; there are {', '.join(sorted(known))}")
        families = [facts for facts in families if facts["name"] == name]
    if as_json:
        typer.echo(json.dumps({"families": families}, ensure_ascii=False))
    elif name is not None:
        typer.echo(details(families[0]))
    else:
        lines = [(f["name"], ", ".join(f["kinds"]), f["commercial_use"], f["tested"], f["license"] or "", f["origin"] or "")
                 for f in families]
        typer.echo(table([("family", "gives", "commercial use", "tested on", "licence", "origin"), *lines]))
        real = sum(f["tested"] == "real files" for f in families)
        typer.echo(f"\n{len(families)} families, {real} of them tested on real files; `sources NAME` shows columns and options")


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows of cells in columns as wide as their widest cell."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def details(facts: dict[str, Any]) -> str:
    """All facts of one family, one a line."""
    lines = [(key.replace("_", " "), _shown(value)) for key, value in facts.items()
             if key not in ("options", "non_commercial") and value not in (None, [])]
    for option, schema in facts["options"].items():
        lines.append((f"option {option}", f"{schema.get('description', '')} (default: {json.dumps(schema.get('default'))})"))
    return table(lines)


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
