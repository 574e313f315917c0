"""The Azure-shaped sandbox, asked by Microsoft's own SDKs: unchanged, with real credentials, by environment alone.

What the SDKs send is held against Microsoft's description of the API by the sandbox itself (``described``).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from builders import NOON
from chat_endpoint import ChatEndpoint, serving

from training.sandbox import described
from training.sandbox.azure import AzureSandbox
from training.sandbox.cloud import Pace
from training.sandbox.names import SAFETY_KEY
from training.sandbox.signing import STORAGE_KEY

# azure-ai-ml declares its schemas in the way of marshmallow 3.
pytestmark = pytest.mark.filterwarnings("ignore::marshmallow.warnings.Marshmallow4Warning")

VERSION = {"api-version": "2024-10-01-preview"}
DIALOGUES = '\ufeff{"messages": [{"role": "user", "content": "Is it in stock?"}]}\n' * 12


class Watch:
    """A clock that stands until it is put forward."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Caller:
    """Somebody without an SDK who signs in by hand."""

    def __init__(self, sandbox: AzureSandbox) -> None:
        surroundings = sandbox.environ()
        context = ssl.create_default_context(cafile=surroundings["SSL_CERT_FILE"])
        self._client = httpx.Client(proxy=surroundings["HTTPS_PROXY"], verify=context, trust_env=False)
        self.names = sandbox.names
        self.token = self.sign_in().json()["access_token"]

    def sign_in(self, secret: str | None = None) -> httpx.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.names.client,
            "client_secret": secret or self.names.secret,
            "scope": "https://management.azure.com/.default",
        }
        return self._client.post(f"https://login.microsoftonline.com/{self.names.tenant}/oauth2/v2.0/token", data=form)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        signed = {"Authorization": f"Bearer {self.token}"} | {name.replace("_", "-"): v for name, v in headers.items()}
        address = f"https://management.azure.com{path}"
        return self._client.request(method, address, params=VERSION, json=body, headers=signed)

    def get(self, address: str) -> httpx.Response:
        return self._client.get(address, headers={"Authorization": f"Bearer {self.token}"})

    def close(self) -> None:
        self._client.close()


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with AzureSandbox(tmp_path_factory.mktemp("azure")) as sandbox, pytest.MonkeyPatch.context() as patch:
        for name, value in sandbox.environ().items():
            patch.setenv(name, value)
        yield sandbox


@pytest.fixture(scope="module")
def client(azure: AzureSandbox) -> Iterator[Any]:
    """The real MLClient of the project, with the real chain of credentials."""
    from azure.ai.ml import MLClient  # noqa: PLC0415 (seconds of imports, only for these tests)
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415

    names = azure.names
    with DefaultAzureCredential() as credential:
        yield MLClient(
            credential,
            names.subscription,
            names.group,
            names.project,
            show_progress=False,
            enable_telemetry=False,
        )


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def slow_azure(tmp_path: Path, watch: Watch) -> Iterator[AzureSandbox]:
    """Operations take a minute there, by a clock that a test puts forward."""
    with AzureSandbox(tmp_path / "azure", clock=watch, pace=Pace(operation_seconds=60)) as sandbox:
        yield sandbox


@pytest.fixture
def caller(slow_azure: AzureSandbox) -> Iterator[Caller]:
    somebody = Caller(slow_azure)
    yield somebody
    somebody.close()


def credential_chain() -> Any:
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415 (as above)

    return DefaultAzureCredential()


def dialogues(folder: Path, words: str = DIALOGUES) -> Path:
    path = folder / "train.jsonl"
    path.write_text(words, encoding="utf-8")
    return path


def asset(path: Path, name: str) -> Any:
    from azure.ai.ml.entities import Data  # noqa: PLC0415 (as above)

    return Data(name=name, version="1", path=str(path), type="uri_file")


def test_the_real_client_finds_its_project(azure: AzureSandbox, client: Any) -> None:
    project = client.workspaces.get(azure.names.project)

    assert (project.location, project._kind) == ("eastus2", "project")
    assert project._hub_id == azure.names.workspace_id(azure.names.hub)
    assert {seen.host for seen in azure.requests} == {"login.microsoftonline.com", "management.azure.com"}


