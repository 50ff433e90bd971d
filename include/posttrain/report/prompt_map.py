"""A map of what the prompts are about: a seeded sample of them, grouped by their words, drawn in two dimensions.

TF-IDF over words (Korean words without their particles), 50 dimensions by truncated SVD, k-means; the two axes of the drawing are
those along which the centres of the clusters differ most. No model is loaded, so the same words mean the same topic, whatever the
sense; a cluster is named after the words that are more frequent in it than elsewhere.
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

_PARTICLES = ("에서는", "에서", "에게", "으로", "까지", "부터", "처럼", "보다", "이나", "라는", "이라는", "하는", "하고", "에는", "과", "와", "은", "는", "이",
              "가", "을", "를", "에", "의", "로", "도", "만", "인")
_TOKEN = re.compile(r"[a-z][a-z'+#-]+|[\uac00-\ud7a3]+")
_KOREAN_STOP = frozenset("""있는 있다 있습니다 없는 하는 한다 합니다 대한 대해 위한 위해 다음 것 수 등 및 그리고 또는 어떤 무엇 어떻게 무엇인가요
주세요 해줘 해주세요 알려줘 알려주세요 인가요 있나요 하나요 설명해 설명해주세요 이 그 저 더 가장 때 중 후 전 개 몇 모두 같은 된 되는 합니까 것은 경우 년 월 일""".split())


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
            if len(word) > 1 and word not in _KOREAN_STOP:
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
    axes = np.linalg.svd(centres - centres.mean(axis=0), full_matrices=False)[2][:2]
    axes = np.pad(axes, ((0, 2 - len(axes)), (0, 0)))
    flat = (points - centres.mean(axis=0)) @ axes.T
    vocabulary = vectorizer.get_feature_names_out()
    overall = np.asarray(matrix.mean(axis=0)).ravel()
    clusters = []
    order = sorted(range(count), key=lambda n: (-int((labels == n).sum()), n))
    for place, n in enumerate(order):
        own = np.flatnonzero(labels == n)
        mean = np.asarray(matrix[own].mean(axis=0)).ravel()
        best = np.argsort(-(mean - overall), kind="stable")[:WORDS]
        near = own[np.argsort(-(points[own] @ centres[n]), kind="stable")][:3]
        counted = sorted(((s, sum(names[k] == s for k in own)) for s in {names[k] for k in own}), key=lambda c: (-c[1], c[0]))
        clusters.append(Cluster(svg.colour(place), [str(vocabulary[k]) for k in best if mean[k] > overall[k]],
                                len(own) / len(texts), len(own), counted[:3], [" ".join(texts[k].split())[:SHOWN] for k in near]))
    return Map(_picture(flat, labels, order, clusters, texts, seed), clusters, len(texts))


def _picture(
    flat: np.ndarray, labels: np.ndarray, order: list[int], clusters: list[Cluster], texts: list[str], seed: int,
) -> str:
    """A point per prompt in its cluster's colour, and at the middle of each cluster its first two words."""
    width, height = 1040.0, 560.0
    low, high = np.percentile(flat, 1, axis=0), np.percentile(flat, 99, axis=0)
    places = np.clip((flat - low) / np.where(high > low, high - low, 1), 0, 1) * (width - 160, height - 60) + (80, 30)
    shown = sorted(Random(f"{seed} points").sample(range(len(flat)), min(DRAWN, len(flat))))
    place_of = {n: place for place, n in enumerate(order)}
    parts = [
        f'<circle cx="{places[k][0]:.0f}" cy="{places[k][1]:.0f}" r="3" fill="{clusters[place_of[labels[k]]].colour}" '
        f'fill-opacity="0.6"><title>{svg.escape(" ".join(texts[k].split())[:100])}</title></circle>' for k in shown]
    taken: list[tuple[float, float]] = []
    for place, n in enumerate(order):
        x, y = np.median(places[labels == n], axis=0)
        while any(abs(x - a) < 110 and abs(y - b) < 14 for a, b in taken):
            y += 14
        taken.append((x, y))
        parts.append(f'<text x="{x:.0f}" y="{y:.0f}" font-size="12" font-weight="600" text-anchor="middle" stroke="#fff" '
                     f'stroke-width="3" paint-order="stroke" fill="#1d2329">'
                     f'{svg.escape(f"{place + 1} " + " · ".join(clusters[place].words[:2]))}</text>')
    return svg.drawing(width, height, parts, "Map of the prompts")
