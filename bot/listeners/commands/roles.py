"""``/errata roles``: who may do what, and for owners granting and taking back in one line."""

from __future__ import annotations

import re
from functools import partial

from sqlmodel import Session

from bot.blocks import roles as blocks
from bot.desk import Desk
from bot.listeners import roles as listener
from bot.listeners.commands.asked import Answer, Asked, Later, View
from bot.mrkdwn import escape
from bot.speech import Say
from curation import memberships, people
from curation.errors import Conflict, Invalid, NotFound
from curation.people import Actor, PersonId

_MENTION = re.compile(r"<@(?P<user>[UW][A-Z0-9]+)(\|[^>]*)?>")
_USER = re.compile(r"[UW][A-Z0-9]{7,}")


def roles(session: Session, asked: Asked) -> Answer:
    """The modal; with words behind it, such as ``grant @ana reviewer``, the deed without it."""
    people.refuse_without_standing(session, asked.actor.person_id)
    deed = (asked.word(0) or "").casefold()
    if not deed:
        return View(listener.view_of(session, asked.desk, asked.actor, asked.say))
    if deed not in listener.DEEDS or len(asked.words) != len(("grant", "PERSON", "ROLE")):
        raise Invalid("Write /errata roles grant @PERSON ROLE, or revoke; /errata roles alone shows a form.")
    role = listener.role_of(asked.words[2])
    person = _person(session, asked.actor, asked.words[1])
    told = asked.say(listener.carry_out(session, asked.desk, asked.actor, deed, person, role))
    if deed == blocks.GRANT and memberships.standing_of(session, person) is None:
        return Later(escape(told), partial(_ask, asked.desk, asked.say, person))
    return escape(told)


def _ask(desk: Desk, say: Say, person: PersonId) -> str:
    """Whether the role that was just granted counts, once Slack has said who that is."""
    if desk.workspaces is None:
        raise Conflict("Slack could not be asked who that is.")
    return escape(say(listener.asked_about(desk, person, desk.workspaces.client_for(person))))


def _person(session: Session, actor: Actor, word: str) -> PersonId:
    """Who is meant by ``<@U1|ana>``, ``U1``, ``@ana`` or ``Ana``, among the people of the actor's workspace.

    Raises:
        NotFound, Invalid: nobody there is known by it, or several are.
    """
    mentioned = _MENTION.fullmatch(word)
    if mentioned is not None:
        return listener.beside(actor, mentioned["user"])
    name = word.lstrip("@")
    if _USER.fullmatch(name):
        return listener.beside(actor, name)
    team = people.team_of(actor.person_id)
    found = [one for one in people.by_name(session, name) if people.team_of(one) == team]
    if not found:
        raise NotFound("Nobody is known here as {name}: choose them in the form of /errata roles.", name=name)
    if len(found) > 1:
        raise Invalid("{name} could be several people: choose them in the form of /errata roles.", name=name)
    return found[0]
