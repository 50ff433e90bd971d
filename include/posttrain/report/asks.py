"""What a prompt asks for: the leading verb of a request or its question word, in English and Korean, without a model.

English: the first word of one of the first sentences, politeness ("Could you please …") aside, where it is one of VERBS; else
the question word. Korean: the verb stands last, so the endings of requests ("…해 주세요", "…하시오") are looked for, and what is
before them is the verb; else the question word. What fits neither is "other"; the report says how much that is.
Self-Instruct (arXiv 2212.10560, section 2.3) draws such a view with a parser; this one needs none and works in both languages.
"""

from __future__ import annotations

import re
from collections import Counter

VERBS = frozenset("""
add analyse analyze answer arrange assume brainstorm build calculate categorize change choose cite classify combine come
compare complete compose compute consider construct continue convert correct count create critique debug decide deduce define
demonstrate derive describe design determine develop discuss divide draft draw edit elaborate emphasize estimate evaluate
examine expand explain explore express extract factor fill find finish fix format formulate generate give group guess
identify illustrate imagine implement improve include infer insert integrate interpret introduce invent judge label list
locate make match mention modify multiply name offer order organize outline output paraphrase parse perform pick plan play
predict prepare present produce propose prove provide rank rate read rearrange recommend reduce refactor remove rename
reorder rephrase replace research respond rewrite role-play say search select separate shorten show simplify simulate sketch
solve sort speak specify split state structure subtract suggest sum summarise summarize take talk teach tell think transform
translate turn update use verify write
""".split())  # noqa: SIM905 - a list of words, not of strings
QUESTIONS = ("what", "how", "why", "who", "whom", "whose", "when", "where", "which")
YES_NO = frozenset("""
is are was were do does did can could will would should has have had may might am
""".split())  # noqa: SIM905 - a list of words, not of strings
STOP = frozenset("""
a about all also an and another any are as at be best brief by detailed different down each every few first five following
for four from given good he her here his how i if in into is it its just last long me mine more most my new next not of on
one only or other our out own please possible same second several she short simple so some such that the their them then
there these they this those three to two up us very we what when where which who why with you your
""".split())  # noqa: SIM905 - a list of words, not of strings

