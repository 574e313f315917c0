"""``errata queue``: what waits and what was decided, found and counted."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from curation.errors import Invalid
from curation.terminal import AsJson, Terminal, at, excerpt

if TYPE_CHECKING:
    from sqlmodel import Session

    from curation.queue import Filters, Tally
    from curation.summaries import CandidateSummary

queue_commands = typer.Typer(rich_markup_mode=None)

Topic = Annotated[str | None, typer.Option("--topic", metavar="TOPIC", help="Only of this topic.")]
Language = Annotated[str | None, typer.Option("--language", metavar="CODE", help="Only in this language.")]

_CELL = 50
_ANY = "any"

_Chosen = TypeVar("_Chosen", bound=StrEnum)


@queue_commands.command(epilog='Example: errata --as ben queue --topic billing --search "refund ERR-4041"')
def queue(
    ctx: typer.Context,
    returned: Annotated[
        bool, typer.Option("--returned", help="Show what was returned and waits for its author instead.")
    ] = False,
    topic: Topic = None,
    language: Language = None,
    status: Annotated[
        str | None,
        typer.Option("--status", metavar="STATUS", help="pending, returned, approved, rejected or any; else pending."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only correction, endorsement or imported.")
    ] = None,
    assistant: Annotated[
        str | None, typer.Option("--assistant", metavar="NAME", help="Only replies of this assistant.")
    ] = None,
    not_mine: Annotated[bool, typer.Option("--not-mine", help="Leave out what you wrote: others decide that.")] = False,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="TEXT", help="Only with these words, in any order; refun* finds beginnings."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="NUMBER", min=1, max=1000, help="How many to show at once.")
    ] = 25,
    after: Annotated[int, typer.Option("--after", metavar="ID", min=0, help="Go on behind this candidate.")] = 0,
    counts: Annotated[
        bool, typer.Option("--counts", help="Count everything by status, topic and language, and by person, instead.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what waits for review, oldest first, a page at a time."""
    from curation import queue as pages  # noqa: PLC0415 (the tables load only where they are needed)
    from curation.summaries import of_candidates  # noqa: PLC0415

    terminal = at(ctx)
    if counts:
        _count(terminal, as_json=as_json)
        return
    if returned and status is not None:
        raise Invalid("--returned is --status returned; give one of them.")
    status = "returned" if returned else status or "pending"
    with terminal.store.read() as session:
        filters = _filters(session, terminal, status, topic, language, kind, assistant, not_mine=not_mine)
        if search is None:
            shown = pages.page(session, filters, after=after, limit=limit)
        else:
            shown = pages.search(session, search, filters, after=after, limit=limit)
        summaries = of_candidates(session, shown.candidates)
        total = pages.waiting(session, filters) if search is None and shown.following is not None else None
        actor = terminal.actor(session)
        tally = pages.tally(session, actor, terminal.clock()) if status == "pending" and not as_json else None
    narrowed = [
        *_given({"--topic": topic, "--language": language, "--kind": kind, "--assistant": assistant}),
        *(["--not-mine"] if not_mine else []),
        *_given({"--search": search}),
    ]
    asked = [*(["--status", status] if status != "pending" else []), *narrowed]
    asked += ["--limit", str(limit)] if limit != pages.PAGE else []
    following = shlex.join(["errata", "queue", *asked, "--after", str(shown.following)])
    if as_json:
        terminal.give([summary.as_json() for summary in summaries])
        if shown.following is not None:
            terminal.note(f"More: {following}")
        return
    _show(terminal, summaries, status, tally, narrowed=bool(narrowed or after))
    if shown.following is not None:
        of_all = f" of {total:,}" if total is not None else ""
        terminal.say(f"{len(summaries)}{of_all} are shown. The next ones: {following}")


def _filters(
    session: Session,
    terminal: Terminal,
    status: str,
    topic: str | None,
    language: str | None,
    kind: str | None,
    assistant: str | None,
    *,
    not_mine: bool,
) -> Filters:
    """What was asked for, by somebody who may see it: whoever flags replies looks after the returned ones."""
    from curation import assistants, people  # noqa: PLC0415
    from curation.candidates import CandidateKind, CandidateStatus  # noqa: PLC0415
    from curation.policies import Permission  # noqa: PLC0415
    from curation.queue import Filters  # noqa: PLC0415

    chosen = None if status == _ANY else _one_of(CandidateStatus, status, what="status", others=[_ANY])
    actor = terminal.actor(session)
    people.require(session, actor, Permission.FLAG if chosen is CandidateStatus.RETURNED else Permission.REVIEW)
    return Filters(
        status=chosen,
        topic=topic,
        language=language,
        kind=_one_of(CandidateKind, kind, what="kind") if kind is not None else None,
        assistant_id=assistants.find(session, assistant).key if assistant is not None else None,
        not_by=actor.person_id if not_mine else None,
        seen_by=actor.person_id,
    )


