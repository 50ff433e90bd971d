"""The judge's opinion: does a row of the band give away the eval item that it is close to? It sorts the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posttrain.decontaminate.review.marks import excerpt
from posttrain.decontaminate.review.queue import Item
from posttrain.schema import PreferencePair, conversation
from posttrain.teacher import prompts
from posttrain.teacher.client import Teacher

ITEMS_ASKED = 3
"""A row that copies a template is close to hundreds of items. The judge sees those with the highest scores."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """`gives_away` is None where the teacher gave no usable answer."""

    gives_away: bool | None = None
    why: str = ""


def ask_judge(items: Sequence[Item], teacher: Teacher) -> list[Opinion]:
    """The opinion on each item: that the row gives an eval item away where the judge says so for one of them."""
    pairs = [(n, content) for n, item in enumerate(items) for content in item.evals[:ITEMS_ASKED]]
    asks = [prompts.gives_away(*_texts(items[n], content)) for n, content in pairs]
    opinions = [Opinion()] * len(items)
    for (n, _), answer in zip(pairs, teacher.ask_many(asks) if asks else [], strict=True):
        if answer is None:
            continue
        verdict = answer.data["gives_away"]
        if opinions[n].gives_away is None or (verdict and not opinions[n].gives_away):
            opinions[n] = Opinion(verdict, answer.data["reason"].strip())
    return opinions


def _texts(item: Item, content: str) -> tuple[str, str]:
    """The row and an eval item as the judge reads them, long texts shortened around what they share."""
    match = next(match for match in item.matches if match.content == content)
    row = [f"{message.role}: {excerpt(message.content, match.train_spans if place == match.turn else ())}"
           for place, message in enumerate(conversation(item.example))]
    if isinstance(item.example, PreferencePair) and item.example.chosen and item.example.rejected:
        row.append(f"rejected answer: {excerpt(item.example.rejected[-1].content, ())}")
    texts = [f"{name}: {excerpt(text, [(begin, end) for k, begin, end in match.eval_spans if k == n])}"
             for n, (name, text) in enumerate(match.texts)]
    return "\n".join(row), "\n".join(texts)
