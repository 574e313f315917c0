"""Every function that changes what Errata keeps, once: how it is called, and the entry that it leaves in the audit.

The list is checked against the code (``units_of_work.use_cases``), so that a new one cannot be forgotten here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from builders import NOON, Team
from sqlmodel import Session, col, select

from curation import assistants, examples, expiry, handover, imports, knowledge, people, proposals, replies, reviews
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset, freezing, requested
from curation.datasets.basis import newest_example
from curation.datasets.preparing import Options, Prepared, gather, prepare
from curation.datasets.split import Side
from curation.formats.format import Format
from curation.formats.jsonl import Row, open_jsonl
from curation.measures import topics
from curation.people import WORKER, Actor, PersonId
from curation.policies import RoleName
from curation.privacy import erasure, personal, retention
from curation.privacy.treatment import Decision
from curation.reviews import Verdict
from curation.store.tables import Candidate, Capture
from training import deployments, runs
from training.deployments import DeploymentStatus
from training.runs import RunStatus
from training.store.tables import Deployment

LATER = NOON + timedelta(days=3)
REPLY = imports.Reply(
    "T1/C9/1.2", "T1/C9/1.1", Conversation((Message(Role.USER, "Is it waterproof? I am kari@nordmann.no"),)), "No."
)


class Case(NamedTuple):
    """A use case, the action of its entry and whose it is, and the call."""

    name: str
    action: str
    actor: Actor
    call: Callable[[Session, Team, Path], object]


# In an order in which each finds what it needs.
CASES = [
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
    Case(
        "curation.people.grant",
        "role.granted",
        Team.olga,
        lambda s, t, _: people.grant(s, t.olga, NOON, person=PersonId("T1/UNEW"), role=RoleName.AGENT),
    ),
    Case(
        "curation.people.revoke",
        "role.revoked",
        Team.olga,
        lambda s, t, _: people.revoke(s, t.olga, NOON, person=PersonId("T1/UNEW"), role=RoleName.AGENT),
    ),
    Case(
        "curation.assistants.add",
        "assistant.added",
        Team.olga,
        lambda s, t, _: assistants.add(s, t.olga, NOON, name="Fjord", team_id="T1", speaks_as={"UFJORD"}),
    ),
    Case(
        "curation.assistants.itself",
        "assistant.added",
        WORKER,
        lambda s, _t, _: assistants.itself(s, NOON, team_id="T1", speaks_as={"UERRATA"}),
    ),
    Case(
        "curation.assistants.set_prompt",
        "prompt.set",
        Team.olga,
        lambda s, t, _: assistants.set_prompt(s, t.olga, NOON, name="Fjord", text="Be brief."),
    ),
    Case(
        "curation.datasets.freezing.attest_held_out",
        "examples.attested",
        Team.olga,
        lambda s, t, path: freezing.attest_held_out(
            s, t.olga, NOON, Options(rows_in(path, 2, word="toaster")), {"thread:toaster": Side.VALIDATION}, name="v1"
        ),
    ),
    Case(
        "curation.datasets.freezing.commit",
        "dataset.frozen",
        Team.olga,
        lambda s, t, _: freezing.commit(
            s, t.olga, NOON, prepared(s), name="v1", validation_share=0.1, options=Options()
        ),
    ),
    Case(
        "curation.datasets.requested.ask",
        "freezing.requested",
        Team.olga,
        lambda s, t, _: requested.ask(s, t.olga, NOON, name="v2", validation_share=0.1, destination=t.place),
    ),
    Case(
        "curation.datasets.dataset.annotate",
        "dataset.described",
        Team.olga,
        lambda s, t, _: dataset.annotate(s, t.olga, NOON, dataset.find(s, "v1"), "The first."),
    ),
    Case(
        "curation.expiry.expire",
        "example.expires",
        Team.ben,
        lambda s, t, _: expiry.expire(s, t.ben, NOON, reason="Old.", after=NOON, example_ids=[1]),
    ),
    Case("curation.expiry.renew", "example.renewed", Team.ben, lambda s, t, _: expiry.renew(s, t.ben, NOON)),
    Case(
        "curation.expiry.expire",
        "example.expires",
        Team.ben,
        lambda s, t, _: expiry.expire(s, t.ben, NOON, reason="Old.", after=NOON, example_ids=[2]),
    ),
    Case("curation.expiry.return_due", "example.renewed", WORKER, lambda s, _t, _: expiry.return_due(s, NOON)),
    Case(
        "curation.handover.hand_over",
        "examples.exported",
        Team.olga,
        lambda s, t, _: handover.hand_over(s, t.olga, NOON, target=Format.OPENAI),
    ),
    Case(
        "training.runs.request",
        "run.requested",
        Team.olga,
        lambda s, t, _: runs.request(s, t.olga, NOON, dataset_name="v1", model="rehearsal"),
    ),
    Case(
        "training.runs.cancel", "run.cancelled", Team.olga, lambda s, t, _: runs.cancel(s, t.olga, NOON, run_id="run-")
    ),
    Case(
        "training.deployments.request",
        "deployment.requested",
        Team.olga,
        lambda s, t, _: deployments.request(s, t.olga, NOON, run_id=completed(s)),
    ),
    Case(
        "training.deployments.retire",
        "deployment.retired",
        Team.olga,
        lambda s, t, _: deployments.retire(s, t.olga, NOON, run_id=live(s)),
    ),
    Case(
        "curation.privacy.erasure.erase",
        "customer.erased",
        Team.olga,
        lambda s, t, _: erasure.erase(s, t.olga, NOON, f"{t.place}/2"),
    ),
    Case(
        "curation.privacy.retention.sweep",
        "retention.swept",
        WORKER,
        lambda s, _t, _: retention.sweep(s, WORKER, LATER, days=1),
    ),
]

ONLY_AN_ENTRY = {"curation.handover.hand_over"}
"""What changes no row: what leaves the house is written down all the same."""

BY_THE_WORKER = {
    "curation.datasets.requested._freeze": "what came of a request; proven on the worker's way",
    "curation.datasets.requested._refuse": "the same",
    "curation.datasets.requested._tell": "the same",
    "training.deployments.advance": "each step is proven by itself",
    "training.runs.advance": "the same",
    "training.switching._switch": "what comes with a deployment's step; proven on the worker's way",
    "training.workflow._step": "what comes with a run's step; the same",
    "training.workflow._watch_evaluation": "the report that comes with a run's step; the same",
}
"""What the worker changes: it acts in its own name, and its steps are proven in another way."""

ON_THE_HOST = {"bot.restored._chain": "the entry of a restored database; a scenario restores one"}

WITHOUT_ENTRY = {
    "curation.captures.fill": "a draft that nobody has saved; the candidate made from it has its entry",
    "curation.captures.not_filled": "the same",
    "curation.proposals.capture": "the same, if a candidate may be made of it",
    "curation.people.meet": "a name as Slack tells it; knowing somebody grants nothing",
    "curation.knowledge.gaps": "a list that is read; what a scan finds for it, and a file of it has its entry",
    "curation.privacy.personal.look": "what a scan finds; what somebody decides about it has its entry",
    "curation.privacy.personal.look_at_queue": "the same",
    "curation.privacy.personal.keep": "the same",
    "curation.privacy.releases.record_export": "half of an export, in its commit and under its entry",
    "curation.replies.count": "what was said in Slack, which nobody decides",
    "curation.replies.withdraw": "the same",
    "curation.screening.worklist._keep": "warnings, which never block and never decide",
    "curation.screening.worklist._keep_example": "the same",
    "training.forgetting._forget_rows": "the rest of an erasure, which has its entry",
    "training.workflow._note": "how far a run has come, which is no decision",
    "bot.revocations.keep": "what Slack has done",
    "bot.replay.": "the answers that Slack may ask for again",
    "bot.assistant.": "questions that wait for an answer; the candidate made of a reply has its entry",
}
"""What is no decision of anybody's; a name that ends in a dot stands for everything in there."""


