"""Selection by quality, difficulty and diversity: exact, seeded, and each part by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.filters import filter_examples, stage_settings
from posttrain.filters.select import SelectionError, cluster, difficulty_of, draw, read_solved
from posttrain.recipe import Filter, RecipeError, Select, load_recipe
from posttrain.schema import Message, SFTExample
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_rejected

FACTS = {"language": "en", "license": "MIT"}


def row(n: int, answer: str, category: str = "math", source: str = "s") -> SFTExample:
    messages = (Message("user", f"Question number {n}?"), Message("assistant", answer))
    return SFTExample(id=f"{source}_{n}", source=source, category=category, skill=category, messages=messages, **FACTS)


def select(folder: Path, rows: list[SFTExample], **changes: object) -> Manifest:
    source = ArtifactWriter(str(folder / "in"), stage="convert")
    for example in rows:
        source.read(example.source)
        source.keep(example)
    writer = ArtifactWriter(str(folder / "out"), stage="filter")
    filter_examples([source.finish()], Filter(select=Select(**changes)), writer)
    return writer.finish()


ROWS = [row(n, "An answer with words. " * (n + 1), "math" if n < 30 else "code") for n in range(36)]


def test_exactly_so_many_rows_are_kept_and_the_rest_says_why(tmp_path: Path) -> None:
    done = select(tmp_path / "a", ROWS, count=10, quality=False)
    kept = [example.id for example in read_examples(done)]
    assert len(kept) == 10 and done.rows == {"read": 36, "kept": 10, "rejected": 26}
    assert done.reasons == {"not_chosen": 26} == done.facts["select"]["reasons"]
    assert done.facts["rules"]["select"] == 26
    # 6 code rows against 30 of maths, and half of the draws go to each group while both have rows.
    assert done.facts["select"]["groups"]["code"]["available"] == 6 and done.facts["select"]["groups"]["code"]["taken"] >= 2
    assert [e.id for e in read_examples(select(tmp_path / "b", ROWS, count=10, quality=False))] == kept
    assert [e.id for e in read_examples(select(tmp_path / "c", ROWS, count=10, quality=False, seed=1))] != kept


def test_rows_of_other_sources_pass_untouched(tmp_path: Path) -> None:
    done = select(tmp_path, [*ROWS, row(99, "Another answer.", source="t")], count=3, sources=("s",), quality=False)
    assert sorted(Counter(e.source for e in read_examples(done)).items()) == [("s", 3), ("t", 1)]


def test_quality_leaves_out_rows_against_which_a_rule_speaks(tmp_path: Path) -> None:
    done = select(tmp_path, [row(1, "Yes"), row(2, "An answer in words."), row(3, "Another answer in words.")], count=1)
    assert done.reasons == {"reported_by_a_rule": 1, "not_chosen": 1}
    assert "one_word_answers" in next(r["detail"] for r in read_rejected(done) if r["reason"] == "reported_by_a_rule")


def test_what_a_model_solves_is_too_easy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTTRAIN_DATA_ROOT", str(tmp_path))
    scores = tmp_path / "scored.jsonl"
    scores.write_text("".join(json.dumps({"id": f"s_{n}", "score": float(n % 2)}) + "\n" for n in range(36)))
    done = select(tmp_path / "work", ROWS, count=18, solved=("scored.jsonl",), quality=False)
    assert done.reasons == {"solved_by_a_model": 18}
    assert all(int(example.id[2:]) % 2 == 0 for example in read_examples(done))
    before = stage_settings(Filter(select=Select(count=1, solved=("scored.jsonl",))))
    scores.write_text(scores.read_text() + '{"id": "s_99", "score": 1}\n')
    assert stage_settings(Filter(select=Select(count=1, solved=("scored.jsonl",)))) != before  # its content is in the key


def test_bad_files_of_scores_name_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTTRAIN_DATA_ROOT", str(tmp_path))
    (tmp_path / "scored.jsonl").write_text('{"id": "a", "score": 1}\n{"id": "b"}\n')
    with pytest.raises(SelectionError, match=r"scored\.jsonl:2"):
        read_solved(("scored.jsonl",))
    with pytest.raises(SelectionError, match="there is no file"):
        read_solved(("nothing.jsonl",))


def test_too_few_rows_are_an_error_that_counts_them(tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="wants 4 rows, and 1 are left of 3"):
        select(tmp_path, [row(1, "Yes"), row(2, "An answer in words."), row(3, "No")], count=4)


def test_difficulty_by_hand() -> None:
    """48 bytes are 12 tokens; of the trace, its 20 bytes count: 5."""
    answer = "<think>twenty bytes in here</think> and twelve b"
    assert len(answer) == 48
    assert difficulty_of(row(1, answer), Select(count=1)) == 12
    assert difficulty_of(row(1, answer), Select(count=1, difficulty="trace_length")) == 5
    apart = replace(row(1, answer), trace="forty bytes of reasoning in its own field")  # 42 bytes, 11 tokens
    assert difficulty_of(apart, Select(count=1, difficulty="trace_length")) == 16
    assert difficulty_of(row(1, answer), Select(count=1, difficulty="none")) == 0


def test_harder_rows_are_likelier() -> None:
    """One group, one draw: rank r with probability 2^-r, so about half of 400 seeds take the longest, a quarter the next."""
    def drawn(**changes: object) -> Counter[int]:
        wanted = [Select(count=1, seed=seed, **changes) for seed in range(400)]
        return Counter(n for choice in wanted for n in draw(["a"] * 5, [10, 50, 30, 20, 40], choice))

    taken = drawn()
    assert taken.most_common(2)[0][0] == 1 and taken.most_common(2)[1][0] == 4
    assert 160 <= taken[1] <= 260 and 60 <= taken[4] <= 150
    assert min(drawn(difficulty="none").values()) >= 45


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), min_size=1, max_size=30), st.integers(0, 5), st.data())
def test_a_draw_is_exact_and_repeatable(rows: list[tuple[str, int]], seed: int, data: st.DataObject) -> None:
    wanted = Select(count=data.draw(st.integers(1, len(rows))), seed=seed)
    groups, difficulty = [g for g, _ in rows], [d for _, d in rows]
    taken = draw(groups, difficulty, wanted)
    assert len(taken) == wanted.count and taken <= set(range(len(rows))) and draw(groups, difficulty, wanted) == taken


def test_clusters_are_groups_of_like_prompts() -> None:
    prompts = [f"Write a Python function that sorts list number {n}" for n in range(20)]
    prompts += [f"대한민국의 {n}번째 도시는 어디인가요?" for n in range(20)]
    labels = cluster(prompts, Select(count=1, diversity="clusters", clusters=2))
    assert len(set(labels[:20])) == 1 and len(set(labels[20:])) == 1 and labels[0] != labels[20]
    assert cluster(prompts, Select(count=1, diversity="clusters", clusters=2)) == labels


def test_a_source_that_is_not_there_is_refused_with_the_recipe() -> None:
    with pytest.raises(RecipeError, match=r"filter\.select\.sources\.0: source 'wrods' is not defined; .*word_problems"):
        load_recipe("smoke", {"filter": {"select": {"count": 3, "sources": ["wrods"]}}})
