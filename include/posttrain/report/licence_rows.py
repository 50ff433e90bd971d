"""Rows of a mixture by licence and by what the licence asks for."""

from __future__ import annotations

from collections import Counter
from typing import Any

from posttrain.licence_terms import TERMS, terms_of
from posttrain.licences import count_licences
from posttrain.recipe import MADE_SOURCES
from posttrain.report.mixture import Mixture


def licences_view(mixture: Mixture) -> dict[str, Any] | None:
    """{lines: [{source, license, origin, terms, rows}], by_licence, rows, terms: [(term, rows)], left_out}; None where there is
    no mixture.

    A term counts where the text says it; non-commercial also where the recipe, or the artifact of collect, marks the source so.
    A row may have several terms; those of `free` have none. `left_out`: rows by source that the licence gate did not take.
    """
    if mixture.mix is None:
        return None
    collected = {source: m.facts for m in mixture.of("collect") for source in m.by_source}
    for spec in mixture.recipe.sources if mixture.recipe else ():
        collected[spec.name] = {"origin": spec.origin, "non_commercial": spec.non_commercial}
    lines, terms = [], Counter[str]()
    for (source, licence), rows in sorted(count_licences(mixture.mix).items(), key=lambda item: (-item[1], str(item[0]))):
        stated = collected.get(source, {})
        marked = {"non_commercial"} if stated.get("non_commercial") else set()
        own = [term for term in TERMS if term in terms_of(licence) | marked]
        terms.update(dict.fromkeys(own or ["free"], rows))
        origin = stated.get("origin", "made by the pipeline" if source in MADE_SOURCES else "not stated")
        lines.append({"source": source, "license": licence or "none stated", "origin": origin, "terms": own, "rows": rows})
    by_licence = Counter[str]()
    for line in lines:
        by_licence[line["license"]] += line["rows"]
    return {"lines": lines, "by_licence": by_licence.most_common(), "rows": sum(by_licence.values()),
            "terms": [(term, terms[term]) for term in (*TERMS, "free") if terms[term]],
            "left_out": mixture.mix.facts.get("license_gate", {})}
