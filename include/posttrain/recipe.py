"""The recipe: one YAML file holds every number of a run. Unknown keys are refused before the first task starts.

An error names the file, the line and the key path, and what would have been allowed.
"""

from __future__ import annotations

import datetime
import difflib
import os
import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from posttrain.decontaminate.presets import MEASURES, PRESETS, CutOffs, Measure, Preset, PresetName
from posttrain.duplicates.settings import Duplicates
from posttrain.schema import CATEGORIES
from posttrain.section import Section
from posttrain.tokenize.templates import OWN, TEMPLATES

RECIPE_FOLDER = Path(__file__).parents[1] / "recipes"
EVAL_FOLDER = Path(__file__).parents[1] / "evals"

STAGES = (
    "collect", "convert", "filter", "improve", "synthesize", "index_evals", "decontaminate", "review", "mix",
    "sft", "preferences", "dpo", "rlvr", "evaluate", "gate", "release",
)
DATA_STAGES = STAGES[: STAGES.index("mix") + 1]
TRAINED = ("sft", "dpo", "rlvr")
"""The stages that train; each goes on from the checkpoint of the one before."""


class RecipeError(ValueError):
    """The recipe cannot be used. The message says where and what is allowed."""


# ---------------------------------------------------------------- sources and evals


class HubLoad(Section):
    """A data set of the Hugging Face Hub at a revision; the commit that it stands for is locked in the workspace and recorded."""

    kind: Literal["hub"]
    id: str
    revision: str = Field(min_length=1, description="a commit (40 hex digits), or a tag or branch: locked when first used")
    config: str | None = None
    split: str = "train"
    files: tuple[str, ...] = Field(
        default=(), description="files or globs of the repository, read as local files are; all of the configuration unless said")


class FileLoad(Section):
    """Local json, jsonl, csv, tsv, txt or parquet files, plain, .gz or .zst. A relative path starts at the data root.

    `path` may be a glob; the files are read in sorted order.
    """

    kind: Literal["file"]
    path: str


class ProceduralLoad(Section):
    """Word problems made from a seed (`posttrain.problems`): the demo's source. One skill, drawn by the seed, is scarce.

    `style`: `worked` gives {question, answer} with a solution, `forum` gives {prompt, completion} with an unhelpful answer.
    """

    kind: Literal["procedural"]
    style: Literal["worked", "forum"] = "worked"
    rows: int = Field(gt=0)
    skills: tuple[str, ...] = Field(min_length=1)
    scarce_share: float = Field(default=0.0, ge=0, lt=1, description="share of the rows that the scarce skill gets; 0 = even")
    seed_offset: int = Field(default=0, description="added to the recipe's seed, so that two sources differ")


Load = Annotated[HubLoad | FileLoad | ProceduralLoad, Field(discriminator="kind")]


Cell = bool | int | float | str | None
"""A value that a raw column is compared with."""


class SourceReview(Section):
    """What a person decided about a source after looking at its rows (`python -m posttrain sample SOURCE --recipe RECIPE`)."""

    decision: Literal["accept", "reject"]
    by: str = Field(min_length=1, description="who decided")
    date: datetime.date
    note: str = ""


def _language_code(value: str) -> str:
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
        raise PydanticCustomError("language_code", "{found} is no language code such as ko or zh-Hant", {"found": repr(value)})
    return value


LanguageCode = Annotated[str, AfterValidator(_language_code)]
"""`ko`, as rows have it. `Korean` would match no row, and a quota for it would cap nothing."""


class Source(Section):
    """One source of training rows. A source without origin and licence is refused."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*$")
    family: str
    load: Load
    origin: str = Field(min_length=1)
    license: str = Field(min_length=1)
    non_commercial: bool = False
    category: Literal[CATEGORIES] = "general"  # type: ignore[valid-type]
    skill: str | None = Field(default=None, description="the skill its rows teach; the category unless said")
    language: LanguageCode | None = Field(default=None, description="declared language; guessed from the script unless said")
    where: dict[str, Cell | Annotated[tuple[Cell, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="raw column (`a.b` for b inside of a) → the value, or the values, of the rows that are taken; "
                    "`*` in a text stands for any characters, `!` before it for all others; the other rows are rejected",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="options of the family: `python -m posttrain sources`")
    review: SourceReview | None = Field(
        default=None, description="a person's decision; without one that accepts, a release of its rows is refused")


class EvalSet(Section):
    """One eval set: always a decontamination target; run by the harness where `task` names a folder of include/evals."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$")
    load: Load
    fields: tuple[str, ...] = Field(default=(), description="text that counts; the prompt field unless said")
    skill: str | None = None
    task: str | None = Field(default=None, description="folder under include/evals with a task.yaml")
    limit: int | None = Field(default=None, gt=0, description="evaluate on the first n items")


# ---------------------------------------------------------------- data stages


def _action(value: Any) -> Any:
    return "drop" if value is True else "off" if value is False else value


Action = Annotated[Literal["drop", "report", "off"], BeforeValidator(_action)]
"""What a filter rule does with a row that it speaks against. `true` is drop, `false` off (which is also how YAML reads off)."""


