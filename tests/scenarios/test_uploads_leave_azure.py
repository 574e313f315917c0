"""What was uploaded for a run leaves Azure again: with the run, with its customer, and in spite of what goes wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from shell import Shell, dialogue

from bot.entry import Entry
from curation import audit, people
from curation.datasets import dataset
from curation.errors import ErrataError
from training import orders, runs
from training.backends import opening
from training.backends.base import Backend, Job, JobStatus
from training.backends.foundry.looks import Looks
from training.backends.foundry.place import AzurePlace
from training.backends.names import PAID, BackendName
from training.particulars import write_particulars
from training.runs import RunStatus
from training.sandbox.azure import AzureSandbox
from training.sandbox.openai_service import Account
from training.sandbox.toys import Toys
from training.store.tables import Run
from training.workplace import Workplace

WORDS = "My zeppelin leaks"
MODELS = {
    BackendName.FOUNDRY: "phi-4-mini-instruct",
    BackendName.OPENAI: "gpt-4.1-mini",
    BackendName.AZUREML: orders.REHEARSAL,
}


@dataclass
class Desk:
    """An installation with the customer C-7 in its dataset v1, and Azure beside it."""

    shell: Shell
    azure: AzureSandbox
    place: Workplace

    def requested(self, backend: BackendName = BackendName.FOUNDRY) -> Run:
        """A run of v1 whose data are written, as a worker does it; its training is about to be handed over."""
        store = self.place.store
        with store.write() as session:
            actor = people.Actor(people.resolve(session, "ana"))
            run = orders.request(
                session,
                actor,
                self.place.clock(),
                dataset_name="v1",
                model=MODELS[backend],
                backend=backend,
                place=self.place.azure,
            )
            run.status, run.started_at = RunStatus.TRAINING.value, self.place.clock()
            version = runs.dataset_of(session, run)
            dataset.write_files(session, version, self.place.data(run))
            write_particulars(dataset.items(session, version), {}, self.place.job(run).particulars or Path())
        return run

    def trained(self, backend: BackendName = BackendName.FOUNDRY) -> Run:
        """A completed run."""
        run = self.requested(backend)
        self.submitted(run)
        self.stands(run, RunStatus.COMPLETED)
        return run

    def like(self, run: Run) -> Run:
        """Another completed run of the same rows, which has found them in Azure."""
        other = self.requested(BackendName(run.backend))
        state = self.place.folder(run) / "job" / "remote.json"
        copy = self.place.folder(other) / "job" / "remote.json"
        copy.parent.mkdir(parents=True)
        copy.write_text(state.read_text(encoding="utf-8").replace(run.id, other.id), encoding="utf-8")
        self.stands(other, RunStatus.COMPLETED)
        return other

    def submitted(self, run: Run) -> Job:
        """Its job, which has ended at Azure."""
        job, backend = self.place.job(run), self.place.backend(run)
        for _ in range(50):
            backend.submit(job)
            if backend.poll(job).status.final or run.backend == BackendName.AZUREML:
                return job
        raise AssertionError(run)

    def stands(self, run: Run, status: RunStatus) -> None:
        with self.place.store.write() as session:
            runs.find(session, run.id).status = status.value

    def found(self) -> list[str]:
        """Everything in Azure that has the customer's words."""
        blobs = (path for path in self.azure.cloud.blobs.rglob("*") if path.is_file())
        files = self.azure.cloud.part(Account).files.values()
        return [path.name for path in blobs if WORDS.encode() in path.read_bytes()] + [
            one.name for one in files if WORDS.encode() in one.content
        ]

    def assets(self) -> dict[str, dict[str, Any]]:
        """The versions of data assets that stand there, by their assets' names."""
        rows = self.azure.cloud.resources.items()
        return {key.split("/")[-3]: row["properties"] for key, row in rows if "/data/" in key and "/versions/" in key}

    def delete(self, run: Run, code: int = 0) -> tuple[str, str]:
        ended, out, err = self.shell("delete", run.id, "--yes")
        assert ended == code, err
        return out, err

    def erase(self, code: int = 0) -> tuple[str, str]:
        ended, out, err = self.shell("erase", "--customer", "C-7", "--yes")
        assert ended == code, out + err
        return out, err

    def written(self, action: str) -> list[str]:
        """The subjects of the entries of the audit."""
        with self.place.store.read() as session:
            return [entry.subject for entry in audit.search(session, action=action)]


_DATABASE: dict[str, bytes] = {}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    """One for all, so that the libraries' clients, which a process keeps, lead somewhere."""
    with (
        AzureSandbox(tmp_path_factory.mktemp("azure"), trains=False) as azure,
        pytest.MonkeyPatch.context() as patch,
    ):
        azure.cloud.part(Toys).seconds = 0.0
        for name, value in azure.environ().items():
            patch.setenv(name, value)
        patch.setattr("training.backends.foundry.access.stores.RETRIES", 0)
        yield azure


