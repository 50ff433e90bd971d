"""Decontamination: no training row may give away an eval item. Eval items never change.

    index_evals   index.py: eval sets → an index
    decontaminate stage.py: training rows against the index, by the measures and cut-offs of presets.py
    review        review.py: what becomes of the rows between clean and contaminated
"""
