from __future__ import annotations

import json
import random
import tempfile
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.mix import SPLITS, mix_rows, writing
from posttrain.recipe import Amount, Mix, Temperature
from posttrain.schema import REASONS, Example, Message, PreferencePair, RLVRExample, SFTExample, to_row
from posttrain.storage import ArtifactWriter, Manifest, read_rejected, read_rows

FACTS = {"skill": "addition", "language": "en", "license": "MIT"}


def sft(n: int, source: str = "s", category: str = "math", license: str = "MIT", made_by: str = "selected") -> SFTExample:
    messages = (Message("user", f"What is {n} apples and {n} more?"), Message("assistant", f"{n} + {n} = {2 * n}"))
    return SFTExample(id=f"{source}-sft-{n}", source=source, category=category, messages=messages,
                      **FACTS | {"license": license, "made_by": made_by})


def rlvr(n: int, source: str = "s") -> RLVRExample:
    messages = (Message("user", f"What is {n} apples and {n} more?"),)
    return RLVRExample(id=f"{source}-rlvr-{n}", source=source, category="math", messages=messages, ground_truth=str(2 * n),
                       verifier="gsm8k", **FACTS)


def pair(n: int, source: str = "s") -> PreferencePair:
    question, good, bad = Message("user", f"Say {n}"), Message("assistant", str(n)), Message("assistant", "no")
    return PreferencePair(id=f"{source}-pair-{n}", source=source, category="general", prompt=question.content,
                          chosen=(question, good), rejected=(question, bad), **FACTS)


def write(folder: Path, name: str, examples: list[Example]) -> Manifest:
    writer = ArtifactWriter(str(folder / name), stage=name)
    for example in examples:
        writer.read(example.source)
        writer.keep(example)
    return writer.finish()


def mix(folder: Path, inputs: list[Manifest], recipe: Mix, seed: int = 0, non_commercial: dict[str, bool] | None = None,
        name: str = "mix", focus: dict[str, float] | None = None) -> Manifest:
    writer = ArtifactWriter(str(folder / name), stage="mix")
    mix_rows(inputs, recipe, non_commercial or {}, seed, writer, focus)
    return writer.finish()


def ids(manifest: Manifest, split: str = "sft") -> list[str]:
    return [row["id"] for row in read_rows(manifest, split)]


def amounts(**named: float) -> tuple[Amount, ...]:
    """amounts(s=3, t=0.5): a count for an integer, a proportion for a float, as in a recipe."""
    return tuple(Amount(source=s, **{"count" if isinstance(n, int) else "proportion": n}) for s, n in named.items())


@pytest.mark.parametrize(("amount", "rows", "most"), [
    (3, 3, 1), (10, 10, 1), (0, 0, 0), (25, 25, 3),  # counts: 25 of 10 is twice each and five a third time
    (1, 1, 1), (1.0, 10, 1), (0.5, 5, 1), (0.29, 2, 1), (2.0, 20, 2), (2.5, 25, 3), (0.0, 0, 0),  # 1 is a row, 1.0 is all
])
def test_counts_and_proportions(tmp_path: Path, amount: float, rows: int, most: int) -> None:
    pool = write(tmp_path, "in", [sft(n) for n in range(10)])
    done = mix(tmp_path, [pool], Mix(sft=amounts(s=amount)))
    times = Counter(ids(done))
    assert times.total() == rows
    assert max(times.values(), default=0) == most
    fact = done.facts["amounts"][0]
    assert (fact["available"], fact["taken"], fact["upsampling"]) == (10, rows, max(1.0, rows / 10))
    assert done.by_source["s"] == {"read": 10, "kept": len(times), "rejected": 10 - len(times)}


def test_a_proportion_is_exact() -> None:
    """0.29 of 100 is 29; in floating point 0.29 * 100 is 28.999…"""
    with tempfile.TemporaryDirectory() as folder:
        pool = write(Path(folder), "in", [sft(n) for n in range(100)])
        assert len(ids(mix(Path(folder), [pool], Mix(sft=amounts(s=0.29))))) == 29


