"""report.html: one file, no request to anywhere, data escaped; and the same facts as text."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from posttrain.gate import judge_run
from posttrain.recipe import Decontaminate, check_recipe
from posttrain.report import pictures, score_lines, write_report
from posttrain.report.facts import Drop, read_round
from posttrain.report.heat_table import contaminated_cells
from posttrain.report.summary import summary_text, table, width
from posttrain.run import Run, start_run
from posttrain.schema import Message, SFTExample, UnreadableRow
from posttrain.storage import ArtifactWriter, Manifest

RECIPE: dict[str, Any] = {
    "name": "small", "description": "<script>alert('data')</script> & 한국어", "seed": 0,
    "sources": [{"name": "sums", "family": "gsm8k", "origin": "<b>hand</b>", "license": "MIT",
                 "load": {"kind": "procedural", "rows": 2, "skills": ["addition"]}}],
    "evals": [
        {"name": name, "skill": name, "task": "word_problems", "load": {"kind": "procedural", "rows": 4, "skills": ["addition"]}}
        for name in ("addition", "korean_addition")
    ],
    "mix": {"sft": [{"source": "sums", "proportion": 1.0}]},
    "model": {"kind": "tiny"},
    "sft": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
    "dpo": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
    "rlvr": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
    "gate": {"thresholds": {"addition": 0.5}, "max_rounds": 2},
}
CONTAMINATION = [
    {"eval": "gsm8k", "source": source, "items": 1319, "contaminated": items, "share": share, "removed_rows": rows,
     "over_limit": False}
    for source, items, share, rows in (("sums", 2, 0.001516, 3), ("other", 0, 0.0, 0))
]


def record(run: Run, stage: str, inputs: list[Manifest], work: Any, part: str = "") -> Manifest:
    settings = {"round": run.round if stage not in ("collect", "convert") else 0}
    if stage == "decontaminate":
        settings = Decontaminate(preset="tulu3").model_dump(mode="json")
    return run.stage(stage, "posttrain.storage", inputs=inputs, settings=settings, work=work, part=part).manifest


def sum_row(number: int) -> SFTExample:
    return SFTExample(id=f"sums_{number}", source="sums", category="math", skill="addition", language="en", license="MIT",
                      messages=(Message("user", "1 + 1?"), Message("assistant", "2")))


def rows_stage(kept: int, **dropped: int) -> Any:
    def work(out: ArtifactWriter) -> None:
        for number in range(kept):
            out.read("sums")
            out.keep(sum_row(number))
        for reason, times in dropped.items():
            for number in range(times):
                out.read("sums")
                out.reject_example(sum_row(number), reason)
    return work


def curve(*values: float, key: str = "loss") -> Any:
    lines = "".join(json.dumps({"step": n + 1, key: value}) + "\n" for n, value in enumerate(values))
    return lambda out: out.write_bytes("metrics.jsonl", lines.encode())


def data_half(run: Run) -> Manifest:
    collected = record(run, "collect", [], rows_stage(10), part="sums")
    converted = record(run, "convert", [collected], rows_stage(9, missing_field=1), part="sums")
    filtered = record(run, "filter", [converted], rows_stage(6, too_simple=2, empty_message=1))

    def decontaminate(out: ArtifactWriter) -> None:
        rows_stage(5, contaminated=1)(out)
        out.facts["contamination"] = CONTAMINATION

    return record(run, "mix", [record(run, "decontaminate", [filtered], decontaminate)], rows_stage(5))


def model_half(run: Run, mixture: Manifest, score: float) -> None:
    sft = record(run, "sft", [mixture], curve(3.0, 2.0, 1.0))
    dpo = record(run, "dpo", [sft], curve(0.7, 0.6, key="rewards/margins"))
    rlvr = record(run, "rlvr", [dpo], curve(2.0, 5.0, key="reward"))
    scores = {"base": {"addition": 0.0, "korean_addition": 0.0}, "sft": {"addition": 0.25, "korean_addition": 0.1},
              "dpo": {"addition": 0.3, "korean_addition": 0.1}, "rlvr": {"addition": score, "korean_addition": 0.1}}

    def evaluate(out: ArtifactWriter) -> None:
        out.write_bytes("generations.txt", str(score).encode())
        out.facts.update(scores=scores, tasks={"rlvr": {"addition": {"score": score}}})

    record(run, "evaluate", [rlvr], evaluate)
    judge_run(run)


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two rounds: 40 % on addition fails the threshold of 50 %, 90 % passes."""
    workspace = str(tmp_path_factory.mktemp("report") / "workspace")
    recipe = check_recipe(RECIPE, "test")
    first = start_run(recipe, "demo", workspace=workspace)
    model_half(first, data_half(first), 0.4)
    second = start_run(recipe, "demo__r1", root_run_id="demo", round=1, focus={"addition": 0.1}, workspace=workspace)
    model_half(second, data_half(second), 0.9)
    return [first, second]


