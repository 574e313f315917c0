"""The sandbox workspace in a real browser: from a wrong reply to the notice of a trained model, by clicks and keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import pytest
import walk
from sqlmodel import select
from visitor import Visitor, missing, visitor

from curation.store.engine import Store, open_engine
from curation.store.tables import Candidate, Example
from training.store.tables import Run

REASON = missing()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

REPLIES = 6

Row = TypeVar("Row", Candidate, Example, Run)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The opening conversation, another wrong one and four good ones of the shipped sample."""
    shipped, folder = files("bot.sandbox") / "sample", tmp_path / "sample"
    rows = [json.loads(line) for line in (shipped / "conversations.jsonl").read_text(encoding="utf-8").splitlines()]
    wrong = sorted((row for row in rows if row["verdict"] == "wrong"), key=lambda row: not row.get("first"))
    good = [row for row in rows if row["verdict"] == "good" and row["language"] == "en"]
    folder.mkdir()
    (folder / "workspace.json").write_bytes((shipped / "workspace.json").read_bytes())
    chosen = wrong[:2] + good[: REPLIES - 2]
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in chosen)
    (folder / "conversations.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def alice() -> Iterator[Visitor]:
    with visitor() as somebody:
        yield somebody


def kept(out: Path, table: type[Row]) -> list[Row]:
    """Every row of the demo's own database."""
    store = Store(open_engine(f"sqlite:///{out / 'home' / 'errata.db'}"))
    with store.read() as session:
        rows = list(session.exec(select(table)))
    store.close()
    return rows


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_wrong_reply_is_corrected_approved_trained_on_and_told_about_in_the_page(
    sample: Path, tmp_path: Path, alice: Visitor
) -> None:
    out = tmp_path / "out"
    with walk.served(out, sample=sample) as address:
        alice.visit(address)
        walk.correct(alice)
        (candidate,) = kept(out, Candidate)
        assert (candidate.status, candidate.reply[:16]) == ("pending", "Yes, that's fine")
        walk.approve(alice)
        (example,) = kept(out, Example)
        assert example.messages[-1] == {"role": "assistant", "content": walk.CORRECTION}
        assert (example.topic, example.rejected) == ("device", candidate.reply)
        walk.let_the_others_judge(alice)
        assert len(kept(out, Example)) == REPLIES
        walk.train(alice, held_out="20%")
        (run,) = kept(out, Run)
        assert (run.status, run.model) == ("completed", "production")
        assert f"Evaluation of {run.id}" in alice.words("#room")
        walk.home(alice)
        assert alice.complaints() == []
