"""What lies in a workspace: datastores, data assets and connections, with their secrets asked for separately.

Owns versions and their containers. A version says what it said when it was made: only tags, description and archive
state change afterwards.
"""

from __future__ import annotations

from typing import Any

from training.sandbox.cloud import ARM
from training.sandbox.signing import STORAGE_KEY, account_sas
from training.sandbox.wire import Refusal, Request, Response, Route
from training.sandbox.workspaces import WORKSPACE, workspace_of

_DATASTORE = f"{WORKSPACE}/datastores/{{name}}"
_CONNECTION = f"{WORKSPACE}/connections/{{name}}"
_MUTABLE = {"description", "tags", "properties", "isArchived", "stage", "autoDeleteSetting"}


def keep_version(request: Request, container: str) -> Response:
    """PUT a version of an asset, ``{container}/{name}/versions/{version}``; its container is made with the first one.

    Raises:
        Refusal: 404 for the workspace; 409 where a version would say something else than before.
    """
    cloud, body = request.cloud, request.json()
    workspace = workspace_of(request)
    if not isinstance(body.get("properties"), dict):
        raise Refusal(400, "InvalidRequestContent", "The property 'properties' is missing.")
    name, version = request.values["name"], request.values["version"]
    home = f"{workspace['id']}/{container}/{name}"
    resource = f"{home}/versions/{version}"
    held = cloud.resources.get(resource.lower())
    given = {key: value for key, value in body["properties"].items() if value is not None}
    if held is not None:
        kept = held["properties"]
        changed = [key for key, value in given.items() if key not in _MUTABLE and kept.get(key, value) != value]
        if changed:
            raise Refusal(409, "UserError", f"Asset {name}:{version} already exists: {changed[0]} can not be changed.")
        given = kept | given
    own = {"isArchived": False, "isAnonymous": False, "tags": {}, "properties": {}}
    state = {} if container == "data" else {"provisioningState": "Succeeded"}  # data are described without one
    made = cloud.put(resource, {"properties": own | state | given})
    keep_container(request, home, version)
    return Response.of(made, 200 if held else 201)


def keep_container(request: Request, home: str, version: str) -> None:
    """Make or change an asset's container so that it knows its newest version."""
    held = request.cloud.resources.get(home.lower(), {"properties": {"isArchived": False, "tags": {}}})
    following = str(int(version) + 1) if version.isdigit() else "1"
    known = held["properties"] | {"latestVersion": version, "nextVersion": following}
    request.cloud.put(home, {"properties": known})


def _put_data(request: Request) -> Response:
    return keep_version(request, "data")


def read(request: Request) -> Response:
    """GET a resource, archived or not."""
    held = request.cloud.get(request.path)
    return Response.of(held, ETag=request.cloud.etags[held["id"].lower()])


def list_children(request: Request) -> Response:
    """GET the containers or versions at the path, archived ones only where ``listViewType`` asks for them."""
    parent, _, kind = request.path.rstrip("/").rpartition("/")
    if kind.lower() != "versions":
        workspace_of(request)
    view = request.query.get("listViewType", "ActiveOnly")
    rows = [row for row in request.cloud.under(parent, kind) if _seen(row, view)]
    return Response.of({"value": rows[: int(request.query.get("$top", len(rows) or 1))]})


def _seen(row: dict[str, Any], view: str) -> bool:
    archived = bool(row["properties"].get("isArchived"))
    return view == "All" or archived == (view == "ArchivedOnly")


def put_container(request: Request) -> Response:
    """PUT a container: archives and restores all versions at once, and keeps its tags."""
    workspace_of(request)
    held = request.cloud.resources.get(request.path.lower(), {"properties": {}})
    given = {key: value for key, value in (request.json().get("properties") or {}).items() if value is not None}
    return Response.of(request.cloud.put(request.path, {"properties": held["properties"] | given}))


def _datastores(request: Request) -> Response:
    rows = request.cloud.under(workspace_of(request)["id"], "datastores")
    if request.query.get("isDefault") == "true":
        rows = [row for row in rows if row["properties"]["isDefault"]]
    return Response.of({"value": rows})


def _datastore_secrets(request: Request) -> Response:
    """The account's key, or a token that ends where the request says ``expirableSecret``."""
    account = request.cloud.get(request.path.rpartition("/")[0])["properties"]["accountName"]
    if request.json().get("expirableSecret"):
        return Response.of({"secretsType": "Sas", "sasToken": account_sas(account, request.cloud.clock())})
    return Response.of({"secretsType": "AccountKey", "key": STORAGE_KEY})


def _put_connection(request: Request) -> Response:
    workspace_of(request)
    return Response.of(request.cloud.put(request.path, request.json()))


def _connection(request: Request) -> Response:
    return Response.of(_without_credentials(request.cloud.get(request.path)))


def _connections(request: Request) -> Response:
    rows = request.cloud.under(workspace_of(request)["id"], "connections")
    return Response.of({"value": [_without_credentials(row) for row in rows]})


def _without_credentials(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"properties": row["properties"] | {"credentials": None}}


def _connection_secrets(request: Request) -> Response:
    return Response.of(request.cloud.get(request.path.rpartition("/")[0]))


def _forget(request: Request) -> Response:
    return Response(200 if request.cloud.delete(request.path) else 204)


ROUTES = (
    Route("GET", ARM, f"{WORKSPACE}/datastores", _datastores),
    Route("GET", ARM, _DATASTORE, read),
    Route("POST", ARM, f"{_DATASTORE}/listSecrets", _datastore_secrets),
    Route("GET", ARM, f"{WORKSPACE}/data", list_children),
    Route("GET", ARM, f"{WORKSPACE}/data/{{name}}", read),
    Route("PUT", ARM, f"{WORKSPACE}/data/{{name}}", put_container),
    Route("GET", ARM, f"{WORKSPACE}/data/{{name}}/versions", list_children),
    Route("GET", ARM, f"{WORKSPACE}/data/{{name}}/versions/{{version}}", read),
    Route("PUT", ARM, f"{WORKSPACE}/data/{{name}}/versions/{{version}}", _put_data),
    Route("DELETE", ARM, f"{WORKSPACE}/data/{{name}}/versions/{{version}}", _forget),
    Route("GET", ARM, f"{WORKSPACE}/connections", _connections),
    Route("GET", ARM, _CONNECTION, _connection),
    Route("PUT", ARM, _CONNECTION, _put_connection),
    Route("DELETE", ARM, _CONNECTION, _forget),
    Route("POST", ARM, f"{_CONNECTION}/listsecrets", _connection_secrets),
)
