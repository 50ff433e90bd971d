"""Convert: raw rows of any source family → the example types of `posttrain.schema`.

To add a family: one function (or one that is there already), one line in the table of its subject (families/), one test.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from posttrain.convert.alpaca import convert_alpaca, read_alpaca
from posttrain.convert.draft import Converter, Draft
from posttrain.convert.families import FAMILIES
from posttrain.convert.family import Family
from posttrain.convert.in_columns import Conversations
from posttrain.convert.messages import convert_messages, read_messages
from posttrain.convert.prompt_completion import convert_prompt_completion, read_prompt_completion
from posttrain.convert.rows import convert_batches, convert_rows, row_by_row
from posttrain.convert.sharegpt import convert_sharegpt, read_sharegpt
from posttrain.convert.tulu3 import convert_tulu3_persona, read_tulu3_persona
from posttrain.convert.tulu3_mixtures import convert_tulu3_sft_mixture, read_tulu3_sft_mixture
from posttrain.progress import Progress
from posttrain.raw_rows import RAW, raw_batches, rows_of_batch

if TYPE_CHECKING:
    from posttrain.recipe import Source
    from posttrain.storage import ArtifactWriter, Manifest

__all__ = ["FAMILIES", "Converter", "Draft", "Family", "convert_source", "converter_modules"]

READERS: dict[Converter, Callable[..., Conversations]] = {
    convert_alpaca: read_alpaca, convert_messages: read_messages, convert_prompt_completion: read_prompt_completion,
    convert_sharegpt: read_sharegpt, convert_tulu3_persona: read_tulu3_persona, convert_tulu3_sft_mixture: read_tulu3_sft_mixture,
}
"""Row function → its reader, for the layouts that most rows have: the same examples from a batch of rows as Arrow columns."""


def converter_modules(family: str) -> tuple[str, str]:
    """The modules whose code decides a converted artifact's key: what all families share, and the family's own."""
    return "posttrain.convert.rows", FAMILIES[family].convert.__module__


def convert_source(collected: Manifest, spec: Source, out: ArtifactWriter) -> None:
    """Convert the collected rows of one source."""
    family = FAMILIES[spec.family]
    convert, sample = family.bind(spec.options)
    batches = _with_progress(collected)
    read, guarded = READERS.get(family.convert), "rlvr" in family.kinds
    if read and not (family.join or sample or spec.where or guarded):
        bound = functools.partial(read, options=family.options.model_validate(spec.options)) if family.options else read
        convert_batches(convert, bound, batches, spec, out)
    else:
        rows = itertools.chain.from_iterable(map(rows_of_batch, batches))
        convert_rows(convert, rows, spec, out, family.join or row_by_row, sample, guarded=guarded)


def _with_progress(collected: Manifest) -> Iterator[pa.RecordBatch]:
    """The raw rows of a collect artifact; how many are done is said in the log."""
    progress = Progress(f"convert of {collected.settings.get('source', 'rows')}:", collected.written.get(RAW, 0))
    for batch in raw_batches(collected):
        yield batch
        progress.add(batch.num_rows)
