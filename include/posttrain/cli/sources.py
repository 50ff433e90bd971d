"""`sources`: the table of source families, and the lock of Hub revisions."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posttrain.cli import options
from posttrain.storage import workspace_url

if TYPE_CHECKING:
    from posttrain.hub_revisions import Locked

Name = Annotated[
    str | None,
    typer.Argument(show_default="all of them", help="One family: columns, options. Of the lock: a family or a Hub data set."),
]


def sources(
    name: Name = None,
    locked: Annotated[bool, typer.Option("--locked", help="List the commits that Hub revisions stand for here.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Move NAME, or --all, to the Hub's commit of today.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="With --update: all that is locked.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """The source families: what each reads, licence, origin, whether it may be used commercially, and where it was tested.

    With --locked and --update: the commits that branches and tags of Hub data sets stand for in this workspace.
    """
    if everything and not update:
        raise typer.BadParameter("--all belongs to --update")
    if update:
        _update(name, everything, as_json)
    elif locked:
        _locked(name, as_json)
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


def _locked(name: str | None, as_json: bool) -> None:
    from posttrain.hub_revisions import entries

    found = entries(workspace_url())
    found = _of(name, found) if name else found
    if as_json:
        typer.echo(json.dumps({"locked": [asdict(entry) for entry in found]}))
    elif found:
        lines = [(entry.id, entry.revision, entry.commit, entry.locked_at) for entry in found]
        typer.echo(table([("Hub data set", "revision", "commit", "since"), *lines]))
    else:
        typer.echo(f"nothing is locked in {workspace_url()}: the first use of a Hub revision that is no commit locks it")


def _update(name: str | None, everything: bool, as_json: bool) -> None:
    from posttrain.hub_revisions import entries, move

    if bool(name) == everything:
        raise typer.BadParameter("--update takes a NAME or --all")
    found = entries(workspace_url())
    moved = move(_of(name, found) if name else found, workspace_url())
    if as_json:
        typer.echo(json.dumps({"locked": [asdict(now) | {"before": before.commit} for before, now in moved]}))
        return
    for before, now in moved:
        change = f"{before.commit} -> {now.commit}" if before.commit != now.commit else f"{now.commit}, unchanged"
        typer.echo(f"{now.id}@{now.revision}: {change}")


def _of(name: str, found: list[Locked]) -> list[Locked]:
    """The entries of a Hub data set, or of a family's."""
    from posttrain.convert import FAMILIES

    hub = FAMILIES[name].hub if name in FAMILIES else name
    chosen = [entry for entry in found if entry.id == hub]
    if not chosen:
        held = ", ".join(f"{entry.id}@{entry.revision}" for entry in found) or "nothing"
        raise typer.BadParameter(f"{name!r} is not in the lock; it holds {held}")
    return chosen


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
