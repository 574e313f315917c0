"""Model cards of runs: their facts from the database, and the cards beside the models.

Owns where a card's facts come from and where cards lie. What a card says is ``training.model_card``'s.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlmodel import Session

from curation.errors import Conflict, ErrataError
from curation.formats.exports import write_atomically
from training import runs
from training.backends.base import Artefact
from training.backends.local import folder
from training.catalogue import CATALOGUE
from training.model_card import Facts, Part, card
from training.runs import RunStatus
from training.store.tables import Run
from training.summaries import of_run
from training.workplace import Workplace

FILE = "README.md"
"""Where everybody looks for a card, and where peft leaves a stub."""

log = logging.getLogger("errata.cards")


def facts_of(session: Session, run: Run, trained: Mapping[str, Any]) -> Facts:
    """What the run's card is made of.

    Args:
        trained: what the training said of its end; empty where that is gone.

    Raises:
        Conflict: it has no model that could be described.
    """
    if RunStatus(run.status) not in {RunStatus.COMPLETED, RunStatus.EVALUATING}:
        raise Conflict("{run} is {status}; it has no model to describe.", run=run.id, status=run.status)
    base, hub_id, origin = _base(session, run)
    version = runs.dataset_of(session, run)
    licences = {model.hub_id: model.licence for model in CATALOGUE if model.hub_id is not None}
    return Facts(
        run=of_run(session, run),
        recipe=runs.recipe_of(run),
        base=base,
        hub_id=hub_id,
        origin=origin,
        licence=licences.get(origin) if origin is not None else None,
        digest=version.digest,
        manifest=version.manifest,
        trained=trained,
    )


def write_cards(place: Workplace, run_id: str) -> None:
    """Put the run's cards beside its model and its adapter. A card that cannot be written is told to the log alone."""
    try:
        with place.store.read() as session:
            run = runs.find(session, run_id)
            facts = facts_of(session, run, trained_of(place.home, run))
        artefact = place.backend(run).fetch(place.job(run))
        if artefact.model is None:
            return  # its provider keeps it, with a card of its own
        for part, directory in _folders(artefact).items():
            if directory.is_dir():
                write_atomically(directory / FILE, [card(facts, part).encode()])
    except (ErrataError, OSError) as error:
        log.warning("a model card could not be written: run=%s error=%s", run_id, type(error).__name__)


def trained_of(home: Path, run: Run) -> dict[str, Any]:
    """What the training of a run on this machine said of its end; empty where that is gone, or was elsewhere."""
    try:
        return folder.read_json(home / "runs" / run.id / "job" / folder.RESULT) or {}
    except (OSError, json.JSONDecodeError):
        return {}


def _folders(artefact: Artefact) -> dict[Part, Path]:
    beside = {Part.ADAPTER: artefact.adapter} if artefact.adapter is not None else {}
    return {Part.MODEL: artefact.weights, **beside}


def _base(session: Session, run: Run) -> tuple[str, str | None, str | None]:
    """What it started from, in words without a path; its hub id, and the one that it all began with."""
    if run.base_run_id is not None:
        *_, origin = _base(session, runs.find(session, run.base_run_id))
        return f"the model of {run.base_run_id}", None, origin
    if run.base is None:
        return "a rehearsal's tiny random model", None, None
    known = any(model.hub_id == run.base for model in CATALOGUE)
    # Two words with a slash are a hub id, unless this machine has a folder of that name.
    if known or (run.base.count("/") == 1 and not Path(run.base).is_absolute() and not Path(run.base).exists()):
        return run.base, run.base, run.base
    return f"the checkpoint {Path(run.base).name}", None, None
