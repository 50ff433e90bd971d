"""Prompts: which rows ask the same, and a row cut down to what is to be answered.

Two ideas of "the same prompt" are in use:

    twins      rows of one source with the same turns up to the last user turn; white space does not count. The preference
               stage takes a prompt once, with the ground truth of the RLVR row among its twins.
    disjoint   the first user turn, which is what the pipeline calls the prompt, whatever the source; letter case, white space and
               the Unicode form do not count. Two conversations that open with the same question count as the same prompt.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from posttrain.mix.order import Digests, Indices, as_digests
from posttrain.mix.pool import KINDS, Pool, pieces_with
from posttrain.text_pieces import squeezed

NO_PROMPT = b"\0" * 16
ANSWERABLE = ("sft", "rlvr")
"""Kinds whose prompts can be answered on-policy."""


def prompt_keys(pool: Pool, wanted: Indices, keys_of: Callable[[str, pa.Table], list[bytes]]) -> Digests:
    """The 16 bytes that `keys_of` gives per row, in the order of `wanted`; only the turns are read."""
    found = np.zeros((len(pool), 2), dtype=np.uint64)
    for kind, columns in (("sft", ["messages"]), ("rlvr", ["messages"]), ("preference", ["chosen", "rejected"])):
        for at, first, table in pieces_with(pool, wanted[pool.kind[wanted] == KINDS.index(kind)], columns):
            found[at] = as_digests(keys_of(kind, table.take(pa.array(pool.row[at] - first))))
    return found[wanted]


# ---------------------------------------------------------------- turns, column by column


def turns(column: pa.ChunkedArray) -> pa.ListArray:
    """The conversations of a table that is in one chunk."""
    array = column.combine_chunks()
    return array.chunk(0) if isinstance(array, pa.ChunkedArray) else array


def _user_turns(messages: pa.ListArray) -> tuple[npt.NDArray, npt.NDArray]:
    """(offsets of the conversations, positions of the user turns), both into the column of turns."""
    is_user = pc.fill_null(pc.equal(messages.values.field("role"), "user"), False)
    return messages.offsets.to_numpy(), np.flatnonzero(is_user.to_numpy(zero_copy_only=False))


def cut_to_prompt(messages: pa.ListArray) -> pa.ListArray:
    """Every conversation up to its last user turn; without one, no turn at all."""
    offsets, users = _user_turns(messages)
    before = np.searchsorted(users, offsets[1:]) - 1
    last = np.where(before >= 0, users[np.maximum(before, 0)] if len(users) else -1, -1)
    lengths = np.where(last >= offsets[:-1], last - offsets[:-1] + 1, 0)
    new = np.concatenate([[0], np.cumsum(lengths)])
    inside = np.arange(new[-1]) - np.repeat(new[:-1], lengths) + np.repeat(offsets[:-1], lengths)
    return pa.ListArray.from_arrays(pa.array(new, pa.int32()), messages.values.take(pa.array(inside, pa.int64())))


def first_questions(messages: pa.ListArray) -> list[str]:
    """The first user turn of every conversation; without one, ""."""
    offsets, users = _user_turns(messages)
    at = np.searchsorted(users, offsets[:-1])
    first = users[np.minimum(at, len(users) - 1)] if len(users) else np.full(len(messages), -1)
    has = (at < len(users)) & (first < offsets[1:])
    texts = messages.values.field("content").take(pa.array(np.where(has, first, 0), pa.int64(), mask=~has))
    return [text or "" for text in texts.to_pylist()]


def question_keys(kind: str, table: pa.Table) -> list[bytes]:
    """The key of the first user turn; of a pair, that of the chosen side, or of the rejected where there is no chosen."""
    texts = first_questions(turns(table["chosen" if kind == "preference" else "messages"]))
    if kind == "preference":
        texts = [one or other for one, other in zip(texts, first_questions(turns(table["rejected"])), strict=True)]
    return [question_key(text) for text in texts]


def question_key(text: str) -> bytes:
    """16 bytes over a prompt; NO_PROMPT, which equals nothing, where it is empty."""
    text = squeezed(unicodedata.normalize("NFC", text).casefold())
    return hashlib.blake2b(text.encode(), digest_size=16).digest() if text else NO_PROMPT


def twin_keys(kind: str, table: pa.Table) -> list[bytes]:
    """The key of all turns up to the last user turn, with their roles."""
    cut = cut_to_prompt(turns(table["messages"]))
    return [hashlib.blake2b("".join(f"\x01{m['role']}\x00{squeezed(m['content'] or '')}" for m in row).encode(),
                            digest_size=16).digest() for row in cut.to_pylist()]


def numbered(keys: Digests) -> Indices:
    """Equal keys → equal numbers, counted from 1; NO_PROMPT → 0."""
    _, numbers = np.unique(keys, axis=0, return_inverse=True) if len(keys) else (None, np.empty(0, dtype=np.int64))
    return np.where((keys == 0).all(axis=1), 0, numbers.reshape(-1) + 1).astype(np.int64)


# ---------------------------------------------------------------- disjoint splits


class KeptApart:
    """The prompts of the splits that `mix.disjoint` names: a split that was filled closes its prompts to the later ones."""

    def __init__(self, pool: Pool, concerned: npt.NDArray[np.bool_], splits: tuple[str, ...]) -> None:
        self.splits = splits
        self.prompt: Indices = np.zeros(len(pool), dtype=np.int64)
        if splits:
            wanted = np.flatnonzero(concerned)
            self.prompt[wanted] = numbered(prompt_keys(pool, wanted, question_keys))
        # Per prompt the number of the split that has it, counted from 1 in `splits`; 0 = none.
        self._owner: Indices = np.zeros(int(self.prompt.max(initial=0)) + 1, dtype=np.int64)
        self.left_out: dict[str, int] = {}
        self._closed_to: npt.NDArray[np.int64] = np.zeros(len(pool), dtype=np.int64)

    def open_to(self, split: str, candidates: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """The candidates whose prompt no earlier split has; the others are remembered."""
        if split not in self.splits:
            return candidates
        owner = self._owner[self.prompt]
        closed = candidates & (owner > 0)
        self.left_out[split] = int(closed.sum())
        self._closed_to = np.where(closed & (self._closed_to == 0), owner, self._closed_to)
        return candidates & ~closed

    def took(self, split: str, rows: Indices) -> None:
        """Close the prompts of these rows to the later splits."""
        if split in self.splits:
            prompts = np.unique(self.prompt[rows])
            prompts = prompts[(prompts > 0) & (self._owner[prompts] == 0)]
            self._owner[prompts] = self.splits.index(split) + 1

    def owner_of(self, index: int) -> str:
        """The split whose prompt kept the row out of another one, or ""."""
        number = int(self._closed_to[index])
        return self.splits[number - 1] if number else ""

    @property
    def was_closed(self) -> npt.NDArray[np.bool_]:
        return self._closed_to > 0


# ---------------------------------------------------------------- prompts to be answered


class PromptPool:
    """The prompts of some sources, each once, under the id of its SFT row where it has one.

    `is_first` marks the row that stands for its twins.
    """

    def __init__(self, pool: Pool, allowed: npt.NDArray[np.bool_], sources: set[str]) -> None:
        kinds = np.isin(pool.kind, [KINDS.index(kind) for kind in ANSWERABLE])
        rows = np.flatnonzero(allowed & kinds & pool.source.is_one_of(sources))
        self.is_first = np.zeros(len(pool), dtype=bool)
        self._pool = pool
        self._group: Indices = np.full(len(pool), -1, dtype=np.int64)
        self._truth_row: Indices = np.full(0, -1, dtype=np.int64)
        if not len(rows):
            return
        # In an order of their own, SFT before RLVR, so that the first of a group is the one that stands for it.
        rows = rows[np.lexsort((pool.digest[rows, 1], pool.digest[rows, 0], pool.kind[rows]))]
        keys = numbered(prompt_keys(pool, rows, twin_keys))
        groups = keys * len(pool.source.names) + pool.source.codes[rows]
        _, first, group = np.unique(groups, return_index=True, return_inverse=True)
        self.is_first[rows[first]] = True
        self._group[rows] = group.reshape(-1)
        self._truth_row = np.full(len(first), -1, dtype=np.int64)
        with_truth = rows[pool.kind[rows] == KINDS.index("rlvr")][::-1]  # backwards: of two, the first is written last
        self._truth_row[self._group[with_truth]] = with_truth

    def used_by(self, rows: Indices) -> npt.NDArray[np.bool_]:
        """Which rows of the pool are twins of one of `rows`, or one of them."""
        groups = np.unique(self._group[rows])
        return np.isin(self._group, groups[groups >= 0])

    def truths(self, rows: Indices) -> pa.Table:
        """`ground_truth` and `verifier` of these prompts, in their order; "" where no twin has one."""
        wanted = self._truth_row[self._group[rows]]
        found: dict[int, tuple[str, str]] = {}
        for at, first, table in pieces_with(self._pool, np.unique(wanted[wanted >= 0]), ["ground_truth", "verifier"]):
            taken = table.take(pa.array(self._pool.row[at] - first))
            found |= dict(zip(at.tolist(), zip(taken["ground_truth"].to_pylist(), taken["verifier"].to_pylist(), strict=True),
                              strict=True))
        pairs = [found.get(row, ("", "")) for row in wanted.tolist()]
        return pa.table({"ground_truth": pa.array([truth for truth, _ in pairs], pa.string()),
                         "verifier": pa.array([verifier for _, verifier in pairs], pa.string())})
