"""`sources`, and what `convert` takes from the table of families: licence, options, selection."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from posttrain.cli import main
from posttrain.convert import FAMILIES
from posttrain.convert.family import PARQUET_BRANCH
from posttrain.hub_revisions import COMMIT
from posttrain.storage import load_manifest, read_examples


def posttrain(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[str, str]:
    """Standard output and standard error of a command that ends with this exit status."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    said = capsys.readouterr()
    assert (ended.value.code or 0) == status, said.err
    return said.out, said.err


def test_the_table_as_text_has_a_line_for_every_family(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = posttrain(capsys, "sources")
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:-2]] == list(FAMILIES)
    assert next(line for line in lines if line.startswith("no_robots ")).split() == [
        "no_robots", "sft", "no", "rows", "written", "by", "hand", "CC-BY-NC-4.0", "HuggingFaceH4/no_robots"]


def test_the_table_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    families = {facts["name"]: facts for facts in json.loads(posttrain(capsys, "sources", "--json")[0])["families"]}
    assert families.keys() == FAMILIES.keys()
    assert (families["alpaca"]["origin"], families["alpaca"]["license"]) == (None, None)
    dolly = families["dolly"]
    assert (dolly["hub"], dolly["revision"]) == ("databricks/databricks-dolly-15k", "bdd27f4d94b9c1f951818a7da7fd7aeea5dbff1a")
    assert (dolly["non_commercial"], dolly["commercial_use"]) == (False, "yes, share-alike")
    assert families["koalpaca_v1_1"]["commercial_use"] == "unclear" and families["lima"]["tested"] == "real files"
    assert {name: option["default"] for name, option in families["oasst"]["options"].items()} == {
        "top_k": 1, "order": "rank", "unanswered": "shorten"}


def test_one_family_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = posttrain(capsys, "sources", "s1k")
    assert "option trace" in out and '(default: "tags")' in out and "simplescaling/s1K" in out
    _, err = posttrain(capsys, "sources", "s1", status=2)
    assert "no source family 's1'; there are alpaca" in err


@pytest.mark.parametrize("facts", [family for family in FAMILIES.values() if family.origin], ids=lambda family: family.origin)
def test_a_published_set_has_all_that_the_table_promises(facts: Any) -> None:
    assert facts.license and facts.columns and facts.layout.endswith(".") and facts.revision
    assert facts.non_commercial or "NC" not in facts.license.split("(")[0]


def test_a_hub_set_has_one_revision_a_commit_but_for_eleven() -> None:
    revisions: dict[str, set[str]] = {}
    for family in FAMILIES.values():
        if family.hub:
            revisions.setdefault(family.hub, set()).add(family.revision)
    assert all(len(found) == 1 for found in revisions.values())
    unpinned = [hub for hub, (revision,) in revisions.items() if not COMMIT.fullmatch(revision)]
    branches = {revision for hub in unpinned for revision in revisions[hub]}
    assert branches == {"main", PARQUET_BRANCH} and (len(revisions), len(unpinned)) == (67, 11)


def test_a_layout_has_no_licence_of_its_own() -> None:
    for family in FAMILIES.values():
        if family.origin is None:
            assert (family.license, family.hub, family.non_commercial) == (None, None, False)


CHAT = [{"role": "user", "content": "안녕"}, {"role": "assistant", "content": "네"}]


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    models = ("gpt-4-0314", "gpt-3.5")
    rows = [{"conversation_hash": model, "model": model, "toxic": False, "conversation": CHAT} for model in models]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def convert(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str, status: int = 0) -> tuple[str, str]:
    with chdir(folder):
        return posttrain(capsys, "convert", "--in", "chats.jsonl", "--out", "out", *arguments, status=status)


def test_convert_takes_the_familys_licence_and_selects_rows(chats: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(capsys, chats, "--family", "wildchat", "--where", "model=gpt-4*", "toxic=false")
    manifest = load_manifest(str(chats / "out"))
    assert manifest.rows == {"read": 2, "kept": 1, "rejected": 1} and manifest.reasons == {"not_selected": 1}
    assert [(e.id, e.license) for e in read_examples(manifest)] == [("gpt-4-0314", "ODC-BY-1.0")]
    assert manifest.settings["where"] == {"model": ["gpt-4*"], "toxic": [False]} and not manifest.settings["non_commercial"]


@pytest.mark.parametrize(
    ("given", "licence", "non_commercial"),
    [((), "LMSYS-Chat-1M agreement (gated): treated as non-commercial", True), (("--license", "CC0-1.0"), "CC0-1.0", False)],
)
def test_a_licence_that_is_given_stands_for_itself(
    given: tuple[str, ...], licence: str, non_commercial: bool, chats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(capsys, chats, "--family", "lmsys_chat", "--where", "model=!gpt-4*", *given)
    manifest = load_manifest(str(chats / "out"))
    assert [e.id for e in read_examples(manifest)] == ["gpt-3.5"]
    assert (manifest.settings["license"], manifest.settings["non_commercial"]) == (licence, non_commercial)


@pytest.mark.parametrize(
    ("family", "option", "message"),
    [
        ("oasst", "top_k=0", "--option top_k: Input should be greater than or equal to 1"),
        ("oasst", "topk=1", "options: top_k, order, unanswered"),
        ("oasst", "top_k", "--option takes NAME=VALUE, not 'top_k'"),
        ("aya", "top_k=1", "this source family has no options, but was given top_k"),
    ],
)
def test_a_wrong_option_is_wrong_use(
    family: str, option: str, message: str, chats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, err = convert(capsys, chats, "--family", family, "--option", option, status=2)
    assert message in " ".join(err.split())
    assert not (chats / "out").exists()
