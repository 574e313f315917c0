"""Blocks about runs: the one status message, the evaluation, the deployment."""

from __future__ import annotations

from typing import Any

from bot.blocks.correct import REASONS
from bot.blocks.elements import Block, actions, button, confirmed, context, header, quoted, section
from bot.blocks.hosted import hosting, notes, portal
from bot.blocks.stages import VERDICTS, done, measured, plan
from bot.mrkdwn import escape, quote
from bot.speech import Say
from curation.wording import called, unpacked
from training.backends.names import TITLES
from training.evaluation.breakdown import cases_of, standing_out, whole
from training.evaluation.evaluations import Case, Verdict
from training.evaluation.tables import question
from training.hyperparameters import Label
from training.planning.parts import money
from training.runs import RESUMABLE, UNFINISHED, RunStatus
from training.summaries import RunSummary

DEPLOY = "run_deploy"
CANCEL = "run_cancel"
RESUME = "run_resume"
UNDEPLOY = "run_undeploy"
ROLLBACK = "run_rollback"

ENDED = {
    RunStatus.COMPLETED: ":white_check_mark:",
    RunStatus.FAILED: ":x:",
    RunStatus.CANCELLED: ":no_entry_sign:",
    RunStatus.CANCELLING: ":hourglass:",
}
SHOWN_CASES = 5
QUOTE = 400


def status(say: Say, summary: RunSummary) -> list[Block]:
    """The status message of a run, edited in place from request to end, and on while it is deployed."""
    state = RunStatus(summary.status)
    blocks = [
        header(say("Run {run}", run=summary.id)),
        context(
            say(
                "{model} on {dataset} · recipe {recipe} · asked for by {person}",
                model=summary.model,
                dataset=summary.dataset,
                recipe=summary.recipe,
                person=summary.requested_by,
            )
        ),
        plan(say, summary, status_text(say, summary)),
    ]
    if summary.money is not None:
        blocks.append(context(say("Cost: {cost}", cost=summary.money)))
    if told := hosting(say, summary):
        blocks.append(context(" ".join(told)))
    blocks += notes(say, summary)
    if summary.link is not None:
        blocks.append(section(portal(say, summary.link)))
    if state in ENDED and state is not RunStatus.COMPLETED:
        blocks.append(section(f"{ENDED[state]} *{say(called(state))}*"))
    if summary.reason and state in {RunStatus.FAILED, RunStatus.CANCELLED}:
        blocks.append(section(quote(say(unpacked(summary.reason)), QUOTE)))
    if state in {RunStatus.FAILED, RunStatus.CANCELLED}:
        blocks.append(section(_next(say, summary)))
    if state is RunStatus.FAILED and not summary.hosted:  # of a service's there is no log here, but its page
        log = f"errata run logs {summary.id}"
        blocks.append(context(say("Its log is on the machine that Errata runs on: {command}", command=log)))
    if state in UNFINISHED and state is not RunStatus.CANCELLING:
        blocks.append(actions("run", [cancel_button(say, summary)]))
    if state in RESUMABLE and not summary.unfit:
        blocks.append(actions("run", [resume_button(say, summary)]))
    return blocks


def status_text(say: Say, summary: RunSummary) -> str:
    """The status in one line, with how much is done."""
    state = RunStatus(summary.status)
    if state in UNFINISHED and state is not RunStatus.CANCELLING and measured(summary):
        return say("Run {run}: {status}, {share:.0%}", run=summary.id, status=called(state), share=done(summary))
    return say("Run {run}: {status}", run=summary.id, status=called(state))


def _next(say: Say, summary: RunSummary) -> str:
    """What may be done about a run that has ended early, with what is typed to start another like it."""
    words = [summary.dataset, quote(summary.model, QUOTE)]
    if summary.backend in TITLES:
        words += [escape(summary.recipe), summary.backend]
    anew = f"`/errata train {' '.join(words)}`"
    if summary.unfit:
        return say(
            "Next: {command} starts another run; give it another dataset, model or recipe, as this one would be "
            "refused again.",
            command=anew,
        )
    if summary.hosted:
        return say(
            "Next: resume it; the provider may train it anew, and send its whole bill once more. {command} starts "
            "another.",
            command=anew,
        )
    return say("Next: resume it, and it goes on from where it was; {command} starts anew.", command=anew)


