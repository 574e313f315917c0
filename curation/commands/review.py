"""``errata review`` and ``amend``: a correction's way to its decision without leaving the terminal."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.commands.queue import Language, Topic
from curation.errors import ErrataError, Invalid
from curation.terminal import Terminal, at, kept_whole, read_text, text_of

if TYPE_CHECKING:
    from curation.reviews import Verdict
    from curation.summaries import CandidateSummary

review_commands = typer.Typer(rich_markup_mode=None)

_KEYS = "[a]pprove, [e]dit and approve, [r]eturn, [x] reject, [s]kip, [q]uit"


@review_commands.command(epilog='Example: errata --as ben review 12 --return "Name the deadline."')
def review(
    ctx: typer.Context,
    candidate: Annotated[
        int | None, typer.Argument(metavar="ID", help="A candidate's id; without one, the whole queue.")
    ] = None,
    approve: Annotated[bool, typer.Option("--approve", help="Approve it as it stands.")] = False,
    edit: Annotated[
        str | None, typer.Option("--edit", metavar="TEXT", help="Approve with this text, or this file's.")
    ] = None,
    back: Annotated[str | None, typer.Option("--return", metavar="TEXT", help="Return it with this comment.")] = None,
    reject: Annotated[str | None, typer.Option("--reject", metavar="TEXT", help="Reject it for this reason.")] = None,
    topic: Topic = None,
    language: Language = None,
) -> None:
    """Decide about corrections: one by its id, or the whole queue, one after the other."""
    from curation.reviews import Verdict  # noqa: PLC0415 (the tables load only where they are needed)

    terminal = at(ctx)
    given: list[tuple[Verdict, str | None]] = [(Verdict.APPROVE, None)] if approve else []
    for verdict, said in ((Verdict.EDIT_AND_APPROVE, edit), (Verdict.RETURN, back), (Verdict.REJECT, reject)):
        if said is not None:
            given.append((verdict, said))
    if len(given) > 1:
        raise Invalid("Give one decision: --approve, --edit, --return or --reject.")
    if given and candidate is None:
        raise Invalid("Say which candidate, by its id; errata queue lists them.")
    if candidate is not None and (topic or language):
        raise Invalid("--topic and --language narrow the whole queue; leave them out beside an id.")
    if terminal.solo:
        terminal.note("Solo: you may approve what you wrote; such rows are marked self-approved.")
    if candidate is not None and given:
        verdict, said = given[0]
        _decide(terminal, _summary(terminal, candidate), verdict, said)
        return
    if candidate is None:
        _walk(terminal, *_waiting(terminal, topic, language))
    else:
        _walk(terminal, 1, iter([_summary(terminal, candidate)]))


@review_commands.command(epilog='Example: errata --as ana amend 12 --text "You have 30 days."')
def amend(
    ctx: typer.Context,
    candidate: Annotated[int, typer.Argument(metavar="ID", help="A candidate's id.")],
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help="The reply as it should be.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="A file with that reply, in UTF-8.")
    ] = None,
) -> None:
    """Rework a correction that was returned or still waits; it then waits for review with the new text."""
    from curation import proposals  # noqa: PLC0415

    terminal = at(ctx)
    correction = text_of(text, file, what="correction")
    inspection = terminal.inspection()
    with terminal.store.write() as session:
        proposals.amend(
            session,
            terminal.actor(session),
            terminal.clock(),
            candidate_id=candidate,
            correction=correction,
            inspection=inspection,
        )
    terminal.warn(inspection.findings)
    terminal.say(f"#{candidate} waits for review. Next, a second person: errata review {candidate}")


def _waiting(terminal: Terminal, topic: str | None, language: str | None) -> tuple[int, Iterator[CandidateSummary]]:
    """How many wait, and each of them, a page at a time; for whoever may review."""
    from curation import people, queue  # noqa: PLC0415
    from curation.policies import Permission  # noqa: PLC0415
    from curation.summaries import of_candidates  # noqa: PLC0415

    filters = queue.Filters(topic=topic, language=language)
    with terminal.store.read() as session:
        people.require(session, terminal.actor(session), Permission.REVIEW)
        total = queue.waiting(session, filters)

    def pages() -> Iterator[CandidateSummary]:
        after: int | None = 0
        while after is not None:
            with terminal.store.read() as session:
                shown = queue.page(session, filters, after=after)
                summaries = of_candidates(session, shown.candidates)
            yield from summaries
            after = shown.following

    return total, pages()


def _summary(terminal: Terminal, candidate_id: int) -> CandidateSummary:
    from curation import candidates, people  # noqa: PLC0415
    from curation.policies import Permission  # noqa: PLC0415
    from curation.summaries import of_candidate  # noqa: PLC0415

    with terminal.store.read() as session:
        people.require(session, terminal.actor(session), Permission.REVIEW)
        return of_candidate(session, candidates.find(session, candidate_id))


def _walk(terminal: Terminal, total: int, waiting: Iterator[CandidateSummary]) -> None:
    from curation.reviews import Verdict  # noqa: PLC0415

    verdicts = {
        "a": (Verdict.APPROVE, None),
        "e": (Verdict.EDIT_AND_APPROVE, "The reply as it should be"),
        "r": (Verdict.RETURN, "What should change"),
        "x": (Verdict.REJECT, "Why not"),
    }
    left = total
    for position, summary in enumerate(waiting, start=1):
        _show(terminal, summary, f"{position} of {total}")
        key = ""
        while key not in {*verdicts, "s", "q"}:
            key = typer.prompt(_KEYS, default="s").strip().lower()[:1]
        if key == "q":
            break
        if key == "s":
            continue
        verdict, question = verdicts[key]
        try:
            _decide(terminal, summary, verdict, kept_whole(typer.prompt(question)) if question else None)
        except ErrataError as error:
            terminal.note(str(error))  # the next one can still be decided
        else:
            left -= 1
    if left:
        terminal.say(f"{left} of {total} left undecided. Next: errata review")
    else:
        terminal.say("Nothing more waits. Next: errata dataset freeze" if total else "Nothing waits for review.")


def _show(terminal: Terminal, summary: CandidateSummary, where: str) -> None:
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
    for finding in summary.findings:
        terminal.say(f"{finding.severity.value.capitalize()}: {finding.message} {finding.fix} [{finding.rule}]")


def _decide(terminal: Terminal, summary: CandidateSummary, verdict: Verdict, said: str | None) -> None:
    from curation import reviews  # noqa: PLC0415

    edits = verdict is reviews.Verdict.EDIT_AND_APPROVE
    inspection = terminal.inspection() if edits else None
    with terminal.store.write() as session:
        given = reviews.decide(
            session,
            terminal.actor(session),
            terminal.clock(),
            candidate_id=summary.id,
            verdict=verdict,
            comment=None if edits else said,
            edited=_text_or_file(said) if edits and said is not None else None,
            seen=summary.seen,
            inspection=inspection,
        )
    terminal.warn(inspection.findings if inspection is not None else ())
    done = {
        "approve": "approved",
        "edit_and_approve": "edited and approved",
        "return": "returned",
        "reject": "rejected",
    }
    said = f"#{summary.id} is {done[given.verdict]}{', self-approved' if given.self_approved else ''}"
    if verdict is reviews.Verdict.RETURN:
        terminal.say(f"{said} to {', '.join(summary.authors)}. Next: errata amend {summary.id} --text TEXT")
    else:
        terminal.say(f"{said}.")


def _text_or_file(said: str) -> str:
    """The text itself, or that of the file it names."""
    try:
        named = Path(said).is_file()
    except OSError:  # longer than any file's name
        named = False
    return read_text(Path(said)) if named else said
