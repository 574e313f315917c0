"""Serverless endpoints of a project, and the hosts at which they answer.

Owns their keys, that a tuned model has one endpoint at most, and for how many hours each has been up: it costs money
even where nobody asks. Serves only what was tuned in the sandbox.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from training.sandbox.cloud import ARM, Cloud
from training.sandbox.jobs import Jobs
from training.sandbox.served import Engines, Served, reply
from training.sandbox.toys import Tuning
from training.sandbox.wire import Refusal, Request, Response, Route
from training.sandbox.workspaces import WORKSPACE, workspace_of

HOST = "*.models.ai.azure.com"
_NATIVE = "/v1/chat/completions"
"""The model's own API, beside Azure's."""
_ENDPOINT = f"{WORKSPACE}/serverlessEndpoints/{{name}}"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{1,51}")
_FILTER_SINCE = "2024-10-01"
_MODEL = re.compile(
    r"azureml://locations/(?P<location>[^/]+)/workspaces/(?P<workspace>[^/]+)/models/(?P<name>[^/]+)/versions/(?P<version>[^/]+)"
)


@dataclass(slots=True)
class Hosted:
    """What stands behind an endpoint."""

    host: str
    keys: list[str] = field(default_factory=lambda: [secrets.token_urlsafe(24), secrets.token_urlsafe(24)])
    served: Served | None = None


@dataclass(slots=True)
class Stay:
    """For how long something was hosted; ``ended`` is None while it is."""

    name: str
    began: datetime
    ended: datetime | None = None


@dataclass
class Hosting:
    """The endpoints by ARM id in lower case.

    Attributes:
        stays: everything that was ever hosted, deployments of the openai path as well: what would cost money.
        failing: messages; each lets one creation fail after it was accepted.
    """

    by_id: dict[str, Hosted] = field(default_factory=dict)
    stays: list[Stay] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)

    def open(self, cloud: Cloud, name: str) -> None:
        """Something is hosted from now on."""
        self.stays.append(Stay(name, cloud.clock()))

    def end(self, cloud: Cloud, name: str) -> None:
        """It is hosted no longer."""
        for stay in self.stays:
            if stay.name == name and stay.ended is None:
                stay.ended = cloud.clock()


def _put(request: Request) -> Response:
    cloud, workspace, body = request.cloud, workspace_of(request), request.json()
    cloud.check_etag(request, request.path)
    asked = body.get("properties") or {}
    model_id = (asked.get("modelSettings") or {}).get("modelId")
    if asked.get("contentSafety") and request.query["api-version"] < _FILTER_SINCE:
        raise Refusal(400, "UserError", "The property contentSafety is not known to this version of the API.")
    held = cloud.resources.get(request.path.lower())
    if held is not None and held["properties"]["provisioningState"] == "Deleting":
        raise Refusal(409, "Conflict", "The endpoint is being deleted.")
    if held is not None:
        return _change(request, held, asked, model_id)
    name = request.values["name"]
    if not _NAME.fullmatch(name):
        raise Refusal(400, "UserError", "The endpoint's name is invalid.")
    if str(body.get("location", "")).lower() != workspace["location"]:
        raise Refusal(400, "UserError", f"The location must be that of the workspace: {workspace['location']}.")
    model = _model(cloud, workspace, str(model_id))
    for other in cloud.under(workspace["id"], "serverlessEndpoints"):
        if other["properties"]["modelSettings"]["modelId"] == model_id:
            raise Refusal(409, "Conflict", f"The model is deployed already, to the endpoint {other['name']}.")
    safety = asked.get("contentSafety") or {"contentSafetyStatus": "Enabled"}
    properties = {
        "authMode": asked.get("authMode") or "Key",
        "contentSafety": safety,
        "modelSettings": {"modelId": model_id},
        "provisioningState": "Creating",
        "endpointState": "Creating",
    }
    plain = {"location": workspace["location"], "tags": body.get("tags") or {}, "sku": {"name": "Consumption"}}
    made = cloud.put(request.path, plain | {"properties": properties})
    host = f"{name}.{workspace['location']}.models.ai.azure.com".lower()
    hosting = cloud.part(Hosting)
    hosting.by_id[request.path.lower()] = hosted = Hosted(host)

    def finish() -> dict[str, Any]:
        if hosting.failing:
            made["properties"] |= {"provisioningState": "Failed", "endpointState": "CreationFailed"}
            raise Refusal(500, "DeploymentFailed", hosting.failing.pop(0))
        hosted.served = cloud.part(Engines).start(cloud, name, model)
        hosting.open(cloud, name)
        address = {"uri": f"https://{host}", "headers": {}}
        made["properties"] |= {"provisioningState": "Succeeded", "endpointState": "Online"}
        made["properties"]["inferenceEndpoint"] = address
        return made

    return cloud.accept(request, finish, content=made, status=201)


def _change(request: Request, held: dict[str, Any], asked: dict[str, Any], model_id: str | None) -> Response:
    """Content safety and the way to sign in may change; the model may not."""
    if model_id is not None and model_id != held["properties"]["modelSettings"]["modelId"]:
        raise Refusal(400, "UserError", "The model of an endpoint cannot be changed.")
    changed = {key: asked[key] for key in ("contentSafety", "authMode") if asked.get(key)}
    properties = held["properties"] | changed | {"provisioningState": "Updating"}
    made = request.cloud.put(held["id"], held | {"properties": properties})

    def finish() -> dict[str, Any]:
        made["properties"]["provisioningState"] = "Succeeded"
        return made

    return request.cloud.accept(request, finish, content=made, status=200)


def _model(cloud: Cloud, workspace: dict[str, Any], model_id: str) -> Path | None:
    """The weights behind a model's id; None where they were only simulated."""
    found = _MODEL.fullmatch(model_id)
    if found is None:
        raise Refusal(400, "UserError", f"The sandbox serves only models that were tuned in it, not {model_id}.")
    if found["workspace"] != workspace["properties"]["workspaceId"] or found["location"] != workspace["location"]:
        raise Refusal(400, "UserError", f"The model {model_id} is not in this workspace.")
    held = cloud.resources.get(f"{workspace['id']}/models/{found['name']}/versions/{found['version']}".lower())
    if held is None or held["properties"]["isArchived"]:
        raise Refusal(400, "UserError", f"The model {model_id} could not be found.")
    job = cloud.part(Jobs).named(str(held["properties"].get("jobName")))
    if job is None or not isinstance(job.work, Tuning):
        raise Refusal(400, "UserError", f"The model {model_id} cannot be deployed to a serverless endpoint.")
    return job.work.model


