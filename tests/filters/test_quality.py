"""Each quality rule on texts that it is about, and on honest texts close to them; Korean and English."""

from __future__ import annotations

import pytest

from posttrain.filters import judge_example
from posttrain.recipe import Filter, RepetitionLimits
from posttrain.schema import Example, Message, PreferencePair, SFTExample

FACTS = {"category": "general", "skill": "general", "license": "MIT"}


def row(prompt: str, answer: str, *, language: str = "en", category: str = "general", source: str = "s") -> SFTExample:
    messages = (Message("user", prompt), Message("assistant", answer))
    return SFTExample(id="a", source=source, language=language, messages=messages, **FACTS | {"category": category})


def pair(prompt: str, chosen: str, rejected: str, *, first: str | None = None) -> PreferencePair:
    sides = {"chosen": (Message("user", first or prompt), Message("assistant", chosen)),
             "rejected": (Message("user", first or prompt), Message("assistant", rejected))}
    return PreferencePair(id="a", source="s", language="en", prompt=prompt, **sides, **FACTS)


def reported(example: Example, rule: str, **changes: object) -> str | None:
    """What a rule says, where the recipe has it report."""
    verdict = judge_example(example, Filter(**{rule: "report"} | changes))
    assert verdict.drop is None
    return next((drop.detail for drop in verdict.reported if drop.rule == rule), None)


def dropped(example: Example, rule: str, **changes: object) -> str | None:
    """The reason for which a rule drops a row, where the recipe has it drop."""
    drop = judge_example(example, Filter(**{rule: "drop"} | changes)).drop
    return drop.reason if drop else None


GERMAN = ("Die Sonne ist ein Stern in der Mitte unseres Systems, und alle Planeten bewegen sich um sie herum. Sie besteht "
          "vor allem aus Wasserstoff und Helium und spendet uns Licht und Wärme, ohne die es kein Leben auf der Erde gäbe.")
ENGLISH = ("The sun is a star in the middle of our system, and all planets move around it. It is made mostly of hydrogen "
           "and helium, and it gives us light and warmth, without which there would be no life on Earth.")
KOREAN = ("태양은 우리 태양계의 중심에 있는 별이며, 모든 행성이 그 둘레를 돕니다. "
          "태양은 주로 수소와 헬륨으로 이루어져 있고 우리에게 빛과 열을 줍니다.")


# ---------------------------------------------------------------- keywords beside Hangul


@pytest.mark.parametrize(("text", "published", "korean"), [
    ("OpenAI를 씁니다", False, True), ("ChatGPT는 모델입니다", False, True), ("GPT-4가 답했다", False, True),
    ("저는 챗GPT입니다", False, True), ("저는 챗지피티입니다", False, True), ("오픈AI에서 만들었습니다", False, True),
    ("I am ChatGPT.", True, True), ("GPT3x5", True, True), ("GPT-4o", False, False), ("xOpenAI", False, False),
    ("오픈 소스입니다", False, False), ("GPT4all", False, False), ("LAION의 자료", False, True),
    ("O\u1105\u1173 \u110e\u1162\u11baGPT", False, False),
])
def test_the_form_for_korean_also_matches_beside_hangul(text: str, published: bool, korean: bool) -> None:
    example = row("당신은 누구세요?", text, language="ko")
    assert dropped(example, "keywords") == ("names_another_assistant" if published else None)
    assert dropped(example, "keywords", keyword_form="korean") == ("names_another_assistant" if korean else None)


def test_decomposed_particles_are_hangul_too() -> None:
    assert dropped(row("누구?", "OpenAI\u1105\u1173\u11af"), "keywords", keyword_form="korean") == "names_another_assistant"


# ---------------------------------------------------------------- one word, encoding


@pytest.mark.parametrize(("answer", "spoken"), [
    ("Paris", True), ("긍정", True), ("  B.\n", True), ("Paris, France", False), ("네, 맞습니다.", False), ("x" * 41, False),
    ("我叫小明", False),
])
def test_answers_in_one_word(answer: str, spoken: bool) -> None:
    assert (reported(row("Which city is the capital?", answer), "one_word_answers") is not None) == spoken


@pytest.mark.parametrize("text", [
    "It is 20Â°C outside today.", "Je suis allÃ© au cafÃ© hier soir.", "donâ€™t do it, itâ€™s bad", "ì•ˆë…•í•˜ì„¸ìš”",
    "한글이 占쏙옙 깨졌다",
    "a replacement \ufffd character", "a null \x00 byte", "a delete \x7f", "a C1 \x99 control", "a BOM read so: ï»¿",
    "lone \ud800 half",
])
def test_broken_encoding(text: str) -> None:
    assert dropped(row("Tell me", text), "encoding") == "broken_encoding"
    assert dropped(row(text, "An answer in words."), "encoding") == "broken_encoding"


