"""The page's HTML. Every text comes through Jinja's escaping; row text is never a template, a link or an attribute."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from posttrain.decontaminate.presets import Measure
from posttrain.decontaminate.review.desk import Desk, Entry, Filter
from posttrain.decontaminate.review.edits import Edit, answers_to, obstacle
from posttrain.decontaminate.review.marks import Piece, pieces
from posttrain.decontaminate.review.paraphrase import questions_matched
from posttrain.decontaminate.review.queue import Item, RowMatch
from posttrain.schema import PreferencePair, RLVRExample, conversation

HERE = Path(__file__).parent
ROWS_A_PAGE = 20
OTHER_MATCHES = 10
"""A row that copies a template is close to hundreds of items; the page shows the strongest and says how many there are."""

WORDS = {"keep": "kept", "paraphrase": "paraphrased", "delete": "deleted", "open": "open"}
MEASURES: dict[Measure, str] = {
    "ngram_coverage": "n-gram coverage", "cosine": "cosine", "count_cosine": "cosine of counts", "jaccard": "Jaccard",
    "reworded": "reworded", "dense": "dense",
}


@functools.cache
def environment() -> Environment:
    made = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True)
    made.globals |= {"words": WORDS, "measures": MEASURES}
    return made


def runs_page(rows: list[dict[str, Any]], unreadable: dict[str, str], workspace: str) -> str:
    return environment().get_template("runs.html").render(rows=rows, unreadable=unreadable, workspace=workspace)


def queue_page(desk: Desk, wanted: Filter, number: int, can_decide: bool, token: str, last: str, waiting: Any) -> str:
    """One page of the queue as the filter takes it."""
    entries = desk.entries()
    taken = [entry for entry in entries if wanted.takes(entry)]
    pages = max(1, -(-len(taken) // ROWS_A_PAGE))
    number = min(max(1, number), pages)
    shown = taken[(number - 1) * ROWS_A_PAGE : number * ROWS_A_PAGE]
    return environment().get_template("queue.html").render(
        run=desk.run, progress=desk.progress(), wanted=wanted, choices=_choices(entries), number=number, pages=pages,
        taken=len(taken), taken_open=sum(entry.status == "open" for entry in taken), address=_address(desk, wanted),
        cards=[_card_values(entry, desk.run.run_id) for entry in shown], can_decide=can_decide, token=token, last=last,
        waiting=waiting, went_on=desk.run.has("review"), judge=desk.run.recipe.review.judge,
    )


def row_page(desk: Desk, entry: Entry, can_decide: bool, token: str, last: str) -> str:
    """One row with nothing of its texts left out."""
    return environment().get_template("row.html").render(
        run=desk.run, card=_card_values(entry, desk.run.run_id, full=True), can_decide=can_decide, token=token, last=last)


def card(entry: Entry, run_id: str, can_decide: bool) -> str:
    """The card of one row, for the place where the last one was."""
    return environment().get_template("card.html").render(card=_card_values(entry, run_id), can_decide=can_decide)


def _card_values(entry: Entry, run_id: str, full: bool = False) -> dict[str, Any]:
    item = entry.item
    best, *others = entry.matches
    turns = questions_matched(item)
    return {
        "run_id": run_id, "entry": entry, "item": item, "example": item.example, "advice": entry.advice, "status": entry.status,
        "decision": entry.decision, "obstacle": obstacle(item.example, turns), "full": full,
        "edits": _edit_values(entry, turns), "turns": len(conversation(item.example)),
        "best": _match_values(entry, best, full),
        "others": [_match_values(entry, match, full) for match in others[:OTHER_MATCHES]],
        "more": max(0, len(others) - OTHER_MATCHES), "truth": _truth(item),
    }


def _edit_values(entry: Entry, turns: tuple[int, ...]) -> list[dict[str, Any]]:
    """What the editor holds for each question that matched: the teacher's suggestion, and which answers the row needs."""
    suggested = {edit.turn: edit for edit in entry.advice.edits}
    return [{"turn": turn, "edit": suggested.get(turn, Edit(turn, "")), "needs": answers_to(entry.item.example, turn)}
            for turn in turns]


def _match_values(entry: Entry, match: RowMatch, full: bool) -> dict[str, Any]:
    item = entry.item
    turns = [
        {"role": message.role, "pieces": pieces(message.content, match.train_spans if place == match.turn else (), full),
         "is_match": place == match.turn, "place": place}
        for place, message in enumerate(conversation(item.example))
    ]
    texts = [
        {"field": field, "pieces": pieces(text, [(b, e) for k, b, e in match.eval_spans if k == n], full)}
        for n, (field, text) in enumerate(match.texts)
    ]
    return {"match": match, "turns": turns, "texts": texts, "kept": entry.kept_beside.get(match.content)}


def _truth(item: Item) -> list[Piece]:
    """What else a row teaches beside the turns that are shown."""
    if isinstance(item.example, RLVRExample):
        return pieces(f"{item.example.verifier}: {item.example.ground_truth}", ())
    if isinstance(item.example, PreferencePair) and item.example.chosen and item.example.rejected:
        return pieces(item.example.rejected[-1].content, ())
    return []


def _choices(entries: list[Entry]) -> dict[str, list[str]]:
    matches = [match for entry in entries for match in entry.item.matches]
    return {
        "eval": sorted({match.eval for match in matches}),
        "source": sorted({entry.item.example.source for entry in entries}),
        "measure": [name for name in MEASURES if any(match.measure == name for match in matches)],
    }


def _address(desk: Desk, wanted: Filter) -> str:
    values = {"run": desk.run.run_id, "eval": wanted.eval, "source": wanted.source, "measure": wanted.measure,
              "status": wanted.status, "judge": wanted.judge, "low": wanted.low, "high": wanted.high}
    return "queue?" + urlencode(values)