def test_rows_that_no_amount_takes_are_rejected_with_their_bodies(tmp_path: Path) -> None:
    pool = write(tmp_path, "in", [sft(1), sft(2), sft(3, "other"), pair(4)])
    done = mix(tmp_path, [pool], Mix(sft=amounts(s=1)))
    assert done.rows == {"read": 4, "kept": 1, "rejected": 3}
    assert done.reasons == {"not_sampled": 3}
    bodies = {row["id"]: json.loads(row["row"]) for row in read_rejected(done)}
    assert bodies["other-sft-3"] == to_row(sft(3, "other")) and bodies["s-pair-4"] == to_row(pair(4))


def test_the_four_splits(tmp_path: Path) -> None:
    pool = write(tmp_path, "in", [sft(1), rlvr(1), sft(2), rlvr(3), pair(4)])
    recipe = Mix(sft=amounts(s=1.0), preference_prompts=amounts(s=1.0), preference=amounts(s=1.0), rlvr=amounts(s=1.0))
    done = mix(tmp_path, [pool], recipe)
    assert sorted(ids(done, "sft")) == ["s-sft-1", "s-sft-2"]
    assert sorted(ids(done, "rlvr")) == ["s-rlvr-1", "s-rlvr-3"]
    assert ids(done, "preference") == ["s-pair-4"]
    prompts = {row["id"]: row for row in read_rows(done, "preference_prompts")}
    # 1 is there once, under its SFT id, with the ground truth of its RLVR twin; 2 has none; 3 has only an RLVR row
    assert {name: (row["ground_truth"], row["verifier"]) for name, row in prompts.items()} == {
        "s-sft-1": ("2", "gsm8k"), "s-sft-2": ("", ""), "s-rlvr-3": ("6", "gsm8k")}
    assert prompts["s-sft-1"]["messages"] == [{"role": "user", "content": "What is 1 apples and 1 more?"}]
    assert done.written == {"preference": 1, "preference_prompts": 3, "rlvr": 2, "sft": 2}
    assert done.rows == {"read": 5, "kept": 5, "rejected": 0}
    assert done.facts["splits"] == {"sft": 2, "preference_prompts": 3, "preference": 1, "rlvr": 2}
    assert {"split": "sft", "source": "s", "category": "math", "skill": "addition", "rows": 2} in done.facts["rows"]


def test_ax18_a_prompt_of_several_turns_ends_with_the_last_question(tmp_path: Path) -> None:
    turns = [("user", "파이썬으로 간단한 웹 스크래퍼를 만들고 싶어요"), ("assistant", "requests를 쓰세요."),
             ("user", "그럼 이미지도 다운로드할 수 있나요?"), ("assistant", "네, 가능합니다.")]
    messages = tuple(Message(role, text) for role, text in turns)
    example = SFTExample(id="example_multi_turn", source="s", category="code", messages=messages, **FACTS)
    done = mix(tmp_path, [write(tmp_path, "in", [example])], Mix(preference_prompts=amounts(s=1.0)))
    [prompt] = read_rows(done, "preference_prompts")
    assert [(m["role"], m["content"]) for m in prompt["messages"]] == turns[:3]


def test_license_gate(tmp_path: Path) -> None:
    made = [sft(3, "improved", license="CC BY-NC 4.0"), sft(4, "improved")]
    pool = write(tmp_path, "in", [sft(1, "free"), sft(2, "alpaca"), *made])
    recipe = amounts(free=1.0, alpaca=1.0, improved=1.0)
    closed = mix(tmp_path, [pool], Mix(sft=recipe), non_commercial={"alpaca": True, "free": False})
    assert sorted(ids(closed)) == ["free-sft-1", "improved-sft-4"]
    assert closed.reasons == {"license_not_allowed": 2}
    assert closed.facts["license_gate"] == {"alpaca": 1, "improved": 1}
    opened = mix(tmp_path, [pool], Mix(sft=recipe, allow_non_commercial=True), non_commercial={"alpaca": True}, name="open")
    assert len(ids(opened)) == 4 and opened.facts["license_gate"] == {}


