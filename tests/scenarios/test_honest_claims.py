"""What a run is said to have improved, with the demo's own models and recipes: really trained, in this process."""

from __future__ import annotations

import json
from pathlib import Path

import in_this_process
import pytest
from builders import NOON, Team, new_team
from rich.console import Console
from shell import Shell
from small_sample import small_sample

from bot.demo.production import ROLES, Production
from bot.demo.story import DATASET, HELD_OUT
from bot.sandbox.sample_workspace import SampleConversation, SampleVerdict, SampleWorkspace, load_sample
from curation import assistants, captures, proposals
from curation.conversation import Conversation, Message
from curation.reviews import Verdict


@pytest.mark.slow
def test_corrections_that_repeat_the_replies_are_claimed_to_improve_nothing(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = load_sample(small_sample(tmp_path / "sample", corrected=False))
    approved(sample, tmp_path / "home")
    production = Production(tmp_path, sample)
    monkeypatch.setenv("ERRATA_PRODUCTION_MODEL", str(tmp_path / "production" / "model"))
    shell.acting = "T1/UOLGA"
    with in_this_process.starting():
        production.start()
        production.wait(Console(quiet=True))
        assert shell("dataset", "freeze", DATASET, "--validation", HELD_OUT)[0] == 0
        code, out, err = shell("train", DATASET, "--model", "production", "--recipe", "rehearsal-tune", "--json")
    assert code == 0, err
    code, out, _ = shell("evaluate", json.loads(out)["id"], "--json")
    report = json.loads(out)
    assert (code, report["scores"]["corrections"], report["scores"]["fixed"]) == (0, 2, 0)
    assert report["decision"]["verdict"] != "better"
    assert report["sentence"].startswith(("Cannot tell", "Worse"))


def approved(sample: SampleWorkspace, home: Path) -> None:
    """A database in which a team has approved the sample, correction by correction and reply by reply."""
    team = new_team(home)
    with team.store.write() as session:
        assistants.set_prompt(session, team.olga, NOON, name="Bris", text=sample.system_prompt)
    for number, conversation in enumerate(sample.conversations):
        team.decide(flagged(team, number, conversation), Verdict.APPROVE)
    team.store.close()


def flagged(team: Team, number: int, conversation: SampleConversation) -> int:
    """The candidate that Ana makes of a conversation; its id."""
    source = f"{team.place}/17000000{number:02d}.000100"
    said = [turn for turn in conversation.turns[:-1] if turn.speaker in ROLES]
    asked = Conversation(tuple(Message(ROLES[turn.speaker], turn.text) for turn in said))
    with team.store.write() as session:
        about = {"assistant_id": team.assistant_id, "source": source, "thread": source, "reply": conversation.reply}
        kept = captures.keep(session, team.ana, NOON, **about)
        captures.fill(session, kept.key, asked, reply=conversation.reply, staff_reply=None)
        told = {"capture_id": kept.key, "review_in": None}
        if conversation.verdict is SampleVerdict.GOOD:
            return proposals.endorse(session, team.ana, NOON, **told)
        return proposals.propose(session, team.ana, NOON, correction=str(conversation.correction), **told)