def test_a_data_asset_is_stored_byte_for_byte_and_only_once(azure: AzureSandbox, client: Any, tmp_path: Path) -> None:
    path = dialogues(tmp_path)
    azure.forget_requests()

    first = client.data.create_or_update(asset(path, "errata-once"))
    again = client.data.create_or_update(asset(path, "errata-once"))

    stored = [found for found in azure.cloud.blobs.rglob("train.jsonl") if found.read_bytes() == path.read_bytes()]
    puts = [seen for seen in azure.requests if seen.method == "PUT" and ".blob." in seen.host]
    uploads = [seen for seen in puts if not seen.query.get("comp")]
    assert len(stored) == len(uploads) == 1
    assert first.path == again.path == client.data.get("errata-once", "1").path
    assert stored[0].as_posix().endswith(first.path.partition("/paths/")[2])


def test_what_the_client_sends_fits_microsofts_description(azure: AzureSandbox, client: Any, tmp_path: Path) -> None:
    azure.forget_requests()

    client.data.create_or_update(asset(dialogues(tmp_path, "{}\n"), "errata-described"))

    sent = [(seen, body) for seen in azure.requests if (body := described.found(seen.method, seen.host, seen.path))]
    assert [seen.path.rpartition("/workspaces/")[2] for seen, _ in sent] == [
        f"{azure.names.project}/data/errata-described/versions/1"
    ]
    assert [body.wrong(seen.body) for seen, body in sent] == [[]]


def test_a_misspelt_body_is_refused_and_nothing_is_made_of_it(caller: Caller) -> None:
    path = caller.names.workspace_id(caller.names.project) + "/data/d/versions/1"

    kind = caller.ask("PUT", path, {"properties": {"dataType": "uri_files", "dataUri": "x"}})
    rest = caller.ask("PUT", path, {"properties": {"dataType": "uri_file", "dataUri": 7, "tag": "of a customer"}})

    assert (kind.status_code, kind.json()["error"]["message"]) == (
        400,
        "DataVersionBaseResource: $.properties.dataType: it does not keep to enum ['uri_file', 'uri_folder']",
    )
    assert rest.json()["error"]["message"] == (
        "DataVersionBaseResource: $.properties.dataUri: it does not keep to type string; $.properties: Additional "
        "properties are not allowed ('tag' was unexpected)"
    )
    assert caller.ask("GET", path).status_code == 404


def test_a_changed_data_asset_is_refused(client: Any, tmp_path: Path) -> None:
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 (as above)

    client.data.create_or_update(asset(dialogues(tmp_path, "1\n"), "errata-fixed"))

    with pytest.raises(HttpResponseError, match="already exists") as refused:
        client.data.create_or_update(asset(dialogues(tmp_path, "2\n"), "errata-fixed"))
    assert refused.value.status_code == 409


def test_the_registry_is_listed_page_by_page_with_what_a_catalogue_needs(azure: AzureSandbox, client: Any) -> None:
    from azure.ai.ml import MLClient  # noqa: PLC0415 (as above)

    azure.forget_requests()
    registry = MLClient(client._credential, registry_name="azureml", show_progress=False)

    names = [model.name for model in registry.models.list()]
    retired = registry.models.get("Phi-3-mini-4k-instruct", label="latest")
    standing = registry.models.get("Phi-4-mini-instruct", label="latest")

    assert {"Phi-3-mini-4k-instruct", "Phi-4", "Phi-4-mini-instruct"} <= set(names)
    assert "Phi-3-small-8k-instruct" not in names  # archived
    assert len(names) > 5  # more than a page
    assert retired.tags["FinetuneRetirementDate"] == "2025-08-30"
    assert (retired.tags["textContextWindow"], retired.properties["finetuning-tasks"]) == ("4096", "chat-completion")
    assert "FinetuneRetirementDate" not in standing.tags
    assert "eastus2" in standing.tags["maas-finetuning-deploy-regions"]


def test_the_real_client_makes_hub_and_project_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.ai.ml import MLClient  # noqa: PLC0415 (as above)
    from azure.ai.ml.constants._common import LROConfigurations  # noqa: PLC0415
    from azure.ai.ml.entities import Hub, Project  # noqa: PLC0415

    monkeypatch.setattr(LROConfigurations, "SLEEP_TIME", 0.01)  # the SDK's own, of five seconds
    with AzureSandbox(tmp_path / "fresh", empty=True) as fresh:
        for name, value in fresh.environ().items():
            monkeypatch.setenv(name, value)
        fresh.cloud.put(fresh.names.group_id, {"location": "eastus2", "properties": {}})
        with credential_chain() as credential:
            own = MLClient(credential, fresh.names.subscription, fresh.names.group, show_progress=False)
            hub = own.workspaces.begin_create(Hub(name="h", location="eastus2")).result()
            for _ in range(2):
                own.workspaces.begin_create(Project(name="p", location="eastus2", hub_id=hub.id)).result()
        made = [row for row in fresh.cloud.resources.values() if row["type"].endswith("/workspaces")]

    assert [(row["name"], row["kind"]) for row in made] == [("h", "Hub"), ("p", "Project")]
    assert made[1]["properties"]["hubResourceId"] == made[0]["id"]
    assert made[1]["properties"]["storageAccount"] == made[0]["properties"]["storageAccount"]


