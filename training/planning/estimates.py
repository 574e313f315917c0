"""Estimates: what a run would take and whether it should be made, for a model, a dataset and a machine.

Owns how the figures are gathered and the five questions that they answer: which models, what it costs, how far it can
be customised, how convenient it is, what protects from harm. Pure reading: nothing is trained, downloaded or written.
What is measured goes before what is assumed, and what is neither is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlmodel import Session

from curation.candidates import CandidateKind, Reason
from curation.datasets import dataset
from curation.datasets.dataset import Item
from curation.datasets.split import Side
from curation.errors import Conflict, NotFound
from curation.findings import Finding, Severity
from curation.measures.balance import ENDORSEMENT_SHARE
from curation.store.tables import DatasetVersion
from training import orders
from training.backends.foundry.place import NOWHERE, AzurePlace
from training.backends.local import fit, folder
from training.backends.local.devices import Gpu, Machine
from training.backends.names import SERVICES, BackendName
from training.hyperparameters import Recipe
from training.orders import Order
from training.particulars import reasons_of
from training.planning import limits, memory, pace, plans, prices, subjects
from training.planning.costs import Cost
from training.planning.counsel import Counsel, Grounds, counsel
from training.planning.fitting import Fit, Room
from training.planning.memory import Rows
from training.planning.prices import PriceTable
from training.planning.subjects import Subject
from training.recipe import load_recipe

_FACTS = frozenset({Reason.WRONG_FACT.value, Reason.CHANGING_FACT.value})


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is known of a run before it is asked for.

    Attributes:
        version: the dataset.
        subject: what the run would start from.
        recipe: how.
        rows: what it would train on.
        exact: whether the tokens were counted; None where they were guessed from bytes.
        counsel: whether to tune at all.
        grounds: what that rests on.
        findings: what should be known first, about the dataset and the machine.
        machine: where it would be trained.
        room: the memory there; None where that is not known.
        fit: whether it has room; None where the model's shape or the room is not known.
        seconds: how long all epochs take; None where nobody knows.
        basis: what that is known from.
        backend: where it would be trained; ``machine``, ``room`` and ``fit`` are about this machine all the same.
        cost: what that costs; None where nobody sends a bill.
    """

    version: DatasetVersion
    subject: Subject
    recipe: Recipe
    rows: Rows
    exact: bool | None
    counsel: Counsel
    grounds: Grounds
    findings: tuple[Finding, ...]
    machine: Machine
    room: Room | None
    fit: Fit | None
    seconds: float | None
    basis: str
    backend: BackendName = BackendName.LOCAL
    cost: Cost | None = None

    @property
    def tokens(self) -> int:
        """Of the training side, in all epochs together."""
        return self.rows.tokens * self.recipe.epochs

    def as_json(self) -> dict[str, Any]:
        """The figures; the sentences are ``training.commands.estimating``'s."""
        shape = self.subject.shape
        return {
            "dataset": self.version.name,
            "digest": self.version.digest,
            "model": self.subject.name,
            "recipe": self.recipe.name,
            "counsel": {"cure": self.counsel.cure.value, "reason": self.counsel.reason},
            "train": self.grounds.train,
            "validation": self.grounds.validation,
            "corrections": self.grounds.corrections,
            "tokens": {
                "train": self.rows.tokens,
                "all_epochs": self.tokens,
                "longest": self.rows.longest,
                "learned_share": round(self.rows.supervised, 3),
                "counted": {True: "exact", False: "upper bound", None: "guessed from bytes"}[self.exact],
            },
            "shape": shape.as_json() if shape is not None else None,
            "trained_weights": memory.trained_weights(shape, self.recipe) if shape is not None else None,
            "memory": self.fit.needed.as_json() if self.fit is not None else None,
            "fits": self.fit.fits if self.fit is not None else None,
            "change": self.fit.change if self.fit is not None else None,
            "disk_bytes": fit.disk_bytes(shape, self.recipe) if shape is not None else None,
            "seconds": self.seconds,
            "time_by": self.basis,
            "backend": self.backend.value,
            "cost": self.cost.as_json() if self.cost is not None else None,
            "machine": self.machine.as_json(),
            "findings": [finding.as_json() for finding in self.findings],
        }


