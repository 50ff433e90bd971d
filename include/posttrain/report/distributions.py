"""How long the conversations of a mixture are, and how many turns they have."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from posttrain.report import svg
from posttrain.report.mixture import Mixture
from posttrain.report.sample import SplitSample

CHARACTERS = (0, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
TURNS = (1, 2, 3, 4, 5, 6, 7, 9, 13, 21)
"""Where each column of a histogram begins; the last one has no end."""
QUANTILES = (("5 %", 5), ("median", 50), ("95 %", 95))


def distributions_view(samples: list[SplitSample], mixture: Mixture) -> dict[str, Any]:
    """Histograms and quantiles by split and source; `tokens` where the run has tokenised its mixture, exact by source."""
    facts = mixture.tokenized.facts if mixture.tokenized else {}
    tokens = [{"source": name, **counts} for name, counts in facts.get("per_source", {}).items()]
    return {
        "splits": [{
            "split": s.split, "rows": len(s.source), "of": s.of, "whole": s.whole, "files": s.files, "of_files": s.of_files,
            "characters": _histogram(s.characters, CHARACTERS, f"Characters per row of {s.split}", svg.PALETTE[0]),
            "turns": _histogram(s.turns, TURNS, f"Turns per row of {s.split}", svg.PALETTE[2]),
            "sources": _by_source(s),
        } for s in samples],
        "tokens": [line for line in tokens if {"rows", "tokens", "trainable_tokens", "truncated"} <= line.keys()],
    }


def _histogram(values: npt.NDArray[np.int64], edges: tuple[int, ...], what: str, fill: str) -> str:
    return svg.histogram(counted(values, edges), _edges(edges), what, fill=fill)


def counted(values: npt.NDArray[np.int64], edges: tuple[int, ...]) -> list[int]:
    """How many values lie in [edge, next edge); the last has no end, and what lies below the first counts there."""
    places = np.clip(np.searchsorted(np.array(edges), values, side="right") - 1, 0, len(edges) - 1)
    return np.bincount(places, minlength=len(edges)).tolist()


def _edges(edges: tuple[int, ...]) -> list[str]:
    names = []
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        names.append(f"{low:,}+" if high is None else str(low) if high == low + 1 else f"{_short(low)}–{_short(high - 1)}")
    return names


def _short(number: int) -> str:
    return f"{(number + 1) // 1000}k" if number >= 1000 and (number + 1) % 1000 < 2 else str(number)


def _by_source(sample: SplitSample) -> list[dict[str, Any]]:
    names = np.array(sample.source, dtype=object)
    lines = []
    for source in sorted(set(sample.source)):
        own = names == source
        characters = sample.characters[own]
        lines.append({"source": source, "rows": int(own.sum()), "turns": float(sample.turns[own].mean()),
                      "quantiles": [int(np.percentile(characters, q, method="inverted_cdf")) for _, q in QUANTILES],
                      "longest": int(characters.max())})
    return lines
