"""Tokenizers and rows that the tests of this folder share."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from posttrain.schema import Message, SFTExample
from posttrain.storage import ArtifactWriter, Manifest
from posttrain.tokenize.templates import TEMPLATES
from posttrain.tokenize.tiny import train_tokenizer
from posttrain.tokenize.tokenizer import ChatTokenizer, open_tokenizer

TEXTS = ["You are a helpful assistant", "What is 4 + 4?", "4 + 4 = 8", "사과 세 개에 두 개를 더하면?", "다섯 개입니다."]


@pytest.fixture(scope="session")
def tiny() -> dict[str, ChatTokenizer]:
    """A tiny tokenizer for every template."""
    return {name: ChatTokenizer(train_tokenizer(iter(TEXTS * 3), 400, name), {}) for name in TEMPLATES}


@pytest.fixture(scope="session")
def real_file(test_data: Path) -> Path:
    """A published vocabulary of 50,280 tokens as a bare tokenizer.json.gz."""
    return test_data / "tokenizer" / "allenai__dolma" / "gpt-neo-test-tokenizer.json.gz"


@pytest.fixture(scope="session")
def real(real_file: Path) -> dict[str, ChatTokenizer]:
    """The published vocabulary with every template."""
    return {name: open_tokenizer(real_file, name) for name in TEMPLATES}


@pytest.fixture(scope="session")
def real_conversations(test_data: Path) -> list[tuple[Message, ...]]:
    """The first 150 conversations of open-instruct's Tülu sample."""
    path = test_data / "train" / "allenai__open-instruct" / "tulu2_mix_sample_debug.jsonl.gz"
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    return [tuple(Message(m["role"], m["content"]) for m in row["messages"]) for row in rows[:150]]


@pytest.fixture
def saved(tiny: dict[str, ChatTokenizer], tmp_path: Path) -> Path:
    """A folder with the tiny Tülu tokenizer's files."""
    tiny["tulu"].tokenizer.save_pretrained(tmp_path / "tokenizer")
    return tmp_path / "tokenizer"


@pytest.fixture
def mixture(tmp_path: Path) -> Any:
    """A function from conversations (or (source, conversation) pairs) to a mixture's manifest."""

    numbers = itertools.count()

    def write(*rows: Any) -> Manifest:
        out = ArtifactWriter(str(tmp_path / f"mixture-{next(numbers)}"), stage="mix", key="m")
        for n, row in enumerate(rows):
            source, messages = row if isinstance(row[0], str) else ("seed", row)
            out.read(source)
            out.keep(SFTExample(id=f"{source}_{n}", source=source, category="general", skill="general", language="en",
                                license="MIT", raw_file="seed.jsonl", raw_row=n, messages=messages))
        return out.finish()

    return write
