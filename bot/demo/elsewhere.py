"""The same story with the training in Azure AI Foundry, or rather in a sandbox on loopback that is shaped like it.

Owns what is told beside: the prerequisites, the second question, what costs money, and the clean-up, whose order the
provider dictates. Errata runs as it does on any machine with an Azure login, and knows of no sandbox.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bot.blocks import runs as run_blocks
from bot.demo.cast import staged
from bot.demo.colleagues import wait
from bot.demo.report import new_folder, write_report
from bot.demo.story import RUN_SECONDS, Story, evaluated, first_minute, the_rest, tune, with_correction
from bot.sandbox.sample_workspace import load_sample
from curation.errors import Unavailable
from curation.policies import RoleName
from training import deployments, runs
from training.recipe import load_recipe
from training.sandbox.azure import AzureSandbox
from training.summaries import RunSummary, of_run

MODEL = "phi-4-mini-instruct"
_ORDER = f"{MODEL} rehearsal-service foundry"
_COMMAND_SECONDS = 120


def run_in_azure(
    *, out: Path, correction: str | None = None, sample: Path | None = None, headless: bool, console: Console
) -> dict[str, Any]:
    """Play the loop as ``bot.demo.story.run_demo`` does, and return its report.

    Raises:
        Invalid, Unavailable: as there.
    """
    workspace, folder = with_correction(load_sample(sample), correction), new_folder(out)
    with (
        AzureSandbox(folder / "azure", recipe=load_recipe("rehearsal-production")) as azure,
        staged(workspace, folder, environ=azure.environ()) as cast,
    ):
        story = Story(cast, console, headless)
        told = _Elsewhere(story, azure.environ())
        story.tell("Azure", "is a sandbox on this machine: it trains a toy in place of each model, and costs nothing")
        told.prerequisites()
        first_minute(story)
        the_rest(story)
        summary = evaluated(story, tune(story, _ORDER))
        reply = told.deployed(summary)
        told.cleaned_up(summary)
        report = write_report(folder, cast, summary, reply, story.transcript)
    console.print(f"\nEverything is in {folder}: report.json, the dataset, the loss curve, what the sandbox was sent.")
    return report


@dataclass(frozen=True)
class _Elsewhere:
    """What the story has in Azure that it has not on one's own machine."""

    story: Story
    environ: Mapping[str, str]

    def prerequisites(self) -> None:
        """The operator looks before anybody spends anything."""
        self.story.chapter("Before a cent is spent")
        lines = self._command("doctor", "--foundry").splitlines()
        for line in lines:
            self.story.tell("Doctor", line)

    def deployed(self, summary: RunSummary) -> str:
        """The owner presses Deploy; what the endpoint said to the first question it was asked."""
        story = self.story
        cast, owner = story.cast, story.cast.staff_with(RoleName.OWNER)
        story.chapter("Deployed")
        message = wait(cast, lambda: cast.message_with(run_blocks.DEPLOY), "the Deploy button")
        owner.click(cast.channel, message["ts"], run_blocks.DEPLOY)
        story.tell(owner.name, "presses Deploy")
        wait(cast, lambda: cast.message_with("is live at"), "the deployment in the channel", seconds=RUN_SECONDS)
        with cast.store.read() as session:
            live = of_run(session, runs.find(session, summary.id))
            deployment = deployments.require_live(session, summary.id)
            question, reply = str(deployment.test_question), str(deployment.test_reply)
        story.tell("Errata", f"{live.id} is live at {live.endpoint}")
        story.tell("Question", question)
        story.tell("Endpoint", reply)
        story.tell("Costs", self._command("foundry", "costs"))
        return reply

    def cleaned_up(self, summary: RunSummary) -> None:
        """The endpoint first, then the model: the other way round is refused."""
        story = self.story
        cast, owner = story.cast, story.cast.staff_with(RoleName.OWNER)
        story.chapter("Cleaned up")
        story.tell(owner.name, f"errata delete {summary.id}")
        story.tell("Errata", self._command("delete", summary.id, "--yes", refused=True))
        owner.command("/errata", f"undeploy {summary.id}", cast.channel)
        story.tell(owner.name, f"/errata undeploy {summary.id}")
        wait(cast, lambda: cast.message_with("is no longer live"), "the end of the deployment", seconds=RUN_SECONDS)
        story.tell(owner.name, f"errata delete {summary.id}")
        story.tell("Errata", self._command("delete", summary.id, "--yes"))
        story.tell("Costs", self._command("foundry", "costs"))

    def _command(self, *words: str, refused: bool = False) -> str:
        """What ``errata …`` prints on the owner's behalf, in a process with the sandbox's environment.

        Raises:
            Unavailable: it went otherwise than the story tells.
        """
        cast, owner = self.story.cast, self.story.cast.staff_with(RoleName.OWNER)
        environ = {**os.environ, **self.environ, "ERRATA_HOME": str(cast.home), "ERRATA_ACTOR": cast.id_of(owner)}
        ended = subprocess.run(  # noqa: S603 (our own program)
            [sys.executable, "-m", "bot.cli", *words],
            env=environ,
            cwd=cast.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        said = (ended.stderr if refused else ended.stdout).strip()
        if (ended.returncode != 0) is not refused:
            raise Unavailable(f"errata {' '.join(words)} ended with {ended.returncode}: {ended.stderr.strip()[-300:]}")
        return said
