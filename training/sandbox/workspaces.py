"""Hubs and projects: Azure ML workspaces, made by a PUT or by the template that azure-ai-ml deploys.

Owns what a workspace says of itself and its default datastore. A template is not computed: its parameters are read,
and the workspace, its storage account and its key vault are made.
"""

from __future__ import annotations

import uuid
from typing import Any

from training.sandbox.azurite import OWN_CONTAINER
from training.sandbox.cloud import ARM, Cloud, stamp
from training.sandbox.subscription import make_storage
from training.sandbox.wire import Refusal, Request, Response, Route

PROVIDER = "Microsoft.MachineLearningServices"
GROUP = "/subscriptions/{subscription}/resourceGroups/{group}"
WORKSPACE = f"{GROUP}/providers/{PROVIDER}/workspaces/{{workspace}}"
DATASTORE = "workspaceblobstore"

_DEPLOYMENT = f"{GROUP}/providers/Microsoft.Resources/deployments/{{deployment}}"


def furnish(cloud: Cloud, *, empty: bool) -> None:
    """Make the hub and its project."""
    if empty:
        return
    names = cloud.names
    hub = _make(cloud, names.hub, {"kind": "Hub", "location": names.region, "properties": {}})
    _make(
        cloud, names.project, {"kind": "Project", "location": names.region, "properties": {"hubResourceId": hub["id"]}}
    )


def workspace_of(request: Request) -> dict[str, Any]:
    """The workspace in the request's path.

    Raises:
        Refusal: 404.
    """
    return request.cloud.get(request.path[: _end(request.path)])


def _end(path: str) -> int:
    start = path.lower().index("/workspaces/") + len("/workspaces/")
    after = path.find("/", start)
    return len(path) if after < 0 else after


