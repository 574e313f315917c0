"""What somebody reads before a run is started: what it trains on, how much of it, and what it will cost.

Owns the figures and what stands in the way. Refuses to guess: what nobody has measured here is None, and is said to
be unknown. Pure reading; the asking itself is ``training.planning.confirmations``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from statistics import median
from typing import Any

from sqlmodel import Session, col, select

from curation.candidates import CandidateKind
from curation.checking import windows
from curation.datasets import dataset
from curation.findings import Finding, Severity, blocking
from curation.store.tables import DatasetVersion
from curation.wording import phrase
from training import catalogue, orders, runs
from training.backends.base import CurvePoint
from training.backends.foundry.place import AzurePlace
from training.backends.names import PAID, BackendName
from training.catalogue import BaseModel
from training.hyperparameters import Service
from training.orders import Order
from training.planning import limits, prices
from training.planning.costs import Cost, Work, estimate
from training.planning.prices import PriceTable
from training.runs import RunStatus
from training.store.tables import Run

LOOKED_AT = 5_000
"""Rows up to which a dataset is looked at anew, in under a second; of a larger one counts what its freezing said."""

REMEMBERED_RUNS = 20

_COUNTERS = {"gpt-4o": "o200k", "gpt-4.1": "o200k", "gpt-5": "o200k", "gpt-oss": "o200k", "o1": "o200k", "o3": "o200k"}
_COUNTERS |= {"o4": "o200k", "gpt-4": "cl100k", "gpt-35": "cl100k", "gpt-3.5": "cl100k"}
"""Whose tokenizer a service's own model has, by how its name begins; the first that fits."""


_NOWHERE = AzurePlace()


@dataclass(frozen=True, slots=True)
class Plan:
    """A run as it would be started now.

    Attributes:
        dataset: its name; ``digest`` tells one version from another.
        base: what the training starts from; None for a rehearsal's own model.
        tokens: of the training side, once through; an upper bound where they are estimated, None where nobody counted.
        seconds: how long it takes, by the pace of earlier runs from the same base; None where there is none.
        paid: whether somebody sends a bill for it.
        cost: what that will come to, as far as anybody knows; None where nobody sends one.
        region: where the rows go, as far as the settings say; ``global`` for any of the provider's, None where they do
            not say or the rows stay here.
        findings: what should be known first; those of severity error stand in the way.
    """

    dataset: str
    digest: str
    train: int
    validation: int
    model: str
    base: str | None
    recipe: str
    epochs: int
    backend: str
    tokens: int | None
    seconds: float | None
    paid: bool
    findings: tuple[Finding, ...]
    cost: Cost | None = None
    region: str | None = None

    @property
    def in_the_way(self) -> list[Finding]:
        """The findings that have to be mended first."""
        return blocking(self.findings)

    def as_json(self) -> dict[str, Any]:
        """What was shown, to be compared with what would be shown later; without the estimate of the time."""
        return {
            "dataset": self.dataset,
            "digest": self.digest,
            "train": self.train,
            "validation": self.validation,
            "model": self.model,
            "base": self.base,
            "recipe": self.recipe,
            "epochs": self.epochs,
            "backend": self.backend,
            "region": self.region,
            "tokens": self.tokens,
            "dollars": round(self.cost.dollars, 2) if self.cost is not None and self.cost.dollars is not None else None,
            "findings": [[finding.rule, str(finding.message)] for finding in self.findings],
        }


def of_order(
    session: Session,
    order: Order,
    *,
    model: str,
    backend: BackendName = BackendName.LOCAL,
    place: AzurePlace = _NOWHERE,
    table: PriceTable = prices.SHIPPED,
    today: date | None = None,
    counts: bool = False,
) -> Plan:
    """The plan of what was ordered as ``model``.

    Args:
        today, counts: as for ``limits.findings``.
    """
    version, recipe = order.version, order.recipe
    gone = len(dataset.erased(session, version))
    counted = counted_as(version, _model_of(session, order, model))
    tokens = int(counted["train"]) if counted is not None else None
    base = order.base_run or order.base
    return Plan(
        dataset=version.name,
        digest=version.digest,
        train=int(version.manifest["sides"]["train"]) - gone,
        validation=int(version.manifest["sides"]["validation"]),
        model=model,
        base=base,
        recipe=recipe.name,
        epochs=recipe.epochs,
        backend=backend.value,
        tokens=tokens,
        seconds=_seconds(session, order, backend, tokens),
        paid=backend in PAID,
        findings=(
            *limits.findings(session, version, recipe, backend, model=order.base, today=today, counts=counts),
            *_findings(session, version, model, counted),
        ),
        cost=cost_of(session, order, model=model, backend=backend, place=place, table=table),
        region=orders.region_of(place, backend, order.recipe) if backend in PAID else None,
    )


