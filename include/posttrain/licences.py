"""Licence and origin of every source in a mixture: what cards, licence page and report say about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from posttrain.licence_terms import allowed_terms, refused_terms
from posttrain.recipe import MADE_SOURCES
from posttrain.run import Run
from posttrain.storage import Manifest, read_table


@dataclass(frozen=True)
class LicenceLine:
    source: str
    license: str
    origin: str
    non_commercial: bool
    rows: int
    """Rows of the source in the mixture's splits."""


def licence_lines(run: Run, mix: Manifest) -> list[LicenceLine]:
    """Licence and rows of every source in the mixture's splits, by the rows' own `source` and `license` columns."""
    rows = count_licences(mix)
    sources = {source.name: source for source in run.recipe.sources}
    lines = []
    for (name, licence), count in sorted(rows.items()):
        spec = sources.get(name)
        origin = spec.origin if spec else "made by the pipeline" if name in MADE_SOURCES else "not stated"
        lines.append(LicenceLine(name, licence, origin, spec.non_commercial if spec else False, count))
    return lines


def refused_licences(run: Run, manifests: list[Manifest]) -> list[str]:
    """What may not go out of the house: a line for every source and licence whose terms the recipe's `mix` does not allow.

    The mixture has passed the same gate; this one also looks at pairs that were made since, and at a mixture from elsewhere.
    """
    allowed = allowed_terms(run.recipe.mix)
    marked = {source.name: source.non_commercial for source in run.recipe.sources}
    lines = []
    for manifest in manifests:
        for (source, licence), rows in sorted(count_licences(manifest).items(), key=str):
            refused = refused_terms(licence, non_commercial=marked.get(source, False), allowed=allowed)
            if refused:
                lines.append(f"{rows:,} rows of {source} in {manifest.stage} ({licence or 'no licence'}): "
                             + ", ".join(f"mix.allow_{term} is false" for term in refused))
    return lines


def count_licences(mix: Manifest) -> dict[tuple[str, str], int]:
    """(source, licence) → rows over all splits of a mixture."""

    rows: Counter[tuple[str, str]] = Counter()
    for entry in mix.files:
        if entry.split:
            table = read_table(mix.file(entry.name), ["source", "license"])
            counts = table.group_by(table.column_names).aggregate([([], "count_all")]).to_pylist()
            rows.update({(row["source"], row["license"]): row["count_all"] for row in counts})
    return dict(rows)
