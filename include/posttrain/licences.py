"""Licence and origin of every source in a mixture: what cards, licence page and report say about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from posttrain.recipe import MADE_SOURCES
from posttrain.run import Run
from posttrain.storage import Manifest, open_parquet


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


def count_licences(mix: Manifest) -> dict[tuple[str, str], int]:
    """(source, licence) → rows over all splits of a mixture."""
    import pyarrow.parquet as pq

    rows: Counter[tuple[str, str]] = Counter()
    for entry in mix.files:
        if entry.split:
            with open_parquet(mix.file(entry.name)) as f:
                table = pq.read_table(f, columns=["source", "license"]).to_pydict()
            rows.update(zip(table["source"], table["license"], strict=True))
    return dict(rows)
