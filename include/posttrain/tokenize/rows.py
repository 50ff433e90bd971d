"""The tokenised mixture: input ids and labels, made once and found again while nothing that decides them has changed.

The key holds the mixture's content, this code, the settings, the tokenizer's files by sha256 and the versions of the
libraries that read them. open-instruct's cache went wrong twice for want of these: a bad run's rows were served on (PR
#1509), and another tokenizer silently got the old one's (PR #1518).
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posttrain.recipe import Tokenize
from posttrain.schema import Message, Rejected, UnreadableRow
from posttrain.storage import (
    ROWS_PER_PART,
    ArtifactWriter,
    Manifest,
    StageResult,
    StorageError,
    exists,
    file_system,
    open_parquet,
    sha256_file,
)
from posttrain.tokenize.chat import Span, answer_tokens, encode_texts, render_turns
from posttrain.tokenize.tokenizer import ChatTokenizer, tokenizer_files

log = logging.getLogger(__name__)

SPLIT = "sft"
TOKENIZED_SCHEMA = pa.schema([
    ("id", pa.string()), ("source", pa.string()), ("input_ids", pa.list_(pa.int32())), ("labels", pa.list_(pa.int32())),
])
"""`labels` has the id of a token that is trained on, and NO_LABEL elsewhere; both lists are equally long."""

NO_LABEL = -100
"""What PyTorch's cross entropy leaves out of the loss."""

ROWS_AT_ONCE = 1024
CHARACTERS_AT_ONCE = 2_000_000
"""A batch for the tokenizer ends at so many rows or characters: its encodings take about 100 bytes a token."""

TOKENS_PER_PART = 16_000_000
"""A part ends at ROWS_PER_PART rows or so many tokens, which are 128 MB until they are written."""

LOG_SECONDS = 5.0

Rendered = tuple[dict[str, Any], str, list[Span]]
"""A row, its text, and the spans of the text's characters that are answers."""


def stage_settings(settings: Tokenize, max_length: int | None, path: Path) -> dict[str, Any]:
    """What decides the tokens beside the rows and this code, as JSON."""
    return settings.model_dump(mode="json", exclude={"tokenizer"}) | {
        "max_length": max_length,
        "tokenizer": tokenizer_files(path),
        "versions": {name: version(name) for name in ("jinja2", "tokenizers", "transformers")},
    }


def tokenize_rows(
    inputs: list[Manifest], chat: ChatTokenizer, settings: Tokenize, max_length: int | None, out: ArtifactWriter,
) -> None:
    """Write the SFT rows of the inputs as TOKENIZED_SCHEMA, in their order; a refused row keeps its body and its reason.

    `max_length` is in tokens; None is no limit. The facts count rows, tokens, trainable tokens and truncated rows of
    every source.
    """
    parts = _Parts(out)
    totals: dict[str, Counter[str]] = {}
    progress = _Progress(sum(entry.rows for manifest in inputs for entry in manifest.files if entry.split == SPLIT))
    for batch in _batches(inputs, chat, out):
        for row, encoding, spans in _encoded(chat, batch):
            ids = np.array(encoding.ids, dtype=np.int32)
            labels = np.full(len(ids), NO_LABEL, dtype=np.int32)
            for start, end in spans:
                labels[start:end] = ids[start:end]
            reason, detail = _refused(ids, labels, settings, max_length)
            if reason:
                _reject(out, row, reason, "messages", detail)
                continue
            cut = max_length is not None and len(ids) > max_length
            ids, labels = ids[:max_length], labels[:max_length]
            out.kept(row["source"])
            parts.add(row["id"], row["source"], ids, labels)
            trained = int((labels != NO_LABEL).sum())
            totals.setdefault(row["source"], Counter(truncated=0)).update(
                rows=1, tokens=len(ids), trainable_tokens=trained, truncated=cut)
        progress.show(len(batch), parts.tokens)
    parts.flush()
    together: Counter[str] = Counter(rows=0, tokens=0, trainable_tokens=0, truncated=0)
    for total in totals.values():
        together.update(total)
    out.facts.update(
        **together, per_source={name: dict(sorted(total.items())) for name, total in sorted(totals.items())},
        template=settings.template, max_length=max_length, end_token=chat.tokenizer.eos_token, added_tokens=chat.added,
    )


def _refused(ids: np.ndarray, labels: np.ndarray, settings: Tokenize, max_length: int | None) -> tuple[str, str]:
    """The reason for which a row is dropped and what to say about it; two empty texts for a row that stays."""
    if max_length is not None and len(ids) > max_length and not settings.truncation:
        return "too_many_tokens", f"{len(ids)} tokens, {max_length} at most"
    if settings.require_label and not (labels[:max_length] != NO_LABEL).any():
        return "no_label_after_truncation", f"the first answer begins after token {min(len(ids), max_length or len(ids))}"
    return "", ""


# ---------------------------------------------------------------- batches


