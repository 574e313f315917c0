"""The demo in the browser: the sample workspace as a page, where one is whoever one likes, until Ctrl+C.

Owns what the page offers, how long it stands, and that nothing outlives it. What the page is and who may use it
is ``bot.sandbox.page``'s.
"""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from bot.app import now
from bot.demo.cast import Cast, staged
from bot.demo.colleagues import judge_the_rest
from bot.demo.production import Production
from bot.demo.report import new_folder
from bot.demo.story import DATASET, HELD_OUT
from bot.listeners.commands import COMMAND
from bot.listeners.correct import CORRECT, ENDORSE
from bot.listeners.review import SHORTCUT as REVIEW
from bot.sandbox.page import Seat, Setting, Step, open_page
from bot.sandbox.sample_workspace import load_sample
from curation.policies import RoleName
from training import deployments, runs
from training.deployments import DeploymentStatus
from training.runs import RunStatus

SHORTCUTS = (("Correct this reply", CORRECT), ("Endorse this reply", ENDORSE))
"""As in app-manifest.yaml, which is not installed with the package; so is the next."""

GLOBAL_SHORTCUTS = (("Review corrections", REVIEW),)

END_SECONDS = 30
_LOOK_SECONDS = 0.2


def run_page(*, out: Path, sample: Path | None = None, console: Console) -> None:
    """Serve the sample workspace as a page and say where, until SIGINT or SIGTERM.

    Args:
        sample: a folder with a sample workspace of one's own.

    Raises:
        Invalid: the sample is not one, or ``out`` holds other files.
        Unavailable: a process did not start.
    """
    workspace, folder = load_sample(sample), new_folder(out)
    with _interrupted() as interrupted, staged(workspace, folder, events=True) as cast:
        production = Production(folder, workspace)
        production.start()
        try:
            address = open_page(cast.workspace, setting_of(cast, production), key=secrets.token_urlsafe(16))
            console.print(f"The workspace is at {address}", soft_wrap=True, highlight=False)
            console.print("Correct, review and train there as whoever you like. Ctrl+C ends it.", highlight=False)
            interrupted.wait()
            console.print("Ending…")
        finally:
            production.stop()
            _end_runs(cast)
    console.print(f"Everything is in {folder}: the database, the datasets, the runs' files.", highlight=False)


def setting_of(cast: Cast, production: Production) -> Setting:
    """The page's seats, shortcuts and steps for this cast."""

    def let_the_others_judge() -> str:
        done = judge_the_rest(cast)
        production.wait(Console(quiet=True))
        return f"{done} The toy model in production is ready to be tuned."

    first = next(conversation for conversation in cast.sample.conversations if conversation.first)
    agent = cast.staff_with(RoleName.AGENT, first.language).user_id
    reviewer = cast.staff_with(RoleName.REVIEWER, first.language).user_id
    owner = cast.staff_with(RoleName.OWNER).user_id
    bot = cast.sample.assistant_name
    steps = (
        Step(
            f"{bot} told {first.customer} something wrong. Open ⋮ beside the reply and choose “{SHORTCUTS[0][0]}”.",
            agent,
            cast.channel,
            cast.threads[first.id],
        ),
        Step("Press *Review* at the end of the channel, see what changes, and approve it.", reviewer, cast.channel),
        Step(
            f"Press here to have your colleagues judge the other {len(cast.sample.conversations) - 1} replies.",
            owner,
            cast.channel,
            does=let_the_others_judge,
        ),
        Step(f"Write `{COMMAND} freeze {DATASET} {HELD_OUT}`", owner, cast.channel),
        Step(
            f"Write `{COMMAND} train {DATASET} production rehearsal-tune` and watch its message change.",
            owner,
            cast.channel,
        ),
        Step(f"Read the evaluation. Deploy, or correct more. `{COMMAND} help` lists the rest.", owner, cast.channel),
    )
    return Setting(
        title=f"{cast.sample.product.name} support",
        seats=[Seat(cast.staff[person.name], person.role.value) for person in cast.sample.people],
        shortcuts=SHORTCUTS,
        global_shortcuts=GLOBAL_SHORTCUTS,
        commands=(COMMAND,),
        steps=steps,
    )


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that what was begun is ended in order."""
    event = threading.Event()
    before = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_runs(cast: Cast) -> None:
    """Cancel what trains and take down what is live: trainers and endpoints are made to outlive their worker."""
    owner = cast.actor(cast.staff_with(RoleName.OWNER))
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        with cast.store.write() as session:
            unfinished = runs.unfinished(session)
            for run in unfinished:
                if RunStatus(run.status) is not RunStatus.CANCELLING:
                    runs.cancel(session, owner, now(), run_id=run.id)
            for deployment in deployments.with_status(session, DeploymentStatus.LIVE):
                deployments.retire(session, owner, now(), run_id=deployment.run_id)
            starting, ending = DeploymentStatus.REQUESTED, DeploymentStatus.RETIRING
            if not runs.unfinished(session) and not deployments.with_status(session, starting, ending):
                return
        time.sleep(_LOOK_SECONDS)