@pytest.mark.parametrize(("license", "closed"), [
    ("CC BY-NC 4.0", True), ("cc-by-nc-sa-4.0", True), ("Non-Commercial use only", True), ("noncommercial", True),
    ("MIT", False), ("CC BY-SA 3.0", False), ("Apache-2.0", False), ("ENCODE licence", False),
])
def test_licenses_that_say_so_themselves(tmp_path: Path, license: str, closed: bool) -> None:
    done = mix(tmp_path, [write(tmp_path, "in", [sft(1, license=license)])], Mix(sft=amounts(s=1.0)))
    assert ids(done) == ([] if closed else ["s-sft-1"])


def test_quotas_cap_a_category_of_the_sft_split(tmp_path: Path) -> None:
    code = [sft(n, "t", "code") for n in range(3)]
    pool = write(tmp_path, "in", [*(sft(n) for n in range(8)), *code, *(rlvr(n) for n in range(8))])
    done = mix(tmp_path, [pool], Mix(sft=amounts(s=1.0, t=1.0), rlvr=amounts(s=1.0), quotas={"math": 5}))
    assert Counter(name.split("-")[0] for name in ids(done)) == {"s": 5, "t": 3}
    assert len(ids(done, "rlvr")) == 8
    assert done.reasons == {"over_quota": 3}
    assert done.facts["quotas"] == [{"split": "sft", "category": "math", "quota": 5, "dropped": 3}]


def test_rows_made_for_a_gap_enter_by_focus_proportion_unless_named(tmp_path: Path) -> None:
    pool = write(tmp_path, "in", [sft(1), *(sft(n, "gap", made_by="new") for n in range(4)), *(rlvr(n, "gap") for n in range(4))])
    half = mix(tmp_path, [pool], Mix(sft=amounts(s=1.0), focus_proportion=0.5))
    assert Counter(name.split("-")[0] for name in ids(half)) == {"s": 1, "gap": 2}
    assert {amount["source"] for amount in half.facts["amounts"]} == {"s", "gap"}
    assert "rlvr" not in half.written  # the recipe has no RLVR split
    named = mix(tmp_path, [pool], Mix(sft=amounts(s=1.0, gap=1), rlvr=amounts(s=1.0)), name="named")
    assert Counter(name.split("-")[0] for name in ids(named)) == {"s": 1, "gap": 1}
    assert len(ids(named, "rlvr")) == 4


def test_a_source_without_rows_gives_none_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    done = mix(tmp_path, [write(tmp_path, "in", [sft(1)])], Mix(sft=amounts(s=1.0, empty=100)))
    assert ids(done) == ["s-sft-1"]
    fact = next(amount for amount in done.facts["amounts"] if amount["source"] == "empty")
    assert fact == {"split": "sft", "source": "empty", "available": 0, "taken": 0, "upsampling": 1.0, "count": 100}
    assert "source empty has no row" in caplog.text


def test_a_source_named_twice_is_refused(tmp_path: Path) -> None:
    pool = write(tmp_path, "in", [sft(1)])
    with pytest.raises(ValueError, match=r"mix.sft: source 's' stands twice"):
        mix(tmp_path, [pool], Mix(sft=(Amount(source="s", count=1), Amount(source="s", count=2))))


def test_the_split_is_shuffled_and_a_repeat_does_not_follow_its_row(tmp_path: Path) -> None:
    pool = write(tmp_path, "in", [sft(n, source) for source in "ab" for n in range(50)])
    order = ids(mix(tmp_path, [pool], Mix(sft=amounts(a=2.0, b=1.0))))
    sources = [name.split("-")[0] for name in order]
    assert 40 < sources[:75].count("a") < 60  # 50 expected of the first half
    assert sum(first == second for first, second in zip(order, order[1:], strict=False)) < 5


# ---------------------------------------------------------------- caps, temperature, focus


def count(done: Manifest, split: str = "sft") -> dict[str, int]:
    """Rows by source."""
    return dict(Counter(row["source"] for row in read_rows(done, split)))


