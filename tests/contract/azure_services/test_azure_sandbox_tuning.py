"""Fine-tuning jobs, models and serverless endpoints of the sandbox, asked by Microsoft's own client.

One tiny training and one endpoint are shared by everything that only looks at them.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from sdk_jobs import DEPLOYMENTS, HARMFUL, PRICE, followed, refused, until

from training.sandbox import described
from training.sandbox.azure import AzureSandbox
from training.sandbox.endpoints import Hosting
from training.sandbox.jobs import Jobs
from training.sandbox.served import SIMULATED_REPLY
from training.sandbox.toys import LABEL, SIMULATED, TRAINED, Fate

# azure-ai-ml declares its schemas in the way of marshmallow 3.
pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.Marshmallow4Warning")

BASE = "azureml://registries/azureml/models/{}/versions/1"

EPOCHS = {"num_train_epochs": "400", "learning_rate": "0.005"}

INFERENCE = "/chat/completions?api-version=2024-05-01-preview"


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


@pytest.fixture(scope="module")
def tuned(azure: AzureSandbox, client: Any, rows: str) -> SimpleNamespace:
    """A job that really trained, with what was seen on its way."""
    azure.forget_requests()
    first = client.jobs.create_or_update(tuning("run-1", rows)).status.value
    sent = [(seen, body) for seen in azure.requests if (body := described.found(seen.method, seen.host, seen.path))]
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
    assert [(body.kind, body.wrong(seen.body)) for seen, body in tuned.sent] == [("JobBaseResource", [])]


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
        ({"also": {"num_train_epochs": 3}}, "hyperParameters.num_train_epochs: it does not keep to type"),
        ({"also": {"learning_rate": "fast"}}, "learning_rate has an invalid value"),
        ({"validation_data": None}, "validationData is missing"),
        ({"task": "banana"}, "fineTuningDetails.taskType: it does not keep to enum"),
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
    assert (
        natively.status_code == 200
    )  # https://learn.microsoft.com/azure/ai-foundry/concepts/model-catalog-content-safety
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