@pytest.mark.parametrize("text", [
    "A café in Orléans, naïve and déjà vu; ÀÉÎÕÜ àéîõü ß", "„Spaß“ und „GRÖẞE“", "« CAFÉ » “CAFÉ”", "SÃO PAULO e NÃO",
    "안녕하세요, 만나서 반갑습니다.",
    "tab\tand\r\nnew lines\x0b\x0c", "20 °C, 3 × 4 ÷ 2, 5 µm, ½, ©", "emoji 👩‍👩‍👧 and ﷺ", "Ω Я 你好 مرحبا",
    "a next line \x85 of IBM",
    "Mình là người Việt Nam, ở Hà Nội.",
])
def test_honest_letters_are_no_broken_encoding(text: str) -> None:
    assert dropped(row("Tell me", text), "encoding") is None


# ---------------------------------------------------------------- placeholders, phrases of a model


@pytest.mark.parametrize(("text", "spoken"), [
    ("Hello {{name}}, I am {{ author }}.", True), ("저는 {{name}}입니다.", True), ("Dear {{customer_name}}", True),
    ("{{이름}}님, 안녕하세요.", True), ("{{ 회사 이름 }}에 오신 것을 환영합니다.", True),
    ("Best,\n[Your Name]", True), ("Dear [Recipient's Name],", True), ("[insert date here]", True), ("[회사명] 귀하", True),
    ("[이름]님, 안녕하세요.", True), ("Name the capital of <insert name of a foreign country>.", True),
    ("A template of a letter: Dear [Your Name]", False), ("[your]", False), ("row[company id]", False), ("[Company]", False),
    ("[Chorus]", False), ("dict[name]", False), ("[이름 짓기]", False),
    ("In Jinja you write {{ user.name }}.", False), ("```\n{{name}}\n```", False), ("\\frac{{a}}{{b}}", False), ("x^{{abc}}",
    False),
    ("{{1}}", False), ("{name}", False), ('{"a": {"b": {}}}', False),
])
def test_unfilled_placeholders(text: str, spoken: bool) -> None:
    assert dropped(row("Who are you?", text), "placeholders") == ("template_placeholder" if spoken else None)


@pytest.mark.parametrize(("text", "spoken"), [
    ("As an AI language model, I have no body.", True), ("I'm sorry, but as an AI, I cannot.", True),
    ("I am a large language model.", True),
    ("AI 언어 모델로서 저는 감정이 없습니다.", True), ("저는 인공지능이기 때문에 모릅니다.", True),
    ("저는 AI 언어모델입니다.", True), ("I'm just an AI, so I cannot taste.", True),
    ("As an artificial intelligence, I do not sleep.", True),
    ("저는 언어 모델이에요.", True), ("저는 인공지능입니다.", True), ("저는 AI 챗봇이라 모릅니다.", True),
    ("저는 인공지능입니다만 감정은 없습니다.", True), ("As a machine learning model, I cannot feel.", True),
    ("저는 인공지능을 공부합니다.", False), ("저는 AI 회사에 다닙니다.", False),
    ("저는 인공지능으로서 감정이 없습니다.", True), ("As an artificial intelligence researcher, she", False),
    ("As an AIDS researcher", False), ("An AI language model predicts the next word.", False),
    ("인공지능 모델을 학습시킵니다.", False),
    ("As an aide, I helped.", False),
])
def test_phrases_in_which_a_model_speaks_of_itself(text: str, spoken: bool) -> None:
    assert (reported(row("Who are you?", text), "model_phrases") is not None) == spoken
    assert reported(row(text, "An answer in words."), "model_phrases") is None  # the user may say so


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("answer", [
    "I'm sorry, but I can't help with that.", "I cannot provide this.", "Sorry, I am unable to assist.",
    "I’m unable to write that for you.",
    "As an AI language model, I cannot create images.", "죄송하지만, 그 요청은 도와드릴 수 없습니다.",
    "해당 질문에는 답변드릴 수 없습니다.",
    "<think>\nThey ask for a lock.\n</think>\n\nI can't assist with that.",
    "I apologize, but I cannot provide that.", "My apologies, but I'm not able to assist with that.",
    "I'm afraid I can't do that.", "I must decline this request.", "I refuse to answer that.",
    "I won't be able to assist with that.", "I don't feel comfortable helping with that.", "I'm not comfortable writing that.",
    "I'd rather not answer that.", "해당 요청은 수행할 수 없습니다.", "저는 그 질문에 답할 수 없습니다.",
    "답변해 드릴 수 없습니다.",
    "그런 내용은 작성해 드릴 수 없습니다.", "미안하지만 그건 안 돼요. 도와줄 수 없어요.", "불법적인 활동은 도와드리지 않습니다.",
    "저는 인공지능이라서 의견을 말할 수 없습니다.", "죄송합니다. 저는 그런 요청을 도와드릴 수가 없습니다.",
    "죄송합니다. 해당 요청은 들어드릴 수 없습니다.", "불법적인 활동은 도울 수 없습니다.", "그 요청은 도와드리기 어렵습니다.",
])
def test_refusals_are_reported_outside_the_safety_category(answer: str) -> None:
    assert reported(row("How do I open this lock?", answer), "refusals") is not None
    assert reported(row("How do I open this lock?", answer, category="safety"), "refusals") is None
    assert dropped(row("How do I open this lock?", answer), "refusals") == "refuses"


