"""A training that goes on at Azure though its run has ended is paid for: it is listed, and a command ends it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell import Shell, dialogue

from bot.entry import Entry
from curation import audit, people
from curation.datasets import dataset
from training import orders, runs
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed.backend import ManagedBackend
from training.backends.foundry.place import AzurePlace
from training.backends.names import BackendName
from training.runs import RunStatus
from training.sandbox.azure import AzureSandbox
from training.sandbox.toys import Toys
from training.workplace import Workplace


@pytest.fixture
def azure(tmp_path: Path, errata: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureSandbox]:
    rows = tmp_path / "in.jsonl"
    rows.write_text("".join(json.dumps(dialogue(number)) + "\n" for number in range(40)), encoding="utf-8")
    assert errata("import", "in.jsonl", "--approve-as", "ana", "--reason", "Checked by hand.")[0] == 0
    assert errata("dataset", "freeze", "v1")[0] == 0
    with AzureSandbox(tmp_path / "azure", trains=False) as sandbox:
        sandbox.cloud.part(Toys).seconds = 3600.0
        for name, value in sandbox.environ().items():
            monkeypatch.setenv(name, value)
        yield sandbox


@pytest.fixture
def entry(azure: AzureSandbox, tmp_path: Path) -> Iterator[Entry]:
    entry = Entry({**azure.environ(), "ERRATA_HOME": str(tmp_path / "home")}, debug=False)
    yield entry
    entry.close()


def outlived(entry: Entry, place: AzurePlace) -> str:
    """A run that has failed here, and whose files here were lost; its job trains on."""
    backend = ManagedBackend(place, looks=Looks.always())
    workplace = Workplace(entry.store, {BackendName.FOUNDRY: backend}, entry.home, entry.clock, place)
    named = {"dataset_name": "v1", "model": "phi-4-mini-instruct", "backend": BackendName.FOUNDRY}
    with entry.store.write() as session:
        actor = people.Actor(people.resolve(session, "ana"))
        run = orders.request(session, actor, entry.clock(), **named, place=place)
        run.status, run.started_at = RunStatus.FAILED.value, entry.clock()
        dataset.write_files(session, runs.dataset_of(session, run), workplace.data(run))
    backend.submit(workplace.job(run))
    shutil.rmtree(workplace.folder(run))
    return run.id


def test_a_training_that_has_outlived_its_run_is_listed_and_can_be_ended(
    azure: AzureSandbox, errata: Shell, entry: Entry
) -> None:
    run_id = outlived(entry, AzurePlace.read(azure.environ()))
    azure.fail_next(f"GET .*/jobs/{run_id}", 403)
    code, out, err = errata("foundry", "costs")
    assert (code, "Caps: none" in out, err.startswith(f"{run_id}: ")) == (3, True, True)
    (one,) = json.loads(errata("foundry", "costs", "--json")[1])["outlived"]
    assert one == {"run": run_id, "backend": "foundry", "end": f"errata delete {run_id}"}
    assert "Trainings that go on though their run has ended" in errata("foundry", "costs")[1]
    code, _, err = errata("delete", run_id, "--yes")
    assert code == 1
    assert f"has been asked to stop. In a minute repeat: errata delete {run_id}" in err
    assert len([one for one in azure.requests if one.path.endswith(f"/jobs/{run_id}/cancel")]) == 1
    assert json.loads(errata("foundry", "costs", "--json")[1])["outlived"] == []
    code, out, err = errata("delete", run_id, "--yes")
    assert (code, f"The files of {run_id} are deleted" in out) == (0, True), err
    with entry.store.read() as session:
        done = [one.action for one in audit.about(session, f"run:{run_id}")]
    assert done == ["run.requested", "run.deleted", "run.spared", "run.deleted"]
    assert not [path for path in azure.cloud.blobs.rglob("*.jsonl") if path.is_file()]
