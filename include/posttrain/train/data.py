"""A split of an artifact as a `datasets.Dataset`, columns picked at the file."""

from __future__ import annotations

from typing import Any

from posttrain.storage import StorageError, load_manifest, read_table


def split_dataset(artifact: str, split: str, columns: list[str]) -> Any:
    """The rows of one split with the named columns. Raises StorageError where the split is empty."""
    import pyarrow as pa
    from datasets import Dataset

    manifest = load_manifest(artifact)
    tables = []
    for entry in manifest.files:
        if entry.split == split:
            tables.append(read_table(manifest.file(entry.name), columns))
    if not tables:
        raise StorageError(f"{artifact} has no rows in split {split!r}: nothing to train on; look at the recipe's mix.{split}")
    return Dataset(pa.concat_tables(tables))