class Select(Section):
    """Choosing `count` rows of some sources by quality, difficulty and diversity (s1, arXiv 2501.19393, section 2.2)."""

    count: int = Field(gt=0, description="rows that are kept of `sources`, exactly")
    sources: tuple[str, ...] = Field(default=(), description="the sources that are chosen from; all of them unless said")
    seed: int = 0
    quality: bool = Field(default=True, description="leave out rows against which a reporting rule speaks")
    solved: tuple[str, ...] = Field(
        default=(), description="JSONL files with `id` and `score` (as `verify` writes them): what a model solves is too easy")
    difficulty: Literal["answer_length", "trace_length", "none"] = Field(
        default="answer_length", description="what a harder row has more of; trace: the text in <think> tags")
    diversity: Literal["category", "skill", "source", "language", "clusters"] = "category"
    clusters: int = Field(default=50, gt=1, description="groups of prompts, where diversity is by clusters")


class RepetitionLimits(Section):
    """How much of an answer may be repeats. Shares from MassiveText (Rae et al. 2021, arXiv 2112.11446, table A1), of which
    those of n-grams count characters there and words here.
    """

    compressed: float = Field(default=0.5, ge=0, le=1, description="only an answer that LZ4 shrinks to this share is judged")
    lines: float = Field(default=0.30, ge=0, le=1, description="share of lines that stand further up already")
    bigram: float = Field(default=0.20, ge=0, le=1, description="share of the words that the most frequent two words take")
    trigram: float = Field(default=0.18, ge=0, le=1)
    fourgram: float = Field(default=0.16, ge=0, le=1)
    fewest_words: int = Field(default=30, ge=4, description="n-grams of shorter answers are not judged")


class Filter(Section):
    """Rules of the filter stage, in the order keyword → empty → turns → quality, then exact duplicates, then the selection.

    A rule drops a row, or only reports it: counts it, and shows examples. Rules on which honest people differ report.
    """

    keywords: Action = "drop"
    keyword_form: Literal["open_instruct", "korean"] = Field(
        default="open_instruct", description="korean: also beside Hangul (OpenAI를) and in Korean spelling (챗GPT)")
    empty: Action = "drop"
    too_simple: Action = "drop"
    special_tokens: Action = "drop"
    encoding: Action = "report"
    placeholders: Action = "report"
    min_tokens: int = Field(default=1, ge=0, description="tokens of the last answer")
    max_tokens: int | None = Field(default=16_384, gt=0, description="tokens of the whole conversation")
    tokenizer: str | None = Field(
        default=None, description="a tokenizer.json (or .json.gz), relative to the data root; unset, four bytes are a token")
    one_word_answers: Action = "report"
    repetition: Action = "report"
    repetition_limits: RepetitionLimits = RepetitionLimits()
    language: Action = "report"
    model_phrases: Action = "report"
    refusals: Action = "report"
    truncated: Action = "report"
    prompt_differs: Action = "report"
    personal_data: Annotated[Literal["drop", "mask", "report", "off"], BeforeValidator(_action)] = "report"
    personal_data_kinds: tuple[Literal["email", "phone", "resident_number"], ...] = ("email", "phone", "resident_number")
    duplicates: Duplicates = Duplicates()
    select: Select | None = None


class Teacher(Section):
    """`procedural` is the built-in teacher; any other connection is an OpenAI-compatible endpoint.

    The key and the address of an endpoint come from the Airflow connection of that name or from the
    environment (OPENAI_BASE_URL, OPENAI_API_KEY), never from the recipe.
    """

    connection: str = "procedural"
    model: str = "procedural-word-problems"
    temperature: float = Field(default=0.7, ge=0, le=2)
    concurrency: int = Field(default=8, gt=0, le=256)
    max_retries: int = Field(default=6, ge=0)
    timeout_seconds: float = Field(default=60.0, gt=0)
    cost_per_million_prompt_tokens: float = Field(default=0.0, ge=0, description="US dollars")
    cost_per_million_completion_tokens: float = Field(default=0.0, ge=0, description="US dollars")
    max_cost: float | None = Field(default=None, gt=0, description="US dollars; the stage stops before it spends more")


class Improve(Section):
    """Rewriting prompts that the filter found too simple into reasoning questions; the original id stays linked."""

    max_rows: int = Field(default=200, ge=0)


class Synthesize(Section):
    """New rows from the teacher: persona-driven problems, self-play follow-ups and variations of seeds.

    In a later round `rows_per_gap` new rows are made for every skill in focus.
    """

    rows: dict[Literal["persona", "self_play", "variation"], int] = Field(default_factory=dict)
    rows_per_gap: int = Field(default=0, ge=0)
    personas: tuple[str, ...] = ()


