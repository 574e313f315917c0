"""The image's steps without a container engine: ``python tests/container_steps.py``.

Carries out what the Dockerfile's stages ``wheel`` and ``installed`` say, its own lines, in an empty folder that stands
for the image's root; then starts what compose.yaml starts, with its command lines and health checks, on a real
PostgreSQL and against the sandbox's Slack. Owns the reading of both files. Refuses to prove what only an engine can:
the user, the read-only root, the network.
"""

# ruff: noqa: T201 (it tells what it does)
from __future__ import annotations

import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import yaml

from bot.sandbox.workspace import Workspace

ROOT = Path(__file__).parents[1]
IMAGE_FOLDERS = ("/src", "/wheels", "/opt/errata", "/var/lib/errata", "/home/errata")


@dataclass(frozen=True)
class Instruction:
    """One instruction: ``("wheel", "RUN", "pip wheel …")``."""

    stage: str
    name: str
    value: str


def instructions() -> list[Instruction]:
    """The Dockerfile's instructions in order, comments left out and continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: list[Instruction] = []
    stage = ""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        name, _, value = line.strip().partition(" ")
        if name == "FROM":
            stage = value.split(" AS ")[1]
        if name:
            found.append(Instruction(stage, name, value.strip()))
    return found


def services() -> dict[str, dict[str, Any]]:
    """The services of compose.yaml, merged."""
    composed: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return composed["services"]


def build(image: Path) -> None:
    """Fill ``image`` as the Dockerfile's torch-free stages do."""
    subprocess.run([sys.executable, "-m", "venv", image / "python"], check=True)  # noqa: S603 (our interpreter)
    environ = {**os.environ, "PATH": f"{image / 'python' / 'bin'}:{os.environ['PATH']}"}
    for folder in IMAGE_FOLDERS:
        (image / folder[1:]).parent.mkdir(parents=True, exist_ok=True)
    (image / "src").mkdir()
    for one in instructions():
        if one.stage not in {"wheel", "installed"}:
            continue
        if one.name == "COPY" and "--from" not in one.value:
            _copy(one.value.split(), image)
        elif one.name == "RUN":
            command = _inside(one.value, image)
            print("+", one.value)
            subprocess.run(command, shell=True, check=True, cwd=image / "src", env=environ)  # noqa: S602 (our own file)


def _copy(parts: list[str], image: Path) -> None:
    *sources, target = parts
    base = image / target[1:] if target.startswith("/") else image / "src" / target
    for source in sources:
        to = base / source if target == "./" else base
        to.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / source, to)


def _inside(command: str, image: Path) -> str:
    """The command with the image's folders where they stand here."""
    for folder in IMAGE_FOLDERS:
        command = re.sub(rf"(?<![\w.-]){re.escape(folder)}(?![\w-])", f"{image}{folder}", command)
    return command


class Installation:
    """What was built, with what compose gives its services."""

    def __init__(self, image: Path, workspace: Workspace, database_url: str) -> None:
        self.health = _free_port()
        self._bin = image / "opt" / "errata" / "bin"
        self._cwd = image / "home" / "errata"
        self._cwd.mkdir(parents=True)
        self._environ = {
            "PATH": f"{self._bin}:/usr/bin:/bin",
            "HOME": str(self._cwd),
            "ERRATA_HOME": str(image / "var" / "lib" / "errata"),
            "ERRATA_DATABASE_URL": database_url,
            "SLACK_API_URL": workspace.api_url,
            "SLACK_BOT_TOKEN": workspace.bot_token,
            "SLACK_SIGNING_SECRET": workspace.signing_secret,
        }

    def start(self, service: str) -> subprocess.Popen[str]:
        """What the service runs."""
        command = ["errata", *map(self._here, services()[service]["command"])]
        print("+", shlex.join(command))
        return self._popen(command)

    def check(self, service: str) -> int:
        """The exit code of the service's health check."""
        _, *command = services()[service]["healthcheck"]["test"]
        return self._popen([self._here(word) for word in command]).wait(10)

    def run(self, *command: str) -> str:
        """What a command prints."""
        process = self._popen(list(command))
        out, err = process.communicate(timeout=120)
        if process.returncode:
            raise SystemExit(f"{shlex.join(command)} ended with {process.returncode}: {err}")
        return out

    def _popen(self, command: list[str]) -> subprocess.Popen[str]:
        found = shutil.which(command[0], path=self._environ["PATH"]) or command[0]
        return subprocess.Popen(  # noqa: S603 (what our own files say)
            [found, *command[1:]],
            env=self._environ,
            cwd=self._cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _here(self, word: str) -> str:
        return word.replace("127.0.0.1:8081", f"127.0.0.1:{self.health}").replace("0.0.0.0:8080", "127.0.0.1:0")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def _up(installed: Installation, service: str) -> Iterator[subprocess.Popen[str]]:
    """The service, healthy, and its end within the time that compose grants."""
    process = installed.start(service)
    try:
        deadline = time.monotonic() + 60
        while installed.check(service) != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise SystemExit(f"{service} is not healthy: {process.communicate()[1]}")
        yield process
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=15)
        if process.returncode:
            raise SystemExit(f"{service} ended with {process.returncode}: {err}")
    finally:
        process.kill()


def serve(image: Path, workspace: Workspace, database_url: str) -> Mapping[str, Any]:
    """Migrate, serve and work as compose.yaml does; what ``/readyz`` says of the two."""
    installed = Installation(image, workspace, database_url)
    packages = installed.run("python", "-m", "pip", "list")
    if re.search(r"^(torch|transformers)\b", packages, re.MULTILINE):
        raise SystemExit("The base image has torch in it.")
    print(installed.run("errata", *services()["migrate"]["command"]).strip())
    ready: dict[str, Any] = {}
    for service in ("web", "worker"):
        with _up(installed, service) as process:
            ready[service] = httpx.get(f"http://127.0.0.1:{installed.health}/readyz", trust_env=False).json()
            if service == "web" and process.stdout is not None:
                workspace.deliver_to(f"{process.stdout.readline().split()[-1]}/slack/events")
                ana = workspace.add_person("Ana")
                answer = ana.command("/errata", "help", workspace.add_channel("support", [ana]))
                print("/errata help →", str(answer["text"]).splitlines()[0])
    return ready


def main() -> None:
    """Build and serve in folders that are gone afterwards."""
    from postgres import running  # noqa: PLC0415 (a test's own PostgreSQL; reading the files needs none)

    workspace = Workspace(now=lambda: datetime.now(UTC), rng=random.Random(7))
    with TemporaryDirectory(prefix="errata-image-") as folder, workspace.serve(), running() as database:
        began = time.monotonic()
        build(Path(folder))
        print(f"built in {time.monotonic() - began:.0f} s")
        database.execute("CREATE DATABASE errata")
        ready = serve(Path(folder), workspace, database.url("errata"))
    print(ready)
    if not all(one["ready"] for one in ready.values()):
        raise SystemExit("A service is not ready.")


if __name__ == "__main__":
    main()
