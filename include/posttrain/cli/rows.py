"""Rows from Parquet, JSONL and other row files that no stage of the pipeline wrote, as an artifact that the stages can read."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from posttrain.convert.gsm8k_guard import holds_test_question
from posttrain.raw_files import READERS, Broken, file_format, read_raw_file
from posttrain.raw_rows import RAW, raw_rows
from posttrain.schema import (
    EXAMPLE_TYPES,
    Example,
    Message,
    PreferencePair,
    Rejected,
    RLVRExample,
    SFTExample,
    UnreadableRow,
    guess_language,
)
from posttrain.storage import ArtifactWriter, Manifest, load_manifest, sha256_file

UNSTATED = "not stated"
CLEAN = "clean"
"""The splits of rows that `convert` has not read yet: as `collect` and as `decontaminate` keep them."""


@dataclass
class Inputs:
    """What a command was given. `unreadable`: rows that are no examples; they count as read and rejected."""

    manifests: list[Manifest] = field(default_factory=list)
    parents: list[dict[str, str]] = field(default_factory=list)
    unreadable: list[Rejected] = field(default_factory=list)


def read_inputs(paths: list[Path], folder: Path) -> Inputs:
    """Artifacts as they are; any other file or folder of files is read into an artifact under `folder` first."""
    inputs = Inputs()
    for path in paths:
        if is_artifact(path):
            manifest = load_manifest(str(path.resolve()))
            inputs.parents.append(artifact_parent(manifest))
            # Rows of published files, as decontaminate keeps them, and raw rows are read like the rows of a file.
            if CLEAN in manifest.written or RAW in manifest.written:
                read = read_clean_files if CLEAN in manifest.written else read_raw_artifact
                manifest = _import(read(manifest), inputs, folder)
            inputs.manifests.append(manifest)
            continue
        for file in row_files(path):
            inputs.parents.append(file_parent(file))
            inputs.manifests.append(_import(read_file(file), inputs, folder))
    return inputs


def _import(rows: Iterator[Example | Rejected], inputs: Inputs, folder: Path) -> Manifest:
    writer = ArtifactWriter(str(folder / f"rows-{len(inputs.manifests):04d}"), stage="import")
    for found in rows:
        writer.read(found.source)
        if isinstance(found, Rejected):
            inputs.unreadable.append(found)
            writer.reject(found)
        else:
            writer.keep(found)
    return writer.finish()


def file_parent(file: Path) -> dict[str, str]:
    """A file as a manifest names it among the things that an artifact was made from."""
    return {"stage": "file", "path": str(file.resolve()), "content": sha256_file(str(file))}


def artifact_parent(manifest: Manifest) -> dict[str, str]:
    return {"stage": manifest.stage, "path": manifest.path, "content": manifest.content}


def given_parents(paths: list[Path]) -> list[dict[str, str]]:
    """Artifacts and files as a manifest names them."""
    parents = []
    for path in paths:
        artifacts = [load_manifest(str(path.resolve()))] if is_artifact(path) else []
        parents += [artifact_parent(m) for m in artifacts] or [file_parent(file) for file in row_files(path)]
    return parents


def is_artifact(path: Path) -> bool:
    return (path / "manifest.json").is_file() or path.name == "manifest.json"


def row_files(path: Path) -> list[Path]:
    """The file itself, or the row files of a folder and its subfolders in sorted order. Raises ValueError where there is none."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file() and file_format(file))
    if not files:
        raise ValueError(f"{path} is no artifact (it has no manifest.json) and holds no file that ends in {', '.join(READERS)}")
    return files


def stem_of(path: Path) -> str:
    """`data/alpaca_en.jsonl.gz` → `alpaca_en`."""
    return path.name.split(".")[0] or path.name


def read_file(path: Path) -> Iterator[Example | Rejected]:
    """Every row of a file as an example, or as a rejected row that names file, row and field."""
    return (_example_or_rejected(raw, stem_of(path), str(path), number) for number, raw in read_raw_file(path))


def read_raw_artifact(manifest: Manifest) -> Iterator[Example | Rejected]:
    """Every row of an artifact's split `raw`, as `read_file` gives them."""
    for file, number, value in raw_rows(manifest):
        yield _example_or_rejected(value, stem_of(Path(file)), file, number)


def read_clean_files(manifest: Manifest) -> Iterator[Example | Rejected]:
    """Every row of the files that `decontaminate` found clean; a file's source is that of the file it was made from."""
    rows: Counter[str] = Counter()
    for entry in manifest.files:
        if entry.split == CLEAN:
            source = re.sub(r"^clean-|-\d+\.parquet$", "", entry.name)
            for _, raw in read_raw_file(manifest.file(entry.name)):
                yield _example_or_rejected(raw, source, entry.name, rows[source])
                rows[source] += 1


def _example_or_rejected(raw: Any, source: str, file: str, number: int) -> Example | Rejected:
    if isinstance(raw, Broken):
        return Rejected(reason=raw.reason, source=source, raw_file=file, raw_row=number, detail=raw.detail, row=raw.text)
    try:
        return to_example(raw, source, file, number)
    except UnreadableRow as error:
        return Rejected(reason=error.reason, source=_text(raw, "source") or source, raw_file=file, raw_row=number,
                        field=error.field, detail=error.detail, row=raw)


# ---------------------------------------------------------------- one row


