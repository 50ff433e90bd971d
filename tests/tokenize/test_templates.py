"""Every template against its published form: the text, what of it is trained on, and what is refused."""

from __future__ import annotations

import itertools
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from posttrain.convert.alpaca import parse_alpaca
from posttrain.recipe import Tokenize
from posttrain.schema import REASONS, Message, UnreadableRow
from posttrain.tokenize.chat import answer_tokens, encode_texts, render_turns
from posttrain.tokenize.templates import LLAMA2_SYSTEM_PROMPT, OWN, TEMPLATES

SYSTEM, QUESTION, ANSWER = "You are a helpful assistant", "What is 4 + 4?", "4 + 4 = 8"
ONE_INSTRUCTION = ("alpaca", "alpaca_stanford")
CHATS = tuple(name for name in TEMPLATES if name not in ONE_INSTRUCTION)


def turns(*texts, system=None):
    head = () if system is None else (Message("system", system),)
    return head + tuple(Message("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(texts))


PUBLISHED = {
    # AX38
    "chatml": (
        "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n"
        "<|im_start|>user\nWhat is 4 + 4?<|im_end|>\n"
        "<|im_start|>assistant\n4 + 4 = 8<|im_end|>\n"
    ),
    "chatml_sep": (
        "<|im_start|>system<|im_sep|>You are a helpful assistant<|im_end|>"
        "<|im_start|>user<|im_sep|>What is 4 + 4?<|im_end|>"
        "<|im_start|>assistant<|im_sep|>4 + 4 = 8<|im_end|>"
    ),
    "tulu": "<|system|>\nYou are a helpful assistant\n<|user|>\nWhat is 4 + 4?\n<|assistant|>\n4 + 4 = 8<|end_of_text|>",
    "llama2": (
        "<s>[INST] <<SYS>>\nYou are a helpful assistant\n<</SYS>>\n\nWhat is 4 + 4? [/INST] 4 + 4 = 8 <|end_of_text|>"
    ),
    "llama2_default_system": (
        "<s>[INST] <<SYS>>\nYou are a helpful assistant\n<</SYS>>\n\nWhat is 4 + 4? [/INST] 4 + 4 = 8 <|end_of_text|>"
    ),
    "llama3": (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhat is 4 + 4?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n4 + 4 = 8<|eot_id|>"
    ),
}


@pytest.mark.parametrize("name", CHATS)
def test_the_example_with_a_system_prompt(tiny, name):
    assert render_turns(tiny[name], turns(QUESTION, ANSWER, system=SYSTEM))[0] == PUBLISHED[name]


SEVERAL_TURNS = {
    "chatml": (
        "<|im_start|>user\n하나<|im_end|>\n<|im_start|>assistant\n1<|im_end|>\n"
        "<|im_start|>user\n둘<|im_end|>\n<|im_start|>assistant\n2<|im_end|>\n"
    ),
    "tulu": "<|user|>\n하나\n<|assistant|>\n1<|end_of_text|>\n<|user|>\n둘\n<|assistant|>\n2<|end_of_text|>",
    "llama2": "<s>[INST] 하나 [/INST] 1 <|end_of_text|><s>[INST] 둘 [/INST] 2 <|end_of_text|>",
    "llama2_default_system": (
        f"<s>[INST] <<SYS>>\n{LLAMA2_SYSTEM_PROMPT}\n<</SYS>>\n\n하나 [/INST] 1 <|end_of_text|>"
        "<s>[INST] 둘 [/INST] 2 <|end_of_text|>"
    ),
    "llama3": (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n하나<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n1<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n둘<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n2<|eot_id|>"
    ),
}


@pytest.mark.parametrize("name", SEVERAL_TURNS)
def test_several_turns_without_a_system_prompt(tiny, name):
    assert render_turns(tiny[name], turns("하나", "1", "둘", "2"))[0] == SEVERAL_TURNS[name]


def test_llama_2_and_llama_3_strip_a_turn_as_published_and_the_others_do_not(tiny):
    padded = turns("  hi \n", " yes\n")
    assert render_turns(tiny["llama2"], padded)[0] == "<s>[INST] hi [/INST] yes <|end_of_text|>"
    assert "\n\nhi<|eot_id|>" in render_turns(tiny["llama3"], padded)[0]
    assert render_turns(tiny["tulu"], padded)[0] == "<|user|>\n  hi \n\n<|assistant|>\n yes\n<|end_of_text|>"
    assert "<|im_start|>user\n  hi \n<|im_end|>" in render_turns(tiny["chatml"], padded)[0]


# ---------------------------------------------------------------- Alpaca

AX37 = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\nClassify the following into animals, plants, and minerals\n\n"
    "### Input:\nOak tree, copper ore, elephant\n\n"
    "### Response:\nOak tree: Plant\nCopper ore: Mineral\nElephant: Animal"
)
AX37_TURNS = turns("Classify the following into animals, plants, and minerals\n\nOak tree, copper ore, elephant",
                   "Oak tree: Plant\nCopper ore: Mineral\nElephant: Animal")


def test_alpaca_with_input_goes_there_and_back(tiny):
    assert render_turns(tiny["alpaca"], AX37_TURNS)[0] == AX37 + "<|end_of_text|>"
    row = parse_alpaca(AX37)
    assert turns(f"{row['instruction']}\n\n{row['input']}", row["output"]) == AX37_TURNS


def test_alpaca_without_input(tiny):
    head = "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    assert render_turns(tiny["alpaca"], turns("색 하나를 말해줘", "파란색"))[0] == (
        f"{head}\n\n### Instruction:\n색 하나를 말해줘\n\n### Response:\n파란색<|end_of_text|>")
    assert render_turns(tiny["alpaca_stanford"], turns("Name a colour.", "Blue"))[0] == (
        f"{head}\n\n### Instruction:\nName a colour.\n\n### Response:Blue<|end_of_text|>")