@pytest.mark.parametrize("answer", [
    "I can help with that.", "Sorry to hear that! Rest and drink water.", "You cannot provide two keys to one lock.",
    "I apologize for the delay; the answer is 4.", "I'm afraid of heights, and I can't climb.", "Refuse bags are green.",
    "죄송합니다. 앞의 답을 고치면 4입니다.", "빛보다 빠른 물체는 있을 수 없습니다.", "이 문제는 손으로 풀기 어렵습니다.",
    "컴퓨터는 그 작업을 수행할 수 없습니다.", "기쁨을 말로 다 말할 수 없습니다.", "I won't be able to sing like her.",
    "I'd rather not answer, said the fox, and ran away.", "그는 저를 도와주지 않습니다.",
    "요청이 오면 수행할 수 없는 작업을 적습니다.",
    "죄송하다는 말은 이렇게 씁니다.", "이 문제는 두 가지로 풀 수 있습니다.", "A long answer. " * 40 + "I cannot provide more.",
])
def test_honest_answers_are_no_refusals(answer: str) -> None:
    assert reported(row("How do I open this lock?", answer), "refusals") is None


# ---------------------------------------------------------------- truncated answers

LONG = "The sun is a star in the middle of our system, and all planets move around it. " * 3
LONG_KO = "태양은 우리 태양계의 중심에 있는 별이며, 모든 행성이 그 둘레를 돕니다. 그래서 낮과 밤이 생깁니다. " * 4


@pytest.mark.parametrize(("answer", "spoken"), [
    (LONG + "It is made of", True), (LONG + "It has hydrogen,", True), (LONG + "These are its parts:", True), (LONG + "(", True),
    (LONG_KO + "그리고", True), (LONG_KO + "예를 들어", True),
    (LONG_KO + "따라서", True), (LONG_KO + "태양은 크기 때문에", True), (LONG + "```python\nprint(1)", True),
    (LONG, False), (LONG_KO, False), (LONG + "```python\nprint(1)\n```", False), (LONG + "See https://example.org/sun/", False),
    (LONG + "int x = 1;", False), ("It is made of", False), (LONG + "```\nprint(1)\nHope this helps!", False),
])
def test_truncated_answers(answer: str, spoken: bool) -> None:
    assert (reported(row("Tell me about the sun", answer), "truncated") is not None) == spoken


# ---------------------------------------------------------------- repetition


def test_an_answer_that_repeats_its_lines() -> None:
    """12 lines, of which 9 stand further up: .75 of them, and .30 is allowed."""
    lines = [f"{n % 3}. What is the forecast for the next few days?" for n in range(12)]
    assert reported(row("Ask something", "\n".join(lines)), "repetition") == (
        "9 of 12 lines are repeats; '0. What is the forecast for the next few days?' stands 4 times")
    assert dropped(row("Ask something", "\n".join(lines)), "repetition") == "repeats_itself"


def test_an_answer_that_repeats_a_few_words() -> None:
    """40 words; "I like" stands 20 times, and 20 × 2 words are more than .20 of 40."""
    assert reported(row("Repeat", "I like " * 20), "repetition") == "'I like' stands 20 times in 40 words"
    assert reported(row("반복", "나는 사과를 " * 20), "repetition") == "'나는 사과를' stands 20 times in 40 words"


@pytest.mark.parametrize("text", ["ㅋ" * 300, "하하" * 200, "word" * 100, "네, 좋아요! " + "가나다" * 60, "no-" * 200])
def test_an_answer_that_repeats_a_piece_without_a_space(text: str) -> None:
    assert reported(row("Repeat this", text), "repetition") is not None


def test_the_detail_of_a_repeated_piece() -> None:
    """"좋아요! " has 5 characters, the run 300: .98 of the answer, and .20 is allowed."""
    assert reported(row("웃어 줘", "좋아요! " + "ㅋ" * 300), "repetition") == "'ㅋ' stands 300 times on end, 98 % of the answer"


