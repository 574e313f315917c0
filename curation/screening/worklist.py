"""Screening: every new or edited correction is looked at shortly after it arrives, and reviewers see the warnings.

Owns what was looked at and what was found, and that nobody waits for it: a worker does it, off the way of the
acks, and holds the writer's lock only to write down what it has worked out. What is out of the ordinary is decided by
``curation.screening.outliers``. Findings never block and never decide.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, delete, exists, func, insert, or_, update
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation import rolling, urgency
from curation.candidates import OPEN, CandidateStatus
from curation.conversation import Conversation
from curation.findings import Finding, Severity
from curation.privacy import personal
from curation.privacy.treatment import REGIONS
from curation.screening import likeness
from curation.screening.harms import Watch
from curation.screening.outliers import Limits, judge
from curation.screening.precedents import look_up, prompt_of, rows
from curation.screening.suspicions import BY_NAME
from curation.similarity.duplicates import fingerprint
from curation.store.engine import Store
from curation.store.rows import Prepared, insert_row, table_of
from curation.store.tables import Candidate, CandidateFinding, Correction, Example, PromptBand, ScreenedPrompt
from curation.wording import phrase

BATCH = 25
"""Corrections of one step: a second at most, so that whoever calls it stays responsive."""
RATED = 5
"""The same where each is shown to a judge that is far away."""
log = logging.getLogger("errata.screening")

_CANDIDATES, _CORRECTIONS, _EXAMPLES = table_of(Candidate), table_of(Correction), table_of(Example)
_PROMPTS, _BANDS, _FINDINGS = table_of(ScreenedPrompt), table_of(PromptBand), table_of(CandidateFinding)

# Keys grow in the order of commits, since one writer writes at a time: behind the newest that was screened nothing is
# left, and looking needs no more than the ends of two indexes.
_NEWEST_SCREENED = select_columns(func.coalesce(func.max(_PROMPTS.c.correction_id), 0)).scalar_subquery()
_NEWER = _CORRECTIONS.alias()
_DUE = Prepared(
    select_columns(_CORRECTIONS.c.id, _CORRECTIONS.c.candidate_id)
    .where(
        _CORRECTIONS.c.id > _NEWEST_SCREENED,
        ~exists().where(_NEWER.c.candidate_id == _CORRECTIONS.c.candidate_id, _NEWER.c.id > _CORRECTIONS.c.id),
    )
    .order_by(_CORRECTIONS.c.id)
    .limit(bindparam("most"))
)
_NEWEST_EXAMPLE = select_columns(func.coalesce(func.max(_PROMPTS.c.example_id), 0)).scalar_subquery()
_UNSEEN_EXAMPLES = Prepared(
    select_columns(_EXAMPLES.c.id, _EXAMPLES.c.messages)
    .where(_EXAMPLES.c.id > _NEWEST_EXAMPLE, _EXAMPLES.c.candidate_id.is_(None))
    .order_by(_EXAMPLES.c.id)
    .limit(bindparam("most"))
)
_UNRATED = Prepared(
    select_columns(func.max(_CORRECTIONS.c.id).label("id"), _FINDINGS.c.candidate_id)
    .join(_CORRECTIONS, _CORRECTIONS.c.candidate_id == _FINDINGS.c.candidate_id)
    .join(_CANDIDATES, _CANDIDATES.c.id == _FINDINGS.c.candidate_id)
    .where(_FINDINGS.c.rule == BY_NAME["harm_unknown"].id, or_(*(_CANDIDATES.c.status == one for one in OPEN)))
    .group_by(_FINDINGS.c.candidate_id)
    .order_by(_FINDINGS.c.candidate_id)
    .limit(bindparam("most"))
)
_OF_CANDIDATE = Prepared(
    select_columns(*(_FINDINGS.c[name] for name in ("rule", "severity", "message", "fix")))
    .where(_FINDINGS.c.candidate_id == bindparam("candidate"))
    .order_by(_FINDINGS.c.id)
)


class _Hashes(NamedTuple):
    """By which equal and similar prompts are found again; worked out before anybody waits for the writer."""

    fingerprint: str
    bands: list[int]


def step(
    store: Store,
    now: datetime,
    limits: Limits | None = None,
    *,
    regions: tuple[str, ...] = REGIONS,
    most: int = BATCH,
    watch: Watch | None = None,
) -> int:
    """Screen what has arrived since the last step, oldest first; how many corrections and examples were looked at.

    Args:
        limits: what a team allows one author.
        regions: where callers are who write their number without a country code.
        most: corrections, and as many examples.
        watch: rates what is said; corrections that it gave no answer about are shown to it again.

    Raises:
        StoreUnavailable, Overtaken: the next step tries again.
    """
    asks = watch is not None and watch.willing()
    most = min(most, RATED) if asks else most
    with store.look_up() as connection:  # a worker asks by the second, and mostly there is nothing
        due = _DUE.rows(connection, most=most)
        unseen = _UNSEEN_EXAMPLES.rows(connection, most=most)
        if not due and asks:
            due = _UNRATED.rows(connection, most=most)
    for _ in _each(store, now, [(row.candidate_id, row.id) for row in due], limits, regions, watch):
        pass
    hashed = [(row.id, _hashed(prompt_of(row.messages[:-1]))) for row in unseen]  # nobody waits for that
    if hashed:
        with store.write() as session:
            for example_id, hashes in hashed:
                _keep_example(session, now, example_id, hashes)
    return len(due) + len(unseen)


def rescreen(
    store: Store,
    now: datetime,
    limits: Limits | None = None,
    *,
    regions: tuple[str, ...] = REGIONS,
    watch: Watch | None = None,
) -> Iterator[int]:
    """Screen every candidate that waits or is returned once more, yielding the id of each."""
    while step(store, now, limits, regions=regions, watch=watch):
        pass  # whatever has not been looked at comes first: the others are compared with it
    newest = (
        select_columns(func.max(_CORRECTIONS.c.id).label("seen"), _CANDIDATES.c.id)
        .join(_CANDIDATES, _CANDIDATES.c.id == _CORRECTIONS.c.candidate_id)
        .where(_CANDIDATES.c.status.in_(OPEN))
        .group_by(_CANDIDATES.c.id)
        .order_by(_CANDIDATES.c.id)
    )
    with store.read() as session:
        waiting = rows(session, newest)
    yield from _each(store, now, [(row.id, row.seen) for row in waiting], limits, regions, watch)


def _each(
    store: Store,
    now: datetime,
    due: Sequence[tuple[int, int]],
    limits: Limits | None,
    regions: tuple[str, ...],
    watch: Watch | None,
) -> Iterator[int]:
    """Screen these candidates, each with the version that is due, and yield the id of each."""
    if not due:
        return
    with store.read() as session:
        scope = personal.scope_of(session, regions)
    for candidate_id, correction_id in due:
        _screen(store, now, (candidate_id, correction_id), limits, scope, watch)
        yield candidate_id


def _screen(
    store: Store,
    now: datetime,
    due: tuple[int, int],
    limits: Limits | None,
    scope: personal.Scope,
    watch: Watch | None,
) -> None:
    """Look at one version of a candidate's correction and keep what was found, in place of what was found before.

    How urgent the candidate is follows from what was found, and its channel hears of that. A version that was
    overtaken by a newer one is passed over: the newer one is due as well.

    Raises:
        StoreUnavailable, Overtaken: nothing was kept.
    """
    with store.read() as session:
        row = _read(session, *due)
        if row is None:
            return
        prompt = prompt_of(row.turns)
        hashes = _hashed(prompt)
        try:
            findings = judge(*look_up(session, row, prompt, hashes.bands, scope), limits)
        except Exception:  # one text that a rule cannot take must not keep all later ones from being screened
            log.exception("a correction could not be screened: candidate=%s", row.id)
            findings = [BY_NAME["unscreened"].found(phrase("It could not be screened."))]
    if watch is not None:  # outside of any transaction: it may take seconds
        spoken = Conversation.from_json(row.turns).with_system(None).messages
        findings += watch.of_one([message.text for message in spoken], row.text)
    with store.write() as session:
        _keep(session, now, row, hashes, findings)


def findings_of(session: Session, candidate_id: int) -> tuple[Finding, ...]:
    """What is known to be out of the ordinary about a candidate, in the order of the rules."""
    kept = _OF_CANDIDATE.rows(session, candidate=candidate_id)
    return tuple(Finding(row.rule, Severity(row.severity), row.message, row.fix) for row in kept)


def forget(session: Session, candidate_id: int) -> None:
    """Remove what screening keeps of a candidate: its findings quote words, its hashes tell equal prompts."""
    session.execute(delete(_FINDINGS).where(_FINDINGS.c.candidate_id == candidate_id))
    prompts = select_columns(_PROMPTS.c.id).where(_PROMPTS.c.candidate_id == candidate_id)
    session.execute(delete(_BANDS).where(_BANDS.c.prompt_id.in_(prompts)))
    # The row itself stays with its key: it says how far screening has come.
    session.execute(update(_PROMPTS).where(_PROMPTS.c.candidate_id == candidate_id).values(fingerprint=""))


def _read(session: Session, candidate_id: int, correction_id: int) -> Row[Any] | None:
    """The candidate with this version of its correction; None where a newer one stands, or it is gone."""
    versions = (
        select_columns(_CANDIDATES, _CORRECTIONS.c.id.label("seen"), _CORRECTIONS.c.text, _CORRECTIONS.c.author)
        .add_columns(_CORRECTIONS.c.written_at)
        .join(_CORRECTIONS, _CORRECTIONS.c.candidate_id == _CANDIDATES.c.id)
        .where(_CANDIDATES.c.id == candidate_id)
        .order_by(_CORRECTIONS.c.id.desc())
        .limit(1)
    )
    newest = rows(session, versions)
    return newest[0] if newest and newest[0].seen == correction_id else None


def _hashed(prompt: str) -> _Hashes:
    return _Hashes(fingerprint(prompt), likeness.bands(prompt))


def _keep(session: Session, now: datetime, row: Row[Any], hashes: _Hashes, findings: list[Finding]) -> None:
    standing = select_columns(_CANDIDATES.c.status, func.max(_CORRECTIONS.c.id).label("seen"))
    standing = standing.join(_CORRECTIONS, _CORRECTIONS.c.candidate_id == _CANDIDATES.c.id)
    present = rows(session, standing.where(_CANDIDATES.c.id == row.id).group_by(_CANDIDATES.c.status))
    if not present or present[0].seen != row.seen:
        return
    values: dict[str, Any] = {"correction_id": row.seen, "author": row.author, "screened_at": now}
    values["fingerprint"] = hashes.fingerprint
    prompt = rows(session, select_columns(_PROMPTS.c.id).where(_PROMPTS.c.candidate_id == row.id))
    if prompt:
        session.execute(update(_PROMPTS).where(_PROMPTS.c.id == prompt[0].id).values(**values))
    else:
        _keep_prompt(session, {"candidate_id": row.id, "example_id": None, **values}, hashes.bands)
    before = findings_of(session, row.id)
    if before == tuple(findings):
        return
    session.execute(delete(_FINDINGS).where(_FINDINGS.c.candidate_id == row.id))
    if findings:
        session.execute(
            insert(_FINDINGS),
            [
                {
                    "candidate_id": row.id,
                    "rule": one.rule,
                    "severity": one.severity.value,
                    "message": one.message,
                    "fix": one.fix,
                    "found_at": now,
                }
                for one in findings
            ],
        )
    raised = urgency.of(row.reason, frozenset(one.severity.value for one in findings))
    if urgency.keep(session, row.id, raised) and present[0].status == CandidateStatus.PENDING.value:
        rolling.owe_queue(session, now, row.place)


def _keep_example(session: Session, now: datetime, example_id: int, hashes: _Hashes) -> None:
    if rows(session, select_columns(_PROMPTS.c.id).where(_PROMPTS.c.example_id == example_id)):
        return
    values: dict[str, Any] = {"candidate_id": None, "example_id": example_id, "correction_id": None, "author": ""}
    values |= {"fingerprint": hashes.fingerprint, "screened_at": now}
    _keep_prompt(session, values, hashes.bands)


def _keep_prompt(session: Session, values: dict[str, Any], bands: Sequence[int]) -> None:
    key = insert_row(session, ScreenedPrompt, **values)
    session.execute(insert(_BANDS), [{"band": band, "prompt_id": key} for band in sorted(set(bands))])