def test_a_refused_login_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415 (as above)

    with AzureSandbox(tmp_path / "shut") as shut:
        for name, value in shut.environ().items():
            monkeypatch.setenv(name, value)
        shut.refuse_login()
        with credential_chain() as credential, pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            credential.get_token("https://management.azure.com/.default")


def test_no_secret_is_kept_in_the_record(azure: AzureSandbox, client: Any, tmp_path: Path) -> None:
    client.data.create_or_update(asset(dialogues(tmp_path, "secret\n"), "errata-secrets"))

    said = repr(azure.requests)
    tokens = list(azure.cloud._tokens)

    assert tokens
    for secret in (azure.names.secret, STORAGE_KEY, SAFETY_KEY, *tokens):
        assert secret not in said
    assert {seen.query["sig"] for seen in azure.requests if "sig" in seen.query} == {"hidden"}


def test_storage_takes_its_own_key_alone(azure: AzureSandbox) -> None:
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 (as above)
    from azure.storage.blob import BlobServiceClient  # noqa: PLC0415

    address = f"https://{azure.names.storage}.blob.core.windows.net"
    account = azure.cloud.get(azure.names.id_of("Microsoft.Storage", "storageAccounts", azure.names.storage))
    long = bytes(range(256)) * 40
    with BlobServiceClient(address, STORAGE_KEY, max_block_size=4096, max_single_put_size=4096) as storage:
        box = storage.create_container("box")
        box.upload_blob("a/long name.bin", long, metadata={"of": "errata"})
        box.upload_blob("a/empty", b"")
        blob = box.get_blob_client("a/long name.bin")

        assert blob.download_blob(offset=100, length=9).readall() == long[100:109]
        assert blob.download_blob().readall() == long
        assert blob.get_blob_properties().metadata == {"of": "errata"}
        assert [found.name for found in box.list_blobs(name_starts_with="a/l")] == ["a/long name.bin"]

        account["properties"]["allowSharedKeyAccess"] = False
        with pytest.raises(HttpResponseError) as refused:
            blob.get_blob_properties()
        account["properties"]["allowSharedKeyAccess"] = True
    assert refused.value.error_code == "KeyBasedAuthenticationNotPermitted"

    wrong = STORAGE_KEY.replace("a", "b")
    with BlobServiceClient(address, wrong, retry_total=0) as other, pytest.raises(HttpResponseError) as unknown:
        other.get_container_client("box").get_container_properties()
    assert unknown.value.error_code == "AuthenticationFailed"


