"""review: what becomes of the band between clean and contaminated, and who decides it.

    queue          one item a row of the band, with the eval items that it is close to; what settles it
    decision_log   every decision of a workspace, only ever added to
    paraphrase     another question in a row's place, checked and compared with the evals again
    judge, advice  the teacher's opinion and suggestions, made before a person looks
    desk           what the review page shows and does
    band           the stage: every row is kept, paraphrased or deleted
"""

from __future__ import annotations

from posttrain.decontaminate.review.band import DECISIONS_SCHEMA, review_band
from posttrain.decontaminate.review.queue import read_band

__all__ = ["DECISIONS_SCHEMA", "read_band", "review_band"]
