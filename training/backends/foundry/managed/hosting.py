"""Putting a tuned model up at a serverless endpoint and taking it down again, step by step and without waiting.

Owns what is known here of each endpoint, in the folder by which the workflow knows it: enough to go on after a restart
and never a key. It is live once it has truly answered: Azure says *Succeeded* minutes before that. What an endpoint is
to Azure is ``endpoints``'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from curation.errors import Conflict
from curation.wording import phrase
from training.backends.base import Artefact, Endpoint
from training.backends.errors import Refused, Unreached
from training.backends.foundry.access.projects import project_of
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed import endpoints, scoring
from training.backends.foundry.managed.endpoint_keys import KEYS
from training.backends.foundry.place import AzurePlace
from training.backends.local import folder
from training.planning.costs import Hosted

log = logging.getLogger("errata.foundry")

STATE, WISH = "remote.json", "filter.json"
_CHECK = "-check"
"""At the end of the name under which an evaluation puts a model up; it takes that down itself."""
PATIENCE = timedelta(hours=1)
"""An endpoint that has not answered after so long never will; until then it is asked, and paid for."""


class Hosting:
    """The endpoints of one project.

    Attributes:
        place: the project.
        looks: when it may be asked again.
        now: the current time, aware.
    """

    def __init__(self, place: AzurePlace, looks: Looks, now: Callable[[], datetime]) -> None:
        self.place, self.looks, self.now = place, looks, now

    def deploy(self, artefact: Artefact, directory: Path, model_name: str) -> Endpoint | None:
        """The endpoint once it has answered; None while it is still coming. Nothing is put up twice.

        Raises:
            Conflict: the model is none of this service's.
            Refused: Azure says no, or the endpoint has not answered for an hour.
        """
        if artefact.registered is None:
            raise Conflict("Only a model that this service has tuned can be put up there.")
        state = _read(directory)
        if state is not None and state.get("answered"):
            return _endpoint(state, model_name)
        if not self.looks.due(_key(directory, "up")):
            return None
        if state is None or state.get("removing"):
            state = _new(endpoints.name_of(self.place, model_name), artefact.registered, model_name, self.now())
            _write(directory, state)
        try:
            if self._answers(state, directory):
                return _endpoint(state, model_name)
        except Unreached as error:  # asked again
            log.warning(
                "an endpoint cannot be seen at the moment: endpoint=%s error=%s",
                state["endpoint"],
                type(error).__name__,
            )
            self.looks.later(_key(directory, "up"), error.wait_seconds)
        if self.now() - datetime.fromisoformat(state["asked_at"]) > PATIENCE:
            raise Refused(
                phrase(
                    "The endpoint {name} has not answered within an hour: deploy the model again, and see it with "
                    "{command}",
                    name=state["endpoint"],
                    command=_az("show", self.place, state["endpoint"]),
                )
            )
        return None

    def died(self, directory: Path, model_name: str) -> bool:
        """Whether an endpoint that has answered is gone or broken; what cannot be asked at the moment has not died."""
        state = _read(directory)
        if state is not None and not state["answered"]:
            return bool(state.get("answered_at")) and not state.get("removing")
        if not self.looks.due(_key(directory, "watch")):
            return False
        name = state["endpoint"] if state is not None else endpoints.name_of(self.place, model_name)
        try:
            standing = endpoints.find(self.place, name)
        except (Refused, Unreached) as error:
            log.warning("an endpoint cannot be seen at the moment: endpoint=%s error=%s", name, type(error).__name__)
            return False
        state = state or self._found(standing, directory, model_name)
        if state is None:
            return True
        if standing is not None and not standing.failed and not standing.going:
            if standing.filtered is not state["filtered"]:  # somebody has switched it in the portal
                _write(directory, state | {"filtered": standing.filtered})
            return False
        _write(directory, state | {"answered": False, "asked_at": self.now().isoformat()})
        self.looks.again(_key(directory, "up"))
        return True

    def undeploy(self, directory: Path, model_name: str) -> bool:
        """Ask for the endpoint to go; True once Azure knows nothing of it any more. Raises Refused, Unreached."""
        state, down = _read(directory), _key(directory, "down")
        if state is None:
            if not self.looks.due(down):
                return False
            standing = endpoints.find(self.place, endpoints.name_of(self.place, model_name))
            self.looks.again(down)
            state = self._found(standing, directory, model_name)
            if state is None:
                return True
        if not state.get("removing"):
            endpoints.begin_removal(self.place, state["endpoint"])
            _write(directory, state | {"removing": True, "answered": False})
            self.looks.again(down)
        if not self.looks.due(down):
            return False
        standing = endpoints.find(self.place, state["endpoint"])
        if standing is None:
            (directory / STATE).unlink(missing_ok=True)
            for what in ("up", "watch", "down", "filter"):
                self.looks.again(_key(directory, what))
            return True
        if not standing.going:  # it was refused, or has failed
            endpoints.begin_removal(self.place, standing.name)
        return False

    def filter(self, directory: Path, *, on: bool) -> None:
        """Put Azure's content safety before the endpoint or take it away, now and whenever it is put up.

        Raises:
            Refused, Unreached: Azure says no, or nothing; asked again, it is tried again.
        """
        if _wish(directory) is not on:
            directory.mkdir(parents=True, exist_ok=True)
            folder.write_json(directory / WISH, {"on": on})
            self.looks.again(_key(directory, "filter"))
        state = _read(directory)
        if state is None or not state.get("answered") or state["filtered"] is on:
            return
        if self.looks.due(_key(directory, "filter")):
            self._begin(state, filtered=on)
            _write(directory, state | {"filtered": on})

    def hosted(self) -> list[Hosted]:
        """Every endpoint of the project, Errata's and others; each is paid by the hour. Raises Refused, Unreached."""
        return [
            Hosted(
                name=one.name,
                kind="endpoint",
                since=one.since,
                hourly=None,  # no price of Azure's is published for it; what an operator knows is in the table
                run_id=one.run_id.removesuffix(_CHECK) if one.run_id else None,
                undeploy_command=undeploying(self.place, one),
            )
            for one in endpoints.listed(self.place)
            if not one.going
        ]

    def _answers(self, state: dict[str, Any], directory: Path) -> bool:
        """Whether it is there, done, filtered as it should be and answering; what is missing for that is begun."""
        standing, wish = endpoints.find(self.place, state["endpoint"]), _wish(directory)
        if standing is None:
            if not self._taken(state):
                self._begin(state, filtered=wish)
            return False
        if standing.failed:
            raise Refused(
                phrase(
                    "Azure could not put up the endpoint {name} ({state}): see {command}, then deploy the model again.",
                    name=standing.name,
                    state=standing.serving or standing.state,
                    command=_az("show", self.place, standing.name),
                )
            )
        if not standing.made or standing.url is None:
            return False
        if standing.filtered is not wish:
            self._begin(state, filtered=wish, again=True)
            return False
        url = scoring.root(standing.url)
        if not scoring.answers(url, KEYS.of(self.place, standing.name), state["model_name"]):
            KEYS.forget(standing.name)  # it may be the key of an endpoint that stood here before
            return False
        state |= {"answered": True, "answered_at": self.now().isoformat(), "url": url, "filtered": wish}
        state |= {"region": standing.region}
        _write(directory, state)
        return True

    def _found(self, standing: endpoints.Standing | None, directory: Path, model_name: str) -> dict[str, Any] | None:
        """What is known from now on of an endpoint whose folder was lost; None where Errata did not put it up."""
        if standing is None or standing.run_id != model_name:
            return None
        state = _new(standing.name, standing.model, model_name, self.now())
        state |= {"answered": True, "answered_at": state["asked_at"], "filtered": standing.filtered}
        state |= {"url": scoring.root(standing.url or ""), "region": standing.region}
        _write(directory, state)
        return state

    def _taken(self, state: dict[str, Any]) -> bool:
        """Whether the model still answers at another endpoint, as after its evaluation: Azure takes one for each."""
        return any(
            one.model == state["model"] and one.name != state["endpoint"] for one in endpoints.listed(self.place)
        )

    def _begin(self, state: dict[str, Any], *, filtered: bool, again: bool = False) -> None:
        name, model, run_id = state["endpoint"], state["model"], state["model_name"]
        if filtered and not again and not state.get("answered"):
            endpoints.ask_for(self.place, name, model, run_id)
        else:
            region = project_of(self.place).region
            endpoints.begin_filter(self.place, name, model, run_id, region=region, filtered=filtered)


