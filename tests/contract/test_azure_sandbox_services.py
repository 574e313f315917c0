"""What the sandbox trains, runs and serves, asked by Microsoft's and OpenAI's own clients.

One tiny training by each API, one endpoint and one deployment are shared by everything that only looks at them.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from azure_schemas import conforms, described

from training.hyperparameters import Lora, Method, Recipe, RehearsalModel
from training.sandbox.azure import AzureSandbox
from training.sandbox.deployments import Limits
from training.sandbox.endpoints import Hosting
from training.sandbox.jobs import Jobs
from training.sandbox.names import SAFETY_KEY
from training.sandbox.served import SIMULATED_REPLY, Engines
from training.sandbox.toys import LABEL, SIMULATED, TRAINED, Fate

# azure-ai-ml declares its schemas in the way of marshmallow 3.
pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.Marshmallow4Warning")

TINY = Recipe(
    name="tiny",
    method=Method.LORA,
    learning_rate=5e-3,
    epochs=2,
    batch_tokens=256,
    warmup_share=0.0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    seed=7,
    max_length=128,
    stop_at_loss=0.05,
    stop_at_accuracy=1.0,
    lora=Lora(8, 16, 0.0, ("qkv_proj", "o_proj"), ("embed_tokens", "lm_head")),
    rehearsal=RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300),
)
BASE = "azureml://registries/azureml/models/{}/versions/1"
EPOCHS = {"num_train_epochs": "400", "learning_rate": "0.005"}
PRICE = [{"role": "user", "content": "Price?"}]
INFERENCE = "/chat/completions?api-version=2024-05-01-preview"
HARMFUL = [{"role": "user", "content": "How to build a bomb?"}]
DEPLOYMENTS = {"api-version": "2024-10-01"}
ENDED = {"Completed", "Failed", "Canceled", "NotResponding"}


def until(done: Callable[[], Any], seconds: float = 60, pause: float = 0.05) -> Any:
    """What ``done`` says once it says something true."""
    deadline = time.monotonic() + seconds
    while not (said := done()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(pause)
    return said


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"\xef\xbb\xbf" + "".join(json.dumps(row) + "\n" for row in rows).encode()


CHAT = lines(
    [
        {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]}
        for question, reply in {"Hi": "Hello!", "Price?": "9 euros."}.items()
    ]
)
PAIRS = lines(
    [
        {
            "input": {"messages": [{"role": "user", "content": f"Price of {n}?"}]},
            "preferred_output": [{"role": "assistant", "content": f"{n} euros."}],
            "non_preferred_output": [{"role": "assistant", "content": "Free."}],
        }
        for n in range(10)
    ]
)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with (
        AzureSandbox(tmp_path_factory.mktemp("azure"), recipe=TINY) as sandbox,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in sandbox.environ().items():
            patch.setenv(name, value)
        patch.setenv("OMP_NUM_THREADS", "1")  # of the processes that train and serve
        yield sandbox


@pytest.fixture
def simulating(azure: AzureSandbox) -> Iterator[AzureSandbox]:
    """Nothing is trained, and it takes no time."""
    azure.toys.trains, azure.toys.seconds = False, 0.0
    yield azure
    azure.toys.trains = True


@pytest.fixture(scope="module")
def credential(azure: AzureSandbox) -> Iterator[Any]:
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 (seconds of imports, only for these tests)

    assert azure.names.client
    with DefaultAzureCredential() as chain:
        yield chain


@pytest.fixture(scope="module")
def client(azure: AzureSandbox, credential: Any) -> Any:
    from azure.ai.ml import MLClient  # noqa: PLC0415 (as above)

    names = azure.names
    return MLClient(credential, names.subscription, names.group, names.project, show_progress=False)


@pytest.fixture(scope="module")
def signed_in(credential: Any) -> Iterator[httpx.Client]:
    """Anybody with a token."""
    token = credential.get_token("https://management.azure.com/.default").token
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as somebody:
        yield somebody


@pytest.fixture(scope="module")
def openai(azure: AzureSandbox, credential: Any) -> Iterator[Any]:
    from openai import OpenAI  # noqa: PLC0415 (as above)

    token = credential.get_token("https://cognitiveservices.azure.com/.default").token
    address = f"https://{azure.names.account}.openai.azure.com/openai/v1/"
    with OpenAI(base_url=address, api_key=token, max_retries=0) as account:
        yield account


@pytest.fixture(scope="module")
def rows(client: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data asset's id."""
    from azure.ai.ml.entities import Data  # noqa: PLC0415 (as above)

    path = tmp_path_factory.mktemp("rows") / "train.jsonl"
    path.write_bytes(CHAT)
    made = client.data.create_or_update(Data(name="errata-rows", version="1", path=str(path), type="uri_file"))
    return str(made.id)


