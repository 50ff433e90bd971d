"""The teacher's paraphrase of rows without numbers, by an endpoint that answers as a language model would."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.teacher.conftest import FlakyEndpoint

from posttrain import pipeline
from posttrain.run import Run
from posttrain.schema import Message, PreferencePair, SFTExample
from posttrain.storage import read_examples, read_rejected

ASKED = "Name the rivers that flow through the old town of Prague."  # 11 words
ITEM = ASKED + " Write one line for each of them and say it in full sentences."
NEW = {"question": "Which lakes lie north of Milan?", "answer": "Lake Como and Lake Maggiore.", "worse_answer": "Some."}
SHARED = {"source": "train", "category": "general", "skill": "general", "language": "en", "license": "MIT"}


@pytest.fixture
def review(tmp_path: Path, make_review_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> Any:
    """`review(rows, answer)`: the review stage with an endpoint that gives this answer; (manifest, requests)."""
    def do(rows: list[Any], answer: dict[str, str]) -> Any:
        with FlakyEndpoint() as endpoint:
            monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
            monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")

            def complete(n: int, body: dict[str, Any]) -> Any:
                wanted = body["response_format"]["json_schema"]["schema"]["required"]
                text = json.dumps({name: answer[name] for name in wanted})
                return 200, {}, json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}], "usage": {}})

            endpoint.fault = complete
            run = make_review_run(str(tmp_path / "workspace"), tmp_path / "data", rows, [ITEM],
                                  teacher={"connection": "an_endpoint", "model": "some-model", "max_retries": 0})
            return pipeline.review(run).manifest, endpoint.bodies

    return do


def test_a_row_without_a_number_is_not_asked_for_one(review: Any) -> None:
    row = SFTExample(id="row", messages=(Message("user", ASKED), Message("assistant", "The Vltava.")), **SHARED)
    done, (request,) = review([row], NEW)
    assert "####" not in json.dumps(request) and "digits" not in request["messages"][0]["content"]
    (new,) = read_examples(done)
    assert [message.content for message in new.messages] == [NEW["question"], NEW["answer"]]


def test_a_pair_of_texts_gets_both_answers(review: Any) -> None:
    asked = Message("user", ASKED)
    pair = PreferencePair(id="pair", prompt=ASKED, chosen=(asked, Message("assistant", "The Vltava.")),
                          rejected=(asked, Message("assistant", "No idea.")), **SHARED)
    done, _ = review([pair], NEW)
    (new,) = read_examples(done, "preference")
    assert (new.prompt, new.chosen[1].content, new.rejected[1].content) == tuple(NEW.values())


def test_the_teacher_does_not_get_a_book(review: Any) -> None:
    book = "It rained all day long. " * 50_000
    turns = (Message("user", book), Message("assistant", book), Message("user", ASKED), Message("assistant", "The Vltava."))
    _, (request,) = review([SFTExample(id="row", messages=turns, **SHARED)], NEW)
    assert len(request["messages"][1]["content"]) < 5_000


def test_the_old_question_again_goes(review: Any) -> None:
    row = SFTExample(id="row", messages=(Message("user", ASKED), Message("assistant", "The Vltava.")), **SHARED)
    done, _ = review([row], NEW | {"question": ASKED})
    assert done.reasons == {"still_in_review_band": 1} and "exam exam.jsonl:0" in next(read_rejected(done))["detail"]
