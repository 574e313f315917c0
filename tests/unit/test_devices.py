"""What this machine has, and a run that needs more of it is refused before it starts."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from curation.findings import Finding, Severity, blocking
from training.backends.base import Base, Job
from training.backends.local import devices, fit
from training.backends.local.backend import LocalBackend
from training.backends.local.devices import Gpu, Machine
from training.hyperparameters import Recipe, Sharding
from training.planning import pace
from training.recipe import load_recipe

GIGABYTE = 10**9
SMI = """#!/bin/sh
echo '0, GPU-aaaa, NVIDIA H100 80GB HBM3, 81559, 80000'
echo '1, GPU-bbbb, NVIDIA L4, 23034, 1000'
echo '2, GPU-cccc, NVIDIA A100-SXM4-80GB MIG 1g.10gb, [N/A], [N/A]'
"""


def machine(*gigabytes: int, memory: int | None = 500) -> Machine:
    gpus = tuple(Gpu("NVIDIA L4", size * GIGABYTE, size * GIGABYTE) for size in gigabytes)
    return Machine(gpus, memory * GIGABYTE if memory is not None else None, cores=8)


def findings(
    folder: Path, recipe: Recipe, at: Machine, *, base: str = "microsoft/phi-4", rows: int = 400
) -> list[Finding]:
    """What preflight says; how full the disk is that runs the tests is nobody's business."""
    row = {"messages": [{"role": "user", "content": "Why? " * 60}, {"role": "assistant", "content": "So. " * 60}]}
    sides = [folder / f"{side}.jsonl" for side in ("train", "validation")]
    for side in sides:
        side.write_text((json.dumps(row) + "\n") * rows, encoding="utf-8")
    job = Job("run-1", Base("checkpoint", Path(base)), recipe, *sides, folder)
    return [one for one in LocalBackend(machine=lambda: at).preflight(job) if one.rule != "local.disk"]


def refused(found: list[Finding], rule: str = "local.memory") -> Finding:
    [finding] = [one for one in blocking(found) if one.rule == rule]
    return finding


