"""A run as a plan of stages, each with where it stands, and how much of the whole is done.

Pure. Owns the stages, which are those that a run and its deployment go through, and their shares of the whole: most of
the time goes into training, so most of the per cent do. Only training tells how far it has come by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.blocks.elements import Block
from bot.speech import Say
from curation.wording import called, phrase, unpacked
from training.deployments import DeploymentStatus
from training.evaluation.evaluations import Verdict
from training.runs import RunStatus
from training.summaries import RunSummary


class Stage(StrEnum):
    """What a run goes through, in this order."""

    CHECK = "check"
    PREPARE = "prepare"
    TRAIN = "train"
    EVALUATE = "evaluate"
    GATE = "gate"
    DEPLOY = "deploy"


class State(StrEnum):
    """What Slack calls the state of a task."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    ERROR = "error"


TITLES = {
    Stage.CHECK: phrase("Check"),
    Stage.PREPARE: phrase("Prepare"),
    Stage.TRAIN: phrase("Train"),
    Stage.EVALUATE: phrase("Evaluate"),
    Stage.GATE: phrase("Gate"),
    Stage.DEPLOY: phrase("Deploy"),
}
VERDICTS = {
    Verdict.BETTER: phrase("better"),
    Verdict.WORSE: phrase("worse"),
    Verdict.CANNOT_TELL: phrase("cannot tell"),
}
SHARES = {Stage.CHECK: 0.01, Stage.PREPARE: 0.04, Stage.TRAIN: 0.75, Stage.EVALUATE: 0.19, Stage.GATE: 0.01}
"""Of a run's whole, for each stage until it has ended. A deployment is somebody's decision, and no part of it."""

_AT = {
    RunStatus.REQUESTED: Stage.PREPARE,
    RunStatus.TRAINING: Stage.TRAIN,
    RunStatus.EVALUATING: Stage.EVALUATE,
    RunStatus.COMPLETED: Stage.DEPLOY,
}
_BETWEEN = {RunStatus.CANCELLING: phrase("being cancelled"), RunStatus.RESUMING: phrase("goes on from where it was")}
_DEPLOYED = {
    DeploymentStatus.REQUESTED: State.IN_PROGRESS,
    DeploymentStatus.LIVE: State.COMPLETE,
    DeploymentStatus.RETIRING: State.COMPLETE,
    DeploymentStatus.RETIRED: State.COMPLETE,
    DeploymentStatus.FAILING: State.ERROR,
    DeploymentStatus.FAILED: State.ERROR,
}
_ORDER = list(Stage)
_MINUTE = 60
GIGABYTE = 1e9


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one stage stands, and what there is to say about it."""

    stage: Stage
    state: State
    detail: str | None = None


def done(summary: RunSummary) -> float:
    """How much of a run is done, 0 to 1; one that ended early stays where it was."""
    at = _reached(summary)
    share = sum(part for stage, part in SHARES.items() if _ORDER.index(stage) < _ORDER.index(at))
    return min(1.0, share + (SHARES[Stage.TRAIN] * summary.share if at is Stage.TRAIN else 0.0))


def measured(summary: RunSummary) -> bool:
    """Whether ``done`` can be told: of a training whose provider does not say how many steps it has it cannot."""
    return _reached(summary) is not Stage.TRAIN or summary.measured


def standings(say: Say, summary: RunSummary) -> list[Standing]:
    """Every stage of a run."""
    at = _ORDER.index(_reached(summary))
    return [_standing(say, summary, stage, _ORDER.index(stage) - at) for stage in Stage]


def plan(say: Say, summary: RunSummary, title: str) -> Block:
    """The stages as Slack's own plan."""
    return {"type": "plan", "title": title, "tasks": [_task(say, one) for one in standings(say, summary)]}


def _task(say: Say, standing: Standing) -> Block:
    task: Block = {
        "type": "task_card",
        "task_id": standing.stage.value,
        "title": say(TITLES[standing.stage]),
        "status": standing.state.value,
    }
    if standing.detail:
        leaf = {"type": "text", "text": standing.detail}
        task["output"] = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [leaf]}]}
    return task


