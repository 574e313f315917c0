"""The walk of ``errata review``: one candidate after the other, decided with single keys.

Owns what is shown of a candidate and what each key does. Which one comes next is ``curation.claims``'s; narrowed to a
topic or a language, the walk goes through the list of ``errata queue`` instead.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from curation.commands.queue import besides
from curation.errors import Conflict, ErrataError
from curation.terminal import Terminal, kept_whole, read_text

if TYPE_CHECKING:
    from curation.queue import Filters
    from curation.reviews import Decision, Labels, Verdict
    from curation.summaries import CandidateSummary

KEYS = "[a]pprove, [e]dit and approve, [r]eturn, [x] reject, [s]kip, [u]ndo, [q]uit"
_NONE = "-"
_ALL_DONE = "Nothing more waits. Next: errata dataset freeze"
_DONE = {
    "approve": "approved",
    "edit_and_approve": "edited and approved",
    "return": "returned",
    "reject": "rejected",
}


@dataclass(frozen=True, slots=True)
class Words:
    """A decision as it was typed.

    Attributes:
        said: the comment, the reason, or the better text.
        together: the ids of other candidates about which the same is decided.
        labels: the topic and reason that were said, where its author had not.
    """

    verdict: Verdict
    said: str | None = None
    together: tuple[int, ...] = ()
    labels: Labels | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """What is walked through.

    Attributes:
        following: gives the next candidate's id, claimed, but for those passed; None where nothing is left.
        total: how many there are.
        besides: what else waits, in words.
        left: how many of them are left.
    """

    following: Callable[[Collection[int]], int | None]
    total: int
    besides: Callable[[], str]
    left: Callable[[], int]


@dataclass(slots=True)
class _Steps:
    """How far a walk has come.

    Attributes:
        passed: candidates that are not shown again.
        decided: reviews, by which the decisions can be undone.
        again: what is shown next, whatever else waits.
    """

    passed: set[int] = field(default_factory=set)
    decided: list[int] = field(default_factory=list)
    again: list[int] = field(default_factory=list)


def walk_of(terminal: Terminal, topic: str | None, language: str | None) -> Walk:
    """The queue as this reviewer is shown it, or a part of its list."""
    from curation import claims, queue  # noqa: PLC0415 (the tables load only where a command needs them)

    if topic is not None or language is not None:
        return _narrowed(terminal, _of_theirs(terminal, topic, language))

    def tally() -> queue.Tally:
        with terminal.store.read() as session:
            return queue.tally(session, terminal.actor(session), terminal.clock())

    def following(passed: Collection[int]) -> int | None:
        with terminal.store.write() as session:
            return claims.take_next(session, terminal.actor(session), terminal.clock(), passed=passed)

    return Walk(following, tally().for_you, lambda: besides(tally()), lambda: tally().for_you)


def one(terminal: Terminal, candidate_id: int) -> Walk:
    """A walk through one candidate, whatever its status: it is shown to whoever may review."""
    from curation import candidates  # noqa: PLC0415
    from curation.candidates import CandidateStatus  # noqa: PLC0415

    def following(passed: Collection[int]) -> int | None:
        return None if candidate_id in passed or not left() else candidate_id

    def left() -> int:
        with terminal.store.read() as session:
            return int(candidates.find(session, candidate_id).status == CandidateStatus.PENDING.value)

    summary_of(terminal, candidate_id)
    return Walk(following, 1, lambda: "", left)


def walk(terminal: Terminal, through: Walk) -> None:
    """Show one candidate after the other and do what is typed, until nothing is left or somebody quits."""
    steps = _Steps()
    while (key := steps.again.pop(0) if steps.again else through.following(steps.passed)) is not None:
        summary = summary_of(terminal, key)
        beside, position = _beside(terminal, key), len(steps.passed) + 1
        _show(terminal, summary, f"{position} of {max(through.total, position)}", beside)
        if not _step(terminal, summary, beside, steps):
            break
    left = through.left()
    waits = through.besides()
    if left:
        terminal.say(f"{left} of {max(through.total, left)} left undecided. Next: errata review")
    elif not through.total:
        terminal.say(f"Nothing is left for you: {waits}." if waits else "Nothing waits for review.")
    else:
        terminal.say(f"Nothing more waits for you: {waits}." if waits else _ALL_DONE)


def summary_of(terminal: Terminal, candidate_id: int) -> CandidateSummary:
    """What there is to know about a candidate, for whoever may review."""
    from curation import candidates, people  # noqa: PLC0415
    from curation.policies import Permission  # noqa: PLC0415
    from curation.summaries import of_candidate  # noqa: PLC0415

    with terminal.store.read() as session:
        people.require(session, terminal.actor(session), Permission.REVIEW)
        candidate = candidates.find(session, candidate_id)
        people.require_at_home(session, terminal.actor(session), candidate.source)
        return of_candidate(session, candidate)


def decide(terminal: Terminal, summary: CandidateSummary, words: Words) -> Decision:
    """Give the verdict and say what came of it."""
    from curation import reviews  # noqa: PLC0415

    edits = words.verdict is reviews.Verdict.EDIT_AND_APPROVE
    inspection = terminal.inspection() if edits else None
    with terminal.store.write() as session:
        decision = reviews.decide(
            session,
            terminal.actor(session),
            terminal.clock(),
            candidate_id=summary.id,
            verdict=words.verdict,
            comment=None if edits else words.said,
            edited=_text_or_file(words.said) if edits and words.said is not None else None,
            seen=summary.seen,
            inspection=inspection,
            together=words.together,
            approvals=terminal.approvals,
            labels=words.labels,
        )
    terminal.warn(inspection.findings if inspection is not None else ())
    _tell(terminal, summary, decision)
    return decision


def undo(terminal: Terminal, candidate_id: int) -> None:
    """Take the newest decision about a candidate back."""
    from curation import verdicts  # noqa: PLC0415

    with terminal.store.read() as session:
        given = verdicts.latest(session, candidate_id)
    if given is None:
        raise Conflict("Nothing was decided about candidate {candidate}.", candidate=candidate_id)
    _undo(terminal, given.root)


def _undo(terminal: Terminal, review_id: int) -> list[int]:
    from curation import reviews  # noqa: PLC0415

    with terminal.store.write() as session:
        back = reviews.undo(session, terminal.actor(session), terminal.clock(), review_id=review_id)
    terminal.say(f"{_named(back)} {'waits' if len(back) == 1 else 'wait'} for review again.")
    return back


def _of_theirs(terminal: Terminal, topic: str | None, language: str | None) -> Filters:
    """What waits of this topic or in this language, of the workspace of whoever acts."""
    from curation.queue import Filters  # noqa: PLC0415

    with terminal.store.read() as session:
        return Filters(topic=topic, language=language, seen_by=terminal.actor(session).person_id)


def _narrowed(terminal: Terminal, filters: Filters) -> Walk:
    """Through the list of ``errata queue``, oldest first, but for what somebody else is looking at."""
    from curation import claims, people, queue  # noqa: PLC0415
    from curation.policies import Permission  # noqa: PLC0415

    def waiting() -> int:
        with terminal.store.read() as session:
            people.require(session, terminal.actor(session), Permission.REVIEW)
            return queue.waiting(session, filters)

    def following(passed: Collection[int]) -> int | None:
        after: int | None = 0
        while after is not None:
            with terminal.store.read() as session:
                page = queue.page(session, filters, after=after)
            for key in (one.key for one in page.candidates if one.key not in passed):
                try:
                    with terminal.store.write() as session:
                        claims.hold(session, terminal.actor(session), terminal.clock(), key)
                except Conflict:
                    continue  # somebody else is at it, or was faster
                return key
            after = page.following
        return None

    return Walk(following, waiting(), lambda: "", waiting)


def _beside(terminal: Terminal, candidate_id: int) -> list[CandidateSummary]:
    from curation import alike, candidates  # noqa: PLC0415
    from curation.summaries import of_candidates  # noqa: PLC0415

    with terminal.store.read() as session:
        return of_candidates(session, [candidates.find(session, key) for key in alike.beside(session, candidate_id)])


def _step(terminal: Terminal, summary: CandidateSummary, beside: list[CandidateSummary], steps: _Steps) -> bool:
    """Ask for a key and do what it says; whether to go on."""
    from curation.reviews import Verdict  # noqa: PLC0415

    verdicts = {
        "a": (Verdict.APPROVE, None),
        "e": (Verdict.EDIT_AND_APPROVE, "The reply as it should be"),
        "r": (Verdict.RETURN, "What should change"),
        "x": (Verdict.REJECT, "Why not"),
    }
    key = ""
    while key not in {*verdicts, "s", "u", "q"}:
        key = typer.prompt(KEYS, default="s").strip().lower()[:1]
    if key == "q":
        _release(terminal, summary.id)
        return False
    try:
        if key == "u":
            _take_back(terminal, summary, steps)
        elif key == "s":
            steps.passed.add(summary.id)
            _release(terminal, summary.id)
        else:
            verdict, question = verdicts[key]
            said = kept_whole(typer.prompt(question)) if question else None
            together = _together(beside) if verdict is not Verdict.EDIT_AND_APPROVE else ()
            labels = _labels(summary) if verdict in (Verdict.APPROVE, Verdict.EDIT_AND_APPROVE) else None
            decision = decide(terminal, summary, Words(verdict, said, together, labels))
            steps.decided.append(decision.review_id)
            steps.passed |= {*decision.decided, *(left.candidate for left in decision.left_out)}
    except ErrataError as error:
        terminal.note(str(error))  # the next one can still be decided
        steps.passed.add(summary.id)
    return True


def _labels(summary: CandidateSummary) -> Labels:
    """Ask for a topic and a reason where a model suggests one and the author has said nothing."""
    from curation.candidates import CandidateKind, Reason  # noqa: PLC0415
    from curation.reviews import Labels  # noqa: PLC0415
    from curation.suggestions import Kind  # noqa: PLC0415

    suggested = {one.label: one.value for one in summary.suggestions}
    known = [one.value for one in Reason]
    topic = reason = ""
    if Kind.TOPIC in suggested and summary.topic is None:
        topic = kept_whole(typer.prompt(f"Topic, or {_NONE} for none", default=suggested[Kind.TOPIC]))
    if Kind.REASON in suggested and summary.reason is None and summary.kind == CandidateKind.CORRECTION.value:
        question = f"What is wrong ({', '.join(known)}), or {_NONE} for none"
        # An Errata of another version may have suggested a reason that is none any more.
        default = suggested[Kind.REASON] if suggested[Kind.REASON] in known else _NONE
        while reason not in {*known, _NONE}:
            reason = typer.prompt(question, default=default).strip().lower()
    return Labels(topic if topic not in {"", _NONE} else None, Reason(reason) if reason in known else None)


def _take_back(terminal: Terminal, summary: CandidateSummary, steps: _Steps) -> None:
    """Undo what was decided last in this walk; then that is shown again, and afterwards what is shown now."""
    if not steps.decided:
        terminal.note("Nothing was decided in this walk yet; errata review ID --undo takes an earlier decision back.")
        steps.again.insert(0, summary.id)
        return
    back = _undo(terminal, steps.decided.pop())
    steps.passed -= set(back)
    steps.again[:0] = [back[0], summary.id]


def _together(beside: list[CandidateSummary]) -> tuple[int, ...]:
    if not beside:
        return ()
    keys = [one.id for one in beside]
    return tuple(keys) if typer.confirm(f"The same for {_named(keys)} beside it?", default=False) else ()


def _release(terminal: Terminal, candidate_id: int) -> None:
    from curation import claims  # noqa: PLC0415

    with terminal.store.write() as session:
        claims.release(session, terminal.actor(session), candidate_id)


def _show(terminal: Terminal, summary: CandidateSummary, where: str, beside: list[CandidateSummary]) -> None:
    terminal.say()
    labels = [summary.kind, summary.topic, summary.language, f"by {', '.join(summary.authors)}", summary.reason]
    terminal.say(f"#{summary.id} ({where}): {', '.join(label for label in labels if label)}")
    for role, content in summary.turns:
        terminal.say(f"{role}: {content}")
    if summary.reply.strip() == summary.correction.strip():
        terminal.say(f"reply: {summary.reply}")
    else:
        lines = difflib.ndiff(summary.reply.splitlines(), summary.correction.splitlines())
        for line in lines:
            if not line.startswith("?"):
                terminal.say(line)
    if summary.note:
        terminal.say(f"Note: {summary.note}")
    for remark in summary.remarks:
        terminal.say(f"Mind: {remark}")
    for suggested in summary.suggestions:
        terminal.say(suggested.sentence)
    for finding in summary.findings:
        terminal.say(f"{finding.severity.value.capitalize()}: {finding.message} {finding.fix} [{finding.rule}]")
    for other in beside:
        terminal.say(f"Beside it, #{other.id} by {', '.join(other.authors)}: {other.question}")
        terminal.say(f"+ {other.correction}")


def _tell(terminal: Terminal, summary: CandidateSummary, decision: Decision) -> None:
    done = f"{_named(decision.decided)} {'is' if len(decision.decided) == 1 else 'are'} {_DONE[decision.verdict]}"
    if decision.self_approved:
        done += ", self-approved"
    if decision.second_needed:
        terminal.say(f"{done}; a second person has to approve as well. Next, they: errata review {summary.id}")
    elif decision.verdict == "return":
        terminal.say(f"{done} to {', '.join(summary.authors)}. Next: errata amend {summary.id} --text TEXT")
    else:
        terminal.say(f"{done}.")
    if decision.lapsed:
        terminal.say(f"{', '.join(decision.lapsed)} approved an earlier version: that counts no more.")
    for left in decision.left_out:
        terminal.note(f"#{left.candidate} is left out: {left.why}")


def _named(keys: Collection[int]) -> str:
    """``[1, 2]`` → ``#1, #2``."""
    return ", ".join(f"#{key}" for key in keys)


def _text_or_file(said: str) -> str:
    """The text itself, or that of the file it names."""
    try:
        named = Path(said).is_file()
    except OSError:  # longer than any file's name
        named = False
    return read_text(Path(said)) if named else said
