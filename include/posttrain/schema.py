"""The three example types that every stage after `convert` sees, and their Parquet schemas.

An example is a frozen dataclass; a row is the same thing as a plain dict, as it stands in Parquet.
Published column names (`id`, `messages`, `source`, `prompt`, `chosen`, `rejected`, `ground_truth`) are kept.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

Role = Literal["system", "user", "assistant"]
Kind = Literal["sft", "preference", "rlvr"]
MadeBy = Literal["selected", "rewritten", "new"]
Policy = Literal["on_policy", "off_policy"]

ROLES: tuple[str, ...] = ("system", "user", "assistant")
CATEGORIES = ("general", "knowledge", "math", "code", "safety", "multilingual", "precise_if")


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an example comes from: enough to walk it back to its raw row or to the teacher's request.

    `raw_file` and `raw_row` (0-based) name the row of the collected file. A rewritten or new row has
    `parent_id`, the example it was made from, and `request_id`, the journal key of the teacher's answer.
    `published_source` is what the publisher's own `source` (or `dataset`) column says; `source` is the recipe's name.
    `tags` are labels that the publisher gave the row beyond its category, in the publisher's words: a MATH level
    (`Level 5`), the topics of a red-team attack.
    """

    id: str
    source: str
    category: str
    skill: str
    language: str
    license: str
    made_by: MadeBy = "selected"
    parent_id: str | None = None
    persona: str | None = None
    raw_file: str | None = None
    raw_row: int | None = None
    request_id: str | None = None
    published_source: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SFTExample(Provenance):
    """`trace` is the reasoning before the last answer where the recipe wants it apart from the turns; it is not trained on."""

    messages: tuple[Message, ...]
    trace: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencePair(Provenance):
    """`chosen` and `rejected` are whole conversations; one of them is empty where only a KTO label is known."""

    prompt: str
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    chosen_model: str | None = None
    rejected_model: str | None = None
    policy: Policy = "off_policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class RLVRExample(Provenance):
    """`messages` end with the user's turn; `verifier` is a key of `posttrain.verifiers.VERIFIERS`."""

    messages: tuple[Message, ...]
    ground_truth: str
    verifier: str


Example = SFTExample | PreferencePair | RLVRExample
EXAMPLE_TYPES: dict[str, type[Example]] = {"sft": SFTExample, "preference": PreferencePair, "rlvr": RLVRExample}

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_PROVENANCE = [
    ("id", pa.string()),
    ("source", pa.string()),
    ("category", pa.string()),
    ("skill", pa.string()),
    ("language", pa.string()),
    ("license", pa.string()),
    ("made_by", pa.string()),
    ("parent_id", pa.string()),
    ("persona", pa.string()),
    ("raw_file", pa.string()),
    ("raw_row", pa.int64()),
    ("request_id", pa.string()),
    ("published_source", pa.string()),
    ("tags", pa.list_(pa.string())),
]
SCHEMAS: dict[str, pa.Schema] = {
    "sft": pa.schema([*_PROVENANCE, ("messages", MESSAGES), ("trace", pa.string())]),
    "preference": pa.schema(
        [
            *_PROVENANCE,
            ("prompt", pa.string()),
            ("chosen", MESSAGES),
            ("rejected", MESSAGES),
            ("chosen_model", pa.string()),
            ("rejected_model", pa.string()),
            ("policy", pa.string()),
        ]
    ),
    "rlvr": pa.schema([*_PROVENANCE, ("messages", MESSAGES), ("ground_truth", pa.string()), ("verifier", pa.string())]),
}
RAW_SCHEMA = pa.schema([("raw_file", pa.string()), ("raw_row", pa.int64()), ("raw", pa.string())])
REJECTED_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("raw_file", pa.string()),
        ("raw_row", pa.int64()),
        ("reason", pa.string()),
        ("field", pa.string()),
        ("detail", pa.string()),
        ("row", pa.string()),
    ]
)

