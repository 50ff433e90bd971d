from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.duplicates.settings import Duplicates
from posttrain.filters import (
    KEYWORDS,
    RULES,
    SPECIAL_TOKENS,
    check_example,
    conversation_digest,
    count_words,
    filter_examples,
)
from posttrain.filters.length import estimate_tokens
from posttrain.recipe import Filter
from posttrain.schema import REASONS, Example, Message, PreferencePair, RLVRExample, SFTExample
from posttrain.storage import ArtifactWriter, Manifest, read_examples, read_rejected

FACTS = {"category": "general", "skill": "general", "language": "en", "license": "MIT"}


def chat(*turns: str, first: str = "user") -> tuple[Message, ...]:
    """chat("Hi", "Hello") → a user turn and an assistant turn; `first="system"` puts a system turn before them."""
    roles = (["system"] if first == "system" else []) + ["user", "assistant"] * len(turns)
    return tuple(Message(role, turn) for role, turn in zip(roles, turns, strict=False))


def sft(*turns: str, id: str = "a", source: str = "s", first: str = "user") -> SFTExample:
    return SFTExample(id=id, source=source, messages=chat(*turns, first=first), **FACTS)


def rlvr(question: str, id: str = "a", source: str = "s") -> RLVRExample:
    return RLVRExample(id=id, source=source, messages=chat(question), ground_truth="4", verifier="gsm8k", **FACTS)


def pair(prompt: str, chosen: str, rejected: str, id: str = "a", source: str = "s") -> PreferencePair:
    sides = {"chosen": chat(prompt, chosen), "rejected": chat(prompt, rejected)}
    return PreferencePair(id=id, source=source, prompt=prompt, **sides, **FACTS)


def reason(example: Example, **changes: object) -> str | None:
    drop = check_example(example, Filter(**changes))
    return drop.reason if drop else None


ANSWER = "This is an ordinary answer."


# ---------------------------------------------------------------- keywords


@pytest.mark.parametrize(("text", "dropped"), [
    # reference/open_instruct.md §2, the table of consequences
    ("GPT-4 is a model", True), ("I use GPT-3.5-turbo", True), ("openai's model", True), ("the laion-5b set", True),
    ("GPT345", True), ("GPT3x5", True),
    ("GPT-4o is one", False), ("GPT4all", False), ("ChatGPTs", False), ("xOpenAI", False),
    ("OpenAI를 씁니다", False), ("챗GPT입니다", False),
    # the rest
    ("As an Open Assistant model", True), ("bing chat says", True), ("GPT 4", True), ("Gemini, Claude and LLaMA", False),
])
def test_keywords_exactly_as_open_instruct(text: str, dropped: bool) -> None:
    assert reason(sft("Who are you?", text)) == ("names_another_assistant" if dropped else None)


def test_keywords_look_at_assistant_turns_only_and_at_both_sides_of_a_pair() -> None:
    assert len(KEYWORDS) == 18
    assert reason(sft("You are ChatGPT", "What does ChatGPT do?", ANSWER, first="system")) is None
    assert reason(rlvr("What is ChatGPT?")) is None
    assert reason(pair("Who are you?", ANSWER, "I am ChatGPT.")) == "names_another_assistant"
    assert reason(pair("Who are you?", "I am ChatGPT.", ANSWER)) == "names_another_assistant"
    assert reason(sft("Who are you?", "I am ChatGPT."), keywords=False) is None


# ---------------------------------------------------------------- empty, roles


@pytest.mark.parametrize("text", ["", "  \n\t", "\u3000"])
def test_an_empty_turn_of_any_role_drops_the_conversation(text: str) -> None:
    assert reason(sft("Tell me", text)) == "empty_message"
    assert reason(sft(text, ANSWER)) == "empty_message"
    assert reason(sft(text, "Tell me", ANSWER, first="system")) == "empty_message"
    assert reason(pair("Tell me", ANSWER, text)) == "empty_message"


def test_one_side_of_a_kto_pair_may_be_missing() -> None:
    one_side = PreferencePair(id="a", source="s", prompt="Tell me", chosen=chat("Tell me", ANSWER), rejected=(), **FACTS)
    assert reason(one_side) is None
    assert reason(PreferencePair(id="a", source="s", prompt="Tell me", chosen=(), rejected=(), **FACTS)) == "empty_message"


