"""Tasks with their answers, and questions on passages, tables and papers."""

from __future__ import annotations

from posttrain.convert.families.shared import COLLABORATION, TYDIQA
from posttrain.convert.family import PARQUET_BRANCH, PARQUET_TRAIN, Family
from posttrain.convert.flan import TULU3_SAMPLE, FlanOptions, convert_flan, sample_collections
from posttrain.convert.p3 import convert_p3
from posttrain.convert.prompt_completion import convert_prompt_completion
from posttrain.convert.pubmedqa import convert_pubmedqa
from posttrain.convert.sciriff import convert_sciriff
from posttrain.convert.squad import convert_squad
from posttrain.convert.tatqa import convert_tatqa
from posttrain.convert.web_instruct import convert_web_instruct

TASKS: dict[str, Family] = {
    "flan": Family(
        convert=convert_flan, options=FlanOptions, sample=sample_collections,
        columns=("inputs", "targets", "_task_source/task_source", "_template_type/template_type"),
        layout="A prompted task and its answer; of each sub-collection the fixed number of rows that Tülu 3 took.",
        origin="Open-Orca/FLAN", license="none stated: each task keeps its own terms", hub="Open-Orca/FLAN",
        revision="6845b1b3b53c6d5c5b1e49767ed759df3fc246cc",
        files=tuple(f"{name}_data/*" for name in TULU3_SAMPLE),
    ),
    "p3": Family(
        convert=convert_p3, columns=("inputs_pretokenized/prompt", "targets_pretokenized/completion", "is_correct"),
        layout="A prompted task and its answer, without `<|endoftext|>`; answer choices marked as wrong are refused.",
        origin="bigscience/P3", license="none stated: each data set keeps its own terms", hub="bigscience/P3",
        revision=PARQUET_BRANCH, files=PARQUET_TRAIN,
        tested_on=("train/t0_train/yizhongw__self-instruct/*",),
    ),
    "sciriff": Family(
        convert=convert_sciriff, columns=("messages/input, output", "id"),
        layout='A task on scientific papers; open-instruct takes `where: {dataset: "science*"}`.',
        origin="allenai/SciRIFF-train-mix", license="ODC-BY-1.0", hub="allenai/SciRIFF-train-mix",
        tested_on=(f"{COLLABORATION}/sciriff.dev.json.gz",),
    ),
    "table_gpt": Family(
        convert=convert_prompt_completion, columns=("prompt", "completion"),
        layout="A task on a table in Markdown, and its answer.",
        origin="LipengCS/Table-GPT", license="MIT", hub="LipengCS/Table-GPT",
        revision="25754c7a072dffca92e18c56f33832936f53495a", config="All",
    ),
    "web_instruct": Family(
        convert=convert_web_instruct, columns=("question", "answer", "source"),
        layout="A question from the web and its answer; rows from Stack Exchange get their own licence, CC-BY-SA-4.0.",
        origin="TIGER-Lab/WebInstructSub", license="Apache-2.0",
        hub="TIGER-Lab/WebInstructSub",
        revision="559b33b6bcd34da3da047bb235532941026955a4",
    ),
    "squad_v1": Family(
        convert=convert_squad, columns=("context", "question", "answers"), layout="As squad: Wikipedia passages in English.",
        origin="rajpurkar/squad", license="CC-BY-SA-4.0", hub="rajpurkar/squad",
        revision="7b6d24c440a36b6815f21b70d25016731768db1f",
    ),
    "tydiqa_goldp": Family(
        convert=convert_squad, columns=("context", "question", "answers"), layout="As squad: passages in eleven languages.",
        origin="google-research-datasets/tydiqa", license="Apache-2.0", hub="google-research-datasets/tydiqa",
        revision="da78f23f9119363459acbaf46bf89426ff26c259",
        config="secondary_task", tested_on=(f"{TYDIQA}/korean*", f"{TYDIQA}/english*", f"{TYDIQA}/swahili*"),
    ),
    "tatqa": Family(
        convert=convert_tatqa, columns=("table", "paragraphs", "questions"),
        layout="A table, the paragraphs around it and a question; one conversation a question.",
        origin="NExTplusplus/TAT-QA", license="CC-BY-4.0", tested_on=("train/NExTplusplus__TAT-QA/tatqa_dataset_dev.json.gz",),
    ),
    "pubmedqa": Family(
        convert=convert_pubmedqa, columns=("CONTEXTS/context", "QUESTION", "final_decision", "LONG_ANSWER"),
        layout="Abstract and question, answered by the decision and the conclusion it rests on. 500 of the 1,000 labelled "
               "questions are the benchmark's test set.",
        origin="pubmedqa/pubmedqa", license="MIT", hub="qiaojin/PubMedQA",
        revision="9001f2853fb87cab8d220904e0de81ac6973b318", config="pqa_labeled",
        tested_on=("train/pubmedqa__pubmedqa/ori_pqal.json.gz",),
    ),
}
