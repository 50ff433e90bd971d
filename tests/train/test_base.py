"""The base model's tokenizer: the recipe's, or the model's own, with the recipe's template; the model agrees with it."""

from __future__ import annotations

import pytest

from posttrain.recipe import FileTokenizer, HubModel, TinyModel, Tokenize
from posttrain.tokenize.tiny import PAD_TOKEN, train_tokenizer
from posttrain.tokenize.tokenizer import TokenizerError, tokenizer_settings
from posttrain.train.base import load_from_hub, make_tiny, named_tokenizer

SPEC = TinyModel(kind="tiny", layers=1, width=32, heads=2, mlp_width=64, max_positions=64)


@pytest.fixture
def published(tmp_path):
    """A folder with a model and its tokenizer, as the Hub has them."""
    tokenizer = train_tokenizer(iter(["2 apples", "사과 두 개"]), 300)
    make_tiny(SPEC, tokenizer, 0).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_published_model_gets_the_template_and_embeddings_for_its_tokens(published):
    model, tokenizer = load_from_hub(HubModel(kind="hub", id=str(published)), Tokenize(template="chatml"))
    assert tokenizer.eos_token == "<|im_end|>"
    assert model.config.eos_token_id == model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    text = tokenizer.apply_chat_template([{"role": "user", "content": "2?"}], tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\n2?<|im_end|>\n<|im_start|>assistant\n"


def test_a_published_model_with_all_tokens_keeps_its_embeddings(published):
    before = load_from_hub(HubModel(kind="hub", id=str(published)), Tokenize())[0].get_input_embeddings().weight
    model, tokenizer = load_from_hub(HubModel(kind="hub", id=str(published)), Tokenize(template="tokenizer"))
    assert model.get_input_embeddings().weight.shape == before.shape and len(tokenizer) == before.shape[0]


def test_the_tokenizer_that_the_recipe_names_is_used_whatever_the_model(published, test_data):
    path = test_data / "tokenizer" / "allenai__dolma" / "gpt-neo-test-tokenizer.json.gz"
    settings = Tokenize(template="llama3", tokenizer=FileTokenizer(kind="file", path=str(path)))
    tokenizer = named_tokenizer(settings)
    assert (tokenizer.pad_token, tokenizer.eos_token) == (PAD_TOKEN, "<|eot_id|>")
    model = make_tiny(SPEC, tokenizer, 0)
    assert model.config.vocab_size == len(tokenizer) and model.config.eos_token_id == tokenizer.eos_token_id
    assert len(load_from_hub(HubModel(kind="hub", id=str(published)), settings)[1]) == len(tokenizer)
    assert named_tokenizer(Tokenize()) is None


def test_the_base_models_key_knows_the_named_tokenizer_by_content(published):
    settings = Tokenize(tokenizer=FileTokenizer(kind="file", path=str(published)))
    before = tokenizer_settings(settings)
    assert before["template"] == "tulu" and "tokenizer.json" in before["tokenizer"]["files"]
    (published / "model.safetensors").unlink()
    assert tokenizer_settings(settings) == before, "weights are not the tokenizer"
    (published / "tokenizer.json").write_text("{}")
    assert tokenizer_settings(settings) != before
    with pytest.raises(TokenizerError, match="cannot be read"):
        named_tokenizer(settings)