def _make(cloud: Cloud, name: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Make a workspace of what was asked for, and what comes with it."""
    names = cloud.names
    resource = names.workspace_id(name)
    given = asked.get("properties") or {}
    hub = given.get("hubResourceId")
    if hub is not None:
        above = cloud.get(hub)["properties"]
        storage, vault = above["storageAccount"], above["keyVault"]
    else:
        storage = given.get("storageAccount") or make_storage(cloud, names.storage, asked["location"])
        vault = given.get("keyVault") or names.id_of("Microsoft.KeyVault", "vaults", f"{name}-vault")
    region = asked["location"]
    host = f"https://{region}.api.azureml.ms"
    own = {
        "friendlyName": name,
        "publicNetworkAccess": "Enabled",
        "systemDatastoresAuthMode": "accesskey",
        "hbiWorkspace": False,
        "v1LegacyMode": False,
    }
    made = {
        "storageAccount": storage,
        "keyVault": vault,
        "workspaceId": str(uuid.uuid5(uuid.NAMESPACE_URL, resource.lower())),
        "provisioningState": "Succeeded",
        "discoveryUrl": f"{host}/discovery",
        "mlFlowTrackingUri": f"azureml://{region}.api.azureml.ms/mlflow/v1.0{resource}",
        "creationTime": stamp(cloud.clock()),
        "tenantId": names.tenant,
    }
    body = {
        "location": region,
        "kind": asked.get("kind") or "Default",
        "tags": asked.get("tags") or {},
        "identity": {"type": "SystemAssigned", "principalId": names.principal, "tenantId": names.tenant},
        "sku": {"name": "Basic", "tier": "Basic"},
        "properties": own | {key: value for key, value in given.items() if value is not None} | made,
    }
    held = cloud.put(resource, body)
    _make_datastore(cloud, held)
    return held


def _make_datastore(cloud: Cloud, workspace: dict[str, Any]) -> None:
    project = workspace["properties"]["workspaceId"]
    properties = {
        "datastoreType": "AzureBlob",
        "accountName": workspace["properties"]["storageAccount"].rpartition("/")[2],
        "containerName": f"{project}{OWN_CONTAINER}",
        "endpoint": "core.windows.net",
        "protocol": "https",
        "isDefault": True,
        "serviceDataAccessAuthIdentity": "None",
        "credentials": {"credentialsType": "AccountKey"},
        "tags": {},
        "properties": {},
    }
    cloud.put(f"{workspace['id']}/datastores/{DATASTORE}", {"properties": properties})


def _put(request: Request) -> Response:
    cloud, body = request.cloud, request.json()
    cloud.get(cloud.names.group_id)
    cloud.check_etag(request, request.path)
    known = request.path.lower() in cloud.resources
    if not known and "location" not in body:
        raise Refusal(400, "LocationRequired", "The location property is required for this definition.")
    if known:
        return Response.of(_changed(cloud, request.path, body))
    name = request.values["workspace"]
    coming = {"id": request.path, "name": name, "properties": {"provisioningState": "Creating"}}
    return cloud.accept(request, lambda: _make(cloud, name, body), content=body | coming, status=201)


def _changed(cloud: Cloud, resource: str, body: dict[str, Any]) -> dict[str, Any]:
    held = cloud.get(resource)
    given = {key: value for key, value in (body.get("properties") or {}).items() if value is not None}
    tags = held["tags"] | (body.get("tags") or {})
    return cloud.put(held["id"], held | {"properties": held["properties"] | given, "tags": tags})


def _patch(request: Request) -> Response:
    request.cloud.check_etag(request, request.path)
    return Response.of(_changed(request.cloud, request.path, request.json()))


def _get(request: Request) -> Response:
    held = request.cloud.get(request.path)
    return Response.of(held, ETag=request.cloud.etags[held["id"].lower()])


def _delete(request: Request) -> Response:
    cloud, resource = request.cloud, request.path
    if resource.lower() not in cloud.resources:
        return Response(204)
    hubs = [row["properties"].get("hubResourceId", "").lower() for row in _all(cloud)]
    if resource.lower() in hubs:
        raise Refusal(409, "Conflict", "The hub still has projects.")

    def finish() -> None:
        cloud.delete(resource)

    return cloud.accept(request, finish)


def _all(cloud: Cloud) -> list[dict[str, Any]]:
    return [row for row in cloud.resources.values() if row["type"] == f"{PROVIDER}/workspaces"]


def _list(request: Request) -> Response:
    kinds = {kind.lower() for kind in request.query.get("kind", "").split(",") if kind}
    rows = [row for row in _all(request.cloud) if not kinds or row["kind"].lower() in kinds]
    return Response.of({"value": rows})


def _keys(request: Request) -> Response:
    workspace_of(request)
    return Response.of({"userStorageResourceId": "", "appInsightsInstrumentationKey": ""})


def _deploy(request: Request) -> Response:
    """A template deployment, such as azure-ai-ml sends for a workspace; one that makes none is refused."""
    cloud, properties = request.cloud, request.json().get("properties") or {}
    cloud.get(cloud.names.group_id)
    parameters = {name: row.get("value") for name, row in (properties.get("parameters") or {}).items()}
    name = parameters.get("workspaceName")
    if not name:
        raise Refusal(400, "InvalidTemplate", "The sandbox deploys no template but a workspace's.")
    began, resource = cloud.clock(), request.path
    kinds = {"hub": "Hub", "project": "Project"}
    asked = {
        "kind": kinds.get(str(parameters.get("kind")).lower(), "Default"),
        "location": parameters["location"],
        "tags": parameters.get("tagValues") or {},
        "properties": {
            "friendlyName": parameters.get("friendlyName"),
            "description": parameters.get("description"),
            "hubResourceId": parameters.get("workspace_hub") or None,
        },
    }

    def finish() -> dict[str, Any]:
        made = _make(cloud, name, asked)
        done = {"provisioningState": "Succeeded", "duration": "PT1S", "outputResources": [{"id": made["id"]}]}
        return cloud.put(resource, {"properties": done | {"mode": "Incremental"}}, "Microsoft.Resources/deployments")

    running = {"provisioningState": "Running", "timestamp": stamp(began), "mode": "Incremental"}
    held = cloud.put(resource, {"properties": running}, "Microsoft.Resources/deployments")
    return cloud.accept(request, finish, content=held, status=201)


def _steps(request: Request) -> Response:
    """What a deployment has made so far."""
    names = request.cloud.names
    deployment = request.cloud.get(names.id_of("Microsoft.Resources", "deployments", request.values["deployment"]))
    rows = []
    for made in deployment["properties"].get("outputResources", []):
        resource = request.cloud.get(made["id"])
        target = {"id": resource["id"], "resourceType": resource["type"], "resourceName": resource["name"]}
        properties = {
            "provisioningOperation": "Create",
            "provisioningState": "Succeeded",
            "duration": "PT1S",
            "targetResource": target,
        }
        rows.append({"id": request.path, "operationId": "1", "properties": properties})
    return Response.of({"value": rows})


ROUTES = (
    Route("GET", ARM, f"/subscriptions/{{subscription}}/providers/{PROVIDER}/workspaces", _list),
    Route("GET", ARM, f"{GROUP}/providers/{PROVIDER}/workspaces", _list),
    Route("GET", ARM, WORKSPACE, _get),
    Route("PUT", ARM, WORKSPACE, _put),
    Route("PATCH", ARM, WORKSPACE, _patch),
    Route("DELETE", ARM, WORKSPACE, _delete),
    Route("POST", ARM, f"{WORKSPACE}/listKeys", _keys),
    Route("PUT", ARM, _DEPLOYMENT, _deploy),
    Route("GET", ARM, f"{GROUP}/deployments/{{deployment}}/operations", _steps),
    Route("GET", ARM, _DEPLOYMENT, _get),
)