def test_gpus_are_those_that_the_driver_lists_and_cuda_shows(tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(SMI, encoding="utf-8")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    def names(**environ: str) -> list[str]:
        found = devices.here(environ={"PATH": path, **environ})
        # A PyTorch without CUDA cannot use them, and they are named all the same.
        return [*(gpu.name for gpu in found.gpus), *found.idle_gpus]

    assert names() == ["NVIDIA H100 80GB HBM3", "NVIDIA L4"]
    assert names(CUDA_VISIBLE_DEVICES="1") == ["NVIDIA L4"]
    assert names(CUDA_VISIBLE_DEVICES="1,0") == ["NVIDIA L4", "NVIDIA H100 80GB HBM3"]
    assert names(CUDA_VISIBLE_DEVICES="GPU-aa") == ["NVIDIA H100 80GB HBM3"]
    assert names(CUDA_VISIBLE_DEVICES="") == names(CUDA_VISIBLE_DEVICES="-1,0") == []
    tool.write_text("#!/bin/sh\necho 'No devices were found'; exit 6\n", encoding="utf-8")
    assert names() == []
    assert names(PATH=os.devnull) == []


def test_memory_is_what_the_machine_and_its_container_leave(tmp_path: Path) -> None:
    assert devices.here(root=tmp_path, environ={}).memory is None
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   4000000 kB\n", encoding="ascii")
    assert devices.here(root=tmp_path, environ={}).memory == 4_000_000 * 1024
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n", encoding="ascii")
    assert devices.here(root=tmp_path, environ={}).memory == 4_000_000 * 1024
    (group / "memory.max").write_text("3000000000\n", encoding="ascii")
    (group / "memory.current").write_text("1000000000\n", encoding="ascii")
    assert devices.here(root=tmp_path, environ={}).memory == 2_000_000_000


def test_a_run_that_fits_is_not_refused(tmp_path: Path) -> None:
    assert blocking(findings(tmp_path, load_recipe("phi-14b-80gb"), machine(80))) == []


def test_a_run_that_does_not_fit_is_refused_with_what_makes_it_fit(tmp_path: Path) -> None:
    recipe = load_recipe("phi-lora")
    finding = refused(findings(tmp_path, recipe, machine(24)))
    assert finding.message.startswith("Training needs about 37")
    assert finding.message.endswith("GB on NVIDIA L4, where 24.0 GB are free.")
    assert finding.fix == "Set lora.four_bit = true in the recipe, or take the recipe phi-14b-24gb."
    generous = replace(recipe, gradient_checkpointing=False, device_tokens=8192)
    finding = refused(findings(tmp_path, generous, machine(80)))
    assert finding.fix == "Set device_tokens = 2048 in the recipe, or take the recipe phi-14b-80gb."
    finding = refused(findings(tmp_path, generous, machine(42)))
    assert finding.fix == "Set gradient_checkpointing = true in the recipe, or take the recipe phi-14b-80gb."
    finding = refused(findings(tmp_path, recipe, machine(8)))
    assert finding.fix.startswith("No change of the recipe makes it fit: it takes 1")


def test_a_gpu_that_others_use_has_only_what_they_leave(tmp_path: Path) -> None:
    shared = Machine((Gpu("NVIDIA H100", 80 * GIGABYTE, 10 * GIGABYTE),), 500 * GIGABYTE, 8)
    assert "where 10.0 GB are free" in refused(findings(tmp_path, load_recipe("phi-14b-80gb"), shared)).message


def test_weights_pass_through_the_machines_own_memory_on_their_way_to_the_gpu(tmp_path: Path) -> None:
    finding = refused(findings(tmp_path, load_recipe("phi-14b-80gb"), machine(80, memory=16)))
    assert finding.message == ("Loading the model takes about 31.3 GB of the machine's memory, where 16.0 GB are free.")


def test_several_gpus_hold_a_part_each_where_the_recipe_splits_the_weights(tmp_path: Path) -> None:
    recipe = replace(load_recipe("phi-mini-80gb-full"), processes=0)
    base = "microsoft/Phi-3.5-mini-instruct"
    assert refused(findings(tmp_path, recipe, machine(40, 40), base=base))
    split = replace(recipe, sharding=Sharding.FSDP)
    assert blocking(findings(tmp_path, split, machine(48, 48), base=base)) == []


def test_more_processes_than_gpus_are_refused_before_the_start(tmp_path: Path) -> None:
    finding = refused(findings(tmp_path, replace(load_recipe("phi-lora"), processes=4), machine(80, 80)), "local.gpu")
    assert finding.message == "The recipe phi-lora wants 4 GPUs, of which this machine has 2."


@pytest.mark.parametrize(("wanted", "gpus", "processes"), [(0, 0, 1), (0, 3, 3), (2, 0, 2), (1, 3, 1)])
def test_no_process_more_than_there_are_gpus_and_one_where_there_is_none(
    wanted: int, gpus: int, processes: int
) -> None:
    recipe = replace(load_recipe("phi-lora"), processes=wanted)
    assert fit.processes_of(recipe, machine(*[80] * gpus)) == processes


def test_four_bits_want_a_gpu_and_their_package(tmp_path: Path) -> None:
    found = findings(tmp_path, load_recipe("phi-14b-24gb"), machine())
    assert (
        refused(found, "local.gpu").message
        == "The recipe phi-14b-24gb has weights in 4 bits, which takes an NVIDIA GPU."
    )
    if importlib.util.find_spec("bitsandbytes") is None:
        assert refused(found, "local.packages").fix.startswith("Install the extra `qlora` of Errata")


def test_a_large_model_without_a_gpu_is_warned_of(tmp_path: Path) -> None:
    found = findings(tmp_path, load_recipe("phi-lora"), machine(memory=200), rows=2_000)
    [slow] = [one for one in found if one.rule == "local.slow"]
    assert slow.severity is Severity.WARNING
    assert slow.message.startswith("Without a GPU this takes about")
    assert blocking(found) == []


def test_a_pytorch_that_cannot_use_the_gpu_is_said(tmp_path: Path) -> None:
    idle = Machine((), 500 * GIGABYTE, 8, idle_gpus=("NVIDIA L4",))
    [finding] = [one for one in findings(tmp_path, load_recipe("phi-lora"), idle) if one.rule == "local.gpu"]
    assert finding.message == "The PyTorch that is installed cannot use NVIDIA L4."


def test_where_nobody_knows_the_memory_nothing_is_refused(tmp_path: Path) -> None:
    assert blocking(findings(tmp_path, load_recipe("phi-lora"), machine(memory=None))) == []


def test_a_disk_without_room_for_the_model_and_its_snapshots_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load_recipe("phi-14b-24gb")
    job = Job("run-1", Base("checkpoint", Path("microsoft/phi-4")), recipe, tmp_path / "t", tmp_path / "v", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=20 * GIGABYTE))
    finding = refused(LocalBackend(machine=lambda: machine(24)).preflight(job), "local.disk")
    assert finding.message == f"{tmp_path} has 20.0 GB free."
    assert finding.fix == "Make room for at least 33 GB."


def test_a_gpu_is_known_by_the_words_of_its_name() -> None:
    assert pace.of_gpu("NVIDIA H100 80GB HBM3") == pace.of_gpu("NVIDIA H100 80GB HBM3", 1)
    known = {name: found.flops for name in pace.DATA_SHEETS if (found := pace.of_gpu(f"NVIDIA {name}")) is not None}
    assert known == {name: pace.SHARE_OF_PEAK * sheet.flops for name, sheet in pace.DATA_SHEETS.items()}
    assert pace.of_gpu("NVIDIA RTX A4000") is None
    assert pace.of_gpu("NVIDIA A100-SXM4-80GB", 2) is not None
