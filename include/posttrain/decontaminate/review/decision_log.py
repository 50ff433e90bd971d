"""The decision log of a workspace: what was decided about which row against which eval items, by whom and when.

    <workspace>/review/decisions/00000001.jsonl
                                 00000002.jsonl   …

A part is written once and never changed; its lines are decided together. A writer reads every part, checks that what it
is about to decide still stands as the reviewer saw it, and creates the part with the next number, which succeeds for one
writer only. So two reviewers at once cannot overwrite each other, on a disk or in an object store, without a lock.

The key of a decision is the content of the row and of the eval item. The same row against the same item is the same
question in every later run, whatever its id, run or file. Undoing is one more line.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from fsspec.implementations.local import LocalFileSystem

from posttrain.decontaminate.review.edits import Edit
from posttrain.storage import file_system, join

Action = Literal["keep", "paraphrase", "delete", "undo", "refused"]
"""`refused`: a paraphrase that still overlaps; it is logged and decides nothing."""

TRIES = 50
"""So many writers in a row may be faster than this one before it gives up."""


class LogError(RuntimeError):
    """The log cannot be read or written. The message names the part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One line. `id` is its part and place in it, such as `00000007.0`, given when it is written.

    `item` is the queue's id of the row; `row` and `evals` are the hashes of the contents that the decision is about. `before` is
    the row's text, `after` the text in its place where a paraphrase is one; `edits` are the questions and answers of it.
    `undoes` names the line that an undo takes back. `judged_by` says by which index and settings an accepted paraphrase
    was found to be clear. `batch` is shared by the lines of one bulk decision.
    """

    id: str = ""
    action: Action
    who: str
    by_person: bool = True
    when: str = ""
    run_id: str = ""
    item: str
    row: str
    evals: tuple[str, ...]
    row_id: str
    source: str
    eval: str
    item_id: str
    measure: str
    score: float
    rule: str
    before: str
    after: str | None = None
    edits: tuple[Edit, ...] = ()
    score_after: float | None = None
    judged_by: str | None = None
    undoes: str | None = None
    batch: str | None = None


class DecisionLog:
    """Reads and adds to the log of a workspace. Safe between threads, processes and machines."""

    def __init__(self, workspace: str) -> None:
        self.folder = join(workspace, "review", "decisions")
        self._lock = threading.Lock()
        self._parts: dict[int, list[Decision]] = {}

    def lines(self) -> list[Decision]:
        """Every line, oldest first. Parts never change, so those that were read before are not read again."""
        with self._lock:
            self._refresh()
            return [line for number in sorted(self._parts) for line in self._parts[number]]

    def append(self, make: Callable[[list[Decision]], list[Decision]]) -> list[Decision]:
        """Add the lines that `make` gives for the log as it stands, all together; the lines as written.

        `make` is called again where another writer was faster; what it raises ends the call with nothing written.
        """
        for attempt in range(TRIES):
            new = make(self.lines())
            if not new:
                return []
            number = max(self._parts, default=0) + 1
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            stamped = [replace(line, id=f"{number:08d}.{n}", when=now) for n, line in enumerate(new)]
            data = "".join(json.dumps(asdict(line), ensure_ascii=False) + "\n" for line in stamped).encode("utf-8", "replace")
            if _create(join(self.folder, f"{number:08d}.jsonl"), data):
                with self._lock:
                    self._parts[number] = stamped
                return stamped
            time.sleep(min(0.01 * attempt, 0.2))
        raise LogError(f"{self.folder}: {TRIES} times another writer was faster; try again")

    def _refresh(self) -> None:
        fs, folder = file_system(self.folder)
        if not fs.exists(folder):
            return
        names = {int(stem): name for name in fs.ls(folder, detail=False)
                 if (stem := name.rsplit("/", 1)[-1].removesuffix(".jsonl")).isdigit() and name.endswith(".jsonl")}
        unread = sorted(set(names) - set(self._parts))
        contents = fs.cat([names[number] for number in unread]) if unread else {}
        contents = contents if isinstance(contents, dict) else {names[unread[0]]: contents}
        for number in unread:
            self._parts[number] = _read(names[number], contents[names[number]])


def _read(name: str, data: bytes) -> list[Decision]:
    lines = []
    for n, text in enumerate(data.removesuffix(b"\n").split(b"\n"), 1):  # a text may hold other line breaks
        try:
            value = json.loads(text)
            edits = tuple(Edit(**edit) for edit in value["edits"])
            lines.append(Decision(**(value | {"evals": tuple(value["evals"]), "edits": edits})))
        except (ValueError, KeyError, TypeError) as error:
            raise LogError(f"{name}, line {n}: not a line of a decision log ({error}); the log is only ever added to, "
                           "restore the file from a backup") from error
    return lines


def _create(path: str, data: bytes) -> bool:
    """Write a file that must not be there yet, whole or not at all; False where another writer has it already."""
    fs, name = file_system(path)
    if isinstance(fs, LocalFileSystem):
        return _create_local(name, data)
    try:
        fs.pipe_file(name, data, mode="create")
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno == errno.EINVAL or "PreconditionFailed" in str(error):  # as s3fs says that the object is there
            return False
        raise
    return True


def _create_local(name: str, data: bytes) -> bool:
    folder = os.path.dirname(name)
    os.makedirs(folder, exist_ok=True)
    temporary = f"{name}.tmp-{uuid.uuid4().hex[:8]}"
    try:
        with open(temporary, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        try:
            os.link(temporary, name)  # unlike a rename, it fails where the name is taken
        except FileExistsError:
            return False
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        return True
    finally:
        os.unlink(temporary)


# ---------------------------------------------------------------- what is in force

Pair = tuple[str, str]
"""Content of a row, content of an eval item."""


def in_force(lines: Iterable[Decision]) -> dict[Pair, Decision]:
    """The decision in force for each pair of row and eval item: the last one that was not undone.

    What was decided because nobody was there is in the log and is not in force: a person has not been asked yet.
    """
    decided: dict[Pair, list[Decision]] = {}
    for line in lines:
        if line.action == "undo":
            for pair in _pairs(line):
                decided[pair] = [earlier for earlier in decided.get(pair, []) if earlier.id != line.undoes]
        elif line.action != "refused" and line.by_person:
            for pair in _pairs(line):
                decided.setdefault(pair, []).append(line)
    return {pair: standing[-1] for pair, standing in decided.items() if standing}


def decided_about(lines: Iterable[Decision], asked: Iterable[tuple[str, Iterable[str]]]) -> dict[Pair, Decision]:
    """What is in force about these rows: (content of the row, contents of its eval items) each."""
    mine = {(row, item) for row, items in asked for item in items}
    return {pair: line for pair, line in in_force(lines).items() if pair in mine} if mine else {}


def as_settings(decided: Mapping[Pair, Decision]) -> list[list[str]]:
    """What of the decisions makes another artifact of the review stage."""
    return sorted([*pair, line.id, line.action, line.who] for pair, line in decided.items())


def _pairs(line: Decision) -> list[Pair]:
    return [(line.row, content) for content in line.evals]


