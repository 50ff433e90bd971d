"""Filter: rules over single rows in a fixed order, then exact duplicates within and across sources.

RULES is the whole list, in the order in which it is applied: keywords → empty → roles → quality. A row is dropped
by the first rule that speaks, with that rule's reason, and keeps its body.
"""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from posttrain import recipe
from posttrain.schema import (
    Example,
    Message,
    PreferencePair,
    RLVRExample,
    UnreadableRow,
    all_messages,
    check_turns,
    conversation,
    kind_of,
)
from posttrain.storage import ArtifactWriter, Manifest, read_examples

Rule = Callable[[Example, recipe.Filter], str | None]
"""Looks at one example; returns what is wrong with it, or None."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Why one example is dropped: the rule, its reason (a key of schema.REASONS) and what was found."""

    rule: str
    reason: str
    detail: str


def filter_examples(inputs: list[Manifest], settings: recipe.Filter, out: ArtifactWriter) -> None:
    """Apply RULES to every example, then drop conversations that were kept before, in the order of `inputs`.

    Facts: {"rules": {rule: dropped rows}}, every rule of RULES and `duplicates`, in order.
    """
    dropped = Counter({name: 0 for name, _, _ in RULES} | {"duplicates": 0})
    seen: set[bytes] = set()
    for manifest in inputs:
        for example in read_examples(manifest):
            out.read(example.source)
            drop = check_example(example, settings) or (check_duplicate(example, seen) if settings.duplicates else None)
            if drop is None:
                out.keep(example)
            else:
                dropped[drop.rule] += 1
                out.reject_example(example, drop.reason, drop.detail)
    out.facts["rules"] = dict(dropped)


def check_example(example: Example, settings: recipe.Filter) -> Drop | None:
    """The first rule that speaks against one example; duplicates are not looked at."""
    for name, reason, rule in RULES:
        detail = rule(example, settings)
        if detail is not None:
            return Drop(name, reason, detail)
    return None


# ---------------------------------------------------------------- keywords

KEYWORDS = (
    "OpenAI", "Open AI", "ChatGPT", "Chat GPT", "GPT-3", "GPT3", "GPT 3", "GPT-4", "GPT4", "GPT 4", "GPT-3.5", "GPT3.5",
    "GPT 3.5", "BingChat", "Bing Chat", "LAION", "Open Assistant", "OpenAssistant",
)
"""The 18 strings of open-instruct v0.3.0 (`should_be_filtered_by_keyword`)."""

# Unescaped as there: the dot of "3.5" is any character, so that "GPT345" goes and Korean "OpenAI를" stays.
_KEYWORD = re.compile(r"\b(" + "|".join(KEYWORDS) + r")\b", re.IGNORECASE)


def names_another_assistant(example: Example, settings: recipe.Filter) -> str | None:
    """A provenance rule on assistant turns only (both sides of a pair): honest text about these companies goes too."""
    if not settings.keywords:
        return None
    for message in all_messages(example):
        if message.role == "assistant" and (found := _KEYWORD.search(message.content or "")):
            return f"the answer says {found[0]!r}"
    return None


# ---------------------------------------------------------------- empty, roles


def has_empty_message(example: Example, settings: recipe.Filter) -> str | None:
    if not settings.empty:
        return None
    messages = all_messages(example)
    if not messages:
        return "there is no turn at all"
    empty = next((n for n, m in enumerate(messages) if not (m.content or "").strip()), None)
    return None if empty is None else f"turn {empty} ({messages[empty].role}) is empty"


def has_turn_problem(example: Example, settings: recipe.Filter, *, reason: str) -> str | None:
    """Roles and alternation by `schema.check_turns`, of every side that is there. `reason` picks the complaint."""
    sides = [example.chosen, example.rejected] if isinstance(example, PreferencePair) else [example.messages]
    for messages in sides:
        if messages or not isinstance(example, PreferencePair):
            try:
                check_turns(messages, answered=not isinstance(example, RLVRExample))
            except UnreadableRow as problem:
                return (problem.detail or problem.field) if problem.reason == reason else None
    return None


# ---------------------------------------------------------------- too simple

_BARE = re.compile(
    r"(?:what(?:'s|\s+is)|how\s+much\s+is|calculate|compute|solve|work\s+out|add)?[\s:]*"
    r"\(?\d{1,2}(?:\s*[-+*/×x÷−·]\s*\d{1,2}){1,3}\)?\s*(?:=\s*\?*)?"
    r"\s*(?:[은는이가을를의]|값은|의\s*값은|은|는)?\s*(?:얼마\s*(?:인가요|입니까|예요|에요|야|지|니|일까요?)?|몇\s*(?:인가요|입니까|이에요|이야|일까요?)?"
    r"|뭐\s*(?:예요|에요|야|지|니)|무엇\s*(?:인가요|입니까|이니|일까요?)|계산\s*(?:하세요|해\s*줘|해\s*주세요|하시오|하라)|구하(?:세요|시오|라))?"
    r"\s*[?？.!=]*",
    re.IGNORECASE,
)


_ONE_WORD = re.compile(r"\W*[^\W\d_]+\W*")
"""Letters with punctuation around them; "x+2=4?" is no word."""