def test_a_cap_and_a_temperature(tmp_path: Path) -> None:
    sizes = {"a": 100, "b": 1, "c": 8}
    pool = write(tmp_path, "in", [sft(n, source) for source, rows in sizes.items() for n in range(rows)])
    recipe = Mix(sft=(Amount(source="c", proportion=1.0, at_most=5),),
                 temperature={"sft": Temperature(sources=("a", "b"), total=22, temperature=2.0)})
    done = mix(tmp_path, [pool], recipe)
    assert count(done) == {"a": 20, "b": 2, "c": 5}  # √100 : √1 = 10 : 1
    facts = {fact["source"]: fact for fact in done.facts["amounts"]}
    assert (facts["a"]["temperature"], facts["a"]["count"], facts["b"]["upsampling"], facts["c"]["at_most"]) == (2.0, 20, 2.0, 5)


def test_a_source_that_gives_more_rows_than_it_has_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mix(tmp_path, [write(tmp_path, "in", [sft(n) for n in range(3)])], Mix(sft=amounts(s=7)))
    assert "source s: 7 rows of 3: rows repeat" in caplog.text


def test_a_language_quota_and_a_category_quota_hold_together(tmp_path: Path) -> None:
    rows = [replace(sft(n), language="ko" if n % 2 else "en", category="code" if n < 10 else "math") for n in range(20)]
    recipe = Mix(sft=amounts(s=1.0), quotas={"code": 6}, language_quotas={"ko": 4})
    done = mix(tmp_path, [write(tmp_path, "in", rows)], recipe)
    kept = list(read_rows(done, "sft"))
    assert sum(row["language"] == "ko" for row in kept) == 4 and sum(row["category"] == "code" for row in kept) <= 6
    # English maths is under no quota; what a quota drops takes no room in the other one.
    assert sum(row["language"] == "en" and row["category"] == "math" for row in kept) == 5
    assert done.reasons == {"over_quota": 20 - len(kept)}
    assert sum(quota["dropped"] for quota in done.facts["quotas"]) == 20 - len(kept)
    assert {(line["language"], line["rows"]) for line in done.facts["languages"]} == {("ko", 4), ("en", len(kept) - 4)}


def test_quotas_can_hold_for_another_split(tmp_path: Path) -> None:
    pool = write(tmp_path, "in", [*(pair(n) for n in range(6)), *(sft(n, category="general") for n in range(6))])
    recipe = Mix(sft=amounts(s=1.0), preference=amounts(s=1.0), quotas={"general": 2}, quota_splits=("preference",))
    assert mix(tmp_path, [pool], recipe).written == {"sft": 6, "preference": 2}


def test_a_skill_in_focus_is_taken_more_often(tmp_path: Path) -> None:
    rows = [replace(sft(n), skill="division" if n < 5 else "addition") for n in range(50)]
    pool = write(tmp_path, "in", rows)
    recipe = Mix(sft=amounts(s=1.0), focus_upsampling=3.0)
    calm, aimed = mix(tmp_path, [pool], recipe), mix(tmp_path, [pool], recipe, focus={"division": 0.2}, name="aimed")
    assert calm.written == {"sft": 50} and aimed.written == {"sft": 60}
    times = Counter(ids(aimed))
    assert {times[f"s-sft-{n}"] for n in range(5)} == {3} and {times[f"s-sft-{n}"] for n in range(5, 50)} == {1}
    assert aimed.facts["amounts"][0]["for_focus"] == 10
    made = write(tmp_path, "made", [replace(sft(n, "gap", made_by="new"), skill="division") for n in range(4)])
    assert count(mix(tmp_path, [pool, made], recipe, focus={"division": 0.2}, name="with-gap")) == {"s": 60, "gap": 4}


# ---------------------------------------------------------------- prompts


def asked(question: str, kind: str, n: int, source: str = "s") -> Example:
    """A row of the kind that asks `question`."""
    user, answer = Message("user", question), Message("assistant", f"answer {n}")
    own = FACTS | {"id": f"{kind}-{n}", "source": source, "category": "general"}
    if kind == "rlvr":
        return RLVRExample(messages=(Message("system", "Be brief."), user), ground_truth="1", verifier="gsm8k", **own)
    if kind == "preference":
        return PreferencePair(prompt=question, chosen=(user, answer), rejected=(user, Message("assistant", "no")), **own)
    return SFTExample(messages=(user, answer), **own)


