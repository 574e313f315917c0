"""Uploads against Microsoft's own stand-in for its storage: npm's ``azurite`` behind the Azure-shaped sandbox.

It checks signatures as Azure Storage does. ``make test-azure`` asks for it; without npm or its registry it is skipped.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from from_npm import installed

from training.sandbox.azure import AzureSandbox
from training.sandbox.names import Names
from training.sandbox.signing import STORAGE_KEY

AZURITE = "azurite@3"
INSTALL_SECONDS, START_SECONDS = 120, 30

pytestmark = [
    pytest.mark.filterwarnings("ignore::marshmallow.warnings.Marshmallow4Warning"),
    pytest.mark.skipif(not os.environ.get("ERRATA_TEST_AZURITE"), reason="make test-azure runs these"),
]


@dataclass(frozen=True)
class Azurite:
    """One that runs, and the folder that it keeps everything in."""

    address: str
    folder: Path


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    program = installed(AZURITE, within_seconds=INSTALL_SECONDS) / ".bin" / "azurite-blob"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = tmp_path_factory.mktemp("azurite")
    command = [str(program), "--disableTelemetry", "--skipApiVersionCheck", "--silent"]
    command += ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(place)]
    surroundings = os.environ | {"AZURITE_ACCOUNTS": f"{Names().storage}:{STORAGE_KEY}"}
    with subprocess.Popen(command, env=surroundings, cwd=place) as process:  # noqa: S603
        try:
            wait_for(port)
            yield Azurite(f"http://127.0.0.1:{port}", place)
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False)
            return
        time.sleep(0.05)
    pytest.fail("Azurite does not answer")


def test_a_data_asset_reaches_real_storage(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from azure.ai.ml import MLClient  # noqa: PLC0415 (seconds of imports, only for these tests)
    from azure.ai.ml.entities import Data  # noqa: PLC0415
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415
    from azure.storage.blob import BlobServiceClient  # noqa: PLC0415

    path = tmp_path / "train.jsonl"
    path.write_text('\ufeff{"messages": []}\n' * 12, encoding="utf-8")
    with AzureSandbox(tmp_path / "azure", blobs=azurite.address) as azure:
        for name, value in azure.environ().items():
            monkeypatch.setenv(name, value)
        names, address = azure.names, f"https://{azure.names.storage}.blob.core.windows.net"
        with DefaultAzureCredential() as credential:
            client = MLClient(credential, names.subscription, names.group, names.project, show_progress=False)
            made = client.data.create_or_update(Data(name="d", version="1", path=str(path), type="uri_file"))
            box, name = client.datastores.get_default().container_name, made.path.partition("/paths/")[2]
            # Keys and tokens are signed another way than the SAS that the upload came with.
            with BlobServiceClient(address, credential) as storage:
                by_token = storage.get_blob_client(box, name).download_blob().readall()
        with BlobServiceClient(address, STORAGE_KEY) as storage:
            blob = storage.get_blob_client(box, name)
            by_key, metadata = blob.download_blob().readall(), blob.get_blob_properties().metadata

    assert by_token == by_key == path.read_bytes()
    assert metadata["upload_status"] == "completed"
    assert any(path.read_bytes() in found.read_bytes() for found in azurite.folder.rglob("*") if found.is_file())
