"""What a model should not simply do."""

from __future__ import annotations

from posttrain.convert.coconot import convert_coconot
from posttrain.convert.family import Family
from posttrain.convert.safety_labels import convert_safety_labels
from posttrain.convert.wild_safety import convert_wildguardmix, convert_wildjailbreak

SAFETY: dict[str, Family] = {
    "coconot": Family(
        convert=convert_coconot, columns=("id", "category", "prompt", "response"),
        layout="A request that should not simply be complied with, and the answer; the category becomes the skill.",
        origin="allenai/coconot", license="ODC-BY-1.0", hub="allenai/coconot",
        revision="2cbe16aabf9069f17e48c8daad8aeabc29469eb7", config="original",
    ),
    "wildjailbreak": Family(
        convert=convert_wildjailbreak, columns=("data_type", "vanilla", "adversarial", "completion"),
        layout="The plain or the adversarial prompt, whichever `data_type` names, and a safe answer.",
        origin="allenai/wildjailbreak", license="ODC-BY-1.0", hub="allenai/wildjailbreak",
        revision="5ddc12ee397b402a35d575dbf1cd1f026ee4021a", config="train",
    ),
    "wildguardmix": Family(
        convert=convert_wildguardmix, columns=("prompt", "response", "response_harm_label", "subcategory"),
        layout="A prompt and its answer; rows without an answer, and answers that are labelled harmful, are refused.",
        origin="allenai/wildguardmix", license="ODC-BY-1.0 (the Tülu 3 card: Apache-2.0)", hub="allenai/wildguardmix",
        revision="d29c47c5ad310e0ef4a69f4ea73884566789641a",
        config="wildguardtrain",
    ),
    "safety_labels": Family(
        convert=convert_safety_labels, columns=("sentence, sentence_label/question, sensitive?", "context"),
        layout="A labelled Korean sentence (KoSBi) or question (SQuARe) as a classification row.",
        origin="naver-ai/korean-safety-benchmarks", license="MIT",
        tested_on=("train/naver-ai__korean-safety-benchmarks/kosbi_valid.json.gz",
                   "train/naver-ai__korean-safety-benchmarks/question_valid.json.gz"),
    ),
}