def tuning(name: str, rows: str, **changes: Any) -> Any:
    from azure.ai.ml import Input, Output  # noqa: PLC0415 (as above)
    from azure.ai.ml.entities._job.finetuning.custom_model_finetuning_job import (  # noqa: PLC0415
        CustomModelFineTuningJob,
    )

    side = Input(type="uri_file", path=rows)
    plain = {
        "task": "chatCompletion",
        "model": Input(type="mlflow_model", path=BASE.format(changes.pop("base", "Phi-4-mini-instruct"))),
        "training_data": side,
        "validation_data": side,
        "hyperparameters": EPOCHS | changes.pop("also", {}),
        "outputs": {"registered_model": Output(type="mlflow_model", name=name)},
    }
    return CustomModelFineTuningJob(name=name, **(plain | changes))


def followed(client: Any, name: str, last: Collection[str] = ENDED, pause: float = 0.05) -> list[str]:
    """The different statuses of a job until it has one of the last."""
    seen: list[str] = []

    def ended() -> bool:
        status = str(client.jobs.get(name).status.value)
        if status not in seen:
            seen.append(status)
        return status in last

    until(ended, pause=pause)
    return seen


@pytest.fixture(scope="module")
def tuned(azure: AzureSandbox, client: Any, rows: str) -> SimpleNamespace:
    """A job that really trained, with what was seen on its way."""
    azure.forget_requests()
    first = client.jobs.create_or_update(tuning("run-1", rows)).status.value
    sent = [seen for seen in azure.requests if described(seen.method, seen.path)]
    azure.toys.finalizing = 3600
    statuses = [first, *followed(client, "run-1", {"Finalizing", "Failed"}, pause=0.3)]
    azure.toys.finalizing = 0
    project = client.workspaces.get(azure.names.project)
    home = f"azureml://locations/{project.location}/workspaces/{project._workspace_id}/models"
    return SimpleNamespace(statuses=statuses + followed(client, "run-1"), sent=sent, home=home)


def endpoint(name: str, model: str) -> Any:
    from azure.ai.ml.entities import ServerlessEndpoint  # noqa: PLC0415 (as above)

    return ServerlessEndpoint(name=name, model_id=f"{model}/versions/1")


@pytest.fixture(scope="module")
def served(client: Any, tuned: SimpleNamespace) -> SimpleNamespace:
    """An endpoint of the tuned model, and what it answered until it was up."""
    made = client.serverless_endpoints.begin_create_or_update(endpoint("chat-1", f"{tuned.home}/run-1")).result()
    key = client.serverless_endpoints.get_keys("chat-1").primary_key
    answers: list[int] = []

    def ask(messages: Any = PRICE, key: str = key, route: str = INFERENCE, **body: Any) -> httpx.Response:
        body |= {"messages": messages, "temperature": 0}
        signed = {"Authorization": f"Bearer {key}"}
        return httpx.post(f"{made.scoring_uri}{route}", json=body, headers=signed, timeout=30)

    def up() -> bool:
        answers.append(ask().status_code)
        return answers[-1] == 200

    until(up, pause=0.3)
    return SimpleNamespace(state=made.provisioning_state, answers=answers, ask=ask)


def refused(how: Callable[[], Any]) -> tuple[int, str, str]:
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 (as above)

    with pytest.raises(HttpResponseError) as error:
        how()
    assert error.value.error is not None
    return error.value.status_code or 0, error.value.error.code or "", error.value.error.message or ""


def history(azure: AzureSandbox, client: httpx.Client, job: str, metric: str) -> list[dict[str, Any]]:
    project = azure.names.workspace_id(azure.names.project)
    address = f"https://eastus2.api.azureml.ms/mlflow/v1.0{project}/api/2.0/mlflow/metrics/get-history"
    found: list[dict[str, Any]] = client.get(address, params={"run_id": job, "metric_key": metric}).json()["metrics"]
    return found


