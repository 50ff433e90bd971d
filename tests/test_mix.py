from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain import storage
from posttrain.mix import SPLITS, mix_rows
from posttrain.recipe import Amount, Mix
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
        name: str = "mix") -> Manifest:
    writer = ArtifactWriter(str(folder / name), stage="mix")
    mix_rows(inputs, recipe, non_commercial or {}, seed, writer)
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


def hashes(manifest: Manifest) -> dict[str, str]:
    return {entry.name: entry.sha256 for entry in manifest.files}


RECIPE = Mix(sft=amounts(s=1.5, t=4), preference_prompts=amounts(s=3), preference=amounts(s=0.5), rlvr=amounts(s=2.0, t=1),
             quotas={"code": 2})


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 3), st.integers(2, 40))
def test_same_bytes_for_any_order_of_rows_inputs_and_parts(rng: random.Random, seed: int, rows_per_part: int) -> None:
    examples: list[Example] = [sft(n, s, c) for n in range(7) for s, c in (("s", "math"), ("t", "code"))]
    examples += [rlvr(n, s) for n in range(5) for s in "st"] + [pair(n) for n in range(6)]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder)
        straight = mix(path, [write(path, "in", examples)], RECIPE, seed, name="straight")
        rng.shuffle(examples)
        cut = rng.randrange(len(examples))
        patch.setattr(storage, "ROWS_PER_PART", rows_per_part)
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
