"""An endpoint of which nothing is known here any more is looked for at Azure, and only Errata's own is touched."""

from __future__ import annotations

import shutil

from managed_project import Project

from training.backends.foundry.managed import endpoints


def standing(project: Project, name: str) -> bool:
    return endpoints.find(project.place, endpoints.name_of(project.place, name)) is not None


def test_an_endpoint_whose_folder_was_lost_is_taken_down_all_the_same(project: Project) -> None:
    job = project.completed()
    project.deployed(job)
    shutil.rmtree(project.directory(job))
    backend = project.another()
    assert any(backend.undeploy(project.directory(job), job.run_id) for _ in range(20))
    assert not standing(project, job.run_id)
    assert backend.undeploy(project.directory(job), job.run_id)


def test_what_somebody_else_serves_under_the_name_stays(project: Project) -> None:
    job = project.completed()
    name = endpoints.name_of(project.place, job.run_id)
    endpoints.ask_for(project.place, name, str(project.backend.fetch(job).registered), "")
    assert project.backend.undeploy(project.directory(job), job.run_id)
    assert standing(project, job.run_id)
    endpoints.begin_removal(project.place, name)


def test_a_live_endpoint_whose_folder_was_lost_is_looked_after_again(project: Project) -> None:
    job = project.completed()
    endpoint = project.deployed(job)
    directory = project.directory(job)
    shutil.rmtree(directory)
    backend = project.another()
    assert not backend.died(directory, job.run_id)
    assert backend.deploy(backend.fetch(job), directory, job.run_id) == endpoint
    project.gone(job)
    assert backend.died(directory, job.run_id)
