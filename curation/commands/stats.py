"""``errata stats``, ``screen`` and ``topics``: how balanced the examples are, what is odd, what is about what."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import Unavailable
from curation.terminal import AsJson, Terminal, at, excerpt

if TYPE_CHECKING:
    from curation.measures.stats import Stats
    from curation.tokens.counters import TokenCounter

stats_commands = typer.Typer(rich_markup_mode=None)
topic_commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What dialogues are about.")

PlotsOption = Annotated[
    Path | None, typer.Option("--plots", metavar="DIR", help="Write pictures there, and print what they show.")
]
_CELL = 50
_SEED = 0


@stats_commands.command(epilog="Example: errata stats --plots pictures")
def stats(
    ctx: typer.Context,
    plots: PlotsOption = None,
    authors: Annotated[bool, typer.Option("--authors", help="Show who wrote how much.")] = False,
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", metavar="FILE", help="A tokenizer.json, to count tokens with.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how the approved examples and the queue stand, and which examples are missing."""
    from curation.measures import stats as gathered  # noqa: PLC0415 (the tables load only where they are needed)

    terminal = at(ctx)
    with terminal.waiting("Looking at every example …"):
        counter = counting(terminal, tokenizer)
        with terminal.store.read() as session:
            found = gathered.gather(
                session, counter, random.Random(_SEED), endorsement_share=terminal.endorsement_share
            )
    if as_json:
        terminal.give({**found.as_json(), "plots": _draw(found, plots)})
        return
    _show(terminal, found)
    if authors:
        _show_authors(terminal, found)
    for picture in _draw(found, plots):
        terminal.say(f"{picture['file']}: {picture['alt']}")
    terminal.say(f"Next: {_following(found)}")


