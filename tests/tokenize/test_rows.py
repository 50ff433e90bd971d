"""The tokenised mixture: what stands in it, what is dropped and why, and that the counts add up."""

from __future__ import annotations

import json

import pytest

from posttrain.recipe import Tokenize
from posttrain.schema import Message, RLVRExample
from posttrain.storage import ArtifactWriter, read_rejected, read_rows
from posttrain.tokenize import rows as subject
from posttrain.tokenize.chat import encode_texts, render_turns
from posttrain.tokenize.rows import NO_LABEL, tokenize_rows

QUESTION, ANSWER = "What is 4 + 4?", "4 + 4 = 8"
KOREAN = "사과 세 개에 두 개를 더하면?"


def turns(*texts, system=None):
    head = () if system is None else (Message("system", system),)
    return head + tuple(Message("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(texts))


def tokenized(manifest, chat, folder, settings=None, max_length=None):
    out = ArtifactWriter(str(folder), stage="tokenize", key="t")
    tokenize_rows([manifest], chat, settings or Tokenize(), max_length, out)
    return out.finish()


def test_rows_keep_their_order_and_labels_stand_on_the_answers(mixture, tiny, tmp_path):
    conversations = [turns(QUESTION, ANSWER), turns(KOREAN, "다섯", QUESTION, ANSWER, system="짧게")]
    manifest = tokenized(mixture(*conversations), tiny["tulu"], tmp_path / "out")
    found = list(read_rows(manifest, "sft"))
    assert [row["id"] for row in found] == ["seed_0", "seed_1"]
    tokenizer = tiny["tulu"].tokenizer
    for row, messages in zip(found, conversations, strict=True):
        assert tokenizer.decode(row["input_ids"]) == render_turns(tiny["tulu"], messages)[0]
        learned = [i for i in row["labels"] if i != NO_LABEL]
        assert tokenizer.decode(learned) == "".join(m.content + "<|end_of_text|>" for m in messages if m.role == "assistant")
        assert all(label in (NO_LABEL, i) for i, label in zip(row["input_ids"], row["labels"], strict=True))


def test_statistics_of_every_source(mixture, tiny, tmp_path):
    """Counted once more here, conversation by conversation; an answer has one token more, its end."""
    conversations = [("a", turns(QUESTION, ANSWER)), ("b", turns(KOREAN, "다섯")), ("a", turns("1", "2"))]
    manifest = tokenized(mixture(*conversations), tiny["tulu"], tmp_path / "out")
    chat = tiny["tulu"]
    lengths = [len(encode_texts(chat, [render_turns(chat, messages)[0]])[0].ids) for _, messages in conversations]
    answers = [len(chat.tokenizer.encode(messages[-1].content)) + 1 for _, messages in conversations]
    assert manifest.facts["per_source"] == {
        "a": {"rows": 2, "tokens": lengths[0] + lengths[2], "trainable_tokens": answers[0] + answers[2], "truncated": 0},
        "b": {"rows": 1, "tokens": lengths[1], "trainable_tokens": answers[1], "truncated": 0},
    }
    assert (manifest.facts["tokens"], manifest.facts["trainable_tokens"]) == (sum(lengths), sum(answers))
    assert manifest.rows == {"read": 3, "kept": 3, "rejected": 0} and manifest.written == {"sft": 3}


def test_a_longer_row_is_cut_and_one_without_a_label_left_is_dropped(mixture, tiny, tmp_path):
    """Capitals are a token each: 6 tokens for the tags, their newlines and the question "1", then the answer and its end."""
    short, long_answer, long_question = turns("1", "2"), turns("1", "BCDEFGHIJK"), turns("BCDEFGHIJK", "2")
    manifest = tokenized(mixture(short, long_answer, long_question), tiny["tulu"], tmp_path / "out", max_length=12)
    found = list(read_rows(manifest, "sft"))
    assert [(row["id"], len(row["input_ids"])) for row in found] == [("seed_0", 8), ("seed_1", 12)]
    assert tiny["tulu"].tokenizer.decode(found[1]["input_ids"]) == "<|user|>\n1\n<|assistant|>\nBCDEFG"
    assert found[1]["labels"] == [NO_LABEL] * 6 + found[1]["input_ids"][6:]
    statistics = {"rows": 2, "tokens": 20, "trainable_tokens": 2 + 6, "truncated": 1}
    assert manifest.facts["per_source"] == {"seed": statistics}
    assert manifest.reasons == {"no_label_after_truncation": 1}
    rejected = next(iter(read_rejected(manifest)))
    assert (rejected["id"], rejected["raw_row"], rejected["detail"]) == ("seed_2", 2, "the first answer begins after token 12")
    assert json.loads(rejected["row"])["messages"][0]["content"] == "BCDEFGHIJK"


def test_without_truncation_a_longer_row_is_dropped(mixture, tiny, tmp_path):
    manifest = tokenized(mixture(turns("1", "2"), turns("1", "BCDEFGHIJK")), tiny["tulu"], tmp_path / "out",
                         Tokenize(truncation=False), max_length=12)
    assert [row["id"] for row in read_rows(manifest, "sft")] == ["seed_0"]
    assert manifest.reasons == {"too_many_tokens": 1} and manifest.facts["truncated"] == 0
    assert next(iter(read_rejected(manifest)))["detail"] == "17 tokens, 12 at most"


def test_without_the_label_filter_a_row_without_labels_stays(mixture, tiny, tmp_path):
    manifest = tokenized(mixture(turns("BCDEFGHIJK", "2")), tiny["tulu"], tmp_path / "out",
                         Tokenize(require_label=False), max_length=12)
    assert set(next(iter(read_rows(manifest, "sft")))["labels"]) == {NO_LABEL}
    assert manifest.facts["trainable_tokens"] == 0 and manifest.rows["rejected"] == 0


def test_refused_turns_are_kept_with_reason_file_row_and_field(mixture, tiny, tmp_path):
    bad = (Message("user", "a"), Message("user", "b"), Message("assistant", "c"))
    manifest = tokenized(mixture(turns("1", "2"), bad, turns("1", "2", "3", "4")), tiny["alpaca"], tmp_path / "out",
                         Tokenize(template="alpaca"))
    assert manifest.rows == {"read": 3, "kept": 1, "rejected": 2}
    found = [(r["reason"], r["raw_file"], r["raw_row"], r["field"]) for r in read_rejected(manifest)]
    assert found == [("roles_do_not_alternate", "seed.jsonl", 1, "messages"),
                     ("template_cannot_hold", "seed.jsonl", 2, "messages")]


def test_other_splits_are_left_alone(tiny, tmp_path):
    out = ArtifactWriter(str(tmp_path / "mixture"), stage="mix", key="m")
    out.read("s")
    out.keep(RLVRExample(id="r", source="s", category="math", skill="math", language="en", license="MIT",
                         messages=turns("1+1?"), ground_truth="2", verifier="gsm8k"))
    manifest = tokenized(out.finish(), tiny["tulu"], tmp_path / "out")
    assert manifest.rows["read"] == 0 and manifest.written == {} and manifest.facts["tokens"] == 0


@pytest.mark.parametrize(
    ("limit", "value"), [("ROWS_AT_ONCE", 7), ("CHARACTERS_AT_ONCE", 300), ("TOKENS_PER_PART", 100), ("ROWS_PER_PART", 3)],
)
def test_the_size_of_batches_and_parts_changes_no_row(mixture, tiny, real_conversations, tmp_path, monkeypatch, limit, value):
    manifest = mixture(*real_conversations[:20])
    whole = tokenized(manifest, tiny["tulu"], tmp_path / "whole", max_length=200)
    monkeypatch.setattr(subject, limit, value)
    small = tokenized(manifest, tiny["tulu"], tmp_path / "small", max_length=200)
    assert list(read_rows(small, "sft")) == list(read_rows(whole, "sft"))
    assert (small.rows, small.facts, small.written) == (whole.rows, whole.facts, whole.written)
    assert len(small.files) > len(whole.files) or limit.endswith("AT_ONCE")


def test_the_same_rows_give_the_same_bytes(mixture, tiny, tmp_path):
    manifest = mixture(turns(QUESTION, ANSWER), turns(KOREAN, "다섯"))
    assert tokenized(manifest, tiny["tulu"], tmp_path / "a").content == tokenized(manifest, tiny["tulu"], tmp_path / "b").content

