"""A verbatim copy of an eval item is found: as it is, wrapped, in capitals, with other punctuation, short or long."""

from __future__ import annotations

from pathlib import Path

import pytest

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.coverage import score_turns
from posttrain.decontaminate.index import EvalIndex, load_index
from posttrain.recipe import Decontaminate, load_recipe
from posttrain.storage import ArtifactWriter

SETS = ("gsm8k", "ifeval", "agieval/aqua-rat", "truthfulqa", "humaneval", "mbpp", "tydiqa/korean", "tydiqa/telugu",
        "tydiqa/arabic", "alpaca_eval", "mt_bench", "xstest", "kobbq")


@pytest.fixture(scope="module")
def index(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> EvalIndex:
    chosen = tuple(spec for spec in load_recipe("real").evals if spec.name in SETS)
    writer = ArtifactWriter(str(tmp_path_factory.mktemp("verbatim") / "index"), stage="index_evals")
    index_eval_sets(chosen, test_data, 0, Decontaminate(preset="tulu3"), writer)
    return load_index(writer.finish())


def wrapped(text: str) -> str:
    words = text.split(" ")
    return "\n    ".join(" ".join(words[begin : begin + 7]) for begin in range(0, len(words), 7))


def other_punctuation(text: str) -> str:
    return text.translate(str.maketrans({".": " !", ",": ";", "?": " ??", ":": " -", ";": ",", "!": "."}))


@pytest.mark.parametrize("way", [str, wrapped, str.upper, other_punctuation])
def test_every_item_is_found(index: EvalIndex, way) -> None:
    assert index.eval_names == tuple(name for name in (spec.name for spec in load_recipe("real").evals) if name in SETS)
    items: list[list[str]] = [[] for _ in index.item_id]
    for item, text in zip(index.item_of_text.tolist(), index.text.to_pylist(), strict=True):
        items[item].append(text)
    asked = [k for k in range(len(items)) if k % 3 == 0 or sum(map(len, items[k])) < 60]
    found = {(match.turn, match.item) for match in score_turns(index, [way("\n".join(items[k])) for k in asked], 1.0)}
    assert [index.item_id[k].as_py() for n, k in enumerate(asked) if (n, k) not in found] == []
