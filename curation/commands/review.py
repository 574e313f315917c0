"""``errata review`` and ``amend``: a correction's way to its decision without leaving the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.commands.queue import Language, Topic
from curation.commands.walk import Words, decide, one, summary_of, undo, walk, walk_of
from curation.errors import Invalid
from curation.terminal import at, text_of

if TYPE_CHECKING:
    from curation.reviews import Verdict

review_commands = typer.Typer(rich_markup_mode=None)


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
    beside: Annotated[
        list[int] | None, typer.Option("--with", metavar="ID", help="Decide the same about this one; may be repeated.")
    ] = None,
    back_again: Annotated[
        bool, typer.Option("--undo", help="Take your decision about it back, up to 10 minutes later.")
    ] = False,
    topic: Topic = None,
    language: Language = None,
) -> None:
    """Decide about corrections: one by its id, or the whole queue, the most urgent first."""
    terminal = at(ctx)
    given = _decisions(edit, back, reject, approve=approve)
    if len(given) + back_again > 1:
        raise Invalid("Give one decision: --approve, --edit, --return, --reject or --undo.")
    if (given or back_again) and candidate is None:
        raise Invalid("Say which candidate, by its id; errata queue lists them.")
    if beside and not given:
        raise Invalid("--with names what is decided together with a candidate: give a decision as well.")
    if candidate is not None and (topic or language):
        raise Invalid("--topic and --language narrow the whole queue; leave them out beside an id.")
    if terminal.solo:
        terminal.note("Solo: you may approve what you wrote; such rows are marked self-approved.")
    if candidate is None:
        walk(terminal, walk_of(terminal, topic, language))
    elif back_again:
        undo(terminal, candidate)
    elif given:
        verdict, said = given[0]
        decide(terminal, summary_of(terminal, candidate), Words(verdict, said, tuple(beside or ())))
    else:
        walk(terminal, one(terminal, candidate))


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


def _decisions(
    edit: str | None, back: str | None, reject: str | None, *, approve: bool
) -> list[tuple[Verdict, str | None]]:
    """Every decision that was typed, with its words."""
    from curation.reviews import Verdict  # noqa: PLC0415 (the tables load only where they are needed)

    given: list[tuple[Verdict, str | None]] = [(Verdict.APPROVE, None)] if approve else []
    for verdict, said in ((Verdict.EDIT_AND_APPROVE, edit), (Verdict.RETURN, back), (Verdict.REJECT, reject)):
        if said is not None:
            given.append((verdict, said))
    return given
