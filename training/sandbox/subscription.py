"""A subscription as a doctor looks at it: groups, providers, permissions, role assignments, quota, storage accounts.

Owns the answers; what they say may be broken one by one in ``standing``. Nothing here costs or allows anything.
"""

from __future__ import annotations

from typing import Any

from training.sandbox.cloud import ARM, Cloud
from training.sandbox.signing import STORAGE_KEY
from training.sandbox.standing import Standing
from training.sandbox.wire import Refusal, Request, Response, Route

_SUBSCRIPTION = "/subscriptions/{subscription}"
_GROUP = _SUBSCRIPTION + "/resourceGroups/{group}"


def furnish(cloud: Cloud, *, empty: bool) -> None:
    """Make the resource group and its storage account."""
    if empty:
        return
    cloud.put(cloud.names.group_id, _group_body(cloud.names.region), "Microsoft.Resources/resourceGroups")
    make_storage(cloud, cloud.names.storage, cloud.names.region)


def make_storage(cloud: Cloud, name: str, region: str) -> str:
    """A storage account that takes keys; its id. One that is there stays as it is."""
    storage = cloud.names.id_of("Microsoft.Storage", "storageAccounts", name)
    if storage.lower() not in cloud.resources:
        properties = {
            "provisioningState": "Succeeded",
            "allowSharedKeyAccess": True,
            "primaryEndpoints": {"blob": f"https://{name}.blob.core.windows.net/"},
        }
        cloud.put(storage, {"location": region, "kind": "StorageV2", "sku": _STORAGE_SKU, "properties": properties})
    return storage


_STORAGE_SKU = {"name": "Standard_LRS", "tier": "Standard"}


def _group_body(region: str) -> dict[str, Any]:
    return {"location": region, "properties": {"provisioningState": "Succeeded"}}


def _subscription(request: Request) -> Response:
    names = request.cloud.names
    if request.values["subscription"] != names.subscription:
        raise Refusal(404, "SubscriptionNotFound", "The subscription could not be found.")
    return Response.of(
        {
            "id": f"/subscriptions/{names.subscription}",
            "subscriptionId": names.subscription,
            "tenantId": names.tenant,
            "displayName": "Errata sandbox",
            "state": "Enabled",
        }
    )


def _group(request: Request) -> Response:
    found = request.cloud.resources.get(request.path.lower().rstrip("/"))
    if found is None:
        raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{request.values['group']}' could not be found.")
    return Response.of(found)


def _put_group(request: Request) -> Response:
    body = request.json()
    if "location" not in body:
        raise Refusal(400, "LocationRequired", "The location property is required for this definition.")
    known = request.path.lower() in request.cloud.resources
    held = request.cloud.put(request.path, _group_body(body["location"]), "Microsoft.Resources/resourceGroups")
    return Response.of(held, 200 if known else 201)


def _provider(request: Request) -> Response:
    name = request.values["provider"]
    known = {held.lower(): held for held in request.cloud.part(Standing).providers}
    if name.lower() not in known:
        raise Refusal(404, "InvalidResourceNamespace", f"The resource namespace '{name}' is invalid.")
    return Response.of(_provider_body(request.cloud, known[name.lower()]))


def _register(request: Request) -> Response:
    _provider(request)
    standing = request.cloud.part(Standing)
    name = next(held for held in standing.providers if held.lower() == request.values["provider"].lower())
    standing.providers[name] = "Registered"
    return Response.of(_provider_body(request.cloud, name))


def _provider_body(cloud: Cloud, name: str) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{cloud.names.subscription}/providers/{name}",
        "namespace": name,
        "registrationState": cloud.part(Standing).providers[name],
        "registrationPolicy": "RegistrationRequired",
        "resourceTypes": [],
    }


def _providers(request: Request) -> Response:
    cloud = request.cloud
    return Response.of({"value": [_provider_body(cloud, name) for name in cloud.part(Standing).providers]})