QUESTIONS = ["What is 1 + 1?", "이 문장을 번역해 주세요.", "Name a river."]


def test_splits_are_kept_apart_by_their_prompts(tmp_path: Path) -> None:
    """The prompts differ in letter case, white space, Unicode form and system turn only; rlvr is named first and keeps them."""
    spellings = [QUESTIONS[0].upper(), unicodedata.normalize("NFD", QUESTIONS[1]), f"  {QUESTIONS[2]}\n"]
    rows = [asked(q, kind, n) for kind, texts in (("sft", QUESTIONS), ("preference", spellings)) for n, q in enumerate(texts)]
    rows += [asked(QUESTIONS[0], "rlvr", 0), asked("Only here?", "preference", 9), asked("Or here?", "sft", 9)]
    every = {split: amounts(s=1.0) for split in ("sft", "preference", "rlvr")}
    pool = write(tmp_path, "in", rows)
    done = mix(tmp_path, [pool], Mix(**every, disjoint=("rlvr", "sft", "preference")))
    assert sorted(ids(done, "rlvr")) == ["rlvr-0"]
    assert sorted(ids(done, "sft")) == ["sft-1", "sft-2", "sft-9"]
    assert sorted(ids(done, "preference")) == ["preference-9"]
    assert done.reasons == {"prompt_in_other_split": 4}
    details = {row["id"]: row["detail"] for row in read_rejected(done)}
    assert details["sft-0"] == "the split rlvr has its prompt" and details["preference-2"] == "the split sft has its prompt"
    assert done.facts["disjoint"] == {"splits": ["rlvr", "sft", "preference"], "left_out": {"rlvr": 0, "sft": 1, "preference": 3}}
    assert mix(tmp_path, [pool], Mix(**every), name="together").rows["rejected"] == 0


def test_a_pair_with_one_side_only_has_a_prompt_too(tmp_path: Path) -> None:
    """A KTO label without its other side: the prompt stands in the rejected answer's conversation."""
    one_sided = replace(asked(QUESTIONS[0], "preference", 1), chosen=())
    pool = write(tmp_path, "in", [one_sided, asked(QUESTIONS[0], "rlvr", 0), asked("", "sft", 1), asked("", "rlvr", 2)])
    every = {split: amounts(s=1.0) for split in ("sft", "preference", "rlvr")}
    done = mix(tmp_path, [pool], Mix(**every, disjoint=("rlvr", "sft", "preference")))
    assert "preference" not in done.written and sorted(ids(done, "rlvr")) == ["rlvr-0", "rlvr-2"]
    assert ids(done) == ["sft-1"]  # an empty prompt equals nothing


def test_a_prompt_that_the_first_split_does_not_take_is_free_for_the_next(tmp_path: Path) -> None:
    pool = write(tmp_path, "in", [asked(f"Question {n}?", kind, n) for kind in ("sft", "rlvr") for n in range(10)])
    done = mix(tmp_path, [pool], Mix(sft=amounts(s=1.0), rlvr=amounts(s=3), disjoint=("rlvr", "sft")))
    taken = {name.removeprefix("rlvr-") for name in ids(done, "rlvr")}
    assert len(taken) == 3 and {name.removeprefix("sft-") for name in ids(done)} == {str(n) for n in range(10)} - taken


def test_prompts_for_new_answers_reused_from_sft_or_unused(tmp_path: Path) -> None:
    pool = write(tmp_path, "in", [sft(n) for n in range(10)])

    def prompts(**choice: str) -> set[str]:
        recipe = Mix(sft=amounts(s=4), preference_prompts=(Amount(source="s", proportion=1.0, **choice),))
        return set(ids(mix(tmp_path, [pool], recipe, name=f"mix-{choice}"), "preference_prompts"))

    everything = {f"s-sft-{n}" for n in range(10)}
    reused, unused = prompts(prompts="reused"), prompts(prompts="unused")
    assert len(reused) == 4 and unused == everything - reused and prompts() == everything
    both = tuple(Amount(source="s", count=2, prompts=choice) for choice in ("reused", "unused"))
    done = mix(tmp_path, [pool], Mix(sft=amounts(s=4), preference_prompts=both))
    assert set(ids(done)) == reused and len(set(ids(done, "preference_prompts")) & reused) == 2
    assert [fact["prompts"] for fact in done.facts["amounts"] if fact["split"] == "preference_prompts"] == ["reused", "unused"]


