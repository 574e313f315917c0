"""The demo as a page: when it is one, and that nothing of it is left when it ends."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from bot.cli import run

END_SECONDS = 60
_ADDRESS = re.compile(rb"http://127\.0\.0\.1:\d+/page/[\w-]+/")


def told(terminal: int, pattern: re.Pattern[bytes]) -> str:
    """What the terminal shows, as soon as it matches."""
    shown = b""
    while (found := pattern.search(shown)) is None:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # how Linux says that nobody holds the other end any more
            pytest.fail(f"the demo has ended:\n{shown.decode(errors='replace')}")
    return found[0].decode()


def left_of(folder: Path) -> list[str]:
    """The processes that name this folder."""
    listed = subprocess.run(["ps", "-eww", "-o", "pid=,args="], capture_output=True, text=True, check=True)  # noqa: S607
    return [line for line in listed.stdout.splitlines() if str(folder) in line]


@pytest.mark.slow
def test_on_a_terminal_the_demo_is_a_page_and_ctrl_c_ends_it_and_what_trains(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    out = tmp_path / "out"
    command = [sys.executable, "-m", "bot.cli", "demo", "--out", str(out)]
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    with subprocess.Popen(  # noqa: S603 (our own program)
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        address = told(ours, _ADDRESS)
        assert httpx.get(address, trust_env=False, timeout=30).status_code == 200
        deadline = time.monotonic() + END_SECONDS
        while not left_of(out / "production") and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left_of(out / "production"), "the toy in production should be in training"
        process.send_signal(signal.SIGINT)
        told(ours, re.compile(rb"Everything is in"))
        assert process.wait(END_SECONDS) == 0
    os.close(ours)
    while left_of(out) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left_of(out) == []


@pytest.mark.parametrize(
    "options", [["--headless"], ["--correction", "Unplug it."]], ids=["with headless", "with a correction"]
)
def test_a_page_and_a_loop_that_plays_itself_exclude_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    out = tmp_path / "out"
    assert run(["demo", "--browser", "--out", str(out), *options]) == 2
    assert "in the page you do everything yourself" in capsys.readouterr().err
    assert not out.exists()
