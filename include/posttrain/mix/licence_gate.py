"""The licence gate: which rows the mixture may take at all, by the licence that each row carries."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from posttrain.licence_terms import allowed_terms, refused_terms
from posttrain.mix.pool import Pool
from posttrain.recipe import Mix


class LicenceGate:
    """`closed`: rows that may not be taken. `why`: what the rejected row says, by code of the row's licence and source."""

    def __init__(self, pool: Pool, settings: Mix, non_commercial: dict[str, bool]) -> None:
        allowed = allowed_terms(settings)
        pairs = pool.source.codes.astype(np.int64) * len(pool.license.names) + pool.license.codes
        self.closed: npt.NDArray[np.bool_] = np.zeros(len(pool), dtype=bool)
        self.sources: Counter[str] = Counter()
        self.terms: Counter[str] = Counter()
        self._pairs, self._why = pairs, dict[int, str]()
        for pair, rows in zip(*(array.tolist() for array in np.unique(pairs, return_counts=True)), strict=True):
            source_code, licence_code = divmod(pair, len(pool.license.names))
            source, licence = pool.source.names[source_code], pool.license.names[licence_code]
            refused = refused_terms(licence, non_commercial=non_commercial.get(source, False), allowed=allowed)
            if refused:
                self.closed |= pairs == pair
                self.sources[source] += rows
                self.terms.update(dict.fromkeys(refused, rows))
                self._why[pair] = f"{licence or 'no licence'}: {', '.join(refused)}"

    def why(self, index: int) -> str:
        """The licence and its terms that the recipe does not allow, e.g. "CC BY-NC 4.0: non_commercial"."""
        return self._why[int(self._pairs[index])]

    def facts(self) -> dict[str, Any]:
        """Rows left out by source, and by term (a row may have several)."""
        return {"license_gate": dict(sorted(self.sources.items())), "license_terms": dict(sorted(self.terms.items()))}
