"""Every function that changes what Errata keeps, once: how it is called, and the entry that it leaves in the audit.

The list is checked against the code (``units_of_work.use_cases``), so that a new one cannot be forgotten here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from builders import NOON, Team
from sqlmodel import Session, col, select, update

from bot import installations
from bot.installations import Installed
from curation import (
    assistants,
    digests,
    examples,
    expiry,
    flagged,
    handover,
    imports,
    knowledge,
    memberships,
    people,
    proposals,
    replies,
    reviews,
    samples,
    tongues,
)
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset, freezing, requested
from curation.datasets.basis import newest_example
from curation.datasets.preparing import Options, Prepared, gather, prepare
from curation.datasets.split import Side
from curation.formats.format import Format
from curation.formats.jsonl import Row, open_jsonl
from curation.measures import topics
from curation.people import WORKER, Actor, PersonId
from curation.policies import RoleName, Standing
from curation.privacy import erasure, personal, retention
from curation.privacy.treatment import Decision
from curation.reviews import Verdict
from curation.store.tables import Candidate, Capture, Person, ReplyFlag
from training import consents, deployments, filters, removal, runs, uploads
from training.backends.names import BackendName
from training.deployments import DeploymentStatus
from training.planning import confirmations
from training.runs import RunStatus
from training.store.tables import Deployment

LATER = NOON + timedelta(days=3)
REPLY = imports.Reply(
    "T1/C9/1.2", "T1/C9/1.1", Conversation((Message(Role.USER, "Is it waterproof? I am kari@nordmann.no"),)), "No."
)


INSTALLED = Installed("T2", "Lumen", None, "B2", "UERRATA2", "xoxb-2", "commands")


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
        "curation.memberships.settle",
        "role.granted",
        WORKER,
        lambda s, _t, _: memberships.settle(s, WORKER, NOON, {(PersonId("T1/UNEW"), RoleName.AGENT)}),
    ),
    Case(
        "curation.memberships.settle",
        "role.revoked",
        WORKER,
        lambda s, _t, _: memberships.settle(s, WORKER, NOON, set()),
    ),
    Case("curation.memberships.confirm_group", "role.joined", WORKER, lambda s, _t, _: confirm_group(s, ["T1/UANA"])),
    Case(
        "curation.memberships.leave_group",
        "role.left",
        WORKER,
        lambda s, _t, _: memberships.leave_group(s, WORKER, NOON, group_id="S1", persons=[PersonId("T1/UANA")]),
    ),
    Case("curation.memberships.confirm_group", "role.joined", WORKER, lambda s, _t, _: confirm_group(s, ["T1/UANA"])),
    Case("curation.memberships.confirm_group", "role.left", WORKER, lambda s, _t, _: confirm_group(s, [])),
    Case("curation.memberships.confirm_group", "role.joined", WORKER, lambda s, _t, _: confirm_group(s, ["T1/UANA"])),
    Case(
        "curation.memberships.forget_groups",
        "role.left",
        WORKER,
        lambda s, _t, _: memberships.forget_groups(s, WORKER, NOON, configured=set()),
    ),
    Case(
        "curation.memberships.note_standing",
        "person.standing",
        WORKER,
        lambda s, _t, _: memberships.note_standing(s, NOON, PersonId("T1/UNEW"), Standing.GUEST),
    ),
    Case(
        "bot.installations.keep",
        "app.installed",
        Team.olga,
        lambda s, t, _: installations.keep(s, NOON, INSTALLED, by=t.olga.person_id),
    ),
    Case("bot.installations.remove", "app.removed", WORKER, lambda s, _t, _: installations.remove(s, "T2", LATER)),
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
    Case("training.runs.resume", "run.resumed", Team.olga, lambda s, t, _: runs.resume(s, t.olga, NOON, run_id="run-")),
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
        "training.deployments.rollback",
        "deployment.rolled_back",
        Team.olga,
        lambda s, t, _: was_live(s) and deployments.rollback(s, t.olga, NOON),
    ),
    Case(
        "training.filters.decide",
        "filter.off",
        Team.olga,
        lambda s, t, _: filters.decide(
            s, t.olga, NOON, run_id=tuned_elsewhere(s), filtered=False, reason="By mistake."
        ),
    ),
    Case(
        "training.planning.confirmations.ask",
        "run.confirmation",
        Team.olga,
        lambda s, t, _: confirmations.ask(
            s, t.olga, NOON, dataset_name="v1", model="phi-4", recipe="phi-lora", asked_in=t.place
        ),
    ),
    Case(
        "training.planning.confirmations.confirm",
        "run.requested",
        Team.olga,
        lambda s, t, _: confirmations.confirm(s, t.olga, NOON, confirmation_id=1),
    ),
    Case(
        "curation.tongues.choose_language",
        "person.language",
        Team.ben,
        lambda s, t, _: tongues.choose_language(s, t.ben, NOON, "nb"),
    ),
    Case(
        "curation.tongues.choose_reads",
        "person.reads",
        Team.ben,
        lambda s, t, _: tongues.choose_reads(s, t.ben, NOON, ["de", "nb"]),
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
    Case(
        "training.uploads.unloaded",
        "run.unloaded",
        Team.olga,
        lambda s, t, _: uploads.unloaded(s, t.olga, NOON, run_id=runs.listed(s)[0].id),
    ),
    Case(
        "training.removal.delete",
        "run.deleted",
        Team.olga,
        lambda s, t, _: removal.delete(s, t.olga, NOON, run_id=forgotten(s)),
    ),
]

ONLY_AN_ENTRY = {"curation.handover.hand_over", "training.uploads.unloaded"}
"""What changes no row but a mark in a run's progress: what leaves a house, ours or another's, is written down."""

BY_THE_WORKER = {
    "curation.datasets.requested._freeze": "what came of a request; proven on the worker's way",
    "curation.datasets.requested._refuse": "the same",
    "curation.datasets.requested._tell": "the same",
    "training.deployments.advance": "each step is proven by itself",
    "training.runs.advance": "the same",
    "training.deployments.restarted": "an endpoint that answers again; proven on the worker's way",
    "training.switching._switch": "what comes with a deployment's step; proven on the worker's way",
    "training.workflow._step": "what comes with a run's step; the same",
    "training.workflow._watch_evaluation": "the report that comes with a run's step; the same",
}
"""What the worker changes: it acts in its own name, and its steps are proven in another way."""

ON_THE_HOST = {"bot.restored._chain": "the entry of a restored database; a scenario restores one"}

WITHOUT_ENTRY = {
    "curation.claims.take_next": "who looks at what for some minutes, which decides nothing",
    "curation.claims.hold": "the same",
    "curation.claims.release": "the same",
    "curation.captures.fill": "a draft that nobody has saved; the candidate made from it has its entry",
    "curation.captures.not_filled": "the same",
    "curation.proposals.capture": "the same, if a candidate may be made of it",
    "curation.people.meet": "a name as Slack tells it; knowing somebody grants nothing",
    "curation.tongues.note_locale": "a language as Slack tells it; nobody chose it",
    "curation.knowledge.gaps": "a list that is read; what a scan finds for it, and a file of it has its entry",
    "curation.privacy.personal.look": "what a scan finds; what somebody decides about it has its entry",
    "curation.privacy.personal.look_at_queue": "the same",
    "curation.privacy.personal.keep": "the same",
    "curation.privacy.releases.record_export": "half of an export, in its commit and under its entry",
    "curation.digests.owe_due": "messages owed; who ordered them has its entry",
    "curation.flagged.gone": "what somebody has deleted in Slack",
    "curation.replies.count": "what was said in Slack, which nobody decides",
    "curation.replies.withdraw": "the same",
    "curation.screening.worklist._keep": "warnings, which never block and never decide",
    "curation.screening.worklist._keep_example": "the same",
    "curation.suggestions.note": "what a model makes of it; what a reviewer takes over of that has its entry",
    "training.forgetting._forget_rows": "the rest of an erasure, which has its entry",
    "training.removal.cleared": "the end of a deletion, which has its entry",
    "training.workflow._note": "how far a run has come, which is no decision",
    "bot.revocations.keep": "what Slack has done",
    "bot.installing.issue": "an installation that nobody has finished; one that is has its entry",
    "bot.installing.use_up": "the same",
    "bot.sandbox.": "Slack's own side, which has a method of the same name as a statement's",
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


def confirm_group(session: Session, members: list[str]) -> None:
    """Have Slack say who is in the group of the agents; whoever is, is a member of the workspace."""
    session.execute(update(Person).values(standing="member"))
    memberships.confirm_group(
        session,
        WORKER,
        NOON,
        team_id="T1",
        group_id="S1",
        role=RoleName.AGENT,
        members=[PersonId(member) for member in members],
    )


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


def forgotten(session: Session) -> str:
    """The newest run, as if it had ended and were not at an endpoint."""
    for deployment in session.exec(select(Deployment)).all():
        deployment.status = DeploymentStatus.RETIRED.value
    run = runs.listed(session)[0]
    run.status = RunStatus.FAILED.value
    return run.id


def tuned_elsewhere(session: Session) -> str:
    """The only run, as if a provider had its model."""
    run = runs.find(session, "run-")
    run.backend = BackendName.FOUNDRY.value
    return run.id


def was_live(session: Session) -> bool:
    """The only deployment, as if it had answered for a while."""
    (deployment,) = session.exec(select(Deployment)).all()
    deployment.live_at = NOON
    return True


def live(session: Session) -> str:
    """The run of the only deployment, as if that answered."""
    (deployment,) = session.exec(select(Deployment)).all()
    deployment.status = DeploymentStatus.LIVE.value
    return deployment.run_id
