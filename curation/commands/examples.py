"""``errata examples`` and ``errata knowledge-gaps``: what was approved, until when it holds, and what to document."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.commands.audit import moment_of
from curation.terminal import AsJson, at, excerpt

if TYPE_CHECKING:
    from sqlmodel import Session

    from curation.store.tables import Example, Expiry

example_commands = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Approved examples, and until when they hold."
)
knowledge_commands = typer.Typer(rich_markup_mode=None)


class GapFormat(StrEnum):
    """How the list is written."""

    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


IdArgument = Annotated[int, typer.Argument(metavar="ID", help="An example's id.")]
_CELL = 60
_NEVER = "never"


@example_commands.command("list", epilog="Example: errata examples list --topic billing --expired")
def list_examples(
    ctx: typer.Context,
    topic: Annotated[str | None, typer.Option("--topic", metavar="TOPIC", help="Only of this topic.")] = None,
    language: Annotated[
        str | None, typer.Option("--language", metavar="CODE", help="Only in this language, such as de.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only correction, endorsement or imported.")
    ] = None,
    expired: Annotated[bool, typer.Option("--expired", help="Only those that hold no longer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show approved examples, oldest first."""
    from curation import examples, expiry, knowledge  # noqa: PLC0415 (the tables load only where they are needed)

    terminal = at(ctx)
    wanted = {"topic": topic, "language": language, "kind": kind}
    with terminal.store.read() as session:
        expiries, changing = expiry.newest(session), knowledge.changing(session)
        over = expiry.expired(expiries, terminal.clock())
        found = [
            _as_json(session, example, expiries.get(example.key), over, changing)
            for example in examples.approved(session)
            if all(value is None or getattr(example, name) == value for name, value in wanted.items())
            and (example.key in over or not expired)
        ]
    if as_json:
        terminal.give(found)
    elif found:
        terminal.table(
            ["Id", "Kind", "Topic", "Language", "Holds until", "Question", "Reply"],
            [
                (
                    one["example"],
                    one["kind"],
                    one["topic"],
                    one["language"],
                    _until(one),
                    excerpt(one["question"], _CELL),
                    excerpt(one["reply"], _CELL),
                )
                for one in found
            ],
        )
        terminal.say(f"{len(found):,} examples. Next: errata examples show ID")
    else:
        terminal.say("No example is like that.")


@example_commands.command(epilog="Example: errata examples show 12")
def show(ctx: typer.Context, example: IdArgument, as_json: AsJson = False) -> None:
    """Show one example: its turns, where it came from, until when it holds, which datasets have it."""
    from curation import examples, expiry, knowledge  # noqa: PLC0415
    from curation.datasets import lineage  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        found = examples.find(session, example)
        expiries = expiry.newest(session)
        over = expiry.expired(expiries, terminal.clock())
        about = _as_json(session, found, expiries.get(example), over, knowledge.changing(session))
        about["messages"], about["rejected"], about["context"] = found.messages, found.rejected, found.context
        about["link"] = terminal.link_of(about["source"])
        about["datasets"] = lineage.versions_of(session, example)
    if as_json:
        terminal.give(about)
        return
    labels = [about["kind"], about["topic"], about["language"], _until(about), about["link"] or about["source"]]
    terminal.say(f"Example {example}: {', '.join(label for label in labels if label)}")
    for turn in about["messages"]:
        terminal.say(f"{turn['role']}: {turn.get('content', '')}")
    if about["rejected"] is not None:
        terminal.say(f"instead of: {about['rejected']}")
    for text in about["context"] or ():
        terminal.say(f"context: {text}")
    held = ", ".join(f"{one['dataset']} ({one['side']})" for one in about["datasets"])
    terminal.say(f"Approved by {about['approved_by']} at {about['approved_at'][:10]}. Datasets: {held or 'none yet'}")


