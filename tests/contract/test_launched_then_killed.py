"""A detached process outlives whoever launched it, and can be found and stopped by the next one, whenever that died."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from training.backends.local import folder, launcher

ROOT = Path(__file__).parents[2]
LAUNCHES_AND_DIES = """
import os, signal, sys
from pathlib import Path
from training.backends.local import folder, launcher

folder.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # before it has noted whom it launched
launcher.launch("sleeps", Path(sys.argv[1]))
"""
PATIENCE_SECONDS = 30.0


def test_who_launched_it_may_be_killed_before_it_has_noted_whom(tmp_path: Path) -> None:
    (tmp_path / "sleeps.py").write_text("import time\ntime.sleep(600)\n")
    directory = tmp_path / "endpoint"
    directory.mkdir()
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    dies = [sys.executable, "-c", LAUNCHES_AND_DIES, str(directory)]
    launching = subprocess.run(dies, env=environ, check=False)  # noqa: S603 (our own words)
    assert launching.returncode == -9
    assert launcher.lives(directory)

    end = time.monotonic() + PATIENCE_SECONDS
    while folder.read_json(directory / folder.PROCESS) is None:  # it says so itself
        assert time.monotonic() < end
        time.sleep(0.02)
    launcher.stop(directory, wait_seconds=PATIENCE_SECONDS)
    assert not launcher.lives(directory)