class Decontaminate(Section):
    """Which rows are too close to an eval item, by which rule.

    A preset is a rule as it stands in its source (`decontaminate.presets`). `cut_offs` changes it measure by measure, and
    `evals` changes that for one eval set; what is not said stays. Read, both hold what is in force: `cut_offs` every measure
    that takes part, `evals` only the measures that are named there.
    """

    preset: PresetName = "balanced"
    ngram_size: int = Field(default=8, gt=0, description="words of an n-gram of `ngram_coverage`")
    turns: Literal["user", "all"] = Field(default="user", description="which turns of a conversation are compared")
    dense_model: str | None = Field(
        default=None, min_length=1, description="a sentence-transformers model by name or path; switches the measure `dense` on")
    cut_offs: dict[Measure, CutOffs] = Field(
        default_factory=dict, validate_default=True, description="measure → {remove, review}; null is never")
    evals: dict[str, dict[Measure, CutOffs]] = Field(default_factory=dict, description="eval set → measure → {remove, review}")
    dataset_threshold: float = Field(
        default=0.02, ge=0, lt=1, description="share of an eval's items that one source may hold")
    drop_overlapping_sources: bool = Field(default=False, description="drop a source over that share with all of its rows")
    index: Literal["embedded", "elasticsearch"] = "embedded"
    _collection: str = "evals"

    @property
    def collection(self) -> str:
        """Which collection of eval sets an alias on a server stands for: the recipe's name, or what `of_collection` was told.
        It decides nothing about the rows, and is no setting."""
        return self._collection

    def of_collection(self, name: str) -> Decontaminate:
        """The same settings for this collection of eval sets."""
        own = self.model_copy()
        own._collection = name
        return own

    @field_validator("cut_offs")
    @classmethod
    def _over_the_preset(cls, value: dict[Measure, CutOffs], info: ValidationInfo) -> dict[Measure, CutOffs]:
        if "preset" not in info.data or "dense_model" not in info.data:
            return value
        preset, has_model = PRESETS[info.data["preset"]], info.data["dense_model"] is not None
        if "dense" in value and not has_model:
            raise _wrong(("decontaminate", "cut_offs", "dense"), "name a model as well: decontaminate.dense_model")
        own = {measure: cut_offs for measure, cut_offs in preset.cut_offs.items() if measure != "dense" or has_model}
        return _cut_offs_over(own, own | value, preset, ("decontaminate", "cut_offs"))

    @field_validator("evals")
    @classmethod
    def _over_the_cut_offs(cls, value: dict[str, dict[Measure, CutOffs]], info: ValidationInfo) -> dict[str, Any]:
        if "cut_offs" not in info.data:
            return value
        own, preset = info.data["cut_offs"], PRESETS[info.data["preset"]]
        for name, changed in value.items():
            if "dense" in changed and "dense" not in own:
                raise _wrong(("decontaminate", "evals", name, "dense"), "name a model as well: decontaminate.dense_model")
        return {name: _cut_offs_over(own, changed, preset, ("decontaminate", "evals", name)) for name, changed in value.items()}

    def cut_offs_of(self, eval_name: str, measure: Measure) -> CutOffs:
        """What is in force for one eval set and measure."""
        return self.evals.get(eval_name, {}).get(measure) or self.cut_offs.get(measure, CutOffs())

    def floors(self) -> dict[Measure, float]:
        """Measure → the lowest score that any cut-off in force asks for; a measure without cut-offs takes no part."""
        asked = [*self.cut_offs.items(), *(pair for changed in self.evals.values() for pair in changed.items())]
        scores = {measure: [value for m, c in asked if m == measure for value in (c.remove, c.review) if value is not None]
                  for measure in MEASURES}
        return {measure: min(found) for measure, found in scores.items() if found}


def _cut_offs_over(
    base: Mapping[Measure, CutOffs], changed: Mapping[Measure, CutOffs], preset: Preset, path: tuple[str, ...],
) -> dict[Measure, CutOffs]:
    """The changed measures, what they do not say taken from `base`. A band that is not below the removal is refused."""
    merged = {}
    for measure, given in changed.items():
        said = {name: getattr(given, name) for name in given.model_fields_set}
        merged[measure] = own = CutOffs(**(base.get(measure, CutOffs()).model_dump() | said))
        if own.remove is not None and own.review is not None and own.review >= own.remove:
            raise _wrong((*path, measure, *(["review"] if "review" in said else ["remove"])),
                         f"review ({own.review:g}) must be below remove ({own.remove:g}): rows from review up to remove are the "
                         "band that a person decides about; `review: null` is no band")
        for name, value in own.model_dump().items():
            if value is not None and value == (0.0 if preset.at_least else 1.0):
                why = "every item would be at least 0" if preset.at_least else "no score is above 1"
                raise _wrong((*path, measure, name), f"{value:g} cannot be a cut-off of this preset: {why}")
    return merged


class Review(Section):
    """What happens to the review band where nobody decides in time, and what the teacher's opinion of its rows is for.

    `judge`: `sort` asks the teacher whether each row gives its eval item away, and shows the reviewer those first;
    `decide` lets the answer decide where no person has: deleted where it does, kept where it does not.
    """

    unattended: Literal["paraphrase", "delete", "keep"] = "paraphrase"
    timeout_hours: float = Field(default=24.0, gt=0)
    judge: Literal["off", "sort", "decide"] = "off"


