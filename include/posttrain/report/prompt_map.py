"""A map of what the prompts are about: a seeded sample of them, grouped by their words, drawn in two dimensions.

TF-IDF over words (Korean words without their particles), 50 dimensions by truncated SVD, k-means. A cluster is an island, as
large as its share, at the place that its centre has along the two axes on which the centres differ most, moved until no two
overlap; inside, prompts stand along the two axes on which they differ most. No model is loaded, so the same words mean the same
topic, whatever the sense; a cluster is named after the words that are more frequent in it than elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

import numpy as np

from posttrain.report import svg

PROMPTS = 3_000
"""Prompts that are grouped; DRAWN of them are drawn as points."""
DRAWN = 1_500
CLUSTERS = 12
DIMENSIONS = 50
WORDS = 6
SHOWN = 160

_PARTICLES = (
    "에서는", "이라는", "까지", "라는", "보다", "부터", "에게", "에는", "에서", "으로", "이나",
    "처럼", "하고", "하는", "가", "과", "는", "도", "로", "를", "만", "에", "와", "은",
    "을", "의", "이", "인",
)
_TOKEN = re.compile(r"[a-z][a-z'+#-]+|[\uac00-\ud7a3]+")
_KOREAN_STOP = frozenset("""
가장 같은 개 것 것은 경우 그 그리고 년 다음 대한 대해 더 되는 된 등 때 또는 몇 모두 무엇 무엇인가요 및 설명해
설명해주세요 수 알려주세요 알려줘 어떤 어떻게 없는 월 위한 위해 이 인가요 일 있나요 있는 있다 있습니다 저 전 주세요 중
하나요 하는 한다 합니까 합니다 해주세요 해줘 후
""".split())  # noqa: SIM905 - a list of words, not of strings


@dataclass(frozen=True)
class Cluster:
    """`words`: what sets it apart, the strongest first. `share` is of the prompts that were grouped."""

    colour: str
    words: list[str]
    share: float
    prompts: int
    sources: list[tuple[str, int]]
    examples: list[str]


@dataclass(frozen=True)
class Map:
    picture: str
    clusters: list[Cluster]
    grouped: int


def tokens(text: str) -> list[str]:
    """Words that can be a topic: Latin words in lower case, Korean words without their particle."""
    found = []
    for word in _TOKEN.findall(text.lower()):
        if word[0] >= "\uac00":
            word = next((word[: -len(p)] for p in _PARTICLES if word.endswith(p) and len(word) - len(p) >= 2), word)
            if len(word) > 1 and word not in _KOREAN_STOP and word not in _PARTICLES:
                found.append(word)
        elif len(word) > 2:
            found.append(word.strip("'-"))
    return found


def draw_map(prompts: list[str], sources: list[str], seed: int = 0) -> Map | None:
    """Group and draw a sample; None where there are fewer than 20 prompts or fewer than 3 words that two of them share."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer
    from sklearn.preprocessing import normalize

    chosen = sorted(Random(f"{seed} map").sample(range(len(prompts)), min(PROMPTS, len(prompts))))
    texts, names = [prompts[n] for n in chosen], [sources[n] for n in chosen]
    stop = ENGLISH_STOP_WORDS
    vectorizer = TfidfVectorizer(analyzer=lambda text: [t for t in tokens(text) if t not in stop], min_df=2, max_df=0.5,
                                 max_features=8_000, sublinear_tf=True)
    if len(texts) < 20:
        return None
    try:
        matrix = vectorizer.fit_transform(texts)
    except ValueError:  # no word is left
        return None
    known = np.flatnonzero(np.diff(matrix.indptr))
    if matrix.shape[1] < 3 or len(known) < 20:
        return None
    matrix, texts, names = matrix[known], [texts[n] for n in known], [names[n] for n in known]
    size = min(DIMENSIONS, matrix.shape[1] - 1)
    points = normalize(TruncatedSVD(size, random_state=seed).fit_transform(matrix))
    count = min(CLUSTERS, len(texts) // 5, len(np.unique(points.round(6), axis=0)))
    labels = KMeans(count, n_init=2, random_state=seed).fit_predict(points)
    centres = np.stack([points[labels == n].mean(axis=0) for n in range(count)])
    vocabulary = vectorizer.get_feature_names_out()
    overall = np.asarray(matrix.mean(axis=0)).ravel()
    clusters = []
    order = sorted(range(count), key=lambda n: (-int((labels == n).sum()), n))
    for number, n in enumerate(order):
        own = np.flatnonzero(labels == n)
        mean = np.asarray(matrix[own].mean(axis=0)).ravel()
        best = np.argsort(-(mean - overall), kind="stable")[:WORDS]
        near = own[np.argsort(-(points[own] @ centres[n]), kind="stable")][:3]
        counted = sorted(((s, sum(names[k] == s for k in own)) for s in {names[k] for k in own}), key=lambda c: (-c[1], c[0]))
        clusters.append(Cluster(svg.colour(number), [str(vocabulary[k]) for k in best if mean[k] > overall[k]],
                                len(own) / len(texts), len(own), counted[:3], [" ".join(texts[k].split())[:SHOWN] for k in near]))
    return Map(_picture(place(points, labels, centres), labels, order, clusters, texts, seed), clusters, len(texts))


WIDTH, HEIGHT, MARGIN = 1040.0, 560.0, 30.0
COVERED = 0.3
"""Share of the drawing that the islands cover."""


def place(points: np.ndarray, labels: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(n, 2) places in the drawing for (n, d) points with their cluster's number each."""
    sizes = np.bincount(labels, minlength=len(centres))
    radii = np.sqrt(COVERED * WIDTH * HEIGHT / np.pi * sizes / sizes.sum())
    places = np.empty((len(points), 2))
    middles = _apart(_two_axes(centres), radii)
    for n, middle in enumerate(middles):
        inside = _two_axes(points[labels == n])
        angle, distance = np.arctan2(inside[:, 1], inside[:, 0]), np.hypot(inside[:, 0], inside[:, 1])
        order = np.empty(len(distance))
        order[np.argsort(distance, kind="stable")] = (np.arange(len(distance)) + 0.5) / len(distance)
        places[labels == n] = middle + (radii[n] * np.sqrt(order) * (np.cos(angle), np.sin(angle))).T
    return places


def _two_axes(points: np.ndarray) -> np.ndarray:
    """The points along the two directions in which they differ most, from their mean."""
    moved = points - points.mean(axis=0)
    axes = np.linalg.svd(moved, full_matrices=False)[2][:2]
    flat = moved @ axes.T
    return np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))


