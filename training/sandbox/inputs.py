"""Where the files lie that a job names: assets, datastore paths and blob addresses, followed to the sandbox's folder.

Owns the ways in which Azure ML writes an address. Refuses one that leads nowhere, as the service does.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from training.sandbox.cloud import Cloud
from training.sandbox.wire import Refusal

_STORED = re.compile(r"azureml://(?:.*/)?datastores/(?P<datastore>[^/]+)/paths/(?P<path>.+)", re.IGNORECASE)
_ASSET = re.compile(
    r"(?:azureml://|azureml:|)/?(?:.*/)?(?P<kind>data|models|codes)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"azureml:(?P<name>[^:/]+):(?P<version>[^:/]+)")
_ADDRESS = {"data": "dataUri", "models": "modelUri", "codes": "codeUri"}


def locate(cloud: Cloud, workspace: dict[str, Any], uri: str) -> Path:
    """The file or folder that an address of a workspace leads to; it need not exist.

    Raises:
        Refusal: 400, nothing is known at the address.
    """
    if (short := _SHORT.fullmatch(uri)) is not None:
        uri = f"{workspace['id']}/data/{short['name']}/versions/{short['version']}"
    if (stored := _STORED.fullmatch(uri)) is not None:
        datastore = cloud.resources.get(f"{workspace['id']}/datastores/{stored['datastore']}".lower())
        if datastore is None:
            raise _nowhere(uri)
        return _within(cloud, datastore["properties"]["containerName"], stored["path"])
    if uri.startswith("https://"):
        container, _, path = urlsplit(uri).path.lstrip("/").partition("/")
        return _within(cloud, container, path)
    asset = _ASSET.fullmatch(uri)
    if asset is None:
        raise _nowhere(uri)
    kind = asset["kind"].lower()
    held = cloud.resources.get(f"{workspace['id']}/{kind}/{asset['name']}/versions/{asset['version']}".lower())
    if held is None or not held["properties"].get(_ADDRESS[kind]):
        raise _nowhere(uri)
    return locate(cloud, workspace, held["properties"][_ADDRESS[kind]])


def read(cloud: Cloud, workspace: dict[str, Any], uri: str) -> bytes:
    """What a file holds.

    Raises:
        Refusal: 400, there is none.
    """
    path = locate(cloud, workspace, uri)
    if not path.is_file():
        raise _nowhere(uri)
    return path.read_bytes()


def stored(workspace: dict[str, Any], datastore: str, path: str) -> str:
    """The address of a path in a datastore, in the long form."""
    place = re.sub(r"/providers/[^/]+", "", workspace["id"]).lstrip("/")
    return f"azureml://{place}/datastores/{datastore}/paths/{path}"


def _within(cloud: Cloud, container: str, path: str) -> Path:
    root = cloud.blobs / cloud.names.storage
    found = (root / container / unquote(path)).resolve()
    if not found.is_relative_to(root.resolve()):
        raise _nowhere(path)
    return found


def _nowhere(uri: str) -> Refusal:
    return Refusal(400, "UserError", f"The input {uri} could not be found or is not accessible.")
