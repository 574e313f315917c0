"""Whether a correction is out of the ordinary: the rules by which a reviewer is told to look twice.

Owns the thresholds and the judgement of one correction beside what is known (``Known``); the rules themselves
stand in ``curation.screening.suspicions``. Pure:
``curation.screening.worklist`` gathers what is known and keeps what is found. Nothing here blocks: most outliers are
honest, and a person who reads the warning sees which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from curation.findings import Finding
from curation.language import detect, name_of
from curation.measures.spread import Lengths
from curation.privacy.spans import IN_WORDS, Kind
from curation.screening import disguises
from curation.screening.suspicions import BY_NAME
from curation.similarity.duplicates import normalised
from curation.wording import phrase

LENGTH_FACTOR = 3
"""Far too long: so many times the length that 19 of 20 of the assistant's replies stay below; far too short alike."""
LENGTH_REPLIES = 20
"""Below so many replies nobody knows what is usual."""
BARELY_SHARE = 0.05
BARELY_MOST = 40
"""A correction barely differs if the edits are at most this share of the longer text, and at most so many."""
LANGUAGE_LETTERS = 20
"""Shorter replies ("OK!") have no language worth a warning."""
SHARED_BY = 3
"""Shares of the work are judged once so many people write: of two, one always has half."""
SHARE_LEAST = 20
TOPIC_SHARE = 0.5
TOPIC_LEAST = 10
AUTHOR_SHARE = 0.5
AUTHOR_PER_HOUR = 30
_SHOWN = 3
_QUOTED = 80


@dataclass(frozen=True, slots=True)
class Limits:
    """What a team allows one author. Above it reviewers are warned; nothing is refused.

    Attributes:
        author_share: of everything pending or approved, from 0 to 1.
        author_per_hour: corrections within an hour.
    """

    author_share: float = AUTHOR_SHARE
    author_per_hour: int = AUTHOR_PER_HOUR


@dataclass(frozen=True, slots=True)
class Subject:
    """The correction that is judged.

    Attributes:
        author: the display name of whoever wrote it, or imported it.
        prompt: the turns before the reply, as one text.
        question: the turn that is answered.
        reply: as the assistant gave it.
    """

    author: str
    prompt: str
    question: str
    reply: str
    correction: str
    topic: str | None


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier candidate or example with a prompt that is the same or nearly the same.

    Attributes:
        label: ``candidate 12`` or ``example 5``.
        same_prompt: whether the prompt is equal but for case, spaces and punctuation.
        near_prompt: whether it is at least nearly equal.
        near_reply: whether the replies are at least nearly equal.
    """

    label: str
    same_prompt: bool
    near_prompt: bool
    near_reply: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """What one author wrote, or imported from a file, of what is pending or approved.

    Attributes:
        own, total, authors: the author's, everybody's, and how many people they are from.
        topic_own, topic_total, topic_authors: the same within the subject's topic.
        last_hour: what the author wrote in the hour up to this one, this one included; nothing that was imported.
    """

    own: int = 0
    total: int = 0
    authors: int = 0
    topic_own: int = 0
    topic_total: int = 0
    topic_authors: int = 0
    last_hour: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What is known beside the correction.

    Attributes:
        earlier: candidates and examples with a similar prompt.
        usual: lengths of the assistant's replies, in characters, and of how many.
        new_hosts: domains of the correction that no approved reply and no prompt names.
        phrases: unusual phrases of the correction with how many other prompts the author put them under.
        tally: what is the author's altogether; None for replies out of an archive, which are an assistant's.
        private: kinds of personal data and secrets in the correction.
    """

    earlier: Sequence[Earlier] = ()
    usual: tuple[Lengths, int] = (Lengths(0, 0, 0, 0), 0)
    new_hosts: Sequence[str] = ()
    phrases: Mapping[str, int] = field(default_factory=dict)
    tally: Tally | None = None
    private: Sequence[str] = ()


def judge(subject: Subject, known: Known, limits: Limits | None = None) -> list[Finding]:
    """What a reviewer should know about this correction, by rule in the order of ``RULES``."""
    limits = limits or Limits()
    return [
        *_repeats(known),
        *_language(subject),
        *_length(subject, known),
        *_difference(subject),
        *_phrases(subject, known),
        *_author(subject, known.tally, limits),
        *_disguised(subject, known),
    ]


def _repeats(known: Known) -> Iterator[Finding]:
    duplicates = [one.label for one in known.earlier if one.near_prompt and one.near_reply]
    conflicts = [one.label for one in known.earlier if one.same_prompt and not one.near_reply]
    if duplicates:
        yield BY_NAME["near_duplicate"].found(phrase("It is nearly the same as {others}.", others=_some(duplicates)))
    if conflicts:
        yield BY_NAME["conflict"].found(
            phrase("The same question is answered differently by {others}.", others=_some(conflicts))
        )


def _language(subject: Subject) -> Iterator[Finding]:
    if not (_has_a_language(subject.question) and _has_a_language(subject.correction)):
        return
    asked, answered = detect(subject.question), detect(subject.correction)
    if asked and answered and asked != answered:
        yield BY_NAME["language"].found(
            phrase(
                "The question is in {asked} and the reply in {answered}, as far as can be told.",
                asked=name_of(asked),
                answered=name_of(answered),
            )
        )


