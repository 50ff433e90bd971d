"""What every process that the library starts has in common: it finds this package, and it dies with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

PACKAGE_ROOT = Path(__file__).parents[1]
_PR_SET_PDEATHSIG = 1


def python_path() -> str:
    """PYTHONPATH of a child: this package's folder, then what the caller has."""
    return os.pathsep.join([str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


die_with_parent: Callable[[], None] | None = _die_with_parent if sys.platform == "linux" else None
"""For Popen's `preexec_fn`: a parent killed by SIGKILL leaves no child behind. The parent is the *thread* that starts it."""
