"""Runs, evaluations and endpoints as a person reads them in a terminal."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from curation.conversation import Conversation
from curation.terminal import Terminal, excerpt
from training.backends.addresses import within
from training.backends.names import BackendName
from training.evaluation.evaluations import Case, Verdict
from training.evaluation.tables import question, tables
from training.planning.parts import money
from training.summaries import RunSummary

CELL = 60
_FILTERS = {True: "on, Azure withholds harmful questions and replies", False: "off, as an owner decided"}
_STANDING = frozenset({"requested", "live", "retiring"})
GIGABYTE = 1e9
_MINUTE, _HOUR = 60, 3600


def show_runs(terminal: Terminal, summaries: Sequence[RunSummary]) -> None:
    """Every run in one line."""
    if not summaries:
        terminal.say("No run yet. Next: errata train NAME --model rehearsal")
        return
    terminal.table(
        ["Run", "Status", "Model", "Dataset", "Recipe", "Verdict", "Deployment", "Requested"],
        [
            (
                run.id,
                f"training, {run.share:.0%}" if run.status == "training" and run.measured else run.status,
                run.model,
                run.dataset,
                run.recipe,
                run.verdict,
                run.deployment,
                run.requested_at[:16].replace("T", " "),
            )
            for run in summaries
        ],
    )


def show_run(terminal: Terminal, run: RunSummary) -> None:
    """One run with everything but its cases, and what to do next."""
    terminal.say(headline(run))
    facts = [
        ("model", run.model),
        ("dataset", run.dataset),
        ("recipe", run.recipe),
        ("backend", run.backend),
        ("asked for", f"by {run.requested_by} at {run.requested_at[:16].replace('T', ' ')}"),
        ("steps", f"{run.step:,} of {run.steps:,}" if run.measured else f"{run.step:,}" if run.step else None),
        ("loss", losses(run)),
        ("effort", ", ".join(effort(run))),
        ("cost", run.money),
        ("evaluation", (run.report or {}).get("sentence")),
        ("deployment", run.deployment),
        ("endpoint", run.endpoint if run.deployment == "live" else None),
        ("hosting", hosting(run)),
        ("filter", _FILTERS[run.filtered] if run.filtered is not None and run.deployment in _STANDING else None),
        ("portal", run.link),
        ("reason", run.deployment_reason),
    ]
    terminal.table(["", ""], [fact for fact in facts if fact[1]])
    for note in run.notes:
        terminal.say(f"Note: {note}")
    terminal.say(f"Next: {next_step(run)}")


def show_evaluation(terminal: Terminal, run: RunSummary) -> None:
    """The verdict with what it rests on, the figures, and every case before and after."""
    report = run.report or {}
    terminal.say(report["sentence"])
    for reason in report.get("decision", {}).get("reasons", ())[1:]:
        terminal.say(f"- {reason}")
    for table in tables(report):
        terminal.say()
        terminal.table(table.headings, table.rows)
    terminal.say()
    if report.get("cases"):
        _show_cases(terminal, report)
    elif not report.get("labels"):
        terminal.say("No cases: imported rows are nobody's judgement of a reply, so there was nothing to fix or keep.")
    terminal.say(f"Next: {_after_evaluation(run)}")


def show_deployment(terminal: Terminal, run: RunSummary, question: Conversation) -> None:
    """Where the model answers, what it answered, and how to ask it oneself.

    Args:
        question: the whole conversation that ends with the test question; without its system prompt the model
            would answer differently.
    """
    turns = [{"role": turn.role.value, "content": turn.content} for turn in question.messages]
    labels = (run.report or {}).get("objective") == "labels"
    path, asked = ("classify", {"conversations": [turns]}) if labels else ("chat/completions", {"messages": turns})
    body = {"model": run.id, **asked}
    terminal.say(f"{run.id} is live at {run.endpoint}")
    terminal.say(f"Test question: {run.test_question}")
    terminal.say(f"It answered:   {run.test_reply}")
    if (costs := hosting(run)) is not None:
        terminal.say(f"It costs:      {costs}{'' if run.fleeting else ', also while nobody asks anything'}")
    if run.filtered is not None:
        terminal.say(f"Filter:        {_FILTERS[run.filtered]}")
    terminal.say("Ask it yourself:")
    key = _key_command(terminal, run)
    shown = f' -H "authorization: Bearer $({key})"' if key else ""
    terminal.say(
        f"  curl {shlex.quote(within(run.endpoint or '', path))}{shown} -H 'content-type: application/json' "
        f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )
    terminal.say(f"Take it down with: errata undeploy {run.id}")


def _key_command(terminal: Terminal, run: RunSummary) -> str:
    """What prints the key that the run's endpoint asks for; empty where it asks nobody. Errata shows no key itself."""
    from training.backends.foundry.access import remedies  # noqa: PLC0415 (only where somebody has a place in Azure)
    from training.backends.foundry.place import AzurePlace  # noqa: PLC0415

    match run.backend:
        case BackendName.FOUNDRY:
            name = (urlsplit(run.endpoint or "").hostname or "").partition(".")[0]
            return remedies.show_key(AzurePlace.read(terminal.services), name)
        case BackendName.OPENAI:
            return remedies.SHOW_BEARER
        case _:
            return ""