def evaluated(say: Say, summary: RunSummary) -> list[Block]:
    """What the evaluation found: the verdict, fixed and kept apart, what stands out, a few replies before and after."""
    report = summary.report or {}
    cases = cases_of(report)
    blocks = [header(say("Evaluation of {run}", run=summary.id)), section(_finding(say, summary))]
    if cases:
        blocks.append(section(_counted(say, report["scores"], bold=True)))
        blocks += [context(line) for line in (_preferred(say, cases), _standing_out(say, cases)) if line]
        held_out = report["held_out"]
        if held_out["corrections"] or held_out["endorsements"]:
            counted = _counted(say, held_out, bold=False)
            blocks.append(context(say("Of these held out from training: {counted}", counted=counted)))
    blocks += [context(line) for line in (_figures(say, report),) if line]
    shown = [case for case in report.get("cases", []) if case["kind"] == "correction"][:SHOWN_CASES]
    for case in shown:
        mark = ":white_check_mark:" if Case.from_json(case).right_after else ":x:"
        blocks.append(
            section(
                f"{mark} {quote(question(case), QUOTE)}\n"
                f"*{say('Before')}* {quote(case['before'], QUOTE)}\n*{say('After')}* {quote(case['after'], QUOTE)}"
            )
        )
    if summary.recipe.startswith("rehearsal"):
        blocks.append(context(say("A toy model that memorised its sample: it proves the pipeline, not the method.")))
    if summary.deployment is None:
        blocks.append(actions("run", [deploy_button(say, summary)]))
    return blocks


def evaluated_text(say: Say, summary: RunSummary) -> str:
    """The evaluation in one line."""
    verdict = VERDICTS[Verdict(summary.verdict)] if summary.verdict else "–"
    return say("Run {run} is evaluated: {verdict}.", run=summary.id, verdict=verdict)


def deployment(say: Say, summary: RunSummary, *, live: str | None, former: str | None) -> list[Block]:
    """A model that answers, or why it does not, and then which one does.

    Args:
        live: the run that is live now.
        former: the one that a rollback would bring back.
    """
    if summary.deployment == "live":
        address = f"`{escape(summary.endpoint or '')}`"
        return [
            section(f":rocket: {say('{run} is live at {address}', run=f'*{summary.id}*', address=address)}"),
            quoted(say("Test question"), summary.test_question or ""),
            quoted(say("It answered"), summary.test_reply or ""),
            *_hosted(say, summary),
            actions("run", [undeploy_button(say, summary), *([_rollback(say, summary, former)] if former else [])]),
        ]
    if summary.deployment == "failed":
        again = f"`/errata deploy {summary.id}`"
        return [
            section(f":x: {escape(deployment_text(say, summary, live=live))}"),
            quoted(say("Reason"), say(unpacked(summary.deployment_reason or ""))),
            section(say("Next: {command} tries again.", command=again)),
        ]
    blocks = [section(f":package: {escape(deployment_text(say, summary, live=live))}")]
    if summary.deployment == "retiring":
        blocks += _hosted(say, summary)
    if live is None:
        blocks.append(section(say("Next: {command} puts a model back.", command="`/errata rollback`")))
    return blocks


def _hosted(say: Say, summary: RunSummary) -> list[Block]:
    told = hosting(say, summary)
    return [context(" ".join(told))] if told else []


def suggester(say: Say, summary: RunSummary, label: str) -> list[Block]:
    """A classifier whose suggestions reviewers see, or why they do not.

    Args:
        label: what it suggests: ``topic``, ``reason`` or ``flagged``.
    """
    signs = {"live": ":bulb:", "failed": ":x:"}
    told = section(f"{signs.get(summary.deployment or '', ':package:')} {escape(suggester_text(say, summary, label))}")
    if summary.deployment == "live":
        return [
            told,
            quoted(say("Test question"), summary.test_question or ""),
            quoted(say("It answered"), summary.test_reply or ""),
            actions("run", [undeploy_button(say, summary)]),
        ]
    if summary.deployment == "failed":
        return [told, quoted(say("Reason"), say(unpacked(summary.deployment_reason or "")))]
    return [told]


