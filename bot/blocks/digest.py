"""The weekly digest: what a channel that asked for it hears on Monday, in one message."""

from __future__ import annotations

from datetime import datetime

from bot.blocks.elements import SECTION_LIMIT, Block, context, header, section
from bot.blocks.stages import VERDICTS
from bot.mrkdwn import escape
from bot.speech import Say
from curation.digests import Figures, Rate
from curation.replies import VersionFigures
from curation.wording import called
from training.evaluation.evaluations import Verdict
from training.runs import RunStatus
from training.weekly import Trained

MOST_LINES = 8
"""Of model versions, runs and authors, each: beyond it somebody looks at the dashboard."""


def told(say: Say, figures: Figures, trained: Trained) -> list[Block]:
    """What happened, who is waiting, how the model versions do, what was trained, and what to do next."""
    blocks = [header(told_text(say, figures)), section("\n".join(_happened(say, figures)))]
    for title, lines in (
        (say("Waiting"), _waiting(say, figures)),
        (say("Flagged replies per hundred"), _rates(say, figures)),
        (say("Models"), _trained(say, trained)),
        (say("Advice"), [escape(say(advice.sentence())) for advice in figures.advice]),
        (say("Next"), _next(say, figures)),
    ):
        if lines:
            body = "\n".join(f"• {line}" for line in lines)
            blocks.append(section(f"*{escape(title)}*\n{body}"[:SECTION_LIMIT]))
    blocks.append(context(say("Every Monday. An owner stops it with {command}", command="/errata digest off")))
    return blocks


def told_text(say: Say, figures: Figures) -> str:
    """The same in one line."""
    return say("The week from {day} in figures", day=figures.week.begins.date().isoformat())


def rates_text(say: Say) -> str:
    """What stands above the picture."""
    return say("Flagged replies by week and model version")


def _happened(say: Say, figures: Figures) -> list[str]:
    return [
        say.many("{count:,} reply was flagged", "{count:,} replies were flagged", figures.flagged),
        say.many("{count:,} correction was written", "{count:,} corrections were written", figures.corrections),
        say.many("{count:,} reply was endorsed", "{count:,} replies were endorsed", figures.endorsements),
        say.many(
            "{count:,} decision was made, {approved:,} of them approvals",
            "{count:,} decisions were made, {approved:,} of them approvals",
            figures.decided,
            approved=figures.approved,
        ),
    ]


def _waiting(say: Say, figures: Figures) -> list[str]:
    lines = []
    if figures.pending:
        waits = say.many("{count:,} waits for a reviewer", "{count:,} wait for a reviewer", figures.pending)
        since = say("the oldest since {day}", day=_day(figures.oldest)) if figures.oldest is not None else ""
        lines.append(escape(waits) + (f", {since}" if since else ""))
    for author, number in figures.returned[:MOST_LINES]:
        lines.append(
            escape(
                say.many(
                    "{count:,} came back to {author}, who reworks it",
                    "{count:,} came back to {author}, who reworks them",
                    number,
                    author=author,
                )
            )
        )
    if figures.unanswered:
        lines.append(
            say.many(
                "{count:,} flagged reply has no correction yet",
                "{count:,} flagged replies have no correction yet",
                figures.unanswered,
            )
        )
    return lines


def _rates(say: Say, figures: Figures) -> list[str]:
    several = len({rate.assistant for rate in figures.rates}) > 1
    return [_rate(say, rate, several=several) for rate in figures.rates[-MOST_LINES:]]


def _rate(say: Say, rate: Rate, *, several: bool) -> str:
    version = escape(rate.model_version or say("without a model of Errata's"))
    named = f"{escape(rate.assistant)}, {version}" if several else version
    return say(
        "{version}: {now} this week, {before} the week before",
        version=named,
        now=_hundred(say, rate.now),
        before=_hundred(say, rate.before),
    )


def _hundred(say: Say, figures: VersionFigures | None) -> str:
    if figures is None:
        return say("no replies")
    rate = 100 * figures.flag_rate
    return say.many(
        "{rate:.1f} per hundred, of {count:,} reply",
        "{rate:.1f} per hundred, of {count:,} replies",
        figures.replies,
        rate=rate,
    )


def _trained(say: Say, trained: Trained) -> list[str]:
    lines = []
    for run in trained.runs[:MOST_LINES]:
        told = say("{run}: {status}", run=run.id, status=called(RunStatus(run.status)))
        lines.append(escape(f"{told}, {say(VERDICTS[Verdict(run.verdict)])}" if run.verdict else told))
    lines += [escape(say("{run} went live", run=run)) for run in trained.went_live[:MOST_LINES]]
    lines += [escape(say("{run} was taken down", run=run)) for run in trained.taken_down[:MOST_LINES]]
    if trained.live is not None:
        lines.append(escape(say("Live now: {run}", run=trained.live)))
    lines += [
        say(
            "{run} costs money by the hour and answered nothing for a week. {command} takes it down.",
            run=idle,
            command=f"`/errata undeploy {idle}`",
        )
        for idle in trained.idle[:MOST_LINES]
    ]
    return lines


def _next(say: Say, figures: Figures) -> list[str]:
    lines = []
    if figures.unanswered:
        lines.append(say("{command} shows the flagged replies to correct", command="`/errata flags`"))
    if figures.pending:
        lines.append(say("{command} shows what waits for review", command="`/errata review`"))
    if not lines:
        lines.append(say("{command} releases the approved examples as a dataset", command="`/errata freeze`"))
    return lines


def _day(moment: datetime) -> str:
    """In the reader's own time and language: Slack's client writes it."""
    return f"<!date^{int(moment.timestamp())}^{{date_short}}|{moment.date().isoformat()}>"