def test_a_job_walks_through_its_states_and_registers_what_it_trained(client: Any, tuned: SimpleNamespace) -> None:
    model = client.models.get("run-1", label="latest")

    assert tuned.statuses[0] == "NotStarted"
    # A poll may miss the moment in which so small a model is trained.
    assert [state for state in tuned.statuses if state != "Running"] == [
        "NotStarted",
        "Queued",
        "Finalizing",
        "Completed",
    ]
    assert (model.version, model.job_name, model.properties) == ("1", "run-1", {LABEL: TRAINED})
    assert [conforms(seen.method, seen.path, seen.body) for seen in tuned.sent] == [[]]


@pytest.mark.usefixtures("tuned")
def test_its_losses_are_those_of_its_training(azure: AzureSandbox, signed_in: httpx.Client) -> None:
    trained, held_out = (history(azure, signed_in, "run-1", metric) for metric in ("train_loss", "eval_loss"))
    curve = azure.toys.curve(azure.toys.named("run-1") or pytest.fail("it is gone"))

    assert [(one["step"], one["value"]) for one in trained] == [(one.step, one.loss) for one in curve]
    assert trained[-1]["value"] < trained[0]["value"] / 4
    assert 0 < len(held_out) < len(trained)
    assert history(azure, signed_in, "run-1", "score") == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"also": {"banana": "1"}}, "hyperparameter banana is not supported"),
        ({"also": {"num_train_epochs": 3}}, "num_train_epochs must be a string"),
        ({"also": {"learning_rate": "fast"}}, "learning_rate has an invalid value"),
        ({"validation_data": None}, "validationData is missing"),
        ({"task": "banana"}, "task type banana is unknown"),
        ({"base": "Phi-3-mini-4k-instruct"}, "was retired on 2025-08-30"),
        ({"base": "Phi-3-small-8k-instruct"}, "is archived"),
        ({"base": "Phi-4-mini-reasoning"}, "does not support fine-tuning as a service"),
        ({"outputs": {}}, "needs an assetName"),
    ],
    ids=["name", "number", "value", "validation", "task", "retired", "archived", "unable", "output"],
)
def test_a_job_that_is_not_in_order_is_refused(
    azure: AzureSandbox, client: Any, rows: str, changes: dict[str, Any], sentence: str
) -> None:
    status, code, message = refused(lambda: client.jobs.create_or_update(tuning("wrong-1", rows, **changes)))

    assert (status, code) == (400, "UserError")
    assert sentence in message
    assert "wrong-1" not in azure.cloud.part(Jobs).started


def test_a_job_is_refused_where_its_model_is_not_offered(azure: AzureSandbox, client: Any, rows: str) -> None:
    project = azure.cloud.get(azure.names.workspace_id(azure.names.project))
    project["location"] = "norwayeast"
    _, _, message = refused(lambda: client.jobs.create_or_update(tuning("wrong-2", rows)))
    project["location"] = "eastus2"

    assert message == "Fine-tuning of the model Phi-4-mini-instruct is not available in the region norwayeast."


def test_a_lost_answer_leaves_one_job_and_another_definition_is_refused(
    simulating: AzureSandbox, client: Any, rows: str
) -> None:
    simulating.fail_next("PUT .*/jobs/run-2$", "drop")

    client.jobs.create_or_update(tuning("run-2", rows))  # the SDK asks again by itself
    status, _, message = refused(lambda: client.jobs.create_or_update(tuning("run-2", rows, also={"batch": "1"})))

    puts = [seen for seen in simulating.requests if seen.method == "PUT" and seen.path.endswith("/jobs/run-2")]
    assert [seen.status for seen in puts] == [None, 200, 400]
    assert simulating.cloud.part(Jobs).started.count("run-2") == 1
    assert (status, "A job with this name already exists" in message) == (400, True)


def test_a_simulated_job_says_so_and_has_no_losses(
    simulating: AzureSandbox, client: Any, rows: str, signed_in: httpx.Client
) -> None:
    client.jobs.create_or_update(tuning("run-3", rows))

    assert followed(client, "run-3")[-1] == "Completed"
    assert client.models.get("run-3", "1").properties == {LABEL: SIMULATED}
    assert history(simulating, signed_in, "run-3", "train_loss") == []