def _rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    for entry in manifest.files:
        if entry.split == SPLIT:
            with open_parquet(manifest.file(entry.name)) as f:
                for batch in pq.ParquetFile(f).iter_batches(batch_size=ROWS_AT_ONCE):
                    yield from batch.to_pylist()


def _batches(inputs: list[Manifest], chat: ChatTokenizer, out: ArtifactWriter) -> Iterator[list[Rendered]]:
    """The rows that the template takes, as many as are encoded at once; the others are rejected."""
    batch: list[Rendered] = []
    characters = 0
    for manifest in inputs:
        for row in _rows(manifest):
            out.read(row["source"])
            try:
                text, spans = render_turns(chat, tuple(Message(m["role"], m["content"]) for m in row["messages"]))
            except UnreadableRow as error:
                _reject(out, row, error.reason, error.field, error.detail)
                continue
            if batch and (len(batch) == ROWS_AT_ONCE or characters + len(text) > CHARACTERS_AT_ONCE):
                yield batch
                batch, characters = [], 0
            batch.append((row, text, spans))
            characters += len(text)
    yield batch


def _encoded(chat: ChatTokenizer, batch: list[Rendered]) -> Iterator[tuple[dict[str, Any], Any, list[Span]]]:
    """Every row with its encoding and the spans of its tokens that are answers."""
    encodings = encode_texts(chat, [text for _, text, _ in batch])
    for (row, _, spans), encoding in zip(batch, encodings, strict=True):
        yield row, encoding, answer_tokens(encoding, spans)


def _reject(out: ArtifactWriter, row: dict[str, Any], reason: str, field: str, detail: str) -> None:
    out.reject(Rejected(reason=reason, source=row["source"], id=row["id"], raw_file=row["raw_file"], raw_row=row["raw_row"],
                        field=field, detail=detail, row=row))


class _Parts:
    """Rows on their way into part files."""

    def __init__(self, out: ArtifactWriter) -> None:
        self.out = out
        self.number = self.tokens = 0
        self._clear()

    def _clear(self) -> None:
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.input_ids: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []
        self.waiting = 0

    def add(self, row_id: str, source: str, input_ids: np.ndarray, labels: np.ndarray) -> None:
        if self.ids and (len(self.ids) == ROWS_PER_PART or self.waiting + len(input_ids) > TOKENS_PER_PART):
            self.flush()
        self.ids.append(row_id)
        self.sources.append(source)
        self.input_ids.append(input_ids)
        self.labels.append(labels)
        self.waiting += len(input_ids)
        self.tokens += len(input_ids)

    def flush(self) -> None:
        if not self.ids:
            return
        columns = [pa.array(self.ids), pa.array(self.sources), _lists(self.input_ids), _lists(self.labels)]
        name = f"part-{SPLIT}-{self.number:05d}.parquet"
        self.out.write_table(name, pa.Table.from_arrays(columns, schema=TOKENIZED_SCHEMA), SPLIT)
        self.number += 1
        self._clear()


def _lists(rows: list[np.ndarray]) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(rows)))


class _Progress:
    """A line every LOG_SECONDS with speed and time left. Not `posttrain.progress`: an SFT checkpoint is made anew where a module
    that this one imports has changed."""

    def __init__(self, rows: int) -> None:
        self.rows, self.done = rows, 0
        self.started = self.last = time.monotonic()

    def show(self, rows: int, tokens: int) -> None:
        self.done += rows
        now = time.monotonic()
        if now - self.last < LOG_SECONDS:
            return
        self.last = now
        seconds = now - self.started
        log.info("%s of %s rows, %s tokens, %s tokens/s, %.0f s left", f"{self.done:,}", f"{self.rows:,}", f"{tokens:,}",
                 f"{tokens / seconds:,.0f}", (self.rows - self.done) * seconds / max(self.done, 1))


# ---------------------------------------------------------------- the cache


def cached(do: Callable[[], StageResult]) -> StageResult:
    """Do the stage, or find its artifact; one whose files are not what its manifest says is thrown away and made again."""
    result = do()
    if result.skipped and (broken := damaged_files(result.manifest)):
        log.warning("%s is damaged (%s): made again", result.manifest.path, ", ".join(broken))
        fs, folder = file_system(result.manifest.path)
        fs.rm(folder, recursive=True)
        result = do()
    return result


def damaged_files(manifest: Manifest) -> list[str]:
    """The files of an artifact that are gone, or whose bytes are not those that were written."""
    return [entry.name for entry in manifest.files
            if not exists(manifest.file(entry.name)) or sha256_file(manifest.file(entry.name)) != entry.sha256]


def check_files(manifest: Manifest) -> None:
    """Refuse an artifact that has been damaged since it was written. Raises StorageError naming the files."""
    if broken := damaged_files(manifest):
        raise StorageError(f"{manifest.path}: {', '.join(broken)} changed since it was written; remove the folder, and it is "
                           "made again")
