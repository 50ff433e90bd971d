"""Columns, and folders of test data, that families of several tables share."""

from __future__ import annotations

ALPACA_COLUMNS = ("instruction", "input", "output")

FACTORY = "train/hiyouga__LLaMA-Factory"
OPEN_INSTRUCT = "train/allenai__open-instruct"
COLLABORATION = "train/BunsenFeng__model_collaboration"
TYDIQA = "train/sagorbrur__tydiqa-language-specific"
