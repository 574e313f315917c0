"""``errata foundry costs``: what still costs money, by Errata's records and by what the provider lists.

Owns how it is put into words for a terminal. The figures are ``training.bills``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from curation.terminal import AsJson, Terminal, at

if TYPE_CHECKING:
    from training.bills import Bill
    from training.planning.costs import Hosted
    from training.store.tables import Run

_MINUTES = 16
_LISTED = "What the provider lists"


def mount(group: typer.Typer) -> None:
    """Add the command to its group."""
    group.command("costs", epilog="Example: errata foundry costs --json")(costs)


def costs(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show what costs money now: runs, deployments, the month so far, and what the provider lists."""
    from training import bills, outlived  # noqa: PLC0415 (imports wait until a command needs them)
    from training.commands.watching import workplace_of  # noqa: PLC0415
    from training.planning import prices  # noqa: PLC0415
    from training.planning.costs import Hosting  # noqa: PLC0415

    terminal = at(ctx)
    workplace, table = workplace_of(terminal), prices.read(terminal.home)
    with terminal.store.read() as session:
        bill = bills.of_records(session, terminal.clock(), place=workplace.azure, table=table)
    with terminal.waiting("Asking the provider …"):
        hosted, silent = bills.everywhere(workplace.backends)
        training, untold = outlived.found(workplace)
    asked = any(isinstance(one, Hosting) for one in workplace.backends.values())
    with terminal.store.read() as session:
        hosted = bills.priced(session, hosted, table)
    if as_json:
        terminal.give(
            {
                **bill.as_json(),
                "outlived": [{"run": one.id, "backend": one.backend, "end": _ending(one)} for one in training],
                "hosted": [one.as_json() for one in hosted],
                "not_told": [*silent, *untold],
            }
        )
    else:
        _show(terminal, bill, hosted if asked and (hosted or not silent) else None, training)
    for sentence in (*silent, *untold):
        terminal.note(sentence)
    if not asked:
        terminal.note("No provider is set up here, so none was asked; errata doctor --foundry says what it takes.")
    if silent or untold:
        raise typer.Exit(3)


def _ending(run: Run) -> str:
    """What ends a training that has outlived its run."""
    return f"errata delete {run.id}"


def _show(terminal: Terminal, bill: Bill, hosted: list[Hosted] | None, training: list[Run]) -> None:
    if training:
        terminal.say("Trainings that go on though their run has ended")
        lasting = [(one.id, one.backend, one.model, one.status, _ending(one)) for one in training]
        terminal.table(["Run", "Where", "Model", "Status", "End it with"], lasting)
        terminal.say()
    for title, headings, rows in (
        (
            "Paid runs that go on",
            ["Run", "Where", "Model", "Status", "Estimated"],
            [(one.run_id, one.backend, one.model, one.status, _money(one.dollars)) for one in bill.going],
        ),
        (
            "Models at endpoints",
            ["Run", "Where", "Status", "Live since", "An hour", "So far", "", "Take it down with"],
            [
                (
                    one.run_id,
                    one.backend,
                    one.status,
                    _moment(one.since.isoformat()) if one.since is not None else None,
                    _money(one.hourly),
                    _money(one.dollars),
                    "answered nothing for a week" if one.idle else "goes after a day" if one.fleeting else "",
                    one.undeploy_command,
                )
                for one in bill.deployed
            ],
        ),
        (
            _LISTED,
            ["Name", "Kind", "Since", "An hour", "Run", "Take it down with"],
            [
                (
                    one.name,
                    one.kind,
                    _moment(one.since.isoformat()) if one.since is not None else None,
                    _money(one.hourly),
                    one.run_id or "none of Errata's",
                    one.undeploy_command,
                )
                for one in hosted or ()
            ],
        ),
    ):
        if hosted is None and title == _LISTED:
            continue  # nobody has listed anything, which is not the same as nothing
        terminal.say(title if rows else f"{title}: none.")
        if rows:
            terminal.table(headings, rows)
        terminal.say()
    _show_month(terminal, bill)


def _show_month(terminal: Terminal, bill: Bill) -> None:
    month = bill.month
    terminal.say(
        f"Runs since {month.begins.date().isoformat()}: spent {_money(month.spent)}, promised {_money(month.promised)}."
    )
    if month.unknown:
        terminal.say(
            f"Unknown is what these cost: {', '.join(month.unknown)}. Prices go into prices.toml, see the docs."
        )
    terminal.say(f"Caps: {_cap(bill.spend_run)} for a run, {_cap(bill.spend_month)} for a month.")


def _money(dollars: float | None) -> str:
    from training.planning.parts import money  # noqa: PLC0415

    return "unknown" if dollars is None else str(money(dollars))


def _cap(dollars: float | None) -> str:
    return "none" if dollars is None else _money(dollars)


def _moment(text: str) -> str:
    return text[:_MINUTES].replace("T", " ")
