"""`python docs/generate.py`: write the pages of docs/ that follow from the code. A test compares them with it.

`python docs/generate.py filters --data-root FOLDER`: the page that follows from real files as well.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent / "include"))


def reasons_page() -> str:
    """Every reason for which a row can be dropped, in stage order."""
    from posttrain.schema import REASONS

    lines = ["# Reasons for drops", "", "Generated from `posttrain.schema.REASONS` by `python docs/generate.py`.", "",
             "A dropped row is never lost: it lies with its reason in `rejected-*.parquet` of the stage that dropped it.", "",
             "| reason | a row is dropped because |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{reason}` | {text} |" for reason, text in REASONS.items())]) + "\n"


def sources_page() -> str:
    """Every source family: licence, origin, columns, Hub id and revision, options, and what it was tested on."""
    from posttrain.convert.catalogue import REAL, catalogue
    from posttrain.hub_revisions import COMMIT

    families = catalogue()
    layouts = [f for f in families if f["origin"] is None]
    published = [f for f in families if f["origin"] is not None]
    real = sum(f["tested"] == REAL for f in families)
    commits = {f["hub"]: f["revision"] for f in published if f["hub"]}
    pinned = sum(COMMIT.fullmatch(revision) is not None for revision in commits.values())
    return "\n".join([
        SOURCES.format(families=len(families), layouts=len(layouts), published=len(published), real=real, sets=len(commits),
                       pinned=pinned),
        "## Layouts", "", "Origin and licence are the source's to state.", "",
        "| family | gives | reads | a row becomes | tested on |", "|---|---|---|---|---|",
        *(f"| `{f['name']}` | {', '.join(f['kinds'])} | {_columns(f)} | {f['layout']} | {_tested(f)} |" for f in layouts), "",
        "## Published data sets", "",
        "| family | gives | licence | commercial use | Hub id or origin | revision | tested on |",
        "|---|---|---|---|---|---|---|",
        *(f"| `{f['name']}` | {', '.join(f['kinds'])} | {f['license']} | {f['commercial_use']} | {_hub(f)} "
          f"| {_revision(f)} | {_tested(f)} |" for f in published), "",
        "| family | reads | a row becomes |", "|---|---|---|",
        *(f"| `{f['name']}` | {_columns(f)} | {f['layout']} |" for f in published), "",
        OPTIONS,
        "| family | option | default | what it does |", "|---|---|---|---|",
        *(f"| `{f['name']}` | `{name}` | `{json.dumps(option.get('default'))}` | {option.get('description', '')} |"
          for f in families for name, option in f["options"].items()), "",
        SELECTING,
        "## Real files", "", "| family | files under the folder of test data |", "|---|---|",
        *(f"| `{f['name']}` | {', '.join(f'`{path}`' for path in f['tested_on'])} |" for f in families if f["tested_on"]),
    ]) + "\n"


SOURCES = """# Source families

Generated from the table `FAMILIES` of `posttrain.convert` by `python docs/generate.py`. `python -m posttrain sources` shows
the same table, `sources NAME` one line of it, `--json` all of it for programs.

{families} families: {layouts} layouts that many publishers use, {published} published data sets. `a/b` among the columns: b is
read where there is no a.

**Tested on.** The rows of {real} families are converted from real files, whole, and the counts are checked
(`tests/convert/test_real_files.py`). The files are public ones in a folder outside of the project (`POSTTRAIN_TEST_DATA`); the
last table names them. "by hand" means that no file of the publisher was at hand: rows were written in the schema that the
publisher documents, other columns included (`tests/convert/test_published_schemas.py` for SFT).

**Revision.** For {pinned} of the {sets} Hub sets the commit at which other public projects read them. The commits of the others
are not known here: their branch is locked when it is first collected. The Hub's commit of that moment goes into the workspace,
under `hub_revisions/`, and every later run collects that commit, without asking the Hub again, until somebody moves it.

    python -m posttrain sources --locked            # data set, revision, commit, since when
    python -m posttrain sources NAME --update       # a family or a Hub id: to the Hub's commit of today; says old and new
    python -m posttrain sources --update --all

The same holds for every tag or branch in a recipe, of eval sets too. A commit in the recipe needs no lock. Whichever it was, it
is recorded with the artifact and decides its key.

**Commercial use.** What the publisher's card or repository allows, by its licence text; "unclear" where none is stated. Texts by
other models or from other sites may have terms of their own, which the table does not know. What counts in a run is the
licence that the recipe states for its source. The licences of Tülu 3's sources come from its published record. The others were
written down from memory of the cards, which could not be opened here: read the card before a release.

**Reasoning traces** stand in `<think>` tags before the answer, in the SFT rows' column `trace`, or nowhere: option `trace`.
Rules, duplicates and decontamination look at turns, and the trainer learns turns: a trace in its own column is carried along.
"""

OPTIONS = """## Options

Under `options` of a source. An unknown or wrong one is refused before the run starts.
"""

SELECTING = """## Selecting rows

`where` of a source names raw columns and the values of the rows that are taken. The other rows are counted and kept in
`rejected`, with the reason `not_selected`, the column and its value.

```yaml
where:
  model: gpt-4*                      # * stands for any characters
  toxic: false                       # a boolean is not 0, nor "false"
  language: [Korean, English]        # one of several
  dataset: "!open_platypus_*"        # ! before a value: all others
  metadata.split: train              # b inside of a
```

A row without the column is not taken, so that a misspelt column takes nothing.
"""


def _columns(family: dict[str, Any]) -> str:
    return ", ".join(f"`{column}`" for column in family["columns"])


def _tested(family: dict[str, Any]) -> str:
    return "real files" if family["tested_on"] else "by hand"


def _revision(family: dict[str, Any]) -> str:
    from posttrain.hub_revisions import COMMIT

    revision = family["revision"]
    if revision is None:
        return "–"
    return revision if COMMIT.fullmatch(revision) else f"{revision}, locked at first collect"


def _hub(family: dict[str, Any]) -> str:
    if family["hub"] is None:
        return family["origin"]
    parts = [family["hub"], *([f"config {family['config']}"] if family["config"] else [])]
    parts += [f"split {family['split']}"] if family["split"] != "train" else []
    return ", ".join([*parts, *(f"`{files}`" for files in family["files"])])


PAGES = {"sources.md": sources_page, "reasons.md": reasons_page}


def with_number_of_families(readme: str) -> str:
    """The README with the number of source families of today."""
    from posttrain.convert import FAMILIES

    return re.sub(r"raw rows of \d+ source families", f"raw rows of {len(FAMILIES)} source families", readme)


def write_filters_page(arguments: list[str]) -> None:
    """`filters --data-root FOLDER`: docs/filters.md counts what every rule finds in real files, which takes a minute."""
    parser = argparse.ArgumentParser(prog="docs/generate.py filters")
    parser.add_argument("--data-root", required=True, type=Path, help="the folder of public data that recipe `real` reads")
    from filter_page import count_rules, filters_page

    page = filters_page(count_rules(parser.parse_args(arguments).data_root.resolve()))
    (FOLDER / "filters.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["filters"]:
        write_filters_page(sys.argv[2:])
    else:
        for name, page in PAGES.items():
            (FOLDER / name).write_text(page(), encoding="utf-8")
        readme = FOLDER.parent / "README.md"
        readme.write_text(with_number_of_families(readme.read_text(encoding="utf-8")), encoding="utf-8")
