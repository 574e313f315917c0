"""The committed sample of a dataset: what the demo's own workspace gives, frozen at a fixed moment.

``make sample`` writes it; a test makes it again and compares every byte, so that no change of what is frozen,
counted or written goes unnoticed. Everything in it is invented.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from builders import NOON, Team, new_store

from bot.links import message_link
from bot.sandbox.sample_workspace import SampleConversation, SampleSpeaker, SampleVerdict, SampleWorkspace, load_sample
from curation import assistants, captures, people, proposals
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset
from curation.datasets.lineage import rows
from curation.formats.exports import write_atomically
from curation.people import Actor, person_id
from curation.policies import RoleName
from curation.reviews import Verdict
from curation.tokens.counters import TokenizerFamily, counter_for

FOLDER = Path(__file__).parent / "samples" / "dataset"
NAME = "sample"
_TEAM, _CHANNEL = "T0SAMPLE", "C0SAMPLE"
_ROLES = {SampleSpeaker.CUSTOMER: Role.USER, SampleSpeaker.ASSISTANT: Role.ASSISTANT}


def write(folder: Path = FOLDER) -> None:
    """Make the sample and write its files: both sides, the manifest and the lineage."""
    sample = load_sample()
    with TemporaryDirectory() as home:
        team = _furnished(sample, Path(home))
        for number, conversation in enumerate(sample.conversations, start=1):
            team.decide(_flagged(team, conversation, number), Verdict.APPROVE)
        options = dataset.Options(counters=[counter_for(family) for family in TokenizerFamily])
        version, _ = dataset.freeze(team.store, team.olga, NOON, name=NAME, options=options)
        with team.store.read() as session:
            dataset.write_files(session, version, folder)
            lineage = rows(session, version, message_link)
        team.store.close()
    text = json.dumps(lineage, ensure_ascii=False, indent=2) + "\n"
    write_atomically(folder / "lineage.json", [text.encode()])


def _furnished(sample: SampleWorkspace, home: Path) -> Team:
    actors = [Actor(person_id(_TEAM, user_id)) for user_id in ("U0ANA", "U0BEN", "U0BEA", "U0OLGA")]
    team = Team(new_store(home), place=f"{_TEAM}/{_CHANNEL}")
    team.ana, team.ben, team.bea, team.olga = actors
    with team.store.write() as session:
        for actor, name in zip(actors, ("Ana", "Ben", "Bea", "Olga"), strict=True):
            people.meet(session, NOON, actor.person_id, display_name=name)
        people.grant(session, None, NOON, person=team.olga.person_id, role=RoleName.OWNER)
        for actor, role in ((team.ana, RoleName.AGENT), (team.ben, RoleName.REVIEWER)):
            people.grant(session, team.olga, NOON, person=actor.person_id, role=role)
        name = sample.assistant_name
        bot = assistants.add(session, team.olga, NOON, name=name, team_id=_TEAM, speaks_as={"U0BOT"})
        assistants.set_prompt(session, team.olga, NOON, name=name, text=sample.system_prompt)
        team.assistant_id = bot.key
    return team


def _flagged(team: Team, conversation: SampleConversation, number: int) -> int:
    """The conversation's last reply, corrected or endorsed by Ana; the candidate's id."""
    spot = f"{team.place}/1780000{number:03d}.000100"
    turns = tuple(
        Message(_ROLES[turn.speaker], turn.text) for turn in conversation.turns[:-1] if turn.speaker in _ROLES
    )
    with team.store.write() as session:
        kept = captures.keep(
            session,
            team.ana,
            NOON,
            assistant_id=team.assistant_id,
            source=spot,
            thread=spot,
            reply=conversation.reply,
        )
        captures.fill(session, kept.key, Conversation(turns), reply=conversation.reply, staff_reply=None)
        about = {"capture_id": kept.key, "topic": conversation.topic, "review_in": None}
        if conversation.verdict is SampleVerdict.GOOD:
            return proposals.endorse(session, team.ana, NOON, **about)
        correction = str(conversation.correction)
        return proposals.propose(session, team.ana, NOON, correction=correction, reason=conversation.reason, **about)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
