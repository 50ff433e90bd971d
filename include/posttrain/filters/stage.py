"""The filter stage: every row through the rules, then exact duplicates, then the selection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from posttrain import recipe
from posttrain.filters.counts import RuleCounts
from posttrain.filters.duplicates import check_duplicate
from posttrain.filters.length import tokenizer_file
from posttrain.filters.rules import Drop, Verdict, prepare_rules
from posttrain.filters.select import Candidates
from posttrain.schema import Example
from posttrain.storage import ArtifactWriter, Manifest, read_examples, sha256_file


def stage_settings(settings: recipe.Filter) -> dict[str, Any]:
    """What decides the stage's result: its settings and the content of the files that they name."""
    named = [tokenizer_file(settings.tokenizer)] if settings.tokenizer else []
    named += [recipe.data_root() / name for name in settings.select.solved] if settings.select else []
    return settings.model_dump(mode="json") | {"files": [sha256_file(str(path)) for path in named]}


def filter_examples(inputs: list[Manifest], settings: recipe.Filter, out: ArtifactWriter) -> None:
    """Apply RULES to every example, then drop conversations that were kept before, in the order of `inputs`; then select.

    Facts: those of RuleCounts, with `duplicates` and `select` as the last rules, and those of the selection.
    """
    counts, refused = RuleCounts(), dict[int, Drop]()
    if settings.select:
        candidates = Candidates(settings.select)
        for position, (_, verdict) in enumerate(judged(inputs, settings)):
            if verdict.drop is None:
                candidates.add(position, verdict.example, verdict.reported)
        refused, out.facts["select"] = candidates.choose()
    for position, (read, verdict) in enumerate(judged(inputs, settings)):
        out.read(read.source)
        drop = verdict.drop or refused.get(position)
        if drop:
            counts.add(read, drop)
            out.reject_example(read, drop.reason, drop.detail)
            continue
        for found in verdict.reported:
            counts.add(verdict.example, found)
        out.keep(verdict.example)
    out.facts.update(counts.facts(settings))


def judged(inputs: list[Manifest], settings: recipe.Filter) -> Iterator[tuple[Example, Verdict]]:
    """Every row as it was read, with what the rules say to it; a conversation that was kept before is a drop as well."""
    judge, seen = prepare_rules(settings), set[bytes]()
    for manifest in inputs:
        for read in read_examples(manifest):
            verdict = judge(read)
            drop = check_duplicate(verdict.example, seen) if settings.duplicates and verdict.drop is None else None
            yield read, Verdict(drop, (), read) if drop else verdict
