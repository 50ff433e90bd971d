"""A small trainer: counts steps into a checkpoint file, with a child process of its own, and resumes where it stopped.

    python trainer_stand_in.py FOLDER STEPS [message to die with]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

folder, steps = Path(sys.argv[1]), int(sys.argv[2])
checkpoint = folder / "checkpoint"
done = int(checkpoint.read_text()) if checkpoint.exists() else 0
print(f"starting at step {done}", flush=True)
if len(sys.argv) > 3:
    sys.exit(sys.argv[3])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
(folder / "pids").write_text(f"{os.getpid()} {child.pid}")
for step in range(done + 1, steps + 1):
    time.sleep(0.05)
    checkpoint.with_suffix(".tmp").write_text(str(step))
    checkpoint.with_suffix(".tmp").rename(checkpoint)
    print(f"step {step}", flush=True)
child.kill()
