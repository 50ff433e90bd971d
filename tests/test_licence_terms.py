"""What a licence text asks for, and the two gates that look at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from posttrain.licence_terms import refused_terms, terms_of
from posttrain.licences import refused_licences
from posttrain.recipe import check_recipe
from posttrain.release import ReleaseRefused, build_release
from posttrain.run import Run, start_run
from posttrain.schema import SCHEMAS, Message, PreferencePair, SFTExample, to_row
from posttrain.storage import ArtifactWriter


@pytest.mark.parametrize(("licence", "terms"), [
    ("MIT", ""), ("Apache-2.0", ""), ("ODC-BY-1.0", ""), ("CC-BY-4.0", ""), ("ENCODE licence", ""), ("NCSA", ""),
    ("The Unlicense", ""), ("Nokia licence", ""), ("nonesuch licence", ""),
    ("for commercial and non-commercial use", ""), ("other", ""),
    ("CC BY-NC 4.0", "non_commercial"), ("CC_BY_NC", "non_commercial"), ("OpenAI: not for commercial use", "non_commercial"),
    ("research only", "non_commercial"), ("비영리 목적으로만", "non_commercial"),
    ("Apache-2.0 (early card CC-BY-NC-4.0): non-commercial until cleared", "non_commercial"),
    ("CC BY-SA 3.0", "share_alike"), ("GPL-3.0", "share_alike"), ("ODbL", "share_alike"), ("동일조건변경허락", "share_alike"),
    ("cc-by-nc-sa-4.0", "non_commercial share_alike"),
    ("none stated", "unstated"), ("not stated", "unstated"), ("", "unstated"), (None, "unstated"), ("?", "unstated"),
    ("n/a", "unstated"),
    ("none stated; a translation of MIT data", "unstated"), ("unclear: users' conversations with ChatGPT", "unstated"),
    ("CC BY 4.0 AND none stated", "unstated"), ("CC BY-SA 4.0 AND CC BY-NC 4.0", "non_commercial share_alike"),
    ("unknown (treated as non-commercial)", "non_commercial unstated"), ("MIT (problems); the repository states none", ""),
])
def test_the_terms_of_a_licence_text(licence: str | None, terms: str) -> None:
    assert terms_of(licence) == frozenset(terms.split())


def test_each_term_is_allowed_by_itself_and_the_mark_of_the_source_counts() -> None:
    assert refused_terms("CC BY-NC-SA 4.0", non_commercial=False, allowed=frozenset()) == ["non_commercial", "share_alike"]
    assert refused_terms("CC BY-NC-SA 4.0", non_commercial=False, allowed=frozenset({"non_commercial"})) == ["share_alike"]
    assert refused_terms("MIT", non_commercial=True, allowed=frozenset({"share_alike", "unstated"})) == ["non_commercial"]
    assert refused_terms("MIT", non_commercial=False, allowed=frozenset()) == []


# ---------------------------------------------------------------- at release


RECIPE = {
    "name": "small", "description": "A release with a licence that nobody looked at.",
    "sources": [{"name": "sums", "family": "gsm8k", "origin": "here", "license": "CC BY-SA 4.0",
                 "load": {"kind": "procedural", "rows": 1, "skills": ["addition"]}}],
    "mix": {"sft": [{"source": "sums", "proportion": 1.0}]},
    "model": {"kind": "tiny"}, "evaluate": {"checkpoints": ["base"]},
    **{stage: {"learning_rate": 1e-3, "batch_size": 1, "max_length": 64} for stage in ("sft", "dpo", "rlvr")},
}
FACTS = {"category": "math", "skill": "addition", "language": "en"}
ASKED, SAID = Message("user", "1 + 1?"), Message("assistant", "2")


def finished_run(workspace: Path, pair_licence: str, **mix: bool) -> Run:
    """A run whose gate passed, with one share-alike SFT row and one pair."""
    run = start_run(check_recipe(RECIPE | {"mix": RECIPE["mix"] | mix}, "test"), "small-run", workspace=str(workspace))
    row = SFTExample(id="sums_0", source="sums", license="CC BY-SA 4.0", messages=(ASKED, SAID), **FACTS)
    pair = PreferencePair(id="judged_0", source="judged", license=pair_licence, prompt="1 + 1?", chosen=(ASKED, SAID),
                          rejected=(ASKED, Message("assistant", "3")), **FACTS)

    def fill(stage: str) -> None:
        def work(out: ArtifactWriter) -> None:
            if stage == "mix":
                out.read("sums")
                out.keep(row)
            if stage == "preferences":
                out.write("preference", to_row(pair), SCHEMAS["preference"])
            out.facts.update(passed=True, gaps={}, checkpoint="base", scores={"base": {}})

        run.stage(stage, "posttrain.storage", inputs=[], settings={"stage": stage}, work=work)

    for stage in ("mix", "base", "preferences", "evaluate", "gate"):
        fill(stage)
    return run


def test_a_release_looks_at_every_row_again(tmp_path: Path) -> None:
    run = finished_run(tmp_path, "CC BY-NC 4.0", allow_share_alike=False)
    refused = refused_licences(run, [run.manifest("mix"), run.manifest("preferences")])
    assert refused == ["1 rows of sums in mix (CC BY-SA 4.0): mix.allow_share_alike is false",
                       "1 rows of judged in preferences (CC BY-NC 4.0): mix.allow_non_commercial is false"]
    with pytest.raises(ReleaseRefused, match=r"small-run is not released: its licences do not allow it:\n1 rows of sums in mix"):
        build_release(run)
    assert not run.has("release")


def test_what_the_recipe_allows_goes_out(tmp_path: Path) -> None:
    run = finished_run(tmp_path, "none stated", allow_unstated=True)
    assert refused_licences(run, [run.manifest("mix"), run.manifest("preferences")]) == []
