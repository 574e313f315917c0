"""What there is to say of a run at a provider's: its page there, what it notes, what its endpoint costs, the filter.

Pure. Of a run on this machine there is nothing to say but its notes.
"""

from __future__ import annotations

from bot.blocks.elements import Block, context
from bot.mrkdwn import escape
from bot.speech import Say
from training.deployments import DeploymentStatus
from training.planning.parts import money
from training.summaries import RunSummary

MOST_NOTES = 4
NOTE_LIMIT = 400

STANDING = frozenset({DeploymentStatus.REQUESTED, DeploymentStatus.LIVE, DeploymentStatus.RETIRING})
"""While a provider may send a bill for an endpoint."""


def portal(say: Say, link: str) -> str:
    """The provider's own page, as a link; ``RunSummary.link`` has no other address than the provider's."""
    return f"<{escape(link)}|{escape(say('Open it in the portal of the provider'))}>"


def notes(say: Say, summary: RunSummary) -> list[Block]:
    """What should be known of the data and of the job, as small print, in which nothing can ping or link."""
    told = [" ".join(say(note).split()) for note in summary.notes[-MOST_NOTES:]]
    return [context(one if len(one) <= NOTE_LIMIT else f"{one[: NOTE_LIMIT - 1]}…") for one in told if one]


def hosting(say: Say, summary: RunSummary) -> list[str]:
    """What its endpoint costs while it stands, or that nobody knows, and whether it is filtered, in mrkdwn."""
    if not summary.hosted or summary.deployment not in STANDING:
        return []
    if summary.fleeting and not summary.hourly:
        told = [say("Its endpoint costs nothing by the hour; the provider takes it down after a day.")]
    elif summary.hourly is None:
        told = [say("Its endpoint costs money by the hour, also while nobody asks anything; how much is unknown here.")]
    else:
        hourly = money(summary.hourly)
        told = [say("Its endpoint costs {hourly} an hour, also while nobody asks anything.", hourly=hourly)]
    if summary.filtered:
        told.append(say("Azure's content filter stands before it."))
    elif summary.filtered is not None:
        told.append(say("No content filter stands before it, as an owner decided."))
    return told