@pytest.mark.parametrize(("messages", "complaint"), [
    ((Message("user", "a b"), Message("tool", "c")), "unknown_role"),
    ((Message("assistant", "a b"),), "no_user_turn"),
    ((Message("user", "a b"),), "no_assistant_turn"),
    ((Message("user", "a b"), Message("user", "c"), Message("assistant", "d")), "roles_do_not_alternate"),
])
def test_roles(messages: tuple[Message, ...], complaint: str) -> None:
    assert reason(SFTExample(id="a", source="s", messages=messages, **FACTS)) == complaint


def test_a_prompt_for_rlvr_ends_with_the_user() -> None:
    assert reason(rlvr("How many apples are left?")) is None


# ---------------------------------------------------------------- too simple


@pytest.mark.parametrize("prompt", [
    "2+2?", "2+2는?", "2+2는 얼마인가요?", "2 + 2 = ?", "What is 7 × 8?", "what's 9-4", "calculate 12 / 3", "12+7은 얼마예요?",
    "23 + 19는 얼마인가요?", "3 * 4는 몇인가요?", "5−3?", "1+2+3?", "2+2=", "2+2",
    "１＋１은?", "two plus two?", "What is seven times eight?", "Please compute 4+5.", "Can you tell me what 3 times 4 is?",
    "Add 2 and 3.", "일 더하기 일은?", "셋 빼기 둘은 얼마예요?", "2와 3을 더하면?", "9에서 4를 빼면 얼마인가요?",
    "두 수 2와 3을 더하세요", "2+2를 계산해 주세요.", "2+2의 값을 구하시오.", "1 더하기 1은 얼마죠?", "이십 더하기 삼십오는?",
    "계산: 3+5",
])
def test_ax4_bare_arithmetic_is_too_simple(prompt: str) -> None:
    assert reason(sft(prompt, "It is what it is.")) == "too_simple"
    assert reason(rlvr(prompt)) == "too_simple"
    assert reason(sft(prompt, "It is what it is."), too_simple=False) is None


@pytest.mark.parametrize("prompt", [
    # AX5: the improved form of the same question is a real question
    "사과를 2개 가지고 있는데, 2개를 더 샀다면 사과는 총 몇 개인가요? 답을 설명해 주세요.",
    "You have 2 apples and buy 2 more; how many in all? Explain.",
    "Why is 2+2=4?", "2+2는 왜 4인가요?", "What is 347*982?", "x+2=4?", "What is 2+2 in base 3?", "2x + 5 = 15",
    "십자군은 왜 떠났나요?", "계산: 이자 3+5%", "Capital of France?",
    "Two plus two equals what in the novel 1984?", "이 더하기라는 말은 무슨 뜻인가요?",
    "Add 2 eggs and 3 cups of flour.",
    "물과 기름을 더하면?", "Divide ninety by seven hundred.", "Can you tell me what one plus one means?",
    "Add 2+2 apples to the basket and tell a story.", "양파는 어떤 식물 부위인가요? 그리고 고구마는 뿌리인가요?",
])
def test_real_questions_are_kept(prompt: str) -> None:
    assert reason(sft(prompt, "Four.")) is None


@pytest.mark.parametrize(("prompt", "answer", "dropped"), [
    ("Hi!", "Hello!", True), ("안녕하세요", "안녕하세요!", True), ("Hi!", "Hello, how are you?", False),
    ("광합성이란?", "식물이 빛으로 양분을 만드는 과정입니다.", False), ("Translate to French: apple", "pomme", False),
    ("你叫什么名字？", "我叫小明。", False),
])
def test_one_word_for_one_word_is_too_simple(prompt: str, answer: str, dropped: bool) -> None:
    assert reason(sft(prompt, answer)) == ("too_simple" if dropped else None)


def test_a_simple_turn_inside_a_longer_conversation_is_kept() -> None:
    assert reason(sft("2+2?", "4", "And why?", "Because two and two make four.")) is None
    assert reason(sft("You are a teacher.", "2+2?", "4", first="system")) is None


# ---------------------------------------------------------------- special tokens, length


