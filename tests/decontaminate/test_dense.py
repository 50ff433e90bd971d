"""Dense similarity with a real sentence-transformers model: two layers with random weights, made here and saved to a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from posttrain import sentence_vectors
from posttrain.decontaminate import dense, vectors
from posttrain.decontaminate.index import load_index
from posttrain.recipe import Decontaminate

WORDS = ("the", "red", "blue", "cat", "dog", "sun", "moon", "sat", "on", "mat", "ran", "home", "how", "many", "are", "there")


def save_model(folder: Path, seed: int) -> Path:
    """A sentence-transformers model of 32 dimensions over WORDS."""
    import torch
    from sentence_transformers import SentenceTransformer, models
    from tokenizers import Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(seed)
    vocabulary = {word: n for n, word in enumerate(("[PAD]", "[UNK]", *WORDS))}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    bert = folder / f"bert-{seed}"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(bert)
    BertModel(BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                         intermediate_size=64, max_position_embeddings=64)).save_pretrained(bert)
    body = models.Transformer(str(bert), max_seq_length=32)
    path = folder / f"model-{seed}"
    SentenceTransformer(modules=[body, models.Pooling(body.get_embedding_dimension())], device="cpu").save(str(path))
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("dense"), seed=0)


ITEMS = ["the red cat sat on the mat", "how many dogs are there", "the blue moon", "the sun ran home"]
TURNS = ["the red cat sat on the mat", "the red dog sat on the mat", "home", "", "the blue moon"]


def test_the_score_is_the_cosine_of_the_model_s_own_vectors(bench, model: Path) -> None:
    from sentence_transformers import SentenceTransformer

    bench.add_eval("eval", ITEMS)
    index = load_index(bench.index(Decontaminate(dense_model=str(model))))
    own = SentenceTransformer(str(model), device="cpu")
    x, y = (own.encode(texts, normalize_embeddings=True).astype(np.float64) for texts in (TURNS, ITEMS))
    expected = x @ y.T
    found = dense.score_turns(index, TURNS, -1.0)
    assert [(match.turn, match.item) for match in found] == [(t, i) for t in range(len(TURNS)) for i in range(len(ITEMS))]
    assert all(abs(match.score - expected[match.turn, match.item]) < 1e-5 for match in found)
    assert found[0].score == pytest.approx(1.0, abs=1e-5)
    assert {match.measure for match in found} == {"dense"}


def test_every_pair_over_the_floor_and_no_other(bench, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add_eval("eval", ITEMS)
    index = load_index(bench.index(Decontaminate(dense_model=str(model))))
    every = dense.score_turns(index, TURNS, -1.0)
    floor = sorted(match.score for match in every)[len(every) // 2]
    wanted = [match for match in every if match.score >= floor]
    assert dense.score_turns(index, TURNS, floor) == wanted
    monkeypatch.setattr(dense, "SCORES_AT_ONCE", 5)  # one turn at a time: the blocks add up to the same
    assert dense.score_turns(index, TURNS, floor) == wanted
    turn, text = np.repeat(np.arange(len(TURNS)), len(ITEMS)), np.tile(np.arange(len(ITEMS)), len(TURNS))
    assert dense.matches_of(index, dense.turn_vectors(index, TURNS), turn, text, floor) == wanted
    assert dense.score_turns(index, [], floor) == []


def test_an_item_of_two_texts_scores_their_mean(bench, model: Path) -> None:
    passage, question = "the sun ran home the moon sat on the mat", "how many red cats and blue dogs are there"
    bench.add_eval("eval", [{"passage": passage, "question": question}], fields=("passage", "question"))
    index = load_index(bench.index(Decontaminate(dense_model=str(model))))
    match = dense.score_turns(index, [question], 0.99)[0]
    assert match.best == pytest.approx(1.0, abs=1e-5)
    assert match.score == pytest.approx(sum(match.scores) / 2, abs=1e-6)
    assert match.covered == ((), ())


def test_a_recipe_that_names_a_model_removes_by_it(bench, model: Path) -> None:
    """Through the whole stage, with n-grams switched off."""
    bench.add_eval("eval", ["the red cat sat on the mat"])
    copy, other = bench.sft("copy", "the red cat sat on the mat"), bench.sft("other", "home")
    manifest = bench.decontaminate(
        [copy, other], preset="tulu3", dense_model=str(model),
        cut_offs={"ngram_coverage": {"remove": None}, "dense": {"remove": 0.99}})
    matches = pq.read_table(manifest.file("matches.parquet")).to_pylist()
    assert [(match["row_id"], match["measure"], match["decision"]) for match in matches] == [("copy", "dense", "remove")]
    assert matches[0]["score"] == pytest.approx(1.0, abs=1e-5)


def test_the_eval_texts_are_encoded_once_and_stored_in_the_index(bench, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add_eval("eval", ITEMS)
    manifest = bench.index(Decontaminate(dense_model=str(model)))
    assert {"dense.json", "dense.npy", "dense-probe.npy"} <= {entry.name for entry in manifest.files}
    encoded: list[str] = []
    real = vectors.encode
    monkeypatch.setattr(dense, "encode", lambda name, texts: encoded.extend(texts) or real(name, texts))
    dense.score_turns(load_index(manifest), TURNS, 0.5)
    assert encoded == [vectors.PROBE, *TURNS]


def test_an_index_without_a_model_says_what_to_do(bench) -> None:
    bench.add_eval("eval", ITEMS)
    manifest = bench.index()
    assert all(not entry.name.startswith("dense") for entry in manifest.files)
    with pytest.raises(sentence_vectors.DenseModelUnusable, match="made without decontaminate.dense_model"):
        dense.score_turns(load_index(manifest), TURNS, 0.5)


def test_another_model_under_the_same_name_is_refused(bench, model: Path, tmp_path: Path) -> None:
    moving = tmp_path / "model"
    shutil.copytree(model, moving)
    bench.add_eval("eval", ITEMS)
    index = load_index(bench.index(Decontaminate(dense_model=str(moving))))
    shutil.rmtree(moving)
    shutil.copytree(save_model(tmp_path, seed=1), moving)
    sentence_vectors.encoder.cache_clear()
    with pytest.raises(sentence_vectors.DenseModelUnusable, match="not the model that made the eval index"):
        dense.score_turns(index, TURNS, 0.5)


def test_a_model_that_is_not_there_is_named(bench, tmp_path: Path) -> None:
    bench.add_eval("eval", ITEMS)
    with pytest.raises(sentence_vectors.DenseModelUnusable, match="no-such-model cannot be loaded"):
        bench.index(Decontaminate(dense_model=str(tmp_path / "no-such-model")))


def test_the_device_is_chosen_by_the_environment(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTTRAIN_DENSE_DEVICE", "cpu")
    sentence_vectors.encoder.cache_clear()
    assert sentence_vectors.encoder(str(model), vectors.SETTING).device.type == "cpu"
    monkeypatch.setenv("POSTTRAIN_DENSE_DEVICE", "no-such-device")
    sentence_vectors.encoder.cache_clear()
    with pytest.raises(sentence_vectors.DenseModelUnusable, match="on no-such-device"):
        sentence_vectors.encoder(str(model), vectors.SETTING)
    sentence_vectors.encoder.cache_clear()


def test_without_the_package_the_message_names_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentence_vectors.encoder.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(sentence_vectors.DenseModelUnusable, match="pip install sentence-transformers"):
        vectors.encode(str(model), ["text"])
