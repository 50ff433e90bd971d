"""The filter stage: every row through the rules, then exact duplicates."""

from __future__ import annotations

from posttrain import recipe
from posttrain.filters.counts import RuleCounts
from posttrain.filters.duplicates import check_duplicate
from posttrain.filters.rules import prepare_rules
from posttrain.storage import ArtifactWriter, Manifest, read_examples


def filter_examples(inputs: list[Manifest], settings: recipe.Filter, out: ArtifactWriter) -> None:
    """Apply RULES to every example, then drop conversations that were kept before, in the order of `inputs`.

    Facts: those of RuleCounts, with `duplicates` as the last rule.
    """
    judge, counts, seen = prepare_rules(settings), RuleCounts(), set[bytes]()
    for manifest in inputs:
        for read in read_examples(manifest):
            out.read(read.source)
            verdict = judge(read)
            example = verdict.example
            drop = verdict.drop or (check_duplicate(example, seen) if settings.duplicates else None)
            if drop:
                counts.add(read, drop)
                out.reject_example(read, drop.reason, drop.detail)
                continue
            for found in verdict.reported:
                counts.add(example, found)
            out.keep(example)
    out.facts.update(counts.facts(settings))