@pytest.fixture
def desk(shared: AzureSandbox, errata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name, value in shared.environ().items():
        monkeypatch.setenv(name, value)  # which the shell has cleared
    _freeze(errata, tmp_path)
    entry = Entry({**shared.environ(), "ERRATA_HOME": str(tmp_path / "home")}, debug=False)
    place = AzurePlace.read(shared.environ())
    yield Desk(errata, shared, Workplace(entry.store, opened(place), entry.home, entry.clock, place))
    entry.close()
    shared.clear_faults()
    with shared.cloud.lock:
        for key in [key for key in shared.cloud.resources if "/data/" in key]:
            shared.cloud.delete(key)
        for path in shared.cloud.blobs.rglob("*.jsonl"):
            path.unlink()
        shared.cloud.part(Account).files.clear()


def opened(place: AzurePlace) -> dict[BackendName, Backend]:
    """The backends as a worker opens them, asking as often as they like."""
    found = opening.backends(place)
    for name in PAID:
        found[name].looks = Looks.always()  # type: ignore[attr-defined]  # of Azure's three
    return found


def _freeze(errata: Shell, folder: Path) -> None:
    """v1, of forty dialogues; one of them is the customer's."""
    database = folder / "home" / "errata.db"
    if not _DATABASE:
        rows = [dialogue(number) for number in range(40)]
        rows[7]["messages"][1]["content"] = f"{WORDS}. {rows[7]['messages'][1]['content']}"
        for number, row in enumerate(rows):
            row["metadata"]["customer"] = f"C-{number}"
        (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        assert errata("import", "in.jsonl", "--approve-as", "ana", "--reason", "Checked by hand.")[0] == 0
        assert errata("dataset", "freeze", "v1")[0] == 0
        _DATABASE["frozen"] = database.read_bytes()
    database.write_bytes(_DATABASE["frozen"])


def test_what_two_runs_have_uploaded_goes_with_the_last_of_them(desk: Desk) -> None:
    first = desk.trained()
    second = desk.like(first)
    assert desk.found() == ["rows.jsonl"]
    assert len(desk.assets()) == 2
    out, _ = desk.delete(first)
    assert f"stays in Azure, as its rows are those of {second.id}; the last of them takes it." in out
    assert desk.found() == ["rows.jsonl"]
    assert "stays" not in desk.delete(second)[0]
    assert desk.found() == []
    assert desk.assets() == {}
    desk.azure.forget_requests()
    desk.delete(second)
    assert not desk.azure.requests  # it is known that nothing is left


def test_a_run_that_failed_keeps_nobodys_rows_and_uploads_anew_when_it_goes_on(desk: Desk) -> None:
    first = desk.trained()
    second = desk.like(first)
    desk.stands(second, RunStatus.FAILED)
    desk.delete(first)
    assert desk.found() == []
    job, backend = desk.place.job(second), desk.place.backends[BackendName.FOUNDRY]
    state = job.directory / "remote.json"
    row = json.loads(state.read_text())
    state.write_text(json.dumps({**row, "progress": {**row["progress"], "status": "failed"}}))
    opened(desk.place.azure)[BackendName.FOUNDRY].resume(job)
    assert desk.found() == ["rows.jsonl"]
    assert backend.poll(job).status is not JobStatus.CANCELLED


def test_an_asset_that_somebody_else_has_made_is_never_touched(desk: Desk) -> None:
    run = desk.requested()
    desk.submitted(run)
    (name,) = [one for one, row in desk.assets().items() if _words_in(desk, row)]
    names = desk.azure.names
    project = desk.azure.names.id_of("Microsoft.MachineLearningServices", "workspaces", names.project)
    asset = f"{project}/data/{name}/versions/1"
    theirs = next(path for path in desk.azure.cloud.blobs.rglob("rows.jsonl") if WORDS.encode() in path.read_bytes())
    chosen = theirs.parents[3] / "shared" / "rows.jsonl"
    chosen.parent.mkdir()
    theirs.rename(chosen)
    uri = "azureml://datastores/workspaceblobstore/paths/shared/rows.jsonl"
    desk.azure.cloud.put(asset, {"properties": {"dataUri": uri, "isArchived": False}})
    desk.stands(run, RunStatus.COMPLETED)
    desk.delete(run)
    assert list(desk.assets()) == [name]
    assert not desk.assets()[name]["isArchived"]
    assert chosen.is_file()


@pytest.mark.parametrize("backend", [BackendName.AZUREML, BackendName.OPENAI], ids=str)
def test_the_other_services_are_left_without_a_word_too(desk: Desk, backend: BackendName) -> None:
    run = desk.requested(backend)
    job = desk.submitted(run)
    if backend is BackendName.AZUREML:
        desk.place.backend(run).cancel(job)
    assert desk.found()
    desk.stands(run, RunStatus.CANCELLED)
    out, _ = desk.delete(run)
    assert desk.found() == []
    assert "model" not in out  # of a run that was cancelled there is none


def test_what_is_there_while_azure_says_nothing_is_deleted_by_the_next_attempt(desk: Desk) -> None:
    run = desk.trained()
    desk.azure.fail_next(r"DELETE .*\.blob\.", 503, times=9)
    _, err = desk.delete(run, code=3)
    assert f"{run.id} is to be deleted, and Azure may still hold what was uploaded for it: " in err
    assert err.rstrip().endswith(f"Then repeat: errata delete {run.id}")
    assert (desk.place.folder(run) / "job" / "remote.json").is_file()
    assert desk.found()
    desk.azure.clear_faults()
    desk.delete(run)
    assert desk.found() == []
    assert desk.written("run.deleted") == [f"run:{run.id}"]


def test_of_a_run_whose_files_here_were_lost_azure_knows_what_to_remove(desk: Desk) -> None:
    run = desk.trained()
    shutil.rmtree(desk.place.folder(run))
    desk.delete(run)
    assert desk.found() == []


def test_rows_whose_asset_never_came_to_be_go_as_well(desk: Desk) -> None:
    run = desk.requested()
    desk.azure.fail_next("PUT .*/workspaces/.*/data/", 403, times=9)
    with pytest.raises(ErrataError):
        desk.submitted(run)
    assert (desk.found(), desk.assets()) == (["rows.jsonl"], {})
    desk.stands(run, RunStatus.FAILED)
    desk.azure.clear_faults()
    desk.delete(run)
    assert desk.found() == []


def test_an_asset_that_azure_does_not_delete_is_left_empty_and_filled_again_by_the_next_run(desk: Desk) -> None:
    run = desk.trained()
    desk.azure.fail_next("DELETE .*/workspaces/.*/data/", 405, times=9)
    desk.delete(run)
    assert desk.found() == []
    assert [row["isArchived"] for row in desk.assets().values()] == [True, True]
    desk.trained()
    assert desk.found() == ["rows.jsonl"]
    assert [row["isArchived"] for row in desk.assets().values()] == [False, False]


def test_erasing_a_customer_reaches_what_was_uploaded(desk: Desk) -> None:
    run = desk.trained(BackendName.OPENAI)
    out = desk.shell("erase", "--customer", "C-7", "--dry-run")[1]
    assert f"Rows of these datasets were uploaded to Azure for: {run.id}" in out
    assert desk.found()
    out, _ = desk.erase()
    assert f"{run.id} was trained on 1 rows that are now erased; its model may repeat them." in out
    assert f"then: errata delete {run.id}" in out
    assert f"Removed from Azure: what was uploaded for {run.id}" in out
    assert desk.found() == []
    assert desk.written("run.unloaded") == [f"run:{run.id}"]
    desk.erase(code=2)  # nothing of theirs is left anywhere
    desk.delete(run)


def test_an_erasure_that_does_not_reach_azure_says_what_is_left_and_is_finished_by_the_same_command(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = desk.trained()
    with monkeypatch.context() as without:
        for name in desk.azure.environ():
            if name.startswith(("ERRATA_", "AZURE_")):
                without.delenv(name)
        out, _ = desk.erase(code=3)
    assert f"Azure may still hold what was uploaded for {run.id}, with 1 rows that are now erased: " in out
    assert "The backend foundry is not set up here: set AZURE_SUBSCRIPTION_ID" in out
    assert "Erased." in out
    desk.azure.fail_next(r"DELETE .*\.blob\.", 503, times=99)
    out, _ = desk.erase(code=3)
    assert f"Then repeat this, or: errata delete {run.id}" in out
    code, out, _ = desk.shell("erase", "--customer", "C-7", "--yes", "--json")
    assert (code, len(json.loads(out)["left"]), json.loads(out)["removed"]) == (3, 1, [])
    assert desk.found()
    desk.azure.clear_faults()
    out, _ = desk.erase()
    assert f"Removed from Azure: what was uploaded for {run.id}" in out
    assert desk.found() == []
    desk.erase(code=2)
    assert desk.written("run.unloaded") == [f"run:{run.id}"]


def test_rows_that_a_run_trains_on_at_this_moment_are_told_with_the_command_that_ends_it(desk: Desk) -> None:
    run, waiting = desk.requested(), desk.requested()
    desk.submitted(run)
    with desk.place.store.write() as session:
        runs.find(session, waiting.id).started_at = None
    out, _ = desk.erase(code=3)
    assert f"uploaded for {run.id}, with 1 rows that are now erased: it is training. First: errata run cancel" in out
    assert waiting.id not in out.partition("Azure may still hold")[2]
    assert desk.found()
    desk.stands(run, RunStatus.CANCELLED)
    desk.erase()
    assert desk.found() == []
    desk.submitted(waiting)  # of the rows that are left
    assert desk.found() == []


def _words_in(desk: Desk, row: dict[str, Any]) -> bool:
    path = str(row["dataUri"]).partition("/paths/")[2]
    return any(
        WORDS.encode() in file.read_bytes() for file in desk.azure.cloud.blobs.rglob("*") if str(file).endswith(path)
    )