Split = Literal["sft", "preference_prompts", "preference", "rlvr"]
SPLITS: tuple[str, ...] = get_args(Split)
"""The splits of a mixture, in the order in which they are filled unless `mix.disjoint` says otherwise."""


Rows = Annotated[int, Field(ge=0, strict=True)]
"""A number of rows: `5`, never `5.0`."""


class Amount(Section):
    """How much of a source: either `count` rows (an integer) or a `proportion` of it (a float; above 1 upsamples).

    `count: 1.0` and `proportion: 1` are both refused: one row or the whole source, who can tell. `proportion: 500` would
    otherwise repeat every row 500 times. `prompts` is for `preference_prompts`: all of the source's, only those that the SFT
    split took (`reused`), or only those that it did not take (`unused`). Tülu 3 has both (T15).
    """

    source: str
    count: int | None = Field(default=None, ge=0, strict=True)
    proportion: float | None = Field(default=None, ge=0, strict=True)
    at_most: int | None = Field(default=None, ge=0, strict=True, description="cap in rows on what the proportion gives")
    pool: int | None = Field(default=None, gt=0, strict=True, description="published rows of the source, for `mix --plan`")
    prompts: Literal["any", "reused", "unused"] = "any"
    cite: str | None = Field(default=None, description="where a published number comes from")

    @field_validator("proportion", mode="before")
    @classmethod
    def _proportion_is_a_float(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            raise ValueError(f"a proportion is a float: {value}.0 is {value} times the source, `count: {value}` is {value} rows")
        return value

    @model_validator(mode="after")
    def _one_of_two(self) -> Amount:
        if (self.count is None) == (self.proportion is None):
            raise ValueError("give exactly one of `count` (rows, an integer) and `proportion` (a float such as 1.0)")
        if self.count is not None and self.at_most is not None:
            raise ValueError("`at_most` caps a proportion; a count is exact already")
        return self


class Temperature(Section):
    """`total` rows of several sources, source i with n_i rows getting total × n_i^(1/T) / Σ_j n_j^(1/T).

    T = 1 keeps the sources' own shares; a large T gives every source the same. Rows are whole by the largest remainder.
    """

    sources: tuple[str, ...] = Field(min_length=1)
    total: int = Field(ge=0, strict=True)
    temperature: float = Field(gt=0)
    max_repeats: float | None = Field(default=None, gt=0, description="a source gives at most so many times its rows; "
                                                                      "what it cannot give goes to the others")


class Mix(Section):
    """Which rows go into the splits, under which licences.

    A quota caps the rows of a category or language in each of `quota_splits`. `disjoint`: no prompt stands in two of these
    splits; the one named first keeps it. The licence gate looks at every row: what is not allowed here is left out.
    """

    sft: tuple[Amount, ...] = ()
    preference_prompts: tuple[Amount, ...] = Field(default=(), description="prompts to be answered on-policy")
    preference: tuple[Amount, ...] = Field(default=(), description="ready-made pairs")
    rlvr: tuple[Amount, ...] = ()
    temperature: dict[Split, Temperature] = Field(default_factory=dict)
    quotas: dict[Literal[CATEGORIES], Rows] = Field(default_factory=dict)  # type: ignore[valid-type]
    language_quotas: dict[LanguageCode, Rows] = Field(default_factory=dict)
    quota_splits: tuple[Split, ...] = ("sft",)
    disjoint: tuple[Split, ...] = ()
    focus_proportion: float = Field(default=1.0, ge=0, description="in a later round: proportion of the rows made for the gaps")
    focus_upsampling: float = Field(default=1.0, ge=1, description="in a later round: SFT and RLVR rows of a skill in focus, but "
                                                                   "those made for the gaps, are taken so many times as often")
    allow_non_commercial: bool = False
    allow_share_alike: bool = True
    allow_unstated: bool = Field(default=False, description="rows whose licence is not stated")

    @model_validator(mode="after")
    def _splits_agree(self) -> Mix:
        for split, drawn in self.temperature.items():
            both = {amount.source for amount in getattr(self, split)} & set(drawn.sources)
            if both or len(set(drawn.sources)) < len(drawn.sources):
                name = min(both) if both else next(s for s in drawn.sources if drawn.sources.count(s) > 1)
                raise _wrong(("mix", "temperature", split, "sources"), f"source {name!r} stands twice in the split {split}")
        if self.disjoint and (len(self.disjoint) < 2 or len(set(self.disjoint)) < len(self.disjoint)):
            raise _wrong(("mix", "disjoint"), "name at least two splits, each once; the one named first keeps a prompt")
        return self._reuse_can_be_had()

    def _reuse_can_be_had(self) -> Mix:
        order = [*self.disjoint, *(split for split in SPLITS if split not in self.disjoint)]
        chosen = [(split, n, a) for split in SPLITS for n, a in enumerate(getattr(self, split)) if a.prompts != "any"]
        for into, n, amount in chosen:
            where = ("mix", into, n, "prompts")
            if into != "preference_prompts":
                raise _wrong(where, f"{amount.prompts!r} is for mix.preference_prompts: what was used in SFT or not")
            if amount.prompts == "reused" and {"sft", into} <= set(self.disjoint):
                raise _wrong(where, "mix.disjoint names sft and preference_prompts: nothing can be reused")
            if order.index(into) < order.index("sft"):
                raise _wrong(where, "mix.disjoint fills preference_prompts before it is known what sft takes")
        return self


# ---------------------------------------------------------------- model stages


class TinyModel(Section):
    """A Llama made from its configuration, weights drawn from the seed; tokenizer trained on the mixture."""

    kind: Literal["tiny"]
    vocab_size: int = Field(default=1024, ge=300)
    layers: int = Field(default=4, gt=0)
    width: int = Field(default=192, gt=0)
    heads: int = Field(default=6, gt=0)
    mlp_width: int = Field(default=512, gt=0)
    max_positions: int = Field(default=256, gt=0)


class HubModel(Section):
    kind: Literal["hub"]
    id: str
    revision: str = "main"


BaseModelChoice = Annotated[TinyModel | HubModel, Field(discriminator="kind")]


class OwnTokenizer(Section):
    """The model's own tokenizer; for a tiny model one that is trained on the mixture."""

    kind: Literal["own"] = "own"


class FileTokenizer(Section):
    """A folder that transformers can load a tokenizer from, or a tokenizer.json. A relative path starts at the data root."""

    kind: Literal["file"]
    path: str


class HubTokenizer(Section):
    """The tokenizer of a model of the Hugging Face Hub."""

    kind: Literal["hub"]
    id: str
    revision: str = Field(min_length=1, description="a commit (40 hex digits) or a tag; a branch moves under you")


class Tokenize(Section):
    """How a conversation becomes tokens: by which tokenizer and chat template, and what happens to rows that do not fit.

    The length that a row may have is `sft.max_length`.
    """

    tokenizer: OwnTokenizer | FileTokenizer | HubTokenizer = Field(default=OwnTokenizer(), discriminator="kind")
    template: Literal[(*TEMPLATES, OWN)] = "tulu"  # type: ignore[valid-type]
    truncation: bool = Field(default=True, description="cut a row at the length; else a longer row is dropped")
    require_label: bool = Field(default=True, description="drop a row in which no token of an answer is left")


class Launch(Section):
    """How `accelerate launch` starts a trainer. `config_file` is an accelerate configuration (FSDP, DeepSpeed, nodes)."""

    processes: int = Field(default=1, gt=0)
    cpu: bool = True
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    config_file: str | None = None


class Training(Section):
    """What all three trainers share. `batch_size` is the effective batch over all processes."""

    learning_rate: float = Field(gt=0)
    batch_size: int = Field(gt=0)
    per_device_batch_size: int | None = Field(default=None, gt=0)
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, gt=0)
    warmup_ratio: float = Field(default=0.0, ge=0, le=1)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    weight_decay: float = Field(default=0.0, ge=0)
    max_length: int = Field(gt=0)
    save_steps: int = Field(default=500, gt=0)


