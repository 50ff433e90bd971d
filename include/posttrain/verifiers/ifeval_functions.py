"""The 25 checks of the Tülu 3 RLVR data (names and arguments as in open-instruct's `if_functions.py`), made firm.

What differs from open-instruct v0.3.0, and why:

- validate_choice: an option must stand as a whole; as a substring, option "A" would match "Apple".
- validate_two_responses: as in the official checker, a divider at the very beginning or end is forgiven.
- validate_uppercase, validate_lowercase: at least one letter is needed; "123" is neither.
- validate_response_language: langdetect with a fixed seed; a text without letters is in no language.
- verify_sentence_constraint: our sentence splitter (`text_measures.split_sentences`).
- verify_keyword_frequency: also counts phrases of several words, which could never match.
- verify_bullet_points: a line of emphasis ("**Note**") or a rule ("---", "***") is no bullet point.
- validate_highlighted_sections, validate_title: nothing but white space between the marks does not count.
- validate_end, validate_quotation, validate_json_format: white space around the answer does not matter.
- "around N" keeps the tolerance ±max(round(N/10), 1) for words and ±1 for sentences.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from posttrain.verifiers.text_measures import count_whole, detect_language, split_sentences


def verify_keywords(text: str, keyword_list: list[str]) -> bool:
    return all(keyword.lower() in text.lower() for keyword in keyword_list)


def verify_keyword_frequency(text: str, word: str, N: int) -> bool:
    return count_whole(text, word) == N


def validate_forbidden_words(text: str, forbidden_words: list[str]) -> bool:
    return not any(word.lower() in text.lower() for word in forbidden_words)


def verify_letter_frequency(text: str, letter: str, N: int) -> bool:
    return text.count(letter) == N


def validate_response_language(text: str, language: str) -> bool:
    return detect_language(text) == language


def verify_paragraph_count(text: str, N: int) -> bool:
    paragraphs = text.split("* * *")
    return len(paragraphs) == N and all(paragraph.strip() for paragraph in paragraphs)


def validate_word_constraint(text: str, N: int, quantifier: str) -> bool:
    return _compare(len(text.split()), N, quantifier, max(round(N * 0.1), 1))


def verify_sentence_constraint(text: str, N: int, quantifier: str) -> bool:
    return _compare(len(split_sentences(text)), N, quantifier, 1)


def validate_paragraphs(text: str, N: int, first_word: str, i: int) -> bool:
    paragraphs = text.split("\n\n")
    return len(paragraphs) == N and 1 <= i <= N and paragraphs[i - 1].strip().startswith(first_word)


def verify_postscript(text: str, postscript_marker: str) -> bool:
    _, marker, rest = text.partition(postscript_marker)
    return bool(marker and rest.strip())


def validate_placeholders(text: str, N: int) -> bool:
    return len(re.findall(r"\[.*?\]", text)) >= N


def verify_bullet_points(text: str, N: int) -> bool:
    return count_bullets(text) == N


def validate_title(text: str) -> bool:
    return has_title(text)


def validate_choice(text: str, options: list[str]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(str(option))}(?!\w)", text) for option in options)


def validate_highlighted_sections(text: str, N: int) -> bool:
    return count_highlights(text) >= N


def validate_sections(text: str, N: int, section_splitter: str) -> bool:
    return len(re.findall(rf"{re.escape(section_splitter)}\s?\d+", text, flags=re.IGNORECASE)) >= N


def validate_json_format(text: str) -> bool:
    return is_json(text)


def validate_repeat_prompt(text: str, original_prompt: str) -> bool:
    return text.startswith(original_prompt)


def validate_two_responses(text: str) -> bool:
    return has_two_responses(text)


def validate_uppercase(text: str) -> bool:
    return text.isupper()


def validate_lowercase(text: str) -> bool:
    return text.islower()


def validate_frequency_capital_words(text: str, N: int, quantifier: str) -> bool:
    return _compare(len(re.findall(r"\b[A-Z]+\b", text)), N, quantifier, max(round(N * 0.1), 1))


def validate_end(text: str, end_phrase: str) -> bool:
    return text.rstrip().endswith(end_phrase.rstrip())


def validate_quotation(text: str) -> bool:
    return is_quoted(text)


def validate_no_commas(text: str) -> bool:
    return "," not in text


FUNCTIONS: dict[str, Callable[..., bool]] = {
    function.__name__: function
    for function in (
        verify_keywords, verify_keyword_frequency, validate_forbidden_words, verify_letter_frequency, validate_response_language,
        verify_paragraph_count, validate_word_constraint, verify_sentence_constraint, validate_paragraphs, verify_postscript,
        validate_placeholders, verify_bullet_points, validate_title, validate_choice, validate_highlighted_sections,
        validate_sections, validate_json_format, validate_repeat_prompt, validate_two_responses, validate_uppercase,
        validate_lowercase, validate_frequency_capital_words, validate_end, validate_quotation, validate_no_commas,
    )
}


# ---------------------------------------------------------------- shared with the official instructions


def count_bullets(text: str) -> int:
    """Lines that begin with "*" or "-", except emphasis ("**Note**") and rules ("---", "* * *")."""
    lines = [line.strip() for line in text.splitlines()]
    marked = [line for line in lines if line.startswith(("*", "-")) and not line.startswith("**")]
    return sum(not re.fullmatch(r"[-*\s]{3,}", line) for line in marked)


def count_highlights(text: str) -> int:
    """*Highlighted* and **highlighted** sections with something in them, within one line."""
    return len(re.findall(r"\*\*\s*[^\s*\n][^*\n]*\*\*|\*\s*[^\s*\n][^*\n]*\*", text))


def has_title(text: str) -> bool:
    return re.search(r"<<[^<>\n]*[^<>\s][^<>\n]*>>", text) is not None


def is_json(text: str) -> bool:
    """JSON, bare or in one fenced block."""
    fenced = re.fullmatch(r"```(?:json)?\s*(.*?)\s*```", text.strip(), flags=re.DOTALL | re.IGNORECASE)
    try:
        json.loads(fenced[1] if fenced else text)
    except ValueError:
        return False
    return True


def has_two_responses(text: str) -> bool:
    parts = [part.strip() for part in text.split("******")]
    inner = parts[1 if not parts[0] else 0: len(parts) - (1 if not parts[-1] else 0)]
    return len(inner) == 2 and all(inner) and inner[0] != inner[1]


def is_quoted(text: str) -> bool:
    text = text.strip()
    return len(text) > 1 and text.startswith('"') and text.endswith('"')


def _compare(count: int, target: int, quantifier: str, tolerance: int) -> bool:
    """False for a quantifier other than these three, as in open-instruct."""
    if quantifier == "at least":
        return count >= target
    if quantifier == "at most":
        return count <= target
    return quantifier == "around" and abs(count - target) <= tolerance
