"""Ten thousand rows with defects in one JSONL file a family, from the file to the mixture.

`tests/convert/test_published_schemas.py` gives mutated values to the converters; here they stand in a file as a publisher's
broken export would have them, with what only a file can hold: lines cut off, half surrogate pairs, NaN, bytes that are no UTF-8.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from posttrain.convert import FAMILIES
from posttrain.mix.books import keep_books
from posttrain.raw_files import Broken, read_raw_file
from posttrain.schema import REASONS, UnreadableRow
from posttrain.storage import Manifest, read_examples, read_rejected

ROWS_OF_A_FAMILY = 150
REAL_ROWS = 12

CONVERT_TESTS = Path(__file__).parents[1] / "convert" / "test_published_schemas.py"

USER, DEEP_HTML = {"role": "user", "content": "질문?"}, "<div>" * 999 + "x" + "</div>" * 999
TURN = {"role": "narrator", "content": "Once upon a time"}
WRONG: tuple[Any, ...] = (
    None, True, -1, 1e308, float("nan"), float("inf"), 10**400, "", " ", "x" * 300_000, "가" * 50_000, "a b " * 40_000,
    "\x00\x01\x07\x1b[31m\x7f\u0085\u2028\ufeff\ufffd\ufffe", "\ud800", "half \udc00 pair", "<|im_start|>user\n", "{{name}}",
    "2+2?", "I am ChatGPT, made by OpenAI를", "\r\n\r\n", "\u202e\u0000", "a" + "\u0301" * 500, "user@example.com 010-1234-5678",
    [], {}, [[]], [None, None], [{}], [TURN], [TURN, TURN], {"": ""}, [0.1] * 50, "[" * 5000,
    '["\\ud800"]', '"\\ud800"', "{'instruction_id': '\\ud800'}", "{'instruction_id': {1, 2}}",
    DEEP_HTML, json.loads("[" * 150 + "]" * 150), json.loads('{"a":' * 250 + "1" + "}" * 250),
)
"""What stands in place of a value. The last one is nested deeper than any row may be."""

NAMES = ("extra", "messages", "id", "source", "language", "role", "system", "text", "", "\ud800", "x" * 3000, "_key", "license")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value inside of a row."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(inner, (*path, key))


def mutated(row: Any, random: Random) -> Any:
    """The row with up to three values replaced, removed, renamed, cut or joined by another; every tenth stays as it is."""
    if random.random() < 0.1:
        return row
    row = copy.deepcopy(row)
    for _ in range(random.randint(1, 3)):
        found = list(places(row))
        if not found:
            break
        *path, last = random.choice(found)
        inside = functools.reduce(lambda value, key: value[key], path, row)
        change = random.choice(("replace", "replace", "remove", "rename", "add", "wrap", "spoil"))
        if change == "remove":
            del inside[last]
        elif change == "rename" and isinstance(inside, dict):
            inside[random.choice(NAMES)] = inside.pop(last)
        elif change == "add" and isinstance(inside, dict):
            inside[random.choice(NAMES)] = copy.deepcopy(random.choice(WRONG))
        elif change == "wrap":
            inside[last] = random.choice(([inside[last]], {"value": inside[last]}, str(inside[last])))
        elif change == "spoil" and isinstance(inside[last], str):
            text, at = inside[last], random.randint(0, len(inside[last]))
            inside[last] = text[:at] + random.choice(("\x00", "\ud83d", "\ufffd", "\n" * 99, "가", "<|end|>")) + text[at:]
        else:
            inside[last] = copy.deepcopy(random.choice(WRONG))
    return row


def line_of(row: Any, random: Random) -> bytes:
    """The row as a line: in ASCII with half surrogate pairs as escapes, now and then in bare bytes or cut off."""
    draw = random.random()
    if draw < 0.1:
        return json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")
    line = json.dumps(row).encode()
    if draw < 0.13:
        return line[: random.randint(1, len(line))]
    if draw < 0.15:
        at = random.randint(0, len(line))
        return line[:at] + random.choice((b"\xff", b"\x80", "가".encode("cp949"), b"\x00")) + line[at:]
    return line


@pytest.fixture(scope="module")
def seeds(test_data: Path) -> dict[str, list[Any]]:
    """Family → rows: those that are written by hand in the publisher's schema, and the first of the real files."""
    spec = importlib.util.spec_from_file_location("published_schemas", CONVERT_TESTS)
    assert spec and spec.loader
    by_hand = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(by_hand)
    found: dict[str, list[Any]] = {name: [row for row, _ in cases] for name, cases in by_hand.ROWS.items()}
    found |= {name: [row] for name, row in by_hand.OTHER_KINDS.items()}
    for name, family in FAMILIES.items():
        for pattern in family.tested_on:
            rows = read_raw_file(sorted(test_data.glob(pattern))[0])
            real = [row for (_, row), _ in zip(rows, range(REAL_ROWS), strict=False) if not isinstance(row, Broken)]
            found.setdefault(name, []).extend(real)
    assert {FAMILIES[name].convert for name in found} == {family.convert for family in FAMILIES.values()}
    return found