def of(
    session: Session,
    *,
    dataset_name: str,
    model: str,
    recipe: str | None,
    home: Path,
    machine: Machine,
    backend: BackendName = BackendName.LOCAL,
    place: AzurePlace = NOWHERE,
    table: PriceTable = prices.SHIPPED,
    production_model: str | None = None,
    endorsement_share: float = ENDORSEMENT_SHARE,
    today: date | None = None,
) -> Estimate:
    """The estimate for what ``errata train`` would be asked with the same names.

    Args:
        home: where the models of earlier runs lie.
        machine: where it would be trained, unless the backend is another.
        place: how many machines of which kind the cloud has.
        today: the day on which a model may have been retired; None looks at no days.

    Raises:
        NotFound, Invalid, Conflict: no such dataset, model or recipe; ``production`` where no model is live.
    """
    version = dataset.find(session, dataset_name)
    chosen = load_recipe(recipe or orders.default_recipe(session, model, backend))
    here = backend is BackendName.LOCAL
    subject, base, base_run = _started_from(session, model, chosen, backend, home, production_model)
    items = dataset.items(session, version)
    rows, exact = _rows(version, items, subject)
    lacking = fit.of_machine(subject, chosen, rows, machine) if here else []
    order = Order(version, base, base_run, chosen)
    refused = limits.findings(session, version, chosen, backend, model=base, today=today, counts=True)
    found = [*lacking, *refused, *plans.look(session, version)]
    grounds = _grounds(session, version, items, found, endorsement_share)
    room = fit.room_of(chosen, machine) if here else None
    seconds, basis = (
        _time(session, base, subject, chosen, rows, machine) if here else _pace(session, base, rows, chosen, backend)
    )
    return Estimate(
        version=version,
        subject=subject,
        recipe=chosen,
        rows=rows,
        exact=exact,
        counsel=counsel(grounds, chosen.objective),
        grounds=grounds,
        findings=tuple(one for one in found if one.severity is not Severity.INFO),
        machine=machine,
        room=room,
        fit=fit.fit_of(subject, chosen, rows, room) if room is not None else None,
        seconds=seconds,
        basis=basis,
        backend=backend,
        cost=plans.cost_of(session, order, model=model, backend=backend, place=place, table=table),
    )


def _started_from(
    session: Session, model: str, recipe: Recipe, backend: BackendName, home: Path, production_model: str | None
) -> tuple[Subject, str | None, str | None]:
    """What the run would start from, and what its row would call that: a base, or another run."""
    if backend not in SERVICES:
        return *subject_of(session, model, recipe, home=home, production_model=production_model), None
    base, base_run = orders.base_of(session, model, production_model, backend=backend)
    return subjects.named(base or model), base, base_run


def _pace(
    session: Session, base: str | None, rows: Rows, recipe: Recipe, backend: BackendName
) -> tuple[float | None, str]:
    """Seconds at a provider's, by earlier runs there; of its machines nobody knows anything else."""
    measured = plans.measured_pace(session, base, backend)
    if measured is None:
        return None, "no run from this model has ended there yet"
    return rows.tokens * recipe.epochs / measured, f"as fast as earlier runs: {measured:,.0f} tokens/s"


def subject_of(
    session: Session, model: str, recipe: Recipe, *, home: Path, production_model: str | None
) -> tuple[Subject, str | None]:
    """What a run of this name would start from, and what its row would call it.

    Raises:
        NotFound, Conflict: no such model; ``production`` where no model is live.
    """
    if model == orders.REHEARSAL:
        if recipe.rehearsal is None:
            raise Conflict(
                "The recipe {recipe} has no [rehearsal] table; take the recipe rehearsal.", recipe=recipe.name
            )
        return subjects.rehearsed(recipe.rehearsal, recipe.max_length), None
    base, base_run = orders.base_of(session, model, production_model)
    if base_run is not None:
        return subjects.named(str(home / "runs" / base_run / "job" / folder.MODEL)), None
    return subjects.named(str(base)), base