REASONS: dict[str, str] = {
    # collect
    "invalid_json": "the line or file is not JSON, or is nested deeper than 200 levels",
    "undecodable_text": "the bytes are not UTF-8",
    "empty_file": "the file holds no row at all; the row stands for the file",
    "damaged_file": "the file is cut off or damaged; the row stands for all that could not be read of it",
    "broken_quoting": "a quote in a csv or tsv file is never closed, or text follows where it is",
    # convert
    "missing_field": "a field that the source family needs is absent or null",
    "wrong_type": "a field holds another type than the source family documents",
    "unknown_role": "a turn has a role other than system, user or assistant",
    "tool_call_turns": "the conversation holds tool calls or tool results, which the recipe does not train on",
    "roles_do_not_alternate": "user and assistant do not take turns, beginning with the user",
    "no_assistant_turn": "nothing to learn: the conversation has no answer",
    "no_user_turn": "the conversation has no question",
    "no_complete_path": "no branch of the message tree ends in an answer that is neither deleted nor unreviewed",
    "tied_pair": "the two answers are rated equal, or are the same text",
    "no_agreed_label": "the annotators of the pair have no majority",
    "prompts_differ": "the chosen and the rejected side do not answer the same prompt",
    "no_final_answer": "no ground truth can be read from the solution",
    "unknown_verifier": "the row names a verifier that does not exist",
    "template_placeholder": "the text holds an unfilled placeholder such as {{name}}",
    "not_selected": "the recipe's `where` or the family's sample does not take the row",
    "wrong_answer": "the publisher marks the answer as a wrong one: it is there to be compared with the right one",
    "harmful_answer": "the publisher labels the answer as harmful: it is there to train classifiers",
    "test_split_row": "the row belongs to a test split, which must never be trained on",
    "eval_prompt": "the row's own source column says that its prompt comes from an eval set",
    "too_few_answers": "fewer than two answers to the prompt that can be compared",
    "margin_too_small": "the better answer is not rated as far above the other as the source's options ask",
    "rated_too_low": "the better answer is rated below what the source's options ask",
    "rating_contradicts_order": "the rejected answer is rated above the chosen one",
    "rating_undecided": "the rating lies between what counts as a good and as a bad example",
    "not_human_answer": "an answer of a set of people's answers was deleted or is a bot's",
    # filter
    "names_another_assistant": "an assistant turn matches the provenance keywords of open-instruct",
    "empty_message": "a turn is empty after stripping",
    "too_simple": "bare arithmetic of small integers or a one-word exchange",
    "special_token": "a turn contains a special token of a chat template",
    "broken_encoding": "a turn holds replacement or control characters, or text that was decoded with the wrong code page",
    "too_short": "fewer tokens in the last answer than the recipe allows",
    "too_long": "more tokens than the recipe allows",
    "one_word_answer": "the last answer is a single word",
    "repeats_itself": "an answer repeats its lines or a few words more than the published limits allow",
    "wrong_language": "none of the languages that the text is in is the declared one",
    "speaks_as_a_model": "an answer says that it is a language model's",
    "refuses": "the answer refuses, and the row is not of the safety category",
    "truncated_answer": "the last answer was cut off",
    "prompt_differs": "the prompt of a pair is not its first user turn",
    "personal_data": "an e-mail address, a telephone number or a resident-registration number stands in the row",
    "duplicate_conversation": "the same normalised conversation comes first in this source or in one of higher priority",
    "duplicate_prompt": "the same normalised prompt comes first in this source or in one of higher priority",
    "near_duplicate": "a kept row shares at least as many of its word shingles (exact Jaccard) as the recipe allows",
    "semantic_duplicate": "the sentence vectors of the row and of a kept row have at least the cosine that the recipe allows",
    "reported_by_a_rule": "the selection takes no row against which a reporting rule speaks",
    "solved_by_a_model": "the selection takes no row that the model in question solves",
    "not_chosen": "the selection by difficulty and diversity took other rows",
    # improve, synthesize
    "answer_not_verified": "the verifier does not accept the worked answer",
    "teacher_gave_up": "the teacher's answer did not fit the requested form after all retries",
    "near_copy_of_seed": "the rewritten prompt is the original again",
    # decontaminate, review
    "contaminated": "more of an eval item is covered than the preset allows",
    "short_item_copied": "a short eval item stands verbatim in the row",
    "eval_set_overlap": "the whole source overlaps an eval by more than the data-set rule allows, and the recipe drops it",
    "still_in_review_band": "after the teacher's paraphrase the row still overlaps an eval item",
    "deleted_by_reviewer": "a reviewer deleted the row",
    "deleted_by_judge": "the recipe lets the judge decide, and it found that the row gives an eval item away",
    # mix
    "license_not_allowed": "the recipe does not allow the row's licence",
    "not_sampled": "the mixture takes fewer rows of this source than there are",
    "over_quota": "the quota of the row's category or language was already filled",
    "prompt_in_other_split": "another split of the mixture has the row's prompt, and the recipe keeps the two apart",
    # tokenize
    "no_label_after_truncation": "after the cut at the greatest length no token of an answer is left",
    "too_many_tokens": "more tokens than the greatest length, and the recipe does not truncate",
    "template_cannot_hold": "the chat template has no place for the turns, e.g. Alpaca's for a system prompt",
    # preferences
    "all_answers_tied": "every answer to the prompt was rated the same",
    "judge_contradicts_verifier": "the judge prefers an answer that the verifier refuses over one that it accepts",
}
"""The closed list of reasons for which a row can be dropped, in stage order. Every one is documented and counted."""