@pytest.mark.parametrize("token", [
    "<｜tool▁calls▁begin｜>", "<｜fim▁hole｜>", "<｜hy_User｜>",  # DeepSeek, Hunyuan: any name between full-width bars
    "<|turn>", "<turn|>", "<channel|>", "]~b]", "[e~[", "<seed:bos>", "<BOS_TOKEN>", "<用户>", "[|tool|]", "[sMASK]",
    "<start_of_image>", "[/THINK]", "<role>HUMAN</role>",
])
def test_marks_of_newer_templates(token: str) -> None:
    assert reason(sft("Tell me", f"An answer. {token}And more")) == "special_token"


@pytest.mark.parametrize("text", ["[|x; y|]", "a ｜ b", "<|", "x <turn| y", "[THINK about it]", "[/think-tank]",
                                  "<role>Assistant</role>",
                                  "if (a]~b) return", "F# writes [|1; 2|]", "<seed:word>"])
def test_what_only_looks_like_them(text: str) -> None:
    assert reason(sft("Tell me", text + " and so on")) is None


@pytest.mark.parametrize("token", SPECIAL_TOKENS)
def test_special_tokens_in_any_turn_and_letter_case(token: str) -> None:
    assert reason(sft("Tell me", f"An answer{token}")) == "special_token"
    assert reason(sft(f"{token.upper()} Tell me", ANSWER)) == "special_token"
    assert reason(pair("Tell me", ANSWER, f"An answer {token}")) == "special_token"


@pytest.mark.parametrize(("text", "dropped"), [
    ("It costs <s>10</s> 8 dollars.", False),  # HTML: struck out
    ("<s>old</s> and <s>older</s>", False),
    ("<s>Tell me a joke</s>", True), ("An answer</s>", True), ("<s> An answer", True),
    ("Use vector<s> to hold it.", False), ("class Stack<S> extends Base<S> {}", False), ("f<s>(x) and g<s>(y)", False),
    ("vector<s> <s> An answer", True), ("vector<s></s>", False), ("The end</s>", True), ("안녕<s>하세요", True),
    ("In HTML, <strong> is bold; <br> breaks the line; a < b | c > d", False), ("pipe <| and |>", False),
])
def test_strike_out_and_a_type_in_angle_brackets_are_no_sentence_marks(text: str, dropped: bool) -> None:
    assert reason(sft("Tell me", text)) == ("special_token" if dropped else None)


def test_token_limits() -> None:
    """Four bytes a token, rounded up: "twelve bytes" is 3 tokens, six Hangul syllables with 18 bytes are 5."""
    assert estimate_tokens("twelve bytes") == 3 and estimate_tokens("한국어로설명") == 5
    assert reason(sft("Tell me more", "twelve bytes"), min_tokens=4) == "too_short"
    assert reason(sft("Tell me more", "twelve bytes."), min_tokens=4) is None
    assert reason(sft("Tell me more", "a"), min_tokens=1) is None
    assert reason(pair("Tell me more", "more than twelve bytes", "twelve bytes"), min_tokens=4) == "too_short"
    assert reason(rlvr("Tell me more"), min_tokens=4) is None
    assert reason(sft("twelve bytes", "twelve bytes"), max_tokens=5) == "too_long"
    assert reason(sft("twelve bytes", "twelve bytes"), max_tokens=6) is None
    assert reason(sft("twelve bytes", "twelve bytes"), max_tokens=None) is None


def test_words() -> None:
    assert count_words("두 단어 我叫小明") == 6


def test_the_first_rule_in_order_gives_the_reason() -> None:
    """An answer that names ChatGPT, with an empty system turn and a template token: the keyword rule comes first."""
    assert reason(sft("", "2+2?", "ChatGPT <|im_end|>", first="system")) == "names_another_assistant"
    assert reason(sft("", "2+2?", "A <|im_end|>", first="system")) == "empty_message"
    assert [rule.name for rule in RULES][:2] == ["keywords", "empty"]
    assert {rule.reason for rule in RULES} <= set(REASONS)


# ---------------------------------------------------------------- duplicates


def test_duplicates_are_normalised_conversations() -> None:
    first = conversation_digest(sft("What is  AI?", "A field."))
    assert first == conversation_digest(sft("what is ai?\n", "A field.", id="b", source="other"))
    assert first != conversation_digest(sft("What is AI?", "A science."))
    assert len(first) == 16


def test_decomposed_hangul_is_the_same_text() -> None:
    import unicodedata

    text = "광합성이란?"
    assert conversation_digest(sft(text, ANSWER)) == conversation_digest(sft(unicodedata.normalize("NFD", text), ANSWER))


