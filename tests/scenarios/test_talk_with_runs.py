"""Runs answer in a terminal: several at one endpoint, two side by side, and as vLLM would serve them."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import openai
import pytest
import torch
from peft import LoraConfig, get_peft_model
from shell import Shell
from sqlmodel import Session, select
from transformers import AutoModelForCausalLM, AutoTokenizer

from curation.store.engine import Store, open_engine
from curation.terminal import plain
from training.backends.local import folder, labels
from training.backends.local.tuning.rehearsal import build_base
from training.commands.playground import Playground
from training.commands.speaking import Speaker
from training.hyperparameters import RehearsalModel
from training.store.tables import Deployment, Run

SIZE = RehearsalModel(hidden=16, layers=1, heads=2, vocabulary=300)
TARGETS = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
QUESTION = "What does it cost?"


@dataclass(frozen=True)
class Room:
    """A shell with two completed runs of one base."""

    errata: Shell
    runs: tuple[str, str]
    base: Path
    home: Path


class Aloud:
    """A terminal that remembers what it shows; the rest of one is not asked for."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.noted: list[str] = []

    def say(self, text: str = "") -> None:
        self.said.append(plain(text))

    def note(self, text: str) -> None:
        self.noted.append(plain(text))


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, and what two trainings on it have left in ``job1`` and ``job2``."""
    folder = tmp_path_factory.mktemp("laid")
    build_base(folder / "base", ["Hello there, how may I help?"], SIZE, window=512, seed=1)
    for seed in (1, 2):
        lay_out(folder / f"job{seed}", folder / "base", seed)
    return folder


@pytest.fixture
def room(frozen: Shell, laid: Path, tmp_path: Path) -> Room:
    base, home = laid / "base", tmp_path / "home"
    ids = []
    for seed in (1, 2):
        code, out, err = frozen("train", "v1", "--detach", "--json", "--model", str(base))
        assert code == 0, err
        ids.append(json.loads(out)["id"])
        shutil.copytree(laid / f"job{seed}", home / "runs" / ids[-1] / "job")
    with database(home) as session:
        for run in session.exec(select(Run)):
            run.status = "completed"
    return Room(frozen, (ids[0], ids[1]), base, home)


@contextmanager
def database(home: Path) -> Iterator[Session]:
    """The database behind the shell, to write what no command does without a real training."""
    store = Store(open_engine(f"sqlite:///{home}/errata.db"))
    with store.write() as session:
        yield session
    store.close()


def lay_out(job: Path, base: Path, seed: int) -> None:
    """What a completed training leaves, without any training."""
    torch.manual_seed(seed)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=4, target_modules=TARGETS))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.add_(torch.randn_like(weight))
    model.save_pretrained(job / folder.ADAPTER, save_embedding_layers=False)
    model.merge_and_unload().save_pretrained(job / folder.MODEL)
    AutoTokenizer.from_pretrained(base).save_pretrained(job / folder.MODEL)
    folder.write_json(
        job / folder.RESULT, {"status": "completed", "adapter": True, "base_model": str(base), "steps": 1}
    )


@contextmanager
def endpoint_of(*arguments: str) -> Iterator[str]:
    """``errata endpoint`` in a terminal of its own, until kill -9; gives the URL that it says."""
    serving = subprocess.Popen(  # noqa: S603 (our own module, no shell)
        [sys.executable, "-m", "bot.cli", "endpoint", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        assert serving.stdout is not None
        said = serving.stdout.readline()
        assert " answers at http" in said, serving.communicate(timeout=30)[1]
        url = said.split(" answers at ")[1].split(";")[0]
        yield url
    finally:
        serving.kill()
        serving.communicate(timeout=30)
    deadline = time.monotonic() + 30
    while answers(url):
        assert time.monotonic() < deadline, "it outlived its terminal"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/models", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def asked(url: str, model: str, *turns: str) -> str:
    """What OpenAI's own client is told after these turns, the first of them the system's."""
    roles = ["system", *(["user", "assistant"] * len(turns))]
    messages = [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]
    with httpx.Client(trust_env=False) as line:
        client = openai.OpenAI(base_url=url, api_key="none", http_client=line)
        given = client.chat.completions.create(model=model, messages=messages, max_tokens=12)  # type: ignore[arg-type]
    return given.choices[0].message.content or ""


def test_two_runs_of_one_base_answer_at_one_endpoint_and_beside_production(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = "You help customers of Fjord Telecom."
    first, second = room.runs
    with endpoint_of(first, second) as url:
        replies = {model: asked(url, model, prompt, QUESTION) for model in (first, second, "base")}
        assert len(set(replies.values())) == 3
        with database(room.home) as session:
            session.add(
                Deployment(run_id=second, status="live", url=url, requested_by="ana", requested_at=datetime.now(UTC))
            )
        lines = f"{QUESTION}\nAnd more?\n/reset\n\n{QUESTION}\n/quit\nnot asked\n"
        monkeypatch.setattr(sys, "stdin", io.StringIO(lines))
        code, out, err = room.errata("chat", first, "--beside", "production", "--json", "--tokens", "12")
        assert code == 0, err
        assert not (room.home / "runs" / first / f"foreground-{os.getpid()}").exists()
        rows = [json.loads(line) for line in out.split("\n") if line]
        assert [row["question"] for row in rows] == [QUESTION, "And more?", QUESTION]
        assert [one["model"] for one in rows[0]["replies"]] == [first, f"production ({second})"]
        told = [[one["content"] for one in row["replies"]] for row in rows]
        assert told[0] == told[2] == [replies[first], replies[second]]
        # Each goes on from its own words.
        assert told[1] == [
            asked(url, model, prompt, QUESTION, replies[model], "And more?") for model in (first, second)
        ]
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{QUESTION}\n"))
        in_a_playground(room, url)
    code, _, err = room.errata("chat", second, "--beside", "production")
    assert (code, "is production itself" in err) == (1, True)


def in_a_playground(room: Room, url: str) -> None:
    """The same without loading anything again: words as they come, a prompt of one's own, a refusal."""
    terminal = Aloud()
    speakers = [Speaker(run_id, url, run_id) for run_id in room.runs]
    both = Playground(terminal, speakers, system="", wish={"max_tokens": 12}, as_json=False)
    both.talk(["/system Be brief.\n", QUESTION, "/what\n"])
    assert terminal.said == [plain(f"{one}: {asked(url, one, 'Be brief.', QUESTION)}") for one in room.runs]
    assert terminal.noted[-1].startswith("/system TEXT")
    both.talk(["x" * 600])
    assert "Shorten the conversation. /reset begins" in terminal.noted[-1]
    # What was refused is not asked again with the next question.
    terminal.said.clear()
    both.talk(["/reset", QUESTION])
    assert terminal.said == [plain(f"{one}: {asked(url, one, 'Be brief.', QUESTION)}") for one in room.runs]
    gone = Playground(terminal, [Speaker("gone", "http://127.0.0.1:9/v1", "x")], system="", wish={}, as_json=True)
    gone.talk([QUESTION])
    assert "gone at http://127.0.0.1:9/v1 does not answer" in terminal.noted[-1]


