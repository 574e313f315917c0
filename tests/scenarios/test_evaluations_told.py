"""What people hear of an evaluation, in Slack and in a terminal: the verdict first, then what it rests on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import Office
from evaluated import fixed_only, measured
from fakes import FakeBackend
from shell import Shell
from shop import Shop, opened

from bot.app import now
from bot.blocks import runs as blocks
from curation.store.engine import Store, open_engine
from training.backends.base import EvaluationProgress, JobStatus
from training.backends.names import BackendName
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace


def carry_out(worker: Worker, backend: FakeBackend, report: dict[str, Any]) -> None:
    """Let the worker go on until nothing moves; trainings end well, evaluations with this report."""
    while worker.tick():
        for run_id, progress in list(backend.jobs.items()):
            if progress.status is JobStatus.RUNNING:
                backend.complete(run_id)
        for run_id in set(backend.evaluations) - set(backend.reports):
            folder = backend.evaluations[run_id].directory
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "report.json").write_text(json.dumps({**report, "run_id": run_id}), encoding="utf-8")
            backend.reports[run_id] = EvaluationProgress(done=True, share=1.0, report=folder / "report.json")


@pytest.fixture
def shop(office: Office, tmp_path: Path) -> Shop:
    return opened(office, tmp_path / "home")


def told(shop: Shop, report: dict[str, Any]) -> str:
    """The message about the evaluation of a run that measured this."""
    shop.say("train v1 rehearsal")
    carry_out(shop.worker, shop.backend, report)
    shop.office.deliver()
    (message,) = [card for card in shop.office.cards() if "is evaluated: " in card["text"]]
    return json.dumps(message, ensure_ascii=False)


def test_slack_hears_that_a_model_is_better_and_sees_it_in_a_picture(shop: Shop) -> None:
    message = told(shop, measured())
    assert f"Run {shop.run().id} is evaluated: better." in message
    assert ":tada: Better: fixed 32 of 40 corrections, kept 39 of 40 good replies; 32 of 33 changes" in message
    assert "Fixed least: Tone, 2 of 10" in message
    assert f'"{blocks.DEPLOY}"' in message
    picture = shop.office.workspace.files[-1]
    assert "after, 34 of 40 corrected replies preferred" in str(picture.alt_text)
    assert "production: validation loss 1.94 nats per token" in str(picture.alt_text)


def test_slack_hears_that_the_flagged_replies_alone_show_nothing_and_what_is_missing(shop: Shop) -> None:
    message = told(shop, fixed_only())
    assert "is evaluated: cannot tell." in message
    assert "flagged replies alone never show that a model beats production; about 15 more endorsed replies" in message


def test_slack_hears_of_a_golden_case_that_broke_first_and_the_gate_shows_it(shop: Shop) -> None:
    report = measured()
    report["sets"]["golden"]["cases"][0]["after"] = "No."
    message = told(shop, report)
    assert "is evaluated: worse." in message
    assert ":warning: Worse: 1 golden case broke (golden-0), and none may; fixed 32 of 40" in message
    (status,) = [card for card in shop.office.cards() if card["text"] == f"Run {shop.run().id}: completed"]
    (plan,) = [block for block in status["blocks"] if block["type"] == "plan"]
    assert {task["title"]: task["status"] for task in plan["tasks"]}["Gate"] == "error"


def test_the_terminal_shows_an_evaluation_and_writes_what_is_asked_for(frozen: Shell, tmp_path: Path) -> None:
    run_id = json.loads(frozen("train", "v1", "--detach", "--json")[1])["id"]
    home, backend = tmp_path / "home", FakeBackend()
    store = Store(open_engine(f"sqlite:///{home / 'errata.db'}"))
    place = Workplace(store, {BackendName.LOCAL: backend}, home, now)
    carry_out(Worker(place, InlineCarrier(place)), backend, measured())
    store.close()
    code, out, _ = frozen("evaluate", run_id)
    assert code == 0
    assert out.startswith("Better: fixed 32 of 40 corrections")
    assert "- no new finding in 12 safety prompts" in out
    assert out.splitlines()[-1] == f"Next: errata deploy {run_id}"
    files = [str(tmp_path / name) for name in ("report.md", "report.png", "loss.png", "report.json")]
    options = ("--markdown", files[0], "--plot", files[1], "--curve", files[2], "--report", files[3])
    code, out, err = frozen("evaluate", run_id, *options, "--json")
    assert code == 0
    assert json.loads(out) == json.loads(Path(files[3]).read_text(encoding="utf-8"))
    assert "training loss from" in err
    assert "it quotes customers" in err
    assert "](report.png)" in Path(files[0]).read_text(encoding="utf-8")
    assert all(Path(file).read_bytes().startswith(b"\x89PNG") for file in files[1:3])
    code, _, err = frozen("evaluate", run_id, "--markdown", str(tmp_path / "gone" / "report.md"))
    assert (code, "name a file in a folder that exists" in err) == (2, True)