def suggester_text(say: Say, summary: RunSummary, label: str) -> str:
    """The same in one line."""
    if summary.deployment == "failed":
        return say("{run} could not be deployed: it suggests nothing.", run=summary.id)
    if summary.deployment != "live":
        return say("{run} suggests nothing any more.", run=summary.id)
    if label == Label.TOPIC:
        return say("{run} now suggests topics to reviewers.", run=summary.id)
    if label == Label.REASON:
        return say("{run} now suggests to reviewers why a reply was flagged.", run=summary.id)
    return say("{run} now tells reviewers how likely staff would flag a reply.", run=summary.id)


def deployment_text(say: Say, summary: RunSummary, *, live: str | None) -> str:
    """The deployment in one line."""
    other = live if live != summary.id else None
    if summary.deployment == "live":
        return say("{run} is live.", run=summary.id)
    if summary.deployment == "failed":
        if other is None:
            return say("{run} could not be deployed; no model of Errata's is live.", run=summary.id)
        return say("{run} could not be deployed; {live} still is live.", run=summary.id, live=other)
    return _taken_down(say, summary, live=live)


def _taken_down(say: Say, summary: RunSummary, *, live: str | None) -> str:
    if summary.test_reply is None:
        return say("{run} was taken down before it was live.", run=summary.id)
    if live == summary.id:
        return say("{run} was taken down, and is live again since.", run=summary.id)
    if live is None:
        return say("{run} is no longer live; no model of Errata's is.", run=summary.id)
    return say("{run} is no longer live; {live} is live now.", run=summary.id, live=live)


def idle(say: Say, summary: RunSummary) -> list[Block]:
    """The reminder of a model that costs money and is asked nothing; once it is down, that it is."""
    told = section(idle_text(say, summary))
    if summary.deployment != "live":
        return [told]
    return [told, *_hosted(say, summary), actions("run", [undeploy_button(say, summary)])]


def idle_text(say: Say, summary: RunSummary) -> str:
    """The same in one line, in mrkdwn."""
    if summary.deployment != "live":
        return say("{run} answers at no endpoint any more.", run=summary.id)
    return say(
        "{run} costs money by the hour and answered nothing for a week. {command} takes it down.",
        run=summary.id,
        command=f"`/errata undeploy {summary.id}`",
    )


def scores_text(say: Say, summary: RunSummary) -> str:
    """What stands above the picture of an evaluation."""
    return say("The figures of {run}", run=summary.id)


def curve_text(say: Say, summary: RunSummary) -> str:
    """What stands above the picture of a training."""
    return say("Loss curve of {run}", run=summary.id)


def cancel_button(say: Say, summary: RunSummary) -> Block:
    """Stops the run, once somebody has said so twice."""
    kept = (
        say("{run} stops. It can be resumed; the provider may then train it anew.", run=summary.id)
        if summary.hosted
        else say("{run} stops. What it has learned so far is kept, and it can be resumed.", run=summary.id)
    )
    return confirmed(
        button(say("Cancel"), CANCEL, summary.id, style="danger"),
        title=say("Cancel this run?"),
        text=kept,
        yes=say("Cancel the run"),
        no=say("Go on"),
    )


def resume_button(say: Say, summary: RunSummary) -> Block:
    """Lets a run that failed or was cancelled go on; where somebody sends a bill, once somebody has said so twice."""
    pressed = button(say("Resume"), RESUME, summary.id)
    if summary.backend not in TITLES:
        return pressed
    return confirmed(
        pressed,
        title=say("Resume this run?"),
        text=say("The provider may send its whole bill once more: {cost}.", cost=summary.estimated),
        yes=say("Resume the run"),
        no=say("Not now"),
    )


