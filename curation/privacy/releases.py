"""The gate between the store and everything that leaves it: no personal data passes that nobody has decided about.

Owns what an installation's policy makes of undecided findings, and the record of the files that left. The words in the
store stay as they were; what leaves is the treated text.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from curation import audit
from curation.conversation import Role
from curation.errors import Conflict, Unavailable
from curation.findings import Finding, Severity
from curation.formats.rules import Rule
from curation.people import Actor
from curation.privacy import personal, places, values
from curation.privacy.places import Owner
from curation.privacy.spans import Kind, Span, counted, holds_placeholder, placeholder, replaced
from curation.privacy.treatment import DEFAULT_TERMS, Decision, Policy, Terms, Words
from curation.store.tables import Candidate, DatasetRow, DatasetVersion, Example, Export, PrivacyFinding
from curation.wording import phrase, plural

UNDECIDED = Rule(
    "privacy.undecided",
    Severity.WARNING,
    "Somebody has decided about all personal data in an example.",
    "List it with errata privacy list, decide with errata privacy decide, then do this again.",
)
REDACTED = Rule(
    "privacy.redacted",
    Severity.INFO,
    "An example holds no personal data that is redacted on its way out.",
    "Nothing has to be done; what should stay or become a pseudonym is decided with errata privacy decide.",
)
OFF = Rule(
    "privacy.off",
    Severity.WARNING,
    "Personal data is looked for before examples leave.",
    "Set ERRATA_PRIVACY to redact or review.",
)
TAUGHT = Rule(
    "privacy.taught",
    Severity.WARNING,
    "No reply that is trained on holds a placeholder.",
    "Give them pseudonyms with errata privacy decide KIND pseudonymise, or word the replies without.",
)
RULES: tuple[Rule, ...] = (UNDECIDED, REDACTED, OFF, TAUGHT)
"""What the gate says about what it let pass."""

GAPS = "knowledge-gaps"
"""What a list of ``curation.knowledge`` is called among the files that left: it holds candidates, not examples."""

_NAMED = 10
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Released:
    """What may leave.

    Attributes:
        treated: by id, what of examples leaves otherwise than it is kept, as ``curation.datasets.frozen`` takes it.
        left_out: the examples that stay until somebody has decided.
        findings: what was done, about the whole.
    """

    treated: dict[int, dict[str, Any]]
    left_out: list[int]
    findings: list[Finding]


def treat(
    session: Session,
    actor: Actor,
    now: datetime,
    examples: Sequence[Example],
    terms: Terms = DEFAULT_TERMS,
) -> Released:
    """Look for personal data in examples that are about to leave, and treat it as was decided, else by policy."""
    if terms.policy is Policy.OFF:
        record_off(session, actor, now, len(examples))
    else:
        personal.look(session, examples, regions=terms.regions)
    return as_decided(session, examples, terms.policy)


def record_off(session: Session, actor: Actor, now: datetime, rows: int) -> None:
    """Write down that so many examples leave while nobody looks for personal data."""
    audit.record(session, actor, now, "privacy.off", subject="examples", details={"rows": rows})


def as_decided(session: Session, examples: Sequence[Example], policy: Policy) -> Released:
    """Treat what was found in these examples as was decided, else by policy; only reads.

    What somebody has decided holds under every policy.
    """
    words = {one.key: personal.words_of(one) for one in examples}
    released = _released(session, Owner.EXAMPLE, words, policy, taught=True)
    for one, stand_in in _threads(session, examples).items():  # under every policy: nothing has to be looked for
        released.treated.setdefault(one, {})["thread"] = stand_in
    return released


def treat_candidates(
    session: Session,
    actor: Actor,
    now: datetime,
    candidates: Sequence[Candidate],
    terms: Terms = DEFAULT_TERMS,
) -> Released:
    """The same for candidates that leave as something else than examples; ids are theirs."""
    if terms.policy is Policy.OFF:
        audit.record(session, actor, now, "privacy.off", subject="candidates", details={"rows": len(candidates)})
    else:
        personal.look_at_candidates(session, candidates, regions=terms.regions)
    words = {one.key: personal.words_of_candidate(session, one) for one in candidates}
    return _released(session, Owner.CANDIDATE, words, terms.policy, taught=False)


def was_treated(version: DatasetVersion) -> bool:
    """Whether personal data was looked for when it was frozen."""
    return version.manifest.get("privacy") in {Policy.REDACT.value, Policy.REVIEW.value}


def require_treated(
    session: Session, version: DatasetVersion, terms: Terms = DEFAULT_TERMS, *, look: bool = True
) -> None:
    """Refuse a dataset with personal data that was frozen while nobody looked for it, unless nobody does now.

    Args:
        look: look now at the rows that nobody has looked at, seconds for thousands; without it they count as holding
            personal data. Freezing again looks at them, and gives the same dataset where they hold none.

    Raises:
        Conflict: naming the way out.
    """
    if terms.policy is Policy.OFF or was_treated(version):
        return
    rows = select(Example, DatasetRow.treated).join(DatasetRow, col(DatasetRow.example_id) == col(Example.id))
    there = rows.where(DatasetRow.dataset_id == version.key, col(Example.erased_at).is_(None))
    held = [example for example, treated_as in session.exec(there) if "messages" not in (treated_as or {})]
    if look:
        personal.look(session, held, regions=terms.regions)
    elif any(example.scanned is None for example in held):
        raise Conflict(
            "{dataset} was frozen without a look at personal data, so no model is tuned on it. Freeze a new one "
            "with: errata dataset freeze",
            dataset=version.name,
        )
    found = places.of(session, Owner.EXAMPLE, (example.key for example in held))
    bare = [key for key, some in found.items() if any(one.decision != Decision.KEEP.value for one in some)]
    if bare:
        raise Conflict(
            "{dataset} was frozen without a look at personal data, and {rows:,} of its rows hold some, so it does "
            "not leave. Freeze a new one with: errata dataset freeze",
            dataset=version.name,
            rows=len(bare),
        )


def record_export(
    session: Session,
    actor: Actor,
    now: datetime,
    path: Path,
    *,
    target: str,
    version: DatasetVersion | None,
    rows: int,
) -> Export:
    """Write down that a file left, so that erasing a customer can name it; call it once the file lies at ``path``.

    Args:
        version: the dataset that was exported; None where it was everything approved.
    """
    export = Export(
        path=str(path.resolve()),
        target=target,
        dataset_id=version.key if version is not None else None,
        rows=rows,
        digest=_digest(path),
        written_by=actor.person_id,
        written_at=now,
    )
    session.add(export)
    session.flush()
    return export


def _released(session: Session, owner: Owner, words: Mapping[int, Words], policy: Policy, *, taught: bool) -> Released:
    key, found = values.key_of(session), places.of(session, owner, words)
    treated: dict[int, dict[str, Any]] = {}
    left_out: list[int] = []
    automatic: Counter[str] = Counter()
    for one, said in words.items():
        rows = found.get(one, [])
        undecided = [row.kind for row in rows if row.decision is None]
        if undecided and policy is Policy.REVIEW:
            left_out.append(one)
            continue
        if policy is Policy.REDACT:
            automatic.update(undecided)
        if (written := _treated(said, rows, policy, key)) is not None:
            treated[one] = written.as_json()
    staying = set(left_out)
    leaving = (
        treated[one]["messages"] if one in treated else words[one].messages for one in words if one not in staying
    )
    report = _report(policy, left_out, automatic)
    return Released(treated, left_out, [*report, *(_taught(leaving) if taught else ())])


def _treated(words: Words, rows: Sequence[PrivacyFinding], policy: Policy, key: bytes) -> Words | None:
    """The words as they leave; None where they leave as they are."""
    stand_ins: dict[int, dict[Span, str]] = {}
    texts = dict(words.passages())
    for row in rows:
        stand_in, span = _stand_in(row, policy), places.span_at(row, texts, key)
        if stand_in is not None and span is not None:
            stand_ins.setdefault(row.turn, {})[span] = stand_in
    if not stand_ins:
        return None
    return words.with_passages(
        {turn: replaced(texts[turn], spans, spans.__getitem__) for turn, spans in stand_ins.items()}
    )


def _threads(session: Session, examples: Sequence[Example]) -> dict[int, str]:
    """What the threads of rows of files leave as: ``thread:`` and their first example's id.

    A file may name a thread after whoever wrote in it; where a captured one stands says nothing of anybody.
    """
    of_files = select(Example.thread, func.min(Example.id)).where(col(Example.assistant_id).is_(None))
    first = dict(session.exec(of_files.group_by(Example.thread)).all())
    return {one.key: f"thread:{first[one.thread]}" for one in examples if one.assistant_id is None}


def _taught(leaving: Iterable[Sequence[Mapping[str, Any]]]) -> Iterator[Finding]:
    """That a model would learn to say a placeholder: it stands in replies that are trained on."""
    found = [
        placeholder
        for messages in leaving
        for turn in messages
        if turn["role"] == Role.ASSISTANT.value and turn.get("weight") != 0
        if (placeholder := holds_placeholder(turn.get("content") or "")) is not None
    ]
    if found:
        yield TAUGHT.found(
            plural(
                "{count:,} reply is trained on with a placeholder such as {placeholder}: the model would say it to "
                "customers.",
                "{count:,} replies are trained on with a placeholder such as {placeholder}: the model would say it to "
                "customers.",
                len(found),
                placeholder=found[0],
            )
        )


def _stand_in(row: PrivacyFinding, policy: Policy) -> str | None:
    """What replaces a finding; None where it stays."""
    if row.decision is None:
        return placeholder(Kind(row.kind)) if policy is Policy.REDACT else None
    match Decision(row.decision):
        case Decision.REDACT:
            return placeholder(Kind(row.kind))
        case Decision.PSEUDONYMISE:
            return row.replacement
        case Decision.KEEP:
            return None


def _report(policy: Policy, left_out: Sequence[int], automatic: Counter[str]) -> list[Finding]:
    if policy is Policy.OFF:
        return [OFF.found(phrase("Nobody looked for personal data: ERRATA_PRIVACY is off."))]
    found = []
    if left_out:
        shown = [str(key) for key in left_out[:_NAMED]]
        found.append(
            UNDECIDED.found(
                plural(
                    "{count:,} example is left out, since nobody has decided about data in them: {examples}.",
                    "{count:,} examples are left out, since nobody has decided about data in them: {examples}.",
                    len(left_out),
                    examples=phrase("{examples} and more", examples=shown) if len(left_out) > _NAMED else shown,
                )
            )
        )
    if automatic:
        found.append(REDACTED.found(phrase("Redacted on the way out: {kinds}.", kinds=counted(automatic))))
    return found


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise Unavailable(
            "{path} cannot be read again ({cause}); export it once more.", path=path, cause=error.strerror
        ) from error
    return digest.hexdigest()