class SFT(Training):
    """Loss on assistant tokens only; `loss_reduction: sum` as Tülu 3 (open-instruct #1728: the mean costs 15 points)."""

    loss_reduction: Literal["sum", "mean"] = "sum"


class Preferences(Section):
    """Answers of the SFT checkpoint (on-policy) and of the teacher (off-policy), judged on four aspects, binarised."""

    prompts: int = Field(default=200, ge=0, description="at most so many of the mixture's preference prompts")
    samples_per_prompt: int = Field(default=4, gt=1)
    temperature: float = Field(default=1.0, gt=0)
    max_new_tokens: int = Field(default=64, gt=0)
    off_policy_answers: int = Field(default=1, ge=0, description="answers of the teacher beside the policy's own")


class DPO(Training):
    """Length-normalised DPO: log-probabilities divided by length (Tülu 3 `dpo_norm`, T18, T20)."""

    beta: float = Field(default=5.0, gt=0)


class RLVR(Training):
    """GRPO with verifiers as rewards; 10 if verified, else 0 (Tülu 3, section 6)."""

    reward: float = 10.0
    beta: float = Field(default=0.0, ge=0, description="KL coefficient")
    samples_per_prompt: int = Field(default=8, gt=1)
    temperature: float = Field(default=1.0, gt=0)
    max_new_tokens: int = Field(default=64, gt=0)


class Evaluate(Section):
    max_new_tokens: int = Field(default=64, gt=0)
    batch_size: int = Field(default=64, gt=0)
    checkpoints: tuple[Literal["base", "sft", "dpo", "rlvr"], ...] = ("base", "sft", "dpo", "rlvr")


class Gate(Section):
    """Thresholds per skill, as data. A skill without threshold is reported, not gated.

    The loop stops at `max_rounds`, and when no gap shrank by at least `min_progress`.
    """

    thresholds: dict[str, float] = Field(default_factory=dict)
    max_rounds: int = Field(default=1, ge=1, le=20)
    min_progress: float = Field(default=0.0, ge=0)


