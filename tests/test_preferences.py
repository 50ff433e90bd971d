"""Binarising rated answers: strictly lower, never tied, never against the verifier."""

import random

from hypothesis import given
from hypothesis import strategies as st

from posttrain.preferences import Candidate, choose, sampled_prompts
from posttrain.schema import PreferencePair

ROW = {
    "id": "wp_1", "source": "wp", "category": "math", "skill": "algebra", "language": "ko", "license": "MIT", "persona": None,
    "raw_file": "f.jsonl", "raw_row": 1, "messages": [{"role": "user", "content": "2x + 5 = 15, x = ?"}],
    "ground_truth": "5", "verifier": "gsm8k",
}
RIGHT = Candidate("2x = 10\n#### 5", "sft/abc", True, 5.0)
WRONG = Candidate("#### 10", "sft/abc", True, 2.0)


def pair(*candidates, row=ROW):
    return choose(row, list(candidates), random.Random(0))


def test_the_seed_s_equation_pair_keeps_its_orientation():
    made = pair(WRONG, RIGHT)
    assert isinstance(made, PreferencePair)
    assert made.chosen[-1].content == "2x = 10\n#### 5" and made.rejected[-1].content == "#### 10"
    assert made.prompt == "2x + 5 = 15, x = ?" and made.parent_id == "wp_1" and made.policy == "on_policy"


def test_a_tie_is_dropped_with_its_reason():
    assert pair(RIGHT, Candidate("x = 5", "sft/abc", True, 5.0))[0] == "all_answers_tied"


def test_one_answer_is_too_few():
    assert pair(RIGHT)[0] == "too_few_answers"


def test_a_missing_rating_is_missing_and_not_a_1():
    assert pair(RIGHT, Candidate("?", "sft/abc", True, None))[0] == "teacher_gave_up"


def test_a_judge_against_the_verifier_makes_no_pair():
    deceived = Candidate("#### 10", "sft/abc", True, 5.0)
    honest = Candidate("#### 5", "sft/abc", True, 2.0)
    assert pair(deceived, honest)[0] == "judge_contradicts_verifier"


def test_a_prompt_without_verifier_goes_by_the_judge_alone():
    row = ROW | {"verifier": "", "ground_truth": ""}
    assert isinstance(pair(Candidate("a", "m", True, 4.0), Candidate("b", "m", True, 3.75), row=row), PreferencePair)


def test_policy_is_off_where_the_teacher_wrote_a_side_and_equals_prefer_the_policy():
    teacher = Candidate("5\n#### 5", "gpt", False, 5.0)
    assert pair(teacher, WRONG).policy == "off_policy"
    assert pair(teacher, RIGHT, WRONG).chosen_model == "sft/abc"


@given(st.lists(st.one_of(st.none(), st.integers(4, 20).map(lambda n: n / 4)), max_size=6), st.integers())
def test_rejected_is_always_rated_strictly_lower(ratings, seed):
    row = ROW | {"verifier": "", "ground_truth": ""}
    candidates = [Candidate(f"answer {n}", "m", True, rating) for n, rating in enumerate(ratings)]
    by_text = {c.text: c.rating for c in candidates}
    made = choose(row, candidates, random.Random(seed))
    if isinstance(made, PreferencePair):
        assert by_text[made.chosen[-1].content] == max(r for r in ratings if r is not None)
        assert by_text[made.rejected[-1].content] < by_text[made.chosen[-1].content]
    else:
        assert len({r for r in ratings if r is not None}) < 2


def test_answers_find_their_prompt(tmp_path):
    from posttrain.schema import SCHEMAS
    from posttrain.storage import ArtifactWriter

    out = ArtifactWriter(str(tmp_path / "mix"), stage="mix")
    for n in range(3):
        row = ROW | {"id": f"wp_{n}", "made_by": "selected", "parent_id": None, "request_id": None}
        out.write("preference_prompts", row, SCHEMAS["rlvr"])
    mixture = out.finish()
    (tmp_path / "answers.jsonl").write_text('[{"id": "wp_0", "answers": ["5"]}]\n[{"id": "wp_2", "answers": ["6", "7"]}]\n')
    found = [(row["id"], answers) for row, answers in sampled_prompts(mixture, tmp_path / "answers.jsonl")]
    assert found == [("wp_0", ["5"]), ("wp_2", ["6", "7"])]
