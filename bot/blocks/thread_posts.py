"""The message in a thread in which a colleague corrects the assistant's reply, and what they hear if it cannot stand.

The correction stands in a rich_text block, where a text is shown as it is written: it can neither ping nor link.
"""

from __future__ import annotations

from bot.blocks.elements import Block, context, section
from bot.blocks.parts import beginning
from bot.mrkdwn import quote
from bot.speech import Say
from curation.thread_posts import ThreadPost
from curation.wording import phrase

NAME_LIMIT = 80
MOST = 11_000
"""Characters of the correction; Slack takes about 13,200 in all blocks of a message."""

WHY_NOT = {
    "channel_not_found": phrase("Errata is not in that channel: invite it with /invite @Errata."),
    "not_in_channel": phrase("Errata is not in that channel: invite it with /invite @Errata."),
    "is_archived": phrase("The channel is archived."),
    "is_inactive": phrase("The channel is archived."),
    "restricted_action": phrase("Not everybody may post in that channel: a workspace admin can let Errata."),
    "missing_scope": phrase("Errata may not post there: errata doctor names what is missing."),
    "message_not_found": phrase("The message is deleted."),
    "thread_not_found": phrase("The thread is deleted."),
    "cannot_reply_to_message": phrase("Slack takes no answers to that message."),
}
_UNKNOWN = phrase("Slack did not take it.")


def post(say: Say, shown: ThreadPost) -> list[Block]:
    """``*Ana* corrects:`` and the correction, quoted; of one that no message holds, the beginning."""
    text = beginning(shown.text, MOST)
    quoted = {"type": "rich_text_quote", "elements": [{"type": "text", "text": text}]}
    blocks = [
        section(say("{author} corrects:", author=f"*{quote(shown.author, NAME_LIMIT)}*")),
        {"type": "rich_text", "elements": [quoted]},
    ]
    return blocks if text == shown.text else [*blocks, context(say("The rest of it stands in the correction itself."))]


def post_text(say: Say, shown: ThreadPost) -> str:
    """The same for a notification."""
    return say("{author} corrects a reply.", author=quote(shown.author, NAME_LIMIT))


def not_posted(say: Say, candidate_id: int, trouble: str | None) -> str:
    """What the author hears where the thread did not take it: the correction itself is safe."""
    return say(
        "Your correction #{number} is saved, but it could not be posted in the thread. {why}",
        number=candidate_id,
        why=WHY_NOT.get(trouble or "", _UNKNOWN),
    )