class Release(Section):
    model_name: str = "tulu3-model"
    license: str = "other"
    push_to_hub: str | None = Field(default=None, description="ENTITY/NAME; the token comes from HF_TOKEN")


class Recipe(Section):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*$")
    description: str
    seed: int = 0
    sources: tuple[Source, ...] = Field(min_length=1)
    evals: tuple[EvalSet, ...] = ()
    teacher: Teacher = Teacher()
    filter: Filter = Filter()
    improve: Improve = Improve()
    synthesize: Synthesize = Synthesize()
    decontaminate: Decontaminate = Field(default=Decontaminate(), validate_default=True)
    review: Review = Review()
    mix: Mix
    model: BaseModelChoice
    launch: Launch = Launch()
    tokenize: Tokenize = Tokenize()
    sft: SFT
    preferences: Preferences = Preferences()
    dpo: DPO
    rlvr: RLVR
    evaluate: Evaluate = Evaluate()
    gate: Gate = Gate()
    release: Release = Release()

    @field_validator("decontaminate")
    @classmethod
    def _its_evals(cls, value: Decontaminate, info: ValidationInfo) -> Decontaminate:
        return value.of_collection(info.data["name"]) if "name" in info.data else value

    @model_validator(mode="after")
    def _names_agree(self) -> Recipe:
        from posttrain.convert import FAMILIES

        _refuse_twice([source.name for source in self.sources], "sources", "source")
        _refuse_twice([item.name for item in self.evals], "evals", "eval")
        for n, source in enumerate(self.sources):
            if source.name in MADE_SOURCES:
                raise _wrong(("sources", n, "name"), f"{source.name!r} is the name of rows that the pipeline makes itself")
            if source.family not in FAMILIES:
                message = f"{source.family!r} is no source family; {_allowed(source.family, FAMILIES)}"
                raise _wrong(("sources", n, "family"), message)
            _check_options(source, FAMILIES[source.family].options, ("sources", n, "options"))
        named = [source.name for source in self.sources]
        duplicates, select = self.filter.duplicates, self.filter.select
        lists = {("duplicates", "priority"): duplicates.priority,
                 ("duplicates", "near", "leave_out"): duplicates.near.leave_out if duplicates.near else (),
                 ("duplicates", "semantic", "leave_out"): duplicates.semantic.leave_out if duplicates.semantic else (),
                 ("select", "sources"): select.sources if select else ()}
        for place, mentioned in lists.items():
            for n, name in enumerate(mentioned):
                if name not in named:
                    message = f"source {name!r} is not defined; {_allowed(name, named)}"
                    raise _wrong(("filter", *place, n), message)
        known = {*named, *MADE_SOURCES}
        rejected = {s.name: s.review for s in self.sources if s.review and s.review.decision == "reject"}
        for split in SPLITS:
            amounts = getattr(self.mix, split)
            _refuse_twice(amount_names(amounts), ("mix", split), "source")
            paths: list[tuple[str | int, ...]] = [("mix", split, n, "source") for n in range(len(amounts))]
            names = [amount.source for amount in amounts]
            if split in self.mix.temperature:
                names += self.mix.temperature[split].sources
                paths += [("mix", "temperature", split, "sources")] * (len(names) - len(paths))
            for path, name in zip(paths, names, strict=True):
                if name not in known:
                    raise _wrong(path, f"source {name!r} is not defined; {_allowed(name, known)}")
                if name in rejected:
                    who = f"{rejected[name].by}, {rejected[name].date}"
                    raise _wrong(path, f"source {name!r} was rejected in review ({who}): take it out of the mixture")
        if self.tokenize.template == OWN and self.model.kind == "tiny" and self.tokenize.tokenizer.kind == "own":
            message = f"a tokenizer that is trained on the mixture has no template; {_allowed('', TEMPLATES)}"
            raise _wrong(("tokenize", "template"), message)
        tasks = {path.parent.name for path in EVAL_FOLDER.glob("*/task.yaml")}
        for n, item in enumerate(self.evals):
            if item.task and item.task not in tasks:
                raise _wrong(("evals", n, "task"), f"no folder {item.task!r} under include/evals; {_allowed(item.task, tasks)}")
        for name in self.decontaminate.evals:
            known_evals = [item.name for item in self.evals]
            if name not in known_evals:
                raise _wrong(("decontaminate", "evals", name), f"no eval {name!r}; {_allowed(name, known_evals)}")
        skills = {item.skill or item.name for item in self.evals if item.task}
        for skill in self.gate.thresholds:
            if skill not in skills:
                message = f"no eval with a task measures skill {skill!r}; {_allowed(skill, skills)}"
                raise _wrong(("gate", "thresholds", skill), message)
        return self

    def source(self, name: str) -> Source:
        return next(source for source in self.sources if source.name == name)