class Page(HTMLParser):
    """Collects what a browser would load, and the elements by name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]


@pytest.fixture(scope="module")
def page(rounds: list[Run]) -> str:
    return Path(write_report(rounds[-1])).read_text(encoding="utf-8")


def test_the_page_loads_nothing_and_runs_nothing(page: str) -> None:
    parsed = Page(page)
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in parsed.loads)
    assert "script" not in parsed.tags and "link" not in parsed.tags and "@import" not in page
    assert not re.search(r"url\((?!#)", page)


def test_text_from_recipes_is_escaped(page: str) -> None:
    assert "<script>" not in page and "&lt;script&gt;alert(&#39;data&#39;)&lt;/script&gt; &amp; 한국어" in page
    assert "<b>hand</b>" not in page and "&lt;b&gt;hand&lt;/b&gt;" in page


def test_both_rounds_stand_in_the_page_with_verdict_and_gap(page: str) -> None:
    assert page.count("<h3>Round 1</h3>") == page.count("<h3>Round 2</h3>") == 5
    assert "addition 10.0 %" in page and "the data of round 2" in page
    assert '<td class="verdict bad">failed</td>' in page and '<td class="verdict good">passed</td>' in page


def test_the_report_of_round_1_does_not_know_round_2(rounds: list[Run]) -> None:
    text = Path(write_report(rounds[0])).read_text(encoding="utf-8")
    assert "Round 1" in text and "Round 2" not in text


def test_every_picture_is_there_and_is_valid_svg(page: str) -> None:
    found = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    # Per round: flow, drops, contamination, three curves, scores; the seconds of both; and of the last round's data the flow,
    # lengths, turns and what the prompts ask for.
    assert len(found) == 2 * 7 + 1 + 4
    for svg in found:
        ElementTree.fromstring(svg)
    ids = [set(re.findall(r'<clipPath id="([^"]+)"', svg)) for svg in found]
    assert len(set().union(*ids)) == sum(map(len, ids)), "two pictures of a page share an id"


def test_counts_and_reasons_are_those_of_the_manifests(page: str) -> None:
    text = re.sub(r"\s+", " ", page)
    assert re.search(r"<td>filter</td><td class=\"n\">9</td><td class=\"n\">6</td> ?<td class=\"n\">3</td>", text)
    assert "<td>filter</td><td><code>too_simple</code></td><td class=\"n\">2</td>" in text


def test_a_skipped_stage_says_why(page: str) -> None:
    assert "skipped: unchanged: same settings, code and inputs as collect/" in page


def test_a_run_without_training_has_a_report(tmp_path: Path) -> None:
    run = start_run(check_recipe(RECIPE, "test"), "half", until="mix", workspace=str(tmp_path / "workspace"))
    data_half(run)
    text = Path(write_report(run)).read_text(encoding="utf-8")
    assert "Nothing was trained." in text and "Nothing was evaluated." in text and "not judged" in text
    assert "none: the gate has not passed" in summary_text([run])


def test_a_run_that_has_only_started_has_a_report(tmp_path: Path) -> None:
    run = start_run(check_recipe(RECIPE, "test"), "empty", workspace=str(tmp_path / "workspace"))
    assert "No row was dropped." in Path(write_report(run)).read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_page(rounds: list[Run], page: str) -> None:
    assert Path(write_report(rounds[-1])).read_text(encoding="utf-8") == page


# ---------------------------------------------------------------- text


def test_the_summary_shows_rows_removals_scores_and_paths(rounds: list[Run]) -> None:
    write_report(rounds[-1])
    text = summary_text(rounds)
    assert "Round 1 · demo · gate: failed, addition 10.0 % short" in text
    assert "Round 2 · demo__r1, aimed at addition · gate: passed" in text
    assert re.search(r"^filter +too_simple +2$", text, flags=re.MULTILINE)
    assert re.search(r"^gsm8k +sums +1319 +2 +0\.001516 +3 +no$", text, flags=re.MULTILINE)
    assert re.search(r"^addition +0\.0 +25\.0 +30\.0 +90\.0 +50\.0 +reached$", text, flags=re.MULTILINE)
    assert re.search(r"^korean_addition +0\.0 +10\.0 +10\.0 +10\.0 +– +not gated$", text, flags=re.MULTILINE)
    assert rounds[-1].folder + "/report.html" in text


def test_columns_line_up_with_hangul() -> None:
    lines = table(["name", "rows"], [["덧셈", "7"], ["sum", "12"]], right=(1,)).splitlines()
    assert [width(line) for line in lines] == [10, 10, 10, 10]
    assert lines[2] == "덧셈     7"


# ---------------------------------------------------------------- facts and pictures


def test_a_mapped_stage_is_summed_over_its_sources(tmp_path: Path) -> None:
    run = start_run(check_recipe(RECIPE, "test"), "two", workspace=str(tmp_path / "workspace"))
    record(run, "convert", [], rows_stage(4, missing_field=1), part="a")
    record(run, "convert", [], rows_stage(4, missing_field=1), part="b")  # the same content: found again
    stage = read_round(run).stages[0]
    assert stage.rows == {"read": 10, "kept": 8, "rejected": 2} and stage.reasons == {"missing_field": 2}
    assert stage.why == "unchanged for 1 of 2 sources: same settings, code and inputs" and not stage.skipped


def test_a_score_equal_to_its_threshold_reaches_it(rounds: list[Run]) -> None:
    lines = {line["skill"]: line["passed"] for line in score_lines(read_round(rounds[0]))}
    assert lines == {"addition": False, "korean_addition": None}


def test_only_contaminated_cells_are_listed() -> None:
    assert [(cell["eval"], cell["source"], cell["over_limit"]) for cell in contaminated_cells(CONTAMINATION)] == [
        ("gsm8k", "sums", "no")]


def test_text_in_pictures_stays_text_and_cannot_become_a_formula_or_markup() -> None:
    svg = pictures.drops([Drop("filter", "이유 $x$ <b>", 3)], "run")
    texts = ["".join(e.itertext()) for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("text")]
    assert "filter: 이유 $x$ <b>" in texts


def test_reasons_that_the_report_explains_are_the_closed_list() -> None:
    with pytest.raises(KeyError, match="schema.REASONS"):
        UnreadableRow("made_up", "field")
