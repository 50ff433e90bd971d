"""OpenAssistant message trees: paths from the root to an answer become conversations; by default the best one.

A raw row is a whole tree (the `trees` files) or one message of a tree (OpenAssistant/oasst1 on the Hub).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field

from posttrain.convert.draft import Draft
from posttrain.convert.fields import object_of, text_of
from posttrain.convert.messages import language_of
from posttrain.convert.turns import ROLE_ALIASES
from posttrain.raw_rows import RawRow
from posttrain.schema import Message, UnreadableRow, check_turns
from posttrain.section import Section


class OasstOptions(Section):
    top_k: int | None = Field(default=1, ge=1, description="replies that go on at every message, the best ones; null: all")
    order: Literal["rank", "quality"] = Field(
        default="rank", description="`rank`: people's rank, then quality; `quality`: the quality label alone, as open-instruct")
    unanswered: Literal["shorten", "drop"] = Field(
        default="shorten", description="a path that ends in a question loses the question, or is dropped, as by open-instruct")


DEFAULT = OasstOptions()


def convert_oasst(row: Any, options: OasstOptions = DEFAULT) -> list[Draft]:
    """{message_tree_id, prompt: {text, role, lang, rank, review_result, deleted, replies}} → one conversation a path.

    With the default options that is one conversation, in which at every message the best reply goes on: the lowest human
    rank (0 is best), among unranked ones the highest quality label, else the first. Deleted and unreviewed messages end a
    path. open-instruct's choice is {top_k: 1, order: quality, unanswered: drop}.
    """
    fields = object_of(row)
    root = fields.get("prompt")
    if root is None:
        raise UnreadableRow("missing_field", "prompt", "no first message")
    if not isinstance(root, dict):
        raise UnreadableRow("wrong_type", "prompt", f"{type(root).__name__} instead of a message")
    drafts = []
    for path in answered_paths(root, options):
        messages = tuple(Message(_role(message), text_of(message, "text")) for message in path)
        check_turns(messages)
        drafts.append(Draft(messages=messages, language=language_of(path[0])))
    if not drafts:
        raise UnreadableRow("no_complete_path", "prompt.replies")
    return drafts


def join_messages(rows: Iterable[RawRow]) -> Iterator[tuple[Any, list[RawRow]]]:
    """Trees as they come; single messages, which may stand in any order, as trees after the last row.

    The first of a tree's rows is its root. Messages whose root is missing give a tree without a prompt.
    """
    trees: dict[str, list[RawRow]] = {}
    for row in rows:
        if _is_message(row[2]):
            trees.setdefault(row[2]["message_tree_id"], []).append(row)
        else:
            yield row[2], [row]
    for tree_id, members in trees.items():
        members.sort(key=lambda row: row[2].get("parent_id") is not None)  # stable: only the root moves
        messages = {row[2]["message_id"]: row[2] | {"replies": []} for row in members}
        for message in messages.values():
            parent = messages.get(message.get("parent_id"))
            if parent is not None:
                parent["replies"].append(message)
        root = next((message for message in messages.values() if message.get("parent_id") is None), None)
        yield {"message_tree_id": tree_id, "prompt": root}, members


def _is_message(value: Any) -> bool:
    names = ("message_id", "message_tree_id")
    return (
        isinstance(value, dict) and "prompt" not in value and all(isinstance(value.get(name), str) for name in names)
        and isinstance(value.get("parent_id"), str | None)
    )


Path = tuple[dict[str, Any], ...]


def answered_paths(root: dict[str, Any], options: OasstOptions) -> list[Path]:
    """The paths that end in an answer, each once, and none that is the beginning of another."""
    found: dict[tuple[int, ...], Path] = {}
    for path in _paths(root, options):
        while path and _role(path[-1]) != "assistant":
            path = path[:-1] if options.unanswered == "shorten" else ()
        if path:
            found[tuple(id(message) for message in path)] = path
    beginnings = {key[:n] for key in found for n in range(1, len(key))}
    return [path for key, path in found.items() if key not in beginnings]


def _paths(root: dict[str, Any], options: OasstOptions) -> Iterator[Path]:
    """Every path from the root as far as the replies are usable, best replies first, with at most `top_k` replies a message."""
    rank = _rank if options.order == "rank" else _quality_rank
    todo: list[Path] = [(root,)] if _usable(root) else []
    while todo:
        path = todo.pop()
        replies = path[-1].get("replies") or []
        if not isinstance(replies, list) or not all(isinstance(reply, dict) for reply in replies):
            raise UnreadableRow("wrong_type", "replies", "not a list of messages")
        best = sorted((reply for reply in replies if _usable(reply)), key=rank)[: options.top_k]
        if not best:
            yield path
        todo += [(*path, reply) for reply in reversed(best)]


def _usable(message: dict[str, Any]) -> bool:
    """Neither deleted nor unreviewed. A message without the review fields counts as reviewed."""
    return not message.get("deleted") and message.get("review_result", True) is True and message.get("review_count", 1) != 0


def _rank(message: dict[str, Any]) -> tuple[float, float]:
    rank, quality = message.get("rank"), _quality(message.get("labels"))
    return (rank if isinstance(rank, int | float) else float("inf"), -quality)


def _quality_rank(message: dict[str, Any]) -> float:
    return -_quality(message.get("labels"))


def _quality(labels: Any) -> float:
    """The label `quality`, from {"quality": {"value": …}} or, on the Hub, {"name": [...], "value": [...]}; 0 without one."""
    if not isinstance(labels, dict):
        return 0.0
    names, values = labels.get("name"), labels.get("value")
    if isinstance(names, list) and isinstance(values, list):
        value = next((value for name, value in zip(names, values, strict=False) if name == "quality"), None)
    else:
        quality = labels.get("quality")
        value = quality.get("value") if isinstance(quality, dict) else None
    return value if isinstance(value, int | float) else 0.0


def _role(message: dict[str, Any]) -> str:
    role = text_of(message, "role")
    if role not in ROLE_ALIASES:
        raise UnreadableRow("unknown_role", "role", repr(role))
    return ROLE_ALIASES[role]
