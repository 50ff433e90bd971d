"""refresh.html: which eval sets were new to a mixture, which rows fell because of them, and what the new version has instead."""

from __future__ import annotations

from typing import Any

from posttrain.mix.diff import compare_mixtures
from posttrain.refresh import Refresh, band_rows
from posttrain.refresh.evals import EvalState
from posttrain.report import page_environment
from posttrain.report.contamination import contamination_view
from posttrain.schema import REASONS
from posttrain.storage import Manifest, join, read_table, write_atomic


def write_refresh_report(refresh: Refresh) -> str:
    """Write refresh.html into the run's folder and return its path. All steps have been done."""
    new = refresh.run.manifest("mix") if refresh.run.has("mix") else None
    found = compare_mixtures(refresh.mixture, new) if new else None
    page = page_environment().get_template("refresh.html.j2").render(
        title=f"Eval refresh of {refresh.run.recipe.name}", refresh=refresh, new=new, reasons=REASONS,
        known=len(refresh.states) - len(refresh.pending), evals=[_eval_view(refresh, state) for state in refresh.pending],
        splits=_splits(refresh.mixture, new) if new else [], removed=_removed(new) if new else [], found=found,
    )
    path = join(refresh.run.folder, "refresh.html")
    with write_atomic(path) as f:
        f.write(page.encode("utf-8", "replace"))
    return path


def _eval_view(refresh: Refresh, state: EvalState) -> dict[str, Any]:
    from markupsafe import Markup

    run = refresh.of(state)
    index, comparison = run.manifest("index_evals"), run.manifest("refresh")
    found = contamination_view(comparison, run.manifest("review") if run.has("review") else None)
    return {
        "state": state, "counts": index.facts["evals"][state.name], "files": _files(state), "rows": comparison.rows,
        "band": band_rows(comparison), "c": found | {"heat": Markup(found["heat"])},  # noqa: S704 - report/svg.py escapes
    }


def _files(state: EvalState) -> list[dict[str, str]]:
    """File, its sha256 before ("" where it is new), and now."""
    before = dict((state.before or {}).get("files", ()))
    return [{"file": file, "before": before.get(file, ""), "now": digest} for file, digest in state.pin.get("files", ())]


def _splits(old: Manifest, new: Manifest) -> list[dict[str, Any]]:
    return [{"split": split, "before": rows, "fell": rows - new.written.get(split, 0), "after": new.written.get(split, 0)}
            for split, rows in old.written.items()]


def _removed(new: Manifest) -> list[tuple[str, str, int]]:
    """(source, reason, rows) of what fell, repeats counted, the most first."""
    counts: dict[tuple[str, str], int] = {}
    for entry in new.files:
        if entry.is_rejected:
            table = read_table(new.file(entry.name), ["source", "reason"])
            for row in table.group_by(["source", "reason"]).aggregate([([], "count_all")]).to_pylist():
                counts[row["source"], row["reason"]] = counts.get((row["source"], row["reason"]), 0) + row["count_all"]
    return [(source, reason, rows) for (source, reason), rows in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
