"""The manifest: what a dataset version says about itself, in figures and ids, never in anybody's words.

Owns its keys and how they are counted. Refuses the clock and the machine: equal rows give an equal
manifest, so that a version can be compared with itself years later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from curation.datasets import fitness, repeated, sides
from curation.datasets.frozen import Item
from curation.datasets.sides import Tie
from curation.datasets.split import Side
from curation.findings import Finding, Severity
from curation.formats import profile, rules
from curation.measures import balance
from curation.measures.balance import Facet, Lengths
from curation.tokens.counters import TokenCounter, TokenizerFamily, counter_for
from curation.wording import Phrase, plural

_TOOLS = ("errata", "py3langid", "tiktoken")
"""Whatever decides what a manifest says: a newer version may count or detect otherwise."""

_OF_FILES = ("file.", "format.", "json.", "encoding.utf", "row.", "metadata.", "sharegpt.", "pair.", "azure.", "phi.")
"""What the ids of rules begin with that are about a file or a target: a row in the store can't break them."""


_ABSENT: dict[str, Callable[[int], Phrase]] = {
    "expired": lambda count: plural(
        "Left out: {count:,} example has expired. See: errata examples renew",
        "Left out: {count:,} examples have expired. See: errata examples renew",
        count,
    ),
    "changing_fact": lambda count: plural(
        "Left out: {count:,} example is of a fact that changes. See: errata knowledge-gaps, or freeze with "
        "--include-changing",
        "Left out: {count:,} examples are of facts that change. See: errata knowledge-gaps, or freeze with "
        "--include-changing",
        count,
    ),
    "older": lambda count: plural(
        "Left out: {count:,} example was approved before the day that was asked for.",
        "Left out: {count:,} examples were approved before the day that was asked for.",
        count,
    ),
    "undecided_privacy": lambda count: plural(
        "Left out: {count:,} example holds personal data that nobody has decided about. See: errata privacy list",
        "Left out: {count:,} examples hold personal data that nobody has decided about. See: errata privacy list",
        count,
    ),
}
"""Why approved examples are not in a version, and where to look."""


def counters() -> list[TokenCounter]:
    """One counter for each family of tokenizers, as a manifest names its tokens. Loading them takes half a second.

    Raises:
        Unavailable: a vocabulary is neither here nor to be had.
    """
    return [counter_for(family) for family in TokenizerFamily]


def of_rows(
    rows: Sequence[Item],
    *,
    digest: str,
    ties: Sequence[Tie],
    left_out: Mapping[str, Sequence[int]],
    prompts: Mapping[int, fitness.Prompt],
    counters: Sequence[TokenCounter],
    privacy: str,
    told: Sequence[Finding],
) -> dict[str, Any]:
    """The manifest of a version with these rows.

    Args:
        ties: why rows are in quarantine.
        left_out: ``{why: ids}`` of the approved examples that are not in the version.
        prompts: every version of every assistant's prompt, by its id.
        counters: what counts tokens; without any, the manifest has no tokens.
        privacy: the policy under which the rows were released.
        told: findings of that release.
    """
    lacking = sides.without_validation((item.topic, item.language, item.side) for item in rows)
    found = [*findings_of(rows, lacking=lacking, prompts=prompts), *told]
    counted = Counter(item.side.value for item in rows)
    return {
        "digest": digest,
        "rows": len(rows),
        "sides": {side.value: counted[side.value] for side in Side},
        "kinds": _counted(item.example.kind for item in rows),
        "topics": _counted(item.topic for item in rows),
        "languages": _counted(item.language for item in rows),
        "cells": _cells(rows),
        "no_validation": [
            {"topic": topic, "language": language, "rows": count} for (topic, language), count in lacking.items()
        ],
        "quarantined": [
            {"example": tie.example, "train": list(tie.train), "validation": list(tie.validation)} for tie in ties
        ],
        "left_out": {why: list(ids) for why, ids in left_out.items()},
        "imported": sum(item.example.attested is not None for item in rows),
        "self_approved": sum(item.example.self_approved for item in rows),
        "authors": len({author for item in rows for author in item.example.authors}),
        "approvers": len({item.example.approved_by for item in rows}),
        "reviewers": _counted(item.example.approved_by for item in rows),
        "prompts": sorted({item.prompt_id for item in rows if item.prompt_id is not None}),
        "context": {
            "supplied": sum(item.example.context is not None for item in rows),
            "unknown": sum(item.example.context is None for item in rows),
        },
        "privacy": privacy,
        "tokens": {counter.name: _tokens(rows, counter) for counter in counters},
        "rules": _judged(rows, found),
        "findings": [finding.kept() for finding in found],
        "tools": _versions(),
    }


