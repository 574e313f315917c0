"""What the author of a correction or an endorsement reads about it, in one message that follows its way."""

from __future__ import annotations

from bot.blocks.elements import Block, actions, button, context, quoted, section
from bot.blocks.review import AMEND
from bot.mrkdwn import escape
from bot.speech import Say
from curation.candidates import CandidateKind, CandidateStatus
from curation.reviews import Verdict
from curation.summaries import CandidateSummary
from curation.wording import phrase

SHOWN = 1200
"""Most characters of each text: the author's words, and what became of them."""


def told(say: Say, summary: CandidateSummary) -> list[Block]:
    """What became of the author's correction or endorsement, as it stands now."""
    blocks = [section(f"{_SIGNS[CandidateStatus(summary.status)]} {escape(told_text(say, summary))}")]
    match CandidateStatus(summary.status):
        case CandidateStatus.RETURNED:
            blocks.append(quoted(say("What should change"), summary.comment or "", limit=SHOWN))
            blocks.append(quoted(say("Your correction"), summary.correction, limit=SHOWN))
            blocks.append(actions("amend", [button(say("Rework"), AMEND, str(summary.id), style="primary")]))
        case CandidateStatus.REJECTED:
            blocks.append(quoted(say("Why"), summary.comment or "", limit=SHOWN))
            blocks.append(quoted(_yours(say, summary), summary.correction, limit=SHOWN))
        case CandidateStatus.APPROVED if _edited(summary) and summary.previous is not None:
            blocks.append(quoted(say("You wrote"), summary.previous, limit=SHOWN))
            blocks.append(quoted(say("Approved as"), summary.correction, limit=SHOWN))
        case _:
            blocks.append(quoted(_yours(say, summary), summary.correction, limit=SHOWN))
    if summary.status == CandidateStatus.APPROVED.value:
        blocks.append(context(say("It is in the next dataset. You will hear when a model that learned it is live.")))
    return blocks


def told_text(say: Say, summary: CandidateSummary) -> str:
    """The same in one line."""
    endorsed = summary.kind == CandidateKind.ENDORSEMENT.value
    sentence = (_OF_ENDORSEMENTS if endorsed else _OF_CORRECTIONS)[CandidateStatus(summary.status)]
    if summary.status == CandidateStatus.APPROVED.value and _edited(summary):
        sentence = _EDITED
    elif summary.status == CandidateStatus.PENDING.value and summary.verdict is not None:
        sentence = _REWORKED if summary.verdict == Verdict.RETURN.value else _FIRST_OF_TWO
    return say(sentence, number=summary.id, reviewer=summary.reviewer or "")


def live(say: Say, run: str, number: int, *, standing: bool) -> list[Block]:
    """How many of the author's examples a live model was trained on, or was until it was taken down."""
    sign = ":rocket:" if standing else ":package:"
    return [section(f"{sign} {escape(live_text(say, run, number, standing=standing))}")]


def live_text(say: Say, run: str, number: int, *, standing: bool) -> str:
    """The same in one line."""
    if standing:
        return say.many(
            "{count} reply that you helped with is live in {run}.",
            "{count} replies that you helped with are live in {run}.",
            number,
            run=run,
        )
    return say.many(
        "{count} reply that you helped with was in {run}, which is no longer live.",
        "{count} replies that you helped with were in {run}, which is no longer live.",
        number,
        run=run,
    )


def _edited(summary: CandidateSummary) -> bool:
    return summary.verdict == Verdict.EDIT_AND_APPROVE.value


def _yours(say: Say, summary: CandidateSummary) -> str:
    if summary.kind == CandidateKind.ENDORSEMENT.value:
        return say("The reply")
    return say("Your correction")


_SIGNS = {
    CandidateStatus.PENDING: ":hourglass:",
    CandidateStatus.APPROVED: ":white_check_mark:",
    CandidateStatus.REJECTED: ":no_entry_sign:",
    CandidateStatus.RETURNED: ":leftwards_arrow_with_hook:",
}
_EDITED = phrase("Thank you: {reviewer} edited your correction #{number} and approved it.")
_FIRST_OF_TWO = phrase("{reviewer} approved #{number}, which takes a second approval.")
_REWORKED = phrase("Your correction #{number} is reworked and waits for review.")
_OF_CORRECTIONS = {
    CandidateStatus.PENDING: phrase("Your correction #{number} waits for review again."),
    CandidateStatus.APPROVED: phrase("Thank you: {reviewer} approved your correction #{number}."),
    CandidateStatus.RETURNED: phrase("{reviewer} returned your correction #{number} to you."),
    CandidateStatus.REJECTED: phrase("{reviewer} rejected your correction #{number}."),
}
_OF_ENDORSEMENTS = {
    CandidateStatus.PENDING: phrase("Your endorsement #{number} waits for review again."),
    CandidateStatus.APPROVED: phrase("Thank you: {reviewer} approved your endorsement #{number}."),
    CandidateStatus.RETURNED: phrase("{reviewer} returned your endorsement #{number} to you."),
    CandidateStatus.REJECTED: phrase("{reviewer} rejected your endorsement #{number}."),
}
