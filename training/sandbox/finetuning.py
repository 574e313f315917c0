"""What Azure ML looks at before it takes a fine-tuning job, beside its description, and how it says no: 400 UserError.

Owns the names of hyperparameters and tasks that the service knows (fine-tuning: previews of the API alone) and which
model may be tuned where. Starts nothing.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from training.sandbox.cloud import Cloud
from training.sandbox.inputs import read
from training.sandbox.registry import NAME, Catalogue
from training.sandbox.toy_jobs import Wishes
from training.sandbox.toys import LABEL, Toys
from training.sandbox.wire import Refusal

TASKS = frozenset({"chatcompletion", "textcompletion"})
"""Of a language model, in lower case: the SDK sends another case than the description has."""
_NUMBERS: Mapping[str, type] = {
    "per_device_train_batch_size": int,
    "num_train_epochs": int,
    "learning_rate": float,
}
_REGISTERED = re.compile(
    r"azureml://registries/(?P<registry>[^/]+)/models/(?P<name>[^/]+)/(?:versions|labels)/[^/]+", re.IGNORECASE
)
_OWN = re.compile(r"(?:azureml://|/).*/models/(?P<name>[^/]+)/versions/(?P<version>[^/]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Order:
    """A fine-tuning job that was found in order: its rows, and what was wished for."""

    train: bytes
    validation: bytes
    wishes: Wishes
    model: str


def checked(cloud: Cloud, workspace: dict[str, Any], properties: Mapping[str, Any]) -> Order:
    """What a job's properties ask for.

    Raises:
        Refusal: 400, by the first thing that is wrong.
    """
    details = properties["fineTuningDetails"]
    if details["modelProvider"] != "Custom":
        raise _no("The modelProvider is not supported in this workspace.")
    if str(details["taskType"]).lower() not in TASKS:
        raise _no(f"The task type {details['taskType']} is not supported for this model.")
    base, name = _base(cloud, workspace, details)
    wishes = _wishes(details.get("hyperParameters") or {})
    sides = [_side(cloud, workspace, details, side) for side in ("trainingData", "validationData")]
    output = (properties.get("outputs") or {}).get("registered_model") or {}
    if not output.get("assetName"):
        raise _no("The output registered_model needs an assetName.")
    return Order(sides[0], sides[1], Wishes(wishes.epochs, wishes.learning_rate, wishes.batch_rows, base=base), name)


def _side(cloud: Cloud, workspace: dict[str, Any], details: Mapping[str, Any], side: str) -> bytes:
    given = details.get(side)
    if not isinstance(given, dict) or not given.get("uri"):
        raise _no(f"The {side} is missing: a fine-tuning job needs a training and a validation file.")
    if given.get("jobInputType") != "uri_file":
        raise _no(f"The {side} must be a uri_file.")
    content = read(cloud, workspace, given["uri"])
    if not content.startswith(codecs.BOM_UTF8):
        raise _no(f"The {side} must be encoded in UTF-8 with a byte order mark (BOM).")
    return content


def _wishes(given: Mapping[str, Any]) -> Wishes:
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _NUMBERS:
            raise _no(f"The hyperparameter {name} is not supported.")
        try:
            values[name] = _NUMBERS[name](value)
        except ValueError:
            raise _no(f"The hyperparameter {name} has an invalid value.") from None
        if values[name] <= 0:
            raise _no(f"The hyperparameter {name} must be greater than 0.")
    return Wishes(
        values.get("num_train_epochs"), values.get("learning_rate"), values.get("per_device_train_batch_size")
    )


def _base(cloud: Cloud, workspace: dict[str, Any], details: Mapping[str, Any]) -> tuple[Any, str]:
    """Weights that were tuned here before, or None for the catalogue's model; and the model's name."""
    given = details.get("model") or {}
    uri = str(given.get("uri", ""))
    if given.get("jobInputType") not in {"mlflow_model", "custom_model"}:
        raise _no("The model must be an mlflow_model.")
    if (catalogued := _REGISTERED.fullmatch(uri)) is not None:
        _may_be_tuned(cloud, workspace, catalogued["registry"], catalogued["name"])
        return None, catalogued["name"]
    own = _OWN.fullmatch(uri)
    held = own and cloud.resources.get(f"{workspace['id']}/models/{own['name']}/versions/{own['version']}".lower())
    if own is None or not held:
        raise _no(f"The model {uri} could not be found.")
    before = cloud.part(Toys).named(str(held["properties"].get("jobName")))
    if before is None or held["properties"].get("properties", {}).get(LABEL) is None:
        raise _no(f"The model {uri} does not support fine-tuning.")
    return before.model, own["name"]


def _may_be_tuned(cloud: Cloud, workspace: dict[str, Any], registry: str, name: str) -> None:
    if registry != NAME:
        raise _no(f"The registry {registry} could not be found.")
    entry = cloud.part(Catalogue).entry(name)
    tags = entry["tags"]
    if entry["archived"]:
        raise _no(f"The model {name} is archived.")
    retired = str(tags.get("FinetuneRetirementDate", ""))[:10]
    if retired and date.fromisoformat(retired) <= cloud.clock().date():
        raise _no(f"Fine-tuning of the model {name} was retired on {retired}.")
    if tags.get("maas-finetuning") != "true":
        raise _no(f"The model {name} does not support fine-tuning as a service.")
    regions, region = re.findall(r"[a-z0-9]+", tags.get("maas-finetuning-deploy-regions", "")), workspace["location"]
    if regions and region not in regions:
        raise _no(f"Fine-tuning of the model {name} is not available in the region {region}.")


def _no(message: str) -> Refusal:
    return Refusal(400, "UserError", message)
