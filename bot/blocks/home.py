"""App Home: what waits for somebody, what became of what they did, and how the model does.

Pure. Every part is a few blocks of bounded length, so that the page stays under the 100 blocks of a view whatever
there is and in every language.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bot.blocks import costs
from bot.blocks import flags as flag_blocks
from bot.blocks import queue as queue_blocks
from bot.blocks import review as review_blocks
from bot.blocks import runs as run_blocks
from bot.blocks import training as training_blocks
from bot.blocks.commands import opener
from bot.blocks.elements import SECTION_LIMIT, Block, actions, button, context, header, section
from bot.blocks.stages import VERDICTS
from bot.dashboard import Health, Mine, Seen
from bot.mrkdwn import cut, escape, quote
from bot.speech import Say
from curation.authored import Authored
from curation.candidates import CandidateStatus
from curation.digests import Figures, Rate
from curation.queue import Tally
from curation.wording import called
from training.bills import Bill
from training.deployments import DeploymentStatus
from training.evaluation.evaluations import Verdict
from training.runs import UNFINISHED, RunStatus
from training.summaries import RunSummary

REFRESH = "home_refresh"
COMMAND = "home_command_"
"""How the action ids of buttons that stand for a sub-command begin; its name follows."""

EXCERPT = 90
MOST_LINES = 6
MOST_COSTS = 12

_MARKS = {
    CandidateStatus.PENDING: ":hourglass_flowing_sand:",
    CandidateStatus.RETURNED: ":leftwards_arrow_with_hook:",
    CandidateStatus.APPROVED: ":white_check_mark:",
    CandidateStatus.REJECTED: ":x:",
}


def page(say: Say, seen: Seen, now: datetime) -> Block:
    """The view to publish."""
    if seen.guest:
        blocks = _for_guests(say)
    elif seen.listed is None:
        blocks = _without_a_role(say, seen)
    else:
        blocks = _of_the_team(say, seen)
    return {"type": "home", "blocks": [*blocks, {"type": "divider"}, *_foot(say, seen, now)]}


def _for_guests(say: Say) -> list[Block]:
    return [
        header(say("Errata")),
        section(say("Errata is for members of this workspace. Thank you for looking in.")),
    ]


def _without_a_role(say: Say, seen: Seen) -> list[Block]:
    who = (
        say("{names:or} can give you a role.", names=[escape(name) for name in seen.owners])
        if seen.owners
        else say("Nobody owns Errata here yet; whoever runs it makes the first owner.")
    )
    return [
        header(say("Errata")),
        section(
            say(
                "Errata turns the mistakes of an assistant into its next, better model: somebody corrects a reply, "
                "somebody else approves it, and the next model learns from it."
            )
        ),
        section(who),
    ]


def _of_the_team(say: Say, seen: Seen) -> list[Block]:
    blocks = [header(say("Welcome, {name}", name=seen.name))]
    if seen.tally is not None:
        blocks += _queue(say, seen.tally)
    if seen.mine is not None:
        blocks += _mine(say, seen.mine, seen.live)
    if seen.flags:
        counted = say.many("{count:,} flagged reply to take", "{count:,} flagged replies to take", seen.flags)
        blocks += [section(f"*{counted}*"), actions("home_flags", [opener(say("Look at them"), flag_blocks.OPEN)])]
    if seen.week is not None:
        blocks += [section(_week(say, seen.week))]
    if seen.health is not None and seen.week is not None:
        blocks += _data(say, seen.health, seen.week, freezes=seen.freezes)
    blocks += _models(say, seen)
    return [*blocks, *(_costs(say, seen.bill) if seen.bill is not None else [])]


def _queue(say: Say, tally: Tally) -> list[Block]:
    if not tally.waiting:
        return [section(f"*{say('Nothing waits for review.')}*")]
    parts = [say.many("{count:,} for you", "{count:,} for you", tally.for_you)]
    if tally.yours:
        parts.append(say.many("{count:,} is yours", "{count:,} are yours", tally.yours))
    if tally.claimed:
        parts.append(say.many("{count:,} is with somebody else", "{count:,} are with somebody else", tally.claimed))
    if tally.other_languages:
        parts.append(say.many("{count:,} in another language", "{count:,} in other languages", tally.other_languages))
    waiting = say.many("{count:,} waits for review", "{count:,} wait for review", tally.waiting)
    blocks = [section(f"*{waiting}*\n{' · '.join(parts)}")]
    if tally.for_you:
        blocks.append(actions("home_queue", [opener(say("Review"), queue_blocks.OPEN, style="primary")]))
    return blocks


def _mine(say: Say, mine: Mine, live: str | None) -> list[Block]:
    if not mine.counted:
        hint = say("You have corrected nothing yet: the message menu of a reply has *Correct this reply*.")
        return [section(f"*{say('Your corrections')}*\n{hint}")]
    counted = [
        say("{number:,} {status}", number=mine.counted[status], status=called(status))
        for status in CandidateStatus
        if mine.counted.get(status)
    ]
    lines = [f"*{say('Your corrections')}*", " · ".join(counted)]
    if live is not None and mine.learned:
        lines.append(
            say.many(
                "{run}, which is live, has learned from {count:,} of them.",
                "{run}, which is live, has learned from {count:,} of them.",
                mine.learned,
                run=f"*{live}*",
            )
        )
    blocks = [section("\n".join(lines))]
    for one in mine.first:
        blocks.append(section(_authored(say, one, live)))
        if one.status is CandidateStatus.RETURNED:
            pressed = button(say("Rework"), review_blocks.AMEND, str(one.candidate_id), style="primary")
            blocks.append(actions(f"home_rework_{one.candidate_id}", [pressed]))
    return blocks


def _authored(say: Say, one: Authored, live: str | None) -> str:
    state = say("live in {run}", run=live) if one.learned and live is not None else say(called(one.status))
    return f"{_MARKS[one.status]} #{one.candidate_id} {quote(one.reply, EXCERPT)}: {state}"


def _week(say: Say, figures: Figures) -> str:
    lines = [
        f"*{say('This week')}*",
        " · ".join(
            [
                say.many("{count:,} reply flagged", "{count:,} replies flagged", figures.flagged),
                say.many("{count:,} correction", "{count:,} corrections", figures.corrections),
                say.many("{count:,} decision", "{count:,} decisions", figures.decided),
                say.many("{count:,} new example", "{count:,} new examples", figures.approved),
            ]
        ),
    ]
    return "\n".join(lines)[:SECTION_LIMIT]


def _data(say: Say, health: Health, figures: Figures, *, freezes: bool) -> list[Block]:
    lines = [f"*{say('The data')}*"]
    if health.newest is None:
        lines.append(say("No dataset has been frozen yet."))
    else:
        lines.append(say("The newest dataset is {name}.", name=f"*{escape(health.newest)}*"))
    lines.append(
        say.many(
            "{count:,} example was approved since.", "{count:,} examples were approved since.", health.approved_since
        )
        if health.newest is not None
        else say.many("{count:,} example is approved.", "{count:,} examples are approved.", health.approved_since)
    )
    lines += _bullets(say(advice.sentence()) for advice in figures.advice)
    blocks = [section("\n".join(lines))]
    if freezes and health.approved_since:
        blocks.append(actions("home_data", [_command(say("Freeze"), "freeze")]))
    return blocks


def _models(say: Say, seen: Seen) -> list[Block]:
    now = say("{run} is live.", run=f"*{seen.live}*") if seen.live is not None else say("No model of Errata's is live.")
    lines = [f"*{say('The model')}*", now]
    lines += [f"• {_rate(say, rate)}" for rate in (seen.week.rates if seen.week is not None else ())[:MOST_LINES]]
    blocks = [section("\n".join(lines))]
    for run in seen.listed or ():
        blocks.append(section(_run(say, run)))
        blocks.append(actions(f"home_{run.id}", _of_run(say, run, trains=seen.trains)))
    pressed = [_command(say("Train"), "train")] if seen.trains else []
    return [*blocks, actions("home_models", [*pressed, _command(say("Costs"), "costs")])]


def _costs(say: Say, bill: Bill) -> list[Block]:
    """Every line is short and there are at most a few dozen, so that nothing is cut."""
    lines = [*costs.month(say, bill), *costs.endpoints(say, bill), *costs.going(say, bill)]
    title = f"*{say('What it costs')}*"
    return [section(cut("\n".join([title, *(f"• {line}" for line in lines[:MOST_COSTS])]), SECTION_LIMIT))]


def _rate(say: Say, rate: Rate) -> str:
    version = escape(rate.model_version or say("without a model of Errata's"))
    if rate.now is None:
        return say("{version}: no replies this week", version=version)
    return say.many(
        "{version}: {rate:.1f} flags per hundred replies, of {count:,} reply",
        "{version}: {rate:.1f} flags per hundred replies, of {count:,} replies",
        rate.now.replies,
        version=version,
        rate=100 * rate.now.flag_rate,
    )


def _run(say: Say, run: RunSummary) -> str:
    parts = [say("{run}: {status}", run=f"*{run.id}*", status=called(RunStatus(run.status)))]
    parts.append(say("{model} on {dataset}", model=quote(run.model, EXCERPT), dataset=escape(run.dataset)))
    parts += [say(VERDICTS[Verdict(run.verdict)])] if run.verdict else []
    parts += [say(called(DeploymentStatus(run.deployment)))] if run.deployment else []
    return ", ".join(parts)


def _of_run(say: Say, run: RunSummary, *, trains: bool) -> list[Block]:
    pressed = [button(say("Details"), training_blocks.DETAILS, run.id)]
    state = RunStatus(run.status)
    if trains and state in UNFINISHED and state is not RunStatus.CANCELLING:
        pressed.append(run_blocks.cancel_button(say, run))
    if trains and state is RunStatus.COMPLETED and run.deployment not in {"live", "requested"}:
        pressed.append(run_blocks.deploy_button(say, run))
    return pressed


def _foot(say: Say, seen: Seen, now: datetime) -> list[Block]:
    shown = f"<!date^{int(now.timestamp())}^{{time}}|{now:%H:%M}>"
    pressed = [opener(say("Refresh"), REFRESH)]
    if not seen.guest:
        pressed += [_command(say("Language"), "language"), _command(say("Help"), "help")]
    return [
        actions("home_foot", pressed),
        {"type": "context", "elements": [{"type": "mrkdwn", "text": say("As of {time}.", time=shown)}]},
        *([] if seen.listed is None else [context(say("Every command of Errata: {command}", command="/errata help"))]),
    ]


def _command(label: str, name: str) -> Block:
    return opener(label, f"{COMMAND}{name}")


def _bullets(lines: Iterable[str]) -> list[str]:
    return [f"• {escape(line)}" for line in lines][:MOST_LINES]
