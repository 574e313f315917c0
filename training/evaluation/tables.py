"""The tables of an evaluation, for the terminal and for Markdown alike.

Owns which figures stand together and how a share is written. Reads reports of any version of Errata: what was not
measured has no table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from curation.terminal import excerpt
from training.evaluation.breakdown import WAYS, Group, Share, cases_of, groups, whole
from training.evaluation.measured import PROVIDER

_MODELS = (("candidate", "tuned"), ("baseline", "production"), ("base", "base"))
_SCORES = (("exact", "exact"), ("chrf", "chrF"), ("rouge_l", "ROUGE-L"), ("token_f1", "token F1"))
_MANNERS = ("replies", "stopped", "empty", "repetitive")


CELL = 160
"""Characters of a reply that a table quotes."""


class Table(NamedTuple):
    """Headings and rows of text; the first column names the row."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def tables(report: Mapping[str, Any]) -> list[Table]:
    """Every table that there is something for, in the order of reading."""
    made = (
        _broken(report),
        _labels(report),
        _fits(report),
        _counts(report),
        _groups(report),
        _scores(report),
        _manners(report),
    )
    return [table for table in made if table.rows]


def question(case: Mapping[str, Any]) -> str:
    """The last turn before the reply; empty where it was erased."""
    turns = case.get("messages")
    return str(turns[-1]["content"]) if turns else ""


def grouped(report: Mapping[str, Any]) -> list[Group]:
    """The cases by side, reason, topic and language, as far as they differ in these."""
    cases = cases_of(report)
    return [group for way in WAYS for group in groups(cases, way)]


def _broken(report: Mapping[str, Any]) -> Table:
    """What a person should read before anything else: golden cases that broke, replies with a new finding."""
    sets = report.get("sets") or {}
    rows = [
        ("golden", str(case["id"]), excerpt(case["before"], CELL), excerpt(case["after"], CELL), "")
        for case in (sets.get("golden") or {}).get("cases", ())
        if case.get("right_before") and not case.get("right_after")
    ]
    rows += [
        ("safety", str(case["id"]), excerpt(case["before"], CELL), excerpt(case["after"], CELL), ", ".join(new))
        for case in (sets.get("safety") or {}).get("cases", ())
        if (new := sorted({*case.get("after_findings", ())} - {*(case.get("before_findings") or ())}))
    ]
    return Table(("Read these", "Case", "Before", "After", "Findings"), rows)


def _labels(report: Mapping[str, Any]) -> Table:
    measured = report.get("labels") or {}
    named = (("candidate", "tuned"), ("yardstick", "plain classifier"), ("majority", "most frequent label"))
    rows = [
        (label, f"{one['accuracy']:.1%}", f"{one['macro_f1']:.2f}" if one.get("macro_f1") is not None else "")
        for name, label in named
        if (one := measured.get(name))
    ]
    return Table((f"Labels: {measured.get('label', '')}", "Accuracy", "Macro-F1"), rows)


def _fits(report: Mapping[str, Any]) -> Table:
    """A row for each model that was measured; production that is also the base is one row."""
    validation = dict(report.get("validation") or {})
    same = "baseline" in validation and validation["baseline"] == validation.get("base")
    if same:
        del validation["base"]
    rows = []
    for name, label in _MODELS:
        fit = validation.get(name)
        if fit is not None:
            shown = f"{label}, the base" if same and name == "baseline" else label
            other = "" if fit["comparable"] else " (other tokens, not comparable)"
            if fit.get("source") == PROVIDER:
                other = " (as its provider says)"
            accuracy = fit["token_accuracy"]
            rows.append((shown, f"{fit['perplexity']:,.2f}{other}", "" if accuracy is None else f"{accuracy:.1%}"))
    for key, label in (("unigram_perplexity", "counting tokens"), ("bigram_perplexity", "counting pairs of tokens")):
        if report.get(key) is not None:
            rows.append((label, f"{report[key]:,.2f}", ""))
    return Table(("Validation", "Perplexity", "Token accuracy"), rows)


def _counts(report: Mapping[str, Any]) -> Table:
    """Fixed and kept, those that were held out from training apart."""
    rows = [
        (label, f"{one['fixed']} of {one['corrections']}", f"{one['kept']} of {one['endorsements']}")
        for label, key in (("all", "scores"), ("held out", "held_out"))
        if report.get("cases") and (one := report.get(key))
    ]
    return Table(("Cases", "Fixed", "Kept"), rows)


def _groups(report: Mapping[str, Any]) -> Table:
    found = [whole(cases_of(report)), *grouped(report)] if report.get("cases") else []
    paired = bool(found) and found[0].won_after.all > 0
    if not paired and len(found) == 1:  # said in the table above
        return Table((), [])
    preferred = ("Preferred before", "Preferred after") if paired else ()
    headings = ("By", "Group", "Fixed", "Kept of those right before", *preferred)
    rows = []
    for group in found:
        shares: Sequence[Share] = (group.fixed, group.kept, *((group.won_before, group.won_after) if paired else ()))
        rows.append((group.way if group is not found[0] else "", group.name, *map(_share, shares)))
    return Table(headings, rows)


def _share(share: Share) -> str:
    low, high = share.interval
    return f"{share.some:,} of {share.all:,} ({low:.0%} to {high:.0%})" if share.all else "–"


def _scores(report: Mapping[str, Any]) -> Table:
    """How like the replies are to the wanted ones, of both models."""
    measured = report.get("replies") or {}
    rows = [
        (label, *(f"{one[name]:.3f}" for name, _ in _SCORES))
        for name, label in (("before", "before"), ("candidate", "after"))
        if (one := measured.get(name))
    ]
    return Table(("Replies, mean", *(label for _, label in _SCORES)), rows)


def _manners(report: Mapping[str, Any]) -> Table:
    measured = report.get("sanity") or {}
    rows = [
        (
            label,
            *("" if (count := one.get(part, 0)) is None else f"{count:,}" for part in _MANNERS),
            f"{one['mean_tokens']:.1f}" if one.get("mean_tokens") is not None else "",
        )
        for name, label in (("before", "before"), ("candidate", "after"))
        if (one := measured.get(name)) and one["replies"]
    ]
    return Table(("Manners", "Replies", "Stopped", "Empty", "Repetitive", "Mean tokens"), rows)
