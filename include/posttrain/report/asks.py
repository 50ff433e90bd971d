"""What a prompt asks for: the leading verb of a request or its question word, in English and Korean, without a model.

English: the first sentences without politeness ("Could you please …"); the first word of a request is its verb if it is one of
VERBS; else the first question word. Korean: the verb stands last, so the endings of requests ("…해 주세요", "…하시오") are looked for,
and what is before them is the verb; else the question word. What fits neither is "other"; the report says how much that is.
Self-Instruct (arXiv 2212.10560, section 2.3) draws such a view with a parser; this one needs none and works in both languages.
"""

from __future__ import annotations

import re
from collections import Counter

VERBS = frozenset("""add analyze analyse answer arrange assume brainstorm build calculate categorize change choose cite classify
combine come compare complete compose compute consider construct continue convert correct count create critique debug decide deduce
define demonstrate derive describe design determine develop discuss divide draft draw edit elaborate emphasize estimate evaluate
examine expand explain explore express extract factor fill find finish fix format formulate generate give group guess identify
illustrate imagine implement improve include infer insert integrate interpret introduce invent judge label list locate make match
mention modify multiply name offer order organize outline output paraphrase parse perform pick plan play predict prepare present
produce propose prove provide rank rate read rearrange recommend reduce refactor remove rename reorder rephrase replace research
respond rewrite role-play say search select separate shorten show simplify simulate sketch solve sort speak specify split
state structure subtract suggest sum summarize summarise take talk teach tell think transform translate turn update use verify write""".split())
QUESTIONS = ("what", "how", "why", "who", "whom", "whose", "when", "where", "which")
YES_NO = frozenset("is are was were do does did can could will would should has have had may might am".split())
STOP = frozenset("""a an the this that these those me my mine your our his her its their it them us you some any all each every
following given two three four five one few several more most new good best short long brief simple detailed possible different of
in on at to for from with about into by as and or if then so out up down i we they he she be is are not how what why who when
where which there here please also just only very such other another same own first second next last own""".split())

_POLITE = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|now|so|well|thanks|please|kindly|assistant|chatgpt)\b[\s,.!:]*"
    r"|(?:can|could|would|will)\s+(?:you|u)\b\s*(?:please\b)?[\s,]*|i(?:\s+would|\s*['’]d)?\s+(?:want|need|like)\s+(?:you\s+)?to\s+"
    r"|(?:help\s+me)\s+(?:to\s+)?|let\s*['’]?s\s+|you\s+(?:must|should|need\s+to)\s+|your\s+task\s+is\s+to\s+|try\s+to\s+)+",
    re.IGNORECASE)
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*(?:['’][a-z]+)?")
_SENTENCE = re.compile(r"[.!?。\n]+\s*")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_LATIN = re.compile(r"[A-Za-z]")

_REQUEST = re.compile(
    r"([\uac00-\ud7a3]+)(?:해|하여|해서)\s?(?:줘|주세요|주십시오|주실|줄래|주렴|봐|보세요|보시오|라)(?=요|[^\uac00-\ud7a3]|$)"
    r"|([\uac00-\ud7a3]+)(?:하시오|하세요|하십시오|하라|하자|해라|해보자|해)(?=[^\uac00-\ud7a3]|$)")
_GIVEN = re.compile(
    r"(알려|써|만들어|찾아|적어|말해|골라|나눠|바꿔|들어|보여|가르쳐|고쳐|지어|풀어|그려|세워|뽑아|채워|고르|구하|쓰|나타내|답하|맞추)"
    r"\s?(?:줘|주세요|주십시오|주실|줄래|주렴|봐|보세요|보시오|라|시오|세요)")
_KOREAN_QUESTIONS = (
    ("얼마", "얼마"), ("몇", "몇"), ("어떻게", "어떻게"), ("왜", "왜"), ("언제", "언제"), ("어디", "어디"), ("누구", "누구"), ("누가", "누구"),
    ("무엇", "무엇"), ("무슨", "무엇"), ("뭐", "무엇"), ("뭘", "무엇"), ("뭔", "무엇"), ("어떤", "어떤"), ("어느", "어느"),
)
_KOREAN_WHETHER = re.compile(r"(?:나요|까요|까|니|는가|은가|인가|인가요|가요)\s*\?|[?？]")
_DICTIONARY = {"알려": "알리다", "써": "쓰다", "쓰": "쓰다", "만들어": "만들다", "찾아": "찾다", "적어": "적다", "말해": "말하다", "골라": "고르다",
               "고르": "고르다", "나눠": "나누다", "바꿔": "바꾸다", "들어": "들다", "보여": "보이다", "가르쳐": "가르치다", "고쳐": "고치다",
               "지어": "짓다", "풀어": "풀다", "그려": "그리다", "세워": "세우다", "뽑아": "뽑다", "채워": "채우다", "구하": "구하다",
               "나타내": "나타내다", "답하": "답하다", "맞추": "맞추다"}
_SENTENCES = 3


def is_korean(text: str) -> bool:
    """Whether at least a third of the prompt's letters are Hangul: a Korean prompt about English words is Korean."""
    hangul = len(_HANGUL.findall(text))
    return hangul > 0 and 2 * hangul >= len(_LATIN.findall(text))


def asks_for(prompt: str) -> tuple[str, str]:
    """(verb or question word, its object): "Please write a short poem" → ("write", "poem"), "시를 써 줘" → ("쓰다", "시").

    ("other", "") where nothing is found; the object is "" where there is none.
    """
    return _korean(prompt) if is_korean(prompt) else _english(prompt)


def _english(prompt: str) -> tuple[str, str]:
    sentences = [s for s in _SENTENCE.split(prompt[:2000].strip()) if s.strip()]
    for sentence in [*sentences[:_SENTENCES], *sentences[-1:]]:
        words = _WORD.findall(_POLITE.sub("", sentence.strip(" \t\"'*#->:1234567890()")).lower())
        if words and words[0] in VERBS:
            return words[0], next((w for w in words[1:8] if w not in STOP and w not in VERBS), "")
    for sentence in sentences[: _SENTENCES] + sentences[-1:]:
        words = _WORD.findall(sentence.lower().replace("’", "'"))
        for n, word in enumerate(words[:4]):
            if word.split("'")[0] in QUESTIONS:
                return word.split("'")[0] + " …?", next((w for w in words[n + 1 : n + 8] if w not in STOP and w not in YES_NO), "")
    if any(s.lower().split()[0] in YES_NO for s in sentences[:_SENTENCES]) and "?" in prompt:
        return "yes or no?", ""
    return ("question in words", "") if prompt.rstrip().endswith("?") else ("other", "")


def _korean(prompt: str) -> tuple[str, str]:
    text = prompt[:2000]
    if given := _last(_GIVEN, text):
        return _DICTIONARY[given[1]], _object(text[: given.start()])
    if found := _last(_REQUEST, text):
        stem = found[1] or found[2]
        if stem not in ("안녕", "그", "이", "저", "위", "통", "대", "관", "의", "인", "비교적"):
            return f"{stem}하다", _object(text[: found.start()])
    for sign, name in _KOREAN_QUESTIONS:
        if sign in text:
            return f"{name} …?", ""
    return ("예/아니오?", "") if _KOREAN_WHETHER.search(text) else ("기타", "")


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for found in pattern.finditer(text):
        pass
    return found


def _object(before: str) -> str:
    """The last word with an object particle before the verb, without the particle."""
    found = re.findall(r"([\uac00-\ud7a3A-Za-z0-9]+)(?:을|를)(?=\s|$)", before[-80:])
    return found[-1] if found else ""


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
