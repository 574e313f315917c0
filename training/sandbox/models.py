"""The models of a workspace: registered by a job or by hand, listed, archived and restored.

Refuses to delete one: Azure ML archives (the SDK has no delete), and what is archived can be restored.
"""

from __future__ import annotations

from typing import Any

from training.sandbox.assets import keep_version, list_children, put_container, read
from training.sandbox.cloud import ARM, Cloud
from training.sandbox.wire import Refusal, Request, Response, Route
from training.sandbox.workspaces import WORKSPACE

_MODEL = f"{WORKSPACE}/models/{{name}}"
_VERSION = f"{_MODEL}/versions/{{version}}"


def register(cloud: Cloud, workspace: dict[str, Any], name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """Register the next version of a model; its ARM body."""
    home = f"{workspace['id']}/models/{name}"
    held = cloud.resources.get(home.lower(), {"properties": {"isArchived": False, "tags": {}, "nextVersion": "1"}})
    version = held["properties"]["nextVersion"]
    known = {"latestVersion": version, "nextVersion": str(int(version) + 1)}
    cloud.put(home, {"properties": held["properties"] | known})
    own = {"isArchived": False, "isAnonymous": False, "tags": {}, "flavors": {}, "provisioningState": "Succeeded"}
    return cloud.put(f"{home}/versions/{version}", {"properties": own | properties})


def _put_version(request: Request) -> Response:
    status = keep_version(request, "models").status
    held = request.cloud.get(request.path)
    held["properties"] = {"flavors": {}, "modelType": "custom_model"} | held["properties"]
    return Response.of(held, status)


def _versions(request: Request) -> Response:
    """Newest first: what the label ``latest`` is found by."""
    newest_first = request.query.get("$orderBy", "").lower().startswith("createdtime desc")
    if not newest_first:
        return list_children(request)
    rows = request.cloud.under(request.path.rpartition("/")[0], "versions")[::-1]
    return Response.of({"value": rows[: int(request.query.get("$top", len(rows) or 1))]})


def _delete(_request: Request) -> Response:
    raise Refusal(405, "MethodNotAllowed", "A registered model is archived, not deleted.")


ROUTES = (
    Route("GET", ARM, f"{WORKSPACE}/models", list_children),
    Route("GET", ARM, _MODEL, read),
    Route("PUT", ARM, _MODEL, put_container),
    Route("DELETE", ARM, _MODEL, _delete),
    Route("GET", ARM, f"{_MODEL}/versions", _versions),
    Route("GET", ARM, _VERSION, read),
    Route("PUT", ARM, _VERSION, _put_version),
    Route("DELETE", ARM, _VERSION, _delete),
)
