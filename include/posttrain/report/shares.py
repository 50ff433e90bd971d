"""What the mixture has of every source, category and language, and what the recipe asked for."""

from __future__ import annotations

from collections import Counter
from typing import Any

from posttrain.mix.choice import rows_wanted
from posttrain.recipe import MADE_SOURCES, Amount, Recipe
from posttrain.report import svg
from posttrain.report.mixture import Mixture


def shares_view(mixture: Mixture) -> dict[str, Any] | None:
    """Amounts, categories and languages of the mixture by split; None where there is no mixture. Counts are the manifest's."""
    if mixture.mix is None:
        return None
    facts = mixture.mix.facts
    return {
        "splits": {split: rows for split, rows in facts.get("splits", mixture.mix.written).items() if rows},
        "amounts": [_amount(fact) for fact in facts.get("amounts", [])],
        "categories": _shares(facts, "category", "rows", mixture.recipe),
        "languages": _shares(facts, "language", "languages", mixture.recipe),
        "quotas": facts.get("quotas", []),
    }


def wanted(fact: dict[str, Any]) -> int:
    """The rows that an amount asks for: its count, or its proportion of what was available, capped."""
    if "count" in fact:
        return int(fact["count"])
    amount = Amount(source=fact["source"], proportion=float(fact["proportion"]), at_most=fact.get("at_most"))
    return rows_wanted(amount, fact["available"])


def _amount(fact: dict[str, Any]) -> dict[str, Any]:
    words = f"{fact['count']:,} rows" if "count" in fact else f"{fact['proportion']:g} × what there is"
    words += f", at most {fact['at_most']:,}" if fact.get("at_most") is not None else ""
    words += f", temperature {fact['temperature']:g}" if fact.get("temperature") is not None else ""
    words += f", prompts {fact['prompts']}" if fact.get("prompts") else ""
    return fact | {"asked": words, "wanted": wanted(fact), "for_focus": fact.get("for_focus", 0)}


def _shares(facts: dict[str, Any], field: str, counted: str, recipe: Recipe | None) -> list[dict[str, Any]]:
    """A table per split: rows, share, and for categories what the recipe asks for by the category of its sources.

    A source's rows may have other categories than the recipe gives it; that is what the comparison shows.
    """
    tables = []
    got: dict[str, Counter[str]] = {}
    for fact in facts.get(counted, []):
        got.setdefault(fact["split"], Counter())[fact[field]] += fact["rows"]
    quotas = {(q["split"], q[field]): q["quota"] for q in facts.get("quotas", []) if field in q}
    for split, rows in got.items():
        asked = _asked(facts, split, recipe) if recipe and field == "category" else Counter[str]()
        names = sorted({*rows, *asked}, key=lambda name: (-rows[name], name))
        together, asked_together = sum(rows.values()), sum(asked.values())
        lines = [{
            "name": name, "rows": rows[name], "share": rows[name] / together if together else 0.0,
            "asked": asked[name] if asked else None,
            "asked_share": asked[name] / asked_together if asked_together else None, "quota": quotas.get((split, name)),
        } for name in names]
        if rows:
            tables.append({"split": split, "rows": together, "lines": lines, "picture": _picture(lines, split, field)})
    return tables


def _asked(facts: dict[str, Any], split: str, recipe: Recipe) -> Counter[str]:
    """Category → rows that the recipe asks for. Rows made by the run have the categories of what they were made for: these."""
    categories = {source.name: source.category for source in recipe.sources}
    asked: Counter[str] = Counter()
    for fact in facts.get("amounts", []):
        if fact["split"] != split:
            continue
        rows = wanted(fact)
        if fact["source"] in MADE_SOURCES:
            own = [f for f in facts.get("rows", []) if f["split"] == split and f["source"] == fact["source"]]
            together = sum(f["rows"] for f in own)
            for found in own:
                asked[found["category"]] += round(rows * found["rows"] / together)
        else:
            asked[categories.get(fact["source"], "not stated")] += rows
    return +asked


def _picture(lines: list[dict[str, Any]], split: str, field: str) -> str:
    """One bar of the mixture, and above it one of the recipe's wish, each cut by share."""
    both = [("mixture", "share")] + ([("recipe", "asked_share")] if any(line["asked_share"] for line in lines) else [])
    parts = []
    for row, (name, key) in enumerate(reversed(both)):
        x = 70.0
        parts.append(svg.label(62, 20 + 30 * row, name, anchor="end"))
        for n, line in enumerate(lines):
            wide = 900 * (line[key] or 0.0)
            if wide:
                parts.append(svg.box(x, 6 + 30 * row, wide, 22, svg.colour(n), f"{line['name']}: {100 * line[key]:.1f} %"))
                if wide > 7 * len(line["name"]) + 4:
                    parts.append(svg.label(x + wide / 2, 21 + 30 * row, line["name"], size=10, anchor="middle", fill="#fff"))
            x += wide
    return svg.drawing(980, 30 * len(both) + 6, parts, f"Share of every {field} in {split}")
