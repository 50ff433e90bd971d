"""Shingles, exact and hashed, and the signatures that are made of them."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from posttrain.duplicates.settings import NearDuplicates
from posttrain.duplicates.shingles import ROWS_AT_ONCE, batches, shingle_hashes, shingle_numbers
from posttrain.duplicates.signatures import NO_SHINGLE, signatures

TEXT = st.lists(st.sampled_from(["a", "b", "bb", "물", "水", "é", "𠀀", "\x15x"]), max_size=9).map(" ".join)


def runs(text: str, size: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[n : n + size]) for n in range(max(len(words) - size + 1, 1))} if words else set()


def test_numbers_are_equal_where_the_words_are() -> None:
    one, two, none, short = map(set, shingle_numbers(["a b a b", "b a c", "", "a"], 2))
    assert (len(one), len(two), len(one & two), len(none), len(short)) == (2, 2, 1, 0, 1)
    assert not short & (one | two)


@given(st.lists(TEXT, max_size=6), st.integers(1, 7))
def test_numbers_and_hashes_agree_with_sets_of_words(texts: list[str], size: int) -> None:
    numbers = [set(found) for found in shingle_numbers(texts, size)]
    hashes, offsets = shingle_hashes(texts, size)
    hashed = [set(hashes[int(a) : int(b)].tolist()) for a, b in zip(offsets, offsets[1:], strict=False)]
    assert len(numbers) == len(hashed) == len(texts)
    for a, one in enumerate(texts):
        for b, two in enumerate(texts):
            shared = len(runs(one, size) & runs(two, size))
            assert len(numbers[a] & numbers[b]) == len(hashed[a] & hashed[b]) == shared


def test_numbers_are_distinct_and_ascend() -> None:
    for found in shingle_numbers(["b a b a b a", "a b", "", "c b a a a a a"], 2):
        assert found.tolist() == sorted(set(found.tolist()))


def test_long_shingles_of_many_words_do_not_overflow() -> None:
    texts = [" ".join(f"w{n}" for n in range(start, start + 3000)) for start in (0, 1500)]
    one, two = map(set, shingle_numbers(texts, 20))
    assert (len(one), len(two), len(one & two)) == (2981, 2981, 1481)


def test_a_stray_line_end_moves_no_other_row() -> None:
    """Texts come normalised; one that is not must not shift its neighbours' shingles."""
    hashes, offsets = shingle_hashes(["a b\nc d", "x y z"], 3)
    alone, _ = shingle_hashes(["x y z"], 3)
    assert hashes[int(offsets[1]) :].tolist() == alone.tolist()


def test_batches_keep_all_texts_in_order() -> None:
    texts = [f"{n}" * (n % 5) for n in range(3 * ROWS_AT_ONCE + 7)] + ["x" * 300_000, "y", "z" * 300_000]
    pieces = list(batches(texts))
    assert [text for piece in pieces for text in piece] == texts
    assert max(len(piece) for piece in pieces) == ROWS_AT_ONCE


@settings(deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=8), st.integers(0, 8))
def test_a_signature_depends_on_its_own_text_only(texts: list[str], cut: int) -> None:
    near = NearDuplicates()
    whole = signatures(texts, near)
    assert whole.shape == (len(texts), 128) and whole.dtype == np.uint32
    assert (np.concatenate([signatures(texts[:cut], near), signatures(texts[cut:], near)]) == whole).all()


def test_a_text_without_words_has_no_signature() -> None:
    assert (signatures(["", "a"], NearDuplicates()) == NO_SHINGLE).all(axis=1).tolist() == [True, False]


def test_signatures_are_the_same_numbers_in_every_process_and_release() -> None:
    """Written down once: another processor, hash seed or version of rensa must give these, or find other duplicates."""
    code = ("from posttrain.duplicates.signatures import signatures; from posttrain.duplicates.settings import NearDuplicates;"
            "print(signatures(['the quick brown fox jumps', '한국어 문장 하나'], NearDuplicates())[:, [0, 1, 127]].tolist())")
    for seed in ("0", "1"):
        done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, check=True,
                              capture_output=True, text=True)
        assert done.stdout.strip() == "[[3383354201, 3546816780, 3257469894], [3360705869, 2972520371, 4254189357]]"


def test_agreement_of_signatures_estimates_the_jaccard() -> None:
    """200 of 250 words in common and in a row: 198 shared runs of three, 248 in each text; J = 198 / 298 = .664."""
    one = " ".join(f"a{n}" for n in range(250))
    two = " ".join(f"a{n}" if n < 200 else f"b{n}" for n in range(250))
    near = NearDuplicates(permutations=1024)
    a, b = signatures([one, two], near)
    assert abs((a == b).mean() - 198 / 298) < 4 * (0.664 * 0.336 / 1024) ** 0.5
