"""An endpoint seen from outside: its process is started, watched and stopped, and its model is asked.

Owns what counts as dead, and that a model started again in its folder takes its former port where that is free: whoever
was told the address keeps it. What people wrote goes past every proxy. Imports no torch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from curation.conversation import Conversation
from curation.errors import Conflict, Unavailable
from curation.wording import phrase, unpacked
from training.backends.base import Endpoint, Guess
from training.backends.local import folder, launcher
from training.backends.local.serving.entries import Entry

STOP_SECONDS = 10
"""A process that was asked to end gets so long."""
MISSES = 6
"""Looks in a row that an endpoint has to leave unanswered until it counts as dead."""
_LOOK_SECONDS = 2
_MODULE = "training.backends.local.serving.endpoint"

_Read = TypeVar("_Read")


@dataclass
class Standing:
    """The endpoints of this machine.

    Attributes:
        start_timeout_seconds: how long one may take to load its model.
        reply_timeout_seconds: how long a reply is waited for.
        classify_timeout_seconds: how long labels are, which the worker does between its other work.
        patience_seconds: one that has been silent for so long counts as dead.
    """

    start_timeout_seconds: float = 180
    reply_timeout_seconds: float = 120
    classify_timeout_seconds: float = 30
    patience_seconds: float = 60
    _looks: dict[Path, tuple[float, int]] = field(default_factory=dict)

    def start(self, entries: Sequence[Entry], directory: Path, *, port: int = 0, attended: bool = False) -> Endpoint:
        """Serve several models or adapters from one detached process, each base loaded once.

        Args:
            entries: at least one; the first one's name is the endpoint's.
            directory: of the process; one that is served there already is reused.
            port: on the loopback interface; 0 takes the former one of the directory, or any that is free.
            attended: it ends with the process that asks.

        Raises:
            Conflict: something else is served there; Unavailable: it does not start.
        """
        model_name = entries[0].name
        directory.mkdir(parents=True, exist_ok=True)
        wanted = {
            "models": [entry.as_json() for entry in entries],
            "port": port,
            "parent": os.getpid() if attended else None,
        }
        if self.died(directory):
            launcher.stop(directory, wait_seconds=_LOOK_SECONDS)
        served = folder.read_json(directory / folder.REQUEST)
        if not launcher.lives(directory):
            former = folder.read_json(directory / folder.READY) or {"port": 0}
            (directory / folder.RESULT).unlink(missing_ok=True)
            folder.write_json(directory / folder.REQUEST, {**wanted, "former": former["port"]})
            launcher.launch(_MODULE, directory)
        elif served is not None and any(served.get(key) != value for key, value in wanted.items()):
            raise Conflict(
                "{folder} serves {served}; undeploy it before {model}.",
                folder=directory.name,
                served=tuple(one["name"] for one in served.get("models", ())),
                model=model_name,
            )
        return self._wait_until_healthy(directory, model_name)

    def died(self, directory: Path) -> bool:
        """Whether a process said here that it answers, was not stopped by us, and is gone or has long been silent."""
        ready = folder.read_json(directory / folder.READY)
        return ready is not None and (not launcher.lives(directory) or self._silent(directory, ready["port"]))

    def stop(self, directory: Path) -> None:
        """End the process and wait until it is gone."""
        launcher.stop(directory, wait_seconds=STOP_SECONDS)
        (directory / folder.READY).unlink(missing_ok=True)

    def reply(self, endpoint: Endpoint, conversation: Conversation) -> str:
        """The model's most probable reply.

        Raises:
            Unavailable: none comes.
        """
        body = {"temperature": 0, "messages": _turns(conversation)}
        path, seconds = "chat/completions", self.reply_timeout_seconds
        return _asked(endpoint, path, body, seconds, lambda row: str(row["choices"][0]["message"]["content"]))

    def classify(self, endpoint: Endpoint, conversations: Sequence[Conversation]) -> list[tuple[Guess, ...]]:
        """What a classifier says of each conversation, the most probable answer first.

        Raises:
            Unavailable: nothing comes.
        """

        def guesses(row: Any) -> list[tuple[Guess, ...]]:
            found = [
                tuple(Guess(one["label"], one["probability"]) for one in each["labels"]) for each in row["results"]
            ]
            if len(found) != len(conversations):
                raise ValueError(len(found))
            return found

        body = {"conversations": [_turns(one) for one in conversations]}
        return _asked(endpoint, "classify", body, self.classify_timeout_seconds, guesses)

    def _silent(self, directory: Path, port: int) -> bool:
        """Whether it has not answered in a long time; it is asked now and then."""
        every, now = self.patience_seconds / MISSES, time.monotonic()
        looked_at, missed = self._looks.get(directory, (float("-inf"), 0))
        if now - looked_at >= every:
            missed = 0 if _healthy(port, min(_LOOK_SECONDS, every)) else missed + 1
            self._looks[directory] = now, missed
        return missed >= MISSES

    def _wait_until_healthy(self, directory: Path, model_name: str) -> Endpoint:
        self._looks.pop(directory, None)
        deadline = time.monotonic() + self.start_timeout_seconds
        while time.monotonic() < deadline:
            ready, process = (folder.read_json(directory / name) for name in (folder.READY, folder.PROCESS))
            # What a dead endpoint left would send the caller to somebody else's port.
            is_new = ready is not None and process is not None and ready["pid"] == process["pid"]
            if ready is not None and is_new and _healthy(ready["port"], _LOOK_SECONDS):
                return Endpoint(f"http://127.0.0.1:{ready['port']}/v1", ready["pid"], model_name)
            if not launcher.lives(directory):
                result = folder.read_json(directory / folder.RESULT) or {}
                reason = unpacked(result.get("reason") or "") or phrase(
                    "its last line was: {words}", words=launcher.last_words(directory)
                )
                raise Unavailable("The endpoint of {model} did not start: {reason}", model=model_name, reason=reason)
            time.sleep(0.1)
        self.stop(directory)
        raise Unavailable(
            "The endpoint of {model} did not answer within {seconds:g} seconds; see {log} in {folder}.",
            model=model_name,
            seconds=self.start_timeout_seconds,
            log=folder.LOG,
            folder=directory,
        )


def _asked(
    endpoint: Endpoint, path: str, body: dict[str, Any], timeout_seconds: float, read: Callable[[Any], _Read]
) -> _Read:
    """What is read from the endpoint's answer."""
    asked = {"model": endpoint.model, **body}
    try:
        answer = httpx.post(f"{endpoint.url}/{path}", json=asked, timeout=timeout_seconds, trust_env=False)
        if not answer.is_success:
            sentence = str(answer.json()["error"]["message"])
            raise Unavailable(
                "The endpoint of {model} refused the test query: {sentence}", model=endpoint.model, sentence=sentence
            )
        return read(answer.json())
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        # Whoever took its port after it ended says something else.
        raise Unavailable(
            "The endpoint of {model} at {address} does not answer; deploy it again.",
            model=endpoint.model,
            address=endpoint.url,
        ) from error


def _turns(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": one.role.value, "content": one.content} for one in conversation.messages]


def _healthy(port: int, timeout_seconds: float) -> bool:
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/health", timeout=timeout_seconds, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.is_success
