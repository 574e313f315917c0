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
from curation.store.rows import Prepared, table_of
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
_SHARING = (
    select_columns(_BANDS.c.prompt_id)
    .where(_BANDS.c.band == bindparam("band"))
    .order_by(_BANDS.c.prompt_id.desc())
    .limit(_OF_BAND)
    .subquery()
)
_WAITING = Prepared(
    select_columns(_CANDIDATES.c.id, _PROMPTS.c.fingerprint)
    .select_from(_SHARING)
    .join(_PROMPTS, _PROMPTS.c.id == _SHARING.c.prompt_id)
    .join(_CANDIDATES, _CANDIDATES.c.id == _PROMPTS.c.candidate_id)
    .where(
        _PROMPTS.c.id != bindparam("prompt"),
        _CANDIDATES.c.status == CandidateStatus.PENDING.value,
        _CANDIDATES.c.place.is_not_distinct_from(bindparam("place", type_=_CANDIDATES.c.place.type)),
        _CANDIDATES.c.assistant_id.is_not_distinct_from(bindparam("assistant", type_=_CANDIDATES.c.assistant_id.type)),
    )
)
_TURNS = Prepared(select_columns(_CANDIDATES.c.turns).where(_CANDIDATES.c.id == bindparam("candidate")))


def beside(session: Session, candidate_id: int) -> list[int]:
    """Up to ``MOST`` other candidates that wait in the same place, are of the same assistant and ask nearly the same.

    Oldest first. Equal or near is the same as for screening: exact duplicates and ``curation.similarity``'s.
    """
    own = _SCREENED.first(session, candidate=candidate_id)
    if own is None:
        return []
    theirs: dict[int, str] = {}
    for band in _OWN_BANDS.rows(session, prompt=own.id):
        values = {"band": band.band, "prompt": own.id, "place": own.place, "assistant": own.assistant_id}
        theirs.update(_WAITING.rows(session, **values))
    if not theirs:
        return []
    prompt, alike = prompt_of(own.turns), list[int]()
    for key in sorted(theirs):
        if theirs[key] == own.fingerprint or likeness.alike(_prompt(session, key), prompt):
            alike.append(key)
        if len(alike) == MOST:
            break
    return alike


def _prompt(session: Session, candidate_id: int) -> str:
    (candidate,) = _TURNS.rows(session, candidate=candidate_id)
    return prompt_of(candidate.turns)
