"""The first thing that every process on a rented machine runs: it installs, trains, and brings out what came of it.

Owns the way between the job's mounted inputs and outputs and a folder on the machine's own disk, in which the trainer
works as it does anywhere: a mounted store takes neither appended lines nor renamed folders well. Standard library
alone: nothing is installed yet, and the packages ``training`` and ``curation`` come packed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

HERE = Path(__file__).resolve().parent
REQUIREMENTS, PACKAGES = "requirements.txt", "packages.zip"
SAVE_SECONDS = 15
"""Between two visits of the output: what is lost with the machine, and how old the progress is that people see."""
_WAIT_SECONDS = 3600
_READY, _FAILED = "ready", "not-ready"
_CODE = "code"
_RESULT = "result.json"
_STAYS = frozenset({"request.json", "process.json", "lock", "cancel", _READY, _FAILED, _CODE})
"""Of this machine alone."""


def main(arguments: Sequence[str]) -> int:
    """Train as one of the job's processes; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("job", "train", "validation", "kept"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("particulars", "base", "former"):
        parser.add_argument(f"--{name}", type=Path)
    given = parser.parse_args(arguments)
    job = json.loads(given.job.read_text(encoding="utf-8"))
    # The processes of one start on one machine share the folder, and nobody else.
    start = f"{os.environ.get('NODE_RANK', '0')}-{os.environ.get('MASTER_PORT', '0')}"
    folder = Path(tempfile.gettempdir()) / f"errata-{job['name']}-{start}"
    if os.environ.get("LOCAL_RANK", "0") == "0":
        _prepare(given, job["request"], folder)
    else:
        _wait(folder)
    if os.environ.get("RANK", "0") != "0":
        return _train(folder)
    ended = threading.Event()
    saving = threading.Thread(target=_save_now_and_then, args=(folder, given.kept, ended), daemon=True)
    saving.start()
    try:
        return _train(folder)
    finally:
        ended.set()
        saving.join()
        save(folder, given.kept)


def save(folder: Path, kept: Path) -> None:
    """Make the output what the folder is; the result last, so that whoever sees it sees everything.

    What has gone here goes there once all that is new has arrived: an older snapshot outlasts the copying of the next.
    """
    found = (one.relative_to(folder) for one in folder.rglob("*") if one.is_file())
    files = {one for one in found if _travels(one)}
    for file in sorted(files, key=lambda one: (one.name == _RESULT, one)):
        copy = kept / file
        with suppress(FileNotFoundError):  # an older snapshot goes while it is looked at
            if not copy.exists() or _is_newer(folder / file, copy):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / file, copy)
    for copy in [one for one in kept.rglob("*") if one.is_file() and one.relative_to(kept) not in files]:
        copy.unlink(missing_ok=True)


def _travels(file: Path) -> bool:
    return not _STAYS & {*file.parts} and not any(".partial" in part for part in file.parts)


def _prepare(given: argparse.Namespace, request: dict[str, object], folder: Path) -> None:
    """Install what is missing, and lay out the folder; what an earlier attempt kept is gone on from."""
    shutil.rmtree(folder, ignore_errors=True)  # what was worth it is in the output
    folder.mkdir(parents=True)
    try:
        _install()
        with ZipFile(HERE / PACKAGES) as packed:
            packed.extractall(folder / _CODE)
        for source in (given.former, given.kept):  # the machine may have been taken away and given back
            if source is not None and source.is_dir():
                shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(_RESULT))
        base = {"base": {"kind": "checkpoint", "path": str(given.base)}} if given.base is not None else {}
        paths = {name: getattr(given, name) for name in ("train", "validation", "particulars")}
        row = {**request, **base, **{name: str(path) if path else None for name, path in paths.items()}}
        (folder / "request.json").write_text(json.dumps({**row, "directory": str(folder)}), encoding="utf-8")
    except BaseException:
        (folder / _FAILED).touch()
        raise
    (folder / _READY).touch()


def _install() -> None:
    listed = HERE / REQUIREMENTS
    wanted = [line for line in listed.read_text(encoding="utf-8").splitlines() if line]
    if all(_has(line) for line in wanted):
        return
    subprocess.run(  # noqa: S603 - our own list, no shell
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(listed)],
        check=True,
    )


def _has(requirement: str) -> bool:
    """Whether exactly this version is installed."""
    name, _, version = requirement.partition("==")
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(name).partition("+")[0] == version
    return False


def _wait(folder: Path) -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while not (folder / _READY).exists():
        if (folder / _FAILED).exists() or time.monotonic() > end:
            sys.exit("the machine's first process could not prepare it")
        time.sleep(0.2)


def _train(folder: Path) -> int:
    sys.path.insert(0, str(folder / _CODE))
    sys.argv = ["trainer", str(folder)]
    try:
        runpy.run_module("training.backends.local.tuning.trainer", run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0) if isinstance(end.code, int | None) else 1
    return 0


def _save_now_and_then(folder: Path, kept: Path, ended: threading.Event) -> None:
    while not ended.wait(SAVE_SECONDS):
        with suppress(OSError):  # the store does not answer: the next visit tries again, and so does the end
            save(folder, kept)


def _is_newer(file: Path, copy: Path) -> bool:
    ours, theirs = file.stat(), copy.stat()
    return ours.st_size != theirs.st_size or ours.st_mtime > theirs.st_mtime


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