class UnreadableRow(ValueError):
    """A raw row that a converter cannot read. It goes to `rejected`; the run goes on."""

    def __init__(self, reason: str, field: str, detail: str = "") -> None:
        super().__init__(f"{reason} in field {field!r}: {detail}" if detail else f"{reason} in field {field!r}")
        if reason not in REASONS:
            raise KeyError(f"{reason!r} is not in schema.REASONS; add it there with one sentence")
        self.reason, self.field, self.detail = reason, field, detail

    def __reduce__(self) -> tuple[type[UnreadableRow], tuple[str, str, str]]:
        return UnreadableRow, (self.reason, self.field, self.detail)  # it travels between processes


@dataclass(frozen=True, slots=True)
class Rejected:
    """One dropped row with its body. `row` is the dropped row itself, as it came."""

    reason: str
    source: str
    id: str | None = None
    raw_file: str | None = None
    raw_row: int | None = None
    field: str | None = None
    detail: str = ""
    row: Any = None


_KINDS: dict[type, Kind] = {SFTExample: "sft", PreferencePair: "preference", RLVRExample: "rlvr"}


def kind_of(example: Example) -> Kind:
    return _KINDS[type(example)]


def to_row(example: Example) -> dict[str, Any]:
    """The example as a plain dict in the column order of its schema."""
    row = {field.name: getattr(example, field.name) for field in dataclasses.fields(example)}
    for name in ("messages", "chosen", "rejected"):
        if name in row:
            row[name] = [{"role": m.role, "content": m.content} for m in row[name]]
    row["tags"] = list(row["tags"])
    return row


def from_row(kind: str, row: dict[str, Any]) -> Example:
    """The inverse of `to_row`; missing optional columns take their defaults, unknown columns are refused."""
    values = dict(row)
    for name in ("messages", "chosen", "rejected"):
        if name in values:
            values[name] = tuple(Message(m["role"], m["content"]) for m in values[name] or ())
    values["tags"] = tuple(values.get("tags") or ())
    return EXAMPLE_TYPES[kind](**values)


def conversation(example: Example) -> tuple[Message, ...]:
    """The turns that a rule looks at: the conversation, or the chosen (else the rejected) side of a pair."""
    if isinstance(example, PreferencePair):
        return example.chosen or example.rejected
    return example.messages


def all_messages(example: Example) -> tuple[Message, ...]:
    """Every turn of the example, both sides of a pair included."""
    return example.chosen + example.rejected if isinstance(example, PreferencePair) else example.messages


def prompt_of(example: Example) -> str:
    """The first user turn, which is what the pipeline calls the prompt of an example."""
    return next((m.content for m in conversation(example) if m.role == "user"), "")


def check_turns(messages: tuple[Message, ...], *, answered: bool = True) -> None:
    """Check roles and alternation: an optional system turn, then user and assistant in turn.

    `answered` asks for an assistant turn at the end (SFT, pairs); a prompt for RLVR ends with the user.
    Raises UnreadableRow with one of the reasons of REASONS.
    """
    for n, message in enumerate(messages):
        if message.role not in ROLES:
            raise UnreadableRow("unknown_role", f"messages[{n}].role", repr(message.role))
    turns = [m for n, m in enumerate(messages) if not (n == 0 and m.role == "system")]
    roles = [m.role for m in turns]
    if "user" not in roles:
        raise UnreadableRow("no_user_turn", "messages")
    if answered and "assistant" not in roles:
        raise UnreadableRow("no_assistant_turn", "messages")
    for n, role in enumerate(roles):
        if role != ("user" if n % 2 == 0 else "assistant"):
            raise UnreadableRow("roles_do_not_alternate", "messages", " ".join(roles))
    if roles[-1] != ("assistant" if answered else "user"):
        raise UnreadableRow("no_assistant_turn" if answered else "roles_do_not_alternate", "messages", " ".join(roles))


_HANGUL = re.compile(r"[\uac00-\ud7a3]+")
HANGUL_LEADS = bytes([0xE1, 0xEA, 0xEB, 0xEC, 0xED])
"""The bytes with which a syllable (U+AC00–D7A3) or a jamo (U+1100–11FF; NFC joins them) begins in UTF-8, and others too."""
_NO_LEAD = bytes(set(range(256)) - set(HANGUL_LEADS))
_NO_LETTER = bytes(n for n in range(256) if not (n < 128 and chr(n).isalpha()))


def guess_language(text: str) -> str:
    """`ko` where at least a tenth of the letters is Hangul, else `en`: a fallback for sources that declare none."""
    if text.isascii():
        return "en"
    encoded = text.encode("utf-8", "surrogatepass")
    leads = len(encoded.translate(None, _NO_LEAD))  # no fewer than syllables, and counted eight times as fast
    if not leads or 10 * leads < len(encoded.translate(None, _NO_LETTER)):
        return "en"
    text = unicodedata.normalize("NFC", text)
    hangul = len("".join(_HANGUL.findall(text)))
    # A tenth of all characters is a tenth of the letters as well: most Korean texts need no count of letters.
    return "ko" if hangul and (hangul >= 0.1 * len(text) or hangul >= 0.1 * sum(map(str.isalpha, text))) else "en"
