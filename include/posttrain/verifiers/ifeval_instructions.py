"""The 25 instruction ids of IFEval, each with the arguments of the published data (google-research, 2023).

Same decisions as the official checkers, except: sentences and words in capitals are counted without NLTK
(`text_measures`), keywords are text and not regular expressions, and langdetect has a fixed seed.
`relation` is "less than" or "at least".
"""

from __future__ import annotations

import re
from collections.abc import Callable

from posttrain.verifiers.ifeval_functions import has_title, has_two_responses, is_json, is_quoted
from posttrain.verifiers.text_measures import count_whole, detect_language, split_sentences, words_in_capitals

CONSTRAINED_RESPONSES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def follows_keyword_existence(text: str, keywords: list[str]) -> bool:
    return all(keyword.lower() in text.lower() for keyword in keywords)


def follows_keyword_frequency(text: str, keyword: str, frequency: int, relation: str) -> bool:
    return _relates(text.lower().count(keyword.strip().lower()), relation, frequency)


def follows_forbidden_words(text: str, forbidden_words: list[str]) -> bool:
    return not any(count_whole(text, word) for word in forbidden_words)


def follows_letter_frequency(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    return _relates(text.lower().count(letter.strip().lower()), let_relation, let_frequency)


def follows_response_language(text: str, language: str) -> bool:
    """A text without letters follows, as in the official checker."""
    return detect_language(text) in (language, None)


def follows_number_sentences(text: str, num_sentences: int, relation: str) -> bool:
    return _relates(len(split_sentences(text)), relation, num_sentences)


def follows_number_paragraphs(text: str, num_paragraphs: int) -> bool:
    """Divider `***`; an empty paragraph is forgiven at the beginning and at the end."""
    paragraphs = [part.strip() for part in re.split(r"\s?\*\*\*\s?", text)]
    inner = paragraphs[1 if not paragraphs[0] else 0: len(paragraphs) - (1 if not paragraphs[-1] else 0)]
    return all(inner) and len(inner) == num_paragraphs


def follows_number_words(text: str, num_words: int, relation: str) -> bool:
    return _relates(len(re.findall(r"\w+", text)), relation, num_words)


def follows_nth_paragraph_first_word(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Paragraphs are divided by an empty line; empty ones do not count."""
    paragraphs = re.split(r"\n\n", text)
    filled = [part for part in paragraphs if part.strip()]
    if len(filled) != num_paragraphs or not 1 <= nth_paragraph <= len(paragraphs):
        return False
    paragraph = paragraphs[nth_paragraph - 1].strip()
    if not paragraph:
        return False
    word = re.match(r"[^.,?!'\"]*", paragraph.split()[0].lstrip("'\""))
    return word is not None and word[0].lower() == first_word.lower()


def follows_number_placeholders(text: str, num_placeholders: int) -> bool:
    return len(re.findall(r"\[.*?\]", text)) >= num_placeholders


def follows_postscript(text: str, postscript_marker: str) -> bool:
    """ "P.S." and "P.P.S" may have a space between the letters."""
    marker = postscript_marker.strip().lower()
    pattern = {"p.p.s": r"p\.\s?p\.\s?s", "p.s.": r"p\.\s?s\."}.get(marker, re.escape(marker))
    return re.search(pattern, text.lower()) is not None


def follows_number_bullet_lists(text: str, num_bullets: int) -> bool:
    stars = re.findall(r"^\s*\*[^\*].*$", text, flags=re.MULTILINE)
    return len(stars) + len(re.findall(r"^\s*-.*$", text, flags=re.MULTILINE)) == num_bullets


def follows_constrained_response(text: str) -> bool:
    return any(response in text for response in CONSTRAINED_RESPONSES)


def follows_number_highlighted_sections(text: str, num_highlights: int) -> bool:
    """Counts like the official checker, which counts a **double** highlight once."""
    single = [h for h in re.findall(r"\*[^\n\*]*\*", text) if h.strip("*").strip()]
    double = [h for h in re.findall(r"\*\*[^\n\*]*\*\*", text) if h.removeprefix("**").removesuffix("**").strip()]
    return len(single) + len(double) >= num_highlights


def follows_multiple_sections(text: str, section_spliter: str, num_sections: int) -> bool:
    return len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", text)) >= num_sections


def follows_json_format(text: str) -> bool:
    return is_json(text)


def follows_title(text: str) -> bool:
    return has_title(text)


def follows_two_responses(text: str) -> bool:
    return has_two_responses(text)


def follows_repeat_prompt(text: str, prompt_to_repeat: str) -> bool:
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def follows_end_checker(text: str, end_phrase: str) -> bool:
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def follows_capital_word_frequency(text: str, capital_frequency: int, capital_relation: str) -> bool:
    return _relates(words_in_capitals(text), capital_relation, capital_frequency)


def follows_english_capital(text: str) -> bool:
    return text.isupper() and detect_language(text) == "en"


def follows_english_lowercase(text: str) -> bool:
    return text.islower() and detect_language(text) == "en"


def follows_no_comma(text: str) -> bool:
    return "," not in text


def follows_quotation(text: str) -> bool:
    return is_quoted(text)


INSTRUCTIONS: dict[str, Callable[..., bool]] = {
    "keywords:existence": follows_keyword_existence,
    "keywords:frequency": follows_keyword_frequency,
    "keywords:forbidden_words": follows_forbidden_words,
    "keywords:letter_frequency": follows_letter_frequency,
    "language:response_language": follows_response_language,
    "length_constraints:number_sentences": follows_number_sentences,
    "length_constraints:number_paragraphs": follows_number_paragraphs,
    "length_constraints:number_words": follows_number_words,
    "length_constraints:nth_paragraph_first_word": follows_nth_paragraph_first_word,
    "detectable_content:number_placeholders": follows_number_placeholders,
    "detectable_content:postscript": follows_postscript,
    "detectable_format:number_bullet_lists": follows_number_bullet_lists,
    "detectable_format:constrained_response": follows_constrained_response,
    "detectable_format:number_highlighted_sections": follows_number_highlighted_sections,
    "detectable_format:multiple_sections": follows_multiple_sections,
    "detectable_format:json_format": follows_json_format,
    "detectable_format:title": follows_title,
    "combination:two_responses": follows_two_responses,
    "combination:repeat_prompt": follows_repeat_prompt,
    "startend:end_checker": follows_end_checker,
    "change_case:capital_word_frequency": follows_capital_word_frequency,
    "change_case:english_capital": follows_english_capital,
    "change_case:english_lowercase": follows_english_lowercase,
    "punctuation:no_comma": follows_no_comma,
    "startend:quotation": follows_quotation,
}


def _relates(count: int, relation: str, target: int) -> bool:
    return count < target if relation == "less than" else count >= target