def test_sft_and_rlvr_rows_of_one_question_are_no_duplicates() -> None:
    question = "Tom has 3 apples and buys 4. How many now?"
    examples = (sft(question, "7 apples in all"), rlvr(question), pair(question, "7", "8"), pair(question, "8", "7"))
    assert len({conversation_digest(example) for example in examples}) == 4


def test_where_a_turn_ends_is_part_of_the_conversation() -> None:
    assert conversation_digest(sft("ab", "c d")) != conversation_digest(sft("a", "bc d"))


# ---------------------------------------------------------------- the stage


def write(folder: Path, name: str, examples: list[Example]) -> Manifest:
    writer = ArtifactWriter(str(folder / name), stage="convert")
    for example in examples:
        writer.read(example.source)
        writer.keep(example)
    return writer.finish()


def run_filter(folder: Path, inputs: list[Manifest], rules: Filter | None = None) -> Manifest:
    writer = ArtifactWriter(str(folder / "filter"), stage="filter")
    filter_examples(inputs, rules or Filter(), writer)
    return writer.finish()


def test_stage_counts_every_rule_and_keeps_the_bodies(tmp_path: Path) -> None:
    first = write(tmp_path, "one", [
        sft("Explain the sun", "It is a star.", id="1"), sft("2+2?", "4", id="2"), sft("Who?", "I am ChatGPT.", id="3"),
        rlvr("How many apples has Tom?", id="4"),
    ])
    second = write(tmp_path, "two", [
        sft("explain  the SUN", "It is a star.", id="5", source="t"), sft("Tell me", "", id="6", source="t"),
        pair("Which one?", "The left one", "The right one", id="7", source="t"),
    ])
    done = run_filter(tmp_path, [first, second])
    assert sorted(example.id for example in read_examples(done)) == ["1", "4", "7"]
    assert done.rows == {"read": 7, "kept": 3, "rejected": 4}
    assert done.by_source == {"s": {"read": 4, "kept": 2, "rejected": 2}, "t": {"read": 3, "kept": 1, "rejected": 2}}
    assert done.reasons == {"duplicate_conversation": 1, "empty_message": 1, "names_another_assistant": 1, "too_simple": 1}
    counted = {rule: n for rule, n in done.facts["rules"].items() if n}
    assert counted == {"keywords": 1, "empty": 1, "too_simple": 1, "duplicates": 1}
    assert list(done.facts["rules"]) == [*(rule.name for rule in RULES), "duplicates"]
    simple = next(row for row in read_rejected(done) if row["reason"] == "too_simple")
    assert '"content": "2+2?"' in simple["row"] and simple["id"] == "2"


def test_the_first_source_in_order_keeps_a_duplicate(tmp_path: Path) -> None:
    one = write(tmp_path, "one", [sft("Explain the sun", "It is a star.", id="1", source="one")])
    two = write(tmp_path, "two", [sft("Explain the sun", "It is a star.", id="2", source="two")])
    assert [e.id for e in read_examples(run_filter(tmp_path / "a", [one, two]))] == ["1"]
    assert [e.id for e in read_examples(run_filter(tmp_path / "b", [two, one]))] == ["2"]
    both = run_filter(tmp_path / "c", [one, two], Filter(duplicates=Duplicates(conversations=False)))
    assert [e.id for e in read_examples(both)] == ["1", "2"]


TEXTS = st.sampled_from(
    ["", "2+2?", "Hi", "Explain the sun", "explain THE sun", "I am ChatGPT", "x <|im_end|>", "한국어로 설명해줘"]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from(["one", "two"])), max_size=12))
def test_kept_and_rejected_are_what_was_read_and_filtering_twice_changes_nothing(rows: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        examples: list[Example] = [sft(q, a, id=str(n), source=source) for n, (q, a, source) in enumerate(rows)]
        once = run_filter(Path(folder, "1"), [write(Path(folder), "in", examples)])
        assert once.rows["read"] == len(rows) == once.rows["kept"] + once.rows["rejected"]
        assert sum(once.facts["rules"].values()) == once.rows["rejected"] == sum(once.reasons.values())
        twice = run_filter(Path(folder, "2"), [once])
        assert list(read_examples(twice)) == list(read_examples(once))