MADE_SOURCES = ("improved", "synthesized", "gap")
"""Sources that the pipeline makes itself: rewritten prompts, new rows, and new rows for a skill in focus."""


def _wrong(path: tuple[str | int, ...], message: str) -> PydanticCustomError:
    """An error of the whole recipe that names the key which is wrong."""
    return PydanticCustomError("recipe", "{message}", {"message": message, "path": path})


def _check_options(source: Source, model: type[Section] | None, path: tuple[str | int, ...]) -> None:
    """Refuse options that the source's family does not have, or of another type."""
    for key in source.options:
        if model is None or key not in model.model_fields:
            raise _wrong((*path, key), f"unknown key; {_allowed(key, model.model_fields if model else ())}")
    try:
        if model:
            model.model_validate(source.options)
    except ValidationError as error:
        first = error.errors()[0]
        raise _wrong((*path, *first["loc"]), first["msg"].removeprefix("Value error, ")) from error


def amount_names(amounts: Sequence[Amount]) -> list[str]:
    """What an amount is one of: its source; `reused` and `unused` prompts of one source are two."""
    return [a.source if a.prompts == "any" else f"{a.source}, {a.prompts} prompts" for a in amounts]


def _refuse_twice(names: list[str], path: str | tuple[str, ...], what: str) -> None:
    seen = set[str]()
    for n, name in enumerate(names):
        if name in seen:
            raise _wrong((*([path] if isinstance(path, str) else path), n), f"{what} {name!r} stands twice")
        seen.add(name)


# ---------------------------------------------------------------- loading


def recipe_names() -> list[str]:
    """The recipes that exist: the files of include/recipes."""
    return sorted(path.stem for path in RECIPE_FOLDER.glob("*.yaml"))


def load_recipe(name_or_path: str, overrides: dict[str, Any] | None = None) -> Recipe:
    """Read and check a recipe by name or path. `overrides` are merged into it key by key and checked with it.

    Raises RecipeError with file, line, key path and what is allowed.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = RECIPE_FOLDER / f"{name_or_path}.yaml"
    if not path.is_file():
        raise RecipeError(f"no recipe {name_or_path!r}; {_allowed(name_or_path, recipe_names())}, or the path of a .yaml file")
    layers, merged = _read_layers(path)
    return _checked(_merge(merged, overrides or {}), layers, replaced=set(overrides or {}))


def check_recipe(value: dict[str, Any], where: str, text: str = "") -> Recipe:
    """Validate a recipe that is already a mapping. Raises RecipeError naming every wrong key at once."""
    return _checked(value, [_Layer(where, text, value)])


def _checked(value: dict[str, Any], layers: list[_Layer], replaced: Collection[str] = ()) -> Recipe:
    """`replaced`: lists that the overrides gave whole, so that none of their items stands in a file."""
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        found = error.errors()
        inner = {item["loc"][: len(item["loc"]) - n] for item in found for n in range(1, len(item["loc"]))}
        # A list with a wrong item counts as too short as well, which is not what is wrong with it.
        lines = [_complaint(item, layers, value, replaced) for item in found
                 if not (item["type"] == "too_short" and item["loc"] in inner)]
        raise RecipeError("\n".join(lines)) from error


# ---------------------------------------------------------------- one recipe on top of another


class Extends(Section):
    """A recipe that is another one with changes. Sections are merged key by key, other lists are given whole; a source or
    an eval stands for the one of its name, or comes after the others."""

    recipe: str = Field(description="a name, or the path of a .yaml file beside this one")
    without_sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Layer:
    """One file of a recipe: the text says in which line a wrong key stands."""

    where: str
    text: str
    value: dict[str, Any]


_BY_NAME = ("sources", "evals")


def _read_layers(path: Path, above: tuple[Path, ...] = ()) -> tuple[list[_Layer], dict[str, Any]]:
    """The files that a recipe is made of, the one that all others extend first, and what they say together."""
    layer = _read_file(path)
    if "extends" not in layer.value:
        return [layer], layer.value
    try:
        extends = Extends.model_validate(layer.value["extends"])
    except ValidationError as error:
        lines = [_complaint(item | {"loc": ("extends", *item["loc"])}, [layer], layer.value) for item in error.errors()]
        raise RecipeError("\n".join(lines)) from error
    line = f"{path}:{_find(layer.text, ['extends', 'recipe'])[1]}: extends.recipe: "
    by_path = extends.recipe.endswith((".yaml", ".yml"))
    base = path.parent / extends.recipe if by_path else RECIPE_FOLDER / f"{extends.recipe}.yaml"
    if not base.is_file():
        raise RecipeError(f"{line}no recipe {extends.recipe!r}; {_allowed(extends.recipe, recipe_names())}, or a .yaml file")
    if base.resolve() in {p.resolve() for p in (*above, path)}:
        raise RecipeError(f"{line}{extends.recipe!r} extends this recipe itself")
    layers, merged = _read_layers(base, (*above, path))
    names = [_name(source) for source in merged.get("sources") or ()]
    for n, name in enumerate(extends.without_sources):
        if name not in names:
            where = f"{path}:{_find(layer.text, ['extends', 'without_sources', n])[1]}: extends.without_sources.{n}"
            raise RecipeError(f"{where}: {extends.recipe} has no source {name!r}; {_allowed(name, filter(None, names))}")
    own = {key: value for key, value in layer.value.items() if key != "extends"}
    for key in _BY_NAME:
        kept = [item for item in merged.get(key) or () if not (key == "sources" and _name(item) in extends.without_sources)]
        if isinstance(own.get(key), list):
            own[key] = _named_over(kept, own[key])
        elif key in merged and key not in own:
            own[key] = kept
    return [*layers, layer], _merge(merged, own)


def _named_over(base: list[Any], changes: list[Any]) -> list[Any]:
    """The items of `base`, each replaced by the change of its name; then the changes that are new."""
    changed = {name: item for item in changes if (name := _name(item))}
    known = {name for item in base if (name := _name(item))}
    return [changed.get(_name(item) or "", item) for item in base] + [item for item in changes if _name(item) not in known]


def _name(item: Any) -> str | None:
    name = item.get("name") if isinstance(item, dict) else None
    return name if isinstance(name, str) else None


def _read_file(path: Path) -> _Layer:
    text = path.read_text(encoding="utf-8")
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise RecipeError(f"{where}: not valid YAML: {getattr(error, 'problem', error)}") from error
    if not isinstance(value, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of keys, not {type(value).__name__}")
    return _Layer(str(path), text, value)


def data_root() -> Path:
    """The folder that relative source paths start at: POSTTRAIN_DATA_ROOT, else the working folder."""
    return Path(os.environ.get("POSTTRAIN_DATA_ROOT") or ".").resolve()


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping: YAML would silently take the last."""


