"""AI Services accounts: made by a PUT, keys asked for separately. What is deployed in one is another service's."""

from __future__ import annotations

from typing import Any

from training.sandbox.cloud import ARM, Cloud
from training.sandbox.wire import Refusal, Request, Response, Route
from training.sandbox.workspaces import GROUP

ACCOUNT_KEY = "sandbox-account-key"

_ACCOUNTS = f"{GROUP}/providers/Microsoft.CognitiveServices/accounts"
_ACCOUNT = f"{_ACCOUNTS}/{{account}}"


def furnish(cloud: Cloud, *, empty: bool) -> None:
    """Make the account of the backend ``openai``, and the resource of Content Safety."""
    if not empty:
        for name, kind in ((cloud.names.account, "AIServices"), (cloud.names.safety, "ContentSafety")):
            _make(cloud, _id(cloud, name), {"location": cloud.names.region, "kind": kind})


def _id(cloud: Cloud, name: str) -> str:
    return cloud.names.id_of("Microsoft.CognitiveServices", "accounts", name)


def _make(cloud: Cloud, resource: str, asked: dict[str, Any]) -> dict[str, Any]:
    name = resource.rpartition("/")[2]
    given = asked.get("properties") or {}
    domain = given.get("customSubDomainName") or name
    own = {
        "provisioningState": "Succeeded",
        "customSubDomainName": domain,
        "endpoint": f"https://{domain}.cognitiveservices.azure.com/",
        "endpoints": {"OpenAI Language Model Instance API": f"https://{domain}.openai.azure.com/"},
        "publicNetworkAccess": "Enabled",
        "disableLocalAuth": False,
    }
    body = {
        "location": asked["location"],
        "kind": asked.get("kind", "AIServices"),
        "sku": asked.get("sku") or {"name": "S0"},
    }
    return cloud.put(resource, body | {"tags": asked.get("tags") or {}, "properties": own | given})


def _put(request: Request) -> Response:
    cloud, body = request.cloud, request.json()
    cloud.get(cloud.names.group_id)
    cloud.check_etag(request, request.path)
    if "location" not in body:
        raise Refusal(400, "LocationRequired", "The location property is required for this definition.")
    known = request.path.lower() in cloud.resources
    resource = request.path
    if known:
        return Response.of(_make(cloud, resource, body))
    coming = {"id": resource, "name": request.values["account"], "properties": {"provisioningState": "Creating"}}
    return cloud.accept(request, lambda: _make(cloud, resource, body), content=body | coming, status=201)


def _delete(request: Request) -> Response:
    cloud, resource = request.cloud, request.path
    if resource.lower() not in cloud.resources:
        return Response(204)

    def finish() -> None:
        cloud.delete(resource)

    return cloud.accept(request, finish)


def _keys(request: Request) -> Response:
    held = request.cloud.get(request.path.rpartition("/")[0])
    if held["properties"]["disableLocalAuth"]:
        raise Refusal(403, "BadRequest", "Failed to list key. disableLocalAuth is set to be true")
    return Response.of({"key1": ACCOUNT_KEY, "key2": f"{ACCOUNT_KEY}-2"})


def _list(request: Request) -> Response:
    kind = "Microsoft.CognitiveServices/accounts"
    return Response.of({"value": [row for row in request.cloud.resources.values() if row["type"] == kind]})


ROUTES = (
    Route("GET", ARM, "/subscriptions/{subscription}/providers/Microsoft.CognitiveServices/accounts", _list),
    Route("GET", ARM, _ACCOUNTS, _list),
    Route("PUT", ARM, _ACCOUNT, _put),
    Route("DELETE", ARM, _ACCOUNT, _delete),
    Route("POST", ARM, f"{_ACCOUNT}/listKeys", _keys),
)
