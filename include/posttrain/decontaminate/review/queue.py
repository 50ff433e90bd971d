"""The review queue: one item for each row of the band, with the eval items that it is close to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from posttrain.decontaminate.index import EvalIndex
from posttrain.decontaminate.matches import MATCHES
from posttrain.decontaminate.review.decision_log import Decision, Pair
from posttrain.decontaminate.shard import REVIEW
from posttrain.schema import SCHEMAS, Example, RLVRExample, all_messages, from_row, kind_of
from posttrain.storage import Manifest, StorageError, read_batches, read_rows, sha256_json

WANTED = ("row_id", "turn", "eval", "item_id", "measure", "score", "decision", "rule", "signals", "train_spans", "eval_spans")


@dataclass(frozen=True, slots=True)
class RowMatch:
    """One eval item that a row of the band is close to. Spans are [start, end) in the words of the turn or of a text.

    `content` is the hash of the item's texts: an item that two evals share, or that a new version of an eval has under another
    id or field name, is one question for a reviewer.
    """

    eval: str
    item_id: str
    content: str
    texts: tuple[tuple[str, str], ...]
    turn: int
    measure: str
    score: float
    rule: str
    signals: tuple[str, ...]
    train_spans: tuple[tuple[int, int], ...]
    eval_spans: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A row of the band; `matches`: strongest first. `id` follows from the row's content and id: it is the same in every run."""

    id: str
    content: str
    example: Example
    matches: tuple[RowMatch, ...]

    @property
    def best(self) -> RowMatch:
        return self.matches[0]

    @property
    def evals(self) -> tuple[str, ...]:
        """The contents of the eval items, each once."""
        return tuple(dict.fromkeys(match.content for match in self.matches))


def row_content(example: Example) -> str:
    """The hash of what a row teaches: its turns, and the ground truth where there is one; not its id, source or file."""
    turns = [[message.role, message.content] for message in all_messages(example)]
    truth = [example.ground_truth, example.verifier] if isinstance(example, RLVRExample) else []
    return sha256_json([kind_of(example), turns, truth])


def read_band(decontaminated: Manifest) -> Iterable[Example]:
    """The rows of the review band, in file order."""
    for kind in SCHEMAS:
        for row in read_rows(decontaminated, REVIEW + kind):
            yield from_row(kind, row)


def has_band(decontaminated: Manifest) -> bool:
    return any(entry.split.startswith(REVIEW) and entry.rows for entry in decontaminated.files)


def read_queue(decontaminated: Manifest, index: EvalIndex) -> list[Item]:
    """The band as queue items, in file order. Raises StorageError where a row of the band has no match."""
    examples = list(read_band(decontaminated))
    lines = _match_lines(decontaminated, {example.id for example in examples})
    places = _places(index, {(line["eval"], line["item_id"]) for found in lines.values() for line in found})
    items = []
    for example in examples:
        if example.id not in lines:
            raise StorageError(f"{decontaminated.path}: row {example.id!r} is in the review band, and {MATCHES} has no line of "
                               "it; delete the artifact and run the stage again")
        matches = [_row_match(line, index, places[line["eval"], line["item_id"]]) for line in lines[example.id]]
        content = row_content(example)
        items.append(Item(sha256_json([content, example.id])[:16], content, example,
                          tuple(sorted(matches, key=lambda m: (-m.score, m.eval, m.item_id, m.measure)))))
    return items


def _match_lines(decontaminated: Manifest, row_ids: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Row id → its lines of `matches.parquet` that put it into the band."""
    found: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
    if not row_ids:
        return {}
    for batch in read_batches(decontaminated.file(MATCHES)):
        for line in batch.select(list(WANTED)).to_pylist():
            if line["decision"] == "review" and line["row_id"] in row_ids:
                # An SFT row and its RLVR twin may share an id, and then they have the same lines twice.
                key = (line["turn"], line["eval"], line["item_id"], line["measure"])
                found.setdefault(line["row_id"], {})[key] = line
    return {row_id: list(lines.values()) for row_id, lines in found.items()}


def _places(index: EvalIndex, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """(eval, item id) → the item's number in the index."""
    if not wanted:
        return {}
    ids = index.item_id.to_pylist()
    found = {}
    for number, item_id in enumerate(ids):
        key = (index.eval_names[index.eval_of_item[number]], item_id)
        if key in wanted:
            found[key] = number
    return found


def _row_match(line: dict[str, Any], index: EvalIndex, number: int) -> RowMatch:
    texts = tuple((str(index.field[text].as_py()), str(index.text[text].as_py())) for text in index.texts(number))
    return RowMatch(
        eval=line["eval"], item_id=line["item_id"], content=sha256_json([text for _, text in texts]), texts=texts,
        turn=line["turn"], measure=line["measure"], score=line["score"], rule=line["rule"], signals=tuple(line["signals"] or ()),
        train_spans=tuple((span["start"], span["end"]) for span in line["train_spans"]),
        eval_spans=tuple((span["field"], span["start"], span["end"]) for span in line["eval_spans"]),
    )


# ---------------------------------------------------------------- what is decided already


def settled(item: Item, decided: Mapping[Pair, Decision], is_clear: Callable[[Item, Decision], bool]) -> Decision | None:
    """The decision that settles an item, or None while it is open.

    A deletion for one of its eval items settles the row. A paraphrase does where it is clear of all eval items now, and
    `keep` where it was said for every one of them: a row that is kept beside one item may still give away another.
    """
    found = [decided.get((item.content, content)) for content in item.evals]
    known = sorted((line for line in found if line), key=_age, reverse=True)
    for line in known:
        if line.action == "delete":
            return line
    for line in known:
        if line.action == "paraphrase":
            return line if is_clear(item, line) else None
    return known[0] if known and all(found) else None


def _age(line: Decision) -> tuple[str, int]:
    part, _, place = line.id.partition(".")
    return part, int(place)
