"""What the support team of the demo does: correct or endorse a reply, and approve what a colleague proposed.

Everything is done the way people do it, by shortcuts, forms and buttons; only the waiting looks into the database.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlmodel import select

from bot.blocks.review import APPROVE
from bot.demo.cast import Cast
from bot.listeners.correct import CORRECT, ENDORSE
from bot.sandbox.errors import WaitedInVain
from bot.sandbox.people import Person
from bot.sandbox.sample_workspace import SampleConversation, SampleVerdict
from curation.candidates import CandidateStatus
from curation.errors import Unavailable
from curation.policies import RoleName
from curation.store.tables import Candidate

CARD_SECONDS = 30
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
    _accepted(agent.submit(values), conversation)
    return modal


def endorse(cast: Cast, agent: Person, conversation: SampleConversation) -> None:
    """Endorse the conversation's reply; raises as ``correct`` does."""
    _open_form(cast, agent, conversation, ENDORSE)
    _accepted(agent.submit({"topic": conversation.topic}), conversation)


def review(cast: Cast, reviewer: Person, conversation: SampleConversation) -> dict[str, Any]:
    """Press Approve on the conversation's card, once the channel has it; the card as it stood before.

    Raises:
        Unavailable: it was not approved by that.
        WaitedInVain: its card did not come.
    """
    with cast.store.read() as session:
        candidate = session.exec(select(Candidate).where(Candidate.source == _source(cast, conversation))).one()
    card = wait(cast, lambda: cast.message_with(f"#{candidate.key} is pending"), f"card {candidate.key}")
    reviewer.click(cast.channel, card["ts"], APPROVE)
    with cast.store.read() as session:
        decided = session.get_one(Candidate, candidate.key)
    if decided.status != CandidateStatus.APPROVED.value:
        raise Unavailable(f"{reviewer.name} could not approve {conversation.id}: it is {decided.status}.")
    shown: dict[str, Any] = card
    return shown


def judge_the_rest(cast: Cast) -> str:
    """Have the team correct, endorse and approve every reply that nobody has judged yet; what they did, in a sentence.

    Raises as ``correct`` and ``review`` do.
    """
    with cast.store.read() as session:
        judged = set(session.exec(select(Candidate.source)))
    others = [one for one in cast.sample.conversations if _source(cast, one) not in judged]
    for conversation in others:
        agent = cast.staff_with(RoleName.AGENT, conversation.language)
        does = correct if conversation.verdict is SampleVerdict.WRONG else endorse
        does(cast, agent, conversation)
    for conversation in others:  # afterwards: the cards come at the pace that Slack allows
        review(cast, cast.staff_with(RoleName.REVIEWER, conversation.language), conversation)
    corrected = sum(conversation.verdict is SampleVerdict.WRONG for conversation in others)
    return (
        f"Your colleagues have corrected {corrected} and endorsed {len(others) - corrected} replies; all are approved."
    )


def wait(cast: Cast, look: Callable[[], Any], what: str, *, seconds: float = CARD_SECONDS) -> Any:
    """What ``look`` finds, once it finds something; WaitedInVain where it never does."""
    cast.workspace.wait_until(look, timeout_seconds=seconds, what=what)
    return look()


def _source(cast: Cast, conversation: SampleConversation) -> str:
    return f"{cast.workspace.team_id}/{cast.channel}/{cast.replies[conversation.id]}"


def _open_form(cast: Cast, agent: Person, conversation: SampleConversation, shortcut: str) -> dict[str, Any]:
    """Press the shortcut until its form is open with the thread read into it; on a busy machine that may take two."""

    def filled() -> dict[str, Any] | None:
        modal = agent.modal
        return modal if modal and "Reading the thread" not in str(modal["blocks"]) else None

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


def _accepted(errors: dict[str, str], conversation: SampleConversation) -> None:
    if errors:
        raise Unavailable(f"{conversation.id} was refused: {' '.join(errors.values())}")
