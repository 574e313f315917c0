"""Programs from npm that some tests need: installed once, into the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock


def installed(*packages: str, within_seconds: float) -> Path:
    """The ``node_modules`` with these packages, the last of which gives the folder its name; skips where npm cannot.

    Args:
        packages: with their versions, such as ``azurite@3``.
        within_seconds: that an installation may take.
    """
    npm, named = shutil.which("npm"), packages[-1]
    if npm is None:
        pytest.skip(f"npm is not installed: the tests against {named} need it")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "errata-tests"
    folder = cache / named.replace("@", "-")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock", timeout=2 * within_seconds):
            if not (folder / "installed").exists():
                quick = ["--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=15000"]
                command = [npm, "install", *quick, "--prefix", str(folder), *packages]
                subprocess.run(command, check=True, capture_output=True, timeout=within_seconds)  # noqa: S603 (npm, found by the shell's own rule)
                (folder / "installed").touch()
    except (OSError, TimeoutError, subprocess.SubprocessError) as error:
        pytest.skip(f"{named} cannot be installed from npm here ({type(error).__name__})")
    return folder / "node_modules"
