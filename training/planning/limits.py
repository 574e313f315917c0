"""Limits: why a service would refuse a dataset, a model or a recipe, as far as that is known before anybody asks it.

Owns what is found in the database, so that nobody confirms a run that is refused a minute later. What only the provider
or the written files can say, such as an account's models, is found by its backend's preflight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import String, cast, func
from sqlmodel import Session, col, select

from curation.datasets import dataset
from curation.datasets.split import Side
from curation.findings import Finding, Severity, blocking
from curation.formats.exports import MINIMUM_ROWS
from curation.formats.format import AZURE_LIMIT_BYTES
from curation.store.tables import DatasetRow, DatasetVersion, Example, SystemPrompt
from curation.wording import Phrase, phrase, plural
from training.backends.foundry.account import methods
from training.backends.foundry.managed import hyperparameters
from training.backends.names import BackendName
from training.hyperparameters import Recipe
from training.planning import regions

_BYTES_OF_A_CHARACTER = 4
_BYTES_AROUND = 1_000
"""Of a row's line, beside what is said in it: the roles, the labels, the quotation marks."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What one side holds: rows, those of them with a rejected reply, and at most so many bytes."""

    rows: int = 0
    pairs: int = 0
    most_bytes: int = 0


def findings(
    session: Session,
    version: DatasetVersion,
    recipe: Recipe,
    backend: BackendName,
    *,
    model: str | None,
    today: date | None = None,
    counts: bool = False,
) -> list[Finding]:
    """What the service would refuse; none of a backend that takes whatever the trainer takes.

    Args:
        model: the provider's own that it starts from; None for one that was tuned there.
        today: the day on which a model may have been retired; None looks at no days.
        counts: whether there is time to measure a dataset that may be too large.
    """
    if backend not in {BackendName.FOUNDRY, BackendName.OPENAI}:
        return []
    of_recipe = hyperparameters.findings if backend is BackendName.FOUNDRY else methods.findings
    found = blocking(of_recipe(recipe))
    held = _held(session, version)
    found += _of_rows(held, pairs=backend is BackendName.OPENAI and recipe.preference is not None)
    found += _of_size(session, version, held, counts=counts)
    if backend is BackendName.FOUNDRY and model is not None and today is not None:
        why = regions.retired(model, on=today)
        found += [] if why is None else [_error("foundry.retired", why, phrase("See errata models --search phi."))]
    return found


def _of_rows(held: Mapping[Side, _Held], *, pairs: bool) -> Iterator[Finding]:
    """In the words of the backends' own looks at the files."""
    train, validation = held[Side.TRAIN], held[Side.VALIDATION]
    if train.rows < MINIMUM_ROWS:
        told = plural(
            "The dataset has {count} row to train on; the service takes {least} or more.",
            "The dataset has {count} rows to train on; the service takes {least} or more.",
            train.rows,
            least=MINIMUM_ROWS,
        )
        yield _error("foundry.few", told, phrase("Approve more examples and freeze again."))
    if not pairs:
        return
    more = phrase("Approve more corrections of flagged replies and freeze again.")
    if train.pairs < MINIMUM_ROWS:
        told = plural(
            "The training side has {count} pair of replies; {least} are the least.",
            "The training side has {count} pairs of replies; {least} are the least.",
            train.pairs,
            least=MINIMUM_ROWS,
        )
        yield _error("openai.few", told, more)
    if not validation.pairs:
        yield _error("openai.validation", phrase("The validation side has no pair of replies."), more)


def _of_size(
    session: Session, version: DatasetVersion, held: Mapping[Side, _Held], *, counts: bool
) -> Iterator[Finding]:
    """Nobody measures what cannot be too large."""
    doubtful = [side for side, one in held.items() if one.most_bytes >= AZURE_LIMIT_BYTES]
    if not doubtful:
        return
    if not counts:
        yield Finding(
            "foundry.size",
            Severity.WARNING,
            phrase(
                "The dataset may be larger than the {most:,.0f} MB of a side that the service takes.",
                most=AZURE_LIMIT_BYTES / 1e6,
            ),
            phrase("Measure it first: errata estimate does."),
        )
        return
    sizes = dict.fromkeys(held, 0)
    for item in dataset.items(session, version):
        if item.side in sizes:
            sizes[item.side] += len(item.line())
    for side, size in sizes.items():
        if size >= AZURE_LIMIT_BYTES:
            told = {"file": f"{side.value}.jsonl", "size": size / 1e6, "most": AZURE_LIMIT_BYTES / 1e6}
            text = phrase("{file} has {size:,.0f} MB; the service takes less than {most:,.0f} MB.", **told)
            yield _error("foundry.size", text, phrase("Freeze a smaller dataset."))


def _held(session: Session, version: DatasetVersion) -> dict[Side, _Held]:
    """By one look at the rows that are there; their words stay where they are."""
    said = [cast(Example.messages, String), cast(Example.context, String), col(SystemPrompt.text)]
    characters = sum((func.coalesce(func.length(text), 0) for text in said[1:]), func.length(said[0]))
    rows = session.exec(
        select(DatasetRow.side, func.count(), func.count(col(Example.rejected)), func.sum(characters))
        .join(Example, col(Example.id) == col(DatasetRow.example_id))
        .join(SystemPrompt, col(SystemPrompt.id) == col(DatasetRow.prompt_id), isouter=True)
        .where(DatasetRow.dataset_id == version.key, col(Example.erased_at).is_(None))
        .group_by(DatasetRow.side)
    )
    found = {
        Side(side): _Held(count, pairs, _BYTES_OF_A_CHARACTER * int(length or 0) + _BYTES_AROUND * count)
        for side, count, pairs, length in rows
    }
    return {side: found.get(side, _Held()) for side in (Side.TRAIN, Side.VALIDATION)}


def _error(rule: str, message: Phrase, fix: Phrase) -> Finding:
    return Finding(rule, Severity.ERROR, message, fix)
