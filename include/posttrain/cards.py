"""The model card, the data set card and the licence page of a release, with the Hub's metadata header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from posttrain.licences import LicenceLine
from posttrain.recipe import Recipe

HUB_LICENSES = {
    "apache-2.0": "apache-2.0", "apache 2.0": "apache-2.0", "mit": "mit", "cc by 4.0": "cc-by-4.0", "cc-by-4.0": "cc-by-4.0",
    "cc by-sa 3.0": "cc-by-sa-3.0", "cc-by-sa-3.0": "cc-by-sa-3.0", "cc by-sa 4.0": "cc-by-sa-4.0",
    "cc-by-sa-4.0": "cc-by-sa-4.0", "cc by-nc 4.0": "cc-by-nc-4.0", "cc-by-nc-4.0": "cc-by-nc-4.0",
    "cc by-nc-sa 4.0": "cc-by-nc-sa-4.0", "cc-by-nc-sa-4.0": "cc-by-nc-sa-4.0", "odc-by": "odc-by", "odc-by 1.0": "odc-by",
    "odc-by-1.0": "odc-by", "cc0-1.0": "cc0-1.0", "cc0": "cc0-1.0", "bsd-3-clause": "bsd-3-clause", "gpl-3.0": "gpl-3.0",
    "llama3.1": "llama3.1", "other": "other",
}
"""Licences as recipes spell them → the Hub's identifiers. Whatever is not here becomes `other` and is named in the text."""

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))


@dataclass(frozen=True)
class CardFacts:
    """`scores`: skill → score of the released checkpoint; `all_scores`: checkpoint → skill → score; between 0 and 1."""

    run_id: str
    recipe: Recipe
    scores: dict[str, float]
    all_scores: dict[str, dict[str, float]]
    split_rows: dict[str, int]
    licences: list[LicenceLine]
    languages: list[str]
    trained: tuple[str, ...]
    base_model: str | None
    parameters: int | None


def hub_license(text: str) -> str:
    """The Hub's identifier of a licence, `other` where the Hub has none."""
    return HUB_LICENSES.get(text.strip().lower(), "other")


def size_category(rows: int) -> str:
    """The Hub's size category of a data set."""
    return next((name for limit, name in SIZES if rows < limit), "n>10M")


def _page(header: dict[str, Any], lines: list[str]) -> str:
    return "---\n" + yaml.safe_dump(header, allow_unicode=True, sort_keys=False) + "---\n\n" + "\n".join(lines) + "\n"


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *("| " + " | ".join(row) + " |" for row in cells)]


def model_card(facts: CardFacts) -> str:
    release, recipe = facts.recipe.release, facts.recipe
    skills = {evaluated.skill: evaluated.name for evaluated in recipe.evals if evaluated.task}
    header: dict[str, Any] = {
        "language": facts.languages, "license": hub_license(release.license), "library_name": "transformers",
        "pipeline_tag": "text-generation", "tags": ["post-training", "tulu3", *facts.trained],
    }
    if header["license"] == "other":
        header["license_name"] = release.license
    if facts.base_model:
        header["base_model"] = facts.base_model
    if release.push_to_hub:
        header["datasets"] = [f"{release.push_to_hub}-data"]
    header["model-index"] = [{"name": release.model_name, "results": [
        {"task": {"type": "text-generation", "name": skill},
         "dataset": {"name": skills.get(skill) or skill, "type": skills.get(skill) or skill},
         "metrics": [{"type": "accuracy", "name": f"{skill} score", "value": round(score, 4)}]}
        for skill, score in facts.scores.items()
    ]}]
    base = facts.base_model or "a Llama made from its configuration, weights drawn from the seed"
    size = f" ({facts.parameters:,} parameters)" if facts.parameters else ""
    checkpoints = list(facts.all_scores)
    score_rows = [
        [skill, *(_percent(facts.all_scores[c].get(skill)) for c in checkpoints), _percent(recipe.gate.thresholds.get(skill))]
        for skill in facts.scores
    ]
    return _page(header, [
        f"# {release.model_name}", "", recipe.description, "",
        f"Base model: {base}{size}. Stages: {' → '.join(facts.trained) or 'none'}. Recipe `{recipe.name}`, seed {recipe.seed}, "
        f"run `{facts.run_id}`.", "",
        "## Scores", "", "Per cent, per skill, on eval sets that the training data was decontaminated against. The gate compares "
        "the last checkpoint with the threshold.", "",
        *_table(["skill", *checkpoints, "threshold"], score_rows), "",
        "## Use", "", "```python", "from transformers import AutoModelForCausalLM, AutoTokenizer", "",
        'model = AutoModelForCausalLM.from_pretrained("model")', 'tokenizer = AutoTokenizer.from_pretrained("model")',
        'messages = [{"role": "user", "content": "..."}]',
        'inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)',
        f"output = model.generate(**inputs, max_new_tokens={recipe.evaluate.max_new_tokens})", "```", "",
        "## Data", "", f"The training data lies in `dataset/` with a card of its own: {_split_text(facts)}. "
        "`LICENSES.md` lists licence and rows of every source, `lineage.json` and `manifests/` how each file came about.", "",
        "## Limits", "", "The scores above are all that was measured. Nothing is known about skills, languages or risks beyond "
        "them.",
    ])


def dataset_card(facts: CardFacts, columns: dict[str, list[str]]) -> str:
    """`columns`: the columns of every split that stands in `dataset/`."""
    recipe = facts.recipe
    identifiers = sorted({hub_license(line.license) for line in facts.licences})
    header: dict[str, Any] = {
        "language": facts.languages, "license": identifiers if len(identifiers) != 1 else identifiers[0],
        "size_categories": [size_category(sum(facts.split_rows.get(split, 0) for split in columns))],
        "task_categories": ["text-generation"], "tags": ["post-training", "tulu3"],
        "configs": [
            {"config_name": split, "data_files": [{"split": "train", "path": f"{split}/*.parquet"}], "default": number == 0}
            for number, split in enumerate(columns)
        ],
    }
    split_rows = [[split, f"{facts.split_rows.get(split, 0):,}", ", ".join(names)] for split, names in columns.items()]
    return _page(header, [
        f"# Training data of {recipe.release.model_name}", "", recipe.description, "",
        *_table(["split", "rows", "columns"], split_rows), "",
        "`id`, `parent_id`, `raw_file` and `raw_row` lead back to the raw row; `made_by` is `selected`, `rewritten` or `new`. "
        f"Rows were decontaminated with preset `{recipe.decontaminate.preset}`.", "",
        "## Sources and licences", "", *_licences(facts),
    ])


def licence_page(facts: CardFacts) -> str:
    """LICENSES.md: one line a source; non-commercial sources are named on top."""
    restricted = [line.source for line in facts.licences if line.non_commercial and line.rows]
    warning = (f"**Not for commercial use**, because of: {', '.join(restricted)}." if restricted
               else "No source in the mixture is marked as non-commercial.")
    return "\n".join(["# Licences", "", f"Model: {facts.recipe.release.license}.", "", warning, "", *_licences(facts), ""])


def _licences(facts: CardFacts) -> list[str]:
    rows = [[n.source, n.license, "yes" if n.non_commercial else "no", f"{n.rows:,}", n.origin] for n in facts.licences]
    return _table(["source", "licence", "non-commercial", "rows", "origin"], rows)


def _percent(score: float | None) -> str:
    return "–" if score is None else f"{100 * score:.1f}"


def _split_text(facts: CardFacts) -> str:
    return ", ".join(f"{split} {rows:,} rows" for split, rows in facts.split_rows.items())
