"""Endpoints side by side: ours and ``transformers serve``, the same merged model, the same questions, in one run.

Each server is a process of its own and they take turns. A client asks one question after the other and reads the
stream; what counts is the time to the first words, and the tokens of all clients per second, by the clock and by the
server's processor time. The peer is measured as it comes and with continuous batching, and its better figure counts.
``make bench-endpoint`` prints JSON lines.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"slice": (32, 1, 2), "tiny": (256, 4, 4)}
"""Width, layers and heads."""
VOCABULARY, WINDOW = 8000, 2048
CLIENTS = (1, 16)
OURS = "errata"
PEERS = {"transformers_serve": [], "transformers_serve_continuous": ["--continuous-batching"]}
_BETTER: dict[str, Callable[..., float]] = {"ttft_ms": min, "tokens_per_s": max, "tokens_per_cpu_s": max}
"""Whether less is better, or more. Seconds of the processor say the same on a machine that others use as well."""
START_SECONDS, REPLY_SECONDS = 120.0, 300.0


@dataclass
class Heard:
    """What the clients of one round were told, and how fast."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    tokens: int = 0
    first_seconds: list[float] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)


def main() -> None:
    """Let the servers take turns and print what they did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--questions", type=int, default=4, help="of each client in a round")
    parser.add_argument("--tokens", type=int, default=64, help="of each reply")
    options = parser.parse_args()
    figures = measure(options.size, rounds=options.rounds, questions=options.questions, tokens=options.tokens)
    for figure in figures:
        print(json.dumps(figure), flush=True)


def measure(
    size: str,
    *,
    rounds: int,
    questions: int,
    tokens: int,
    clients: Sequence[int] = CLIENTS,
    servers: Sequence[str] = (OURS, *PEERS),
) -> list[dict[str, Any]]:
    """The best round of each server with so many clients, and our ratio to the better of the peers."""
    best: dict[tuple[str, int], dict[str, float]] = {}
    with TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        prepare(model, size)
        for turn in range(rounds):
            said: dict[str, str] = {}
            for server in servers:
                with _serving(server, model, Path(folder) / f"{server}-{turn}") as (url, name, process):
                    asyncio.run(_round(url, name, 1, 2, tokens))  # warm: the first question pays for much
                    for count in clients:
                        before = _cpu_seconds(process)
                        heard = asyncio.run(_round(url, name, count, questions, tokens))
                        heard.cpu_seconds = _cpu_seconds(process) - before
                        _keep_best(best, (server, count), heard)
                        _same_words(said, heard.texts, server)
                        print(f"round {turn + 1}: {server} {count} {best[server, count]}", file=sys.stderr)
    return list(_figures(best, clients, servers))


def prepare(model: Path, size: str) -> None:
    """A random model of this size that plain transformers loads."""
    code = (
        "import sys; from pathlib import Path; from training.backends.local.tuning.rehearsal import build_base; "
        "from training.hyperparameters import RehearsalModel; from tests.benchmarks.dialogues import dialogues; "
        "path, hidden, layers, heads, vocabulary, window = sys.argv[1:]; "
        "texts = [turn['content'] for row in dialogues(400, seed=1) for turn in row['messages']]; "
        "build_base(Path(path), texts, RehearsalModel(int(hidden), int(layers), int(heads), int(vocabulary)), "
        "window=int(window), seed=1)"
    )
    numbers = [str(number) for number in (*SIZES[size], VOCABULARY, WINDOW)]
    subprocess.run([sys.executable, "-c", code, str(model), *numbers], cwd=ROOT, check=True, capture_output=True)  # noqa: S603 (our own code)


@contextmanager
def _serving(server: str, model: Path, folder: Path) -> Iterator[tuple[str, str, int]]:
    """The server's URL, its name for the model, and its process."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    if server == OURS:
        entry = {"name": "run", "path": str(model), "adapter": None}
        (folder / "request.json").write_text(json.dumps({"models": [entry], "port": port}))
        begin = ["training.backends.local.begin", "training.backends.local.serving.endpoint"]
        command, name = [sys.executable, "-m", *begin, str(folder)], "run"
    else:
        serve = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model), "--port", str(port)]
        command, name = [*serve, "--device", "cpu", *PEERS[server]], str(model)
    with (folder / "log.txt").open("wb") as log:
        # As our launcher starts it; whoever spins while idle would slow the clients beside it.
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)  # noqa: S603 (ours, and the installed peer)
    try:
        _until_healthy(f"http://127.0.0.1:{port}/health", process, folder / "log.txt")
        yield f"http://127.0.0.1:{port}/v1", name, process.pid
    finally:
        process.terminate()
        process.wait()


