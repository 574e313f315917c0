"""Reviews: a second person approves, edits and approves, returns or rejects.

Owns the two-person rule at the moment of decision, that exactly one reviewer wins, deciding near-duplicates together,
and the second of two approvals. An approval makes the example in the same commit; where two are needed, the second one
does. What was given so far is read by ``curation.verdicts``, and taken back by ``curation.undoing``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlmodel import Session

from curation import audit, candidates, claims, corrections, examples, feedback, rolling, verdicts
from curation.candidates import CandidateKind, CandidateStatus, Reason, Standing, Step
from curation.corrections import Version, authors
from curation.errors import AlreadyDecided, Conflict, Invalid, NotAllowed, NotFound
from curation.formats.unseen import is_blank
from curation.people import Actor, name_of, require, require_at_home
from curation.policies import Permission, approver_is_independent
from curation.store.rows import insert_row
from curation.store.tables import Review
from curation.undoing import UNDO, undo
from curation.verdicts import STEP, Given, Verdict, latest
from curation.wording import Phrase, called, phrase

if TYPE_CHECKING:  # its scan of telephone numbers takes a twentieth of a second to load
    from curation.checking.inspection import Inspection

__all__ = ["STEP", "UNDO", "Decision", "Given", "Labels", "LeftOut", "Verdict", "decide", "latest", "undo"]


class Labels(NamedTuple):
    """What a reviewer says that a candidate is about, and what is wrong with its reply, where its author did not."""

    topic: str | None = None
    reason: Reason | None = None


class LeftOut(NamedTuple):
    """A candidate that was to be decided together with another and was not, and why."""

    candidate: int
    why: Phrase


@dataclass(frozen=True, slots=True)
class Decision:
    """What a reviewer has decided.

    Attributes:
        review_id: by which it can be undone, for ``UNDO``.
        self_approved: an author approved it, in solo mode.
        decided: the candidates, the first one first.
        left_out: those that were to be decided together with it and were not.
        second_needed: it was the first of two approvals: the candidate still waits.
        lapsed: the names of those who had approved an earlier version: that counts no more.
    """

    review_id: int
    reviewer: str
    verdict: str
    comment: str | None
    self_approved: bool
    decided: tuple[int, ...]
    left_out: tuple[LeftOut, ...] = ()
    second_needed: bool = False
    lapsed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a reviewer decides, of one candidate or several."""

    verdict: Verdict
    comment: str | None
    edited: str | None
    inspection: Inspection | None
    approvals: int
    labels: Labels | None


@dataclass(frozen=True, slots=True)
class _Done:
    given: Given
    second_needed: bool = False
    lapsed: tuple[str, ...] = ()


def decide(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    candidate_id: int,
    verdict: Verdict,
    comment: str | None = None,
    edited: str | None = None,
    seen: int | None = None,
    inspection: Inspection | None = None,
    together: Sequence[int] = (),
    seen_together: Mapping[int, int] | None = None,
    approvals: int = 1,
    labels: Labels | None = None,
) -> Decision:
    """Give the verdict. The same reviewer giving the same verdict twice decides once.

    Args:
        comment: what to change (required with return) or why not (required with reject).
        edited: the reply as the reviewer rewrote it, with edit and approve.
        seen: the id of the correction's version that the reviewer looked at, where known.
        inspection: looks at an edited reply before it is written, as at every correction.
        together: near-duplicates that are given the same verdict, each with its own text. One that meanwhile was
            decided, or may not be decided by this reviewer, is left out and reported; the others are not held up.
        seen_together: the versions of theirs that the reviewer looked at, by candidate, where known.
        approvals: how many different people have to approve, one or two; in solo mode one.
        labels: topic and reason, kept with an approval of this candidate where its author gave none.

    Raises:
        NotAllowed: no reviewer, or one of the correction's authors (two-person rule).
        AlreadyDecided: somebody was faster; the sentence says who and what.
        Invalid: a comment or an edited text is missing, or an edit was to be made of several at once.
        OverWindow: with the edited text the conversation surely does not fit the model that will be tuned.
        Conflict: the candidate waits for its author, or the correction changed since it was seen.
    """
    require(session, actor, Permission.REVIEW)
    comment = comment.strip() if comment else None
    asked = _Asked(verdict, comment, edited, inspection, 1 if actor.solo else approvals, labels)
    others = [key for key in dict.fromkeys(together) if key != candidate_id]
    if (repeated := _repeated(session, actor, candidates.standing(session, candidate_id), asked)) is not None:
        return _told(session, repeated, others)
    _require_words(asked, others)
    first = _decide_one(session, actor, now, candidate_id, asked, seen=seen, batch=None)
    decided, left_out = [candidate_id], list[LeftOut]()
    for key in others:
        version = (seen_together or {}).get(key)
        try:  # whatever refuses does so before anything of this candidate is written
            _decide_one(session, actor, now, key, asked, seen=version, batch=first.given.id)
        except (Conflict, NotAllowed, NotFound) as error:
            left_out.append(LeftOut(key, error.sentence))
        else:
            decided.append(key)
    given = first.given
    return Decision(
        review_id=given.id,
        reviewer=given.reviewer,
        verdict=given.verdict,
        comment=given.comment,
        self_approved=given.self_approved,
        decided=tuple(decided),
        left_out=tuple(left_out),
        second_needed=first.second_needed,
        lapsed=first.lapsed,
    )