def hosting(run: RunSummary) -> str | None:
    """What its endpoint costs while it stands at a provider's, or that nobody knows; None where none does."""
    if not run.hosted or run.deployment not in _STANDING:
        return None
    if run.fleeting and not run.hourly:
        return "nothing by the hour; the provider takes it down after a day"
    return "by the hour, at a price that is unknown here" if run.hourly is None else f"{money(run.hourly)} an hour"


def anew(run: RunSummary) -> str:
    """The command that starts a run like this one once more."""
    words = ["train", run.dataset, "--model", run.model]
    if run.backend != BackendName.LOCAL:
        words += ["--recipe", run.recipe, "--backend", run.backend]
    return f"errata {shlex.join(words)}"


def losses(run: RunSummary) -> str | None:
    """Such as: 5.812 at first, 0.041 at step 300, validation 2.310. None before the first step."""
    if not run.curve:
        return None
    last = run.curve[-1]
    measured = [point.validation_loss for point in run.curve if point.validation_loss is not None]
    words = f"{run.curve[0].loss:.3f} at first, {last.loss:.3f} at step {last.step:,}"
    return words + (f", validation {measured[-1]:.3f}" if measured else "")


def effort(run: RunSummary) -> list[str]:
    """Such as: 1,234 tokens/s; 3.2 GB. Nothing of what is not known."""
    parts = [f"{run.tokens_per_second:,.0f} tokens/s"] if run.tokens_per_second else []
    return [*parts, f"{run.memory_bytes / GIGABYTE:.1f} GB"] if run.memory_bytes is not None else parts


def headline(run: RunSummary) -> str:
    """Such as ``run-1a2b3c4d: completed``, or ``run-1a2b3c4d failed: The disk is full.`` where there is a reason."""
    return f"{run.id} {run.status}: {run.reason}" if run.reason else f"{run.id}: {run.status}"


def next_step(run: RunSummary) -> str:
    """The command that a run in this state asks for; deploying is offered only to what proved better."""
    if run.deployment == "live":
        return f"errata undeploy {run.id}, once another model takes over"
    match run.status:
        case "completed":
            deploys = f", then errata deploy {run.id}" if run.verdict == Verdict.BETTER else ""
            return f"errata evaluate {run.id}{deploys}"
        case "failed" if run.unfit:
            return f"{anew(run)}, with another dataset, model or recipe: resumed, this run would be refused again"
        case "failed":
            return f"errata run logs {run.id}, then errata run resume {run.id} to go on from where it was"
        case "cancelled":
            return f"errata run resume {run.id}, or anew: {anew(run)}"
    return f"errata work, unless a worker runs; stop it with errata run cancel {run.id}"


def duration(seconds: float) -> str:
    """``75`` gives ``1 min 15 s``."""
    if seconds >= _HOUR:
        return f"{seconds // _HOUR:.0f} h {seconds % _HOUR // _MINUTE:.0f} min"
    if seconds >= _MINUTE:
        return f"{seconds // _MINUTE:.0f} min {seconds % _MINUTE:.0f} s"
    return f"{seconds:.0f} s"


def _after_evaluation(run: RunSummary) -> str:
    """What follows for somebody who has just read the evaluation."""
    if run.deployment == "live":
        return next_step(run)
    if run.verdict == Verdict.BETTER:
        return f"errata deploy {run.id}"
    advice = "approve more corrections and endorsements, then errata dataset freeze, and train again."
    return advice if run.verdict == Verdict.WORSE else f"{advice} To deploy it all the same: errata deploy {run.id}"


def _show_cases(terminal: Terminal, report: dict[str, Any]) -> None:
    """Every case before and after."""
    terminal.table(
        ["Case", "Kind", "Side", "", "Question", "Wanted", "Before", "After"],
        [
            (
                case["id"],
                case["kind"],
                case["side"],
                Case.from_json(case).outcome,
                excerpt(question(case), CELL),
                excerpt(case["expected"], CELL),
                excerpt(case["before"], CELL),
                excerpt(case["after"], CELL),
            )
            for case in report["cases"]
        ],
    )
