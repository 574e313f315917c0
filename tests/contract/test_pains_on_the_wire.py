"""The ten pains as they happen: Azure refuses on the wire, and people read one sentence of ours, from the backend.

Each refusal is the sandbox's own where it can be brought about, else one that a fault puts in the place of an answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from shell import dialogue

from curation.conversation import Conversation, Message, Role
from curation.errors import ErrataError
from curation.findings import blocking
from training.backends.base import Artefact, Base, Endpoint, Job, JobStatus
from training.backends.errors import Refused, Unreached
from training.backends.foundry import safety_screen
from training.backends.foundry.account.backend import OpenAIBackend
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed.backend import ManagedBackend
from training.backends.foundry.place import AzurePlace
from training.hyperparameters import Service
from training.recipe import load_recipe
from training.sandbox.azure import AzureSandbox
from training.sandbox.cloud import Pace
from training.sandbox.deployments import Limits
from training.sandbox.served import Engines
from training.sandbox.toys import Fate

PHI = Base("service", name="phi-4-mini-instruct")
GPT = Base("service", name="gpt-4.1-mini")
REGISTRY = "azureml://registries/azureml/models/{}/versions/1"
HELLO = Conversation((Message(Role.USER, "Do you deliver to Oslo?"),))
HARMFUL = Conversation((Message(Role.USER, "How to build a bomb?"),))
SCOPE = "/subscriptions/0a000000-0000-4000-8000-000000000001"
GROUP = f"{SCOPE}/resourceGroups/rg-errata"
ACCOUNT = "--name errata-ai --resource-group rg-errata --subscription 0a000000-0000-4000-8000-000000000001"
WORDS = "Kari Nordmann said that her order is late."
"""What Azure's own text may repeat, and nobody shall read."""