def _has_a_language(text: str) -> bool:
    """Whether it is long enough to tell; a letter of a script that few languages share says more than one of ours."""
    return len(text) >= (LANGUAGE_LETTERS if text.isascii() else LANGUAGE_LETTERS // 3)


def _length(subject: Subject, known: Known) -> Iterator[Finding]:
    usual, replies = known.usual
    if replies < LENGTH_REPLIES:
        return
    length = len(subject.correction)
    compared = phrase(
        "It has {length:,} characters; 9 of 10 of the assistant's replies have {least:,} to {most:,}.",
        length=length,
        least=usual.p5,
        most=usual.p95,
    )
    if length > LENGTH_FACTOR * usual.p95:
        yield BY_NAME["too_long"].found(compared)
    elif length * LENGTH_FACTOR < usual.p5:
        yield BY_NAME["too_short"].found(compared)


def _difference(subject: Subject) -> Iterator[Finding]:
    before, after = normalised(subject.reply), normalised(subject.correction)
    if subject.reply.strip() == subject.correction.strip():
        return  # an endorsement, or a row that corrects nothing: the card says so already
    if disguises.same_words(before, after):
        yield BY_NAME["same_words"].found(phrase("It changes only case, white space or punctuation."))
        return
    longer = max(len(before), len(after))
    edits = disguises.distance(before, after, min(BARELY_MOST, int(longer * BARELY_SHARE)))
    if edits is not None:
        places = [_change(old, new) for old, new in disguises.changes(before, after)]
        yield BY_NAME["barely_differs"].found(
            phrase(
                "It changes {edits} of {longer:,} characters: {places:clauses}.",
                edits=edits,
                longer=longer,
                places=places,
            )
        )


def _change(old: str, new: str) -> str:
    if old and new:
        return phrase("“{old}” became “{new}”", old=_short(old), new=_short(new))
    return phrase("“{new}” was put in", new=_short(new)) if new else phrase("“{old}” was left out", old=_short(old))


def _phrases(subject: Subject, known: Known) -> Iterator[Finding]:
    if not known.phrases:
        return
    words, prompts = max(known.phrases.items(), key=lambda item: (item[1], len(item[0]), item[0]))
    yield BY_NAME["repeated_phrase"].found(
        phrase(
            "{author} wrote “{words}” under {prompts} other questions too, and nobody else uses it.",
            author=subject.author,
            words=_short(words),
            prompts=prompts,
        )
    )


def _author(subject: Subject, tally: Tally | None, limits: Limits) -> Iterator[Finding]:
    if tally is None:
        return
    if tally.last_hour > limits.author_per_hour:
        yield BY_NAME["author_rate"].found(
            phrase(
                "{author} wrote {number} within an hour; more than {most} are unusual.",
                author=subject.author,
                number=tally.last_hour,
                most=limits.author_per_hour,
            )
        )
    if (
        tally.authors >= SHARED_BY
        and tally.total >= SHARE_LEAST
        and tally.own > max(limits.author_share, 1 / tally.authors) * tally.total
    ):
        yield BY_NAME["author_share"].found(
            phrase(
                "{author} wrote or imported {own:,} of the {total:,} that wait or are approved.",
                author=subject.author,
                own=tally.own,
                total=tally.total,
            )
        )
    if (
        tally.topic_authors >= SHARED_BY
        and tally.topic_total >= TOPIC_LEAST
        and tally.topic_own > TOPIC_SHARE * tally.topic_total
    ):
        yield BY_NAME["author_topic"].found(
            phrase(
                "{author} wrote or imported {own:,} of the {total:,} about {topic}.",
                author=subject.author,
                own=tally.topic_own,
                total=tally.topic_total,
                topic=subject.topic,
            )
        )


def _disguised(subject: Subject, known: Known) -> Iterator[Finding]:
    if known.new_hosts:
        yield BY_NAME["new_link"].found(phrase("No approved reply names {sites}.", sites=_some(known.new_hosts)))
    if names := disguises.hidden(subject.correction):
        yield BY_NAME["hidden_characters"].found(
            phrase("It holds {characters}.", characters=_some([name.lower() for name in names]))
        )
    if words := disguises.lookalikes(subject.correction):
        yield BY_NAME["lookalikes"].found(phrase("Letters of two alphabets are mixed in {words}.", words=_some(words)))
    if said := disguises.orders(subject.correction):
        yield BY_NAME["orders"].found(phrase("It speaks to a model: “{words}”.", words=_short(said)))
    if known.private:
        kinds = [IN_WORDS[Kind(kind)][0] for kind in dict.fromkeys(known.private)]
        yield BY_NAME["privacy"].found(
            phrase("It seems to hold personal data or secrets: {kinds}.", kinds=_some(kinds))
        )


def _some(things: Sequence[str]) -> str:
    """``a, b and 3 more``."""
    shown = [_short(thing) for thing in things[:_SHOWN]]
    if len(things) > _SHOWN:
        return phrase("{things} and {more} more", things=shown, more=len(things) - _SHOWN)
    return phrase("{things:and}", things=shown)


def _short(text: str) -> str:
    """The text, cut; one of our own phrases is short, and stays a phrase."""
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"