@example_commands.command(
    epilog='Example: errata --as ben examples expire --topic prices --after 2027-01-01 --reason "New price list."'
)
def expire(
    ctx: typer.Context,
    after: Annotated[
        str,
        typer.Option("--after", metavar="DATE", help="From then on they are left out, in UTC; never takes it back."),
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; whoever reviews again reads it.")],
    example: Annotated[list[int] | None, typer.Argument(metavar="ID", help="Examples' ids.")] = None,
    topic: Annotated[str | None, typer.Option("--topic", metavar="TOPIC", help="Every example of this topic.")] = None,
) -> None:
    """Say until when examples hold: after that, new datasets are made without them."""
    from curation import expiry  # noqa: PLC0415

    terminal = at(ctx)
    moment = None if after == _NEVER else moment_of(after)
    with terminal.store.write() as session:
        chosen = expiry.expire(
            session,
            terminal.actor(session),
            terminal.clock(),
            reason=reason,
            after=moment,
            example_ids=example or (),
            topic=topic,
        )
    until = f"hold until {moment:%Y-%m-%d %H:%M} UTC" if moment is not None else "hold without an end"
    following = "errata examples renew" if moment is not None and moment <= terminal.clock() else "errata examples list"
    terminal.say(f"{len(chosen):,} examples {until}. Next: {following}")


@example_commands.command(epilog="Example: errata --as ben examples renew")
def renew(
    ctx: typer.Context,
    example: Annotated[
        list[int] | None, typer.Argument(metavar="ID", help="Only these; else all that expired.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put expired examples back into the queue, prefilled with what was approved; a worker does it by itself."""
    from curation import expiry  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.write() as session:
        returned = expiry.renew(
            session,
            terminal.actor(session),
            terminal.clock(),
            example_ids=example or (),
            review_place=terminal.review_place,
        )
    if as_json:
        terminal.give([{"example": one.example, "candidate": one.candidate} for one in returned])
    elif returned:
        named = ", ".join(f"{one.example} as #{one.candidate}" for one in returned)
        terminal.say(f"Back in the queue: {named}. Next: errata review")
    else:
        terminal.say("Nothing has expired that is not back already.")


@knowledge_commands.command("knowledge-gaps", epilog="Example: errata --as ben knowledge-gaps --out gaps.md")
def knowledge_gaps(
    ctx: typer.Context,
    target: Annotated[GapFormat, typer.Option("--format", help="How the list is written.")] = GapFormat.MARKDOWN,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A file to write, else it is shown.")
    ] = None,
) -> None:
    """List corrections of facts that change: they belong in what the assistant reads, not in its weights."""
    import json  # noqa: PLC0415

    from curation import knowledge  # noqa: PLC0415
    from curation.formats.exports import write_atomically  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.write() as session:
        actor, now = terminal.actor(session), terminal.clock()
        found, findings = knowledge.gaps(session, actor, now, terminal.link_of, terminal.privacy)
        if target is GapFormat.JSON:
            text = json.dumps([gap.as_json() for gap in found], ensure_ascii=False, indent=2) + "\n"
        else:
            text = knowledge.as_markdown(found) if target is GapFormat.MARKDOWN else knowledge.as_csv(found)
        if out is not None:
            write_atomically(out, [text.encode()])
            knowledge.record_written(session, actor, now, out, rows=len(found))
    for finding in findings:
        terminal.note(finding.sentence())
    if out is None:
        terminal.say(text.rstrip("\n"))
        return
    terminal.say(f"{len(found):,} knowledge gaps are in {out}. Next: add what is right to what the assistant reads.")


def _as_json(
    session: Session, example: Example, expiry: Expiry | None, expired: set[int], changing: set[int]
) -> dict[str, Any]:
    from curation import people  # noqa: PLC0415
    from curation.conversation import Conversation  # noqa: PLC0415

    conversation = Conversation.from_json(example.messages)
    until = expiry.expires_at if expiry is not None else None
    return {
        "example": example.key,
        "kind": example.kind,
        "topic": example.topic,
        "language": example.language,
        "question": conversation.first_user_text(),
        "reply": conversation.messages[-1].content if conversation.messages else "",
        "source": example.source,
        "authors": [people.name_of(session, author) for author in example.authors],
        "approved_by": people.name_of(session, example.approved_by),
        "approved_at": example.approved_at.isoformat(),
        "changing_fact": example.key in changing,
        "expires_at": until.isoformat() if until is not None else None,
        "expired": example.key in expired,
        "expiry_reason": expiry.reason if expiry is not None else None,
        "renewed_as": expiry.candidate_id if expiry is not None else None,
    }


def _until(about: dict[str, Any]) -> str | None:
    if about["expires_at"] is None:
        return "not in datasets: the fact changes" if about["changing_fact"] else None
    again = f", back as #{about['renewed_as']}" if about["renewed_as"] is not None else ""
    return f"{'expired ' if about['expired'] else 'until '}{about['expires_at'][:10]}{again}"
