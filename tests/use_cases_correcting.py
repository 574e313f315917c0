"""Use cases, in the order in which each finds what it needs: what people and the worker do with corrections."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

from builders import NOON, Team
from sqlmodel import Session, col, select
from use_case import LATER, Case, rows_in

from curation import digests, examples, flagged, imports, knowledge, proposals, replies, reviews, samples
from curation.conversation import Conversation, Message, Role
from curation.measures import topics
from curation.people import WORKER
from curation.privacy import personal
from curation.privacy.treatment import Decision
from curation.reviews import Verdict
from curation.store.tables import Candidate, Capture, ReplyFlag
from training import consents

REPLY = imports.Reply(
    "T1/C9/1.2", "T1/C9/1.1", Conversation((Message(Role.USER, "Is it waterproof? I am kari@nordmann.no"),)), "No."
)

CORRECTING = [
    Case(
        "curation.proposals.propose",
        "candidate.proposed",
        Team.ana,
        lambda s, t, _: proposals.propose(
            s, t.ana, NOON, capture_id=unused_capture(s), correction="Six months.", review_in=t.place
        ),
    ),
    Case(
        "curation.proposals.endorse",
        "candidate.endorsed",
        Team.ana,
        lambda s, t, _: proposals.endorse(s, t.ana, NOON, capture_id=unused_capture(s), review_in=None),
    ),
    Case(
        "curation.proposals.amend",
        "candidate.amended",
        Team.ana,
        lambda s, t, _: proposals.amend(s, t.ana, NOON, candidate_id=1, correction="Half a year."),
    ),
    Case(
        "curation.replies.flag",
        "reply.flagged",
        Team.ana,
        lambda s, t, _: replies.flag(s, t.ana, NOON, source="T1/C1/9.1", at=NOON),
    ),
    Case(
        "curation.replies.take_back",
        "reply.flag_taken_back",
        Team.ana,
        lambda s, t, _: replies.take_back(s, t.ana, NOON, source="T1/C1/9.1", at=LATER),
    ),
    Case(
        "curation.flagged.dismiss",
        "reply.not_wrong",
        Team.ana,
        lambda s, t, _: (flagged_reply(s, t), flagged.dismiss(s, t.ana, LATER, source="T1/C1/9.1")),
    ),
    Case(
        "curation.samples.draw",
        "replies.sampled",
        WORKER,
        lambda s, t, _: samples.draw(s, counted_reply(s, t), random.Random(7), size=5),
    ),
    Case(
        "curation.digests.order",
        "digest.ordered",
        Team.olga,
        lambda s, t, _: digests.order(s, t.olga, NOON, place=t.place),
    ),
    Case(
        "training.consents.record",
        "consent.given",
        Team.olga,
        lambda s, t, _: consents.record(s, t.olga, NOON, region="swedencentral"),
    ),
    Case(
        "curation.digests.cancel",
        "digest.cancelled",
        Team.olga,
        lambda s, t, _: digests.cancel(s, t.olga, NOON, place=t.place),
    ),
    Case(
        "curation.reviews.decide",
        "candidate.return",
        Team.ben,
        lambda s, t, _: reviews.decide(s, t.ben, NOON, candidate_id=1, verdict=Verdict.RETURN, comment="Say it."),
    ),
    Case(
        "curation.reviews.decide",
        "candidate.reject",
        Team.ben,
        lambda s, t, _: reviews.decide(s, t.ben, NOON, candidate_id=1, verdict=Verdict.REJECT, comment="No."),
    ),
    Case(
        "curation.reviews.decide",
        "candidate.edit_and_approve",
        Team.bea,
        lambda s, t, _: reviews.decide(
            s, t.bea, NOON, candidate_id=2, verdict=Verdict.EDIT_AND_APPROVE, edited="A year."
        ),
    ),
    Case(
        "curation.undoing.undo",
        "candidate.undone",
        Team.bea,
        lambda s, t, _: reviews.undo(s, t.bea, NOON, review_id=3),
    ),
    Case(
        "curation.reviews.decide",
        "candidate.edit_and_approve",
        Team.bea,
        lambda s, t, _: reviews.decide(
            s, t.bea, NOON, candidate_id=2, verdict=Verdict.EDIT_AND_APPROVE, edited="A year."
        ),
    ),
    Case(
        "curation.imports.propose_rows",
        "candidates.imported",
        Team.ana,
        lambda s, t, path: imports.propose_rows(s, t.ana, NOON, rows_in(path, 3, word="lamp"), origin="import:lamp"),
    ),
    Case(
        "curation.reviews.decide",
        "candidate.approve",
        Team.ben,
        lambda s, t, _: reviews.decide(s, t.ben, NOON, candidate_id=3, verdict=Verdict.APPROVE),
    ),
    Case(
        "curation.measures.topics.label",
        "candidate.labelled",
        Team.ben,
        lambda s, t, _: topics.label(s, t.ben, NOON, candidate_id=4, topic="lamps"),
    ),
    Case(
        "curation.imports.propose_replies",
        "candidates.imported",
        Team.ana,
        lambda s, t, _: imports.propose_replies(s, t.ana, NOON, [REPLY], assistant_id=1, origin="import:export.zip"),
    ),
    Case("curation.privacy.personal.decide", "privacy.decided", Team.ben, lambda s, t, _: decide_about_data(s, t)),
    Case(
        "curation.knowledge.record_written",
        "gaps.exported",
        Team.ben,
        lambda s, t, path: knowledge.record_written(s, t.ben, NOON, file_in(path), rows=0),
    ),
    Case(
        "curation.examples.attest",
        "examples.attested",
        Team.olga,
        lambda s, t, path: examples.attest(
            s, t.olga, NOON, rows_in(path, 40, word="kettle"), origin="import:kettle", reason="Checked."
        ),
    ),
]


def unused_capture(session: Session) -> int:
    """The first capture of which nothing was made."""
    used = select(Candidate.capture_id).where(col(Candidate.capture_id).is_not(None))
    return session.exec(select(Capture.id).where(col(Capture.id).not_in(used))).first() or 0


def flagged_reply(session: Session, team: Team) -> None:
    """A counted reply on which a flag stands, whatever was pressed about it before."""
    counted_reply(session, team)
    session.merge(ReplyFlag(source="T1/C1/9.1", person_id=team.bea.person_id, standing=True, touched_at=NOON))
    session.flush()


def counted_reply(session: Session, team: Team) -> datetime:
    """A reply of last week that nobody minds; when its week is told about."""
    for source in ("T1/C1/9.1", "T1/C1/9.2"):
        replies.count(session, assistant_id=team.assistant_id, source=source, said_at=NOON, model_version=None)
    return NOON + timedelta(days=7)


def file_in(folder: Path) -> Path:
    """A file that was written."""
    path = folder / "gaps.md"
    path.write_text("# Knowledge gaps\n")
    return path


def decide_about_data(session: Session, team: Team) -> None:
    """Have the address in a waiting candidate redacted."""
    personal.look_at_queue(session)
    (found,) = personal.listed(session)
    personal.decide(
        session,
        team.ben,
        NOON,
        which=found.id,
        decision=Decision.REDACT,
        reason="",
        everywhere=False,
        key=b"a key of these tests",
    )