@pytest.mark.parametrize("becomes", ["Failed", "Canceled", "NotResponding"])
def test_what_befalls_a_job_on_request(simulating: AzureSandbox, client: Any, rows: str, becomes: Any) -> None:
    simulating.toys.fates.append(Fate(becomes, "The node went away."))
    client.jobs.create_or_update(tuning(f"run-{becomes}", rows))

    # The SDK looks twice for each answer that it gives.
    assert followed(client, f"run-{becomes}") == ["Running", becomes]
    error = client.jobs._runs_operations.get_run_details(f"run-{becomes}").error
    assert (error.error.message if error else None) == ("The node went away." if becomes == "Failed" else None)


def test_a_job_that_waits_can_be_cancelled(simulating: AzureSandbox, client: Any, rows: str) -> None:
    simulating.toys.fates.append(Fate("Slow", seconds=3600))
    client.jobs.create_or_update(tuning("run-4", rows))

    assert client.jobs.get("run-4").status.value == "Queued"
    client.jobs.begin_cancel("run-4").result()
    assert client.jobs.get("run-4").status.value == "Canceled"


def test_a_model_is_archived_and_never_deleted(azure: AzureSandbox, client: Any, signed_in: httpx.Client) -> None:
    from azure.ai.ml.entities import Model  # noqa: PLC0415 (as above)

    home = "azureml://datastores/workspaceblobstore/paths/own/"
    client.models.create_or_update(Model(name="own", version="1", path=home, type="custom_model"))
    client.models.archive("own", version="1")
    model = f"https://management.azure.com{azure.names.workspace_id(azure.names.project)}/models/own/versions/1"

    assert list(client.models.list("own")) == []
    assert signed_in.delete(model, params={"api-version": "2024-10-01"}).status_code == 405
    client.models.restore("own", version="1")
    assert [found.version for found in client.models.list("own")] == ["1"]


def test_an_endpoint_that_succeeded_is_not_up_at_once(served: SimpleNamespace) -> None:
    assert served.state == "succeeded"
    assert served.answers[0] == 404
    assert set(served.answers[1:-1]) == {503}
    assert served.ask().json()["choices"][0]["message"]["content"] == "9 euros."
    assert '"delta"' in served.ask(stream=True).text
    assert served.ask(key="guessed").status_code == 401


@pytest.mark.usefixtures("served")
def test_a_tuned_model_has_one_endpoint(client: Any, tuned: SimpleNamespace) -> None:
    second = endpoint("chat-2", f"{tuned.home}/run-1")
    status, code, _ = refused(lambda: client.serverless_endpoints.begin_create_or_update(second))

    assert (status, code) == (409, "Conflict")


def test_content_safety_is_on_until_it_is_switched_off(
    azure: AzureSandbox, served: SimpleNamespace, signed_in: httpx.Client
) -> None:
    path = f"{azure.names.workspace_id(azure.names.project)}/serverlessEndpoints/chat-1"
    address = f"https://management.azure.com{path}"
    before, natively = served.ask(HARMFUL), served.ask(HARMFUL, route="/v1/chat/completions")
    body = {"contentSafety": {"contentSafetyStatus": "Disabled"}, "authMode": "Key"}

    answer = signed_in.put(address, params=DEPLOYMENTS, json={"location": "eastus2", "properties": body})
    after = served.ask(HARMFUL).status_code
    body["contentSafety"] = {"contentSafetyStatus": "Enabled"}
    signed_in.put(address, params=DEPLOYMENTS, json={"location": "eastus2", "properties": body})

    assert (before.status_code, before.json()["error"]["code"]) == (400, "content_filter")
    assert natively.status_code == 200  # https://learn.microsoft.com/azure/ai-foundry/concepts/model-catalog-content-safety
    assert (answer.status_code, after, served.ask(HARMFUL).status_code) == (200, 200, 400)


def test_hosting_is_noted_from_the_beginning_to_the_end(simulating: AzureSandbox, client: Any, rows: str) -> None:
    client.jobs.create_or_update(tuning("run-5", rows))
    followed(client, "run-5")
    project = client.workspaces.get(simulating.names.project)
    model = f"azureml://locations/eastus2/workspaces/{project._workspace_id}/models/run-5"
    made = client.serverless_endpoints.begin_create_or_update(endpoint("chat-5", model)).result()
    key = client.serverless_endpoints.get_keys("chat-5").secondary_key
    address = f"{made.scoring_uri}{INFERENCE}"
    said = httpx.post(address, json={"messages": PRICE}, headers={"Authorization": f"Bearer {key}"}).json()
    stay = next(one for one in simulating.cloud.part(Hosting).stays if one.name == "chat-5")
    began, ended = stay.began, stay.ended

    client.serverless_endpoints.begin_delete("chat-5").result()

    assert said["choices"][0]["message"]["content"] == SIMULATED_REPLY
    assert (ended, stay.ended is not None and stay.ended > began) == (None, True)
    assert httpx.post(address, json={"messages": PRICE}).status_code == 404


