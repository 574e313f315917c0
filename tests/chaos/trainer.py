"""A training that trains nothing: a detached process with the promises of the local backend's.

    python -I -S tests/chaos/trainer.py FOLDER TRACE RUN SECONDS

Of two in one folder the second finds the lock taken, or the result there, and ends. What it does to the
world is one line in the trace.
"""

import fcntl
import json
import os
import sys
import time
from pathlib import Path


def train(folder: Path, trace: str, run_id: str, seconds: float) -> None:
    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if (folder / "result").exists():
            return
        line = json.dumps({"at": time.time(), "pid": os.getpid(), "what": "effect train", "on": run_id}) + "\n"
        out = os.open(trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(out, line.encode())
        os.close(out)
        time.sleep(seconds)
        (folder / "result.part").write_text("done")
        (folder / "result.part").rename(folder / "result")


if __name__ == "__main__":
    train(Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]))
