"""`sources`: the table of source families, and the lock of Hub revisions."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from posttrain.cli import options
from posttrain.storage import workspace_url

Name = Annotated[
    str | None,
    typer.Argument(show_default="all of them", help="One family, with its columns and options; for --update, or a Hub data set."),
]


def sources(
    name: Name = None,
    locked: Annotated[bool, typer.Option("--locked", help="List the commits that Hub revisions stand for here.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Move NAME, or --all, to the Hub's commit of today.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="With --update: all that is locked.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """The source families: what each reads, licence, origin, whether it may be used commercially, and where it was tested."""
    if update or everything:
        _update(name, update, everything, as_json)
    elif locked:
        _locked(as_json)
    else:
        _families(name, as_json)


def _families(name: str | None, as_json: bool) -> None:
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


def _locked(as_json: bool) -> None:
    from dataclasses import asdict

    from posttrain.hub_revisions import entries

    found = entries(workspace_url())
    if as_json:
        typer.echo(json.dumps({"locked": [asdict(entry) for entry in found]}))
    elif found:
        lines = [(entry.id, entry.revision, entry.commit, entry.locked_at) for entry in found]
        typer.echo(table([("Hub data set", "revision", "commit", "since"), *lines]))
    else:
        typer.echo(f"nothing is locked in {workspace_url()}: the first use of a Hub revision that is no commit locks it")


def _update(name: str | None, update: bool, everything: bool, as_json: bool) -> None:
    from posttrain.convert import FAMILIES
    from posttrain.hub_revisions import entries, move

    if not update:
        raise typer.BadParameter("--all belongs to --update")
    if not name and not everything:
        raise typer.BadParameter("name what is to move, or give --all")
    if name and everything:
        raise typer.BadParameter("give either a NAME or --all")
    found = entries(workspace_url())
    hub = (FAMILIES[name].hub if name in FAMILIES else name) if name else None
    chosen = [entry for entry in found if everything or entry.id == hub]
    if name and not chosen:
        held = ", ".join(f"{entry.id}@{entry.revision}" for entry in found) or "nothing"
        raise typer.BadParameter(f"{name!r} is not in the lock; it holds {held}")
    moved = move(chosen, workspace_url())
    if as_json:
        typer.echo(json.dumps({"locked": [{"id": now.id, "revision": now.revision, "before": before.commit, "commit": now.commit}
                                          for before, now in moved]}))
        return
    for before, now in moved:
        change = f"{before.commit} -> {now.commit}" if before.commit != now.commit else f"{now.commit}, unchanged"
        typer.echo(f"{now.id}@{now.revision}: {change}")


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
