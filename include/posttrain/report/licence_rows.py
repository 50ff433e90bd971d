"""Rows of a mixture by licence and by what the licence asks for."""

from __future__ import annotations

from collections import Counter
from typing import Any

from posttrain.licence_terms import TERMS, terms_of
from posttrain.licences import count_licences
from posttrain.recipe import MADE_SOURCES
from posttrain.report.mixture import Mixture


def licences_view(mixture: Mixture) -> dict[str, Any] | None:
    """{lines: [{source, license, origin, terms, rows}], terms: {term: rows}, refused}; None where there is no mixture.

    A term counts where the text says it or the recipe marks the source as non-commercial. A row may have several terms.
    `free`: rows without any.
    """
    if mixture.mix is None:
        return None
    specs = {source.name: source for source in mixture.recipe.sources} if mixture.recipe else {}
    origins = {source: m.facts["origin"] for m in mixture.of("collect") if "origin" in m.facts for source in m.by_source}
    lines, terms = [], Counter[str]()
    for (source, licence), rows in sorted(count_licences(mixture.mix).items(), key=lambda item: (-item[1], str(item[0]))):
        spec = specs.get(source)
        marked = {"non_commercial"} if spec and spec.non_commercial else set()
        own = [term for term in TERMS if term in terms_of(licence) | marked]
        terms.update(dict.fromkeys(own or ["free"], rows))
        origin = spec.origin if spec else "made by the pipeline" if source in MADE_SOURCES else origins.get(source, "not stated")
        lines.append({"source": source, "license": licence or "none stated", "origin": origin, "terms": own, "rows": rows})
    by_licence = Counter[str]()
    for line in lines:
        by_licence[line["license"]] += line["rows"]
    return {"lines": lines, "by_licence": by_licence.most_common(), "rows": sum(by_licence.values()),
            "terms": [(term, terms[term]) for term in (*TERMS, "free") if terms[term]],
            "left_out": mixture.mix.facts.get("license_gate", {})}