def _mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set[Any]()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "a key is a plain text", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _merge(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in overrides.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        # Of another kind, a section is another section: a file's path has no place beside a Hub id.
        same_kind = both and value.get("kind", merged[key].get("kind")) == merged[key].get("kind")
        merged[key] = _merge(merged[key], value) if same_kind else value
    return merged


def _complaint(item: Any, layers: list[_Layer], merged: dict[str, Any], replaced: Collection[str] = ()) -> str:
    location = item.get("ctx", {}).get("path") or item["loc"]
    # pydantic puts the tag of a chosen kind into the path; the file has no such key.
    path = [part for n, part in enumerate(location) if not (n and location[n - 1] in _KINDED and part in _KINDS)]
    keys = ".".join(str(part) for part in path)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = f"unknown key; {_allowed(str(path[-1]), _fields_at(list(location[:-1])))}"
    return f"{_place(path, layers, merged, replaced)}: {keys + ': ' if keys else ''}{message}"


def _place(path: list[Any], layers: list[_Layer], merged: dict[str, Any], replaced: Collection[str]) -> str:
    """FILE:LINE of the file in which most of the key path stands; of two alike, the one that extends the other."""
    best, place = -1, layers[-1].where
    for layer in layers:
        own = path
        if len(layers) > 1 and len(path) > 1 and path[0] in _BY_NAME and path[0] not in replaced:
            item = merged[path[0]][path[1]]
            at = next((n for n, mine in enumerate(layer.value.get(path[0]) or ()) if mine is item), None)
            own = [path[0], at, *path[2:]] if at is not None else path[:1]
        depth, line = _find(layer.text, own)
        if depth >= best:
            best, place = depth, f"{layer.where}:{line}" if line else layer.where
    return place


_KINDED, _KINDS = ("load", "model", "tokenizer"), ("hub", "file", "procedural", "tiny", "own")


def _fields_at(location: list[Any]) -> list[str]:
    """The keys that the section at `location` allows, by walking the models' annotations."""
    models: list[Any] = [Recipe]
    for n, part in enumerate(location):
        if isinstance(part, int):
            continue
        if n and location[n - 1] in _KINDED:
            models = [model for model in models if part in get_args(model.model_fields["kind"].annotation)]
            continue
        # A part that is no field is a key of the user's in a mapping: `mix.temperature.sft`.
        models = [leaf for model in models if part in model.model_fields
                  for leaf in _leaves(model.model_fields[part].annotation) if hasattr(leaf, "model_fields")] or [
                      model for model in models if part not in model.model_fields]
    return sorted({name for model in models for name in model.model_fields})


def _leaves(annotation: Any) -> list[Any]:
    arguments = get_args(annotation)
    return [leaf for a in arguments for leaf in _leaves(a)] if arguments else [annotation]


def _find(text: str, path: list[Any]) -> tuple[int, int | None]:
    """How many parts of the key path stand in the YAML text, and the 1-based line of the last one that does."""
    if not text:
        return 0, None
    node, depth, line = yaml.compose(text, Loader=yaml.SafeLoader), 0, None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            break
        depth += 1
    return depth, line


def _allowed(wrong: str, allowed: Any) -> str:
    names = sorted(str(a) for a in allowed if a is not None)
    close = difflib.get_close_matches(wrong, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(names) if names else 'nothing here'}"
