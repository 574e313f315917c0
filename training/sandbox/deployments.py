"""What is deployed in an AI Services account: ARM's side, the models that it may deploy, and chat by deployment name.

Owns that a deployment says ``Succeeded`` before it answers, and its limit of requests. Serves only what was tuned in
the sandbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from training.sandbox.cloud import ARM, Cloud
from training.sandbox.endpoints import Hosting
from training.sandbox.openai_service import HOST, MODELS, ROOT, Account, BaseModel, account_id, guarded
from training.sandbox.served import Engines, Served, reply
from training.sandbox.wire import Refusal, Request, Response, Route
from training.sandbox.workspaces import GROUP

_ACCOUNT = f"{GROUP}/providers/Microsoft.CognitiveServices/accounts/{{account}}"
_DEPLOYMENT = f"{_ACCOUNT}/deployments/{{name}}"
_SKUS = frozenset({"standard", "globalstandard", "developertier", "datazonestandard", "provisionedmanaged"})
_WINDOW = timedelta(minutes=1)


class Deployed(dict[str, Served]):
    """What stands behind each deployment, by ARM id in lower case."""


@dataclass
class Limits:
    """How much a deployment bears.

    Attributes:
        counted: whether a deployment of capacity n answers n requests a minute, and 429 beyond.
        quota: the largest capacity that may be asked for.
    """

    counted: bool = False
    quota: int = 250


def _put(request: Request) -> Response:
    cloud, body, deployment_id = request.cloud, request.json(), request.path
    account = cloud.get(deployment_id.rpartition("/deployments/")[0])
    sku, model = body.get("sku") or {}, (body.get("properties") or {}).get("model") or {}
    if str(sku.get("name", "")).lower() not in _SKUS:
        raise Refusal(400, "InvalidResourceProperties", "The specified SKU of the deployment is missing or unknown.")
    if int(sku.get("capacity") or 1) > cloud.part(Limits).quota:
        raise Refusal(400, "InsufficientQuota", "This operation requires more capacity than the quota has left.")
    tuned = cloud.part(Account).tuned.get(str(model.get("name")))
    if tuned is None or model.get("format") != tuned.base.format or model.get("version") != "1":
        what = f"Format:{model.get('format')},Name:{model.get('name')},Version:{model.get('version')}"
        raise Refusal(400, "DeploymentModelNotSupported", f"The model '{what}' is not supported by this account.")
    held = cloud.resources.get(deployment_id.lower())
    if held is not None and held["properties"]["provisioningState"] == "Deleting":
        raise Refusal(409, "Conflict", "The deployment is being deleted.")
    if held is not None and held["properties"]["model"]["name"] != model["name"]:
        raise Refusal(409, "Conflict", "The deployment exists with another model: delete it first.")
    before = {} if held is None else held["properties"]
    properties = (
        {"raiPolicyName": "Microsoft.DefaultV2"} | before | body["properties"] | {"provisioningState": "Creating"}
    )
    made = cloud.put(deployment_id, {"sku": sku, "properties": properties})
    deployed, name = cloud.part(Deployed), f"{account['name']}-{request.values['name']}"

    def finish() -> dict[str, Any]:
        hosting = cloud.part(Hosting)
        if hosting.failing:
            made["properties"]["provisioningState"] = "Failed"
            raise Refusal(500, "DeploymentFailed", hosting.failing.pop(0))
        if deployment_id.lower() not in deployed:
            deployed[deployment_id.lower()] = cloud.part(Engines).start(cloud, name, tuned.work.model)
            hosting.open(cloud, request.values["name"])
        made["properties"]["provisioningState"] = "Succeeded"
        return made

    return cloud.accept(request, finish, content=made, status=201 if held is None else 200)


def _delete(request: Request) -> Response:
    cloud, deployment_id = request.cloud, request.path
    held = cloud.resources.get(deployment_id.lower())
    if held is None:
        return Response(204)
    held["properties"]["provisioningState"] = "Deleting"

    def finish() -> None:
        cloud.delete(deployment_id)
        served = cloud.part(Deployed).pop(deployment_id.lower(), None)
        if served is not None:
            cloud.part(Engines).stop(served)
        cloud.part(Hosting).end(cloud, held["name"])

    return cloud.accept(request, finish)


def _get(request: Request) -> Response:
    return Response.of(request.cloud.get(request.path))


def _list(request: Request) -> Response:
    account = request.cloud.get(request.path.rpartition("/")[0])
    return Response.of({"value": request.cloud.under(account["id"], "deployments")})


def _models(request: Request) -> Response:
    """What the account may deploy and tune."""
    request.cloud.get(request.path.rpartition("/")[0])
    rows = [_offered(model) for model in MODELS]
    for one in request.cloud.part(Account).tuned.values():
        base = {"format": one.base.format, "name": one.base.name, "version": one.base.version}
        rows.append(_offered(one.base) | {"name": one.name, "version": "1", "baseModel": base})
    return Response.of({"value": rows})


def _offered(model: BaseModel) -> dict[str, Any]:
    tunable = model.tunes and model.format == "OpenAI"  # Azure says it of nobody else's, though it tunes them
    row: dict[str, Any] = {
        "format": model.format,
        "name": model.name,
        "version": model.version,
        "capabilities": {"chatCompletion": "true"} | ({"fineTune": "true"} if tunable else {}),
        "lifecycleStatus": "GenerallyAvailable",
        "skus": [{"name": name} for name in ("Standard", "GlobalStandard", "DeveloperTier")],
    }
    return row | ({"deprecation": {"fineTune": model.tunes_until}} if model.tunes_until else {})


def _chat(request: Request) -> Response:
    cloud, name = request.cloud, str(request.json().get("model"))
    deployment_id = f"{account_id(request)}/deployments/{name}".lower()
    with cloud.lock:
        served = cloud.part(Deployed).get(deployment_id)
        held = cloud.resources.get(deployment_id)
        now = cloud.clock()
        if served is None or held is None or not served.up(now):
            raise Refusal(
                404,
                "DeploymentNotFound",
                "The API deployment for this resource does not exist. If you created the deployment within the last 5 "
                "minutes, please wait a moment and try again.",
            )
        _count(cloud, served, int(held["sku"].get("capacity") or 1))
    return reply(request, served, filters=True)


def _count(cloud: Cloud, served: Served, capacity: int) -> None:
    if not cloud.part(Limits).counted:
        return
    now = cloud.clock()
    served.replies = [one for one in served.replies if now - one < _WINDOW]
    if len(served.replies) >= capacity:
        wait = max(1, round((served.replies[0] + _WINDOW - now).total_seconds()))
        raise Refusal(429, "429", "Requests have exceeded the rate limit of the deployment.", Retry_After=str(wait))
    served.replies.append(now)


ROUTES = (
    Route("PUT", ARM, _DEPLOYMENT, _put),
    Route("GET", ARM, _DEPLOYMENT, _get),
    Route("DELETE", ARM, _DEPLOYMENT, _delete),
    Route("GET", ARM, f"{_ACCOUNT}/deployments", _list),
    Route("GET", ARM, f"{_ACCOUNT}/models", _models),
    Route("POST", HOST, f"{ROOT}/chat/completions", guarded(_chat), open=True, slow=True),
)