# ---------------------------------------------------------------- licences, each kind of term


@pytest.mark.parametrize(("allowed", "kept"), [
    ({}, {"free", "alike"}), ({"allow_share_alike": False}, {"free"}), ({"allow_unstated": True}, {"free", "alike", "nobody"}),
    ({"allow_non_commercial": True, "allow_unstated": True}, {"free", "alike", "nobody", "research", "both"}),
    ({"allow_non_commercial": True, "allow_share_alike": False}, {"free", "research"}),
])
def test_every_term_is_allowed_or_not_by_the_recipe(tmp_path: Path, allowed: dict[str, bool], kept: set[str]) -> None:
    licences = {"free": "MIT", "alike": "CC BY-SA 4.0", "nobody": "none stated", "research": "CC BY-NC 4.0",
                "both": "CC BY-NC-SA 4.0"}
    pool = write(tmp_path, "in", [sft(1, source, license=licence) for source, licence in licences.items()])
    done = mix(tmp_path, [pool], Mix(sft=amounts(**dict.fromkeys(licences, 1.0)), **allowed))
    assert {name.split("-")[0] for name in ids(done)} == kept
    assert done.reasons == ({"license_not_allowed": 5 - len(kept)} if len(kept) < 5 else {})


def test_a_closed_row_says_which_term_closed_it(tmp_path: Path) -> None:
    pool = write(tmp_path, "in", [sft(1, license="CC BY-NC-SA 4.0")])
    done = mix(tmp_path, [pool], Mix(sft=amounts(s=1.0), allow_share_alike=False))
    assert [row["detail"] for row in read_rejected(done)] == ["CC BY-NC-SA 4.0: non_commercial, share_alike"]
    assert done.facts["license_terms"] == {"non_commercial": 1, "share_alike": 1}


# ---------------------------------------------------------------- the same bytes


def hashes(manifest: Manifest) -> dict[str, str]:
    return {entry.name: entry.sha256 for entry in manifest.files}


RECIPE = Mix(sft=amounts(s=1.5, t=4), preference_prompts=amounts(s=3), preference=amounts(s=0.5), rlvr=amounts(s=2.0, t=1),
             quotas={"code": 2})


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 3), st.integers(2, 40))
def test_same_bytes_for_any_order_of_rows_inputs_and_parts(rng: random.Random, seed: int, rows_per_part: int) -> None:
    examples: list[Example] = [sft(n, s, c) for n in range(7) for s, c in (("s", "math"), ("t", "code"))]
    examples += [rlvr(n, s) for n in range(5) for s in "st"] + [pair(n) for n in range(6)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder)
        straight = mix(path, [write(path, "in", examples)], RECIPE, seed, name="straight")
        rng.shuffle(examples)
        cut = rng.randrange(len(examples))
        patch.setattr("posttrain.storage.writer.ROWS_PER_PART", rows_per_part)
        parts = [write(path, "one", examples[:cut]), write(path, "two", examples[cut:])]
        patch.undo()
        shuffled = mix(path, parts, RECIPE, seed, name="shuffled")
        assert hashes(straight) == hashes(shuffled)
        assert (straight.content, straight.facts, straight.reasons) == (shuffled.content, shuffled.facts, shuffled.reasons)
        other = mix(path, parts, RECIPE, seed + 1, name="other")
        assert other.content != straight.content
        assert {s: other.written[s] for s in SPLITS} == {s: straight.written[s] for s in SPLITS}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.one_of(st.integers(0, 30), st.floats(0, 4).map(lambda x: round(x, 2))), st.integers(0, 5))
