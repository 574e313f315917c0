"""The gate between the store and everything that leaves it: no personal data passes that nobody has decided about.

Owns what an installation's policy makes of undecided findings, and the record of the files that left. The words in the
store stay as they were; what leaves is the treated text.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from curation import audit
from curation.errors import Conflict, Unavailable
from curation.findings import Finding, Severity
from curation.formats.rules import Rule
from curation.people import Actor
from curation.privacy import personal
from curation.privacy.spans import Kind, Span, placeholder, replaced
from curation.privacy.treatment import DEFAULT_TERMS, Decision, Policy, Terms
from curation.store.tables import DatasetRow, DatasetVersion, Example, Export, PrivacyFinding

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
RULES: tuple[Rule, ...] = (UNDECIDED, REDACTED, OFF)
"""What the gate says about what it let pass."""

_NAMED = 10
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Released:
    """What may leave.

    Attributes:
        treated: the words of examples that leave otherwise than they are kept, as ``curation.datasets.frozen`` takes
            them.
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
    """Look for personal data in examples that are about to leave, and treat it as was decided, else by policy.

    What somebody has decided holds under every policy.
    """
    policy = terms.policy
    if policy is Policy.OFF:
        audit.record(session, actor, now, "privacy.off", subject="examples", details={"rows": len(examples)})
    else:
        personal.look(session, examples, regions=terms.regions)
    found = personal.of_examples(session, (example.key for example in examples))
    treated: dict[int, dict[str, Any]] = {}
    left_out: list[int] = []
    automatic: Counter[str] = Counter()
    for example in examples:
        rows = found.get(example.key, [])
        undecided = [row.kind for row in rows if row.decision is None]
        if undecided and policy is Policy.REVIEW:
            left_out.append(example.key)
            continue
        if policy is Policy.REDACT:
            automatic.update(undecided)
        if (words := _treated(example, rows, policy)) is not None:
            treated[example.key] = words
    return Released(treated, left_out, list(_report(policy, left_out, automatic)))


def require_treated(session: Session, version: DatasetVersion, terms: Terms = DEFAULT_TERMS) -> None:
    """Refuse a dataset with personal data that was frozen while nobody looked for it, unless nobody does now.

    Raises:
        Conflict: naming the way out.
    """
    treated = (Policy.REDACT.value, Policy.REVIEW.value)
    if terms.policy is Policy.OFF or version.manifest.get("privacy") in treated:
        return
    rows = select(Example, DatasetRow.treated).join(DatasetRow, col(DatasetRow.example_id) == col(Example.id))
    there = rows.where(DatasetRow.dataset_id == version.key, col(Example.erased_at).is_(None))
    held = [example for example, words in session.exec(there) if words is None]
    personal.look(session, held, regions=terms.regions)
    found = personal.of_examples(session, (example.key for example in held))
    bare = [key for key, some in found.items() if any(one.decision != Decision.KEEP.value for one in some)]
    if bare:
        raise Conflict(
            f"{version.name} was frozen without a look at personal data, and {len(bare):,} of its rows hold some, so "
            "it does not leave. Freeze a new one with: errata dataset freeze"
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


def _treated(example: Example, rows: Sequence[PrivacyFinding], policy: Policy) -> dict[str, Any] | None:
    """The words as they leave; None where they leave as they are."""
    stand_ins: dict[int, list[tuple[Span, str]]] = {}
    for row in rows:
        stand_in = _stand_in(row, policy)
        if stand_in is not None:
            span = Span(Kind(row.kind), row.start_index, row.end_index, "")
            stand_ins.setdefault(row.turn, []).append((span, stand_in))
    if not stand_ins:
        return None
    words = personal.words_of(example)
    texts = dict(words.passages())
    changed = {
        turn: replaced(texts[turn], [span for span, _ in pairs], dict(pairs).__getitem__)
        for turn, pairs in stand_ins.items()
    }
    return words.with_passages(changed).as_json()


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
        return [OFF.found("Nobody looked for personal data: ERRATA_PRIVACY is off.")]
    found = []
    if left_out:
        shown = ", ".join(map(str, left_out[:_NAMED])) + (" and more" if len(left_out) > _NAMED else "")
        found.append(
            UNDECIDED.found(
                f"{len(left_out):,} examples are left out, since nobody has decided about data in them: {shown}."
            )
        )
    if automatic:
        kinds = ", ".join(f"{count:,} {kind.replace('_', ' ')}" for kind, count in sorted(automatic.items()))
        found.append(REDACTED.found(f"Redacted on the way out: {kinds}."))
    return found


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise Unavailable(f"{path} cannot be read again ({error.strerror}); export it once more.") from error
    return digest.hexdigest()