def cost_of(
    session: Session,
    order: Order,
    *,
    model: str,
    backend: BackendName,
    place: AzurePlace = _NOWHERE,
    table: PriceTable = prices.SHIPPED,
) -> Cost | None:
    """What a run of this order will cost; None where nobody sends a bill."""
    if backend not in PAID:
        return None
    named = _model_of(session, order, model)
    counted = counted_as(order.version, named)
    tokens = int(counted["train"]) if counted is not None else None
    work = Work(
        backend=backend,
        model=named,
        tokens=tokens,
        exact=counted is not None and bool(counted["exact"]),
        epochs=order.recipe.epochs,
        seconds=_seconds(session, order, backend, tokens),
        corrections=order.version.manifest.get("kinds", {}).get(CandidateKind.CORRECTION.value),
        tier=(order.recipe.service or Service()).training_type if backend is BackendName.OPENAI else None,
        machine=place.instance,
        machines=place.nodes,
    )
    return estimate(work, table)


def _model_of(session: Session, order: Order, model: str) -> str:
    """What the provider calls it; of production, what the first of its line started from."""
    while order.base_run is not None and model == orders.PRODUCTION:
        parent = runs.find(session, order.base_run)
        if parent.base_run_id is None or parent.model != orders.PRODUCTION:
            return parent.model
        order = replace(order, base_run=parent.base_run_id)
    return model


def in_the_way(session: Session, order: Order, model: str) -> list[Finding]:
    """What of an order's dataset has to be mended before it is sent to anybody."""
    counted = counted_as(order.version, _model_of(session, order, model))
    return blocking(_findings(session, order.version, model, counted))


def look(session: Session, version: DatasetVersion) -> list[Finding]:
    """What is to be known about a dataset, in a moment; of a large one, what its freezing said."""
    if int(version.manifest["rows"]) <= LOOKED_AT:
        return dataset.findings(session, version)
    return [Finding.from_json(one) for one in version.manifest.get("findings", ())]


def _findings(
    session: Session, version: DatasetVersion, model: str, counted: Mapping[str, Any] | None
) -> list[Finding]:
    """What weighs most comes first; what is only of interest is for ``errata check``."""
    found = look(session, version)
    known = _known(model)
    if counted is not None and known is not None and int(counted["max"]) > known.window:
        found = [*found, _too_long(known, int(counted["max"]), exact=bool(counted["exact"]))]
    weighty = [finding for finding in found if finding.severity is not Severity.INFO]
    return sorted(weighty, key=lambda finding: (finding.severity is not Severity.ERROR, finding.rule))


def _too_long(model: BaseModel, longest: int, *, exact: bool) -> Finding:
    over, maybe_over, _ = windows.RULES
    told = {"tokens": longest, "model": model.name, "window": model.window}
    if exact:
        return over.found(phrase("The longest dialogue has {tokens:,} tokens; {model} takes {window:,}.", **told))
    return maybe_over.found(
        phrase("The longest dialogue may have up to {tokens:,} tokens; {model} takes {window:,}.", **told)
    )


def _known(model: str) -> BaseModel | None:
    return catalogue.known(model)


def counted_as(version: DatasetVersion, model: str) -> Mapping[str, Any] | None:
    """What the manifest counted with the tokenizer of the model of this name; None where nobody knows that one.

    ``{"exact", "total", "train", "max", ...}``
    """
    known = _known(model)
    if known is not None:
        return counted_for(version, known)
    by_name = next((counter for start, counter in _COUNTERS.items() if model.lower().startswith(start)), None)
    return _counted_with(version, by_name) if by_name is not None else None


def counted_for(version: DatasetVersion, known: BaseModel) -> Mapping[str, Any] | None:
    """What the manifest counted with the tokenizer of a model: ``{"exact", "total", "train", "max", ...}``."""
    return _counted_with(version, known.tokenizer)


def _counted_with(version: DatasetVersion, tokenizer: str) -> Mapping[str, Any] | None:
    for counter, counted in version.manifest.get("tokens", {}).items():
        if counter.startswith(tokenizer):
            return dict(counted)
    return None


def _seconds(session: Session, order: Order, backend: BackendName, tokens: int | None) -> float | None:
    """By the middle one of the paces of earlier runs that started from the same base."""
    pace = measured_pace(session, order.base, backend)
    return tokens * order.recipe.epochs / pace if tokens is not None and pace is not None else None


def measured_pace(session: Session, base: str | None, backend: BackendName) -> float | None:
    """Tokens a second, the middle one of earlier runs that started from this base; None where there was none."""
    like = select(Run).where(
        Run.status == RunStatus.COMPLETED.value, Run.backend == backend.value, col(Run.base) == base
    )
    paces = [
        point.tokens_per_second
        for run in session.exec(like.order_by(col(Run.requested_at).desc()).limit(REMEMBERED_RUNS))
        for point in (CurvePoint(*kept) for kept in run.progress.get("curve", ())[-1:])
        if point.tokens_per_second > 0
    ]
    return median(paces) if paces else None
