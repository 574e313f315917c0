"""The sides of examples, kept: which groups an example belongs to, and what is remembered about them.

Owns the keys of a group (thread, customer, questions that are nearly the same), their persistence, and
why a row is in quarantine. How sides are drawn is decided in ``curation.datasets.split``. Refuses a validation
file whose rows lie with what earlier datasets trained on: measured there, the model would be flattered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import insert
from sqlmodel import Session, select

from curation.conversation import Conversation
from curation.datasets.split import GroupKeys, Side, assign
from curation.errors import Conflict
from curation.findings import Finding, Severity
from curation.formats.rules import Rule
from curation.language import name_of
from curation.similarity.duplicates import fingerprint, near_earlier
from curation.store.rows import table_of
from curation.store.tables import Example, SplitKey

SALT = "errata"
_SHOWN = 5

RULES: tuple[Rule, ...] = (
    Rule(
        "split.no_validation",
        Severity.WARNING,
        "Every topic in every language has rows for validation.",
        "Approve more examples of it in other threads, or read the evaluation as silent about it.",
    ),
    Rule(
        "split.quarantine",
        Severity.INFO,
        "No row ties the train side and the validation side together.",
        "Nothing to do: such rows are in no file; errata dataset show names them.",
    ),
)
"""What ``findings`` looks for."""


@dataclass(frozen=True, slots=True)
class Tie:
    """Why a row is in quarantine: what of it is on the one side, and what on the other.

    ``Tie(12, ("customer",), ("question",))``: its customer is trained on, its question is validated with.
    """

    example: int
    train: tuple[str, ...]
    validation: tuple[str, ...]

    def sentence(self) -> str:
        """``example 12: its customer is on the train side, its question on the validation side.``."""
        train, validation = (" and ".join(kinds) or "group" for kinds in (self.train, self.validation))
        return f"example {self.example}: its {train} is on the train side, its {validation} on the validation side."


@dataclass(frozen=True, slots=True)
class Placement:
    """One side per chosen example, in order, and why those in quarantine are there."""

    sides: list[Side]
    ties: list[Tie]


def place(
    session: Session,
    everything: Sequence[Example],
    chosen: Collection[int],
    *,
    validation_share: float,
    held_out: Mapping[int, int],
) -> Placement:
    """Give every chosen example its side, and remember the side of every new group.

    Args:
        everything: all examples, oldest first: what a later one nearly repeats must not depend on which are chosen.
        chosen: the ids of those that need a side.
        held_out: ``{example: line}`` of a validation file of one's own; nothing else is held out then.

    Raises:
        Conflict: a row of that file belongs to what earlier datasets trained on.
    """
    rows = [
        (example, group)
        for example, group in zip(everything, _groups(everything), strict=True)
        if example.key in chosen
    ]
    stored = {key: Side(side) for key, side in session.exec(select(SplitKey.key, SplitKey.side))}
    _refuse_trained(rows, stored, held_out)
    own = {key: Side.VALIDATION for example, group in rows if example.key in held_out for key in group.keys}
    known = own | stored
    loose = [(example, group) for example, group in rows if _pin(example) not in known]
    assigned, learned = assign(
        [group for _, group in loose],
        known,
        salt=SALT,
        validation_share=0.0 if held_out else validation_share,
        strata=[f"{example.topic}\0{example.language}" for example, _ in loose],
    )
    given = {example.key: side for (example, _), side in zip(loose, assigned, strict=True)}
    known |= learned
    known |= {_pin(example): Side.QUARANTINE for example, _ in loose if given[example.key] is Side.QUARANTINE}
    fresh = [{"key": key, "side": side.value} for key, side in known.items() if key not in stored]
    if fresh:
        session.connection().execute(insert(table_of(SplitKey)), fresh)
    sides = [given.get(example.key, Side.QUARANTINE) for example, _ in rows]
    ties = [
        _tie(example, group, known)
        for (example, group), side in zip(rows, sides, strict=True)
        if side is Side.QUARANTINE
    ]
    return Placement(sides, ties)


def without_validation(rows: Iterable[tuple[str, str, Side]]) -> dict[tuple[str, str], int]:
    """The strata that nothing validates, with their rows: of each row its topic, its language and its side."""
    counts: Counter[tuple[str, str]] = Counter()
    covered = set()
    for topic, language, side in rows:
        if side is Side.VALIDATION:
            covered.add((topic, language))
        elif side is Side.TRAIN:
            counts[topic, language] += 1
    return {stratum: count for stratum, count in sorted(counts.items()) if stratum not in covered}


def findings(lacking: Mapping[tuple[str, str], int], quarantined: int) -> list[Finding]:
    """What ``RULES`` says about strata without validation rows, and about rows in quarantine."""
    no_validation, quarantine = RULES
    found = []
    if lacking:
        most = sorted(lacking, key=lambda stratum: (-lacking[stratum], stratum))
        named = ", ".join(
            f"{topic} in {name_of(language)} ({_rows(lacking[topic, language])})" for topic, language in most[:_SHOWN]
        )
        more = f" and {len(most) - _SHOWN:,} more" if len(most) > _SHOWN else ""
        found.append(no_validation.found(f"Nothing validates {named}{more}."))
    if quarantined:
        found.append(quarantine.found(f"{quarantined:,} rows lie between the two sides."))
    return found


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _groups(examples: Sequence[Example]) -> list[GroupKeys]:
    """What may not be torn apart: a thread, a customer, and questions that are nearly the same.

    A row names only the near questions that came before it, so that its keys never change as others follow.
    """
    texts = [Conversation.from_json(example.messages).user_text() for example in examples]
    prints = [fingerprint(text) for text in texts]
    groups = []
    for position, near in enumerate(near_earlier(texts)):
        example = examples[position]
        keys = [f"thread:{example.thread}", f"text:{prints[position]}", *(f"text:{prints[other]}" for other in near)]
        if example.customer:
            keys.append(f"customer:{example.customer}")
        groups.append(GroupKeys(tuple(dict.fromkeys(keys))))
    return groups


def _pin(example: Example) -> str:
    """The key under which a row's own quarantine is kept: what it lies between may be forgotten, or erased."""
    return f"example:{example.key}"


_KINDS = {"thread": "thread", "text": "question", "customer": "customer"}


def _tie(example: Example, group: GroupKeys, known: Mapping[str, Side]) -> Tie:
    def kinds(side: Side) -> tuple[str, ...]:
        return tuple(dict.fromkeys(_KINDS[key.partition(":")[0]] for key in group.keys if known.get(key) is side))

    return Tie(example.key, kinds(Side.TRAIN), kinds(Side.VALIDATION))


def _refuse_trained(
    rows: Sequence[tuple[Example, GroupKeys]], known: Mapping[str, Side], held_out: Mapping[int, int]
) -> None:
    trained = [
        f"line {held_out[example.key]} ({', '.join(kinds)})"
        for example, group in rows
        if example.key in held_out and (kinds := _tie(example, group, known).train)
    ]
    if trained:
        named = "; ".join(trained[:_SHOWN]) + (f" and {len(trained) - _SHOWN:,} more" if len(trained) > _SHOWN else "")
        raise Conflict(
            f"{len(trained):,} of {len(held_out):,} rows of the validation file belong with rows that earlier datasets "
            f"trained on: {named}. Take these lines out of the file: a side, once given, stays."
        )
