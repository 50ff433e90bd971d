"""What the IFEval checks count: sentences, words in capitals, whole-word matches, the language of a text."""

from __future__ import annotations

import re

_ABBREVIATIONS = frozenset({
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "etc", "inc", "ltd", "co", "corp", "no", "fig", "eq", "vol",
    "approx", "gen", "col", "sgt", "capt", "gov", "rev", "dept", "est", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep",
    "sept", "oct", "nov", "dec", "e.g", "i.e", "a.m", "p.m", "u.s", "u.k", "ph.d", "cf", "al",
})
_END = re.compile(r"(?:[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？]+[」』”’]*)")


def split_sentences(text: str) -> list[str]:
    """Sentences, without a model or a download.

    A sentence ends at . ! ? … (and closing quotes or brackets) before white space or the end, and at 。！？ anywhere.
    A full stop does not end it after an abbreviation (Dr., e.g., U.S.), a single capital (J. Smith) or the number
    of a list item at the beginning of a line ("1."). A line break alone ends nothing; what follows the last end
    is a sentence too. NLTK's punkt, which the official checker uses, differs in rare cases.
    """
    sentences, start = [], 0
    for found in _END.finditer(text):
        if found[0].startswith(".") and _is_abbreviation(text, found.start()):
            continue
        sentences.append(text[start:found.end()].strip())
        start = found.end()
    sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if re.search(r"\w", sentence)]


def _is_abbreviation(text: str, stop: int) -> bool:
    before = re.search(r"(\S+)$", text[:stop])
    if not before:
        return False
    word = before[1].lstrip("(\"'“‘[").rstrip()
    if word.lower() in _ABBREVIATIONS and text[stop + 1:].strip() != "":
        return not (word.lower() in ("etc", "a.m", "p.m", "inc", "co") and re.match(r"\.\s+[A-Z]", text[stop:]))
    if re.fullmatch(r"[A-Z](?:\.[A-Z])*", word) and word != "I":
        return text[stop + 1:].strip() != ""
    line = text[text.rfind("\n", 0, stop) + 1: stop]
    return re.fullmatch(r"\s*\d{1,3}", line) is not None


def words_in_capitals(text: str) -> int:
    """Words whose letters are all capitals; "WELL-KNOWN" is one word, and "I" and "A" count."""
    return sum(word.isupper() for word in re.findall(r"[^\W_]+(?:[-'’][^\W_]+)*", text))


def count_whole(text: str, phrase: str) -> int:
    """How often a word or phrase stands in the text as a whole, case ignored."""
    return len(re.findall(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, flags=re.IGNORECASE))


def detect_language(text: str) -> str | None:
    """The language code by langdetect, the same at every call; None where the text has no letters.

    langdetect draws random numbers; each call sets the seed of its own detector, so that neither order nor other
    callers of the library matter.
    """
    from langdetect import LangDetectException, detector_factory

    detector_factory.init_factory()
    detector = detector_factory._factory.create()
    detector.seed = 0
    try:
        detector.append(text)
        return str(detector.detect())
    except LangDetectException:
        return None
