"""What a rented machine gets to run: our own packages as they are here, the list of what they need, and the job.

Owns what travels: code and settings, never anybody's words, which travel as the job's inputs.
"""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import curation
import training
from training.backends.base import Job
from training.backends.foundry.rented.node.start import PACKAGES, REQUIREMENTS

JOB = "job.json"
NEEDS = (
    "filelock",
    "huggingface-hub",
    "jinja2",
    "msgspec",
    "numpy",
    "peft",
    "phonenumbers",
    "python-stdnum",
    "safetensors",
    "sqlmodel",
    "tokenizers",
    "torch",
    "transformers",
)
"""What the trainer imports; a test compares."""

_FOUR_BIT = "bitsandbytes"
_LEFT = {"__pycache__", "sandbox"}
_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def write_code(job: Job, name: str, directory: Path) -> Path:
    """Write the folder that the machines get; what lay there goes.

    Args:
        name: of the job at the provider.

    Returns:
        ``directory``, with ``start.py``, ``job.json``, ``requirements.txt`` and ``packages.zip``: one file, as hundreds
        would be uploaded one by one.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with ZipFile(directory / PACKAGES, "w", ZIP_DEFLATED) as packed:
        for package in (curation, training):
            root = Path(str(package.__file__)).parent
            for file in sorted(one for one in root.rglob("*") if one.is_file() and not _LEFT & {*one.parts}):
                # Always the same bytes, whenever they are packed: what is there already is not uploaded again.
                packed.writestr(ZipInfo(str(file.relative_to(root.parent)), _LONG_AGO), file.read_bytes())
    shutil.copyfile(Path(__file__).parent / "node" / "start.py", directory / "start.py")
    needed = [*NEEDS, *([_FOUR_BIT] if job.recipe.lora is not None and job.recipe.lora.four_bit else [])]
    lines = [f"{one}=={_version(one)}" if _version(one) else one for one in needed]
    (directory / REQUIREMENTS).write_text("\n".join([*lines, ""]), encoding="utf-8")
    (directory / JOB).write_text(json.dumps({"name": name, "request": job.as_json()}, indent=1), encoding="utf-8")
    return directory


def _version(name: str) -> str:
    """The version that is installed here, without the wheel's own addition; empty where there is none."""
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""
