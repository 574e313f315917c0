"""Tuned models that answer in the account: put up, asked, watched and taken down, one step at each visit.

Owns what counts as answering, and the state of an endpoint in its folder: its name and since when, never a key. Nothing
here waits: a deployment takes minutes, and what is not there yet is asked for again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from curation.conversation import Conversation
from curation.errors import Conflict, Unavailable
from curation.wording import phrase
from training.backends.base import Artefact, Endpoint
from training.backends.errors import Missing, Unreached
from training.backends.foundry.access import remedies
from training.backends.foundry.access.clients import openai_url
from training.backends.foundry.access.credentials import COGNITIVE_SCOPE, fetch_token
from training.backends.foundry.account import api
from training.backends.foundry.account.deployments import Account
from training.backends.foundry.account.requests import undeploying
from training.backends.foundry.looks import Looks
from training.backends.foundry.place import AzurePlace
from training.backends.local import folder
from training.hyperparameters import Service
from training.planning.costs import Hosted

log = logging.getLogger("errata.foundry")

STATE = "remote.json"
PATIENCE_SECONDS = 3600.0
"""A deployment that has not answered for so long after it was begun is given up: it would cost money for ever."""

_QUESTION = "Say yes."


@dataclass(frozen=True)
class OpenAIEndpoints:
    """The endpoints of one account, each known by its folder.

    Attributes:
        clock: seconds since 1970.
    """

    place: AzurePlace
    looks: Looks
    clock: Callable[[], float] = time.time

    @property
    def account(self) -> Account:
        """Where they are."""
        return Account(self.place)

    def deploy(self, artefact: Artefact, directory: Path, model_name: str) -> Endpoint | None:
        """The endpoint of the model, once it answers; None until then.

        Raises:
            Conflict: the weights are here, or something else is served under this name.
            Refused, Unavailable: the provider will not serve it, or it has not answered within an hour.
        """
        if artefact.registered is None:
            raise Conflict("{model} has no model at the provider: train it with --backend openai.", model=model_name)
        if not self.looks.due(_key("deploy", directory)):
            return None
        try:
            return self._next(artefact, artefact.registered, directory, model_name)
        except Unreached as error:
            log.warning("a deployment could not be looked at: name=%s error=%s", model_name, type(error).__name__)
            self.looks.later(_key("deploy", directory), error.wait_seconds)
            self._be_patient(directory, model_name)
            return None

    def died(self, directory: Path, model_name: str) -> bool:
        """Whether a deployment that answered here is gone or has failed, as those of the developer tier do in a day."""
        state = folder.read_json(directory / STATE)
        if (state is not None and not state["answered"]) or not self.looks.due(_key("died", directory)):
            return False
        try:
            standing = self.account.deployment(model_name)
        except Unavailable as error:  # what the provider does not say, nobody knows
            log.warning("an endpoint could not be looked at: name=%s error=%s", model_name, type(error).__name__)
            return False
        if standing is not None and not standing.failed and (state is not None or standing.ours):
            if state is None:  # its folder was lost: looked after from here from now on
                directory.mkdir(parents=True, exist_ok=True)
                _keep(directory, name=model_name, began=self.clock(), answered=True)
            return False
        self.looks.again(_key("deploy", directory))
        return True

    def undeploy(self, directory: Path, model_name: str) -> bool:
        """Take the deployment away; whether it is gone. Raises Refused and Unreached."""
        known = (directory / STATE).exists()
        if not self.looks.due(_key("undeploy", directory)):
            return False
        standing = self.account.deployment(model_name)
        if standing is None or not (known or standing.ours):
            (directory / STATE).unlink(missing_ok=True)
            for purpose in ("deploy", "died", "undeploy"):
                self.looks.again(_key(purpose, directory))
            return True
        if standing.state != "deleting":
            self.account.undeploy(model_name)
        return False

    def reply(self, endpoint: Endpoint, conversation: Conversation) -> str:
        """The deployed model's most probable reply.

        Raises:
            Refused, Unreached: the provider says no, or nothing; Unavailable: it says nothing in its reply.
        """
        turns = [{"role": one.role.value, "content": one.content} for one in conversation.messages]
        said = self._asked(endpoint.model, turns)
        if not said:
            raise Unavailable("The endpoint of {model} gives an empty reply.", model=endpoint.model)
        return said

    def hosted(self) -> list[Hosted]:
        """The deployments of tuned models in the account, which cost by the hour. Raises Refused and Unreached."""
        return [
            Hosted(
                name=one.name,
                kind="deployment",
                since=one.since,
                hourly=0.0 if one.free else None,
                run_id=one.run_id,
                undeploy_command=undeploying(self.place, one.name, one.run_id),
            )
            for one in self.account.deployments()
            if one.tuned
        ]

    def key(self) -> str:
        """A token for whoever asks the endpoint beside the SDK; never to be stored. Raises Refused and Unreached."""
        return fetch_token(COGNITIVE_SCOPE)

    def _next(self, artefact: Artefact, model: str, directory: Path, name: str) -> Endpoint | None:
        """One step on the way to an endpoint."""
        standing = self.account.deployment(name)
        if standing is None:
            self._begin(artefact, model, directory, name)
            return None
        if standing.model != model:
            raise Conflict(
                "The account already serves {other} under the name {name}: {command}",
                other=standing.model,
                name=name,
                command=remedies.delete_deployment(self.place, name),
            )
        if standing.failed:
            raise Unavailable(
                "Azure could not deploy {name}, mostly for want of capacity: {command}",
                name=name,
                command=remedies.list_account_usage(self.place),
            )
        if standing.state == "succeeded" and self._answers(name):
            began = (folder.read_json(directory / STATE) or {}).get("began", self.clock())
            _keep(directory, name=name, began=began, answered=True)
            self.looks.again(_key("deploy", directory))
            return Endpoint(openai_url(self.place).rstrip("/"), None, name)
        self._be_patient(directory, name)
        return None

    def _begin(self, artefact: Artefact, model: str, directory: Path, name: str) -> None:
        """Ask for the deployment; its name is kept before, so that it is found and taken down whatever happens."""
        directory.mkdir(parents=True, exist_ok=True)
        state = folder.read_json(directory / STATE)
        if state is None or state["answered"]:
            _keep(directory, name=name, began=self.clock(), answered=False)
        else:
            self._be_patient(directory, name)  # its PUT may have been lost again and again
        self.account.deploy(name, model, artefact.service or Service())
        log.info("a deployment was begun: name=%s", name)

    def _answers(self, name: str) -> bool:
        """Whether a question is answered: what the resource manager calls succeeded may not be ready for minutes."""
        try:
            self._asked(name, [{"role": "user", "content": _QUESTION}])
        except (Missing, Unreached):
            return False
        return True

    def _asked(self, name: str, turns: list[dict[str, str]]) -> str:
        """The reply, asked for once: whoever asks knows how long it may wait for one that says *later*."""
        asking = phrase("The question to {name}", name=name)
        body = {"model": name, "messages": turns, "temperature": 0}
        answer = api.asked(self.place, "chat/completions", asking, body)
        choices = answer.get("choices") or [{}]
        return str((choices[0].get("message") or {}).get("content") or "")

    def _be_patient(self, directory: Path, name: str) -> None:
        """Raise Unavailable where it has taken too long."""
        state = folder.read_json(directory / STATE)
        if state is None or state["answered"]:  # somebody else began it, or it answers no longer
            directory.mkdir(parents=True, exist_ok=True)
            _keep(directory, name=name, began=self.clock(), answered=False)
        elif self.clock() - state["began"] > PATIENCE_SECONDS:
            raise Unavailable(
                "The deployment {name} has not answered within {minutes:,.0f} minutes: {command}",
                name=name,
                minutes=PATIENCE_SECONDS / 60,
                command=remedies.show_deployment(self.place, name),
            )


def _keep(directory: Path, *, name: str, began: float, answered: bool) -> None:
    folder.write_json(directory / STATE, {"name": name, "began": began, "answered": answered})


def _key(purpose: str, directory: Path) -> str:
    return f"{purpose}:{directory}"
