"""The provider's libraries, loaded when they are first needed and kept quiet.

Owns the import of ``azure.ai.ml``, which warns about its own code while it loads, and the loggers of all of them: at
their own levels they write addresses, headers and a credential's whole story into Errata's log. Whoever imports from
``azure.ai.ml.…`` calls ``azure_ml`` first.
"""

from __future__ import annotations

import importlib
import logging
import threading
import warnings
from types import ModuleType

from curation.errors import Unavailable

_LOUD = {
    "azure": logging.ERROR,
    "azure.identity": logging.CRITICAL,
    "azure.ai.ml": logging.CRITICAL,
    "azure.ai.ml._telemetry": logging.CRITICAL,
    # These two have handlers or levels of their own: deployments in words, and that a class is experimental.
    "azure.ai.ml._arm_deployments.arm_deployment_executor": logging.CRITICAL,
    "azure.ai.ml._utils._experimental": logging.CRITICAL,
    "msal": logging.ERROR,
    "openai": logging.WARNING,
    "httpx": logging.WARNING,
    "httpx2": logging.WARNING,
    "urllib3": logging.ERROR,
}
"""From which level on a library's own messages are let through: what matters comes as an exception anyway."""

_PARTS = (
    "azure.ai.ml",
    "azure.ai.ml.entities",
    "azure.ai.ml.constants",
    "azure.ai.ml.entities._job.finetuning.custom_model_finetuning_job",
)
_loading = threading.Lock()


def azure_ml() -> ModuleType:
    """``azure.ai.ml`` with its entities.

    Raises:
        Unavailable: it is not installed.
    """
    return _loaded(*_PARTS)[0]


def azure_core() -> ModuleType:
    """``azure.core``; raises as ``azure_ml``."""
    return _loaded("azure.core")[0]


def azure_identity() -> ModuleType:
    """``azure.identity``; raises as ``azure_ml``."""
    return _loaded("azure.identity")[0]


def openai_sdk() -> ModuleType:
    """``openai``; raises as ``azure_ml``."""
    return _loaded("openai")[0]


def content_safety() -> ModuleType:
    """``azure.ai.contentsafety`` with its models; raises as ``azure_ml``."""
    return _loaded("azure.ai.contentsafety", "azure.ai.contentsafety.models")[0]


def quieten() -> None:
    """Set the loggers to ``_LOUD``; ``MLClient`` makes its own speak again whenever one is built."""
    for name, level in _LOUD.items():
        logging.getLogger(name).setLevel(level)


def _loaded(*names: str) -> list[ModuleType]:
    with _loading:  # catch_warnings changes the whole process
        quieten()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                loaded = [importlib.import_module(name) for name in names]
            except ModuleNotFoundError as error:
                raise Unavailable(
                    "{package} is not installed on this machine: pip install 'errata[azure]'", package=error.name or ""
                ) from None
        quieten()  # some set their own level while they are loaded
    return loaded
