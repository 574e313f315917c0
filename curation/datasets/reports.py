"""Datasets and their differences as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from curation.language import name_of
from curation.terminal import excerpt

if TYPE_CHECKING:
    from curation.datasets.comparison import Difference
    from curation.terminal import Terminal

_CELL = 60
_SHOWN = 10


def show_dataset(terminal: Terminal, manifest: Mapping[str, Any], reviewers: Mapping[str, int]) -> None:
    """A manifest's figures; what older manifests do not say is passed over.

    Args:
        reviewers: how many rows each person has approved, by name.
    """
    cells: Mapping[str, Mapping[str, int]] = manifest.get("cells", {})
    languages = sorted({language for row in cells.values() for language in row})
    if cells:
        terminal.table(
            ["Topic", *(name_of(language) for language in languages)],
            [[topic, *(row.get(language, 0) or "·" for language in languages)] for topic, row in cells.items()],
        )
        terminal.say()
    facts = [("kinds", _listed(manifest["kinds"]))]
    # Among the kinds, "imported" counts rows of a file however they were approved; this one, those nobody reviewed.
    counted = (("attested", "imported"), ("self approved", "self_approved"), ("authors", "authors"))
    facts += [(label, f"{manifest[key]:,}") for label, key in counted]
    if reviewers:
        facts.append(("approved by", ", ".join(f"{name} {count:,}" for name, count in reviewers.items())))
    if "context" in manifest:
        facts.append(("context", _listed(manifest["context"])))
    for counter, tokens in manifest.get("tokens", {}).items():
        about = "" if tokens["exact"] else "at most "
        facts.append(
            (f"tokens, {counter}", f"{about}{tokens['total']:,}; median {tokens['p50']:,}, longest {tokens['max']:,}")
        )
    if "rules" in manifest:
        facts.append(("rules passed", f"{len(manifest['rules']['passed']):,}"))
    if "tools" in manifest:
        facts.append(("made with", ", ".join(f"{name} {version}" for name, version in manifest["tools"].items())))
    terminal.table(["", ""], [*facts, ("digest", manifest["digest"])])


def show_difference(terminal: Terminal, before: str, after: str, difference: Difference) -> None:
    """What came, went and changed between two datasets."""
    counts = (
        (len(difference.added), "added"),
        (len(difference.removed), "removed"),
        (len(difference.replies), "with another reply"),
        (len(difference.prompts), "under another prompt"),
        (len(difference.words), "with words treated otherwise"),
        (len(difference.unchanged), "unchanged"),
    )
    differ = ", ".join(f"{count:,} {what}" for count, what in counts if count) or "neither has a row that is left"
    terminal.say(f"From {before} to {after}: {differ}.")
    terminal.say(
        f"{len(difference.moved):,} rows have changed their side: a dataset was altered by hand. Restore a backup."
        if difference.moved
        else "No row has changed its side."
    )
    if difference.cells:
        terminal.table(
            ["Topic", "Language", before, after],
            [(topic, name_of(language), was, now) for (topic, language), (was, now) in difference.cells.items()],
        )
    for old, new in difference.replies[:_SHOWN]:
        terminal.say(f"{excerpt(new.conversation.first_user_text(), _CELL)}")
        terminal.say(f"- {excerpt(old.reply, _CELL)}")
        terminal.say(f"+ {excerpt(new.reply, _CELL)}")
    for old, new in difference.moved:
        terminal.say(f"example {new.example.key}: {old.side.value} → {new.side.value}")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