def _count(terminal: Terminal, *, as_json: bool) -> None:
    from curation import people, queue  # noqa: PLC0415
    from curation.policies import Permission  # noqa: PLC0415
    from curation.reviews import Verdict  # noqa: PLC0415

    with terminal.store.read() as session:
        people.require(session, terminal.actor(session), Permission.REVIEW)
        counts = queue.stats(session)
        shares = [(people.name_of(session, share.person), share) for share in queue.shares(session)]
    if as_json:
        busy = [{"name": name, **asdict(share)} for name, share in shares]
        terminal.give({"candidates": [asdict(count) for count in counts], "people": busy})
        return
    if not counts:
        terminal.say("There are no candidates yet. Next: errata import FILE, or correct a reply in Slack")
        return
    terminal.table(
        ["Status", "Topic", "Language", "Candidates"],
        [(one.status, one.topic, one.language, f"{one.candidates:,}") for one in counts],
    )
    terminal.say()
    terminal.table(
        ["Person", "Written", *(verdict.value.replace("_", " ").capitalize() for verdict in Verdict)],
        [
            (name, f"{share.written:,}", *(f"{share.verdicts.get(verdict.value, 0):,}" for verdict in Verdict))
            for name, share in shares
        ],
    )
    terminal.say("Next: errata queue --topic TOPIC --language CODE")


def _show(
    terminal: Terminal, shown: list[CandidateSummary], status: str, tally: Tally | None, *, narrowed: bool
) -> None:
    if not shown:
        nothing = {"pending": "Nothing waits for review.", "returned": "Nothing is returned."}
        terminal.say(
            "Nothing like that is there. Next: errata queue --counts"
            if narrowed
            else nothing.get(status, "Nothing is there.")
        )
        return
    if status == "returned":
        terminal.table(
            ["Id", "By", "Returned by", "Comment", "Question", "Correction"],
            [(one.id, ", ".join(one.authors), one.reviewer, one.comment, *_texts(one)) for one in shown],
        )
        terminal.say(f"{len(shown)} returned. Next: errata amend ID --text TEXT")
        return
    decided = [] if status == "pending" else ["Status"]
    warned = ["Warnings"] if any(one.findings for one in shown) else []
    terminal.table(
        ["Id", *decided, "Kind", "By", "Topic", "Language", "Question", "Correction", *warned],
        [
            (
                one.id,
                *([one.status] if decided else []),
                *(one.label, ", ".join(one.authors), one.topic, one.language),
                *_texts(one),
                *([len(one.findings) or None] if warned else []),
            )
            for one in shown
        ],
    )
    if tally is not None:
        parts = ", ".join(part for part in (f"{tally.for_you:,} for you", besides(tally)) if part)
        terminal.say(f"{tally.waiting:,} {'waits' if tally.waiting == 1 else 'wait'}: {parts}. Next: errata review")


def besides(tally: Tally) -> str:
    """What waits and is not for the reviewer: ``12 are yours, 3 are in languages that you do not read``."""
    parts = (
        (tally.yours, "yours"),
        (tally.claimed, "with others"),
        (tally.other_languages, "in languages that you do not read"),
    )
    return ", ".join(f"{count:,} {'is' if count == 1 else 'are'} {what}" for count, what in parts if count)


def _texts(summary: CandidateSummary) -> tuple[str, str]:
    return excerpt(summary.question, _CELL), excerpt(summary.correction, _CELL)


def _given(options: dict[str, str | None]) -> list[str]:
    """``{"--topic": "billing", "--kind": None}`` → ``["--topic", "billing"]``."""
    return [part for name, value in options.items() if value is not None for part in (name, value)]


def _one_of(choices: type[_Chosen], typed: str, *, what: str, others: list[str] | None = None) -> _Chosen:
    try:
        return choices(typed)
    except ValueError as error:
        known = ", ".join([*(choice.value for choice in choices), *(others or [])])
        raise Invalid(f"There is no {what} {typed}; choose one of {known}.") from error
