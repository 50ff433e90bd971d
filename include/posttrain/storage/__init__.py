"""Artifacts: what a stage leaves behind, addressed by content, on any fsspec file system.

    <workspace>/artifacts/<stage>/<key>/part-<split>-00000.parquet   kept rows, one schema a split
                                        rejected-00000.parquet       dropped rows, each with its reason
                                        manifest.json                written last: its presence means "done"

`key` hashes the stage's settings, the source code behind the stage and the *content* of its inputs, so
unchanged work is found again and a changed byte is done anew. Every file is written under a temporary name
and renamed; a reader goes by the manifest's list of files, so what a killed run left over is never read.

    files.py      paths and URLs; reading, and writing under a temporary name
    hashes.py     of values and files
    manifest.py   what a manifest says
    reading.py    rows and tables
    writer.py     a stage's rows and files, counted
    once.py       the key, and whether there is anything to do
"""

from posttrain.storage.files import (
    exists,
    file_system,
    join,
    link_or_copy,
    read_json,
    read_text,
    scratch_folder,
    workspace_url,
    write_atomic,
    write_json,
)
from posttrain.storage.hashes import sha256_bytes, sha256_file, sha256_json
from posttrain.storage.manifest import FileEntry, Manifest, StorageError, load_manifest
from posttrain.storage.once import StageResult, artifact_key, do_once
from posttrain.storage.reading import (
    ROWS_PER_BATCH,
    open_parquet,
    read_batches,
    read_examples,
    read_parquet,
    read_rejected,
    read_rows,
    read_table,
)
from posttrain.storage.writer import CHARACTERS_PER_PART, ROWS_PER_PART, ArtifactWriter

__all__ = [
    "CHARACTERS_PER_PART", "ROWS_PER_BATCH", "ROWS_PER_PART", "ArtifactWriter", "FileEntry", "Manifest", "StageResult",
    "StorageError", "artifact_key", "do_once", "exists", "file_system", "join", "link_or_copy", "load_manifest",
    "open_parquet", "read_batches", "read_examples", "read_json", "read_parquet", "read_rejected", "read_rows",
    "read_table", "read_text", "scratch_folder", "sha256_bytes", "sha256_file", "sha256_json", "workspace_url",
    "write_atomic", "write_json",
]
