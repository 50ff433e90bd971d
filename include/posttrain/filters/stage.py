"""The filter stage: every row through the rules, then exact duplicates."""

from __future__ import annotations

from collections import Counter

from posttrain import recipe
from posttrain.filters.duplicates import check_duplicate
from posttrain.filters.rules import RULES, check_example
from posttrain.storage import ArtifactWriter, Manifest, read_examples


def filter_examples(inputs: list[Manifest], settings: recipe.Filter, out: ArtifactWriter) -> None:
    """Apply RULES to every example, then drop conversations that were kept before, in the order of `inputs`.

    Facts: {"rules": {rule: dropped rows}}, every rule of RULES and `duplicates`, in order.
    """
    dropped = Counter({name: 0 for name, _, _ in RULES} | {"duplicates": 0})
    seen: set[bytes] = set()
    for manifest in inputs:
        for example in read_examples(manifest):
            out.read(example.source)
            drop = check_example(example, settings) or (check_duplicate(example, seen) if settings.duplicates else None)
            if drop is None:
                out.keep(example)
            else:
                dropped[drop.rule] += 1
                out.reject_example(example, drop.reason, drop.detail)
    out.facts["rules"] = dict(dropped)
