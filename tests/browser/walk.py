"""The walk through the page that the test takes and the pictures are of: correct, review, train, notice, App Home.

Owns the order and the words. What the database must hold afterwards is the test's.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from visitor import Visitor

# Near enough to the reply to be shown as a difference.
CORRECTION = (
    "No, please don't! E3 means the motor is far too warm. Switch it off and unplug it now. With both the code and the "
    "smell it isn't safe: we replace it free of charge."
)
TRAIN_SECONDS = 300.0
JUDGE_SECONDS = 400.0

MODEL = "production rehearsal-tune"
FORM_ATTEMPTS = 4
PRESS_AGAIN = "press the button again"
REPLY = "#thread .message:nth-of-type(2)"

_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/page/\S+")


@contextmanager
def served(out: Path, *, sample: Path | None = None) -> Iterator[str]:
    """``errata demo --browser`` in a process of its own; the address it prints."""
    command = [sys.executable, "-u", "-m", "bot.cli", "demo", "--browser", "--out", str(out)]
    if sample is not None:
        command += ["--sample", str(sample)]
    environment = {**os.environ, "COLUMNS": "200"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = _ADDRESS.search(line)
            assert found is not None, line
            yield found[0]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
    assert process.returncode == 0


def correct(visitor: Visitor) -> None:
    """Jonas finds the wrong reply and corrects it; Errata first refuses an empty reply below its field."""
    visitor.becomes("Jonas, agent")
    visitor.presses("Open the thread: 1 reply", "#room .message:last-child")
    visitor.points_at("Yes, that's fine!", "#thread .message")
    _open_form(visitor)
    visitor.writes("What should it have said?", " ")
    visitor.presses("Save", "#modal")
    visitor.sees("empty", "#modal .error")
    visitor.writes("What should it have said?", CORRECTION)
    visitor.until(lambda: not visitor.words("#modal .error").strip(), "a field that is forgiven")
    visitor.chooses("What is wrong?", "Unsafe")
    visitor.writes("Topic", "device")
    visitor.picture("browser-correct")
    visitor.presses("Save", "#modal")
    visitor.until(lambda: not visitor.words("#modal").strip(), "the channel again")


def _open_form(visitor: Visitor) -> None:
    """Choose the shortcut; where the machine is so busy that Errata asks to press again, press again."""
    for _ in range(FORM_ATTEMPTS):
        refusals = visitor.words("#thread").count(PRESS_AGAIN)
        visitor.presses("More actions", REPLY)
        visitor.presses("Correct this reply", "#menu")
        visitor.until(
            lambda before=refusals: (
                "It says E3" in visitor.words("#modal") or visitor.words("#thread").count(PRESS_AGAIN) > before
            ),
            "the form",
        )
        if "It says E3" in visitor.words("#modal"):
            return
    raise AssertionError("Errata did not open the form.")


def approve(visitor: Visitor) -> None:
    """Ingrid reviews what waits in the one modal for it; the channel's message then says that nothing does."""
    visitor.presses("Close the thread")
    visitor.becomes("Ingrid, reviewer")
    visitor.sees("1 waits for review", "#room")
    visitor.picture("browser-queue")
    visitor.presses("Review", "#room")
    visitor.sees("Jonas", "#modal")
    visitor.sees("What changes", "#modal")
    visitor.picture("browser-review")
    visitor.presses("Approve", "#modal")
    visitor.sees("You approved", "#modal")
    visitor.sees("Nothing is left for you to review", "#modal")
    visitor.presses("Close", "#modal")
    visitor.sees("Nothing waits for review", "#room")


def home(visitor: Visitor) -> None:
    """Priya looks at App Home, which Errata publishes when it is opened."""
    visitor.becomes("Priya, owner")
    visitor.presses("Home", "#side")
    visitor.until(lambda: visitor.words("#room .home .block"), "App Home")
    visitor.until(lambda: "has not published" not in visitor.words("#room"), "App Home as Errata publishes it")
    visitor.picture("browser-home")


def let_the_others_judge(visitor: Visitor) -> None:
    """The page's own step has the colleagues judge what is left."""
    visitor.presses_words("have your colleagues judge")
    visitor.sees("Your colleagues have corrected", "#toasts", JUDGE_SECONDS)


def train(visitor: Visitor, *, held_out: str = "5%") -> None:
    """Priya freezes a dataset and trains on it, until the channel tells what came of it."""
    visitor.becomes("Priya, owner")
    visitor.writes("Message #support-desk", f"/errata freeze support-v1 {held_out}", enter=True)
    visitor.sees("support-v1 is frozen", "#room")
    visitor.writes("Message #support-desk", f"/errata train support-v1 {MODEL}", enter=True)
    visitor.sees("is requested", "#room")
    visitor.sees("Only visible to you", "#room")
    visitor.sees("Evaluation of run-", "#room", TRAIN_SECONDS)
    visitor.sees("completed", "#room")
    visitor.scrolls_to("Evaluation of run-", "#room .message")
    visitor.picture("browser-notice")