def _new(name: str, model: str, model_name: str, now: datetime) -> dict[str, Any]:
    at = now.isoformat()
    return {"endpoint": name, "model": model, "model_name": model_name, "asked_at": at, "answered": False}


def _endpoint(state: dict[str, Any], model_name: str) -> Endpoint:
    return Endpoint(state["url"], None, model_name)


def _wish(directory: Path) -> bool:
    """Whether content safety is wanted; it is unless somebody has decided otherwise."""
    kept = folder.read_json(directory / WISH)
    return kept is None or bool(kept["on"])


def _read(directory: Path) -> dict[str, Any] | None:
    return folder.read_json(directory / STATE)


def _write(directory: Path, state: dict[str, Any]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    folder.write_json(directory / STATE, state)


def _key(directory: Path, what: str) -> str:
    return f"endpoint {what} {directory}"


def undeploying(place: AzurePlace, one: endpoints.Standing) -> str:
    """What takes an endpoint down: Errata's own command for a run's, else the provider's."""
    if one.run_id and not one.run_id.endswith(_CHECK):
        return f"errata undeploy {one.run_id}"
    return _az("delete", place, one.name)


def _az(what: str, place: AzurePlace, name: str) -> str:
    return (
        f"az ml serverless-endpoint {what} --name {name} --workspace-name {place.project} "
        f"--resource-group {place.group} --subscription {place.subscription}"
    )
