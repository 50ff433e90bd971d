"""The documents that stand for the eval texts on the server; see index.py for what their fields mean."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from posttrain.decontaminate.elastic.terms import Terms, ngrams_of_texts, ngrams_of_turns
from posttrain.decontaminate.numbers import number_keys
from posttrain.verifiers.text_measures import split_sentences

if TYPE_CHECKING:
    from posttrain.decontaminate.index import EvalIndex

TEXTS_AT_ONCE = 1_000


def documents(index: EvalIndex) -> Iterator[tuple[str, str]]:
    """(id, document as JSON) of all texts and sentences, in the order of the texts."""
    ngrams, spelling = ngrams_of_texts(index), index.vocabulary.to_pylist()
    vectors = index.dense.vectors if index.dense is not None else None
    texts = len(index.offsets) - 1
    for begin in range(0, texts, TEXTS_AT_ONCE):
        part = range(begin, min(begin + TEXTS_AT_ONCE, texts))
        sentences = [split_sentences(index.text[k].as_py()) for k in part]
        many = [own if len(own) > 1 else [] for own in sentences]
        own_ngrams = ngrams_of_turns(index, [sentence for own in many for sentence in own])
        at = 0
        for k, own in zip(part, many, strict=True):
            place = _place(index, k)
            whole = place | {
                "kind": ["whole"] if own else ["whole", "sentence"], "text": index.text[k].as_py(), "ngrams": _values(ngrams, k),
                "words": sorted({spelling[number] for number in index.words(k).tolist()}),
                "numbers": number_keys(index.text[k].as_py()),
            } | ({} if own else {"sentence": 0})
            if vectors is not None and np.any(vectors[k]):
                whole["vector"] = vectors[k].tolist()
            yield str(k), _json(whole)
            for n, sentence in enumerate(own):
                yield f"{k}.{n}", _json(place | {"kind": ["sentence"], "sentence": n, "text": sentence,
                                                 "ngrams": _values(own_ngrams, at + n)})
            at += len(own)


def _place(index: EvalIndex, text: int) -> dict[str, Any]:
    item = int(index.item_of_text[text])
    return {"number": text, "eval": index.eval_names[index.eval_of_item[item]], "item_id": index.item_id[item].as_py(),
            "field": index.field[text].as_py()}


def _values(terms: Terms, text: int) -> list[int]:
    return terms.values[terms.bounds[text] : terms.bounds[text + 1]].tolist()


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