def deploy_button(say: Say, summary: RunSummary) -> Block:
    """Lets the run's model answer, once somebody has said so twice."""
    return confirmed(
        button(say("Deploy"), DEPLOY, summary.id, style="primary"),
        title=say("Deploy this model?"),
        text=" ".join(
            [
                say("{run} answers instead of what is live now, once it has answered a test question.", run=summary.id),
                *_price(say, summary),
            ]
        ),
        yes=say("Deploy"),
        no=say("Not now"),
    )


def _price(say: Say, summary: RunSummary) -> list[str]:
    """What a deployment will cost, as far as that is known."""
    if not summary.hosted:
        return []
    if summary.fleeting and not summary.hourly:
        return [say("Its endpoint costs nothing by the hour; the provider takes it down after a day.")]
    if summary.hourly is None:
        return [say("Its endpoint costs money by the hour; how much is unknown here.")]
    return [say("Its endpoint costs {hourly} an hour.", hourly=money(summary.hourly))]


def undeploy_button(say: Say, summary: RunSummary) -> Block:
    """Takes the run's model down, once somebody has said so twice."""
    return confirmed(
        button(say("Take down"), UNDEPLOY, summary.id, style="danger"),
        title=say("Take this model down?"),
        text=say("{run} answers no more, and no other model takes its place.", run=summary.id),
        yes=say("Take it down"),
        no=say("Leave it"),
    )


def _rollback(say: Say, summary: RunSummary, former: str) -> Block:
    return confirmed(
        button(say("Roll back"), ROLLBACK, summary.id),
        title=say("Roll back?"),
        text=say("{former} takes over from {run} again.", former=former, run=summary.id),
        yes=say("Roll back"),
        no=say("Leave it"),
    )


def _finding(say: Say, summary: RunSummary) -> str:
    icon = {Verdict.BETTER.value: ":tada:", Verdict.WORSE.value: ":warning:"}.get(summary.verdict or "", ":scales:")
    return f"{icon} {escape(say(unpacked((summary.report or {}).get('sentence', ''))))}"


def _counted(say: Say, scores: dict[str, int], *, bold: bool) -> str:
    mark = "*" if bold else ""
    fixed, kept = scores["fixed"], scores["kept"]
    return " · ".join(
        (
            say("{fixed} of {all} corrected replies fixed", fixed=f"{mark}{fixed}{mark}", all=scores["corrections"]),
            say("{kept} of {all} endorsed replies kept", kept=f"{mark}{kept}{mark}", all=scores["endorsements"]),
        )
    )


def _preferred(say: Say, cases: list[Case]) -> str | None:
    found = whole(cases)
    if not found.won_after.all:
        return None
    return say(
        "{after:,} of {all:,} corrected replies preferred to the flagged ones, before {before:,}",
        after=found.won_after.some,
        all=found.won_after.all,
        before=found.won_before.some,
    )


def _standing_out(say: Say, cases: list[Case]) -> str | None:
    """The reason or topic that was fixed least, where that is no accident."""
    group = standing_out(cases)
    if group is None:
        return None
    known = {reason.value: words for reason, words in REASONS.items()}
    name = say(known[group.name]) if group.way == "reason" and group.name in known else group.name
    return say("Fixed least: {group}, {fixed} of {all}", group=name, fixed=group.fixed.some, all=group.fixed.all)


def _figures(say: Say, report: dict[str, Any]) -> str | None:
    fits = dict(report.get("validation", {}))
    if "baseline" in fits and fits.get("base") == fits["baseline"]:  # production is the base: once is enough
        del fits["base"]
    named = {"candidate": say("tuned"), "baseline": say("production"), "base": say("base")}
    parts = [
        say("{model} {perplexity:,.2f}", model=label, perplexity=fits[name]["perplexity"])
        for name, label in named.items()
        if fits.get(name) and fits[name]["comparable"]
    ]
    if report.get("unigram_perplexity") is not None:
        parts.append(say("counting words {perplexity:,.2f}", perplexity=report["unigram_perplexity"]))
    return say("Validation perplexity: {figures}", figures=parts) if parts else None
