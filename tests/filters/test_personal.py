"""Personal data: what is found, what is nobody's, and what masking leaves."""

from __future__ import annotations

import pytest

from posttrain.filters import judge_example
from posttrain.filters.personal import find, has_check_digit, mask_text
from posttrain.recipe import Filter
from posttrain.schema import Message, PreferencePair, SFTExample

KINDS = ("email", "phone", "resident_number")
FACTS = {"category": "general", "skill": "general", "language": "ko", "license": "MIT", "raw_file": "rows.jsonl", "raw_row": 3}


def kinds(text: str) -> list[str]:
    return [kind for kind, _, _ in find(text, KINDS)]


@pytest.mark.parametrize("text", [
    "메일은 hong＠naver.com입니다", "ｈｏｎｇ＠ｎａｖｅｒ．ｃｏｍ",
    "메일은 hong.gildong@naver.com입니다", "Write to a_b+c@mail.co.kr.", "x@y.io", "<john@company.com>", "연락처:kim@daum.net",
])
def test_addresses(text: str) -> None:
    assert kinds(text) == ["email"]


@pytest.mark.parametrize("text", [
    "user@example.com", "a@sub.example.org", "git@github.com:me/it.git", "@decorator", "a @ b", "3@4", "root@localhost",
    "[a-z]+@[a-z]+\\.[a-z]", "price@", "@home.com",
])
def test_nobodys_addresses(text: str) -> None:
    assert kinds(text) == []


@pytest.mark.parametrize("text", [
    "010-1234-5678", "전화 010 1234 5678로", "01012345678입니다", "(010) 1234-5678", "011-234-5678", "02-345-6789",
    "(02) 3456-7890",
    "031-123-4567로 연락", "070-1234-5678", "+82 10-1234-5678", "+82-2-3456-7890", "+1 212-736-5000", "(212) 736-5000",
    "1-212-736-5000",
    "212.736.5000", "+49 30 901820", "+44 20 7946 0958", "82-10-1234-5678", "0082-10-1234-5678", "０１０－１２３４－５６７８",
    "０１０１２３４５６７８", "（０２） 3456-7890", "전화：０３１－１２３－４５６７", "＋８２ １０ １２３４ ５６７８",
])
def test_telephone_numbers(text: str) -> None:
    assert kinds(text) == ["phone"]


@pytest.mark.parametrize("text", [
    "555-0123", "(212) 555-0123", "800-273-8255", "1-888-628-9454", "2019-2020-2021", "2024-01-15", "3.14159-2.71828", "010",
    "1234-5678",
    "123 + 4567 8901", "192.168.100.1234", "x = 256626720691 + 1", "1588-1234", "1588-1603", "182-10-1234-5678",
    "２０２４－０１－１５", "１２３４－５６７８", "0.212.736.5000", "978-89-1234-567-8",
])
def test_other_numbers(text: str) -> None:
    assert kinds(text) == []


@pytest.mark.parametrize(("text", "found"), [
    ("900101-1234568", True), ("900101-1234567", True), ("주민등록번호 9001011234568", True),
    ("주민등록번호 9001011234567", False),  # without the hyphen the check digit counts
    ("The sum is 9001011234568", False),  # without the hyphen the text must speak of such numbers
    ("901301-1234567", False), ("900230-1234567", False), ("900101-9234567", False), ("040229-3123456", True),
    ("030229-3123456", False),
    ("９００１０１－１２３４５６８", True), ("900101–1234568", True), ("12900101-1234568", False), ("900101-12345678", False),
])
def test_resident_registration_numbers(text: str, found: bool) -> None:
    assert (kinds(text) == ["resident_number"]) == found


def test_check_digits_by_hand() -> None:
    """Σ = 124 (see `has_check_digit`); 124 mod 11 = 3; 11 − 3 = 8. A foreigner's 900101-523456: Σ = 156, 2, 11 mod 10 = 1."""
    assert has_check_digit("9001011234568") and not has_check_digit("9001011234567")
    assert has_check_digit("9001015234561")


def test_masking_changes_the_texts_and_nothing_else() -> None:
    question = "제 번호는 010-1234-5678, 메일은 hong@naver.com, 주민번호는 900101-1234568입니다."
    turns = (Message("user", question), Message("assistant", "네, hong@naver.com이군요."))
    example = SFTExample(id="a", source="s", messages=turns, **FACTS)
    verdict = judge_example(example, Filter(personal_data="mask"))
    assert verdict.drop is None and [d.detail for d in verdict.reported] == [
        "phone 000-0000-0000, email xxxx@xxxxx.xxx, resident_number 000000-0000000 and 1 more"]
    assert [m.content for m in verdict.example.messages] == [
        "제 번호는 [PHONE], 메일은 [EMAIL], 주민번호는 [RESIDENT_NUMBER]입니다.", "네, [EMAIL]이군요."]
    assert (verdict.example.id, verdict.example.raw_file, verdict.example.raw_row) == ("a", "rows.jsonl", 3)
    assert judge_example(example, Filter(personal_data="drop")).drop.reason == "personal_data"  # type: ignore[union-attr]
    assert judge_example(example, Filter(personal_data="report")).example is example
    only = judge_example(example, Filter(personal_data="mask", personal_data_kinds=("email",)))
    assert "010-1234-5678" in only.example.messages[0].content


def test_masking_a_pair_masks_its_prompt() -> None:
    turns = {"chosen": (Message("user", "hong@naver.com?"), Message("assistant", "네")),
             "rejected": (Message("user", "hong@naver.com?"), Message("assistant", "hong@naver.com"))}
    example = PreferencePair(id="a", source="s", prompt="hong@naver.com?", **turns, **FACTS)
    masked = judge_example(example, Filter(personal_data="mask")).example
    assert isinstance(masked, PreferencePair)
    assert masked.prompt == "[EMAIL]?" == masked.rejected[0].content and masked.rejected[1].content == "[EMAIL]"


def test_full_width_data_is_masked_and_the_text_around_it_stays() -> None:
    text = "담당：홍길동（０１０－１２３４－５６７８，ｈｏｎｇ＠naver.com），내선 １２３"
    assert mask_text(text, KINDS) == "담당：홍길동（[PHONE]，[EMAIL]），내선 １２３"


def test_masking_twice_changes_nothing_more() -> None:
    once = mask_text("hong@naver.com 010-1234-5678 900101-1234568", KINDS)
    assert once == "[EMAIL] [PHONE] [RESIDENT_NUMBER]" and mask_text(once, KINDS) == once