def to_example(raw: Any, source: str, file: str, number: int) -> Example:
    """A row as the example that its columns say it is.

    `chosen` or `rejected` → a pair; `ground_truth` → RLVR; else SFT, from `messages` or from a prompt and its
    answer. Columns on where the row comes from are kept and filled where they are missing. Raises UnreadableRow.
    """
    if not isinstance(raw, dict):
        raise UnreadableRow("wrong_type", "(row)", f"a row is an object, not {type(raw).__name__}")
    row = {name: value for name, value in raw.items() if value is not None}
    if "chosen" in row or "rejected" in row:
        return _pair(row, source, file, number)
    if "ground_truth" in row:
        messages = _messages(row, "messages") if "messages" in row else (Message("user", _prompt(row)),)
        verifier = str(row.get("verifier") or row.get("dataset") or "gsm8k").lower()
        truth = row["ground_truth"]
        truth = truth if isinstance(truth, str) else json.dumps(truth, ensure_ascii=False)
        _refuse_test_questions(messages)
        return RLVRExample(**_provenance(row, "rlvr", source, file, number, messages), messages=messages, ground_truth=truth,
                           verifier=verifier)
    messages = _messages(row, "messages") if "messages" in row else _exchange(row)
    return SFTExample(**_provenance(row, "sft", source, file, number, messages), messages=messages)


def _refuse_test_questions(messages: tuple[Message, ...]) -> None:
    """A row to reward from a file passes the same guard as one that `convert` reads."""
    for n, message in enumerate(messages):
        if message.role == "user" and holds_test_question(message.content):
            raise UnreadableRow("test_split_row", f"messages[{n}]", "the question stands in the test split of GSM8K")


def _pair(row: dict[str, Any], source: str, file: str, number: int) -> PreferencePair:
    prompt = _text(row, "prompt")
    sides = {}
    for side in ("chosen", "rejected"):
        if isinstance(row.get(side), str):
            question = (Message("user", prompt),) if prompt else ()
            sides[side] = (*question, Message("assistant", row[side]))
        else:
            sides[side] = _messages(row, side) if side in row else ()
    prompt = prompt or next((m.content for m in sides["chosen"] or sides["rejected"] if m.role == "user"), "")
    models = {name: _text(row, name) for name in ("chosen_model", "rejected_model")}
    policy = "on_policy" if row.get("policy") == "on_policy" else "off_policy"
    turns = sides["chosen"] + sides["rejected"]
    own = _provenance(row, "preference", source, file, number, turns)
    return PreferencePair(**own, prompt=prompt, **sides, **models, policy=policy)


def _messages(row: dict[str, Any], name: str) -> tuple[Message, ...]:
    turns = row[name]
    if not isinstance(turns, list):
        raise UnreadableRow("wrong_type", name, f"a list of messages, not {type(turns).__name__}")
    for n, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise UnreadableRow("wrong_type", f"{name}[{n}]", f"a message is an object, not {type(turn).__name__}")
        for key in ("role", "content"):
            if not isinstance(turn.get(key), str):
                reason = "missing_field" if turn.get(key) is None else "wrong_type"
                raise UnreadableRow(reason, f"{name}[{n}].{key}", f"text expected, found {type(turn.get(key)).__name__}")
    return tuple(Message(turn["role"], turn["content"]) for turn in turns)


_PROMPTS, _ANSWERS = ("prompt", "question", "instruction", "text"), ("completion", "answer", "response", "output")


def _prompt(row: dict[str, Any]) -> str:
    """`prompt`, `question`, `instruction` with its `input` below, or `text`."""
    name = next((name for name in _PROMPTS if name in row), None)
    if name is None:
        raise UnreadableRow("missing_field", "messages", f"none of messages, {', '.join(_PROMPTS)}")
    if not isinstance(row[name], str):
        raise UnreadableRow("wrong_type", name, f"text expected, found {type(row[name]).__name__}")
    return f"{row[name]}\n\n{row['input']}" if name == "instruction" and _text(row, "input") else row[name]


def _exchange(row: dict[str, Any]) -> tuple[Message, ...]:
    """A question with its answer, or a question alone (which `filter` will find unanswered)."""
    question, name = _prompt(row), next((name for name in _ANSWERS if name in row), None)
    if name is None:
        return (Message("user", question),)
    if not isinstance(row[name], str):
        raise UnreadableRow("wrong_type", name, f"text expected, found {type(row[name]).__name__}")
    return (Message("user", question), Message("assistant", row[name]))


def _text(row: Any, name: str) -> str | None:
    value = row.get(name) if isinstance(row, dict) else None
    return value if isinstance(value, str) and value else None


def _provenance(
    row: dict[str, Any], kind: str, source: str, file: str, number: int, turns: tuple[Message, ...],
) -> dict[str, Any]:
    own = {f.name for f in fields(EXAMPLE_TYPES[kind])} & row.keys()
    # Tülu 2 calls the source `dataset`; in an RLVR row that is the verifier.
    source = _text(row, "source") or (_text(row, "dataset") if kind != "rlvr" else None) or source
    category = _text(row, "category") or "general"
    values = {
        "id": str(row.get("id", f"{source}_{number}")), "source": source, "category": category,
        "skill": _text(row, "skill") or category, "license": _text(row, "license") or UNSTATED,
        "language": _text(row, "language") or guess_language(" ".join(m.content for m in turns)),
        "raw_file": _text(row, "raw_file") or file,
        "raw_row": row["raw_row"] if isinstance(row.get("raw_row"), int) else number,
    }
    optional = ("parent_id", "persona", "request_id", "published_source", "trace")
    rest: dict[str, Any] = {name: row[name] for name in optional if name in own and isinstance(row[name], str)}
    if isinstance(row.get("tags"), list):
        rest["tags"] = tuple(tag for tag in row["tags"] if isinstance(tag, str))
    if row.get("made_by") in ("selected", "rewritten", "new"):
        rest["made_by"] = row["made_by"]
    return values | rest
