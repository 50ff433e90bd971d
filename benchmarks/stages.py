"""Rows a second and peak memory of every stage of a recipe, each stage in a process of its own.

    . ./env.sh && python benchmarks/stages.py real --data-root FOLDER [--until STAGE]

Stage by stage a fresh `python -m posttrain run RECIPE --until STAGE` does what is not done yet; the operating system's
accounting of the finished process (children included) gives the peak. The stage's own manifest gives rows and seconds.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from posttrain.recipe import STAGES
from posttrain.run import load_run

RUN_ID = "benchmark"


def run_until(recipe: str, stage: str, environment: dict[str, str]) -> float:
    """Run the pipeline as far as `stage`; the largest resident set of the process and its children, in MiB."""
    arguments = [sys.executable, "-m", "posttrain", "run", recipe, "--until", stage, "--run-id", RUN_ID, "--rounds", "1"]
    with open(Path(environment["POSTTRAIN_WORKSPACE"]) / "log", "ab") as log:
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"stage {stage} failed; see {log.name}")
    return usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--data-root", default=".")
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stages-") as workspace:
        environment = os.environ | {"POSTTRAIN_WORKSPACE": workspace, "POSTTRAIN_DATA_ROOT": os.path.abspath(arguments.data_root)}
        print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}")
        print("| stage | rows read | rows kept | seconds | rows/s | peak MiB |")
        print("|---|---|---|---|---|---|", flush=True)
        for stage in STAGES[: STAGES.index(arguments.until) + 1]:
            peak = run_until(arguments.recipe, stage, environment)
            run = load_run(RUN_ID, workspace)
            if stage == "release" and not run.has("release"):
                break  # the gate did not pass
            parts = [source.name for source in run.recipe.sources] if stage in ("collect", "convert") else [""]
            manifests = [run.manifest(stage, part) for part in parts]
            read, kept = (sum(m.rows[name] for m in manifests) for name in ("read", "kept"))
            seconds = sum(m.seconds for m in manifests)
            speed = f"{read / seconds:,.0f}" if read and seconds else "–"
            print(f"| {stage} | {read:,} | {kept:,} | {seconds:.1f} | {speed} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
