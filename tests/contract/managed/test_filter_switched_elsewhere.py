"""Content safety that somebody takes away in the portal, and nobody here has decided on, comes back."""

from __future__ import annotations

from managed_project import Project

from training.backends.foundry.access.projects import project_of
from training.backends.foundry.managed import endpoints


def test_content_safety_that_was_switched_off_elsewhere_is_put_back(project: Project) -> None:
    job = project.completed()
    project.deployed(job)
    directory = project.directory(job)
    (standing,) = endpoints.listed(project.place)
    region = project_of(project.place).region
    told = {"name": standing.name, "model": standing.model, "run_id": job.run_id}
    endpoints.begin_filter(project.place, **told, region=region, filtered=False)
    project.backend.filter(directory, on=True)  # as the worker asks at every visit
    assert not endpoints.listed(project.place)[0].filtered
    assert not project.backend.died(directory, job.run_id)
    project.backend.filter(directory, on=True)
    assert endpoints.listed(project.place)[0].filtered
    project.gone(job)
