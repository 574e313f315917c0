"""The azureml registry: discovery and the models it lists, as azure-ai-ml asks for them.

Owns nothing that changes: what is listed lies in ``registry.json``. A test that needs another catalogue changes
``Catalogue`` before it asks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from training.sandbox.cloud import Cloud
from training.sandbox.wire import Refusal, Request, Response, Route

HOST = "*.api.azureml.ms"
NAME = "azureml"

_MODELS = (
    "/mferp/managementfrontend/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/registries/{registry}/models"
)


@cache
def _shipped() -> str:
    return resources.files("training.sandbox").joinpath("registry.json").read_text(encoding="utf-8")


@dataclass(slots=True)
class Catalogue:
    """The models, each ``{"name", "version", "archived", "tags", "properties"}``; every tag is a string."""

    models: list[dict[str, Any]] = field(default_factory=lambda: list(json.loads(_shipped())["models"]))

    def entry(self, name: str) -> dict[str, Any]:
        """A model by its name, whose case does not count.

        Raises:
            Refusal: 404.
        """
        for row in self.models:
            if row["name"].lower() == name.lower():
                return row
        raise Refusal(404, "UserError", f"Model container {name} was not found.")


def find(cloud: Cloud, name: str) -> dict[str, Any] | None:
    """A model of the catalogue by its name; None where it lists none such."""
    try:
        return cloud.part(Catalogue).entry(name)
    except Refusal:
        return None


def _services(request: Request) -> Response:
    """Where a region's services are: what a workspace's ``discoveryUrl`` answers."""
    root = f"https://{request.host}"
    return Response.of(dict.fromkeys(("api", "history", "modelmanagement", "catalog", "experimentation"), root))


def _discovery(request: Request) -> Response:
    if request.values["registry"] != NAME:
        raise Refusal(404, "RegistryNotFound", "The registry was not found.")
    region = request.cloud.names.region
    return Response.of(
        {
            "registryName": NAME,
            "tenantId": request.cloud.names.tenant,
            "subscriptionId": request.cloud.names.subscription,
            "resourceGroup": "registry-builtin-prod-azureml-rg",
            "primaryRegion": request.values["host"],
            "regions": sorted({request.values["host"], region}),
            "primaryRegionResourceProviderUri": f"https://{request.host}/",
        }
    )


def _id(row: dict[str, Any]) -> str:
    return f"azureml://registries/{NAME}/models/{row['name']}"


def _container(row: dict[str, Any]) -> dict[str, Any]:
    following = str(int(row["version"]) + 1)
    properties = {
        "description": None,
        "tags": {},
        "properties": {},
        "isArchived": row["archived"],
        "latestVersion": row["version"],
        "nextVersion": following,
    }
    return {"id": _id(row), "name": row["name"], "type": "models", "properties": properties}


def _version(row: dict[str, Any]) -> dict[str, Any]:
    properties = {
        "description": row["tags"].get("summary"),
        "tags": row["tags"],
        "properties": row["properties"],
        "isArchived": row["archived"],
        "isAnonymous": False,
        "flavors": {},
        "modelType": "mlflow_model",
        "modelUri": f"azureml://registries/{NAME}/models/{row['name']}/versions/{row['version']}",
        "stage": None,
    }
    return {
        "id": f"{_id(row)}/versions/{row['version']}",
        "name": row["version"],
        "type": "models/versions",
        "properties": properties,
        "systemData": {"createdAt": "2025-01-01T00:00:00.0000000+00:00", "createdBy": "Microsoft"},
    }


def _list(request: Request) -> Response:
    view = request.query.get("listViewType", "ActiveOnly")
    rows = request.cloud.part(Catalogue).models
    seen = [row for row in rows if view == "All" or row["archived"] == (view == "ArchivedOnly")]
    skip, most = int(request.query.get("$skip", 0)), 5
    page: dict[str, Any] = {"value": [_container(row) for row in seen[skip : skip + most]]}
    if skip + most < len(seen):
        # The real registry has thousands of models and answers in pages, too.
        page["nextLink"] = (
            f"{request.url}?api-version={request.query['api-version']}&listViewType={view}&$skip={skip + most}"
        )
    return Response.of(page)


def _get(request: Request) -> Response:
    return Response.of(_container(request.cloud.part(Catalogue).entry(request.values["name"])))


def _versions(request: Request) -> Response:
    return Response.of({"value": [_version(request.cloud.part(Catalogue).entry(request.values["name"]))]})


def _get_version(request: Request) -> Response:
    row = request.cloud.part(Catalogue).entry(request.values["name"])
    if row["version"] != request.values["version"]:
        raise Refusal(404, "UserError", f"Model {row['name']}:{request.values['version']} was not found.")
    return Response.of(_version(row))


ROUTES = (
    Route("GET", HOST, "/discovery{rest:path}", _services, open=True),
    Route("GET", HOST, "/registrymanagement/v1.0/registries/{registry}/discovery", _discovery),
    Route("GET", HOST, _MODELS, _list),
    Route("GET", HOST, f"{_MODELS}/{{name}}", _get),
    Route("GET", HOST, f"{_MODELS}/{{name}}/versions", _versions),
    Route("GET", HOST, f"{_MODELS}/{{name}}/versions/{{version}}", _get_version),
)