def _repeated(session: Session, actor: Actor, candidate: Standing, asked: _Asked) -> Given | None:
    """The actor's own equal verdict, if that is how the candidate was decided; else raise where it was."""
    status = CandidateStatus(candidate.status)
    if status is CandidateStatus.PENDING:
        return _approved_first(session, actor, candidate, asked)
    given = latest(session, candidate.id)
    if given is None:
        return None
    if given.reviewer == actor.person_id and given.verdict == asked.verdict.value:
        return given
    if status is CandidateStatus.RETURNED and asked.verdict is Verdict.REJECT:
        return None
    raise AlreadyDecided(
        "{person} was faster: candidate {candidate} is {status}.",
        person=name_of(session, given.reviewer),
        candidate=candidate.id,
        status=called(status),
    )


def _approved_first(session: Session, actor: Actor, candidate: Standing, asked: _Asked) -> Given | None:
    """The actor's own approval of the version that stands, which a second person has not joined yet."""
    if asked.approvals == 1 or STEP[asked.verdict] is not Step.APPROVE:
        return None
    newest = corrections.versions(session, candidate.id)[-1]
    if asked.verdict is Verdict.EDIT_AND_APPROVE and (asked.edited or "").strip() != newest.text:
        return None
    own = [one for one in verdicts.approvals(session, candidate.id) if one.reviewer == actor.person_id]
    return next((one for one in own if one.correction_id == newest.id), None)


def _told(session: Session, given: Given, others: Sequence[int]) -> Decision:
    """The decision that was made before, told once more."""
    first = verdicts.find(session, given.root) or given
    decided = [one.candidate_id for one in verdicts.together(session, given) if one.undone_at is None]
    left = phrase("It was not decided together with the first one; look at it again.")
    status = candidates.standing(session, given.candidate_id).status
    return Decision(
        review_id=first.id,
        reviewer=given.reviewer,
        verdict=given.verdict,
        comment=given.comment,
        self_approved=given.self_approved,
        decided=tuple(decided),
        left_out=tuple(LeftOut(key, left) for key in others if key not in decided),
        second_needed=status == CandidateStatus.PENDING.value,
    )


def _require_words(asked: _Asked, others: Sequence[int]) -> None:
    if asked.verdict is Verdict.RETURN and not asked.comment:
        raise Invalid("Say what should change, so that the author can: the comment is empty.")
    if asked.verdict is Verdict.REJECT and not asked.comment:
        raise Invalid("Say why it is rejected, so that the author learns from it: the reason is empty.")
    if asked.verdict is Verdict.EDIT_AND_APPROVE and others:
        raise Invalid("An edit is of one correction: decide about the others by themselves, or approve them unedited.")