def is_too_simple(example: Example, settings: recipe.Filter) -> str | None:
    """Bare arithmetic of integers below 100 ("2+2?", "2+2는 얼마인가요?"), or one word answered with one word ("Hi!" "Hello!").

    Only conversations with a single user turn and without a system turn are looked at.
    """
    if not settings.too_simple:
        return None
    turns = conversation(example)
    if [m.role for m in turns] not in (["user"], ["user", "assistant"]):
        return None
    prompt = unicodedata.normalize("NFC", turns[0].content or "").strip()
    if _BARE.fullmatch(prompt):
        return f"bare arithmetic: {prompt[:80]!r}"
    if len(turns) == 2 and _ONE_WORD.fullmatch(prompt) and count_words(prompt) == 1 and count_words(turns[1].content) <= 1:
        return f"one word for one word: {prompt[:40]!r} → {(turns[1].content or '').strip()[:40]!r}"
    return None


# ---------------------------------------------------------------- special tokens, length

SPECIAL_TOKENS = (
    "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|endoftext|>", "<|endofprompt|>", "<|fim_prefix|>", "<|fim_middle|>",
    "<|fim_suffix|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|eot_id|>", "<|eom_id|>", "<|begin_of_text|>",
    "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>", "<|prompter|>", "<|end_of_turn|>",
    "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>",
)
"""Marks of the chat templates of ChatML, GPT, Llama 2 and 3, Phi, Gemma, Zephyr, Tülu, OpenAssistant."""


def has_special_token(example: Example, settings: recipe.Filter) -> str | None:
    """A turn with a mark of a chat template, whatever its letter case, would end or forge a turn in training.

    `<s>` and `</s>` are also HTML for struck-out text: a balanced pair inside a turn is kept; a pair around the whole
    turn, or one without the other, is the begin or end mark of Llama's tokenizer.
    """
    if not settings.special_tokens:
        return None
    for n, message in enumerate(all_messages(example)):
        text = (message.content or "").lower()
        found = next((token for token in SPECIAL_TOKENS if token.lower() in text), None) or _sentence_mark(text)
        if found:
            return f"turn {n} ({message.role}) holds {found!r}"
    return None


def _sentence_mark(text: str) -> str | None:
    if text.count("<s>") != text.count("</s>"):
        return "<s>" if text.count("<s>") > text.count("</s>") else "</s>"
    return "<s>" if text.strip().startswith("<s>") and text.strip().endswith("</s>") and text.count("<s>") == 1 else None


_HAN_OR_KANA = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")


def count_words(text: str | None) -> int:
    """Words between white space; where Chinese or Japanese is written without spaces, every character is one."""
    return sum(len(_HAN_OR_KANA.findall(word)) or 1 for word in (text or "").split())


def is_too_short(example: Example, settings: recipe.Filter) -> str | None:
    """Fewer words in the last answer than the recipe's min_words; a row without an answer (RLVR) has nothing to measure."""
    sides = [example.chosen, example.rejected] if isinstance(example, PreferencePair) else [example.messages]
    for messages in sides:
        if messages and messages[-1].role == "assistant" and (words := count_words(messages[-1].content)) < settings.min_words:
            return f"{words} words in the last answer, {settings.min_words} wanted"
    return None


def is_too_long(example: Example, settings: recipe.Filter) -> str | None:
    """More words in the whole conversation (of a pair: in the longer side) than the recipe's max_words."""
    sides = [example.chosen, example.rejected] if isinstance(example, PreferencePair) else [example.messages]
    words = max(sum(count_words(m.content) for m in messages) for messages in sides)
    return f"{words} words, {settings.max_words} allowed" if words > settings.max_words else None


# ---------------------------------------------------------------- duplicates


def check_duplicate(example: Example, seen: set[bytes]) -> Drop | None:
    """Drop an example whose normalised conversation is in `seen`; else remember it there (16 bytes each)."""
    digest = conversation_digest(example)
    if digest in seen:
        return Drop("duplicates", "duplicate_conversation", "the same conversation was kept before")
    seen.add(digest)
    return None


def conversation_digest(example: Example) -> bytes:
    """16 bytes over kind, roles and texts; NFC, letter case and runs of white space do not count.

    The kind is part of it: the SFT row and the RLVR row of one question are two different uses.
    """
    digest = hashlib.blake2b(kind_of(example).encode(), digest_size=16)
    sides = [example.chosen, example.rejected] if isinstance(example, PreferencePair) else [example.messages]
    for messages in sides:
        digest.update(b"\x02")
        for message in messages:
            digest.update(f"\x01{message.role}\x00{_normalise(message)}".encode())
    return digest.digest()


def _normalise(message: Message) -> str:
    return " ".join(unicodedata.normalize("NFC", message.content or "").casefold().split())


# ---------------------------------------------------------------- the table

RULES: tuple[tuple[str, str, Rule], ...] = (
    ("keywords", "names_another_assistant", names_another_assistant),
    ("empty", "empty_message", has_empty_message),
    ("roles", "unknown_role", functools.partial(has_turn_problem, reason="unknown_role")),
    ("user_turn", "no_user_turn", functools.partial(has_turn_problem, reason="no_user_turn")),
    ("assistant_turn", "no_assistant_turn", functools.partial(has_turn_problem, reason="no_assistant_turn")),
    ("alternation", "roles_do_not_alternate", functools.partial(has_turn_problem, reason="roles_do_not_alternate")),
    ("too_simple", "too_simple", is_too_simple),
    ("special_tokens", "special_token", has_special_token),
    ("min_words", "too_short", is_too_short),
    ("max_words", "too_long", is_too_long),
)
"""(name, reason, rule) in the order of application; exact duplicates come last."""