def findings_of(
    rows: Sequence[Item], *, lacking: Mapping[tuple[str, str], int], prompts: Mapping[int, fitness.Prompt]
) -> list[Finding]:
    """What should be known about a version as a whole before it is trained on."""
    facets = [
        Facet(
            item.labels["topic"],
            item.labels["language"],
            item.example.kind,
            tokens=0,
            turns=len(item.conversation.messages),
        )
        for item in rows
    ]
    fits = (fitness.Fit(item.prompt_id, item.system, item.example.context is not None) for item in rows)
    quarantined = sum(item.side is Side.QUARANTINE for item in rows)
    return [
        *sides.findings(lacking, quarantined),
        *fitness.findings(fits, prompts),
        *repeated.findings(rows),
        *balance.findings(balance.measure(facets)),
    ]


def worth_telling(manifest: Mapping[str, Any]) -> list[Finding]:
    """What whoever has just frozen a version should read, beside ``absences``.

    These are warnings, and that the words are not those of the store.
    """
    found = [Finding.from_json(one) for one in manifest["findings"] if one["rule"] != "privacy.undecided"]
    return [finding for finding in found if finding.severity is not Severity.INFO or finding.rule == "privacy.redacted"]


def ties_of(manifest: Mapping[str, Any]) -> list[Tie]:
    """Why rows are in quarantine, as ``of_rows`` wrote it; nothing in manifests from before it did."""
    return [
        Tie(row["example"], tuple(row["train"]), tuple(row["validation"])) for row in manifest.get("quarantined", ())
    ]


def left_out(manifest: Mapping[str, Any]) -> list[Phrase]:
    """What is approved and not in a version, a sentence for each reason; the same in Slack."""
    return [_ABSENT[why](len(ids)) for why, ids in manifest.get("left_out", {}).items()]


def absences(name: str, manifest: Mapping[str, Any]) -> list[Phrase]:
    """What is approved and in none of the files of a new version."""
    between = manifest["sides"].get("quarantine", 0)
    tied = plural(
        "In no file: {count:,} example lies between the two sides. See: errata dataset show {name}",
        "In no file: {count:,} examples lie between the two sides. See: errata dataset show {name}",
        between,
        name=name,
    )
    return [*left_out(manifest), *([tied] if between else [])]


def as_json(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """As ``--json`` prints it: its findings in English only."""
    return {**manifest, "findings": [Finding.from_json(one).as_json() for one in manifest.get("findings", ())]}


def _judged(rows: Sequence[Item], found: Sequence[Finding]) -> dict[str, Any]:
    """The rules that every row passed, and how often each of the others spoke up."""
    broken = Counter(finding.rule for finding in found)
    for number, item in enumerate(rows, start=1):
        row = {"messages": item.conversation.as_json(), **item.conversation.toolbox()}
        broken.update(finding.rule for finding in profile.judge(row, number))
    of_rows = [rule for rule in rules.RULES if not rule.id.startswith(_OF_FILES)]
    every = [rule.id for rule in (*of_rows, *sides.RULES, *fitness.RULES, *repeated.RULES, *balance.RULES)]
    return {"passed": [rule for rule in every if rule not in broken], "found": dict(sorted(broken.items()))}


def _tokens(rows: Sequence[Item], counter: TokenCounter) -> dict[str, Any]:
    """Tokens of the rows that are trained on or validated with; upper bounds where they are estimated."""
    kept = [item for item in rows if item.side is not Side.QUARANTINE]
    counts = counter.count_all([item.conversation for item in kept], [item.example.language for item in kept])
    by_side: Counter[str] = Counter()
    for item, count in zip(kept, counts, strict=True):
        by_side[item.side.value] += count.upper
    return {
        "exact": counter.exact,
        "total": sum(count.upper for count in counts),
        "at_least": sum(count.lower for count in counts),
        **{side.value: by_side[side.value] for side in (Side.TRAIN, Side.VALIDATION)},
        **Lengths.of([count.upper for count in counts]).as_json(),
    }


def _cells(rows: Sequence[Item]) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = {}
    for (topic, language), count in sorted(Counter((item.topic, item.language) for item in rows).items()):
        table.setdefault(topic, {})[language] = count
    return table


def _versions() -> dict[str, str]:
    found = {}
    for name in _TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