def prepared(session: Session) -> Prepared:
    """A version of everything approved."""
    personal.look(session, examples.approved(session))
    gathered = gather(session, NOON, newest_example(session), Options())
    return prepare(gathered, validation_share=0.1, held_out={}, options=Options(), told=lambda *_: None)


def unused_capture(session: Session) -> int:
    """The first capture of which nothing was made."""
    used = select(Candidate.capture_id).where(col(Candidate.capture_id).is_not(None))
    return session.exec(select(Capture.id).where(col(Capture.id).not_in(used))).first() or 0


def file_in(folder: Path) -> Path:
    """A file that was written."""
    path = folder / "gaps.md"
    path.write_text("# Knowledge gaps\n")
    return path


def rows_in(folder: Path, count: int, *, word: str) -> list[Row]:
    """The rows of a file of so many dialogues about something."""
    file = folder / f"{word}.jsonl"
    lines = [
        {"messages": [{"role": "user", "content": f"{word} {n}?"}, {"role": "assistant", "content": f"{word} is {n}."}]}
        for n in range(count)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return [item for item in open_jsonl(file) if isinstance(item, Row)]


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


def completed(session: Session) -> str:
    """The only run, as if it had gone well."""
    run = runs.find(session, "run-")
    run.status = RunStatus.COMPLETED.value
    return run.id


def live(session: Session) -> str:
    """The run of the only deployment, as if that answered."""
    (deployment,) = session.exec(select(Deployment)).all()
    deployment.status = DeploymentStatus.LIVE.value
    return deployment.run_id
