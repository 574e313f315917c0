"""What came of ``/errata freeze``: the dataset, what is in none of its files, and what should be known about it."""

from __future__ import annotations

from bot.blocks.elements import Block, context, quoted, section
from bot.mrkdwn import escape
from curation.datasets.manifest import absences, worth_telling
from curation.datasets.requested import Outcome

SHOWN = 8
"""Most findings in a message; the command line shows them all."""


def frozen(outcome: Outcome) -> list[Block]:
    """A dataset that stands, or why there is none."""
    if outcome.refusal is not None:
        return [section(":x: No dataset was frozen."), quoted("Reason", outcome.refusal)]
    manifest = outcome.manifest
    state = "is frozen" if outcome.new else "holds exactly these examples already"
    sides = ", ".join(f"{count:,} {side}" for side, count in manifest["sides"].items() if count)
    lines = [f":package: *{outcome.name}* {state}: {sides} (digest {outcome.digest[:12]})."]
    lines += [f"• {escape(line)}" for line in absences(outcome.name, manifest)]
    told = worth_telling(manifest)
    lines += [f"• {escape(finding.sentence())}" for finding in told[:SHOWN]]
    if len(told) > SHOWN:
        lines.append(f"… and {len(told) - SHOWN:,} findings more. See: errata dataset show {outcome.name}")
    blocks = [section("\n".join(lines))]
    blocks.append(context(_tokens(outcome)))
    blocks.append(section(f"Next: `/errata train {outcome.name}`"))
    return blocks


def frozen_text(outcome: Outcome) -> str:
    """The same in one line."""
    if outcome.refusal is not None:
        return "No dataset was frozen."
    return f"Dataset {outcome.name} {'is frozen' if outcome.new else 'holds exactly these examples already'}."


def _tokens(outcome: Outcome) -> str:
    counted = outcome.manifest.get("tokens", {})
    if not counted:
        return "Tokens were not counted: no vocabulary is here or to be had."
    totals = (
        f"{'' if tokens['exact'] else 'at most '}{tokens['total']:,} by {counter}"
        for counter, tokens in counted.items()
    )
    return f"Tokens: {'; '.join(totals)}."