def test_a_token_that_ran_out_is_refused(caller: Caller, watch: Watch) -> None:
    path = f"/subscriptions/{caller.names.subscription}"

    good = caller.ask("GET", path).status_code
    watch.forward(3601)
    late = caller.ask("GET", path)

    assert good == 200
    assert (late.status_code, late.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
    assert late.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_wrong_secret_gets_no_token(caller: Caller) -> None:
    answer = caller.sign_in("guessed")

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_an_unknown_host_is_told_so_and_recorded(slow_azure: AzureSandbox, caller: Caller) -> None:
    answer = caller.get("https://telemetry.example.com/track")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")
    assert str(slow_azure.requests[-1]) == "GET telemetry.example.com/track 404"


def test_what_takes_time_takes_it_by_the_clock(caller: Caller, watch: Watch) -> None:
    path = caller.names.workspace_id("slow")
    begun = caller.ask("PUT", path, {"location": "eastus2", "kind": "Hub", "properties": {}})
    operation = begun.headers["Azure-AsyncOperation"]

    before = [caller.get(operation).json()["status"], caller.ask("GET", path).status_code]
    pending = caller.get(begun.headers["Location"]).status_code
    watch.forward(60)
    after = [caller.get(operation).json()["status"], caller.ask("GET", path).status_code]

    assert (begun.status_code, begun.json()["properties"]["provisioningState"]) == (201, "Creating")
    assert (before, pending) == (["InProgress", 404], 202)
    assert after == ["Succeeded", 200]
    assert caller.get(begun.headers["Location"]).json()["name"] == "slow"


def test_a_resource_that_changed_in_between_is_not_overwritten(caller: Caller) -> None:
    path = caller.names.workspace_id(caller.names.project)
    read = caller.ask("GET", path).headers["ETag"]

    first = caller.ask("PATCH", path, {"tags": {"by": "one"}}, If_Match=read)
    second = caller.ask("PATCH", path, {"tags": {"by": "two"}}, If_Match=read)

    assert (first.status_code, second.status_code) == (200, 412)
    assert caller.ask("GET", path).json()["tags"] == {"by": "one"}


@pytest.mark.parametrize(
    ("how", "carried_out"), [("drop", True), ("close", False)], ids=["answer-lost", "request-lost"]
)
def test_a_connection_that_breaks(slow_azure: AzureSandbox, caller: Caller, how: Any, carried_out: bool) -> None:
    path = f"/subscriptions/{caller.names.subscription}/resourcegroups/other"
    slow_azure.fail_next("PUT .*/other", how)

    with pytest.raises(httpx.RemoteProtocolError):
        caller.ask("PUT", path, {"location": "eastus2"})

    assert (caller.ask("GET", path).status_code == 200) is carried_out
    assert caller.ask("PUT", path, {"location": "eastus2"}).status_code == (200 if carried_out else 201)


def test_trouble_hits_what_it_was_meant_for_as_often_as_asked(slow_azure: AzureSandbox, caller: Caller) -> None:
    path = f"/subscriptions/{caller.names.subscription}"
    slow_azure.fail_next("GET .*/locations$", 403, times=2, skip=1, code="AuthorizationFailed")
    slow_azure.fail_next(f"GET management.azure.com{path}$", 429, retry_after=7)

    seen = [caller.ask("GET", f"{path}/locations").status_code for _ in range(4)]
    busy = caller.ask("GET", path)

    assert seen == [200, 403, 403, 200]
    assert (busy.status_code, busy.headers["Retry-After"]) == (429, "7")
    assert caller.ask("GET", path).status_code == 200


def test_a_prerequisite_can_be_broken_alone(slow_azure: AzureSandbox, caller: Caller) -> None:
    network = f"/subscriptions/{caller.names.subscription}/providers/Microsoft.Network"
    slow_azure.standing.providers["Microsoft.Network"] = "NotRegistered"

    broken = caller.ask("GET", network).json()["registrationState"]
    caller.ask("POST", f"{network}/register")

    assert (broken, caller.ask("GET", network).json()["registrationState"]) == ("NotRegistered", "Registered")


def test_the_proxy_passes_on_to_this_machine_alone(slow_azure: AzureSandbox) -> None:
    proxy = slow_azure.environ()["HTTPS_PROXY"]
    with serving(ChatEndpoint()) as url, httpx.Client(proxy=proxy, trust_env=False) as client:
        question = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}], "stream": True}
        here = client.post(f"{url}/chat/completions", json=question)
        away = client.get("http://169.254.169.254/metadata/instance")
        tunnelled = through_a_tunnel(proxy, url)

    assert (here.status_code, "months" in here.text) == (200, True)
    assert (away.status_code, away.text) == (403, "This proxy passes nothing on but to this machine.\n")
    assert tunnelled.startswith(b"HTTP/1.")


def through_a_tunnel(proxy: str, url: str) -> bytes:
    """The first bytes that a server of this machine answers behind a CONNECT."""
    near, far = urlsplit(proxy), urlsplit(url)
    with socket.create_connection((near.hostname, near.port)) as line:
        line.sendall(f"CONNECT {far.netloc} HTTP/1.1\r\n\r\n".encode())
        assert b" 200 " in line.recv(100)
        line.sendall(f"GET /nothing HTTP/1.1\r\nHost: {far.netloc}\r\n\r\n".encode())
        return line.recv(100)


def test_nothing_is_left_when_it_ends(tmp_path: Path) -> None:
    closed: list[str] = []
    with AzureSandbox(tmp_path, clock=lambda: datetime.now(UTC)) as sandbox:
        sandbox.cloud.closing.append(lambda: closed.append("services"))
        somebody = Caller(sandbox)
        address = sandbox.environ()["HTTPS_PROXY"]

    with pytest.raises(httpx.HTTPError):
        somebody.ask("GET", "/subscriptions")
    somebody.close()

    assert closed == ["services"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(address, trust_env=False)
