"""Training files in blocks: what one worker process reads, compares and writes at a time.

Lines of jsonl are cut by the reading process, which does not parse them; of Parquet a block is some row groups; any other
format is one block, read where it is compared.
"""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from posttrain.raw_files import COMPRESSIONS, READERS, Broken, Rows, file_format, parse_json, read_raw_file
from posttrain.zstd_file import ZstdFile

log = logging.getLogger(__name__)

BLOCK_BYTES = 32 << 20
READ_BYTES = 1 << 16
ROWS_PER_PART = 50_000
DAMAGE = (EOFError, OSError, zlib.error, zstandard.ZstdError, pa.ArrowException)
UNPACKED = 4
"""How many times larger than on the disk compressed text is, roughly: for the choice whether processes are worth their start."""


class TrainingFileError(ValueError):
    """A training file or folder cannot be read."""


@dataclass(frozen=True, slots=True)
class TrainFile:
    """`path` as it was given, the source of its rows that name none, and the name of its output parts: each file's own."""

    path: str
    source: str
    name: str


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a file: `lines` from row `first` on, `groups` of a Parquet file from there, or without either the whole file.

    `bytes`: how much of the file on the disk is read with it. `damage`: what is wrong with the file behind these rows.
    """

    file: TrainFile
    number: int
    bytes: int
    first: int = 0
    lines: bytes | None = None
    groups: tuple[int, ...] | None = None
    damage: str = ""


# ---------------------------------------------------------------- which files


def stem_of(path: str) -> str:
    """`math/test.jsonl.gz` → `math/test`."""
    suffixes = Path(path).suffixes
    endings = 2 if suffixes and suffixes[-1] in COMPRESSIONS else 1
    return path.removesuffix("".join(suffixes[-endings:])) if suffixes else path


def train_files(paths: list[str]) -> list[TrainFile]:
    """All files that the paths stand for, each once, in order. Two files of one name get different output names.

    Raises TrainingFileError for a path that is not there, a file that no reader knows, and a folder without a file to read.
    """
    found: dict[Path, tuple[str, str]] = {}
    for given in map(Path, paths):
        for path in _files(given):
            inside = path.relative_to(given).as_posix() if given.is_dir() else path.name
            if path.resolve() in found:
                log.warning("%s was given twice; its rows count once", path)
            found.setdefault(path.resolve(), (str(path), inside))
    files, names = [], set[str]()
    for (path, _), source in zip(found.values(), _told_apart(list(found.values())), strict=True):
        slug = name = re.sub(r"[^A-Za-z0-9_.]+", "-", source).strip("-.") or "rows"
        number = 2
        while name in names:
            name, number = f"{slug}-{number}", number + 1
        names.add(name)
        files.append(TrainFile(path, source, name))
    return files


def _told_apart(files: list[tuple[str, str]]) -> list[str]:
    """A name for each (path, path inside of what was given): without the ending, with more of the path where two are alike."""
    forms = [[stem_of(inside), inside, "/".join(Path(path).parts[-2:]), path] for path, inside in files]
    names = [form[0] for form in forms]
    for level in (1, 2, 3):
        twice = {name for name, times in Counter(names).items() if times > 1}
        names = [form[level] if name in twice else name for form, name in zip(forms, names, strict=True)]
    return names


def _files(path: Path) -> list[Path]:
    known = ", ".join(READERS)
    if path.is_file():
        if file_format(path) is None:
            raise TrainingFileError(f"{path}: no reader for this ending; allowed: {known}, each also .gz or .zst")
        return [path]
    if not path.is_dir():
        raise TrainingFileError(f"{path}: no such file or folder")
    inside = files_inside(path)
    files = [file for file in inside if file_format(file)]
    if not files:
        raise TrainingFileError(f"{path} holds no file of a known format ({known}, each also .gz or .zst)")
    if len(files) < len(inside):
        left = sorted({file.name for file in inside} - {file.name for file in files})
        log.warning("%s: %d files are not read: %s", path, len(inside) - len(files), ", ".join(left[:5]))
    return files


def files_inside(folder: Path) -> list[Path]:
    """The files of a folder and of those below it, in order, without hidden ones (a download's state, a command's unfinished
    work) and without those of finished artifacts, such as an earlier result of this command."""
    found = [file for file in sorted(folder.rglob("*"))
             if file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    manifests = [file for file in found if file.name == "manifest.json" and file.parent != folder]
    artifacts = {file.parent for file in manifests if _is_of_artifact(file)}
    files = [file for file in found if artifacts.isdisjoint(file.parents)]
    if artifacts:
        names = sorted(each.relative_to(folder).as_posix() for each in artifacts if artifacts.isdisjoint(each.parents))
        log.warning("%s: finished artifacts inside of it are not read: %s; what is named itself is", folder, ", ".join(names[:5]))
    return files


def _is_of_artifact(manifest: Path) -> bool:
    """Whether the file is one of this program's manifests; data sets have files of that name too."""
    try:
        value = parse_json(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(value, dict) and {"stage", "content", "files"} <= value.keys()


def total_bytes(files: list[TrainFile]) -> int:
    return sum(Path(file.path).stat().st_size for file in files)


def unpacked_bytes(files: list[TrainFile]) -> int:
    """Roughly how much text there is."""
    return sum(Path(f.path).stat().st_size * (UNPACKED if f.path.endswith((*COMPRESSIONS, ".parquet")) else 1) for f in files)


# ---------------------------------------------------------------- blocks


def blocks_of(file: TrainFile) -> Iterator[Block]:
    """The file cut into blocks; only one is in memory at a time."""
    path = Path(file.path)
    if file_format(path) == "jsonl":
        yield from _line_blocks(file, path)
    elif file_format(path) == "parquet" and path.suffix not in COMPRESSIONS:
        yield from _group_blocks(file, path)
    else:
        yield Block(file, 0, path.stat().st_size)


def _line_blocks(file: TrainFile, path: Path) -> Iterator[Block]:
    pieces: list[bytes] = []
    size = first = number = counted = 0
    damage = ""
    with path.open("rb") as packed:
        stream, position = _unpacked(path, packed)
        read = getattr(stream, "read1", stream.read)  # what lies before damage is given before the error
        while True:
            try:
                piece = read(READ_BYTES)
            except DAMAGE as error:
                if _is_disk(error):
                    raise
                piece, damage = b"", f"{type(error).__name__}: {error}"
            pieces.append(piece)
            size += len(piece)
            if piece and (size < BLOCK_BYTES or b"\n" not in piece):
                continue
            text = b"".join(pieces)
            end = text.rfind(b"\n") + 1 if piece or damage else len(text)  # the line that the damage cut is no row
            if end or damage or not number:
                yield Block(file, number, position() - counted, first, text[:end], damage=damage)
            if not piece:
                return
            counted, pieces, size = position(), [text[end:]], len(text) - end
            first, number = first + text.count(b"\n", 0, end), number + 1


def _is_disk(error: Exception) -> bool:
    """Whether it is the disk or the path, and not what stands in the file."""
    return isinstance(error, OSError) and bool(error.errno)


def _unpacked(path: Path, packed: BinaryIO) -> tuple[Any, Callable[[], int]]:
    """The text of a file, and how many of its bytes on the disk have been read."""
    if path.suffix == ".zst":
        unpacked = ZstdFile(path)
        return unpacked, lambda: unpacked.packed_bytes
    return (gzip.GzipFile(fileobj=packed) if path.suffix == ".gz" else packed), packed.tell


def _group_blocks(file: TrainFile, path: Path) -> Iterator[Block]:
    size = path.stat().st_size
    try:
        with pq.ParquetFile(path) as table:
            about = [table.metadata.row_group(n) for n in range(table.num_row_groups)]
    except DAMAGE as error:
        if _is_disk(error):
            raise
        yield Block(file, 0, size, damage=f"{type(error).__name__}: {error}", groups=())
        return
    groups: list[int] = []
    first = rows = number = 0
    for n, group in enumerate(about):
        groups.append(n)
        rows += group.num_rows
        if rows >= ROWS_PER_PART or sum(about[k].total_byte_size for k in groups) >= 4 * BLOCK_BYTES or n + 1 == len(about):
            yield Block(file, number, size * len(groups) // len(about), first, groups=tuple(groups))
            first, rows, number, groups = first + rows, 0, number + 1, []
    if not about:
        yield Block(file, 0, size, groups=())


# ---------------------------------------------------------------- rows of a block that is no Parquet


def rows_of_block(block: Block) -> Rows:
    """(row number, value) as `read_raw_file` gives them."""
    if block.lines is None:
        yield from read_raw_file(block.file.path)
        return
    text = block.lines.removeprefix(b"\xef\xbb\xbf") if not block.first else block.lines
    row = block.first - 1
    for row, line in enumerate(text.split(b"\n"), start=block.first):
        if shown := line.decode("utf-8", "surrogateescape").strip():
            yield row, parse_json(shown)
    if block.damage:
        yield row, lost_rows(block.file, row, block.damage)


def lost_rows(file: TrainFile, row: int, damage: str) -> Broken:
    """The row that stands for all from `row` on that a damaged file does not give, as `read_raw_file` has it."""
    rest = f"all that follows row {row - 1}" if row else "the whole file"
    return Broken("damaged_file", damage, f"{Path(file.path).name}: {rest}")