def test_the_shares_of_repetition_are_the_recipes() -> None:
    text = "\n".join(["A line that stands here",
    "and another one below it"] * 2 + [f"the line number {n} of them" for n in range(16)])
    loose = RepetitionLimits(compressed=1.0, lines=0.1, bigram=1, trigram=1, fourgram=1)
    strict = RepetitionLimits(compressed=1.0, lines=0.09, bigram=1, trigram=1, fourgram=1)
    assert reported(row("List", text), "repetition", repetition_limits=loose) is None  # 2 of 20 lines
    assert "2 of 20 lines" in (reported(row("List", text), "repetition", repetition_limits=strict) or "")


@pytest.mark.parametrize("text", [
    ENGLISH, ENGLISH + "\n" + "=" * 100, "A line: " + "-" * 300, "Zeros: " + "0" * 300, "S" + "o" * 39 + " " + ENGLISH,
    "def f(a):\n    return a\n\n" + "}\n" * 20,
    "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | {n * n} |" for n in range(9)),
    "Tom has 3 apples. He buys 4 apples. 3 + 4 = 7. He has 7 apples.\n#### 7",
])
def test_honest_texts_are_no_repetition(text: str) -> None:
    assert reported(row("Tell me", text), "repetition") is None


# ---------------------------------------------------------------- language


@pytest.mark.parametrize(("declared", "prompt", "answer", "spoken"), [
    ("en", "Erkläre die Sonne", GERMAN, True), ("ko", "Explain it please", ENGLISH, True),
    ("en", "태양을 설명해 주세요", KOREAN, True),
    ("de", "Erkläre die Sonne", GERMAN, False), ("en", "Explain the sun", ENGLISH, False),
    ("ko", "태양을 설명해 주세요", KOREAN, False),
    ("en", "Translate into German: " + ENGLISH, GERMAN, False), ("ko", "영어로 옮기세요: " + KOREAN, ENGLISH, False),
    ("en", "Hallo", "Guten Tag!", False),  # too short to judge
    ("en", "Write a loop", "```python\n" + "for i in range(10):\n    print(i, zahl, summe)\n" * 8 + "```", False),
    ("und", "Erkläre die Sonne", GERMAN, False), ("Korean", "Explain it please", ENGLISH, True),
    ("de-AT", "Sonne?", GERMAN, False),
    ("English", "Erkläre die Sonne", GERMAN, True), ("Korean", "태양을 설명해 주세요", KOREAN, False),
    ("zh", "请介绍太阳", "太阳是位于太阳系中心的恒星，它几乎是热等离子体与磁场交织着的一个理想球体。" * 3, False),
])
def test_the_language_against_the_declared_one(declared: str, prompt: str, answer: str, spoken: bool) -> None:
    assert (reported(row(prompt, answer, language=declared), "language") is not None) == spoken
    assert dropped(row(prompt, answer, language=declared), "language") == ("wrong_language" if spoken else None)


# ---------------------------------------------------------------- prompt, actions


def test_the_prompt_of_a_pair_against_its_first_turn() -> None:
    """AX16: the published prompt ends in "easier to read", its first message in "clearer"."""
    prompt = "Rewrite this product review so that the sentences are shorter and easier to read."
    first = "Rewrite this product review so that the sentences are shorter and clearer."
    assert reported(pair(prompt, "Short and clear.", "Long.", first=first), "prompt_differs") is not None
    assert reported(pair(prompt, "Short and clear.", "Long.", first=prompt + "\n"), "prompt_differs") is None
    assert reported(row(prompt, "Short and clear."), "prompt_differs") is None


@pytest.mark.parametrize("rule", [name for name, field in Filter.model_fields.items() if field.default in ("drop", "report")])
def test_every_rule_can_drop_report_and_be_off(rule: str) -> None:
    for action, given in (("drop", True), ("drop", "drop"), ("report", "report"), ("off", False), ("off", "off")):
        assert getattr(Filter(**{rule: given}), rule) == action
    with pytest.raises(ValueError, match=rule):
        Filter(**{rule: "delete"})


def test_rules_on_which_honest_people_differ_only_report() -> None:
    defaults = Filter()
    assert [name for name, field in Filter.model_fields.items() if field.default == "drop"] == [
        "keywords", "empty", "too_simple", "special_tokens"]
    assert judge_example(row("Tell me", "a \ufffd b"), defaults).drop is None


def test_a_row_that_is_dropped_is_not_reported() -> None:
    verdict = judge_example(row("Tell me", "I am ChatGPT. As an AI language model, I cannot."), Filter())
    assert verdict.drop is not None and verdict.reported == ()