def _get(request: Request) -> Response:
    return Response.of(request.cloud.get(request.path))


def _list(request: Request) -> Response:
    return Response.of({"value": request.cloud.under(workspace_of(request)["id"], "serverlessEndpoints")})


def _delete(request: Request) -> Response:
    cloud, endpoint_id = request.cloud, request.path
    held = cloud.resources.get(endpoint_id.lower())
    if held is None:
        return Response(204)
    held["properties"] |= {"provisioningState": "Deleting", "endpointState": "Deleting"}

    def finish() -> None:
        cloud.delete(endpoint_id)
        hosted = cloud.part(Hosting).by_id.pop(endpoint_id.lower(), None)
        if hosted is not None and hosted.served is not None:
            cloud.part(Engines).stop(hosted.served)
        cloud.part(Hosting).end(cloud, held["name"])

    return cloud.accept(request, finish)


def _keys(request: Request) -> Response:
    endpoint_id = request.path.rpartition("/")[0]
    request.cloud.get(endpoint_id)
    keys = request.cloud.part(Hosting).by_id[endpoint_id.lower()].keys
    return Response.of({"primaryKey": keys[0], "secondaryKey": keys[1]})


def _regenerate(request: Request) -> Response:
    endpoint_id = request.path.rpartition("/")[0]
    request.cloud.get(endpoint_id)
    keys = request.cloud.part(Hosting).by_id[endpoint_id.lower()].keys
    which = 1 if request.json().get("keyType") == "Secondary" else 0

    def finish() -> dict[str, Any]:
        keys[which] = secrets.token_urlsafe(24)
        return {"primaryKey": keys[0], "secondaryKey": keys[1]}

    return request.cloud.accept(request, finish)


def _chat(request: Request) -> Response:
    cloud = request.cloud
    with cloud.lock:
        found = [(one, hosted) for one, hosted in cloud.part(Hosting).by_id.items() if hosted.host == request.host]
        endpoint_id, hosted = found[0] if found else ("", None)
        if hosted is None or hosted.served is None:
            raise Refusal(404, "NotFound", "There is no endpoint at this address.")
        properties = cloud.get(endpoint_id)["properties"]
    key = request.headers.get("authorization", "").removeprefix("Bearer ") or request.headers.get("api-key")
    if key not in hosted.keys:
        raise Refusal(401, "Unauthorized", "Access denied: the key is missing or wrong.")
    if request.path != _NATIVE and "api-version" not in request.query:
        raise Refusal(400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required.")
    # Azure looks at what comes and goes by the Model Inference API alone.
    filters = properties["contentSafety"].get("contentSafetyStatus") != "Disabled" and request.path != _NATIVE
    return reply(request, hosted.served, filters=filters)


ROUTES = (
    Route("PUT", ARM, _ENDPOINT, _put),
    Route("GET", ARM, _ENDPOINT, _get),
    Route("DELETE", ARM, _ENDPOINT, _delete),
    Route("GET", ARM, f"{WORKSPACE}/serverlessEndpoints", _list),
    Route("POST", ARM, f"{_ENDPOINT}/listKeys", _keys),
    Route("POST", ARM, f"{_ENDPOINT}/regenerateKeys", _regenerate),
    Route("POST", HOST, _NATIVE, _chat, open=True, slow=True),
    Route("POST", HOST, "/chat/completions", _chat, open=True, slow=True),
)
