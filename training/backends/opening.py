"""Which backends there are, by what the environment names; each is loaded when it is first asked for something.

Owns the one list that worker and command line share. Imports neither torch nor azure nor openai.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from curation.errors import Unavailable
from training.backends.base import Backend, Endpoint
from training.backends.foundry.place import AzurePlace
from training.backends.local.backend import LocalBackend
from training.backends.names import BackendName


def available(place: AzurePlace) -> tuple[BackendName, ...]:
    """The backends that a run may name here."""
    return tuple(name for name in BackendName if not place.missing(name))


def backends(place: AzurePlace) -> dict[BackendName, Backend]:
    """Those of this machine, and of Azure where the place suffices."""
    return {name: _opened(name, place) for name in available(place)}


@runtime_checkable
class Keyed(Protocol):
    """A backend whose endpoints answer to whoever has their key."""

    def key_of(self, endpoint: Endpoint) -> str:
        """The key, fetched from the provider, or kept in memory since a short while; it is stored nowhere.

        Raises:
            Unavailable: the provider does not give it.
        """


def key_of(place: AzurePlace, name: BackendName, endpoint: Endpoint) -> str:
    """What an endpoint of the backend is asked with; empty where it wants nothing.

    It may ask the provider: never call it while Slack waits.

    Raises:
        Unavailable: the provider does not give it, or the backend is not set up here.
    """
    if name not in available(place):
        raise Unavailable("The backend {backend} is not set up here.", backend=name.value)
    backend = _opened(name, place)
    return backend.key_of(endpoint) if isinstance(backend, Keyed) else ""


def _opened(name: BackendName, place: AzurePlace) -> Backend:
    match name:
        case BackendName.LOCAL:
            return LocalBackend()
        case BackendName.FOUNDRY:
            from training.backends.foundry.managed.backend import ManagedBackend  # noqa: PLC0415 (only where it is used)

            return ManagedBackend(place)
        case BackendName.OPENAI:
            from training.backends.foundry.account.backend import OpenAIBackend  # noqa: PLC0415 (as above)

            return OpenAIBackend(place)
        case BackendName.AZUREML:
            from training.backends.foundry.rented.backend import CommandBackend  # noqa: PLC0415 (as above)

            return CommandBackend(place)