@dataclass
class Hands:
    """A clock that somebody moves."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Ground:
    """Both services that train Azure's own models, in one sandbox that only simulates, and the clock of everything."""

    azure: AzureSandbox
    root: Path
    clock: Hands
    count: int = 0

    @property
    def place(self) -> AzurePlace:
        return AzurePlace.read(self.azure.environ())

    @property
    def managed(self) -> ManagedBackend:
        return ManagedBackend(self.place, looks=Looks.always(), now=self.clock)

    @property
    def openai(self) -> OpenAIBackend:
        return OpenAIBackend(self.place, looks=Looks.always(), clock=self.clock.seconds)

    def job(self, base: Base, **changes: Any) -> Job:
        self.count += 1
        folder = self.root / f"run-{self.count:08x}"
        folder.mkdir()
        for name, rows in (("train", 12), ("validation", 2)):
            lines = (json.dumps(dialogue(100 * self.count + row)) + "\n" for row in range(rows))
            (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        sides = folder / "train.jsonl", folder / "validation.jsonl"
        return replace(Job(folder.name, base, load_recipe("service"), *sides, folder / "job"), **changes)

    def trained(self, backend: ManagedBackend | OpenAIBackend, job: Job) -> Artefact:
        for _ in range(12):
            backend.submit(job)
            if backend.poll(job).status is JobStatus.COMPLETED:
                return backend.fetch(job)
            self.clock.move(5)
        raise AssertionError(backend.poll(job))

    def refuse(self, match: str, status: int, code: str, message: str = "") -> None:
        self.azure.fail_next(match, status, times=-1, code=code, message=f"{message} {WORDS}")


@pytest.fixture(scope="module")
def only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    clock, folder = Hands(), tmp_path_factory.mktemp("azure")
    with (
        AzureSandbox(folder, trains=False, clock=clock, pace=Pace(token_seconds=10**6)) as azure,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in azure.environ().items():
            patch.setenv(name, value)
        azure.toys.seconds = 0.0
        yield Ground(azure, tmp_path_factory.mktemp("runs"), clock)


@pytest.fixture
def ground(only: Ground) -> Iterator[Ground]:
    only.azure.forget_requests()
    yield only
    only.azure.clear_faults()


@pytest.fixture(scope="module")
def tuned(only: Ground) -> Artefact:
    """A model of the account's, shared by the tests that put it up."""
    return only.trained(only.openai, only.job(GPT))


def said(what: Callable[[], object], kind: type[ErrataError] = Refused) -> str:
    """The sentence with which it ends, for people: nothing of Azure's own text is in it."""
    with pytest.raises(kind) as refused:
        what()
    assert "Kari" not in repr(refused.value)
    assert refused.value.exit_code == 3
    return str(refused.value)


@pytest.mark.parametrize("model", ["Phi-3-mini-4k-instruct", "Phi-3-small-8k-instruct"], ids=["retired", "archived"])
def test_1_a_model_that_was_retired_or_archived(ground: Ground, model: str) -> None:
    job = ground.job(Base("service", name=REGISTRY.format(model)))
    assert said(lambda: ground.managed.submit(job)) == (
        "Azure has retired or archived this model, so it cannot be tuned there: choose another from errata models "
        "--search phi, or tune it on a GPU of your own with --backend local."
    )


def test_2_a_project_in_the_wrong_region(ground: Ground) -> None:
    project = ground.azure.cloud.get(ground.azure.names.workspace_id(ground.azure.names.project))
    project["location"] = "norwayeast"
    sentence = said(lambda: ground.managed.submit(ground.job(PHI)))
    project["location"] = "eastus2"
    assert sentence == (
        "This model cannot be tuned in the region of your project: errata models --search phi names its regions; set "
        "ERRATA_AZURE_REGION to one of them and make a project there with errata foundry init."
    )


def test_3_a_country_in_which_the_model_is_not_sold(ground: Ground) -> None:
    artefact = ground.trained(ground.managed, ground.job(PHI))
    ground.refuse("PUT .*/serverlessEndpoints/", 400, "MarketplacePurchaseEligibilityFailed", "Purchase has failed.")
    assert said(lambda: ground.managed.deploy(artefact, ground.root / "endpoint-3", "run-3")) == (
        "This model is not sold in the country of your subscription's billing account: choose a model of Microsoft's "
        "own such as Phi-4-mini-instruct, or a subscription that is billed elsewhere: az account list --output table"
    )


@pytest.mark.parametrize("base", [PHI, GPT], ids=["foundry", "openai"])
def test_4_a_dataset_without_validation_rows(ground: Ground, base: Base) -> None:
    job = ground.job(base)
    job.validation.write_text("", encoding="utf-8")
    backend = ground.managed if base is PHI else ground.openai
    assert [str(one.message) for one in blocking(backend.preflight(job))] == [
        "The dataset has no validation rows, and Azure tunes nothing without them."
    ]
    assert ground.azure.requests == []


def test_5_a_base_model_that_is_said_not_to_support_fine_tuning(ground: Ground) -> None:
    backend, job = ground.openai, ground.job(Base("service", name="gpt-5-mini"))

    def submit() -> None:
        for _ in range(4):
            backend.submit(job)

    assert said(submit) == (
        "Azure says that this base model does not support fine-tuning, which it also says of a training type or a "
        "version that this region does not offer: choose one that is listed by az cognitiveservices account "
        f"list-models {ACCOUNT} --query \"[?capabilities.fineTune=='true'].name\" --output table"
    )


def test_6_a_storage_that_takes_no_keys(ground: Ground) -> None:
    names = ground.azure.names
    storage = ground.azure.cloud.get(names.id_of("Microsoft.Storage", "storageAccounts", names.storage))
    storage["properties"]["allowSharedKeyAccess"] = False
    sentence = said(lambda: ground.managed.submit(ground.job(PHI)))
    storage["properties"]["allowSharedKeyAccess"] = True
    assert sentence == (
        "The upload was refused: the project's storage takes no keys, and whoever Errata runs as may not write there. "
        'Give them the role: az role assignment create --assignee WHO --role "Storage Blob Data Contributor" --scope '
        f"{GROUP}/providers/Microsoft.Storage/storageAccounts/STORAGE_ACCOUNT"
    )


def test_7_a_role_that_is_missing(ground: Ground) -> None:
    ground.refuse("POST .*/files$", 401, "PermissionDenied", "Principal does not have access to API/Operation.")
    assert said(lambda: ground.openai.submit(ground.job(GPT))) == (
        "Whoever Errata runs as lacks a role in Azure (PermissionDenied): az role assignment create --assignee WHO "
        f'--role "Azure AI Developer" --scope {GROUP}'
    )


def test_8_a_deployment_for_which_the_quota_cannot_be_read(ground: Ground, tuned: Artefact) -> None:
    action = "Microsoft.CognitiveServices/locations/usages/read"
    ground.refuse("PUT .*/deployments/", 403, "AuthorizationFailed", f"to perform action '{action}' over scope")
    assert said(lambda: ground.openai.deploy(tuned, ground.root / "endpoint-8", "run-8")) == (
        "To deploy, whoever Errata runs as must be allowed to read the quota of the whole subscription: az role "
        f'assignment create --assignee WHO --role "Cognitive Services Usages Reader" --scope {SCOPE}'
    )


def test_9_a_deployment_that_succeeded_and_is_not_ready_answers_once_a_minute_and_takes_harmless_words_for_harm(
    ground: Ground, tuned: Artefact
) -> None:
    cloud, backend, folder = ground.azure.cloud, ground.openai, ground.root / "endpoint-9"
    small = replace(tuned, service=Service(capacity=1))
    cloud.part(Engines).ready_after = 600.0
    for _ in range(3):
        assert backend.deploy(small, folder, "run-9") is None
    (made,) = [one for one in cloud.resources.values() if one["name"] == "run-9"]
    assert (made["properties"]["provisioningState"], made["sku"]["capacity"]) == ("Succeeded", 1)
    early = Endpoint(f"https://{ground.azure.names.account}.openai.azure.com/openai/v1", None, "run-9")
    assert said(lambda: backend.probe(early, HELLO), Unreached) == (
        "The deployment is made but does not answer yet, which may take 15 minutes: Errata asks again. See az "
        f"cognitiveservices account deployment show {ACCOUNT} --deployment-name DEPLOYMENT"
    )
    ground.clock.move(601)
    assert backend.deploy(small, folder, "run-9") == early
    cloud.part(Engines).ready_after, cloud.part(Limits).counted = 0.0, True
    assert "simulated" in backend.probe(early, HELLO)
    ground.clock.move(20)
    asked = len(ground.azure.requests)
    with pytest.raises(Unreached) as busy:
        backend.probe(early, HELLO)
    cloud.part(Limits).counted = False
    assert str(busy.value) == (
        "Azure takes no more requests this minute, of which a deployment with a capacity of 1 takes about one: Errata "
        "asks again. Look at the quota with az cognitiveservices usage list --location eastus2 --subscription "
        f"{ground.azure.names.subscription} --output table"
    )
    assert (busy.value.wait_seconds, len(ground.azure.requests) - asked) == (40, 1)  # it is not asked in vain
    assert said(lambda: backend.probe(early, HARMFUL)) == (
        "Azure's content filter held this exchange back, as it also does by mistake, often over personal data: look at "
        "the row. Of a model that foundry tuned an owner may switch it off: errata foundry filter RUN off --reason TEXT"
    )
    assert any(backend.undeploy(folder, "run-9") for _ in range(3))


def test_10_a_chain_of_credentials_that_finds_none(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    began = time.monotonic()
    job = ground.job(PHI)
    assert said(lambda: ground.managed.destination(job)) == (
        "Errata finds no credential for Azure on this machine: run az login; in a container set AZURE_TENANT_ID, "
        "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give it a managed identity, and set AZURE_TOKEN_CREDENTIALS=prod."
    )
    assert time.monotonic() - began < 5
    assert ground.azure.requests == []


def test_who_is_told_to_stay_away_for_an_hour_stays_away_and_nobody_sleeps_meanwhile(ground: Ground) -> None:
    clock = [0.0]
    backend = ManagedBackend(ground.place, looks=Looks(lambda: clock[0]), now=ground.clock)
    ground.azure.toys.fates.append(Fate("Slow", seconds=10**6))
    job = ground.job(PHI)
    backend.submit(job)
    ground.azure.fail_next("GET .*/jobs/", 429, retry_after=3600)
    ground.azure.forget_requests()
    began = time.monotonic()
    for clock[0] in (10.0, 100.0, 1000.0, 3600.0):
        assert backend.poll(job).status is JobStatus.QUEUED
    assert time.monotonic() - began < 5
    assert [one.status for one in ground.azure.requests] == [429]
    clock[0] = 3611.0
    backend.poll(job)
    assert [one.status for one in ground.azure.requests] == [429, 200]
    backend.cancel(job)


def test_a_judge_that_wants_to_be_left_alone_for_an_hour_holds_nobody_up(ground: Ground, tmp_path: Path) -> None:
    watch = safety_screen.watch(replace(ground.place, geography=None), tmp_path)
    assert watch is not None
    ground.azure.fail_next("POST .*/contentsafety/text:analyze", 429, times=-1, retry_after=3600)
    began = time.monotonic()
    (finding,) = watch.of_one([], "We deliver on Fridays.")
    assert time.monotonic() - began < 5
    assert finding.message == "It was not rated for harm: Azure AI Content Safety gave no rating (status 429)."
    assert len(ground.azure.requests) == 1