def _cpu_seconds(process: int) -> float:
    """What all threads of the process have used so far: fields 14 and 15 of proc(5)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False, timeout=2).is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise SystemExit(f"A server did not start: {log.read_text()[-2000:]}")


async def _round(url: str, model: str, clients: int, questions: int, tokens: int) -> Heard:
    """So many clients at once, each asking its questions one after the other."""
    heard = Heard()

    async def ask_all(line: httpx.AsyncClient, client: int) -> None:
        for number in range(questions):
            await _ask(
                line, url, model, f"Client {client} asks for invoice {number}: what does it cost?", tokens, heard
            )

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(trust_env=False, timeout=REPLY_SECONDS, limits=limits) as line:
        began = time.perf_counter()
        await asyncio.gather(*(ask_all(line, client) for client in range(clients)))
        heard.seconds = time.perf_counter() - began
    return heard


async def _ask(line: httpx.AsyncClient, url: str, model: str, question: str, tokens: int, heard: Heard) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": question}], "max_tokens": tokens, "stream": True}
    body["stream_options"] = {"include_usage": True}
    began, text, counted = time.perf_counter(), "", None
    async with line.stream("POST", f"{url}/chat/completions", json=body) as answer:
        answer.raise_for_status()
        async for row in answer.aiter_lines():
            if not row.startswith("data: {"):
                continue
            chunk = json.loads(row.removeprefix("data: "))
            counted = (chunk.get("usage") or {}).get("completion_tokens", counted)
            for choice in chunk.get("choices", ()):
                piece = choice["delta"].get("content") or ""
                if piece and not text:
                    heard.first_seconds.append(time.perf_counter() - began)
                text += piece
    heard.texts[question] = text
    # A server that does not count has said as many as it was asked for: this model hardly ever stops by itself.
    heard.tokens += counted or tokens


def _keep_best(best: dict[tuple[str, int], dict[str, float]], key: tuple[str, int], heard: Heard) -> None:
    found = {
        "ttft_ms": 1000 * statistics.median(heard.first_seconds),
        "tokens_per_s": heard.tokens / heard.seconds,
        "tokens_per_cpu_s": heard.tokens / max(heard.cpu_seconds, 0.01),
    }
    before = best.get(key, found)
    best[key] = {name: round(_BETTER[name](value, before[name]), 1) for name, value in found.items()}


def _same_words(said: dict[str, str], texts: dict[str, str], server: str) -> None:
    """Say where a server replies something else: then it did other work."""
    # A last character that never became whole is shown by some and left out by others.
    whole = {question: text.rstrip("\ufffd") for question, text in texts.items()}
    other = [question for question, text in whole.items() if said.setdefault(question, text) != text]
    if other:
        print(f"{server}: {len(other)} of {len(texts)} replies differ from those before", file=sys.stderr)


def _figures(
    best: dict[tuple[str, int], dict[str, float]], clients: Sequence[int], servers: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for count in clients:
        for name, better in _BETTER.items():
            row = {server: best[server, count][name] for server in servers}
            figure = {"name": f"endpoint.{name}", "clients": count, **row}
            peers = [value for server, value in row.items() if server != OURS]
            if peers:
                peer = better(peers)
                ratio = peer / row[OURS] if better is min else row[OURS] / peer
                figure |= {"ratio": round(ratio, 2), "goal": 1.0, "met": ratio >= 1}
            yield figure


if __name__ == "__main__":
    main()
