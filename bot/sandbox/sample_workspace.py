"""The sample workspace that ships with Errata: an invented product, its team and sixty conversations.

Owns the shape of ``sample/workspace.json`` and ``sample/conversations.jsonl`` and reads them into
frozen types. Refuses to post, flag or judge anything: what becomes of a conversation is the story
of the demo. A file that does not hold together is refused by name and line, never read in part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

import msgspec

from curation.candidates import Reason
from curation.errors import Invalid
from curation.policies import RoleName

WORKSPACE_FILE = "workspace.json"
CONVERSATIONS_FILE = "conversations.jsonl"

Parsed = TypeVar("Parsed")


class SampleSpeaker(StrEnum):
    """Who wrote a turn; what staff write is an aside and must not end in training data."""

    CUSTOMER = "customer"
    ASSISTANT = "assistant"
    STAFF = "staff"


class SampleVerdict(StrEnum):
    """What the author of the sample knows about the last reply."""

    GOOD = "good"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class SampleTurn:
    """One message of a thread; ``name`` is set for staff and names one of the workspace's people."""

    speaker: SampleSpeaker
    text: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class SampleConversation:
    """One thread, oldest turn first; its last turn is the assistant's reply to be judged.

    Attributes:
        id: language, topic and number, such as ``en-billing-1``.
        language: one of en, de, nb, fil, zh, id: the customer's, even where the reply's is another.
        topic: billing, delivery, account, device or returns.
        customer: the customer's invented name.
        turns: at least two; the first is the customer's.
        verdict: whether ``reply`` is right by the product's facts.
        reason: what is wrong with the reply; None where it is good.
        correction: the better reply; None where the reply is good.
        stable: for a wrong fact, whether the right one lasts long enough to be tuned in; else None.
        first: the one conversation that the demo opens with.
    """

    id: str
    language: str
    topic: str
    customer: str
    turns: tuple[SampleTurn, ...]
    verdict: SampleVerdict
    reason: Reason | None = None
    correction: str | None = None
    stable: bool | None = None
    first: bool = False

    @property
    def reply(self) -> str:
        """The assistant's last text: the one to endorse or to correct."""
        return self.turns[-1].text


@dataclass(frozen=True, slots=True)
class SamplePerson:
    """A member of the support team.

    ``languages`` are those the person reads, in Errata's codes, mother tongue first. ``locale`` is
    what Slack's ``users.info`` reports; Slack has none for Norwegian, Filipino and Indonesian.
    """

    name: str
    user_id: str
    role: RoleName
    languages: tuple[str, ...]
    locale: str


@dataclass(frozen=True, slots=True)
class SampleProduct:
    """What the customers bought; ``facts`` (English sentences) decide which replies are right."""

    name: str
    description: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SampleWorkspace:
    """Everything that the demo's workspace is filled with."""

    product: SampleProduct
    assistant_name: str
    system_prompt: str
    channel: str
    people: tuple[SamplePerson, ...]
    conversations: tuple[SampleConversation, ...]


@dataclass(frozen=True, slots=True)
class _AssistantEntry:
    name: str
    system_prompt: str


@dataclass(frozen=True, slots=True)
class _WorkspaceFile:
    product: SampleProduct
    assistant: _AssistantEntry
    channel: str
    people: tuple[SamplePerson, ...]


def load_sample(directory: Path | None = None) -> SampleWorkspace:
    """Read the shipped sample, or one of the same shape from ``directory``.

    Raises:
        Invalid: a file is missing, is not of the documented shape, or contradicts itself.
    """
    source: Traversable = files("bot.sandbox").joinpath("sample") if directory is None else directory
    entry = _parse(_read(source, WORKSPACE_FILE), _WorkspaceFile, WORKSPACE_FILE)
    staff_names = {person.name for person in entry.people}
    conversations: list[SampleConversation] = []
    for number, line in enumerate(_read(source, CONVERSATIONS_FILE).splitlines(), start=1):
        where = f"{CONVERSATIONS_FILE}, line {number}"
        conversation = _parse(line, SampleConversation, where)
        remedy = _remedy(conversation, staff_names)
        if remedy is not None:
            raise Invalid(f"{where} ({conversation.id}): {remedy}")
        conversations.append(conversation)
    _require_whole(conversations)
    return SampleWorkspace(
        product=entry.product,
        assistant_name=entry.assistant.name,
        system_prompt=entry.assistant.system_prompt,
        channel=entry.channel,
        people=entry.people,
        conversations=tuple(conversations),
    )


def _read(source: Traversable, name: str) -> bytes:
    try:
        return source.joinpath(name).read_bytes()
    except OSError as error:
        raise Invalid(f"{name} of the sample workspace cannot be read in {source}; put it back there.") from error


def _parse(content: bytes, shape: type[Parsed], where: str) -> Parsed:
    try:
        return msgspec.json.decode(content, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Invalid(f"{where}: {error}; write it in the shape of {shape.__name__.lstrip('_')}.") from error


def _remedy(conversation: SampleConversation, staff_names: set[str]) -> str | None:
    """What is wrong with this conversation and what to do, or None where it holds together."""
    turns = conversation.turns
    if not turns or turns[0].speaker is not SampleSpeaker.CUSTOMER:
        return "the first turn is not the customer's; begin with what the customer asked."
    if turns[-1].speaker is not SampleSpeaker.ASSISTANT:
        return "the last turn is not the assistant's; end with the reply to be judged."
    if not all(turn.text.strip() for turn in turns):
        return "a turn has no text; write it or take the turn out."
    if any(turn.speaker is SampleSpeaker.STAFF and turn.name not in staff_names for turn in turns):
        return f"a staff turn names nobody of {WORKSPACE_FILE}; give it the name of one of the people."
    return _verdict_remedy(conversation)


def _verdict_remedy(conversation: SampleConversation) -> str | None:
    judged = (conversation.reason, conversation.correction, conversation.stable)
    if conversation.verdict is SampleVerdict.GOOD:
        if judged != (None, None, None) or conversation.first:
            return "a good reply has nothing to correct; take reason, correction, stable and first out."
        return None
    if conversation.reason is None or not (conversation.correction or "").strip():
        return "a wrong reply needs reason and correction; add both."
    if (conversation.reason is Reason.WRONG_FACT) != (conversation.stable is not None):
        return "stable belongs to wrong_fact and to nothing else; say whether the right fact lasts."
    return None


def _require_whole(conversations: Sequence[SampleConversation]) -> None:
    repeated = [name for name, count in Counter(item.id for item in conversations).items() if count > 1]
    if repeated:
        raise Invalid(f"{CONVERSATIONS_FILE}: {', '.join(repeated)} occurs more than once; give each its own id.")
    openings = sum(item.first for item in conversations)
    if openings != 1:
        raise Invalid(f"{CONVERSATIONS_FILE}: {openings} conversations are marked first; mark exactly one.")