@given(st.text("ab 가\n", min_size=1), st.text("ab 가\n", min_size=1), st.text("ab 가\n"))
@settings(deadline=None, max_examples=50)
def test_what_alpaca_renders_is_read_back_as_the_same_turns(tiny, instruction, context, output):
    messages = turns(f"{instruction}\n\n{context}", output)
    row = parse_alpaca(render_turns(tiny["alpaca"], messages)[0].removesuffix("<|end_of_text|>"))
    question = f"{row['instruction']}\n\n{row['input']}" if row["input"] else row["instruction"]
    assert turns(question, row["output"]) == messages


# ---------------------------------------------------------------- against published Jinja

ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@pytest.mark.parametrize(("name", "published", "system"), [("llama3", "llama3.jinja", False), ("llama3", "llama3.jinja", True),
                                                           ("chatml", "qwen2_5.jinja", True)])
@given(texts=st.lists(ANY_TEXT, min_size=2, max_size=6).filter(lambda texts: len(texts) % 2 == 0), prompt=ANY_TEXT)
@settings(deadline=None, max_examples=30)
def test_any_conversation_renders_as_by_the_template_that_its_publisher_ships(tiny, name, published, system, texts, prompt):
    """TRL keeps the publishers' Jinja files, unchanged, to recognise models by them."""
    source = (Path(find_spec("trl").origin).parent / "chat_templates" / published).read_text()
    messages = turns(*texts, system=prompt if system else None)
    rows = [{"role": m.role, "content": m.content} for m in messages]
    tokenizer = tiny[name].tokenizer
    assert render_turns(tiny[name], messages)[0] == tokenizer.apply_chat_template(rows, chat_template=source, tokenize=False)
    asked = tokenizer.apply_chat_template(rows[:-1], chat_template=source, tokenize=False, add_generation_prompt=True)
    assert render_turns(tiny[name], messages[:-1], answered=False)[0] == asked


# ---------------------------------------------------------------- what is trained on

