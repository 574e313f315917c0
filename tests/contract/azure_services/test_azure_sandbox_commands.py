"""Commands that the sandbox runs in place of rented machines, asked by Microsoft's own client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sdk_jobs import CHAT, followed, until

from training.sandbox.azure import AzureSandbox
from training.sandbox.jobs import Jobs

# azure-ai-ml declares its schemas in the way of marshmallow 3.
pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.Marshmallow4Warning")

RENDEZVOUS = """
import os, pathlib, socket, sys
rank, place = int(os.environ["RANK"]), (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
words = pathlib.Path(sys.argv[1]).read_text()
if sys.argv[3] == "fail" and rank:
    sys.exit("rank 1 gives up")
if rank == 0:
    with socket.create_server(place) as server:
        words = server.accept()[0].recv(100).decode() + words
    pathlib.Path(sys.argv[2], "met.txt").write_text(words + os.environ["WORLD_SIZE"] + os.environ["TONE"])
else:
    while True:
        try:
            socket.create_connection(place).sendall(b"rank 1 says ")
            break
        except ConnectionRefusedError:
            pass
"""


def run(name: str, code: Path, rows: str, how: str) -> Any:
    from azure.ai.ml import Input, Output, command  # noqa: PLC0415 (as above)

    return command(
        name=name,
        code=str(code),
        command=f"python meet.py ${{{{inputs.rows}}}} ${{{{outputs.model}}}} {how}",
        environment="azureml://registries/azureml/environments/acpt-pytorch-2.8-cuda12.6/labels/latest",
        environment_variables={"TONE": "!"},
        instance_count=2,
        instance_type="Standard_NC24ads_A100_v4",
        distribution={"type": "PyTorch", "process_count_per_instance": 1},
        inputs={"rows": Input(type="uri_file", path=rows)},
        outputs={"model": Output(type="custom_model", name=name)},
    )


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "meet.py").write_text(RENDEZVOUS, encoding="utf-8")
    return folder


# azure-ai-ml asks azure-storage-blob in the way of yesterday.
@pytest.mark.filterwarnings(r"ignore::DeprecationWarning:azure\.storage\.blob")
def test_the_processes_of_a_command_find_each_other_and_leave_their_outputs(
    client: Any, rows: str, code: Path, tmp_path: Path
) -> None:
    client.jobs.create_or_update(run("own-1", code, rows, "meet"))
    seen = followed(client, "own-1")
    client.jobs.download("own-1", download_path=tmp_path, output_name="model")

    met = (tmp_path / "named-outputs" / "model" / "met.txt").read_text(encoding="utf-8")
    assert seen[-2:] == ["Finalizing", "Completed"]
    assert met == f"rank 1 says {CHAT.decode()}2!"
    assert client.models.get("own-1", "1").type == "custom_model"


def test_a_process_that_fails_ends_the_others(azure: AzureSandbox, client: Any, rows: str, code: Path) -> None:
    client.jobs.create_or_update(run("own-2", code, rows, "fail"))  # rank 0 waits for rank 1

    assert followed(client, "own-2")[-1] == "Failed"
    error = client.jobs._runs_operations.get_run_details("own-2").error.error
    work: Any = (azure.cloud.part(Jobs).named("own-2") or pytest.fail("it is gone")).work
    assert error.message == "Execution failed. Process 1 exited with status code 1."
    assert [process.poll() is None for process in work.processes] == [False, False]


def test_a_command_that_is_cancelled_is_gone(azure: AzureSandbox, client: Any, rows: str, code: Path) -> None:
    (code / "meet.py").write_text("import time; time.sleep(600)\n", encoding="utf-8")
    client.jobs.create_or_update(run("own-3", code, rows, "sleep"))
    until(lambda: client.jobs.get("own-3").status.value == "Running")

    client.jobs.begin_cancel("own-3").result()

    work: Any = (azure.cloud.part(Jobs).named("own-3") or pytest.fail("it is gone")).work
    assert client.jobs.get("own-3").status.value == "Canceled"
    assert all(process.poll() is not None for process in work.processes)