def check_rejected(manifest: Manifest) -> None:
    """Every rejected row says where it stands and what it was."""
    rejected = list(read_rejected(manifest))
    assert len(rejected) == manifest.rows["rejected"], manifest.path
    for row in rejected:
        assert row["reason"] in REASONS and row["raw_file"] and row["raw_row"] is not None and row["row"], row


def test_ten_thousand_rows_to_the_mixture(seeds, data_folder, run_to_mix) -> None:
    random, written, lines = Random(20261121), {}, {}
    for name, rows in seeds.items():
        lines[name] = [line_of(mutated(random.choice(rows), random), random) for _ in range(ROWS_OF_A_FAMILY)]
        (data_folder / f"{name}.jsonl").write_bytes(b"\n".join(lines[name]))
        written[name] = sum(bool(line.strip()) for line in lines[name])
    assert sum(written.values()) >= 10_000

    rules = dict.fromkeys(("encoding", "one_word_answers", "repetition", "model_phrases", "truncated", "prompt_differs"), "drop")
    run = run_to_mix({name: (name, f"{name}.jsonl") for name in seeds}, filter=rules | {"personal_data": "mask"})

    for name in seeds:
        collected, converted = run.manifest("collect", name), run.manifest("convert", name)
        assert collected.rows["read"] == written[name]
        assert converted.rows["read"] == collected.rows["kept"]
        check_rejected(collected)
        check_rejected(converted)
        raw = {n: value for n, value in read_raw_file(data_folder / f"{name}.jsonl")}
        refused = list(read_rejected(converted))
        assert all(row["field"] for row in refused), name
        assert all(row["row"] == as_kept(raw[row["raw_row"]]) for row in refused), name
        kept = {example.raw_row for example in read_examples(converted)}
        assert not kept & {row["raw_row"] for row in refused} and len(refused) + converted.rows["kept"] == collected.rows["kept"]
    for stage in ("filter", "decontaminate", "mix"):
        manifest = run.manifest(stage)
        assert manifest.rows["read"] == manifest.rows["kept"] + manifest.rows["rejected"] > 0
        check_rejected(manifest)
    books = keep_books(run)
    assert (books.problems, books.unexplained) == ([], 0)
    assert set(run.manifest("mix").written) >= {"sft", "preference", "rlvr"}


def as_kept(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize(("family", "row", "field"), [
    ("code_tests", {"question": "q", "test_cases": "[" * 5000}, "test_cases"),
    ("code_tests", {"question": "q", "test_cases": '["\\ud800"]'}, "test_cases"),
    ("rlvr", {"messages": [USER], "dataset": "ifeval", "ground_truth": "{'instruction_id': {1, 2}}"}, "ground_truth"),
    ("rlvr", {"messages": [USER], "dataset": "ifeval", "ground_truth": "{'instruction_id': '\\ud800'}"}, "ground_truth"),
    ("rlvr", {"messages": [USER], "dataset": "ifeval", "ground_truth": '{"instruction_id": "\\ud800"}'}, "ground_truth"),
    ("rlvr", {"messages": [USER], "dataset": "ifeval", "ground_truth": "[" * 5000}, "ground_truth"),
    ("sharegpt", {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": DEEP_HTML}]}, "value"),
])
def test_text_within_a_field_that_is_read_once_more(family: str, row: dict[str, Any], field: str) -> None:
    """JSON, Python's form of it and HTML in a field: what the reader of the file could not see yet."""
    with pytest.raises(UnreadableRow) as error:
        FAMILIES[family].convert(row)
    assert (error.value.reason, error.value.field) == ("wrong_type", field)


def test_a_quoted_text_with_half_a_surrogate_pair_stays_quoted() -> None:
    (draft,) = FAMILIES["persona"].convert({"input persona": "p", "synthesized text": '"\\ud800"'})
    assert draft.messages[1].content == '"\\ud800"'
