"""What a classifier reads, what it may answer, and what somebody has answered before.

Owns which words of a conversation are classified, the same when it learns and when it is asked; the labels that a
dataset's particulars hold; and the file that says so beside a model. Nothing here computes: the head is
``classifier``'s. The system turn is never read: it may name the answer.

* ``topic``: what the customer said, as one turn. A flag may come early or late, so each conversation is learned twice:
  by what the customer said first, and by all of it.
* ``reason``: the conversation with the flagged reply as its last turn.
* ``flagged``: a conversation with its last reply; flagged replies against those that staff approved. Imported rows
  without a rejected reply are nobody's judgement and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid, Unavailable
from curation.wording import called, phrase
from training.backends.local import folder
from training.backends.local.chat import ChatFormat, Encoded, Row, without_oldest_exchange
from training.hyperparameters import FLAGGED, KEPT, Label
from training.particulars import Particulars

FILE = "labels.json"
LEAST = 2
"""Rows of the training side that a label needs; what was seen once cannot be told from an accident."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a classifier answers.

    Attributes:
        label: the question.
        names: the answers, in the order of the head's rows.
        max_length: most tokens that it reads.
    """

    label: Label
    names: tuple[str, ...]
    max_length: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A conversation without its system turn, and what it was called."""

    conversation: Conversation
    name: str


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a dataset, labelled and encoded.

    Attributes:
        rows: what is learned; of a topic up to two for each conversation.
        conversations: how many gave a row.
        shortened: how many of them lost their oldest turns.
        left_out: how many did not fit even so.
        unknown: how many have an answer that the training side has too rarely.
    """

    rows: list[Encoded]
    conversations: int
    shortened: int
    left_out: int
    unknown: int

    def notes(self, side: str, about: Labels) -> list[str]:
        """Sentences about what was lost, for people; none where nothing was."""
        sentences = (
            (self.shortened, f"lost their oldest turns to fit {about.max_length:,} tokens."),
            (self.left_out, f"were left out: one turn alone exceeds {about.max_length:,} tokens."),
            (self.unknown, f"were left out: their {about.label} has fewer than {LEAST} conversations to learn from."),
        )
        return [f"{count} of the {side} conversations {rest}" for count, rest in sentences if count]

    def counts(self) -> dict[str, int]:
        """What there is of the side, for the record."""
        return {
            "conversations": self.conversations,
            "tokens": sum(map(len, self.rows)),
            "supervised_tokens": len(self.rows),
            "shortened": self.shortened,
            "left_out": self.left_out + self.unknown,
        }


def samples(label: Label, rows: Iterable[Row], known: Mapping[int, Particulars]) -> list[Sample]:
    """The rows that somebody has labelled, in their order.

    Args:
        label: the question.
        rows: of one side.
        known: their particulars, by the examples' numbers.
    """
    found = []
    for row in rows:
        about = known.get(row.example) if row.example is not None else None
        if about is not None:
            found += _of_row(label, row.conversation, about)
    return found


def names_of(label: Label, learned: Sequence[Sample]) -> tuple[str, ...]:
    """The answers that can be learned, in alphabetical order.

    Raises:
        Invalid: there are fewer than two.
    """
    counts = Counter(sample.name for sample in learned)
    names = tuple(sorted(name for name, count in counts.items() if count >= LEAST))
    if not counts:
        raise Invalid("{reason}", reason=_NOTHING[label])
    if len(names) < 2:  # noqa: PLR2004 (a question with one answer is none)
        raise Invalid(
            "There is nothing to tell apart: {rows:,} conversations of the training side have a {label}, and only "
            "{names} has two or more. Add conversations of another one and freeze again.",
            rows=len(learned),
            label=called(label),
            names=names or (phrase("none"),),
        )
    return names


def encoded(about: Labels, chat: ChatFormat, found: Sequence[Sample]) -> Side:
    """Samples as rows whose last token's state predicts the label."""
    numbers = {name: number for number, name in enumerate(about.names)}
    rows: list[Encoded] = []
    conversations = shortened = left_out = unknown = 0
    for sample in found:
        if sample.name not in numbers:
            unknown += 1
            continue
        whole = fitted(about, chat, sample.conversation)
        if whole is None:
            left_out += 1
            continue
        ids, shorter = whole
        variants = [ids]
        if about.label is Label.TOPIC and not shorter:
            first = fitted(about, chat, _beginning(sample.conversation))
            if first is not None and first[0] != ids:
                variants.append(first[0])
        rows += [Encoded(one, [False] * len(one), label=numbers[sample.name]) for one in variants]
        conversations, shortened = conversations + 1, shortened + shorter
    return Side(rows, conversations, shortened, left_out, unknown)