def test_the_commands_for_vllm_name_files_and_flags_that_exist(room: Room) -> None:
    first, second = room.runs
    code, out, _ = room.errata("endpoint", first, second, "--vllm")
    assert code == 0
    [command] = out.splitlines()
    words = shlex.split(command)
    assert words[:3] == ["vllm", "serve", str(room.base)]
    assert words[words.index("--max-lora-rank") + 1] == "16"
    modules = words[words.index("--lora-modules") + 1 : words.index("--host")]
    for run_id, module in zip(room.runs, modules, strict=True):
        name, _, path = module.partition("=")
        assert name == run_id
        assert (Path(path) / "adapter_model.safetensors").is_file()
    assert words[-4:] == ["--host", "127.0.0.1", "--port", "8000"]


def test_what_cannot_be_talked_with_is_one_sentence(room: Room) -> None:
    first, _ = room.runs
    code, _, err = room.errata("endpoint", first, first)
    assert (code, "is named twice" in err) == (1, True)
    code, _, err = room.errata("chat", first, "--beside", "production")
    assert (code, "No model is live" in err) == (1, True)
    assert room.errata("chat", "run-nobody")[0] == 2
    (room.home / "runs" / first / "job" / folder.MODEL / labels.FILE).write_text("{}")
    for command in (["chat", first], ["endpoint", *room.runs], ["endpoint", first, "--vllm"]):
        code, _, err = room.errata(*command)
        assert (code, "answers with labels, not in words" in err) == (1, True), command


def test_a_run_is_deleted_once_its_model_is_at_no_endpoint(room: Room) -> None:
    first, second = room.runs
    with database(room.home) as session:
        session.add(Deployment(run_id=first, status="live", requested_by="ana", requested_at=datetime.now(UTC)))
    code, _, err = room.errata("delete", first, "--yes")
    assert (code, f"errata undeploy {first}" in err) == (1, True)
    assert (room.home / "runs" / first / "job").is_dir()
    code, out, _ = room.errata("delete", second, "--yes", "--json")
    assert (code, json.loads(out)["run"], json.loads(out)["bytes"] > 0) == (0, second, True)
    assert not (room.home / "runs" / second).exists()
    assert room.errata("delete", second, "--yes")[0] == 0
    for command in (["endpoint", second, "--vllm"], ["deploy", second], ["chat", second]):
        code, _, err = room.errata(*command)
        assert (code, f"The files of {second} were deleted" in err) == (1, True), command
    assert second in room.errata("runs")[1]