def _apart(centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Middles of the islands: by rank along both axes, then pushed apart, and back into the drawing, until none overlap."""
    ranks = centres.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable") + 0.5
    places = ranks / len(centres) * (WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN) + MARGIN
    low = radii[:, None] + MARGIN
    for _ in range(400):
        for a in range(len(places)):
            for b in range(a):
                way = places[a] - places[b]
                distance = float(np.hypot(*way)) or 1.0
                short = radii[a] + radii[b] + 14 - distance
                if short > 0:
                    places[a] += way / distance * short / 2
                    places[b] -= way / distance * short / 2
        places = np.clip(places, np.minimum(low, (WIDTH, HEIGHT)), np.maximum((WIDTH, HEIGHT) - low, 0))
    return places


def _picture(
    places: np.ndarray, labels: np.ndarray, order: list[int], clusters: list[Cluster], texts: list[str], seed: int,
) -> str:
    """A point per prompt in its cluster's colour, and on each island its number and first two words."""
    shown = sorted(Random(f"{seed} points").sample(range(len(places)), min(DRAWN, len(places))))
    number_of = {n: number for number, n in enumerate(order)}
    parts = [
        f'<circle cx="{places[k][0]:.0f}" cy="{places[k][1]:.0f}" r="3" fill="{clusters[number_of[labels[k]]].colour}" '
        f'fill-opacity="0.6"><title>{svg.escape(" ".join(texts[k].split())[:100])}</title></circle>' for k in shown]
    for number, n in enumerate(order):
        x, y = places[labels == n].mean(axis=0)
        name = f"{number + 1} " + " · ".join(clusters[number].words[:2])
        parts.append(f'<text x="{x:.0f}" y="{y:.0f}" font-size="12" font-weight="600" text-anchor="middle" stroke="#fff" '
                     f'stroke-width="3" paint-order="stroke" fill="#1d2329">{svg.escape(name)}</text>')
    return svg.drawing(WIDTH, HEIGHT, parts, "Map of the prompts")
