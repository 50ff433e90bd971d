"""Korean sets."""

from __future__ import annotations

from posttrain.convert.alpaca import convert_alpaca
from posttrain.convert.families.shared import ALPACA_COLUMNS
from posttrain.convert.family import Family
from posttrain.convert.korean_qa import convert_korean_qa
from posttrain.convert.squad import convert_squad

KOREAN: dict[str, Family] = {
    "koalpaca_v1": Family(
        convert=convert_alpaca, columns=ALPACA_COLUMNS, layout="As alpaca: translated by DeepL, answered by GPT-3.5-turbo.",
        origin="Beomi/KoAlpaca v1.0", license="CC-BY-NC-4.0", non_commercial=True, hub="Bingsu/ko_alpaca_data",
    ),
    "koalpaca_v1_1": Family(
        convert=convert_alpaca, columns=("instruction", "input", "output"),
        layout="As alpaca: questions of Naver KnowledgeiN, rewritten with their accepted answers.",
        origin="Beomi/KoAlpaca v1.1", license="none stated", hub="beomi/KoAlpaca-v1.1a",
    ),
    "chatbot_data_ko": Family(
        convert=convert_korean_qa, columns=("Q", "A"), layout="Small talk in pairs: a sentence and a reply.",
        origin="songys/Chatbot_data", license="MIT", tested_on=("train/songys__Chatbot_data/ChatbotData.4of5.csv.gz",),
    ),
    "kullm_v2": Family(
        convert=convert_alpaca, columns=ALPACA_COLUMNS, layout="As alpaca: GPT4ALL, Vicuna and Dolly rows translated by DeepL.",
        origin="nlpai-lab/kullm-v2", license="Apache-2.0", hub="nlpai-lab/kullm-v2",
        revision="cddcb73c259269928e974e0ce141f123eb068030",
    ),
    "dolly_ko": Family(
        convert=convert_alpaca, columns=("instruction", "context", "response", "category"),
        layout="As dolly: translated by DeepL.",
        origin="nlpai-lab/databricks-dolly-15k-ko", license="CC-BY-SA-3.0", hub="nlpai-lab/databricks-dolly-15k-ko",
    ),
    "korquad": Family(
        convert=convert_squad, columns=("context", "question", "answers"), layout="As squad: Wikipedia passages in Korean.",
        origin="KorQuAD/squad_kor_v1", license="CC-BY-ND-2.0-KR", hub="KorQuAD/squad_kor_v1",
        revision="01aad23853355e5f4f6317eeaaa8186811424834",
    ),
}