def assumed(gpu: str) -> Machine:
    """A machine with this GPU, of which nobody uses anything.

    Args:
        gpu: words of its name that a data sheet is known for, or the gigabytes of its memory.

    Raises:
        NotFound: neither; the sentence lists the known ones.
    """
    by_name = {name.lower(): name for name in pace.DATA_SHEETS}
    wanted = gpu.strip().lower()
    if wanted in by_name:
        name = by_name[wanted]
        size = pace.DATA_SHEETS[name].gigabytes
    elif wanted.removesuffix("gb").strip().isdigit():
        size = int(wanted.removesuffix("gb"))
        name = f"a GPU with {size} GB"
    else:
        raise NotFound(
            "There is no data sheet of a GPU {gpu!r} here; give {known}, or the gigabytes of its memory.",
            gpu=gpu,
            known=list(pace.DATA_SHEETS),
        )
    memory_bytes = size * 10**9
    return Machine((Gpu(name, memory_bytes, memory_bytes),), memory=None, cores=1)


def _rows(version: DatasetVersion, items: Sequence[Item], subject: Subject) -> tuple[Rows, bool | None]:
    """What is trained on: by the manifest's count for the model's tokenizer, where there is one, else guessed."""
    learned = [item.conversation for item in items if item.side is Side.TRAIN]
    guessed = memory.guessed_rows(learned)
    counted = plans.counted_as(version, subject.listed.name if subject.listed is not None else subject.name)
    if counted is None:
        return guessed, None
    return Rows(int(counted["train"]), int(counted["max"]), guessed.count, guessed.supervised), bool(counted["exact"])


def _grounds(
    session: Session, version: DatasetVersion, items: Sequence[Item], found: Sequence[Finding], endorsement_share: float
) -> Grounds:
    kept = [item for item in items if item.side is not Side.QUARANTINE]
    corrections = [item for item in kept if item.example.kind == CandidateKind.CORRECTION.value]
    reasons = reasons_of(session, corrections)
    given = [reasons.get(item.example.key) for item in corrections]
    return Grounds(
        train=sum(item.side is Side.TRAIN for item in kept),
        validation=sum(item.side is Side.VALIDATION for item in kept),
        corrections=len(corrections),
        pairs=sum(item.rejected is not None for item in corrections),
        facts=sum(reason in _FACTS for reason in given),
        changing=sum(reason == Reason.CHANGING_FACT.value for reason in given),
        left_out=len(version.manifest.get("left_out", {}).get("changing_fact", ())),
        findings=found,
        endorsement_share=endorsement_share,
    )


def _time(
    session: Session, base: str | None, subject: Subject, recipe: Recipe, rows: Rows, machine: Machine
) -> tuple[float | None, str]:
    """Seconds, and what they are known from: earlier runs, else a data sheet, else nothing."""
    measured = plans.measured_pace(session, base, BackendName.LOCAL)
    if measured is not None:
        return rows.tokens * recipe.epochs / measured, f"as fast as earlier runs: {measured:,.0f} tokens/s"
    if subject.shape is None:
        return None, "nobody knows the size of the model yet"
    if not machine.gpus:
        by = pace.of_cores(machine.cores)
    else:
        used = machine.gpus[: recipe.processes or len(machine.gpus)]
        known = pace.of_gpu(used[0].name, len(used))
        if known is None:
            return None, f"no data sheet of {used[0].name} is known here: rehearse, and look at the first run"
        by = known
    return pace.seconds(subject.shape, recipe, rows, by), by.basis
