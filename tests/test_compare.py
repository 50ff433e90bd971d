"""An own build beside a published mixture: by source, by kind, and by text; imports keep what the publisher says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posttrain.cli import main
from posttrain.cli.rows import read_file
from posttrain.collect import collect
from posttrain.compare import SourceLine, compare_mixtures, text_hash
from posttrain.convert import FAMILIES, convert_source
from posttrain.raw_files import read_raw_file
from posttrain.recipe import Source
from posttrain.schema import Message, PreferencePair, RLVRExample, SFTExample, UnreadableRow
from posttrain.storage import ArtifactWriter, Manifest, read_examples

TULU = "train/allenai__open-instruct"


def own(number: int, source: str, published: str | None = None) -> dict[str, Any]:
    return {"id": f"{source}_{number}", "source": source, "category": "general", "skill": "general", "language": "en",
            "license": "ODC-BY-1.0", "published_source": published}


def chat(number: int, source: str, answer: str = "yes", published: str | None = None) -> SFTExample:
    turns = (Message("user", f"질문 {number}?"), Message("assistant", answer))
    return SFTExample(**own(number, source, published), messages=turns)


class TestCompareMixtures:
    def test_rows_by_source_whatever_their_owner(self) -> None:
        here = [chat(1, "oasst1_converted"), chat(2, "oasst1_converted"), chat(3, "mine")]
        there = [chat(1, "ai2-adapt-dev/oasst1_converted"), chat(2, "ai2-adapt-dev/oasst1_converted", "no"),
                 chat(4, "ai2-adapt-dev/oasst1_converted"), chat(5, "allenai/tulu-3-sft-personas-math-grade")]
        assert compare_mixtures(here, there) == [
            SourceLine("sft", "oasst1_converted", 2, 3, 1),
            SourceLine("sft", "tulu-3-sft-personas-math-grade", 0, 1, 0),
            SourceLine("sft", "mine", 1, 0, 0),
        ]
        assert [line.difference for line in compare_mixtures(here, there)] == [-1, -1, 1]

    def test_the_same_row_twice_is_the_same_as_often_as_both_have_it(self) -> None:
        (line,) = compare_mixtures([chat(1, "a")] * 10, [chat(1, "x/a")] * 3)
        assert (line.here, line.there, line.same) == (10, 3, 3)

    def test_an_import_goes_by_what_the_publisher_says_on_either_side(self) -> None:
        imported = [chat(1, "tulu3", published="ai2-adapt-dev/coconot_converted"), chat(2, "tulu3", published="x/other")]
        lines = compare_mixtures([chat(1, "coconot_converted")], imported)
        assert [line.source for line in lines] == ["coconot_converted", "other"]
        assert compare_mixtures(imported, [chat(1, "y/coconot_converted")]) == [
            SourceLine("sft", "coconot_converted", 1, 1, 1), SourceLine("sft", "tulu3", 1, 0, 0)]

    def test_only_kinds_that_the_published_side_has(self) -> None:
        pair = PreferencePair(**own(1, "p"), prompt="q", chosen=(Message("user", "q"), Message("assistant", "a")),
                              rejected=(Message("user", "q"), Message("assistant", "b")))
        assert compare_mixtures([chat(1, "a"), pair], [pair]) == [SourceLine("preference", "p", 1, 1, 1)]

    def test_a_pair_turned_round_is_another_pair(self) -> None:
        sides = [(Message("user", "q"), Message("assistant", text)) for text in "ab"]
        pairs = [PreferencePair(**own(1, "p"), prompt="q", chosen=x, rejected=y) for x, y in (sides, sides[::-1])]
        assert compare_mixtures(pairs[:1], pairs[1:])[0].same == 0

    def test_reward_rows_by_verifier(self) -> None:
        here, there = ([RLVRExample(**own(1, name), messages=(Message("user", "1+1?"),), ground_truth=truth, verifier="gsm8k")]
                       for name, truth in (("gsm8k_train", "2"), ("rlvr", "3")))
        assert compare_mixtures(here, there) == [SourceLine("rlvr", "gsm8k", 1, 1, 0)]


# ---------------------------------------------------------------- imports of real rows


def imported(root: Path, family: str, path: str, folder: Path) -> Manifest:
    spec = Source.model_validate({"name": "published", "family": family, "load": {"kind": "file", "path": path},
                                  "origin": "allenai", "license": "ODC-BY-1.0"})
    out = ArtifactWriter(str(folder / "raw"), stage="collect")
    collect(spec, root, 0, out)
    collected, out = out.finish(), ArtifactWriter(str(folder / "rows"), stage="convert")
    convert_source(collected, spec, out)
    return out.finish()


@pytest.mark.parametrize(
    ("family", "file", "kind", "sources"),
    [
        ("tulu3_sft_mixture", "sft_sample.jsonl.gz", "sft", {"ai2-adapt-dev/oasst1_converted"}),
        ("tulu3_preference_8b", "preference_sample.jsonl.gz", "preference", {"allenai/tulu-3-sft-reused-if"}),
        ("rlvr", "rlvr_sample.jsonl.gz", "rlvr", {"MATH", "gsm8k"}),
        ("messages", "tulu2_mix_sample_debug.jsonl.gz", "sft", None),
    ],
)
def test_a_published_sample_is_imported_as_it_is(
    family: str, file: str, kind: str, sources: set[str] | None, test_data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = imported(test_data, family, f"{TULU}/{file}", tmp_path)
    rows = list(read_examples(manifest))
    assert manifest.rows["rejected"] == 0 and {row.source for row in rows} == {"published"}
    if sources:
        assert {row.published_source for row in rows} == sources
    else:
        assert len({row.published_source for row in rows}) == 13
    with pytest.raises(SystemExit) as ended:
        main(["compare", manifest.path, str(test_data / TULU / file), "--json"])
    assert not ended.value.code
    found = json.loads(capsys.readouterr().out)
    assert found["total"] == {"here": len(rows), "there": len(rows), "same": len(rows)}
    assert all(line["kind"] == kind and line["difference"] == 0 for line in found["sources"])


@pytest.mark.parametrize(
    ("family", "file"),
    [("tulu3_sft_mixture", "sft_sample"), ("tulu3_preference_70b", "preference_sample"), ("rlvr_mixed", "rlvr_sample")],
)
def test_local_parquet_as_the_hub_serves_it(family: str, file: str, test_data: Path, tmp_path: Path) -> None:
    rows = [row for _, row in read_raw_file(test_data / TULU / f"{file}.jsonl.gz")]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train-00000-of-00001.parquet")
    manifest = imported(tmp_path, family, "*.parquet", tmp_path / "out")
    (there, *_), converted = read_file(test_data / TULU / f"{file}.jsonl.gz"), list(read_examples(manifest))
    assert len(converted) == 100 and text_hash(converted[0]) == text_hash(there)
    if "id" in rows[0]:
        assert [row.id for row in converted] == [row["id"] for row in rows]


def test_the_parts_of_the_sft_mixture_keep_category_licence_and_id(test_data: Path, tmp_path: Path) -> None:
    row = next(read_examples(imported(test_data, "tulu3_sft_mixture", f"{TULU}/sft_sample.jsonl.gz", tmp_path)))
    assert (row.id, row.license, row.category) == ("oasst1_5921", "Apache-2.0", "general")


def test_a_non_commercial_part_of_the_sft_mixture_says_so() -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    row = {"id": "1", "messages": turns, "source": "ai2-adapt-dev/no_robots_converted"}
    (draft,) = FAMILIES["tulu3_sft_mixture"].convert(row)
    assert (draft.license, draft.category) == ("CC-BY-NC-4.0", "general")
    (draft,) = FAMILIES["tulu3_sft_mixture"].convert(row | {"source": "somebody/else"})
    assert (draft.license, draft.category) == (None, None)


def test_a_pair_that_its_ratings_call_equal_is_imported_as_published() -> None:
    turns = [{"role": "user", "content": "q"}]
    row = {"id": "x_1", "prompt": "q", "source": "s", "chosen_rating": 4.5, "rejected_rating": 4.5, "chosen_model": "m",
           **{side: [*turns, {"role": "assistant", "content": side}] for side in ("chosen", "rejected")}}
    (draft,) = FAMILIES["tulu3_preference_405b"].convert(row)
    assert (draft.raw_id, draft.chosen[-1].content, draft.chosen_model) == ("x_1", "chosen", "m")
    with pytest.raises(UnreadableRow, match="tied_pair"):
        FAMILIES["preference"].convert(row)


def test_the_table(test_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["compare", *(str(test_data / TULU / f"{name}.jsonl.gz") for name in ("tulu2_mix_sample_debug", "sft_sample"))])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["sft", "oasst1_converted", "0", "100", "-100", "0"] and lines[-1] == ["total", "512", "100", "+412", "0"]