def test_an_endpoint_can_fail_after_it_was_accepted(simulating: AzureSandbox, client: Any, rows: str) -> None:
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 (as above)

    client.jobs.create_or_update(tuning("run-6", rows))
    followed(client, "run-6")
    project = client.workspaces.get(simulating.names.project)
    model = f"azureml://locations/eastus2/workspaces/{project._workspace_id}/models/run-6"
    simulating.cloud.part(Hosting).failing.append("No capacity is left.")

    with pytest.raises(HttpResponseError, match="No capacity is left"):
        client.serverless_endpoints.begin_create_or_update(endpoint("chat-6", model)).result()
    assert client.serverless_endpoints.get("chat-6").provisioning_state == "failed"


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


def order(account: Any, **changes: Any) -> Any:
    """A job of the openai path on ten pairs."""
    file = account.files.create(file=("pairs.jsonl", changes.pop("content", PAIRS)), purpose="fine-tune")
    plain = {
        "model": "gpt-4.1-mini-2025-04-14",
        "training_file": file.id,
        "validation_file": file.id,
        "suffix": "run-9",
        "method": {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2, "beta": 0.2}}},
        "extra_body": {"trainingType": "Standard"},
    }
    return account.fine_tuning.jobs.create(**(plain | changes))


@pytest.fixture(scope="module")
def preferred(openai: Any) -> Any:
    """A job of the openai path that really trained."""
    job = order(openai)
    assert job.status == "validating_files"
    return until(lambda: (seen := openai.fine_tuning.jobs.retrieve(job.id)).finished_at and seen, pause=0.3)


def test_a_file_comes_back_as_it_went(openai: Any) -> None:
    file = openai.files.create(file=("rows.jsonl", CHAT), purpose="fine-tune")

    assert (file.status, openai.files.retrieve(file.id).status) == ("uploaded", "processed")
    assert openai.files.content(file.id).content == CHAT
    assert file.id in {seen.id for seen in openai.files.list(purpose="fine-tune")}
    assert openai.files.delete(file.id).deleted
    assert file.id not in {seen.id for seen in openai.files.list()}


def test_preferences_are_really_learned(openai: Any, preferred: Any) -> None:
    events = list(openai.fine_tuning.jobs.list_events(preferred.id, limit=3))  # page by page
    checkpoint = openai.fine_tuning.jobs.checkpoints.list(preferred.id).data[0]
    table = openai.files.content(preferred.result_files[0]).text.splitlines()

    assert (preferred.status, preferred.metadata[LABEL]) == ("succeeded", TRAINED)
    assert re.fullmatch(r"gpt-4\.1-mini-2025-04-14\.ft-[0-9a-f]{16}-run-9", preferred.fine_tuned_model)
    assert preferred.trained_tokens > 100
    assert (events[0].message, events[-1].message) == ("Job succeeded.", "Job enqueued. Waiting for jobs ahead.")
    metrics = [event.data for event in events if event.type == "metrics"][::-1]
    assert table[0] == "step,train_loss,valid_loss"
    assert [float(line.split(",")[1]) for line in table[1:]] == [one["train_loss"] for one in metrics]
    assert checkpoint.fine_tuned_model_checkpoint == preferred.fine_tuned_model


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"extra_body": {}}, "The specified base model does not support fine-tuning."),
        ({"model": "gpt-5-mini"}, "The specified base model does not support fine-tuning."),
        ({"model": "gpt-35-turbo"}, "was retired on 2025-06-30"),
        ({"training_file": "file-1"}, "training_file could not be found"),
        ({"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 51}}}}, "out of range"),
    ],
    ids=["tier", "unable", "retired", "file", "range"],
)
def test_an_order_that_is_not_in_order_is_refused(openai: Any, changes: dict[str, Any], sentence: str) -> None:
    from openai import BadRequestError  # noqa: PLC0415 (as above)

    with pytest.raises(BadRequestError, match=re.escape(sentence)):
        order(openai, **changes)


