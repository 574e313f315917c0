"""Who may see a channel: nobody reads through Errata what Slack would not show them.

Somebody sees a channel who is a member of it or, where it is public, a full member of the workspace. Whoever reads a
message for a person who has not just pressed something below it asks here first; where Slack does not say, nobody sees.
"""

from __future__ import annotations

from itertools import islice

from slack_sdk import WebClient

from curation.errors import NotAllowed
from curation.people import PersonId, user_id_of
from curation.wording import phrase

MEMBERS_ON_A_PAGE = 1000
MEMBER_PAGES = 20

NOT_SEEN = phrase(
    "You or Errata cannot see that message: ask to be added to its channel, "
    "and invite Errata there with /invite @Errata."
)
"""Of a private channel as of one that is not there: which of both it is, is nobody's business who is not in it."""

_INSIDE = ("is_private", "is_im", "is_mpim", "is_group")
_OUTSIDE = ("is_restricted", "is_ultra_restricted", "deleted")


def check(client: WebClient, channel: str, *, team: str, person: PersonId) -> None:
    """That Slack would show this person the channel.

    Raises:
        NotAllowed: it would not.
        SlackClientError, OSError, HTTPException: it does not say, and so nobody may look.
    """
    user = user_id_of(person)
    pages = client.conversations_members(channel=channel, limit=MEMBERS_ON_A_PAGE)
    if any(user in page["members"] for page in islice(pages, MEMBER_PAGES)):
        return
    about = client.conversations_info(channel=channel)["channel"]
    if about.get("is_channel") is not True or any(about.get(kind) for kind in _INSIDE):
        raise NotAllowed(NOT_SEEN)
    known = client.users_info(user=user)["user"]
    is_member = all(known.get(kind) is False for kind in _OUTSIDE)
    if not is_member or known.get("team_id") != team or known.get("is_stranger"):
        raise NotAllowed(NOT_SEEN)
