"""The assistants whose replies are watched: system prompt versions, speaker map, live model.

Owns who counts as the assistant, a user or a staff aside in a thread, and which system prompt an
example is trained under. Refuses to guess a prompt: an unknown one stays unknown until somebody
says it, and freezing waits for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, func, or_, select

from curation import audit
from curation.datasets.fitness import Prompt
from curation.errors import Conflict, Invalid, NotFound
from curation.people import WORKER, Actor, require
from curation.policies import Permission
from curation.store.rows import Prepared, table_of
from curation.store.tables import Assistant, SpeakerRule, SystemPrompt

ITSELF = "Errata"
"""What the assistant that Errata is itself is called."""


_PROMPTS = table_of(SystemPrompt)
_PROMPT_TEXT = Prepared(
    select_columns(_PROMPTS.c.text)
    .where(
        _PROMPTS.c.assistant_id == bindparam("assistant"),
        or_(_PROMPTS.c.place.is_(None), _PROMPTS.c.place == bindparam("place")),
    )
    .order_by(_PROMPTS.c.place.is_(None), _PROMPTS.c.version.desc())
    .limit(1)
)


class Speaker(StrEnum):
    """What a participant of a thread is to the training data."""

    ASSISTANT = "assistant"
    USER = "user"
    ASIDE = "aside"


@dataclass(frozen=True, slots=True)
class SpeakerMap:
    """Who speaks as whom: explicit rules first, then staff are asides, and everybody else is a user.

    Attributes:
        rules: user or bot id → speaker.
        staff: ids of people who hold a granted role; their words in a thread that somebody else
            opened are asides between colleagues, not the customer's question.
    """

    rules: Mapping[str, Speaker]
    staff: AbstractSet[str] = field(default_factory=frozenset)

    def speaker(self, ids: AbstractSet[str], *, opened_thread: bool) -> Speaker:
        """The speaker behind any of these ids (a bot's message carries a user id and a bot id)."""
        for identity in sorted(ids):
            if identity in self.rules:
                return self.rules[identity]
        return Speaker.ASIDE if ids & self.staff and not opened_thread else Speaker.USER


def add(
    session: Session, actor: Actor, now: datetime, *, name: str, team_id: str, speaks_as: AbstractSet[str]
) -> Assistant:
    """Watch an assistant; ``speaks_as`` are the user and bot ids under which it posts.

    Raises:
        NotAllowed: the actor is not an owner.
        Conflict: the name or one of the ids is taken.
        Invalid: no id was given.
    """
    require(session, actor, Permission.MANAGE_ASSISTANTS)
    if not speaks_as:
        raise Invalid(
            "The assistant {name} has no bot id: give the bot user it posts as, for example U012ABCDEF.", name=name
        )
    if _by_name(session, name) is not None:
        raise Conflict(
            "There is an assistant named {name} already; choose another name or change its prompt.", name=name
        )
    for identity in sorted(speaks_as):
        if (other := _by_identity(session, team_id, {identity})) is not None:
            raise Conflict(
                "{identity} already speaks as the assistant {assistant}.", identity=identity, assistant=other.name
            )
    return _add(session, actor, now, name, team_id, speaks_as)


def itself(session: Session, now: datetime, *, team_id: str, speaks_as: AbstractSet[str]) -> Assistant:
    """The assistant that Errata is itself, under its own bot ids; watched from now on where it was not.

    No person acts here: whoever turned it on did so on the host.
    """
    known = _by_identity(session, team_id, speaks_as)
    if known is not None:
        return known
    name = ITSELF if _by_name(session, ITSELF) is None else f"{ITSELF} in {team_id}"
    return _add(session, WORKER, now, name, team_id, speaks_as)


def set_prompt(
    session: Session, actor: Actor, now: datetime, *, name: str, text: str, channel: str | None = None
) -> SystemPrompt:
    """Record the system prompt the assistant uses from now on; equal text is not a new version.

    Args:
        channel: the id of the only channel where it is used; without it, everywhere that has none of its own.

    Raises:
        NotAllowed, NotFound, Invalid: not an owner; no such assistant; the prompt is empty.
    """
    require(session, actor, Permission.MANAGE_ASSISTANTS)
    assistant = find(session, name)
    text = text.strip()
    if not text:
        raise Invalid(
            "The system prompt of {name} is empty; give the text that the assistant really runs with.", name=name
        )
    place = f"{assistant.team_id}/{channel}" if channel else None
    current = current_prompt(session, assistant.key, place)
    if current is not None and (current.text, current.place) == (text, place):
        return current
    newest = session.exec(select(func.max(SystemPrompt.version)).where(SystemPrompt.assistant_id == assistant.key))
    version = (newest.one() or 0) + 1
    prompt = SystemPrompt(
        assistant_id=assistant.key,
        version=version,
        text=text,
        place=place,
        created_at=now,
        created_by=actor.person_id,
    )
    session.add(prompt)
    session.flush()
    audit.record(session, actor, now, "prompt.set", subject=f"assistant:{assistant.key}", details={"version": version})
    return prompt


def find(session: Session, name: str) -> Assistant:
    """The assistant of this name; NotFound names the command that adds one."""
    assistant = _by_name(session, name)
    if assistant is None:
        raise NotFound(
            "There is no assistant named {name}; add it with: errata assistants add {name} --bot USER_ID", name=name
        )
    return assistant


def listed(session: Session) -> list[Assistant]:
    """Every watched assistant, by name."""
    return list(session.exec(select(Assistant).order_by(Assistant.name)))


def current_prompt(session: Session, assistant_id: int, place: str | None = None) -> SystemPrompt | None:
    """The newest system prompt version of a place, else the one for everywhere; None where none was ever said."""
    newest = select(SystemPrompt).where(
        SystemPrompt.assistant_id == assistant_id,
        or_(col(SystemPrompt.place).is_(None), SystemPrompt.place == place),
    )
    # A place's own first; then the newest.
    return session.exec(newest.order_by(col(SystemPrompt.place).is_(None), col(SystemPrompt.version).desc())).first()


def prompt_text(session: Session, assistant_id: int, place: str | None = None) -> str | None:
    """The words of the same, at a tenth of its price: somebody in Slack waits for them."""
    prompt = _PROMPT_TEXT.first(session, assistant=assistant_id, place=place)
    return prompt.text if prompt is not None else None


def channel_prompts(session: Session, assistant_id: int) -> list[SystemPrompt]:
    """The newest system prompt version of every channel that has one of its own, by channel."""
    own = select(SystemPrompt).where(SystemPrompt.assistant_id == assistant_id, col(SystemPrompt.place).is_not(None))
    newest = {prompt.place: prompt for prompt in session.exec(own.order_by(col(SystemPrompt.version)))}
    return sorted(newest.values(), key=lambda prompt: str(prompt.place))


def prompt_versions(session: Session) -> dict[int, Prompt]:
    """Every version of every assistant's prompt by its id, as ``curation.datasets.fitness`` looks at them."""
    names = {assistant.key: assistant.name for assistant in listed(session)}
    ordered = session.exec(select(SystemPrompt).order_by(col(SystemPrompt.version))).all()
    newest = {(prompt.assistant_id, prompt.place): prompt.key for prompt in ordered}
    return {
        prompt.key: Prompt(
            names[prompt.assistant_id],
            prompt.version,
            prompt.text,
            current=newest[prompt.assistant_id, prompt.place] == prompt.key,
        )
        for prompt in ordered
    }


def speaking_as(session: Session, team_id: str, identities: AbstractSet[str]) -> Assistant | None:
    """The watched assistant that posts under any of these user or bot ids in this team."""
    return _by_identity(session, team_id, identities)


def speaker_map(session: Session, assistant: Assistant, *, staff: AbstractSet[str]) -> SpeakerMap:
    """The assistant's speaker map, with these user ids as staff."""
    rules = session.exec(select(SpeakerRule).where(SpeakerRule.assistant_id == assistant.key))
    return SpeakerMap({rule.identity: Speaker(rule.speaker) for rule in rules}, staff)


def _add(
    session: Session, actor: Actor, now: datetime, name: str, team_id: str, speaks_as: AbstractSet[str]
) -> Assistant:
    assistant = Assistant(name=name, team_id=team_id, created_at=now)
    session.add(assistant)
    session.flush()
    for identity in sorted(speaks_as):
        session.add(SpeakerRule(assistant_id=assistant.key, identity=identity, speaker=Speaker.ASSISTANT.value))
    audit.record(session, actor, now, "assistant.added", subject=f"assistant:{assistant.key}")
    return assistant


def _by_name(session: Session, name: str) -> Assistant | None:
    return session.exec(select(Assistant).where(Assistant.name == name)).first()


def _by_identity(session: Session, team_id: str, identities: AbstractSet[str]) -> Assistant | None:
    query = (
        select(Assistant)
        .join(SpeakerRule, col(SpeakerRule.assistant_id) == col(Assistant.id))
        .where(Assistant.team_id == team_id)
        .where(SpeakerRule.speaker == Speaker.ASSISTANT.value)
        .where(col(SpeakerRule.identity).in_(sorted(identities)))
    )
    return session.exec(query).first()
