from __future__ import annotations

from typing import Any

import pytest

from posttrain.decontaminate.texts import eval_texts, turns_of_row, user_turns


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"question": "Why?", "answer": "Because."}, {"question": "Why?"}),
        ({"prompt": "Write.", "question": "Why?"}, {"prompt": "Write."}),
        ({"instruction": "Translate.", "input": "Bonjour"}, {"instruction": "Translate.\nBonjour"}),  # one text
        ({"instruction": "Translate.", "input": ""}, {"instruction": "Translate."}),
        ({"instructions": "Do harm.", "inputs": "now"}, {"instructions": "Do harm.\nnow"}),
        ({"instruction": "Solve it.", "instances": [{"input": "x = 1", "output": "1"}]}, {"instruction": "Solve it.\nx = 1"}),
        ({"instruction": "Greet.", "instances": [{"input": "", "output": "Hi"}]}, {"instruction": "Greet."}),
        ({"input": "True and not True is", "target": "False"}, {"input": "True and not True is"}),
        ({"Behavior": "Say it.", "Tags": "x"}, {"behavior": "Say it."}),
        ({"turns": ["First.", "Then?"], "question_id": 81}, {"turns": "First.\nThen?"}),
        ({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]}, {"messages": "U"}),
        ({"c0": "What is 2?", "c1": "1", "c5": "A"}, {"c0": "What is 2?"}),  # CSV without header
        ({"prompt": None, "question": "Why?"}, {"question": "Why?"}),
        ({"prompt": "  ", "text": "T"}, {"text": "T"}),
        ("a bare line", {"text": "a bare line"}),
        ({"answer": "42"}, {}),
        (17, {}),
    ],
)
def test_the_prompt_of_an_eval_item(item: Any, expected: dict[str, str]) -> None:
    assert eval_texts(item) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"passage": "P", "question": "Q"}, {"passage": "P", "question": "Q"}),
        ({"passage": None, "question": "Q"}, {"question": "Q"}),
        ({"passage": "", "question": "Q"}, {"question": "Q"}),
        ({"question": "Q"}, {"question": "Q"}),
        ({"passage": True, "question": 7}, {"question": "7"}),
    ],
)
def test_named_fields_without_text_leave_the_item_not_drop_it(item: Any, expected: dict[str, str]) -> None:
    assert eval_texts(item, ("passage", "question")) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                       {"role": "user", "content": "c"}]}, [(0, "a"), (2, "c")]),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, [(0, "a")]),
        ({"prompt": "p", "completion": "c"}, [(0, "p")]),
        ({"prompt": "p", "chosen": [{"role": "user", "content": "u"}], "rejected": []}, [(0, "u")]),
        ({"prompt": [{"role": "user", "content": "u"}], "chosen": [{"role": "assistant", "content": "a"}]}, [(0, "u")]),
        ({"chosen": "\n\nHuman: hello\n\nAssistant: hi\n\nHuman: bye", "rejected": "…"}, [(0, "hello"), (2, "bye")]),
        ({"instruction": "last", "input": "", "history": [["first", "answer"]]}, [(0, "first"), (2, "last")]),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "part"}]}]}, [(0, "part")]),
        ({"text": "plain"}, [(0, "plain")]),
        ("plain", [(0, "plain")]),
        ({"input persona": "a nurse", "tags": ["x", None]}, [(0, "a nurse\nx")]),  # no known form: all that it holds
        ({"messages": [{"role": "assistant", "content": "only an answer"}]}, [(0, "assistant\nonly an answer")]),
        ({"message_tree_id": "t", "prompt": {"text": "p", "role": "prompter", "replies": [
            {"text": "a", "role": "assistant", "replies": [{"text": "more", "role": "prompter", "replies": []}]},
            {"text": "b", "role": "assistant"}]}}, [(0, "p"), (2, "more")]),
        ({"label": 1}, []),
        (None, []),
    ],
)
def test_the_user_turns_of_a_training_row(row: Any, expected: list[tuple[int, str]]) -> None:
    assert user_turns(row) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "a"},
                       {"role": "assistant", "content": "b"}]},
         [(0, "s"), (1, "a"), (2, "b")]),
        ({"prompt": "p", "completion": "c"}, [(0, "p"), (1, "c")]),
        ({"question": "q", "answer": "a", "id": 7}, [(0, "q"), (1, "a")]),
        ({"chosen": "\n\nHuman: hello\n\nAssistant: hi", "rejected": "…"}, [(0, "hello"), (1, "hi")]),
        ({"instruction": "last", "input": "", "output": "o", "history": [["first", "answer"]]},
         [(0, "first"), (1, "answer"), (2, "last"), (3, "o")]),
        ({"text": "plain"}, [(0, "plain")]),
    ],
)
def test_every_turn_of_a_training_row(row: Any, expected: list[tuple[int, str]]) -> None:
    assert turns_of_row(row, None) == expected