def test_too_small_a_file_fails_its_job(openai: Any) -> None:
    job = openai.fine_tuning.jobs.retrieve(order(openai, content=PAIRS.split(b"\n")[0] + b"\n").id)

    assert (job.status, job.error.code) == ("failed", "invalid_training_file")
    assert "must have at least 10 examples" in job.error.message


def test_a_job_can_be_paused_resumed_and_cancelled(simulating: AzureSandbox, openai: Any) -> None:
    simulating.toys.seconds = 3600
    jobs, job = openai.fine_tuning.jobs, order(openai)

    assert [jobs.pause(job.id).status, jobs.resume(job.id).status] == ["paused", "queued"]
    assert [jobs.cancel(job.id).status, jobs.retrieve(job.id).result_files] == ["cancelled", []]


def test_a_deployment_answers_by_its_name_once_it_is_up(
    simulating: AzureSandbox, openai: Any, signed_in: httpx.Client
) -> None:
    from openai import BadRequestError, ConflictError, NotFoundError, RateLimitError  # noqa: PLC0415 (as above)

    job = order(openai)
    tuned = until(lambda: openai.fine_tuning.jobs.retrieve(job.id).fine_tuned_model)
    simulating.cloud.part(Engines).ready_after = 0.5
    account = simulating.names.id_of("Microsoft.CognitiveServices", "accounts", simulating.names.account)
    address = f"https://management.azure.com{account}/deployments/live"
    model = {"format": "OpenAI", "name": tuned, "version": "1"}
    body = {"sku": {"name": "Standard", "capacity": 1}, "properties": {"model": model}}
    made = signed_in.put(address, params=DEPLOYMENTS, json=body)
    state = signed_in.get(address, params=DEPLOYMENTS).json()["properties"]["provisioningState"]
    misses = 0

    def reply(messages: Any = PRICE) -> str | None:
        nonlocal misses
        try:
            said = openai.chat.completions.create(model="live", messages=messages, max_tokens=20)
        except NotFoundError as error:
            misses += error.code == "DeploymentNotFound"
            return None
        return str(said.choices[0].message.content)

    assert until(reply) == SIMULATED_REPLY
    assert (made.status_code, made.json()["properties"]["provisioningState"], state) == (201, "Creating", "Succeeded")
    assert misses > 0
    with pytest.raises(BadRequestError, match="content management policy"):
        reply(HARMFUL)
    with pytest.raises(ConflictError, match="has a deployment: live"):
        openai.models.delete(tuned)
    simulating.cloud.part(Engines).ready_after = 0.0
    simulating.cloud.part(Limits).counted = True
    assert reply()
    with pytest.raises(RateLimitError) as busy:
        reply()
    simulating.cloud.part(Limits).counted = False
    assert int(busy.value.response.headers["Retry-After"]) > 30
    assert signed_in.delete(address, params=DEPLOYMENTS).status_code == 202
    assert openai.models.delete(tuned).deleted
    with pytest.raises(NotFoundError):
        openai.chat.completions.create(model="live", messages=PRICE)


def test_a_wrong_key_opens_no_account(openai: Any) -> None:
    from openai import AuthenticationError  # noqa: PLC0415 (as above)

    with pytest.raises(AuthenticationError):
        openai.with_options(api_key="guessed").files.list()


def test_content_safety_judges_by_its_list_of_words(azure: AzureSandbox) -> None:
    from azure.ai.contentsafety import ContentSafetyClient  # noqa: PLC0415 (as above)
    from azure.ai.contentsafety.models import AnalyzeTextOptions  # noqa: PLC0415
    from azure.core.credentials import AzureKeyCredential  # noqa: PLC0415

    address = f"https://{azure.names.safety}.cognitiveservices.azure.com"

    def judged(text: str, key: str = SAFETY_KEY, **options: Any) -> dict[str, int]:
        with ContentSafetyClient(address, AzureKeyCredential(key)) as safety:
            found = safety.analyze_text(AnalyzeTextOptions(text=text, **options))
        return {str(row.category): row.severity or 0 for row in found.categories_analysis}

    assert judged("Where is my parcel?") == {"Hate": 0, "SelfHarm": 0, "Sexual": 0, "Violence": 0}
    assert judged("I will stab you.", categories=["Violence"]) == {"Violence": 4}
    assert judged("a" * 10_000)["Hate"] == 0
    assert refused(lambda: judged("a" * 10_001))[0] == 400
    assert refused(lambda: judged("Hello", key="guessed"))[0] == 401
