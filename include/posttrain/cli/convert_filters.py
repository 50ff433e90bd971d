"""open-instruct's two switches of every converter: the keyword rule, then the empty-message rule, on converted rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from posttrain.recipe import Filter
from posttrain.schema import Rejected
from posttrain.storage import ArtifactWriter, read_examples, read_rejected


def filtered_conversion(
    convert: Callable[[ArtifactWriter], None], writer: ArtifactWriter, folder: Path, *, keywords: bool, empty: bool,
) -> None:
    """Convert into `folder`, then write the rows that the rules leave.

    In the books of `writer` a raw row that cannot be converted counts as one, any other as the examples that it became.
    The keyword rule has open-instruct's exact form.
    """
    from posttrain.filters import RULES, RowView

    wanted = {"keywords": keywords, "empty": empty}
    rules = [rule for rule in RULES if wanted.get(rule.name)]
    settings = Filter(keyword_form="open_instruct")
    first = ArtifactWriter(str(folder / "before-filters"), stage="convert")
    convert(first)
    converted = first.finish()
    writer.facts.update(converted.facts)
    for row in read_rejected(converted):
        writer.read(row["source"])
        writer.reject(Rejected(**row))
    for example in read_examples(converted):
        writer.read(example.source)
        view = RowView(example)
        found = next(((rule.reason, detail) for rule in rules if (detail := rule.rule(view, settings)) is not None), None)
        if found:
            writer.reject_example(example, *found)
        else:
            writer.keep(example)