@stats_commands.command(epilog="Example: errata --as ben screen --all")
def screen(
    ctx: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="Look at everything that waits once more, not only at what is new.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Screen the corrections that wait, as the worker does by itself, and show the warnings."""
    from curation import candidates, people  # noqa: PLC0415
    from curation.policies import Permission  # noqa: PLC0415
    from curation.screening import worklist  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        people.require(session, terminal.actor(session), Permission.REVIEW)
    looked_at = 0
    with terminal.waiting("Screening …"):
        store, limits, regions = terminal.store, terminal.author_limits, terminal.privacy.regions
        watch = terminal.watch
        while done := worklist.step(store, terminal.clock(), limits, regions=regions, watch=watch):
            looked_at += done
        if everything:
            looked_at = sum(1 for _ in worklist.rescreen(store, terminal.clock(), limits, regions=regions, watch=watch))
    with terminal.store.read() as session:
        waiting = [(one.key, worklist.findings_of(session, one.key)) for one in candidates.queue(session)]
    odd = [(key, findings) for key, findings in waiting if findings]
    if as_json:
        found = [{"candidate": key, "findings": [one.as_json() for one in findings]} for key, findings in odd]
        terminal.give({"screened": looked_at, "waiting": len(waiting), "candidates": found})
        return
    if odd:
        terminal.table(
            ["Id", "Rule", "What was found"],
            [(key, finding.rule, finding.message) for key, findings in odd for finding in findings],
        )
    following = f"errata review {odd[0][0]}" if odd else "errata review" if waiting else "errata stats"
    terminal.say(
        f"{looked_at:,} screened; {len(odd):,} of {len(waiting):,} that wait have a warning. Next: {following}"
    )


@topic_commands.command("list", epilog="Example: errata topics list")
def list_topics(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show every topic, with how many examples and waiting candidates are about it."""
    from curation.measures import stats as gathered  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        found = gathered.overview(session)
        waiting = gathered.pending(session)
    rows: dict[str, list[int]] = {}
    for (topic, _), count in found.balance.cells.items():
        rows.setdefault(topic, [0, 0])[0] += count
    for (topic, _), ids in waiting.items():
        rows.setdefault(topic, [0, 0])[1] += len(ids)
    if as_json:
        terminal.give([{"topic": topic, "examples": one[0], "waiting": one[1]} for topic, one in sorted(rows.items())])
    elif rows:
        terminal.table(["Topic", "Examples", "Waiting"], [(topic, *one) for topic, one in sorted(rows.items())])
    else:
        terminal.say("No topic yet: whoever corrects a reply names one, or errata topics set ID TOPIC.")


@topic_commands.command("set", epilog="Example: errata --as ben topics set 12 billing")
def set_topic(
    ctx: typer.Context,
    candidate: Annotated[int, typer.Argument(metavar="ID", help="A candidate's id; errata queue lists them.")],
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="What it is about, in a word or two.")],
) -> None:
    """Say what a candidate that waits is about."""
    from curation.measures import topics  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.write() as session:
        topics.label(session, terminal.actor(session), terminal.clock(), candidate_id=candidate, topic=topic)
    terminal.say(f"#{candidate} is about {topic.strip()}. Next: errata review {candidate}")


@topic_commands.command(epilog="Example: errata --as ben topics suggest --apply")
def suggest(
    ctx: typer.Context,
    apply: Annotated[bool, typer.Option("--apply", help="Take the suggestions; the audit says that you did.")] = False,
    as_json: AsJson = False,
) -> None:
    """Suggest topics for candidates that have none, from approved examples that are like them."""
    from curation.measures import topics  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.waiting("Comparing …"), terminal.store.read() as session:
        suggestions = topics.suggest(session, terminal.actor(session))
    if apply:
        with terminal.store.write() as session:
            actor, now = terminal.actor(session), terminal.clock()
            for one in suggestions:
                topics.label(session, actor, now, candidate_id=one.candidate, topic=one.topic, suggested=True)
    if as_json:
        terminal.give({"applied": apply, "suggestions": [one.as_json() for one in suggestions]})
        return
    if suggestions:
        terminal.table(
            ["Id", "Topic", "Sure", "Question"],
            [(one.candidate, one.topic, f"{one.confidence:.0%}", excerpt(one.question, _CELL)) for one in suggestions],
        )
    done = "taken. Next: errata review" if apply else "made. Next: errata topics suggest --apply"
    terminal.say(
        f"{len(suggestions):,} suggestions {done}" if suggestions else "Nothing to suggest: label a few first."
    )


def counting(terminal: Terminal, tokenizer: Path | None) -> TokenCounter | None:
    """A counter of tokens; None, with a note, where none can be had: everything else is told all the same."""
    from curation.tokens.counters import TokenizerFamily, counter_for  # noqa: PLC0415

    try:
        return counter_for(
            TokenizerFamily.PHI3 if tokenizer is not None else TokenizerFamily.O200K, tokenizer_path=tokenizer
        )
    except Unavailable as error:
        terminal.note(f"Lengths are left out: {error}")
        return None


def draw_dataset(terminal: Terminal, name: str, folder: Path | None) -> list[dict[str, str]]:
    """Draw the balance of a dataset as it is trained on, if a folder was named; each picture with its alt text."""
    if folder is None:
        return []
    from curation import people  # noqa: PLC0415
    from curation.datasets import dataset  # noqa: PLC0415
    from curation.measures import plots, stats  # noqa: PLC0415

    counter = counting(terminal, None)
    with terminal.store.read() as session:
        items = dataset.items(session, dataset.find(session, name))
        names = {person.id: person.display_name for person, _ in people.listed(session)}
    pairs = ((item.example, item.conversation) for item in items)
    balance = stats.balance_of(pairs, counter, random.Random(_SEED), names)
    return plots.described(plots.write(balance, folder))


def _show(terminal: Terminal, found: Stats) -> None:
    from curation.measures.reports import finding_lines, show_balance, show_lengths  # noqa: PLC0415

    waiting = ", ".join(f"{count:,} {status}" for status, count in found.queue.items())
    terminal.say(f"Candidates: {waiting}")
    terminal.say()
    show_balance(terminal, found.balance)
    if found.counter is not None and found.balance.total:
        terminal.say()
        terminal.say(f"Lengths, counted by {found.counter}:")
        show_lengths(terminal, found.balance)
    for line in finding_lines(list(found.findings)):
        terminal.say(line)
    if found.advice:
        terminal.say()
    for advice in found.advice:
        terminal.say(advice.sentence())


def _show_authors(terminal: Terminal, found: Stats) -> None:
    terminal.say()
    terminal.table(
        ["Author", "Pending", "Returned", "Approved", "Rejected", "Share", "Most theirs"],
        [
            (
                one.name,
                *(one.by_status.get(status, 0) for status in ("pending", "returned", "approved", "rejected")),
                f"{one.share:.0%}",
                f"{one.topic} {one.topic_share:.0%}" if one.topic is not None else None,
            )
            for one in found.contributions
        ],
    )


def _draw(found: Stats, folder: Path | None) -> list[dict[str, str]]:
    if folder is None:
        return []
    from curation.measures import plots  # noqa: PLC0415

    drawn = plots.write(found.balance, folder)
    if found.versions:
        drawn.append(plots.growth(found.versions, folder))
    return plots.described(drawn)


def _following(found: Stats) -> str:
    for advice in found.advice:
        if advice.waiting:
            return advice.command()
    return "errata review" if found.queue["pending"] else "errata dataset freeze"