def _standing(say: Say, summary: RunSummary, stage: Stage, distance: int) -> Standing:
    """``distance``: how many stages the run still has to go to this one; negative where it has passed it."""
    status = RunStatus(summary.status)
    if stage is Stage.DEPLOY and status is RunStatus.COMPLETED:
        return _deploying(say, summary)
    if distance > 0:
        return Standing(stage, State.PENDING)
    if distance < 0:
        worse = stage is Stage.GATE and summary.verdict == Verdict.WORSE.value
        return Standing(stage, State.ERROR if worse else State.COMPLETE, _found(say, summary, stage))
    if status in {RunStatus.FAILED, RunStatus.CANCELLED}:
        return Standing(stage, State.ERROR, say(called(status)))
    if status in _BETWEEN:
        return Standing(stage, State.IN_PROGRESS, say(_BETWEEN[status]))
    return Standing(stage, State.IN_PROGRESS, _progress(say, summary) if stage is Stage.TRAIN else None)


def _reached(summary: RunSummary) -> Stage:
    """The stage that the run is at, or was at when it ended early."""
    status = RunStatus(summary.status)
    if status in _AT:
        return _AT[status]
    if summary.started_at is None:
        return Stage.PREPARE
    trained = summary.step >= summary.steps if summary.measured else _was_evaluated(summary)
    return Stage.EVALUATE if trained else Stage.TRAIN


def _was_evaluated(summary: RunSummary) -> bool:
    """Whether the bill of a run, which counts the hours of each station, has any of its evaluation."""
    return RunStatus.EVALUATING.value in (summary.cost or {}).get("hours", {})


def _found(say: Say, summary: RunSummary, stage: Stage) -> str | None:
    if stage is Stage.CHECK:
        return say("{dataset} for {model}", dataset=summary.dataset, model=summary.model)
    if stage is Stage.TRAIN and summary.curve:
        steps = summary.steps or summary.curve[-1].step
        return say("{steps:,} steps, loss {loss:.3f}", steps=steps, loss=summary.curve[-1].loss)
    if stage is Stage.GATE and summary.report is not None:
        return say(unpacked(summary.report.get("sentence", "")))
    return None


def _progress(say: Say, summary: RunSummary) -> str | None:
    if summary.measured:
        share, step, steps = summary.share, summary.step, summary.steps
        told = [say("{share:.0%}, step {step:,} of {steps:,}", share=share, step=step, steps=steps)]
    else:
        told = [say("step {step:,}", step=summary.step)] if summary.step else []
    if summary.curve:
        told.append(say("loss {loss:.3f}", loss=summary.curve[-1].loss))
    if summary.tokens_per_second is not None:
        told.append(say("{tokens:,.0f} tokens/s", tokens=summary.tokens_per_second))
    if summary.memory_bytes is not None:
        told.append(say("{memory:.1f} GB", memory=summary.memory_bytes / GIGABYTE))
    if summary.eta_seconds is not None:
        told.append(_left(say, summary.eta_seconds))
    return " · ".join(told) or None


def _left(say: Say, seconds: float) -> str:
    if seconds >= _MINUTE:
        minutes = round(seconds / _MINUTE)
        return say.many("about {count:,} minute left", "about {count:,} minutes left", minutes)
    return say.many("about {count} second left", "about {count} seconds left", round(seconds))


def _deploying(say: Say, summary: RunSummary) -> Standing:
    if summary.deployment is None:
        return Standing(Stage.DEPLOY, State.PENDING, say("for somebody to decide"))
    status = DeploymentStatus(summary.deployment)
    told = {
        DeploymentStatus.REQUESTED: say("comes up at the provider, which takes some minutes; then it has to answer")
        if summary.hosted
        else say("waits for an answer to a test question"),
        DeploymentStatus.LIVE: say("live"),
        DeploymentStatus.RETIRING: say("being taken down"),
        DeploymentStatus.RETIRED: say("no longer live"),
        DeploymentStatus.FAILING: say("failed"),
        DeploymentStatus.FAILED: say("failed"),
    }
    return Standing(Stage.DEPLOY, _DEPLOYED[status], told[status])
