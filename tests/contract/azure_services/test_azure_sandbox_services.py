"""The sandbox's AI services, asked by their own clients: an account with OpenAI's API, and Content Safety."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from sdk_jobs import CHAT, DEPLOYMENTS, HARMFUL, PRICE, lines, refused, until

from training.sandbox.azure import AzureSandbox
from training.sandbox.deployments import Limits
from training.sandbox.names import SAFETY_KEY
from training.sandbox.served import SIMULATED_REPLY, Engines
from training.sandbox.toys import LABEL, TRAINED

# azure-ai-ml declares its schemas in the way of marshmallow 3.
pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.Marshmallow4Warning")

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
        (
            {"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 51}}}},
            "n_epochs: it does not keep to oneOf",
        ),
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
