"""What of an example is compared."""

from __future__ import annotations

import unicodedata

from posttrain.duplicates.settings import Duplicates, NearDuplicates
from posttrain.duplicates.texts import ComparedTexts, compared_texts, conversation_digest, normalise, spaced
from posttrain.schema import Example, Message, PreferencePair, RLVRExample, SFTExample

ALL = Duplicates(prompts=True, near=NearDuplicates())
PLACE = {"id": "1", "source": "s", "category": "general", "skill": "general", "language": "en", "license": "MIT"}


def turns(*texts: str) -> tuple[Message, ...]:
    return tuple(Message("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(texts))


def sft(*texts: str) -> SFTExample:
    return SFTExample(**PLACE, messages=turns(*texts))


def pair(prompt: str, chosen: str, rejected: str) -> PreferencePair:
    return PreferencePair(**PLACE, prompt=prompt, chosen=turns(prompt, chosen), rejected=turns(prompt, rejected))


def rlvr(question: str, ground_truth: str, verifier: str = "gsm8k") -> RLVRExample:
    return RLVRExample(**PLACE, messages=turns(question), ground_truth=ground_truth, verifier=verifier)


def compare(example: Example) -> ComparedTexts:
    return compared_texts(example, ALL)


def test_case_white_space_and_composition_do_not_count() -> None:
    assert normalise("  Ｗhat\u00a0is\n2+2? ") == "ｗhat is 2+2?"
    assert normalise(unicodedata.normalize("NFD", "한국어 모델")) == "한국어 모델"
    assert normalise(None) == ""
    one, two = sft("What is  LoRA?", "A method."), sft("what is lora?\n", "a METHOD.")
    assert compare(one).conversation == compare(two).conversation == conversation_digest(one)


def test_characters_are_words_only_in_scripts_without_spaces() -> None:
    assert spaced("llm이란 大模型です。") == "llm이란 大 模 型 で す 。"
    assert spaced("한국어 문장은 띄어 쓴다") == "한국어 문장은 띄어 쓴다"
    assert spaced("café déjà vu") == "café déjà vu"
    assert spaced("ภาษา abc") == "ภ า ษ า abc"


def test_same_prompt_with_another_answer_shares_the_prompt_digest_only() -> None:
    one, two = compare(sft("수도는 어디인가요?", "서울")), compare(sft("수도는  어디인가요?", "Seoul", "고마워", "네"))
    assert one.prompt == two.prompt and one.conversation != two.conversation


def test_the_kind_keeps_an_sft_and_an_rlvr_row_of_one_question_apart() -> None:
    one, two = compare(sft("How many?", "4")), compare(rlvr("How many?", "4"))
    assert one.prompt != two.prompt and one.conversation != two.conversation and one.group != two.group


def test_another_ground_truth_is_another_group() -> None:
    assert compare(rlvr("Tom has 3 apples.", "3")).group != compare(rlvr("Tom has 4 apples.", "4")).group
    assert compare(rlvr("Tom has 3 apples.", "3")).group == compare(rlvr("Tim has 3 apples.", "3")).group


def test_a_pair_the_other_way_round_shares_few_words() -> None:
    one, two = compare(pair("Name a color.", "blue is one", "no idea")), compare(pair("Name a color.", "no idea", "blue is one"))
    assert one.words == "name a color. blue is one \x15no \x15idea"
    assert two.words == "name a color. no idea \x15blue \x15is \x15one"
    assert one.group == two.group and one.conversation != two.conversation


def test_a_label_on_a_rejected_answer_alone_has_a_prompt() -> None:
    alone = PreferencePair(**PLACE, prompt="Hi there", chosen=(), rejected=turns("Hi there", "Go away"))
    assert compare(alone).prompt == compare(pair("Hi there", "Hello", "Go away")).prompt


def test_a_row_without_a_user_turn_has_no_prompt_and_what_is_not_asked_for_is_not_made() -> None:
    silent = SFTExample(**PLACE, messages=(Message("assistant", "Hello"),))
    assert compare(silent).prompt is None
    plain = compared_texts(sft("a", "b"), Duplicates())
    assert plain.prompt is None and plain.words == "" and plain.conversation == compare(sft("a", "b")).conversation


def test_turn_borders_and_lone_surrogates_are_no_trouble() -> None:
    assert compare(sft("ab", "c d")).conversation != compare(sft("a", "bc d")).conversation
    assert compare(sft("broken \ud800 text", "ok")).conversation != compare(sft("broken text", "ok")).conversation
