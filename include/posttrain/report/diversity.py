"""What the prompts of a mixture are about: what they ask for, in words, and a map of their topics."""

from __future__ import annotations

from typing import Any

from posttrain.report import svg
from posttrain.report.asks import count_asks, is_korean
from posttrain.report.prompt_map import draw_map
from posttrain.report.sample import SplitSample

VERBS_SHOWN = 20
OBJECTS_SHOWN = 6
OTHER = ("other", "기타", "question in words")


def diversity_view(samples: list[SplitSample], seed: int = 0) -> dict[str, Any] | None:
    """Verbs with their objects for each language of prompts, and the map, of the largest split; None without rows."""
    if not samples:
        return None
    largest = max(samples, key=lambda s: (s.of, s.split))
    languages = []
    for name, korean in (("English and other Latin script", False), ("Korean", True)):
        prompts = [p for p in largest.prompts if p.strip() and is_korean(p) == korean]
        if not prompts:
            continue
        counts = count_asks(prompts)
        named = [(verb, *found) for verb, found in counts.items() if verb not in OTHER][:VERBS_SHOWN]
        languages.append({
            "name": name, "prompts": len(prompts), "kinds": len(counts),
            "other": sum(counts[verb][0] for verb in OTHER if verb in counts) / len(prompts),
            "picture": svg.bars([(verb, count) for verb, count, _ in named], f"What the prompts ask for: {name}"),
            "verbs": [(verb, count, count / len(prompts), objects.most_common(OBJECTS_SHOWN)) for verb, count, objects in named],
        })
    return {"split": largest.split, "rows": len(largest.prompts), "of": largest.of, "languages": languages,
            "map": draw_map(largest.prompts, largest.source, seed)}
