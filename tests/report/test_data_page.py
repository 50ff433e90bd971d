"""The sections on the data: through the real data stages, on rows that one can count by hand; Korean, English and hostile."""

from __future__ import annotations

import html
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from posttrain import pipeline
from posttrain.cli import app
from posttrain.recipe import DATA_STAGES, check_recipe
from posttrain.report import flow, sample, svg, write_mixture_report, write_report
from posttrain.report.asks import asks_for, count_asks
from posttrain.report.data_page import data_view
from posttrain.report.distributions import CHARACTERS, TURNS, counted
from posttrain.report.dropped import turns_of
from posttrain.report.duplicate_pairs import marked
from posttrain.report.mixture import mixture_of_folder, mixture_of_run
from posttrain.report.prompt_map import draw_map, tokens
from posttrain.run import Run, start_run
from posttrain.schema import Message, PreferencePair
from posttrain.storage import ArtifactWriter, StorageError

HOSTILE = "<script>alert('x')</script> & \"<img src=http://evil.example/a.png>\" $x$ {{ 7 * 7 }} 한국어"
LONG = ("The old lighthouse keeper climbed the narrow stairs every evening to light the lamp, "
        "and he wrote down the names of all the ships that passed before the morning came again")
ENGLISH = [
    ("Write a short poem about the sea.", "The sea is wide and blue and cold."),
    ("Write a short poem about the sea.", "The sea is wide and blue and cold."),  # dropped: the same conversation
    ("Summarise this: " + LONG + " in May.", "A keeper lights a lamp."),
    ("Summarise this: " + LONG + " in June.", "A keeper lights a lamp."),  # dropped: a near duplicate
    ("How many legs has a spider?", "A spider has eight legs."),
    ("Explain " + HOSTILE, "I am ChatGPT, made by OpenAI. " + HOSTILE),  # dropped: names another assistant
    ("Explain this mark-up: " + HOSTILE, "It is mark-up and nothing else."),
    ("Name the largest planet of our solar system and say how many moons it is known to have.", "Jupiter."),  # contaminated
]
KOREAN = [
    ("가을에 대한 시를 써 줘.", "낙엽이 지는 가을, 바람이 붑니다."),
    ("세종대왕의 업적을 설명해 주세요.", "세종대왕은 훈민정음을 만들었습니다."),
    ("서울의 인구는 몇 명인가요?", ""),  # dropped: the answer is empty
    ("왜 하늘은 파란가요?", "빛이 흩어지기 때문입니다."),
]
RECIPE: dict[str, Any] = {
    "name": "small", "description": "twelve rows", "seed": 0,
    "sources": [
        {"name": name, "family": "alpaca", "origin": "<i>by hand</i>", "license": licence, "category": category,
         "load": {"kind": "file", "path": f"{name}.jsonl"}}
        for name, licence, category in (("english", "MIT", "general"), ("korean", "CC BY-SA 4.0", "multilingual"))
    ],
    "evals": [{"name": "planets", "fields": ["question"], "load": {"kind": "file", "path": "planets.jsonl"}}],
    "filter": {"duplicates": {"near": {"threshold": 0.7}}, "one_word_answers": "report"},
    "mix": {"sft": [{"source": "english", "proportion": 1.0}, {"source": "korean", "count": 4}],
            "quotas": {"multilingual": 4}, "language_quotas": {"ko": 4}},
    "model": {"kind": "tiny"},
    "sft": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
    "dpo": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
    "rlvr": {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64},
}


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The data half over ENGLISH and KOREAN, through the real stages."""
    folder = tmp_path_factory.mktemp("data-page")
    for name, rows in (("english", ENGLISH), ("korean", KOREAN)):
        write_lines(folder / f"{name}.jsonl", [{"instruction": q, "input": "", "output": a} for q, a in rows])
    with (folder / "english.jsonl").open("a", encoding="utf-8") as f:
        f.write(json.dumps({"instruction": HOSTILE}) + "\n")  # no output: cannot be converted
        f.write("{ no JSON <script>\n")  # cannot be collected
    write_lines(folder / "planets.jsonl", [{"question": ENGLISH[-1][0]}])
    value = json.loads(json.dumps(RECIPE))
    for entry in (*value["sources"], *value["evals"]):
        entry["load"]["path"] = str(folder / entry["load"]["path"])
    run = start_run(check_recipe(value, "test"), "small", until="mix", workspace=str(folder / "workspace"))
    for stage in DATA_STAGES:
        if stage in pipeline.MAPPED_STAGES:
            for source in run.recipe.sources:
                pipeline.MAPPED_STAGES[stage](run, source.name)
        else:
            pipeline.LIBRARY_STAGES[stage](run)
    return run


@pytest.fixture(scope="module")
def view(run: Run) -> dict[str, Any]:
    return data_view(mixture_of_run(run))


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return Path(write_report(run)).read_text(encoding="utf-8")


def text_of(page: str) -> str:
    """What a person reads, without drawings."""
    without = re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", without)))


# ---------------------------------------------------------------- numbers, by hand


def test_the_flow_is_what_one_counts_by_hand(view: dict[str, Any]) -> None:
    steps = {line.source: line.steps for line in view["flow"]["lines"]}
    assert steps == {
        # 10 lines, one no JSON, one without an answer; one names ChatGPT; an exact and a near duplicate; one is an eval item
        "english": {"pool": 10, "converted": 8, "made": 0, "filtered": 7, "deduplicated": 5, "decontaminated": 4, "mixed": 4},
        # 4 rows, one with an empty answer; 3 rows fill a count of 4, so that one stands twice
        "korean": {"pool": 4, "converted": 4, "made": 0, "filtered": 3, "deduplicated": 3, "decontaminated": 3, "mixed": 3},
    }
    assert {line.source: line.written for line in view["flow"]["lines"]} == {"english": 4, "korean": 4}
    assert view["flow"]["unexplained"] == 0 and view["flow"]["written"] == 8
    assert {(stage, source, reason): rows for stage, source, reason, rows in view["flow"]["fallen"]} == {
        ("collect", "english", "invalid_json"): 1, ("convert", "english", "missing_field"): 1,
        ("filter", "english", "names_another_assistant"): 1,
        ("filter", "english", "duplicate_conversation"): 1, ("filter", "english", "near_duplicate"): 1,
        ("filter", "korean", "empty_message"): 1, ("decontaminate", "english", "contaminated"): 1,
    }


def test_the_numbers_of_the_page_are_those_of_the_manifests(run: Run, view: dict[str, Any], page: str) -> None:
    mix, text = run.manifest("mix"), text_of(page)
    assert f"sft {mix.written['sft']:,} rows" in text
    for line in view["flow"]["lines"]:
        assert line.steps["mixed"] == mix.by_source[line.source]["kept"]
    assert "together 14 12 10 8 7 7 8" in text and "english 10 8 7 5 4 4 4" in text and "korean 4 4 3 3 3 3 4" in text
    assert "Unexplained rows: 0 ." in text


def test_shares_stand_beside_what_the_recipe_asks_for(view: dict[str, Any]) -> None:
    [categories] = view["shares"]["categories"]
    assert {line["name"]: (line["rows"], line["asked"], line["share"]) for line in categories["lines"]} == {
        "general": (4, 4, 0.5), "multilingual": (4, 4, 0.5)}
    [languages] = view["shares"]["languages"]
    assert {line["name"]: line["rows"] for line in languages["lines"]} == {"en": 4, "ko": 4}
    assert [(a["source"], a["wanted"], a["available"], a["taken"]) for a in view["shares"]["amounts"]] == [
        ("english", 4, 4, 4), ("korean", 4, 3, 4)]


def test_every_rule_shows_its_rows_and_reported_ones_too(view: dict[str, Any], page: str) -> None:
    found = {line["rule"]: (line["action"], line["rows"]) for line in view["rules"]}
    assert found["keywords"] == ("drop", 1) and found["empty"] == ("drop", 1) and found["duplicates"] == ("drop", 2)
    assert found["one_word_answers"] == ("report", 1)  # "Jupiter." is kept by the filter
    [empty] = next(line["examples"] for line in view["rules"] if line["rule"] == "empty")
    assert empty["turns"][0] == "user: 서울의 인구는 몇 명인가요?" and "서울의 인구는 몇 명인가요?" in page
    assert [(line["stage"], line["reason"], line["rows"]) for line in view["rejected"]] == [
        ("collect", "invalid_json", 1), ("convert", "missing_field", 1), ("decontaminate", "contaminated", 1)]
    assert view["rejected"][2]["examples"][0]["turns"][0] == f"user: {ENGLISH[-1][0]}"


def test_near_duplicates_stand_side_by_side(view: dict[str, Any]) -> None:
    found = view["duplicates"]
    assert (found["clusters"], found["rows"], found["largest"], found["shown_of"]) == (2, 4, 2, 1)
    assert found["sources"] == [("english", "english", 2)]
    [pair] = found["pairs"]
    assert 0.7 <= pair["jaccard"] < 1
    assert {words for words, differs in pair["dropped"] + pair["kept"] if differs} == {"May.\nassistant:", "June.\nassistant:"}


def test_rows_by_licence_and_term(view: dict[str, Any]) -> None:
    assert view["licences"]["by_licence"] == [("MIT", 4), ("CC BY-SA 4.0", 4)]
    assert view["licences"]["terms"] == [("share_alike", 4), ("free", 4)]
    assert {line["source"]: line["origin"] for line in view["licences"]["lines"]} == dict.fromkeys(("english", "korean"),
                                                                                                  "<i>by hand</i>")


def test_lengths_and_turns_are_those_of_the_rows(run: Run) -> None:
    [found] = sample.sample_mixture(run.manifest("mix"))
    assert found.whole and found.of == 8 and found.turns.tolist() == [2] * 8
    by_prompt = dict(zip(found.prompts, found.characters.tolist(), strict=True))
    assert by_prompt["How many legs has a spider?"] == len("How many legs has a spider?") + len("A spider has eight legs.")
    assert by_prompt["왜 하늘은 파란가요?"] == len("왜 하늘은 파란가요?") + len("빛이 흩어지기 때문입니다.")


def test_a_large_split_is_sampled_by_the_seed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "ROWS", 5)
    first, again, other = (sample.sample_mixture(run.manifest("mix"), seed)[0] for seed in (0, 0, 1))
    assert len(first.prompts) == 5 and first.of == 8 and not first.whole
    assert first.prompts == again.prompts and first.prompts != other.prompts
    assert set(first.prompts) <= {q for q, _ in ENGLISH + KOREAN}


def test_a_pair_counts_with_its_chosen_side_or_the_one_that_is_known(tmp_path: Path) -> None:
    asked, good, bad = Message("user", "질문?"), Message("assistant", "좋은 답"), Message("assistant", "no")
    out = ArtifactWriter(str(tmp_path / "mix"), stage="mix")
    for n, (chosen, rejected) in enumerate([((asked, good), (asked, bad)), ((), (asked, bad)), ((asked, good), ())]):
        out.read("s")
        out.keep(PreferencePair(id=str(n), source="s", category="general", skill="general", language="ko", license="MIT",
                                prompt="질문?", chosen=chosen, rejected=rejected))
    [found] = sample.sample_mixture(out.finish())
    assert found.characters.tolist() == [3 + 4, 3 + 2, 3 + 4] and found.turns.tolist() == [2, 2, 2]
    assert found.prompts == ["질문?"] * 3


def test_what_the_prompts_ask_for(view: dict[str, Any]) -> None:
    english, korean = view["diversity"]["languages"]
    assert {verb: count for verb, count, _, _ in english["verbs"]} == {"write": 1, "summarise": 1, "how …?": 1, "explain": 1}
    assert {verb for verb, *_ in korean["verbs"]} == {"쓰다", "설명하다", "왜 …?"} and korean["prompts"] == 4


# ---------------------------------------------------------------- one file, escaped, repeatable


def test_hostile_text_is_escaped_everywhere(page: str) -> None:
    assert "<script" not in page and "<img" not in page and "<i>by hand" not in page
    assert html.escape("<script>alert('x')</script>", quote=False)[:20] in page
    assert "{{ 7 * 7 }}" in page and "ko" in page
    assert not re.search(r'(?:src|href|action)="(?!#|data:image/png;base64,)', page)  # matplotlib's heat table is an image


def test_every_drawing_is_valid_xml(page: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) >= 8
    for drawing in drawings:
        ElementTree.fromstring(drawing)


def test_the_same_run_gives_the_same_page(run: Run, page: str) -> None:
    assert Path(write_report(run)).read_text(encoding="utf-8") == page


def test_characters_that_no_xml_holds_are_replaced() -> None:
    ElementTree.fromstring(svg.drawing(10, 10, [svg.label(0, 0, "a\x00\x1b\ud800\uffff<&\"'")], "\x07"))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.text(max_size=8)), min_size=1, max_size=6))
def test_any_counts_and_names_give_a_drawing(rows: list[tuple[int, int, str]]) -> None:
    lines = [flow.Line(name, "#000", {"pool": a, "converted": 2 * max(0, a - b)}, {"converted": min(a, b)}, None)
             for a, b, name in rows]
    found = ElementTree.fromstring(flow.draw(lines, ["pool", "converted"]))
    fell = sum(min(a, b) for a, b, _ in rows)
    labels = ["".join(e.itertext()) for e in found.iter() if e.tag.endswith("text")]
    assert (f"−{fell:,}" in labels) == (fell > 0)


def test_rows_that_fall_while_others_double_are_drawn(view: dict[str, Any]) -> None:
    line = flow.Line("math", "#000", {"pool": 10, "converted": 18}, {"converted": 1}, None)
    drawing = flow.draw([line], ["pool", "converted"])
    assert "math: 9 of 10 rows go on to converted" in drawing and "math: 1 of 10 rows fell before converted" in drawing
    assert {line.source: line.fell for line in view["flow"]["lines"]} == {
        "english": {"converted": 2, "filtered": 1, "deduplicated": 2, "decontaminated": 1}, "korean": {"filtered": 1}}


# ---------------------------------------------------------------- a mixture by itself


def test_a_mixture_alone_has_a_page_with_what_its_parents_tell(run: Run, view: dict[str, Any], tmp_path: Path) -> None:
    alone = data_view(mixture_of_folder(run.manifest("mix").path))
    assert [line.steps for line in alone["flow"]["lines"]] == [line.steps for line in view["flow"]["lines"]]
    assert alone["flow"]["unexplained"] == 0 and alone["duplicates"]["pairs"] == view["duplicates"]["pairs"]
    assert alone["shares"]["categories"][0]["lines"][0]["asked"] is None  # no recipe is known
    assert alone["licences"] == view["licences"]  # origin and terms as they were collected
    done = CliRunner().invoke(app, ["report", run.manifest("mix").path, "--out", str(tmp_path / "mixture.html")])
    assert done.exit_code == 0 and done.stdout.strip() == str(tmp_path / "mixture.html")
    text = (tmp_path / "mixture.html").read_text(encoding="utf-8")
    assert "english 10 8 7 5 4 4 4" in text_of(text) and "<script" not in text


def test_a_workspace_that_was_moved_still_tells(run: Run, tmp_path: Path) -> None:
    shutil.copytree(Path(run.workspace) / "artifacts", tmp_path / "artifacts")
    folder = tmp_path / "artifacts" / "mix" / run.manifest("mix").key
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for path in (tmp_path / "artifacts").rglob("manifest.json"):
        path.write_text(path.read_text(encoding="utf-8").replace(run.workspace, "/nowhere"), encoding="utf-8")
    assert manifest["parents"] and mixture_of_folder(str(folder)).gone == []
    assert data_view(mixture_of_folder(str(folder)))["flow"]["total"]["pool"] == 14


def test_a_mixture_without_its_parents_says_so_and_accuses_nobody(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.manifest("mix").path, tmp_path / "mix")
    path = tmp_path / "mix" / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace(run.workspace, "/nowhere"), encoding="utf-8")
    alone = data_view(mixture_of_folder(str(tmp_path / "mix")))
    assert alone["flow"]["unexplained"] is None and alone["flow"]["gone"] and not alone["flow"]["problems"]
    assert alone["flow"]["written"] == 8 and alone["duplicates"] is None and alone["rules"] == []
    write_mixture_report(str(tmp_path / "mix"), str(tmp_path / "page.html"))
    assert "Nothing is known about duplicates." in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_mixture_that_was_made_without_a_run_has_a_page(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": f"질문 {n}?"}, {"role": "assistant", "content": "답."}], "source": "own"}
            for n in range(3)]
    write_lines(tmp_path / "rows.jsonl", rows)
    for arguments in (["mix", "--in", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "mix"), "--recipe", "smoke"],
                      ["mix", "--in", str(tmp_path / "rows.jsonl"), "--out", str(tmp_path / "all")]):
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert mixture_of_folder(str(tmp_path / "mix")).mix.written == {}  # type: ignore[union-attr]
    found = data_view(mixture_of_folder(str(tmp_path / "all")))
    assert found["flow"]["unexplained"] is None and not found["flow"]["problems"] and found["flow"]["picture"] is None
    write_mixture_report(str(tmp_path / "all"), str(tmp_path / "all.html"))
    # Nothing of recipe smoke is in it: a mixture without a row.
    write_mixture_report(str(tmp_path / "mix"), str(tmp_path / "mix.html"))


def test_older_artifacts_without_facts_have_a_page(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.workspace, tmp_path / "old")
    for path in (tmp_path / "old").rglob("*.json"):
        value = json.loads(path.read_text(encoding="utf-8").replace(run.workspace, str(tmp_path / "old")))
        if path.name == "manifest.json":
            value["facts"] = {}
        path.write_text(json.dumps(value), encoding="utf-8")
    mix = next((tmp_path / "old" / "artifacts" / "mix").iterdir())
    text = text_of(Path(write_mixture_report(str(mix), str(tmp_path / "old.html"))).read_text(encoding="utf-8"))
    assert "english 10 8 7 5 4 4 4" in text and "says nothing about its rules" in text


def test_only_a_mixture_has_such_a_page(run: Run, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is an artifact of filter, not of mix"):
        mixture_of_folder(run.manifest("filter").path)
    for arguments in ([run.manifest("mix").path], [run.run_id, "--out", str(tmp_path / "x.html")]):
        assert CliRunner().invoke(app, ["report", *arguments]).exit_code == 2


# ---------------------------------------------------------------- the heuristics, on sentences


@pytest.mark.parametrize(("prompt", "verb", "thing"), [
    ("Please write a short poem about cats.", "write", "poem"),
    ("Could you please explain the theory of relativity?", "explain", "theory"),
    ("I want you to translate this sentence into French.", "translate", "sentence"),
    ("Hi! Can you summarize the following article for me? It is long.", "summarize", "article"),
    ("Tom has 3 apples and buys 4. How many apples has he now?", "how …?", "many"),
    ("What's the capital of France?", "what …?", "capital"),
    ("The town lies on a river.\nIt is old. In which country does it lie?", "which …?", "country"),
    ("Is the moon larger than the sun?", "yes or no?", ""),
    ("asdf", "other", ""),
    ("", "other", ""),
    ("짧은 시를 써 주세요.", "쓰다", "시"),
    ("다음 글을 요약해줘", "요약하다", "글"),
    ("Python으로 정렬 함수를 작성하시오.", "작성하다", "함수"),
    ("대한민국의 수도는 어디인가요?", "어디 …?", ""),
    ("이것은 맞는 말인가요?", "예/아니오?", ""),
    ("안녕하세요", "기타", ""),
    ("빵에 대한 사실 3가지를 적어 주세요", "적다", "사실"), ("10개를 골라 주세요", "고르다", ""),
])
def test_what_a_prompt_asks_for(prompt: str, verb: str, thing: str) -> None:
    assert asks_for(prompt) == (verb, thing)


@given(st.text(max_size=300))
def test_every_prompt_is_counted_once(prompt: str) -> None:
    assert sum(count for count, _ in count_asks([prompt, prompt]).values()) == 2


def test_topic_words_lose_their_particles() -> None:
    assert tokens("한국의 역사를 Python으로 설명해 주세요") == ["한국", "역사", "python"]


def test_the_map_keeps_topics_apart_and_is_the_same_twice() -> None:
    prompts = [f"bake bread with flour and yeast number {n}" for n in range(30)]
    prompts += [f"축구 경기에서 골키퍼가 공을 막은 선수 {n}" for n in range(30)]
    found = draw_map(prompts, ["food"] * 30 + ["sport"] * 30)
    assert found is not None and found.grouped == 60 and sum(c.prompts for c in found.clusters) == 60
    assert all(len(c.sources) == 1 for c in found.clusters), "a cluster holds both topics"
    assert draw_map(prompts, ["food"] * 30 + ["sport"] * 30) == found
    assert draw_map(prompts[:5], ["food"] * 5) is None and draw_map(["!"] * 50, ["x"] * 50) is None


def test_values_are_counted_by_their_lower_edge() -> None:
    assert counted(np.array([0, 49, 50, 10**9]), CHARACTERS) == [2, 1] + [0] * (len(CHARACTERS) - 3) + [1]
    assert counted(np.array([0, 1, 2, 21]), TURNS) == [2, 1] + [0] * (len(TURNS) - 3) + [1]


def test_differing_words_are_marked() -> None:
    assert marked("a b c", "a x c") == [("a", False), ("b", True), ("c", False)]
    assert marked("같은 말", "같은 말") == [("같은 말", False)]


@pytest.mark.parametrize(("body", "turns"), [
    ('{"messages": [{"role": "user", "content": "질문"}]}', ["user: 질문"]),
    ('{"chosen": [{"role": "user", "content": null}], "rejected": []}', ["user: "]),
    ('{"instruction": 1}', ['{"instruction": 1}']), ("not json", ["not json"]), (None, [""]),
    ('{"messages": "mail kim@naver.com"}', ['{"messages": "mail [EMAIL]"}']),
])
def test_a_rejected_row_is_shown_whatever_it_is(body: str | None, turns: list[str]) -> None:
    assert turns_of(body) == turns
