"""The command job as it is ordered: our trainer, what it learns from, and the machines that it runs on.

Owns what is sent, through azure-ai-ml, and where in the project's store the inputs lie. Whether a job is to be ordered,
and what becomes of it, is the backend's.

https://learn.microsoft.com/azure/machine-learning/reference-yaml-job-command
"""

from __future__ import annotations

from collections.abc import Sequence

from training.backends.base import Job
from training.backends.foundry.access import stores
from training.backends.foundry.access.apart import apart
from training.backends.foundry.access.clients import ml_client
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.access.sdks import azure_ml
from training.backends.foundry.place import AzurePlace
from training.backends.foundry.rented.kept import Kept
from training.backends.foundry.rented.node_code import JOB, write_code

ENVIRONMENT = "azureml://registries/azureml/environments/acpt-pytorch-2.8-cuda12.6/labels/latest"
"""Curated by Azure: drivers, NCCL and Python; the versions of the libraries are those that are installed here."""
MOST_SECONDS = 72 * 3600
"""After so long Azure ends a job that goes on and on."""

_SHARED_MEMORY = "16g"


def inputs(name: str) -> str:
    """Where the rows lie in the store that the job of this name learns from."""
    return f"errata/inputs/{name}"


@apart
def create(place: AzurePlace, job: Job, name: str, earlier: Sequence[str]) -> None:
    """Upload what is not there yet and create the job.

    Args:
        name: of the job there.
        earlier: those of earlier attempts, newest first; it goes on from the first that has kept anything.

    Raises:
        Refused, Unreached: Azure says no, or nothing.
    """
    sdk = azure_ml()
    sides = {"train": job.train, "validation": job.validation, "particulars": job.particulars}
    files = {
        side: sdk.Input(type="uri_file", path=stores.put(place, path, f"{inputs(name)}/{path.name}"))
        for side, path in sides.items()
        if path is not None
    }
    folders = {"base": str(job.base.path)} if job.base.path is not None and job.base.path.is_dir() else {}
    former = next((kept for kept in (Kept(place, one) for one in earlier) if kept.has_files()), None)
    if former is not None:  # an input that is not there would be refused
        folders["former"] = former.address
    files |= {what: sdk.Input(type="uri_folder", path=path) for what, path in folders.items()}
    named = [f"--{what} ${{{{inputs.{what}}}}}" for what in files]
    machines = {"compute": place.compute} if place.compute else {"instance_type": place.instance}
    ordered = sdk.command(
        name=name,
        display_name=f"Errata {job.run_id}",
        experiment_name="errata",
        tags={"errata.run": job.run_id},
        code=str(write_code(job, name, job.directory / "code")),
        command=f"python start.py --job {JOB} --kept ${{{{outputs.kept}}}} {' '.join(named)}",
        environment=ENVIRONMENT,
        inputs=files,
        outputs={"kept": sdk.Output(type="uri_folder", path=Kept(place, name).address, mode="rw_mount")},
        distribution={"type": "PyTorch", "process_count_per_instance": place.gpus},
        instance_count=place.nodes,
        shm_size=_SHARED_MEMORY,
        timeout=MOST_SECONDS,
        **machines,
    )
    if place.spot:
        ordered.set_queue_settings(job_tier="Spot")
    with provider_errors(place=place):
        ml_client(place).jobs.create_or_update(ordered)
