"""Runs from the command line: asked for, shown, cancelled, and a whole rehearsal up to its endpoint."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import in_this_process
import openai
import pytest
from shell import Shell

from training.foreground import sole_worker

TINY_RECIPE = """
method = "full"
learning_rate = 3e-3
epochs = 2
batch_tokens = 512
warmup_share = 0.0
weight_decay = 0.0
max_grad_norm = 1.0
seed = 1
max_length = 256

[rehearsal]
hidden = 16
layers = 1
heads = 2
vocabulary = 400
"""


def test_a_run_is_asked_for_shown_and_cancelled(frozen: Shell) -> None:
    code, out, err = frozen("train", "v1", "--detach", "--json")
    run = json.loads(out)
    assert (code, run["status"], run["model"]) == (0, "requested", "rehearsal")
    assert "errata work" in err
    assert [one["id"] for one in json.loads(frozen("runs", "--json")[1])] == [run["id"]]
    assert run["id"] in frozen("runs")[1]
    out = frozen("run", "show", run["id"])[1]
    assert out.startswith(f"{run['id']}: requested\n")
    assert "errata run cancel" in out
    assert "no log" in frozen("run", "logs", run["id"])[1]
    code, _, err = frozen("evaluate", run["id"])
    assert code == 1
    assert "no evaluation yet" in err
    assert frozen("deploy", run["id"])[0] == 1
    assert f"{run['id']} is cancelled." in frozen("run", "cancel", run["id"])[1]
    out = frozen("run", "show", run["id"])[1]
    assert out.startswith(f"{run['id']} cancelled: Cancelled by a person.\n")
    assert f"Next: errata run resume {run['id']}, or anew: errata train v1 --model rehearsal" in out
    assert json.loads(frozen("run", "resume", run["id"], "--detach", "--json")[1])["status"] == "resuming"
    code, _, err = frozen("run", "resume", "run-none")
    assert (code, "There is no run run-none" in err) == (2, True)


def test_production_is_the_model_that_the_settings_name_while_none_is_live(
    frozen: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, _, err = frozen("train", "v1", "--model", "production", "--detach")
    assert code == 1
    assert "ERRATA_PRODUCTION_MODEL" in err
    monkeypatch.setenv("ERRATA_PRODUCTION_MODEL", str(tmp_path / "no-model"))
    # Without a model there the run fails, and says where it looked, once.
    code, out, err = frozen("train", "v1", "--model", "production")
    assert code == 1
    [reason] = [line for line in (out + err).splitlines() if "no-model" in line]
    assert re.match(r"run-[0-9a-f]+ failed: ", reason)
    code, out, err = frozen("train", "v1", "--model", "production", "--json")
    assert (code, json.loads(out)["status"]) == (1, "failed")
    assert re.search(r"^run-[0-9a-f]+ failed: .*no-model", err, re.MULTILINE)


def test_a_second_worker_is_refused(errata: Shell, tmp_path: Path) -> None:
    with sole_worker(tmp_path / "home"):
        code, _, err = errata("work")
    assert code == 1
    assert "A worker runs on" in err


@pytest.mark.slow
def test_a_rehearsal_goes_from_dataset_to_endpoint_in_one_terminal(frozen: Shell, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY_RECIPE, encoding="utf-8")
    with in_this_process.starting():
        code, out, err = frozen("train", "v1", "--recipe", str(recipe), "--json")
    run = json.loads(out)
    assert (code, run["status"]) == (0, "completed"), err
    assert "Train" in err
    picture = tmp_path / "loss.png"
    code, out, err = frozen("evaluate", run["id"], "--curve", str(picture))
    assert code == 0
    assert "tuned" in out
    assert "No cases: " in out
    assert "production" not in out  # nothing is in production, so nothing stands for it
    assert out.splitlines()[-1].startswith("Next: approve more corrections and endorsements")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "training loss from" in err
    code, out, _ = frozen("run", "card", run["id"])
    assert (code, out.startswith('---\nlibrary_name: "transformers"\n')) == (0, True)
    beside = next(tmp_path.rglob(f"{run['id']}/job/model/README.md"))
    assert out.rstrip() == beside.read_text(encoding="utf-8").rstrip()
    code, _, err = frozen("run", "card", run["id"], "--adapter")
    assert (code, "trained every weight, so it has no adapter" in err) == (1, True)
    chat_with_its_own_endpoint(run["id"])
    try:
        code, out, _ = frozen("deploy", run["id"])
        assert code == 0
        url = re.search(r"http://127\.0\.0\.1:\d+/v1", out)
        assert url is not None
        [command] = [line for line in out.splitlines() if "curl" in line]
        body = json.loads(shlex.split(command)[-1])
        assert [turn["role"] for turn in body["messages"]] == ["system", "user"]
        replied = httpx.post(f"{url[0]}/chat/completions", json=body, timeout=30, trust_env=False).json()
        assert f"It answered:   {replied['choices'][0]['message']['content']}".rstrip() in out
        assert httpx.get(f"{url[0]}/models", trust_env=False, timeout=30).json()["data"][0]["id"] == run["id"]
    finally:
        code, out, _ = frozen("undeploy", run["id"])
    assert code == 0
    with pytest.raises(ConnectionError), socket.create_connection(("127.0.0.1", httpx.URL(url[0]).port or 0), 2):
        pass


def chat_with_its_own_endpoint(run_id: str) -> None:
    """Serve the run on a port of our choice, ask with OpenAI's own client, and end the command."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        taken = subprocess.run(  # noqa: S603 (our own module, no shell)
            [sys.executable, "-m", "bot.cli", "endpoint", run_id, "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert taken.returncode == 3
    assert f"Port {port} cannot be used" in taken.stderr
    serving = subprocess.Popen(  # noqa: S603 (as above)
        [sys.executable, "-m", "bot.cli", "endpoint", run_id, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stdout is not None
        assert f"{run_id} answers at http://127.0.0.1:{port}/v1" in serving.stdout.readline()
        with httpx.Client(trust_env=False) as line:
            client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", http_client=line)
            asked = [{"role": "user", "content": "What does it cost?"}]
            given = client.chat.completions.create(model=run_id, messages=asked, max_tokens=4)  # type: ignore[arg-type]
        assert given.usage is not None
        assert 0 < given.usage.completion_tokens <= 4
    finally:
        # As a supervisor would; Ctrl-C is ignored by whatever a shell starts in the background.
        serving.send_signal(signal.SIGTERM)
        _, err = serving.communicate(timeout=30)
    assert (serving.returncode, "Stopped." in err) == (0, True), err
    with pytest.raises(ConnectionError), socket.create_connection(("127.0.0.1", port), 2):
        pass
