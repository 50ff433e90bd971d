"""Template wording, of the eval sets and of the training data."""

from __future__ import annotations

from typing import Any

import numpy as np

from posttrain.decontaminate.index import load_index
from posttrain.decontaminate.matches import TrainingRow, find_contamination
from posttrain.decontaminate.search import embedded
from posttrain.decontaminate.templates import TEMPLATE_ITEMS, RepeatedWording, repeated_wordings, template_places
from posttrain.recipe import Decontaminate

INSTRUCTION = "The following paragraphs each describe a set of three objects that are arranged in a fixed order on a shelf."
ANIMALS = ("otter", "heron", "lynx", "badger", "falcon", "beetle", "trout", "moose", "raven", "viper", "stork", "mole", "swan",
           "toad", "bison", "crane", "ferret", "gecko", "hyena", "ibex")


def items() -> list[str]:
    return [f"{INSTRUCTION} The {a} stands left of the {b}." for a, b in zip(ANIMALS, ANIMALS[1:] + ANIMALS[:1], strict=True)]


def test_wording_of_twenty_items_is_template(bench: Any) -> None:
    assert len(items()) == TEMPLATE_ITEMS
    bench.add_eval("eval", items())
    template = template_places(load_index(bench.index()), 0)
    # 20 words of the instruction; windows that reach into the item's own sentence are its own wording, "the" among them.
    own = np.flatnonzero(~template)
    assert template[:12].all() and own[-1] == len(template) - 1


def test_wording_of_nineteen_items_is_none(bench: Any) -> None:
    bench.add_eval("eval", items()[:-1])
    assert not template_places(load_index(bench.index()), 0).any()


def test_a_row_with_the_instruction_and_another_item_is_kept_and_the_item_itself_removed(bench: Any) -> None:
    bench.add_eval("eval", items())
    settings = Decontaminate(preset="balanced")
    index = load_index(bench.index(settings))
    other = INSTRUCTION + " The teapot costs less than the kettle, and the kettle less than the pan. Which is the cheapest?"
    rows = [TrainingRow("other", "train", [(0, other)]), TrainingRow("copy", "train", [(0, items()[3])])]
    published = find_contamination(rows, embedded(index), Decontaminate(preset="tulu3"))
    balanced = find_contamination(rows, embedded(index), settings)
    assert sum(f.decision == "remove" for f in published[0]) == 20
    assert not [f for f in balanced[0] if f.decision != "keep"]
    assert [f.match.item for f in balanced[1] if f.decision == "remove"] == [3]


def test_an_item_that_is_all_template_counts_as_a_whole(bench: Any) -> None:
    bench.add_eval("eval", [INSTRUCTION] * TEMPLATE_ITEMS)
    assert not template_places(load_index(bench.index()), 0).any()


def line(row: int, text: str = "answer the question below", decision: str = "keep", source: str = "t0") -> dict[str, str]:
    return {"row_id": f"{source}:{row}", "source": source, "eval": "e", "item_id": "e.jsonl:0", "matched_text": text,
            "decision": decision}


def test_one_wording_of_many_rows_is_one_line_of_a_report() -> None:
    lines = [line(n) for n in range(19)] + [line(0, decision="review", source="p3")] + [line(n, "another text") for n in range(5)]
    assert repeated_wordings(lines) == [RepeatedWording(
        "e", "e.jsonl:0", "answer the question below", rows=20, sources=(("t0", 19), ("p3", 1)),
        decisions=(("keep", 19), ("review", 1)))]
    assert repeated_wordings(lines[:19]) == []
    assert repeated_wordings([line(7)] * 40) == [], "forty turns of one row are one row"
