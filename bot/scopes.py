"""What the app asks a workspace for, and why: the scopes of ``app-manifest.yaml``, each with its reason.

A test holds this table, the manifest and the how-to against each other.
"""

from __future__ import annotations

from curation.wording import Phrase, phrase

SCOPES: dict[str, Phrase] = {
    "commands": phrase("the shortcuts and /errata"),
    "chat:write": phrase("the review queue and notices"),
    "files:write": phrase("the loss curve"),
    "channels:history": phrase(
        "the thread around a reply, in public channels, and looking for a notice that may be lost"
    ),
    "groups:history": phrase("the same in private channels that Errata was invited to"),
    "channels:read": phrase("which channels Errata is missing from"),
    "groups:read": phrase("the same for private channels"),
    "reactions:read": phrase("the flag under a reply"),
    "im:write": phrase("telling an author what became of a correction"),
    "users:read": phrase(
        "who is a guest or from another workspace, and so may do nothing; and who speaks which language"
    ),
    "usergroups:read": phrase("roles that members of a user group hold"),
    "app_mentions:read": phrase("a question in a channel, where Errata itself answers"),
    "im:history": phrase("a question in a direct message, where Errata itself answers"),
    "assistant:write": phrase("suggested questions and titles, where Errata itself answers"),
}
"""Scope → what it is for."""