_POLITE = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|now|so|well|thanks|please|kindly|assistant|chatgpt)\b[\s,.!:]*"
    r"|(?:can|could|would|will)\s+(?:you|u)\b\s*(?:please\b)?[\s,]*"
    r"|i(?:\s+would|\s*['’]d)?\s+(?:want|need|like)\s+(?:you\s+)?to\s+|(?:help\s+me)\s+(?:to\s+)?|let\s*['’]?s\s+"
    r"|you\s+(?:must|should|need\s+to)\s+|your\s+task\s+is\s+to\s+|try\s+to\s+)+", re.IGNORECASE)
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*(?:['’][a-z]+)?")
_SENTENCE = re.compile(r"[.!?。\n]+\s*")
_QUESTION = re.compile(r"[^.!?\n]+\?")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_LATIN = re.compile(r"[A-Za-z]")

_REQUEST = re.compile(
    r"([\uac00-\ud7a3]+)(?:해|하여|해서)\s?(?:줘|주세요|주십시오|주실|줄래|주렴|봐|보세요|보시오|라)(?=요|[^\uac00-\ud7a3]|$)"
    r"|([\uac00-\ud7a3]+)(?:하시오|하세요|하십시오|하라)(?=[^\uac00-\ud7a3]|$)")
_GIVEN = re.compile(
    r"(알려|써|만들어|찾아|적어|말해|골라|나눠|바꿔|들어|보여|가르쳐|고쳐|지어|풀어|그려|세워|뽑아|채워|고르|구하|쓰|나타내|답하|맞추)"
    r"\s?(?:줘|주세요|주십시오|주실|줄래|주렴|봐|보세요|보시오|라|시오|세요)")
_KOREAN_QUESTIONS = (
    ("얼마", "얼마"), ("몇", "몇"), ("어떻게", "어떻게"), ("왜", "왜"), ("언제", "언제"), ("어디", "어디"), ("누구", "누구"),
    ("누가", "누구"), ("무엇", "무엇"), ("무슨", "무엇"), ("뭐", "무엇"), ("뭘", "무엇"), ("뭔", "무엇"), ("어떤", "어떤"),
    ("어느", "어느"),
)
_KOREAN_WHETHER = re.compile(r"(?:나요|까요|까|니|는가|은가|인가|인가요|가요)\s*\?|[?？]")
_DICTIONARY = {
    "알려": "알리다", "써": "쓰다", "쓰": "쓰다", "만들어": "만들다", "찾아": "찾다", "적어": "적다", "말해": "말하다",
    "골라": "고르다", "고르": "고르다", "나눠": "나누다", "바꿔": "바꾸다", "들어": "들다", "보여": "보이다",
    "가르쳐": "가르치다", "고쳐": "고치다", "지어": "짓다", "풀어": "풀다", "그려": "그리다", "세워": "세우다",
    "뽑아": "뽑다", "채워": "채우다", "구하": "구하다", "나타내": "나타내다", "답하": "답하다", "맞추": "맞추다",
}
_SENTENCES = 3
LOOKED_AT = 2_000
"""Characters of a prompt that are looked at."""


def is_korean(text: str) -> bool:
    """Whether at least a third of the prompt's letters are Hangul: a Korean prompt about English words is Korean."""
    hangul = len(_HANGUL.findall(text))
    return hangul > 0 and 2 * hangul >= len(_LATIN.findall(text))


def asks_for(prompt: str) -> tuple[str, str]:
    """(verb or question word, its object): "Please write a short poem" → ("write", "poem"), "시를 써 줘" → ("쓰다", "시").

    ("other", "") where nothing is found; the object is "" where there is none.
    """
    return _korean(prompt[:LOOKED_AT]) if is_korean(prompt) else _english(prompt[:LOOKED_AT])


def _english(prompt: str) -> tuple[str, str]:
    text = prompt.strip()
    sentences = [s for s in _SENTENCE.split(text) if s.strip()]
    looked_at = [*sentences[:_SENTENCES], *sentences[_SENTENCES:][-1:]]
    for sentence in looked_at:
        words = _WORD.findall(_POLITE.sub("", sentence.strip(" \t\"'*#->:1234567890()")).lower())
        if words and words[0] in VERBS:
            return words[0], next((w for w in words[1:8] if w not in STOP and w not in VERBS), "")
    questions = [_WORD.findall(q.lower().replace("’", "'")) for q in _QUESTION.findall(text)[-1:]]
    for words in [_WORD.findall(s.lower().replace("’", "'"))[:4] for s in looked_at] + questions:
        for n, word in enumerate(words):
            if word.split("'")[0] in QUESTIONS:
                after = words[n + 1 :] or [""]
                return word.split("'")[0] + " …?", next((w for w in after[:7] if w not in STOP and w not in YES_NO), "")
    if any(words and words[0] in YES_NO for words in questions):
        return "yes or no?", ""
    return ("question in words", "") if text.endswith("?") else ("other", "")


def _korean(prompt: str) -> tuple[str, str]:
    if given := _last(_GIVEN, prompt):
        return _DICTIONARY[given[1]], _object(prompt[: given.start()])
    found = _last(_REQUEST, prompt)
    if found and (found[1] or found[2]) != "안녕":
        return f"{found[1] or found[2]}하다", _object(prompt[: found.start()])
    for sign, name in _KOREAN_QUESTIONS:
        if sign in prompt:
            return f"{name} …?", ""
    return ("예/아니오?", "") if _KOREAN_WHETHER.search(prompt) else ("기타", "")


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return max(pattern.finditer(text), key=lambda match: match.start(), default=None)


def _object(before: str) -> str:
    """The last word with an object particle before the verb, without the particle; of "사실 3가지를" what is counted, 사실."""
    text = before[-80:]
    found = list(re.finditer(r"([\uac00-\ud7a3A-Za-z0-9]+)(?:을|를)(?=\s|$)", text))
    if not found or not found[-1][1][0].isdigit():
        return found[-1][1] if found else ""
    counted = re.search(r"([\uac00-\ud7a3A-Za-z]+)\s+\Z", text[: found[-1].start()])
    return counted[1] if counted else ""


def count_asks(prompts: list[str]) -> dict[str, tuple[int, Counter[str]]]:
    """Verb → (prompts, objects with their counts), the most frequent verb first."""
    verbs: Counter[str] = Counter()
    objects: dict[str, Counter[str]] = {}
    for prompt in prompts:
        verb, thing = asks_for(prompt)
        verbs[verb] += 1
        if thing:
            objects.setdefault(verb, Counter())[thing] += 1
    return {verb: (count, objects.get(verb, Counter())) for verb, count in verbs.most_common()}
