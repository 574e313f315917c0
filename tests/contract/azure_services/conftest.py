"""A sandbox with Microsoft's and OpenAI's own clients; each module of tests has one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sdk_jobs import CHAT, TINY

from training.sandbox.azure import AzureSandbox


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
