"""What this machine has: GPUs, memory, cores.

Owns how they are found, without torch: the bot asks before a run starts. GPUs come from ``nvidia-smi``, memory from
``/proc/meminfo`` and the limit of the control group, which in a container is less than the machine's. What cannot be
found out is None, and nothing is refused on its account.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_ASKED = "index,uuid,name,memory.total,memory.free"
_MEBIBYTE = 1 << 20
_KIBIBYTE = 1 << 10
_GROUP_FILES = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),  # the first version of control groups
)
_PATIENCE_SECONDS = 20  # a driver that nothing keeps loaded takes some seconds to wake
_UNLIMITED = 1 << 60  # what the first version of control groups says where there is no limit


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; both memories in bytes.

    Attributes:
        name: as its maker calls it: ``NVIDIA H200``.
        total: all its memory.
        free: what nobody uses at this moment.
    """

    name: str
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine.

    Attributes:
        gpus: those that a training here would use.
        memory: bytes of memory that this process may still take; None where that is not known.
        cores: that this process may use.
        idle_gpus: names of those that the PyTorch installed here cannot use.
    """

    gpus: tuple[Gpu, ...]
    memory: int | None
    cores: int
    idle_gpus: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """``{"gpus": [{"name", "total", "free"}], "memory", "cores", "idle_gpus"}``."""
        return asdict(self)


def here(*, root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> Machine:
    """This machine, as it is now.

    Args:
        root: where ``proc`` and ``sys`` are.
        environ: ``PATH`` finds nvidia-smi, ``CUDA_VISIBLE_DEVICES`` says which GPUs are to be used.
    """
    found = _visible(_listed(environ), environ.get("CUDA_VISIBLE_DEVICES"))
    usable = _torch_knows_cuda()
    return Machine(
        gpus=tuple(found) if usable else (),
        memory=_free_memory(root),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        idle_gpus=() if usable else tuple(gpu.name for gpu in found),
    )


def _listed(environ: Mapping[str, str]) -> dict[str, tuple[str, Gpu]]:
    """``{"0": (uuid, GPU)}``; nothing where there is no nvidia-smi, or it says no."""
    command = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if command is None:
        return {}
    try:
        said = subprocess.run(  # noqa: S603 (the driver's own tool, no shell)
            [command, f"--query-gpu={_ASKED}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    found = {}
    for line in said.splitlines():
        index, uuid, *name, total, free = (part.strip() for part in line.split(","))
        try:
            found[index] = uuid, Gpu(", ".join(name), int(total) * _MEBIBYTE, int(free) * _MEBIBYTE)
        except ValueError:
            continue  # "[N/A]": a GPU that is cut into slices has no memory of its own
    return found


def _visible(listed: Mapping[str, tuple[str, Gpu]], chosen: str | None) -> list[Gpu]:
    """Those that CUDA would show; it takes places and ids, and stops at the first that it does not know."""
    if chosen is None:
        return [gpu for _, gpu in listed.values()]
    found = []
    for word in chosen.split(","):
        wanted = word.strip()
        matching = [
            gpu
            for index, (uuid, gpu) in listed.items()
            if wanted and (index == wanted or (uuid.startswith(wanted) and not wanted.isdigit()))
        ]
        if not matching:
            break
        found.append(matching[0])
    return found


def _torch_knows_cuda() -> bool:
    """Whether the installed PyTorch was built with CUDA; that a file of its is there says so without loading it."""
    spec = importlib.util.find_spec("torch")
    folders = spec.submodule_search_locations if spec is not None else None
    return any(any(Path(folder, "lib").glob("*torch_cuda*")) for folder in folders or ())


def _free_memory(root: Path) -> int | None:
    """Of the machine, or what the control group still permits, whichever is less."""
    try:
        lines = (root / "proc" / "meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * _KIBIBYTE for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    group = root / "sys" / "fs" / "cgroup"
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        most, taken = _number(group / limit), _number(group / used)
        if most is not None and most < _UNLIMITED:
            return max(0, min(free, most - (taken or 0)))
    return free


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no such file, or the word "max"
        return None