ENDS = {"chatml": "<|im_end|>", "chatml_sep": "<|im_end|>", "llama3": "<|eot_id|>"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_answers_and_their_end_are_trained_on_and_nothing_else(tiny, name):
    several = turns(QUESTION, ANSWER, "사과?", "다섯", system=SYSTEM)
    messages = turns(QUESTION, "다섯 개입니다.") if name in ONE_INSTRUCTION else several
    text, spans = render_turns(tiny[name], messages)
    end = ENDS.get(name, "<|end_of_text|>")
    answers = [m.content for m in messages if m.role == "assistant"]
    expected = [f" {a} {end}" if name.startswith("llama2") else a + end for a in answers]
    assert [text[a:b] for a, b in spans] == expected
    encoding = encode_texts(tiny[name], [text])[0]
    learned = [tiny[name].tokenizer.decode(encoding.ids[a:b]) for a, b in answer_tokens(encoding, spans)]
    assert learned == expected


@pytest.mark.parametrize("name", TEMPLATES)
@given(question=ANY_TEXT, answer=ANY_TEXT)
@settings(deadline=None, max_examples=20)
def test_what_is_generated_from_ends_where_what_is_trained_on_begins(tiny, name, question, answer):
    text, spans = render_turns(tiny[name], turns(question, answer))
    asked, none = render_turns(tiny[name], turns(question), answered=False)
    assert text.startswith(asked) and spans[-1][0] == len(asked) and none == []


SPACE_FIRST = [("llama2", "real"), ("llama2_default_system", "real")]


@pytest.mark.parametrize(
    ("name", "vocabulary"), [pair for pair in itertools.product(TEMPLATES, ("tiny", "real")) if pair not in SPACE_FIRST],
)
def test_ids_and_mask_are_those_of_transformers(name, vocabulary, request, real_conversations):
    """On real conversations: apply_chat_template with return_assistant_tokens_mask gives the same, token by token.

    Not so where an answer begins with a space that the vocabulary's offsets leave out: transformers then masks it whole.
    """
    chat = request.getfixturevalue(vocabulary)[name]
    compared = 0
    for messages in real_conversations[:30]:
        try:
            text, spans = render_turns(chat, messages)
        except UnreadableRow:
            continue
        rows = [{"role": m.role, "content": m.content} for m in messages]
        theirs = chat.tokenizer.apply_chat_template(rows, return_dict=True, return_assistant_tokens_mask=True)
        encoding = encode_texts(chat, [text])[0]
        trained = {n for start, end in answer_tokens(encoding, spans) for n in range(start, end)}
        assert encoding.ids == theirs["input_ids"]
        assert trained == {n for n, bit in enumerate(theirs["assistant_masks"]) if bit}
        compared += 1
    assert compared >= 10


@pytest.mark.parametrize(("name", "vocabulary"), SPACE_FIRST)
def test_an_answer_that_begins_with_a_space_is_trained_on_from_its_first_token(name, vocabulary, request):
    chat = request.getfixturevalue(vocabulary)[name]
    text, spans = render_turns(chat, turns(QUESTION, "Four", "사과?", "다섯"))
    encoding = encode_texts(chat, [text])[0]
    learned = [chat.tokenizer.decode(encoding.ids[a:b]) for a, b in answer_tokens(encoding, spans)]
    assert learned == [" Four <|endoftext|>", " 다섯 <|endoftext|>"]


# ---------------------------------------------------------------- refused

REFUSED = {
    "roles_do_not_alternate": [Message("user", "a"), Message("user", "b"), Message("assistant", "c")],
    "unknown_role": [Message("user", "a"), Message("tool", "b"), Message("assistant", "c")],
    "no_assistant_turn": [Message("user", "a")],
    "no_user_turn": [Message("assistant", "a")],
}


@pytest.mark.parametrize("reason", REFUSED)
@pytest.mark.parametrize("name", TEMPLATES)
def test_turns_that_do_not_alternate_are_refused_with_the_reason(tiny, name, reason):
    with pytest.raises(UnreadableRow) as error:
        render_turns(tiny[name], tuple(REFUSED[reason]))
    assert error.value.reason == reason and error.value.field.startswith("messages")


@pytest.mark.parametrize("messages", [turns("a", "b", "c", "d"), turns("a", "b", system="s")])
@pytest.mark.parametrize("name", ONE_INSTRUCTION)
def test_alpaca_refuses_what_it_has_no_place_for(tiny, name, messages):
    with pytest.raises(UnreadableRow, match="Alpaca holds one instruction") as error:
        render_turns(tiny[name], messages)
    assert error.value.reason == "template_cannot_hold"


def test_the_llama_2_template_of_a_released_tokenizer_refuses_by_itself(tiny):
    rows = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    with pytest.raises(TemplateError, match="do not take turns"):
        tiny["llama2"].tokenizer.apply_chat_template(rows, tokenize=False)


def test_a_lone_surrogate_is_refused(tiny):
    with pytest.raises(UnreadableRow, match="undecodable_text"):
        render_turns(tiny["tulu"], turns("a\ud800", "b"))


# ---------------------------------------------------------------- the page


def test_the_page_lists_every_template_setting_and_reason(project):
    page = (project / "docs" / "tokens.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([\w.]+)` \| ", page, flags=re.MULTILINE)
    assert listed == [*TEMPLATES, OWN, *(f"tokenize.{name}" for name in Tokenize.model_fields)]
    for name, template in TEMPLATES.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |")).replace("\\|", "|")
        assert all(f"`{token}`" in row for token in template.tokens)
        assert (f"`{template.end}`" if template.end else "end of text") in row
    assert set(re.findall(r"\(`(\w+)`\)", page)) <= set(REASONS)
