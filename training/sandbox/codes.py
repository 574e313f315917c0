"""Code assets of a workspace: an upload address for each version, and what was uploaded under which hash.

Owns only that; what is stored lies with every other blob.
"""

from __future__ import annotations

import hashlib

from training.sandbox.assets import keep_version, list_children, put_container, read
from training.sandbox.cloud import ARM
from training.sandbox.signing import account_sas
from training.sandbox.wire import Request, Response, Route
from training.sandbox.workspaces import WORKSPACE, workspace_of

_CODE = f"{WORKSPACE}/codes/{{name}}"
_VERSION = f"{_CODE}/versions/{{version}}"


def _start_upload(request: Request) -> Response:
    """A container of the version's own, with a token for it."""
    workspace_of(request)
    cloud, storage = request.cloud, request.cloud.names.storage
    asset = request.path.rpartition("/")[0]
    container = f"snapshots-{hashlib.sha256(asset.lower().encode()).hexdigest()[:24]}"
    address = f"https://{storage}.blob.core.windows.net/{container}"
    (cloud.blobs / storage / container).mkdir(parents=True, exist_ok=True)
    token = account_sas(storage, cloud.clock())
    return Response.of(
        {
            "pendingUploadId": container,
            "pendingUploadType": "TemporaryBlobReference",
            "blobReferenceForConsumption": {
                "blobUri": address,
                "storageAccountArmId": cloud.names.id_of("Microsoft.Storage", "storageAccounts", storage),
                "credential": {"credentialType": "SAS", "sasUri": f"{address}?{token}"},
            },
        }
    )


def _versions(request: Request) -> Response:
    """The versions of a code; by hash, of any code: the SDK makes up a name for each upload."""
    wanted = request.query.get("hash")
    if wanted is None:
        return list_children(request)
    home = f"{workspace_of(request)['id']}/codes/".lower()
    rows = [row for key, row in request.cloud.resources.items() if key.startswith(home) and "/versions/" in key]
    same = [row for row in rows if wanted in (row["properties"].get("properties") or {}).values()]
    return Response.of({"value": same})


def _put(request: Request) -> Response:
    return keep_version(request, "codes")


ROUTES = (
    Route("GET", ARM, _CODE, read),
    Route("PUT", ARM, _CODE, put_container),
    Route("GET", ARM, f"{_CODE}/versions", _versions),
    Route("GET", ARM, _VERSION, read),
    Route("PUT", ARM, _VERSION, _put),
    Route("POST", ARM, f"{_VERSION}/startPendingUpload", _start_upload),
)
