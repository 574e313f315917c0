"""What came of ``/errata freeze``: the dataset, what is in none of its files, and what should be known about it."""

from __future__ import annotations

from bot.blocks.elements import SECTION_LIMIT, Block, context, quoted, section
from bot.mrkdwn import escape
from bot.speech import Say
from curation.datasets.manifest import absences, worth_telling
from curation.datasets.requested import Outcome
from curation.datasets.split import Side
from curation.wording import unpacked

SHOWN = 8
"""Most findings in a message; the command line shows them all."""


def frozen(say: Say, outcome: Outcome) -> list[Block]:
    """A dataset that stands, or why there is none."""
    if outcome.refusal is not None:
        said = [section(f":x: {escape(frozen_text(say, outcome))}")]
        return [*said, quoted(say("Reason"), say(unpacked(outcome.refusal)))]
    manifest = outcome.manifest
    lines = [f":package: *{escape(frozen_text(say, outcome))}* {_sides(say, manifest['sides'])}"]
    lines += [f"• {escape(say(line))}" for line in absences(outcome.name, manifest)]
    told = worth_telling(manifest)
    lines += [f"• {escape(say(finding.sentence()))}" for finding in told[:SHOWN]]
    if len(told) > SHOWN:
        shows = f"errata dataset show {outcome.name}"
        more = say.many("… and {count:,} finding more.", "… and {count:,} findings more.", len(told) - SHOWN)
        lines.append(f"{more} {say('See: {command}', command=f'`{shows}`')}")
    return [
        section("\n".join(lines)[:SECTION_LIMIT]),
        context(_tokens(say, outcome)),
        context(say("Digest {digest}", digest=outcome.digest[:12])),
        section(say("Next: {command}", command=f"`/errata train {outcome.name}`")),
    ]


def frozen_text(say: Say, outcome: Outcome) -> str:
    """The same in one line."""
    if outcome.refusal is not None:
        return say("No dataset was frozen.")
    if outcome.new:
        return say("Dataset {dataset} is frozen.", dataset=outcome.name)
    return say("Dataset {dataset} holds exactly these examples already.", dataset=outcome.name)


def _sides(say: Say, counts: dict[str, int]) -> str:
    told = []
    for side, count in counts.items():
        if not count:
            continue
        if side == Side.TRAIN.value:
            told.append(say.many("{count:,} row to train on", "{count:,} rows to train on", count))
        elif side == Side.VALIDATION.value:
            told.append(say.many("{count:,} row held out", "{count:,} rows held out", count))
        else:
            told.append(say.many("{count:,} row in quarantine", "{count:,} rows in quarantine", count))
    return say("{sides}.", sides=told)


def _tokens(say: Say, outcome: Outcome) -> str:
    counted = outcome.manifest.get("tokens", {})
    if not counted:
        return say("Tokens were not counted: no vocabulary is here or to be had.")
    totals = [
        say("{count:,} by {counter}", count=tokens["total"], counter=counter)
        if tokens["exact"]
        else say("at most {count:,} by {counter}", count=tokens["total"], counter=counter)
        for counter, tokens in counted.items()
    ]
    return say("Tokens: {totals}.", totals=totals)
