"""What the support team of the demo does: correct or endorse a reply, and review what colleagues proposed.

Everything is done the way people do it, by shortcuts, forms and buttons; only the waiting looks into the database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlmodel import select

from bot.blocks import queue as queue_blocks
from bot.blocks import review as review_blocks
from bot.blocks.correct import is_reading
from bot.demo.cast import Cast
from bot.listeners.correct import CORRECT, ENDORSE
from bot.sandbox.errors import WaitedInVain
from bot.sandbox.people import Person
from bot.sandbox.sample_workspace import SampleConversation, SampleVerdict
from curation.candidates import CandidateStatus
from curation.errors import Unavailable
from curation.policies import RoleName
from curation.store.tables import Candidate

QUEUE_SECONDS = 30
FORM_SECONDS = 10
FORM_ATTEMPTS = 4


def correct(cast: Cast, agent: Person, conversation: SampleConversation) -> dict[str, Any]:
    """Correct the conversation's reply; the form as it stood before it was filled in.

    Raises:
        Unavailable: Errata refused the correction.
        WaitedInVain: its form did not open.
    """
    modal = _open_form(cast, agent, conversation, CORRECT)
    values = {"correction": conversation.correction, "topic": conversation.topic}
    if conversation.reason is not None:
        values["reason"] = conversation.reason.value
    _accepted(agent.submit(values), conversation.id)
    return modal


def endorse(cast: Cast, agent: Person, conversation: SampleConversation) -> None:
    """Endorse the conversation's reply; raises as ``correct`` does."""
    _open_form(cast, agent, conversation, ENDORSE)
    _accepted(agent.submit({"topic": conversation.topic}), conversation.id)


def open_review(cast: Cast, reviewer: Person) -> tuple[dict[str, Any], dict[str, Any]]:
    """Press *Review* on the channel's queue message, once it is there: the message, and the modal that opens.

    Raises:
        WaitedInVain: no such message came.
    """
    message = wait(cast, lambda: cast.message_with(queue_blocks.OPEN), "the queue in the channel")
    reviewer.click(cast.channel, message["ts"], queue_blocks.OPEN)
    return message, _in_front(reviewer)


def approve(cast: Cast, reviewer: Person, conversation: SampleConversation) -> None:
    """Approve what the open modal shows, which is this conversation's candidate, and close the modal.

    Raises:
        Unavailable: it was not approved by that.
    """
    _accepted(reviewer.submit({}), conversation.id)
    reviewer.close_modal()
    with cast.store.read() as session:
        decided = session.exec(select(Candidate).where(Candidate.source == _source(cast, conversation))).one()
    if decided.status != CandidateStatus.APPROVED.value:
        raise Unavailable(f"{reviewer.name} could not approve {conversation.id}: it is {decided.status}.")


def review_all(cast: Cast) -> None:
    """Have every reviewer approve what waits for them, one after the other in one modal, until nothing is left.

    Raises:
        Unavailable: Errata refused one.
        WaitedInVain: there was no queue to open.
    """
    for reviewer in cast.staff_in(RoleName.REVIEWER):
        _, modal = open_review(cast, reviewer)
        while modal["callback_id"] == review_blocks.REVIEW:
            _accepted(reviewer.submit({}), f"what {reviewer.name} approves")
            modal = _in_front(reviewer)
        reviewer.close_modal()


def judge_the_rest(cast: Cast) -> str:
    """Have the team correct, endorse and approve every reply that nobody has judged yet; what they did, in a sentence.

    Raises as ``correct`` and ``review_all`` do.
    """
    with cast.store.read() as session:
        judged = set(session.exec(select(Candidate.source)))
    others = [one for one in cast.sample.conversations if _source(cast, one) not in judged]
    for conversation in others:
        agent = cast.staff_with(RoleName.AGENT, conversation.language)
        does = correct if conversation.verdict is SampleVerdict.WRONG else endorse
        does(cast, agent, conversation)
    review_all(cast)
    corrected = sum(conversation.verdict is SampleVerdict.WRONG for conversation in others)
    done = f"Your colleagues have corrected {corrected} and endorsed {len(others) - corrected} replies"
    waiting = _waiting(cast)
    return f"{done}; all are approved." if not waiting else f"{done}; {waiting} still wait, as somebody looks at them."


def wait(cast: Cast, look: Callable[[], Any], what: str, *, seconds: float = QUEUE_SECONDS) -> Any:
    """What ``look`` finds, once it finds something; WaitedInVain where it never does."""
    cast.workspace.wait_until(look, timeout_seconds=seconds, what=what)
    return look()


def _source(cast: Cast, conversation: SampleConversation) -> str:
    return f"{cast.workspace.team_id}/{cast.channel}/{cast.replies[conversation.id]}"


def _open_form(cast: Cast, agent: Person, conversation: SampleConversation, shortcut: str) -> dict[str, Any]:
    """Press the shortcut until its form is open with the thread read into it; on a busy machine that may take two."""

    def filled() -> dict[str, Any] | None:
        modal = agent.modal
        return None if modal is None or is_reading(modal) else modal

    for attempt in range(1, FORM_ATTEMPTS + 1):
        agent.message_shortcut(cast.channel, cast.replies[conversation.id], shortcut)
        try:
            form: dict[str, Any] = wait(cast, filled, "the thread in the form", seconds=FORM_SECONDS)
        except WaitedInVain:
            if attempt == FORM_ATTEMPTS:
                raise
            if agent.modal:
                agent.close_modal()
        else:
            break
    return form


def _in_front(person: Person) -> dict[str, Any]:
    if person.modal is None:
        raise Unavailable(f"Nothing opened for {person.name}.")
    return person.modal


def _waiting(cast: Cast) -> int:
    with cast.store.read() as session:
        waiting = session.exec(select(Candidate.id).where(Candidate.status == CandidateStatus.PENDING.value)).all()
    return len(waiting)


def _accepted(errors: dict[str, str], what: str) -> None:
    if errors:
        raise Unavailable(f"Errata refused {what}: {' '.join(errors.values())}")
