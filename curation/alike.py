"""What waits beside a candidate and asks nearly the same, so that both are decided together.

Owns finding them by the hashes that screening keeps (``curation.screening``). A candidate that has not been screened
yet, a second or two after it arrived, has none beside it.
"""

from __future__ import annotations

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation.candidates import CandidateStatus
from curation.screening import likeness
from curation.screening.precedents import prompt_of
from curation.store.rows import Prepared, found, table_of
from curation.store.tables import Candidate, PromptBand, ScreenedPrompt

MOST = 10
"""Near-duplicates that are shown beside a candidate."""
_OF_BAND = 200
"""Prompts that share a hash with it and are looked at, the newest first: what waits is among these."""

_CANDIDATES, _PROMPTS, _BANDS = table_of(Candidate), table_of(ScreenedPrompt), table_of(PromptBand)
_SCREENED = Prepared(
    select_columns(_PROMPTS.c.id, _PROMPTS.c.fingerprint, _CANDIDATES.c.turns)
    .add_columns(_CANDIDATES.c.place, _CANDIDATES.c.assistant_id)
    .join(_CANDIDATES, _CANDIDATES.c.id == _PROMPTS.c.candidate_id)
    .where(_PROMPTS.c.candidate_id == bindparam("candidate"))
)
_OWN_BANDS = Prepared(select_columns(_BANDS.c.band).where(_BANDS.c.prompt_id == bindparam("prompt")))
_SHARING = Prepared(
    select_columns(_BANDS.c.prompt_id)
    .where(_BANDS.c.band == bindparam("band"))
    .order_by(_BANDS.c.prompt_id.desc())
    .limit(_OF_BAND)
)


def beside(session: Session, candidate_id: int) -> list[int]:
    """Up to ``MOST`` other candidates that wait in the same place, are of the same assistant and ask nearly the same.

    Oldest first. Equal or near is the same as for screening: exact duplicates and ``curation.similarity``'s.
    """
    own = _SCREENED.first(session, candidate=candidate_id)
    if own is None:
        return []
    sharing: set[int] = set()
    for band in _OWN_BANDS.rows(session, prompt=own.id):
        sharing |= {row.prompt_id for row in _SHARING.rows(session, band=band.band)}
    sharing.discard(own.id)
    if not sharing:
        return []
    waiting = (
        select_columns(_CANDIDATES.c.id, _CANDIDATES.c.turns, _PROMPTS.c.fingerprint)
        .join(_PROMPTS, _PROMPTS.c.candidate_id == _CANDIDATES.c.id)
        .where(
            _PROMPTS.c.id.in_(sorted(sharing)),
            _CANDIDATES.c.status == CandidateStatus.PENDING.value,
            _CANDIDATES.c.place.is_not_distinct_from(own.place),
            _CANDIDATES.c.assistant_id.is_not_distinct_from(own.assistant_id),
        )
        .order_by(_CANDIDATES.c.id)
    )
    prompt, alike = prompt_of(own.turns), list[int]()
    for row in found(session, waiting):
        if row.fingerprint == own.fingerprint or likeness.alike(prompt_of(row.turns), prompt):
            alike.append(row.id)
        if len(alike) == MOST:
            break
    return alike
