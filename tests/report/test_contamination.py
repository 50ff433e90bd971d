"""The page of a decontamination: what a person sees of rule, sources, pairs and outcome, whatever stands in the texts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from posttrain.decontaminate.build_index import index_eval_sets
from posttrain.decontaminate.stage import decontaminate_examples
from posttrain.recipe import Decontaminate, EvalSet, FileLoad
from posttrain.report import write_decontamination_report
from posttrain.report.contamination import PAIRS, contamination_view, heat_map
from posttrain.schema import Message, SFTExample
from posttrain.storage import ArtifactWriter, Manifest

HOSTILE = '<script>alert("x")</script> <img src=x onerror=alert(1)> {{ 7 * 7 }} &amp;'
ITEM = "which of the seven hills of Rome is nearest to the river " + HOSTILE
SETTINGS = Decontaminate(preset="tulu3", cut_offs={"ngram_coverage": {"review": 0.3}},
                         evals={"rome": {"ngram_coverage": {"remove": 0.6}}})


def decontaminated(folder: Path, rows: dict[str, tuple[str, str]], settings: Decontaminate = SETTINGS) -> Manifest:
    """`rows`: id → (source, question), against one eval of one item."""
    folder.mkdir(exist_ok=True)
    (folder / "rome.txt").write_text(ITEM + "\n", encoding="utf-8")
    index = ArtifactWriter(str(folder / "index"), stage="index_evals")
    spec = EvalSet(name="rome", load=FileLoad(kind="file", path="rome.txt"))
    index_eval_sets((spec,), folder, 0, settings, index)
    examples = ArtifactWriter(str(folder / "rows"), stage="filter")
    for name, (source, text) in rows.items():
        examples.read(source)
        examples.keep(SFTExample(id=name, source=source, category="general", skill="general", language="en", license="MIT",
                                 messages=(Message("user", text), Message("assistant", "ok"))))
    out = ArtifactWriter(str(folder / "clean"), stage="decontaminate", settings=settings.model_dump(mode="json"))
    decontaminate_examples([examples.finish()], index.finish(), settings, out)
    return out.finish()


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    half = "Tell me: which of the seven hills of Rome is nearest to the sea and the harbour of Ostia?"
    return decontaminated(tmp_path_factory.mktemp("page"), {
        f"{HOSTILE}": ("forum <b>", "Please: " + ITEM + " Thank you, a.person@posteo.de"),
        "band": ("books", half), "clean": ("books", "What is the capital of France, and why is it there?"),
    })


def test_rule_settings_outcome_and_reasons(manifest: Manifest) -> None:
    text = re.sub(r"\s+", " ", Path(write_decontamination_report(manifest)).read_text(encoding="utf-8"))
    assert "preset <b>tulu3</b> (Tülu 3 paper, section 3.2" in text and "8-grams, user turns, index: embedded" in text
    assert '<td>all</td><td>ngram_coverage</td><td class="n">&gt; 0.5</td><td class="n">&gt; 0.3</td>' in text
    assert '<td>rome</td><td>ngram_coverage</td><td class="n">&gt; 0.6</td>' in text
    assert "clean <b>1</b>, review <b>1</b>, removed <b>1</b> rows" in text
    assert '<td><code>contaminated</code></td><td class="n">1</td>' in text
    assert "1 rows wait for a decision" in text
    assert "more than 2 % of an eval" in text and "Over the limit: forum &lt;b&gt;." in text


def test_a_pair_is_shown_side_by_side_with_its_words_marked(manifest: Manifest) -> None:
    page = Path(write_decontamination_report(manifest)).read_text(encoding="utf-8")
    pairs = re.findall(r'<div class="example">.*?</div></div>', page, flags=re.DOTALL)
    assert len(pairs) == 2 and pairs[0].startswith('<div class="example"><b>remove</b>')
    assert "Please: <mark>which of the seven hills" in pairs[0]
    assert "<mark>which of the seven hills of Rome is nearest to the</mark> sea" in pairs[1]
    assert "<mark>which of the seven hills of Rome is nearest to the</mark> river" in pairs[1]


def test_texts_cannot_become_markup_and_personal_data_is_masked(manifest: Manifest) -> None:
    page = Path(write_decontamination_report(manifest)).read_text(encoding="utf-8")
    assert "<script" not in page and "<img" not in page and "forum <b>" not in page
    assert "&lt;script&gt;" in page and "{{ 7 * 7 }}" in page and "49" not in re.findall(r"<pre>.*?</pre>", page, re.DOTALL)[0]
    assert "a.person@posteo.de" not in page


def test_the_outcome_of_a_review(manifest: Manifest, tmp_path: Path) -> None:
    writer = ArtifactWriter(str(tmp_path / "review"), stage="review")
    writer.facts.update(decisions={"paraphrased": 3, "kept": 1}, unattended="paraphrase")
    view = contamination_view(manifest, writer.finish())
    assert view["review"] == [("paraphrased", 3), ("kept", 1)] and view["unattended"] == "paraphrase"


def cell(eval_name: str, source: str, hit: int, items: int, over: bool) -> dict[str, Any]:
    return {"eval": eval_name, "source": source, "items": items, "contaminated": hit, "share": hit / items, "removed_rows": hit,
            "over_limit": over}


def test_the_heat_map_frames_what_is_over_the_limit() -> None:
    svg = heat_map([cell("a <b>", "s", 5, 200, True), cell("b", "t $x$", 4, 200, False)], 0.02)
    tree = ElementTree.fromstring(svg)
    titles = [e.text for e in tree.iter() if e.tag.endswith("title") and "holds" in (e.text or "")]
    assert titles == ["s holds 5 of 200 items of a <b> (2.50%, over the limit)", "t $x$ holds 4 of 200 items of b (2.00%)"]
    frames = [e for e in tree.iter() if e.tag.endswith("rect") and e.get("fill") == "none"]
    assert len(frames) == 2  # the cell and the legend


def test_a_run_without_overlap_has_a_page(tmp_path: Path) -> None:
    done = decontaminated(tmp_path / "none", {"a": ("books", "What is the capital of France?")})
    page = Path(write_decontamination_report(done)).read_text(encoding="utf-8")
    assert "No row overlaps an eval item by more than the rule allows." in page and "<svg" not in page


def test_many_pairs_are_cut_and_every_source_has_its_turn(tmp_path: Path) -> None:
    rows = {f"{source}-{n}": (f"source-{source:02d}", ITEM) for source in range(50) for n in range(3)}
    view = contamination_view(decontaminated(tmp_path / "many", rows))
    assert len(view["pairs"]) == PAIRS == len({pair["source"] for pair in view["pairs"]})
    assert view["wordings"][0].rows == 150
