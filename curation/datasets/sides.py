"""The sides of examples, kept: which groups an example belongs to, and what is remembered about them.

Owns the keys of a group (thread, customer, questions that are nearly the same), their persistence, and
why a row is in quarantine. How sides are drawn is decided in ``curation.datasets.split``. Refuses a validation
file whose rows lie with what earlier datasets trained on: measured there, the model would be flattered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session, func, select

from curation.conversation import Conversation
from curation.datasets.split import GroupKeys, Side, assign
from curation.errors import Conflict
from curation.findings import Finding, Severity
from curation.formats.rules import Rule
from curation.language import name_of
from curation.similarity.duplicates import fingerprint, near_earlier
from curation.store.rows import insert_rows
from curation.store.tables import Example, SplitKey
from curation.wording import phrase, plural

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
    Rule(
        "split.share",
        Severity.WARNING,
        "Validation has about the share of the rows that was asked for.",
        "Approve more examples in other threads and of other customers, or hold out rows of your own with "
        "--validation FILE: what belongs together stays on one side, and a side, once given, stays.",
    ),
)
"""What ``findings`` and ``place`` look for."""


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
        train, validation = (
            [phrase(kind) for kind in kinds] or [phrase("group")] for kinds in (self.train, self.validation)
        )
        return phrase(
            "example {example}: its {train:and} is on the train side, its {validation:and} on the validation side.",
            example=self.example,
            train=train,
            validation=validation,
        )


@dataclass(frozen=True, slots=True)
class Placement:
    """One side per chosen example, in order, why those in quarantine are there, and what is to be remembered of it.

    ``findings`` say that validation has another share than was asked for, where it does.
    """

    sides: list[Side]
    ties: list[Tie]
    learned: Mapping[str, Side]
    findings: list[Finding]


def remembered(session: Session) -> dict[str, Side]:
    """The side of every group that has one."""
    return {key: Side(side) for key, side in session.exec(select(SplitKey.key, SplitKey.side))}


def count(session: Session) -> int:
    """How many groups have a side."""
    return session.exec(select(func.count()).select_from(SplitKey)).one()


def remember(session: Session, learned: Mapping[str, Side]) -> None:
    """Keep the sides of new groups, for good."""
    insert_rows(session, SplitKey, ({"key": key, "side": side.value} for key, side in learned.items()))


def hold_out(everything: Sequence[Example], stored: Mapping[str, Side], held_out: Mapping[int, int]) -> dict[str, Side]:
    """What is to be remembered of the rows of a validation file of one's own: ``place`` then gives them their side.

    Args:
        everything, stored, held_out: as ``place`` takes them.

    Raises:
        Conflict: a row of the file belongs to what earlier datasets trained on.
    """
    rows = list(zip(everything, _groups(everything), strict=True))
    _refuse_trained(rows, stored, held_out)
    return {key: side for key, side in _own(rows, held_out).items() if key not in stored}


def place(
    everything: Sequence[Example],
    chosen: Collection[int],
    *,
    stored: Mapping[str, Side],
    validation_share: float,
    held_out: Mapping[int, int],
) -> Placement:
    """Give every chosen example its side. Pure, and seconds for tens of thousands.

    Args:
        everything: all examples, oldest first: what a later one nearly repeats must not depend on which are chosen.
        chosen: the ids of those that need a side.
        stored: the sides that groups have, as ``remembered`` gives them.
        held_out: ``{example: line}`` of a validation file of one's own; nothing else is held out then.

    Raises:
        Conflict: a row of that file belongs to what earlier datasets trained on.
    """
    rows = [
        (example, group)
        for example, group in zip(everything, _groups(everything), strict=True)
        if example.key in chosen
    ]
    _refuse_trained(rows, stored, held_out)
    known = {**_own(rows, held_out), **stored}
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
    sides = [given.get(example.key, Side.QUARANTINE) for example, _ in rows]
    ties = [
        _tie(example, group, known)
        for (example, group), side in zip(rows, sides, strict=True)
        if side is Side.QUARANTINE
    ]
    counted = Counter(sides)
    missed = _share_missed(counted[Side.TRAIN], counted[Side.VALIDATION], None if held_out else validation_share)
    return Placement(sides, ties, {key: side for key, side in known.items() if key not in stored}, missed)


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
    no_validation, quarantine, _ = RULES
    found = []
    if lacking:
        most = sorted(lacking, key=lambda stratum: (-lacking[stratum], stratum))
        named = [
            phrase(
                "{topic} in {language} ({rows})",
                topic=topic,
                language=name_of(language),
                rows=_rows(lacking[topic, language]),
            )
            for topic, language in most[:_SHOWN]
        ]
        found.append(
            no_validation.found(
                phrase("Nothing validates {named} and {more:,} more.", named=named, more=len(most) - _SHOWN)
                if len(most) > _SHOWN
                else phrase("Nothing validates {named}.", named=named)
            )
        )
    if quarantined:
        found.append(quarantine.found(phrase("{rows:,} rows lie between the two sides.", rows=quarantined)))
    return found


def _share_missed(train: int, validation: int, asked: float | None) -> list[Finding]:
    """A finding where validation misses the share that was asked for by more than half of it and more than one row.

    None was asked for where rows of one's own are held out.
    """
    both = train + validation
    if asked is None or abs(validation - asked * both) <= max(1, asked * both / 2):
        return []
    return [
        RULES[2].found(
            phrase(
                "Validation has {number:,} of {rows} ({share:.0%}); {asked:.0%} was asked for.",
                number=validation,
                rows=_rows(both),
                share=validation / both,
                asked=asked,
            )
        )
    ]


def _rows(count: int) -> str:
    return plural("{count:,} row", "{count:,} rows", count)


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


def _own(rows: Iterable[tuple[Example, GroupKeys]], held_out: Mapping[int, int]) -> dict[str, Side]:
    return {key: Side.VALIDATION for example, group in rows if example.key in held_out for key in group.keys}


_KINDS = {"thread": phrase("thread"), "text": phrase("question"), "customer": phrase("customer")}


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
            "{rows:,} of {total:,} rows of the validation file belong with rows that earlier datasets trained on: "
            "{named}. Take these lines out of the file: a side, once given, stays.",
            rows=len(trained),
            total=len(held_out),
            named=named,
        )
