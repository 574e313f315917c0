"""The demo's stand-in for a production model: a toy that learns the sample by heart, mistakes included.

It trains with the local backend while the team is at work, and plays the checkpoint that
``ERRATA_PRODUCTION_MODEL`` names on a real installation.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from bot.sandbox.sample_workspace import SampleSpeaker, SampleWorkspace
from curation.conversation import Conversation, Message, Role
from curation.errors import Unavailable
from curation.formats.exports import json_line, write_atomically
from training.backends.base import Base, Job
from training.backends.local.backend import LocalBackend
from training.recipe import load_recipe

ROLES = {SampleSpeaker.CUSTOMER: Role.USER, SampleSpeaker.ASSISTANT: Role.ASSISTANT}
TRAIN_SECONDS = 600


class Production:
    """The training of the stand-in."""

    def __init__(self, folder: Path, sample: SampleWorkspace) -> None:
        self._sample = sample
        self._backend = LocalBackend()
        self._data = folder / "production.jsonl"
        self._job = Job(
            run_id="production",
            base=Base("rehearsal"),
            recipe=load_recipe("rehearsal-production"),
            train=self._data,
            validation=self._data,
            directory=folder / "production",
        )
        self._started = 0.0
        self.seconds = 0.0

    def start(self) -> None:
        """Start training in a process of its own."""
        write_atomically(self._data, self._lines())
        self._started = time.monotonic()
        self._backend.submit(self._job)

    def stop(self) -> None:
        """End the training, if it still runs."""
        self._backend.cancel(self._job)

    def wait(self, console: Console) -> None:
        """Wait until it has learned the sample.

        Raises:
            Unavailable: it failed, or takes longer than ``TRAIN_SECONDS``.
        """
        with console.status("The toy production model is still learning the sample…") as status:
            while not (progress := self._backend.poll(self._job)).status.final:
                if time.monotonic() - self._started > TRAIN_SECONDS:
                    raise Unavailable(
                        f"The toy production model was not ready after {TRAIN_SECONDS} s; see its log.txt."
                    )
                if progress.curve:
                    status.update(f"The toy production model is still learning: loss {progress.curve[-1].loss:.3f}")
                time.sleep(0.3)
        if progress.reason is not None:
            raise Unavailable(f"The toy production model could not be trained: {progress.reason}")
        self.seconds = time.monotonic() - self._started

    def _lines(self) -> Iterator[bytes]:
        for conversation in self._sample.conversations:
            turns = tuple(
                Message(ROLES[turn.speaker], turn.text) for turn in conversation.turns if turn.speaker in ROLES
            )
            yield json_line({"messages": Conversation(turns).with_system(self._sample.system_prompt).as_json()})
