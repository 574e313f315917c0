"""Who may do what, as a modal: everybody's roles and where they come from, and for owners a form to change them."""

from __future__ import annotations

from collections.abc import Sequence

from bot.blocks.elements import Block, choice, modal, plain, section
from bot.mrkdwn import escape, quote
from bot.speech import Say
from curation.memberships import Holding
from curation.people import SETTINGS
from curation.policies import RoleName
from curation.wording import Phrase, phrase

CHANGE = "roles_change"
PERSON, ROLE, DEED = "person", "role", "deed"
CHOSEN = "roles_person"
"""The action of choosing somebody in the form."""
GRANT, REVOKE = "grant", "revoke"

SHOWN_PER_ROLE = 25
NAME_CHARACTERS = 60

ROLES: dict[RoleName, Phrase] = {
    RoleName.AGENT: phrase("agent"),
    RoleName.REVIEWER: phrase("reviewer"),
    RoleName.OWNER: phrase("owner"),
    RoleName.OPERATOR: phrase("operator"),
}
MEANS: dict[RoleName, Phrase] = {
    RoleName.AGENT: phrase("Agents flag and correct replies."),
    RoleName.REVIEWER: phrase("Reviewers decide about corrections."),
    RoleName.OWNER: phrase("Owners freeze, train, deploy and grant roles."),
    RoleName.OPERATOR: phrase("Operators look after the assistants."),
}


def roles_view(
    say: Say, holdings: Sequence[tuple[Holding, str, str]], *, may_change: bool, told: str | None = None
) -> Block:
    """The modal.

    Args:
        holdings: each with the name of its holder and of whoever granted it.
        may_change: whether it ends with the form.
        told: what has just happened, on top.
    """
    blocks = [section(quote(told, len(told) + 1))] if told else []
    for role in reversed(RoleName):
        held = [(one, holder, granter) for one, holder, granter in holdings if one.role is role]
        lines = [_line(say, *one) for one in held[:SHOWN_PER_ROLE]]
        if len(held) > SHOWN_PER_ROLE:
            lines.append(say("… and {count:,} more", count=len(held) - SHOWN_PER_ROLE))
        if not lines and role is RoleName.OPERATOR:
            continue
        heading = f"*{escape(say(MEANS[role]))}*"
        blocks.append(section("\n".join([heading, *(lines or [escape(say("Nobody yet."))])])))
    submit = None
    if may_change:
        blocks += [{"type": "divider"}, *_form(say)]
        submit = say("Save")
    return modal(say, CHANGE, say("Roles"), blocks, submit=submit)


def _line(say: Say, holding: Holding, holder: str, granter: str) -> str:
    person = holder[:NAME_CHARACTERS]
    if holding.group_id is not None:
        entry = say("{person}, as a member of the user group {group}", person=person, group=holding.group_id)
    elif holding.granted_by == SETTINGS:
        entry = say("{person}, by the settings", person=person)
    else:
        entry = say("{person}, granted by {granter}", person=person, granter=granter[:NAME_CHARACTERS])
    if not holding.counts:
        entry = say("{entry}: does not count now", entry=entry)
    return f"• {quote(entry, 3 * NAME_CHARACTERS)}"


def _form(say: Say) -> list[Block]:
    person: Block = {
        "type": "input",
        "block_id": PERSON,
        "dispatch_action": True,  # so that Slack is asked about them while the rest is filled in
        "label": plain(say("Person")),
        "element": {"type": "users_select", "action_id": CHOSEN, "placeholder": plain(say("Choose a person"))},
        "optional": False,
    }
    deeds = [(GRANT, say("Grant")), (REVOKE, say("Take back"))]
    return [
        person,
        choice(ROLE, say("Role"), [(role.value, say(ROLES[role])) for role in RoleName]),
        choice(DEED, say("What to do"), deeds),
    ]
