"""Review of sources: no rows of a source leave the house before a person has looked at it and said so in the recipe.

Rows that this program makes from a seed (`load: {kind: procedural}`) need no review: the code that makes them is reviewed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from posttrain.licences import count_licences
from posttrain.recipe import MADE_SOURCES, Recipe
from posttrain.storage import Manifest


def undecided_sources(recipe: Recipe, rows: Mapping[str, int]) -> list[str]:
    """A line for every source of `rows` (source → rows) that is external and has no review which accepts it."""
    sources = {source.name: source for source in recipe.sources}
    lines = []
    for name, count in sorted(rows.items()):
        source = sources.get(name)
        if name in MADE_SOURCES or (source and source.load.kind == "procedural"):
            continue
        if source is None:
            lines.append(f"{name} ({count:,} rows): the recipe does not define it")
        elif source.review is None:
            lines.append(f"{name} ({count:,} rows): no review; `python -m posttrain sample {name} --recipe {recipe.name} --out "
                         "sheet.html` shows its rows; then add review: {decision: accept, by: …, date: …, note: …} to the source")
        elif source.review.decision != "accept":
            lines.append(f"{name} ({count:,} rows): rejected by {source.review.by} on {source.review.date}: {source.review.note}")
    return lines


def source_rows(manifests: Iterable[Manifest]) -> dict[str, int]:
    """Rows by their `source` over all splits of the mixtures."""
    rows: Counter[str] = Counter()
    for manifest in manifests:
        for (source, _), count in count_licences(manifest).items():
            rows[source] += count
    return dict(rows)
