"""Korean words → their stems, by the morphemes that Kiwi (kiwipiepy) finds, its model installed with it.

    정수의 합이 10이고 있었습니다   정수 합 10 있    stem: the word as it stands, up to its particles and endings

A Korean word is analysed by itself, not in its sentence: the same word has the same stem wherever it stands, which
an exact comparison needs, and each is analysed once. Kiwi's lists of names and of titles are not loaded: they keep
long names in one piece, and cost two thirds of its start and half of its memory.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING

from posttrain.child_process import die_with_parent, python_path

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

HANGUL = "\u1100-\u11ff\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb"
"""Syllables and their letters, for a character class. NFKC turns every other form of them into these."""

LONGEST_WORD = 64
"""A longer run of letters without a space is no word, and has no stem."""

_BEFORE = re.compile(f"[^{HANGUL}]*")

_ENDS = ("J", "E", "XSV", "XSA", "VCP", "VX")
"""Particles, endings, the 하 and 되 that make a verb of a noun, the copula, auxiliaries: what may follow a stem."""


def analyser() -> str:
    """Name and version of what reads Korean words: another version may read other stems."""
    return f"kiwi-{version('kiwipiepy')}-{version('kiwipiepy_model')}"


@functools.cache
def _kiwi() -> Kiwi:
    from kiwipiepy import Kiwi

    return Kiwi(num_workers=1, load_default_dict=False, load_multi_dict=False)


@functools.lru_cache(maxsize=1 << 17)
def morphemes(word: str) -> tuple[tuple[str, str, int], ...]:
    """(form, tag, first character) of the morphemes of a word; none for what is longer than LONGEST_WORD."""
    if len(word) > LONGEST_WORD:
        return ()
    return tuple((token.form, token.tag, token.start) for token in _kiwi().tokenize(word))


@functools.lru_cache(maxsize=1 << 17)
def stem(word: str) -> str:
    """The word up to its particles and endings, as it is written (했다 gives 했); a word that is nothing else stays whole."""
    end, last = len(word), len(word)
    for form, tag, start in reversed(morphemes(word)):
        if not (tag.startswith(_ENDS) or (form, tag) == ("들", "XSN")):
            last = start
            break
        end = start if start < end else end
    else:
        return word
    # An ending that begins in the syllable of the stem cannot be taken off it.
    return word[: max(end, last + 1, len(before_hangul(word)))]


def before_hangul(word: str) -> str:
    """What stands before the first Hangul of a word (AI of AI가); a stem always begins with it."""
    return _BEFORE.match(word)[0]  # type: ignore[index]  # it matches the empty text


# ---------------------------------------------------------------- another process


class StemReader:
    """Looks up stems in a process of its own, so that the analyser starts and works beside what the caller does."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = ThreadPoolExecutor(1)
        self._words: list[str] = []
        self._answer: Future[tuple[bytes, bytes]] | None = None

    def start(self) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "posttrain.decontaminate.korean"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": python_path()}, preexec_fn=die_with_parent,
            )

    def ask(self, words: list[str]) -> None:
        """Hand the words over; `stems` waits for the answer."""
        self._words = words
        if self._process is not None:
            self._answer = self._thread.submit(self._process.communicate, json.dumps(words).encode())

    def stems(self) -> dict[str, str]:
        """Word → stem of the words that were asked for; read here, where no process was started."""
        if self._process is None or self._answer is None:
            return {word: stem(word) for word in self._words}
        answer, _ = self._answer.result()
        if self._process.returncode:
            raise RuntimeError(f"the process that reads Korean words ended with status {self._process.returncode}")
        return dict(zip(self._words, json.loads(answer), strict=True))

    def __enter__(self) -> StemReader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
        if self._process is not None and self._answer is None:
            self._process.communicate()
        self._thread.shutdown()


def _serve() -> None:
    stem("안녕하세요")  # starts the analyser before the words have come
    words = json.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(json.dumps([stem(word) for word in words]).encode())


if __name__ == "__main__":
    _serve()