def _decide_one(
    session: Session,
    actor: Actor,
    now: datetime,
    candidate_id: int,
    asked: _Asked,
    *,
    seen: int | None,
    batch: int | None,
) -> _Done:
    candidate = candidates.standing(session, candidate_id)
    require_at_home(session, actor, candidate.source)
    if batch is not None and _repeated(session, actor, candidate, asked) is not None:
        raise Conflict("You decided about candidate {candidate} before.", candidate=candidate_id)
    versions = corrections.versions(session, candidate_id)
    if seen is not None and versions[-1].id != seen:
        raise AlreadyDecided(
            "{person} changed the correction in between; read the new one first.",
            person=name_of(session, versions[-1].author),
        )
    approves = STEP[asked.verdict] is Step.APPROVE
    self_approved = approves and _approves_own(session, actor, candidate, versions)
    earlier = verdicts.approvals(session, candidate_id) if approves and asked.approvals > 1 else []
    standing = asked.verdict is Verdict.APPROVE and any(
        one.correction_id == versions[-1].id and one.reviewer != actor.person_id for one in earlier
    )
    first_of_two = approves and asked.approvals > 1 and not standing
    # First: whoever is overtaken there writes nothing.
    candidates.take(session, candidate, Step.APPROVE_FIRST if first_of_two else STEP[asked.verdict])
    if asked.verdict is Verdict.EDIT_AND_APPROVE:
        versions.append(_edited(session, actor, now, candidate, asked))
    version = versions[-1].id if approves else None
    fresh = _fresh(candidate, asked.labels) if approves and batch is None and asked.labels is not None else {}
    if fresh:
        topic, reason = (fresh.get(name, getattr(candidate, name)) for name in ("topic", "reason"))
        candidate = candidates.label(session, candidate, topic=topic, reason=reason)
    given = _written(
        session, actor, now, candidate_id, asked, version, batch=batch, self_approved=self_approved, fresh=fresh
    )
    if approves and not first_of_two:
        if len(versions) > 2:  # noqa: PLR2004 (an undone edit left two behind the first one: the edit, and what was before)
            undone = verdicts.withdrawn(session, candidate_id)
            versions = [one for one in versions if one.id not in undone]
        examples.from_candidate(session, actor, now, candidate, versions, self_approved=self_approved)
    claims.end(session, candidate_id)
    details: dict[str, Any] = {"review": given.id, **({"second_needed": True} if first_of_two else {})}
    if fresh:
        details["labelled"] = sorted(fresh)
    audit.record(
        session, actor, now, f"candidate.{given.verdict}", subject=f"candidate:{candidate_id}", details=details
    )
    rolling.owe_queue(session, now, candidate.place)
    feedback.tell(session, now, candidate_id, by=actor.person_id)
    lapsed = {one.reviewer for one in earlier if one.correction_id != version} - {actor.person_id}
    return _Done(given, first_of_two, tuple(name_of(session, person) for person in sorted(lapsed)))


def _fresh(candidate: Standing, labels: Labels) -> dict[str, str]:
    """The labels that its author did not give."""
    topic = labels.topic.strip() if labels.topic is not None else ""
    said = {"topic": topic, "reason": labels.reason.value if labels.reason is not None else ""}
    if candidate.kind != CandidateKind.CORRECTION.value:
        del said["reason"]  # nothing is wrong with a reply that is to be kept
    return {name: value for name, value in said.items() if value and getattr(candidate, name) is None}


def _approves_own(session: Session, actor: Actor, candidate: Standing, versions: Sequence[Version]) -> bool:
    """Apply the two-person rule; true where solo mode let an author approve.

    What a reviewer wrote and took back by undoing stands no more: they may decide about the author's text again.
    """
    if approver_is_independent(actor.person_id, set(authors(versions))):
        return False
    undone = verdicts.withdrawn(session, candidate.id)
    if approver_is_independent(actor.person_id, {one.author for one in versions if one.id not in undone}):
        return False
    if actor.solo:
        return True
    raise NotAllowed(
        "{person} wrote this endorsement: a second person approves it. To try Errata alone, set ERRATA_SOLO=true or "
        "start it with errata serve --solo."
        if candidate.kind == CandidateKind.ENDORSEMENT.value
        else "{person} wrote this correction: a second person approves it. To try Errata alone, set ERRATA_SOLO=true "
        "or start it with errata serve --solo.",
        person=name_of(session, actor.person_id),
    )


def _edited(session: Session, actor: Actor, now: datetime, candidate: Standing, asked: _Asked) -> Version:
    """The reviewer's own version; writing it makes the reviewer a co-author."""
    if not asked.edited or is_blank(asked.edited):
        raise Invalid("The edited reply is empty: write the reply that the assistant should have given.")
    corrections.inspect(session, asked.inspection, candidate, asked.edited)
    return corrections.write(session, now, candidate.id, text=asked.edited, author=actor.person_id)


def _written(
    session: Session,
    actor: Actor,
    now: datetime,
    candidate_id: int,
    asked: _Asked,
    version: int | None,
    *,
    batch: int | None,
    self_approved: bool,
    fresh: Mapping[str, str],
) -> Given:
    values: dict[str, Any] = {
        "candidate_id": candidate_id,
        "reviewer": actor.person_id,
        "verdict": asked.verdict.value,
        "comment": asked.comment,
        "self_approved": self_approved,
        "decided_at": now,
        "correction_id": version,
        "batch": batch,
        "undone_at": None,
        "topic": fresh.get("topic"),
        "reason": fresh.get("reason"),
    }
    return Given(id=insert_row(session, Review, **values), **values)