def test_amounts_are_exact_and_repeats_even(available: int, amount: float, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pool = write(Path(folder), "in", [sft(n) for n in range(available)])
        done = mix(Path(folder), [pool], Mix(sft=amounts(s=amount)), seed)
        times: Counter[Any] = Counter({f"s-sft-{n}": 0 for n in range(available)})
        times.update(ids(done))
        wanted = amount if isinstance(amount, int) else round(amount * 100) * available // 100
        assert times.total() == wanted
        assert max(times.values()) - min(times.values()) <= 1
        assert done.rows["kept"] + done.rows["rejected"] == available
        assert set(done.reasons) <= set(REASONS)


def test_same_bytes_for_any_number_of_workers_and_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Buckets of 7 places and parts of 20 rows, so that a few hundred rows are shuffled over many files."""
    monkeypatch.setattr(writing, "BUCKET_ROWS", 7)
    monkeypatch.setattr(writing, "PART_ROWS", 20)
    examples: list[Example] = [sft(n, s) for n in range(120) for s in "st"]
    examples += [*(rlvr(n) for n in range(50)), *(pair(n) for n in range(30))]
    one = mix(tmp_path, [write(tmp_path, "in", examples)], RECIPE, name="one")
    assert sum(entry.name.startswith("part-sft") for entry in one.files) == -(-one.written["sft"] // 21)
    monkeypatch.setattr("posttrain.storage.writer.ROWS_PER_PART", 11)
    monkeypatch.setattr(writing, "WORKERS", 1)
    again = mix(tmp_path, [write(tmp_path, f"cut-{n}", examples[n::3]) for n in (2, 0, 1)], RECIPE, name="again")
    assert hashes(one) == hashes(again) and not list((tmp_path / "one").glob(".*"))


def test_long_rows_make_smaller_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BUCKET_ROWS", 2)
    monkeypatch.setattr(writing, "PART_BYTES", 10_000)
    long = [replace(sft(n), messages=(Message("user", "가" * 1_000), Message("assistant", "b" * 1_000))) for n in range(9)]
    done = mix(tmp_path, [write(tmp_path, "in", long)], Mix(sft=amounts(s=1.0)))
    # 4,000 bytes of turns a row: two buckets of two rows are more than 10,000 bytes.
    assert [entry.rows for entry in done.files if entry.split] == [2, 2, 2, 2, 1]


def test_rows_that_share_an_id_are_told_apart_by_their_bodies(tmp_path: Path) -> None:
    """A careless publisher: ten rows with one id, two of them the same. The order of the inputs still has no say."""
    rows = [replace(sft(n), id="same") for n in range(9)]
    rows.append(rows[4])
    first = mix(tmp_path, [write(tmp_path, "in", rows)], Mix(sft=amounts(s=4)), name="first")
    second = mix(tmp_path, [write(tmp_path, "turned", rows[::-1])], Mix(sft=amounts(s=4)), name="second")
    assert hashes(first) == hashes(second) and first.rows == {"read": 10, "kept": 4, "rejected": 6}


def test_a_remote_workspace_gives_the_same_bytes(tmp_path: Path) -> None:
    """Shuffled in a local folder that is gone afterwards; the artifact lies on another fsspec file system."""
    examples: list[Example] = [sft(n, s) for n in range(30) for s in "st"]
    examples += [*(rlvr(n) for n in range(9)), *(pair(n) for n in range(9))]
    local = mix(tmp_path, [write(tmp_path, "in", examples)], RECIPE)
    before = set(Path(tempfile.gettempdir()).glob("posttrain-mix-*"))
    remote = ArtifactWriter(f"memory://{tmp_path.name}/in", stage="in")
    for example in examples:
        remote.read(example.source)
        remote.keep(example)
    writer = ArtifactWriter(f"memory://{tmp_path.name}/mix", stage="mix")
    mix_rows([remote.finish()], RECIPE, {}, 0, writer)
    assert hashes(writer.finish()) == hashes(local)
    assert set(Path(tempfile.gettempdir()).glob("posttrain-mix-*")) == before


def test_a_failed_mix_leaves_no_scratch_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = write(tmp_path, "in", [sft(n) for n in range(10)])

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ArtifactWriter, "write_table", full_disk)
    with pytest.raises(OSError, match="No space left"):
        mix(tmp_path, [pool], Mix(sft=amounts(s=1.0)))
    assert list((tmp_path / "mix").iterdir()) == []
