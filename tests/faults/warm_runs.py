"""`python warm_runs.py`: does command lines one after the other, each in a fork of this process, which has imported all before.

A line of standard input is {"arguments", "environment", "limit", "err"}; the answer is the exit status. A process of its own with
its own limits, as a user's; only the seconds of imports are paid once.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any

import matplotlib.backends.backend_svg  # noqa: F401
import openai.types  # noqa: F401
import sklearn.cluster  # noqa: F401
import sklearn.feature_extraction.text  # noqa: F401

from posttrain.cli import main


def run(task: dict[str, Any]) -> None:
    """The command with its standard error in a file; no file may become larger than `limit` bytes."""
    os.environ.update(task["environment"])
    with open(task["err"], "wb") as err, open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(err.fileno(), 2)
    if task["limit"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (task["limit"], task["limit"]))
    main(task["arguments"])


if __name__ == "__main__":
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            run(json.loads(line))
            raise SystemExit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
