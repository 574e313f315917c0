"""What people see of a run: one flat, frozen view for Slack, terminal and JSON alike."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from sqlmodel import Session, select

from curation import people
from curation.wording import Phrase, phrase, unpacked
from training import bills, deployments, filters, runs
from training.backends.base import CurvePoint
from training.backends.names import SERVICES
from training.deployments import DeploymentStatus
from training.evaluation.evaluations import Verdict
from training.planning import prices, settling
from training.planning.prices import PriceTable
from training.store.tables import Deployment, Evaluation, Run

_PAGE = re.compile(r"https://(?:[a-z0-9-]+\.)*azure\.com/[^\s<>|`\"\\^]{0,2000}")
"""Azure's portals (ai.azure.com, ml.azure.com), with nothing in it that Slack or a terminal would read as markup."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run with its progress, evaluation and deployment.

    Attributes:
        curve: the loss curve so far, oldest first.
        report: the evaluation's report, once there is one.
        verdict: the value of a ``training.evaluation.evaluations.Verdict``, once there is one.
        notes: what people should know of the data and of the job, in sentences.
        cost: estimated and actual, as ``training.planning.settling`` keeps it; None where nobody sends a bill.
        link: where the provider shows the job; None where there is no such page, or it is not a provider's.
        hosted: whether its model answers at a provider's endpoint, once it is deployed.
        hourly: US dollars an hour of that; None where it is unknown, or on this machine.
        filtered: whether the provider's filter of harmful words stands before it; None where there is none.
        fleeting: whether the provider takes its endpoint down by itself after a day, and asks nothing for its hours.
        unfit: whether what it is made of was refused before anything was sent, so that another run has to be made.
    """

    id: str
    status: str
    reason: str | None
    dataset: str
    backend: str
    model: str
    recipe: str
    requested_by: str
    requested_at: str
    started_at: str | None
    ended_at: str | None
    step: int
    steps: int
    eta_seconds: float | None
    notes: tuple[str, ...]
    curve: tuple[CurvePoint, ...]
    verdict: str | None
    report: dict[str, Any] | None
    deployment: str | None
    endpoint: str | None
    test_question: str | None
    test_reply: str | None
    deployment_reason: str | None
    cost: dict[str, Any] | None = None
    link: str | None = None
    hosted: bool = False
    hourly: float | None = None
    filtered: bool | None = None
    fleeting: bool = False
    unfit: bool = False

    @property
    def money(self) -> Phrase | None:
        """What it cost, beside what was estimated; None where nobody sends a bill."""
        return settling.told(self.cost, ended=self.ended_at is not None)

    @property
    def estimated(self) -> Phrase:
        """What it was estimated to cost; "unknown here" where nobody knows or sends a bill."""
        return settling.told(self.cost, ended=False) or phrase("unknown here")

    @property
    def share(self) -> float:
        """Part of the training done, 0 to 1; 0 as well where nobody knows how many steps there are (``measured``)."""
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    @property
    def measured(self) -> bool:
        """Whether it is known how many steps the training has; not every provider says so."""
        return bool(self.steps)

    @property
    def validation_loss(self) -> float | None:
        """Where it was last measured, in nats per supervised token; None before."""
        return next((one.validation_loss for one in reversed(self.curve) if one.validation_loss is not None), None)

    @property
    def tokens_per_second(self) -> float | None:
        """Of the training so far; None before the first step, and where a provider does not say."""
        return (self.curve[-1].tokens_per_second or None) if self.curve else None

    @property
    def memory_bytes(self) -> int | None:
        """Most that the training has held; None while unknown."""
        return max((one.memory_bytes for one in self.curve if one.memory_bytes is not None), default=None)

    def as_json(self) -> dict[str, Any]:
        """Every attribute, as ``--json`` prints it."""
        return asdict(self)


def of_run(session: Session, run: Run, table: PriceTable = prices.SHIPPED) -> RunSummary:
    """The summary of one run.

    Args:
        table: today's prices, for what an hour costs now, and for what nobody knew when the run was asked for.
    """
    evaluation = session.exec(select(Evaluation).where(Evaluation.run_id == run.id)).first()
    deployment = deployments.of_run(session, run.id)
    progress = run.progress
    return RunSummary(
        id=run.id,
        status=run.status,
        reason=run.reason,
        dataset=runs.dataset_of(session, run).name,
        backend=run.backend,
        model=run.model,
        recipe=run.recipe_name,
        requested_by=people.name_of(session, run.requested_by),
        requested_at=run.requested_at.isoformat(),
        started_at=run.started_at.isoformat() if run.started_at else None,
        ended_at=run.ended_at.isoformat() if run.ended_at else None,
        step=progress.get("step", 0),
        steps=progress.get("steps", 0),
        eta_seconds=progress.get("eta_seconds"),
        notes=tuple(unpacked(note) for note in progress.get("notes", ())),
        curve=tuple(CurvePoint(*point) for point in progress.get("curve", ())),
        verdict=Verdict(evaluation.verdict).value if evaluation is not None else None,
        report=_worded(evaluation.report) if evaluation is not None else None,
        deployment=standing_of(deployment) if deployment is not None else None,
        endpoint=deployment.url if deployment is not None else None,
        test_question=deployment.test_question if deployment is not None else None,
        test_reply=deployment.test_reply if deployment is not None else None,
        deployment_reason=deployment.reason if deployment is not None else None,
        cost=settling.priced(run.cost, table),
        link=_page(progress.get("link")),
        hosted=run.backend in SERVICES,
        hourly=bills.hourly_of(run, table) if run.backend in SERVICES else None,
        filtered=filters.is_filtered(session, run.id) if run.backend in SERVICES else None,
        fleeting=bills.is_fleeting(run),
        unfit=bool(progress.get(runs.UNFIT)),
    )


def _page(link: str | None) -> str | None:
    """The address that a provider gave, where it can lead nowhere else and break out of no message."""
    return link if link is not None and _PAGE.fullmatch(link) else None


def standing_of(deployment: Deployment) -> str:
    """Where it stands for people: one that failed has failed, whether or not it is quite gone."""
    failing = deployment.status == DeploymentStatus.FAILING.value
    return DeploymentStatus.FAILED.value if failing else deployment.status


def _worded(report: dict[str, Any]) -> dict[str, Any]:
    """The report with its sentences as phrases, which any language can say; an older Errata kept the text alone."""
    wording = report.get("wording")
    plain = {key: value for key, value in report.items() if key != "wording"}
    if isinstance(decision := report.get("decision"), dict):
        reasons = [unpacked(reason) for reason in decision.get("wordings", ())]
        plain["decision"] = {key: value for key, value in decision.items() if key != "wordings"} | {"reasons": reasons}
    return {**plain, "sentence": unpacked(wording)} if isinstance(wording, str) else plain
