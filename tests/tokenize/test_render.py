"""Rows as a model sees them: pieces beside ids, and nothing that a terminal would obey."""

from __future__ import annotations

import ast
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.schema import Message, PreferencePair, Rejected, RLVRExample, SFTExample
from posttrain.tokenize.render import printable, render_row, rendered_lines

OWN = {"id": "r", "source": "s", "category": "general", "skill": "general", "language": "en", "license": "MIT"}


def sft(*texts):
    messages = tuple(Message("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(texts))
    return SFTExample(**OWN, messages=messages)


def test_a_line_a_token_with_the_trained_ones_marked(tiny):
    row = next(render_row(tiny["chatml"], sft("4 + 4?", "8")))
    tokenizer = tiny["chatml"].tokenizer
    assert row.text == "<|im_start|>user\n4 + 4?<|im_end|>\n<|im_start|>assistant\n8<|im_end|>\n"
    assert tokenizer.decode(row.input_ids) == row.text
    lines = list(rendered_lines(row))
    assert lines[0] == f"r  source s  {len(row.input_ids)} tokens, 2 of them trained on (*)"
    start, eight, end = (tokenizer.convert_tokens_to_ids(t) for t in ("<|im_start|>", "8", "<|im_end|>"))
    assert lines[1] == f"         0 {start:>8}  '<|im_start|>'"
    count = len(row.input_ids)
    assert lines[-3:-1] == [f"  * {count - 3:>6} {eight:>8}  '8'", f"  * {count - 2:>6} {end:>8}  '<|im_end|>'"]
    assert lines[-1].endswith("'\\n'") and "*" not in lines[-1]


@pytest.mark.parametrize("name", ["tulu", "chatml", "llama2", "llama3", "alpaca"])
@given(question=st.text(st.characters(codec="utf-8")), answer=st.text(st.characters(codec="utf-8")))
@settings(deadline=None, max_examples=30)
def test_the_pieces_together_are_the_text(real, name, question, answer):
    row = next(render_row(real[name], sft(question, answer)))
    assert "".join(row.pieces) == row.text and len(row.pieces) == len(row.input_ids) == len(row.labels)


def test_a_character_of_several_tokens_stands_with_the_first(real):
    row = next(render_row(real["tulu"], sft("사", "과")))
    lines = list(rendered_lines(row))
    first = next(n for n, line in enumerate(lines) if line.endswith("'사'"))
    assert lines[first + 1].endswith("(the same character)")


@given(st.text())
def test_what_is_printed_steers_no_terminal_and_is_unambiguous(text):
    shown = printable(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in shown)
    quoted = shown.replace('"', '\\"')
    assert ast.literal_eval(f'"{quoted}"') == text, "every escape is one of Python's"


@pytest.mark.parametrize(("text", "shown"), [
    ("a\nb\t\r", "a\\nb\\t\\r"), ("\x1b[31m", "\\x1b[31m"), ("\u202egpj", "\\u202egpj"), ("\\n", "\\\\n"), ("한글 🙂", "한글 🙂"),
    ("\u00a0", "\\xa0"), ("\U000e0041", "\\U000e0041"), ("\ud800", "\\ud800"),
])
def test_escapes(text, shown):
    assert printable(text) == shown


def test_both_sides_of_a_pair_and_the_prompt_of_an_rlvr_row(tiny):
    pair = PreferencePair(**OWN, prompt="1+1?", chosen=sft("1+1?", "2").messages, rejected=sft("1+1?", "3").messages)
    assert [(row.side, row.text) for row in render_row(tiny["tulu"], pair)] == [
        ("chosen", "<|user|>\n1+1?\n<|assistant|>\n2<|end_of_text|>"),
        ("rejected", "<|user|>\n1+1?\n<|assistant|>\n3<|end_of_text|>")]
    rlvr = RLVRExample(**OWN, messages=sft("1+1?").messages, ground_truth="2", verifier="gsm8k")
    (row,) = render_row(tiny["tulu"], rlvr)
    assert (row.side, row.text) == ("prompt", "<|user|>\n1+1?\n<|assistant|>\n") and set(row.labels) == {-100}


def test_a_refused_row_says_why_in_its_place(tiny):
    bad = SFTExample(**{**OWN, "id": "\x1b[2J"}, messages=(Message("user", "a"), Message("user", "b"), Message("assistant", "c")))
    lines = [line for row in (bad, Rejected(reason="wrong_type", source="s", raw_row=3, field="messages", detail="\x07"))
             for rendered in render_row(tiny["llama2"], row) for line in rendered_lines(rendered)]
    assert lines == ["\\x1b[2J  source s  refused: roles_do_not_alternate in messages: user user assistant",
                     "row 3  source s  refused: wrong_type in messages: \\x07"]
