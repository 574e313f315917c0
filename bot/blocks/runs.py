"""Blocks about runs: the one status message, the evaluation, the deployment."""

from __future__ import annotations

from typing import Any

from bot.blocks.elements import Block, actions, button, context, header, quoted, section
from bot.mrkdwn import quote
from training.evaluations import Case, Verdict
from training.runs import RunStatus
from training.summaries import RunSummary

DEPLOY = "run_deploy"
CANCEL = "run_cancel"

STAGES = (
    (RunStatus.REQUESTED, "Prepare"),
    (RunStatus.TRAINING, "Train"),
    (RunStatus.EVALUATING, "Evaluate"),
)
ENDED = {
    RunStatus.COMPLETED: ":white_check_mark: completed",
    RunStatus.FAILED: ":x: failed",
    RunStatus.CANCELLED: ":no_entry_sign: cancelled",
    RunStatus.CANCELLING: ":hourglass: being cancelled",
}
BAR_CELLS = 12
SHOWN_CASES = 5
QUOTE = 400


def status(summary: RunSummary) -> list[Block]:
    """The status message of a run, edited in place from request to end."""
    state = RunStatus(summary.status)
    blocks = [
        header(f"Run {summary.id}"),
        context(
            f"{summary.model} on {summary.dataset} · recipe {summary.recipe} · asked for by {summary.requested_by}"
        ),
    ]
    if state in ENDED:
        blocks.append(section(f"*{ENDED[state]}*"))
    if summary.reason and state in {RunStatus.FAILED, RunStatus.CANCELLED}:
        blocks.append(section(quote(summary.reason, QUOTE)))
    if state is RunStatus.FAILED:
        blocks.append(section(f"Next: read the log with `errata run logs {summary.id}`, then start a new run."))
    if state not in ENDED:
        blocks.append(section("\n".join(_stage(summary, state, stage, name) for stage, name in STAGES)))
        blocks.append(actions("run", [button("Cancel", CANCEL, summary.id)]))
    return blocks


def status_text(summary: RunSummary) -> str:
    """The status in one line."""
    return f"Run {summary.id}: {summary.status}" + (f", {summary.share:.0%}" if _trains(summary) else "")


def evaluated(summary: RunSummary) -> list[Block]:
    """What the evaluation found: fixed and kept apart, perplexity, a few replies before and after."""
    report = summary.report or {}
    blocks = [header(f"Evaluation of {summary.id}"), section(_finding(summary))]
    if report.get("cases"):
        blocks.append(section(_counted(report["scores"])))
        held_out = report["held_out"]
        if held_out["corrections"] or held_out["endorsements"]:
            blocks.append(context(f"Of these held out from training: {_counted(held_out).replace('*', '')}"))
    blocks.append(context(_figures(report)))
    shown = [case for case in report.get("cases", []) if case["kind"] == "correction"][:SHOWN_CASES]
    for case in shown:
        mark = ":white_check_mark:" if Case.from_json(case).right_after else ":x:"
        blocks.append(
            section(
                f"{mark} {quote(case['messages'][-1]['content'], QUOTE)}\n"
                f"*Before* {quote(case['before'], QUOTE)}\n*After* {quote(case['after'], QUOTE)}"
            )
        )
    if summary.recipe.startswith("rehearsal"):
        blocks.append(context("A toy model that memorised its sample: it proves the pipeline, not the method."))
    if summary.deployment is None:
        blocks.append(actions("run", [button("Deploy", DEPLOY, summary.id, style="primary")]))
    return blocks


def evaluated_text(summary: RunSummary) -> str:
    """The evaluation in one line."""
    return f"Run {summary.id} is evaluated: {summary.verdict}."


def deployment(summary: RunSummary) -> list[Block]:
    """A model that answers, or why it does not."""
    if summary.deployment == "live":
        blocks = [
            section(f":rocket: *{summary.id}* is live at `{summary.endpoint}`"),
            quoted("Test question", summary.test_question or ""),
            quoted("It answered", summary.test_reply or ""),
            context(f"Take it down with: errata undeploy {summary.id}"),
        ]
    elif summary.deployment == "failed":
        blocks = [
            section(f":x: *{summary.id}* could not be deployed; what was live before still is."),
            quoted("Reason", summary.deployment_reason or ""),
            context(f"Try again with: errata deploy {summary.id}"),
        ]
    else:
        blocks = [section(f":package: *{summary.id}* is no longer live.")]
    return blocks


def deployment_text(summary: RunSummary) -> str:
    """The deployment in one line."""
    return f"Run {summary.id}: deployment {summary.deployment}."


def _stage(summary: RunSummary, state: RunStatus, stage: RunStatus, name: str) -> str:
    order = [known for known, _ in STAGES]
    if order.index(stage) < order.index(state):
        return f":white_check_mark: {name}"
    if stage is not state:
        return f":white_circle: {name}"
    if not _trains(summary):
        return f":hourglass_flowing_sand: {name}"
    filled = round(summary.share * BAR_CELLS)
    line = f":hourglass_flowing_sand: {name} `{'█' * filled}{'░' * (BAR_CELLS - filled)}` {summary.share:.0%}"
    if summary.curve:
        line += f" · loss {summary.curve[-1].loss:.3f}"
    if summary.eta_seconds is not None:
        line += f" · about {summary.eta_seconds:.0f} s left"
    return line


def _trains(summary: RunSummary) -> bool:
    return summary.status == RunStatus.TRAINING.value and summary.steps > 0


def _finding(summary: RunSummary) -> str:
    icon = {Verdict.BETTER.value: ":tada:", Verdict.WORSE.value: ":warning:"}.get(summary.verdict or "", ":scales:")
    return f"{icon} {(summary.report or {}).get('sentence', '')}"


def _counted(scores: dict[str, int]) -> str:
    return (
        f"*Fixed* {scores['fixed']}/{scores['corrections']} corrected replies · "
        f"*kept* {scores['kept']}/{scores['endorsements']} endorsed replies"
    )


def _figures(report: dict[str, Any]) -> str:
    parts = []
    for name, label in (("candidate", "tuned"), ("baseline", "production"), ("base", "base")):
        fit = report.get("validation", {}).get(name)
        if fit and fit["comparable"]:
            parts.append(f"{label} {fit['perplexity']:,.2f}")
    if "unigram_perplexity" in report:
        parts.append(f"counting words {report['unigram_perplexity']:,.2f}")
    return "Validation perplexity: " + ", ".join(parts)
