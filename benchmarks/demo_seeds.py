"""The demo on several seeds, each in a workspace of its own: does round 1 fail on the scarce skill, and is it released?

    . ./env.sh && python benchmarks/demo_seeds.py [--seeds 0 1 2 3 4] [--workspace FOLDER]

Prints one Markdown table: per seed the rounds, the gaps of round 1, the last scores against the thresholds, the mean
reward of RLVR's first and last quarter of steps, and the wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from posttrain.run import Run, load_run, rounds_of


def rewards(run: Run) -> list[float]:
    """The mean reward of each logged RLVR step."""
    lines = Path(run.manifest("rlvr").file("metrics.jsonl")).read_text(encoding="utf-8").splitlines()
    return [row["reward"] for row in map(json.loads, lines) if "reward" in row]


def row(seed: int, runs: list[Run], seconds: float) -> str:
    """One line of the table."""
    verdicts = [run.manifest("gate").facts for run in runs]
    gaps = ", ".join(f"{skill} −{gap:.2f}" for skill, gap in verdicts[0]["gaps"].items()) or "none"
    scores = ", ".join(f"{skill} {verdicts[-1]['scores'][skill]:.2f}" for skill in verdicts[-1]["thresholds"])
    rises = []
    for run in runs:
        steps = rewards(run)
        quarter = max(1, len(steps) // 4)
        rises.append(f"{sum(steps[:quarter]) / quarter:.2f} → {sum(steps[-quarter:]) / quarter:.2f}")
    verdict = "released" if verdicts[-1]["passed"] else "not released"
    return f"| {seed} | {gaps} | {len(runs)}, {verdict} | {scores} | {'; '.join(rises)} | {seconds:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--workspace", type=Path, default=Path(tempfile.mkdtemp(prefix="demo-seeds-")))
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}; see {arguments.workspace}")
    print("| seed | gaps of round 1 | rounds | scores of the last round | RLVR mean reward, first → last quarter, by round | s |")
    print("|---|---|---|---|---|---|", flush=True)
    for seed in arguments.seeds:
        workspace = arguments.workspace / str(seed)
        workspace.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with (workspace / "drive.log").open("w") as log:
            subprocess.run(
                [sys.executable, "-m", "posttrain_airflow.drive", "demo", "--seed", str(seed), "--workspace", str(workspace)],
                stdout=log, stderr=subprocess.STDOUT, check=False,
            )
        runs = rounds_of(load_run(f"demo-seed{seed}", str(workspace)))
        print(row(seed, runs, time.monotonic() - started), flush=True)


if __name__ == "__main__":
    main()