def fitted(about: Labels, chat: ChatFormat, conversation: Conversation) -> tuple[list[int], bool] | None:
    """The tokens that are classified, and whether whole turns had to go from the oldest on; None where nothing fits.

    They end where the assistant's next turn would begin: there a language model has summed up what came before.
    """
    rest: Conversation | None = _without_system(conversation)
    whole = rest
    while rest is not None and rest.messages:
        ids = chat.prompt(_as_one_turn(rest) if about.label is Label.TOPIC else rest)
        if len(ids) <= about.max_length:
            return ids, rest is not whole
        rest = without_oldest_exchange(rest)
    return None


def text_of(label: Label, conversation: Conversation) -> str:
    """The same as plain text, for a yardstick that knows no tokens."""
    return "\n".join(
        turn.content
        for turn in _without_system(conversation).messages
        if label is not Label.TOPIC or turn.role is Role.USER
    )


def write_labels(about: Labels, directory: Path) -> None:
    """Say beside a model's weights what its head answers."""
    folder.write_json(directory / FILE, {**asdict(about), "names": list(about.names)})


def read_labels(directory: Path) -> Labels:
    """What ``write_labels`` wrote.

    Raises:
        Unavailable: the model is no classifier, or the file is of another program.
    """
    try:
        row = folder.read_json(directory / FILE)
        if row is not None:
            return Labels(Label(row["label"]), tuple(row["names"]), int(row["max_length"]))
    except (ValueError, KeyError, TypeError):
        row = None
    raise Unavailable(
        "{path} holds no classifier: its {file} is missing or cannot be read. Choose a run with the objective labels.",
        path=directory,
        file=FILE,
    )


def is_classifier(directory: Path) -> bool:
    """Whether the model in a directory answers with labels instead of replies."""
    return (directory / FILE).is_file()


_NOTHING = {
    Label.TOPIC: phrase(
        "No row of the training side has a topic: say what conversations are about, then freeze again."
    ),
    Label.REASON: phrase(
        "No correction of the training side says what was wrong: choose a reason when you correct, then freeze again."
    ),
    Label.FLAGGED: phrase(
        "The training side has neither a flagged reply nor an approved one: approve corrections and endorsements, then "
        "freeze again."
    ),
}


def _of_row(label: Label, conversation: Conversation, about: Particulars) -> list[Sample]:
    wrong = _answered(conversation, about.rejected) if about.rejected else None
    if label is Label.TOPIC:
        return [Sample(conversation, about.topic)] if about.topic else []
    if label is Label.REASON:
        return [Sample(wrong, about.reason)] if wrong is not None and about.reason else []
    judged = wrong is not None or about.kind != "imported"
    return [
        *([Sample(wrong, FLAGGED)] if wrong is not None else []),
        *([Sample(conversation, KEPT)] if judged else []),
    ]


def _answered(conversation: Conversation, reply: str) -> Conversation:
    """The conversation with another last reply."""
    *before, last = conversation.messages
    return replace(conversation, messages=(*before, replace(last, content=reply)))


def _without_system(conversation: Conversation) -> Conversation:
    turns = tuple(turn for turn in conversation.messages if turn.role is not Role.SYSTEM)
    return replace(conversation, messages=turns)


def _beginning(conversation: Conversation) -> Conversation:
    """Up to the customer's first turn."""
    turns = conversation.messages
    asked = next((place for place, turn in enumerate(turns) if turn.role is Role.USER), len(turns) - 1)
    return replace(conversation, messages=turns[: asked + 1])


def _as_one_turn(conversation: Conversation) -> Conversation:
    """What the customer said, as one turn: some templates refuse two turns of one speaker."""
    said = "\n\n".join(turn.content for turn in conversation.messages if turn.role is Role.USER)
    return Conversation((Message(Role.USER, said),))
