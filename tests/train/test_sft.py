"""The SFT trainer: what the loss counts, and that it is a sum."""

import pytest

from posttrain.recipe import TinyModel, Tokenize
from posttrain.schema import Message, SFTExample
from posttrain.storage import ArtifactWriter, read_rows
from posttrain.tokenize.rows import tokenize_rows
from posttrain.tokenize.templates import TEMPLATES
from posttrain.tokenize.tiny import train_tokenizer
from posttrain.tokenize.tokenizer import ChatTokenizer
from posttrain.train.base import make_tiny

CONVERSATION = [
    {"role": "user", "content": "2 apples and 3 apples?"},
    {"role": "assistant", "content": "5 apples"},
    {"role": "user", "content": "사과 한 개를 더하면?"},
    {"role": "assistant", "content": "6 개"},
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(iter(m["content"] for m in CONVERSATION), 400)


def test_template_renders_as_tulu_3(tokenizer):
    text = tokenizer.apply_chat_template(CONVERSATION[:2], tokenize=False)
    assert text == "<|user|>\n2 apples and 3 apples?\n<|assistant|>\n5 apples<|end_of_text|>"
    prompt = tokenizer.apply_chat_template(CONVERSATION[:1], tokenize=False, add_generation_prompt=True)
    assert text.startswith(prompt), "what is trained on begins with what is generated from"


def test_mask_covers_assistant_turns_and_their_end_token_only(tokenizer):
    encoded = tokenizer.apply_chat_template(CONVERSATION, return_dict=True, return_assistant_tokens_mask=True)
    learned = [i for i, m in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(learned) == "5 apples<|end_of_text|>6 개<|end_of_text|>"


def test_template_has_no_field_that_is_not_role_or_content():
    assert "{% generation %}" in TEMPLATES["tulu"].jinja and "tools" not in TEMPLATES["tulu"].jinja


def test_tiny_model_has_the_size_of_its_configuration(tokenizer):
    spec = TinyModel(kind="tiny", layers=2, width=32, heads=2, mlp_width=64, max_positions=64)
    model = make_tiny(spec, tokenizer, 0)
    attention, mlp, norms = 4 * 32 * 32, 3 * 32 * 64, 2 * 32
    assert sum(p.numel() for p in model.parameters()) == len(tokenizer) * 32 + 2 * (attention + mlp + norms) + 32


def test_same_seed_same_weights_other_seed_other_weights(tokenizer):
    import torch

    spec = TinyModel(kind="tiny", layers=1, width=32, heads=2, mlp_width=64, max_positions=64)
    first, again, other = (make_tiny(spec, tokenizer, seed).lm_head.weight for seed in (7, 7, 8))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_sum_loss_is_the_mean_loss_times_the_assistant_tokens(tokenizer, tmp_path):
    """One batch through both trainers: sum = mean × the 2 answers' tokens, counted by the mask."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from posttrain.train.sft import sum_loss_trainer

    dataset = Dataset.from_list([{"messages": CONVERSATION[:2]}, {"messages": CONVERSATION}])
    spec = TinyModel(kind="tiny", layers=1, width=32, heads=2, mlp_width=64, max_positions=128)
    losses = {}
    for name, trainer_class in (("mean", SFTTrainer), ("sum", sum_loss_trainer())):
        arguments = SFTConfig(
            output_dir=str(tmp_path / name), per_device_train_batch_size=2, max_steps=1, learning_rate=1e-9, report_to=[],
            assistant_only_loss=True, use_cpu=True, disable_tqdm=True, logging_steps=1, max_length=128,
        )
        model = make_tiny(spec, tokenizer, 0)
        trainer = trainer_class(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer)
        trainer.train()
        losses[name] = trainer.state.log_history[0]["loss"]
    ask = {"return_dict": True, "return_assistant_tokens_mask": True}
    tokens = sum(sum(tokenizer.apply_chat_template(row["messages"], **ask)["assistant_masks"]) for row in dataset)
    assert losses["sum"] == pytest.approx(losses["mean"] * tokens, rel=1e-4)


def test_tokenised_rows_are_those_that_trl_makes_of_the_same_mixture(tokenizer, tmp_path):
    """Ids, labels, the cut at max_length and the rows dropped without a label: what SFTTrainer would prepare by itself."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    answers = ["5 apples", "6 개", "five apples and not one more", "여섯"]
    rows = [[CONVERSATION[0] | {"content": "apples? " * n}, CONVERSATION[1] | {"content": answers[n % 4]}] for n in range(1, 9)]
    arguments = SFTConfig(output_dir=str(tmp_path / "trl"), report_to=[], assistant_only_loss=True, use_cpu=True, max_length=24)
    model = make_tiny(TinyModel(kind="tiny", layers=1, width=32, heads=2, mlp_width=64, max_positions=64), tokenizer, 0)
    trainer = SFTTrainer(model=model, args=arguments, processing_class=tokenizer,
                         train_dataset=Dataset.from_list([{"messages": row} for row in rows]))

    mixture = ArtifactWriter(str(tmp_path / "mixture"), stage="mix", key="m")
    for n, row in enumerate(rows):
        mixture.read("s")
        mixture.keep(SFTExample(id=str(n), source="s", category="general", skill="general", language="en", license="MIT",
                                messages=tuple(Message(m["role"], m["content"]) for m in row)))
    out = ArtifactWriter(str(tmp_path / "tokens"), stage="tokenize", key="t")
    tokenize_rows([mixture.finish()], ChatTokenizer(tokenizer, {}), Tokenize(), 24, out)
    ours = [(row["input_ids"], row["labels"]) for row in read_rows(out.finish())]
    assert ours == [(row["input_ids"], row["labels"]) for row in trainer.train_dataset]
    assert 0 < len(ours) < len(rows) and any(len(ids) == 24 for ids, _ in ours)
