"""Families whose rows are conversations; among them the seed documents' examples AX17 and AX18."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.convert import FAMILIES, convert_source
from posttrain.convert.html_text import html_to_markdown, looks_like_html
from posttrain.convert.oasst import DEFAULT, answered_paths, join_messages
from posttrain.recipe import Source
from posttrain.schema import RAW_SCHEMA, UnreadableRow
from posttrain.storage import ArtifactWriter, read_examples


def turns(family: str, row: Any) -> list[tuple[str, str]]:
    (draft,) = FAMILIES[family].convert(row)
    return [(m.role, m.content) for m in draft.messages]


class TestMessages:
    def test_standard_row(self) -> None:  # AX17
        row = {
            "id": "oasst1_5551",
            "source": "ai2-adapt-dev/oasst1_converted",
            "messages": [
                {"role": "user", "content": "explain WebUSB in simple terms"},
                {"role": "assistant", "content": "WebUSB lets a web page talk to a USB device."},
            ],
        }
        (draft,) = FAMILIES["messages"].convert(row)
        assert draft.raw_id == "oasst1_5551" and draft.messages[0].content == "explain WebUSB in simple terms"

    def test_several_turns(self) -> None:  # AX18
        row = {
            "id": "example_multi_turn",
            "messages": [
                {"role": "user", "content": "파이썬으로 간단한 웹 스크래퍼를 만들고 싶어요"},
                {"role": "assistant", "content": "requests와 BeautifulSoup을 쓰면 됩니다."},
                {"role": "user", "content": "그럼 이미지도 다운로드할 수 있나요?"},
                {"role": "assistant", "content": "네, 이미지 주소를 내려받으면 됩니다."},
            ],
        }
        assert [role for role, _ in turns("messages", row)] == ["user", "assistant", "user", "assistant"]

    def test_content_in_parts(self) -> None:
        row = {
            "messages": [
                {"role": "user", "content": [{"type": "text", "value": "hi"}], "loss_weight": 0.0},
                {
                    "role": "assistant",
                    "content": [{"type": "reasoning", "value": "A greeting."}, {"type": "text", "text": "Hello!"}],
                },
            ]
        }
        assert turns("messages", row) == [("user", "hi"), ("assistant", "<think>\nA greeting.\n</think>\n\nHello!")]

    def test_system_column_and_role_names(self) -> None:
        row = {
            "system": "Be brief.",
            "conversation": [{"role": "Human", "content": "hi"}, {"role": "Assistant", "content": "yo"}],
        }
        assert turns("messages", row) == [("system", "Be brief."), ("user", "hi"), ("assistant", "yo")]

    @pytest.mark.parametrize(
        ("column", "language"),
        [({"lang": "ko"}, "ko"), ({"language": "pt-BR"}, "pt-BR"), ({"language": "English"}, None), ({}, None)],
    )
    def test_language_codes_are_kept(self, column: dict[str, str], language: str | None) -> None:
        row = column | {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
        assert FAMILIES["messages"].convert(row)[0].language == language

    def test_arena_answers(self) -> None:
        row = {"uid": "01", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": {"answer": "a"}}]}
        assert turns("arena_answers", row) == [("user", "q"), ("assistant", "a")]


class TestShareGpt:
    def test_role_names_of_the_chat_sites(self) -> None:
        row = {
            "conversations": [
                {"from": "system", "value": "s"},
                {"from": "user", "value": "1"},
                {"from": "bing", "value": "2"},
                {"from": "human", "value": "3"},
                {"from": "chatgpt", "value": "4"},
            ]
        }
        assert [role for role, _ in turns("sharegpt", row)] == ["system", "user", "assistant", "user", "assistant"]

    def test_lima_texts_in_turn(self) -> None:
        assert turns("sharegpt", {"conversations": ["q", "a"]}) == [("user", "q"), ("assistant", "a")]

    def test_html_becomes_markdown(self) -> None:
        html = (
            '<div class="markdown prose"><p>Use <code>print</code> &amp; <b>see</b>:</p>'
            '<pre><div class="bg-black"><div class="flex"><span>python</span><button><svg></svg>Copy code</button></div>'
            '<div class="p-4"><code class="hljs language-python">if a &lt; b:\n    print(a_b)</code></div></div></pre>'
            "<ul><li>one</li><li>둘</li></ul><ol><li>first</li></ol></div>"
        )
        row = {"conversations": [{"from": "human", "value": "How?"}, {"from": "gpt", "value": html}]}
        assert turns("sharegpt", row)[1][1] == (
            "Use `print` & **see**:\n\n```python\nif a < b:\n    print(a_b)\n```\n\n- one\n- 둘\n\n1. first"
        )

    def test_tables_and_headings_become_markdown(self) -> None:
        html = "<h2>값</h2><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>"
        assert html_to_markdown(html) == "## 값\n\n| a | b |\n| --- | --- |\n| 1 | 2 |"

    @pytest.mark.parametrize(
        ("bar", "language"),
        [("<span>css</span>Copy code", "css"), ("Copy code", ""), ("<div>Press here to copy all of it</div>", ""), ("", "")],
    )
    def test_the_bar_over_a_code_block_names_its_language_or_goes(self, bar: str, language: str) -> None:
        html = f"<div><pre>{bar}<code>a {{ b: c_d * e }}\n</code></pre></div>"
        assert html_to_markdown(html) == f"```{language}\na {{ b: c_d * e }}\n```"

    def test_what_browser_extensions_left_goes(self) -> None:
        assert html_to_markdown("<div>2 / 2<p>Hi *you*, file_name</p></div>Copy10 chars / 2 words") == "Hi *you*, file_name"

    @pytest.mark.parametrize(
        "text",
        [
            "Write <b>bold</b> text",
            "<b>x</b>",
            "a < b and b > c",
            "<div> opens a block",
            "```html\n<div>x</div>\n```",
            "<div>x</div> is a block",
        ],
    )
    def test_text_about_html_is_left_alone(self, text: str) -> None:
        assert not looks_like_html(text)

    def test_words_stay_apart_and_breaks_are_kept(self) -> None:
        assert html_to_markdown("<p>Hi <b>you</b> <i>there</i><br>again</p><p>end</p>") == "Hi **you** *there*\nagain\n\nend"

    def test_a_question_without_an_answer_at_the_end_goes_with_a_note(self) -> None:
        row = {"conversations": [{"from": "human", "value": "1"}, {"from": "gpt", "value": "2"}, {"from": "human", "value": "3"}]}
        (draft,) = FAMILIES["sharegpt"].convert(row)
        assert [m.content for m in draft.messages] == ["1", "2"]
        assert draft.note == "the last question has no answer and was left out: '3'"


def _message(text: str, role: str, *replies: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"text": text, "role": role, "replies": list(replies), "review_result": True, "deleted": False, **fields}


class TestOasst:
    TREE = {
        "message_tree_id": "1",
        "prompt": _message(
            "물음",
            "prompter",
            _message("second best", "assistant", rank=1),
            _message("best", "assistant", _message("그다음?", "prompter", _message("끝", "assistant")), rank=0),
            _message("deleted", "assistant", deleted=True, rank=-1),
            lang="ko",
        ),
    }

    def test_the_best_ranked_path(self) -> None:
        assert turns("oasst", self.TREE) == [("user", "물음"), ("assistant", "best"), ("user", "그다음?"), ("assistant", "끝")]
        assert FAMILIES["oasst"].convert(self.TREE)[0].language == "ko"

    def test_a_question_without_an_answer_at_the_end_goes(self) -> None:
        tree = {"prompt": _message("q", "prompter", _message("a", "assistant", _message("q2", "prompter")))}
        assert turns("oasst", tree) == [("user", "q"), ("assistant", "a")]

    @pytest.mark.parametrize(
        ("first", "second", "best"),
        [
            ({"rank": 2}, {"rank": 0}, "second"),
            ({"rank": 0}, {}, "first"),
            ({}, {"rank": 3}, "second"),
            ({"labels": {"name": ["quality"], "value": [0.2]}}, {"labels": {"name": ["quality"], "value": [1]}}, "second"),
            ({"labels": {"quality": {"value": 0.2}}}, {"labels": {"quality": {"value": 0.9}}}, "second"),
            ({}, {}, "first"),
            ({"review_result": False, "rank": 0}, {"rank": 1}, "second"),
            ({"review_count": 0}, {"review_count": 3}, "second"),
        ],
        ids=["rank", "ranked first", "unranked last", "quality on the Hub", "quality", "order", "refused", "unreviewed"],
    )
    def test_which_reply_goes_on(self, first: dict[str, Any], second: dict[str, Any], best: str) -> None:
        root = _message("q", "prompter", _message("first", "assistant", **first), _message("second", "assistant", **second))
        (path,) = answered_paths(root, DEFAULT)
        assert [m["text"] for m in path] == ["q", best]

    WIDE = _message(
        "q",
        "prompter",
        _message(
            "a", "assistant",
            _message("a1", "prompter"),
            _message("a2", "prompter", _message("a2a", "assistant", labels={"name": ["quality"], "value": [0.3]}),
                     _message("a2b", "assistant", labels={"name": ["quality"], "value": [0.8]})),
            rank=1, labels={"name": ["quality"], "value": [0.9]}),
        _message(
            "b", "assistant", _message("b1", "prompter"), rank=0, labels={"name": ["toxicity", "quality"], "value": [0, 0.5]}
        ),
    )

    @pytest.mark.parametrize(
        ("options", "paths"),
        [
            ({}, [["q", "b"]]),
            ({"top_k": 2}, [["q", "b"], ["q", "a", "a2", "a2b"], ["q", "a", "a2", "a2a"]]),
            ({"top_k": None}, [["q", "b"], ["q", "a", "a2", "a2b"], ["q", "a", "a2", "a2a"]]),
            ({"unanswered": "drop"}, []),
            ({"order": "quality"}, [["q", "a"]]),
            ({"order": "quality", "unanswered": "drop", "top_k": None}, [["q", "a", "a2", "a2b"], ["q", "a", "a2", "a2a"]]),
        ],
    )
    def test_options(self, options: dict[str, Any], paths: list[list[str]]) -> None:
        convert, _ = FAMILIES["oasst"].bind(options)
        if not paths:
            with pytest.raises(UnreadableRow, match="no_complete_path"):
                convert({"prompt": self.WIDE})
            return
        assert [[m.content for m in draft.messages] for draft in convert({"prompt": self.WIDE})] == paths


def _flat(message_id: str, parent_id: str | None, tree: str, text: str, role: str, **fields: Any) -> dict[str, Any]:
    return {"message_id": message_id, "parent_id": parent_id, "message_tree_id": tree, "text": text, "role": role,
            "review_result": True, "deleted": False, **fields}


class TestFlatOasst:
    ROWS = (
        _flat("2", "1", "t", "worse", "assistant", rank=1),
        _flat("1", None, "t", "물음", "prompter", lang="ko"),
        {"message_tree_id": "whole", "prompt": _message("q", "prompter", _message("a", "assistant"))},
        _flat("3", "1", "t", "best", "assistant", rank=0),
        _flat("9", None, "u", "nobody answers", "prompter"),
    )

    def test_messages_are_put_together_and_kept_or_rejected_together(self, tmp_path: Path) -> None:
        out = ArtifactWriter(str(tmp_path / "raw"), stage="collect")
        out.read("oasst", 5)
        out.kept("oasst", 5)
        for number, row in enumerate(self.ROWS):
            out.write("raw", {"raw_file": "hub", "raw_row": number, "raw": json.dumps(row)}, RAW_SCHEMA)
        spec = Source.model_validate({"name": "oasst", "family": "oasst", "load": {"kind": "file", "path": "x"}, "origin": "o",
                                      "license": "l"})
        collected, out = out.finish(), ArtifactWriter(str(tmp_path / "rows"), stage="convert")
        convert_source(collected, spec, out)
        converted = out.finish()
        assert converted.rows == {"read": 5, "kept": 4, "rejected": 1} and converted.reasons == {"no_complete_path": 1}
        whole, joined = read_examples(converted)
        assert (whole.id, joined.id, joined.language) == ("oasst_2", "oasst_1", "ko")
        assert [m.content for m in joined.messages] == ["물음", "best"]

    def test_a_tree_without_its_root(self) -> None:
        ((tree, members),) = join_messages([("hub", 0, _flat("2", "1", "t", "a", "assistant"))])
        assert (tree, len(members)) == ({"message_tree_id": "t", "prompt": None}, 1)