def _permissions(request: Request) -> Response:
    standing = request.cloud.part(Standing)
    row = {"actions": standing.actions, "notActions": [], "dataActions": standing.data_actions, "notDataActions": []}
    return Response.of({"value": [row] if standing.actions or standing.data_actions else []})


def _assignments(request: Request) -> Response:
    names = request.cloud.names
    root = f"/subscriptions/{names.subscription}/providers/Microsoft.Authorization"
    rows = [
        {
            "id": f"{names.group_id}/providers/Microsoft.Authorization/roleAssignments/{role}",
            "name": role,
            "type": "Microsoft.Authorization/roleAssignments",
            "properties": {
                "roleDefinitionId": f"{root}/roleDefinitions/{role}",
                "principalId": names.principal,
                "principalType": "ServicePrincipal",
                "scope": names.group_id,
            },
        }
        for role in request.cloud.part(Standing).roles
    ]
    return Response.of({"value": rows})


def _quota(request: Request) -> Response:
    kind = "Microsoft.MachineLearningServices/usages"
    rows = [
        {
            "id": f"{request.path}/{name.replace(' ', '')}",
            "type": kind,
            "unit": "Count",
            "currentValue": used,
            "limit": limit,
            "name": {"value": name, "localizedValue": name},
        }
        for name, (used, limit) in request.cloud.part(Standing).quota.items()
    ]
    return Response.of({"value": rows})


def _account_quota(request: Request) -> Response:
    rows = [
        {"name": {"value": name, "localizedValue": name}, "currentValue": used, "limit": limit, "unit": "Count"}
        for name, (used, limit) in request.cloud.part(Standing).account_quota.items()
    ]
    return Response.of({"value": rows})


def _storage_keys(request: Request) -> Response:
    request.cloud.get(request.path.rpartition("/")[0])
    return Response.of({"keys": [{"keyName": "key1", "value": STORAGE_KEY, "permissions": "FULL"}]})


def _locations(request: Request) -> Response:
    region = request.cloud.names.region
    return Response.of({"value": [{"id": f"{request.path}/{region}", "name": region, "displayName": region}]})


_AUTHORIZATION = "/providers/Microsoft.Authorization"
ROUTES = (
    Route("GET", ARM, _SUBSCRIPTION, _subscription),
    Route("GET", ARM, f"{_SUBSCRIPTION}/locations", _locations),
    Route("GET", ARM, f"{_SUBSCRIPTION}/providers", _providers),
    Route("GET", ARM, f"{_SUBSCRIPTION}/providers/{{provider}}", _provider),
    Route("POST", ARM, f"{_SUBSCRIPTION}/providers/{{provider}}/register", _register),
    Route("GET", ARM, f"{_SUBSCRIPTION}{_AUTHORIZATION}/permissions", _permissions),
    Route("GET", ARM, f"{_SUBSCRIPTION}{_AUTHORIZATION}/roleAssignments", _assignments),
    Route("GET", ARM, _GROUP, _group),
    Route("HEAD", ARM, _GROUP, _group),
    Route("PUT", ARM, _GROUP, _put_group),
    Route("GET", ARM, f"{_GROUP}{_AUTHORIZATION}/permissions", _permissions),
    Route("GET", ARM, f"{_GROUP}{_AUTHORIZATION}/roleAssignments", _assignments),
    Route(
        "GET", ARM, f"{_SUBSCRIPTION}/providers/Microsoft.MachineLearningServices/locations/{{location}}/usages", _quota
    ),
    Route(
        "GET",
        ARM,
        f"{_SUBSCRIPTION}/providers/Microsoft.CognitiveServices/locations/{{location}}/usages",
        _account_quota,
    ),
    Route("POST", ARM, f"{_GROUP}/providers/Microsoft.Storage/storageAccounts/{{name}}/listKeys", _storage_keys),
    Route(
        "GET",
        ARM,
        f"{_GROUP}/providers/Microsoft.Storage/storageAccounts/{{name}}{_AUTHORIZATION}/permissions",
        _permissions,
    ),
)
