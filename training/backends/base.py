"""The port: what a run asks of any place that can train, evaluate and serve a model.

Owns the words that cross it. Knows no provider, no torch and no database; an adapter maps its
provider's status words to ``JobStatus`` in one place of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from curation.conversation import Conversation
from curation.errors import Conflict
from curation.findings import Finding
from training.backends.names import BackendName
from training.hyperparameters import Objective, Recipe, Service, TrainingTier
from training.recipe import parse_recipe


class JobStatus(StrEnum):
    """Where a training stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self in {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}


@dataclass(frozen=True, slots=True)
class Base:
    """What a training starts from.

    Attributes:
        kind: ``rehearsal`` builds the recipe's tiny random model; ``checkpoint`` loads ``path``; ``service`` is a
            provider's own model, called ``name``.
        path: a directory or a hub id, for ``from_pretrained``; given exactly for a checkpoint.
        name: what Errata's catalogue or the provider calls it, or the provider's id of a model that was tuned there;
            given exactly for a service.
    """

    kind: Literal["rehearsal", "checkpoint", "service"]
    path: Path | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One training to be done, known by ``run_id``.

    Attributes:
        run_id: the run's id; submitting the same one twice trains once.
        base: what it starts from.
        recipe: its hyperparameters.
        train: chat JSONL, one ``{"messages": [...]}`` a line.
        validation: the same, never trained on.
        directory: this job's own folder; the backend creates and fills it.
        particulars: what is known of the rows beside their words (``training.particulars``); None where nothing is.
    """

    run_id: str
    base: Base
    recipe: Recipe
    train: Path
    validation: Path
    directory: Path
    particulars: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """What ``from_json`` reads back into an equal job."""
        return {
            "run_id": self.run_id,
            "base": {"kind": self.base.kind, "path": str(self.base.path) if self.base.path else None}
            | ({"name": self.base.name} if self.base.name else {}),
            "recipe": {"name": self.recipe.name, "table": self.recipe.as_json()},
            "train": str(self.train),
            "validation": str(self.validation),
            "directory": str(self.directory),
            "particulars": str(self.particulars) if self.particulars else None,
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """Read what ``as_json`` wrote."""
        path = row["base"]["path"]
        return cls(
            run_id=row["run_id"],
            base=Base(row["base"]["kind"], Path(path) if path else None, row["base"].get("name")),
            recipe=parse_recipe(row["recipe"]["table"], name=row["recipe"]["name"]),
            train=Path(row["train"]),
            validation=Path(row["validation"]),
            directory=Path(row["directory"]),
            particulars=Path(row["particulars"]) if row.get("particulars") else None,
        )


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One point of the loss curve.

    Attributes:
        step: optimiser steps taken, from 1.
        loss: training loss in nats per supervised token.
        validation_loss: the same on the validation side; None where it was not measured at this step.
        tokens_per_second: tokens trained on per second of wall-clock time, padding not counted.
        memory_bytes: most memory that the training has held so far, of the GPU where it has one; None while unknown.
    """

    step: int
    loss: float
    validation_loss: float | None
    tokens_per_second: float
    memory_bytes: int | None = None

    @property
    def row(self) -> list[float | None]:
        """Its values in their order, as JSON keeps them; ``CurvePoint(*row)`` is the point.

        A worker writes whole curves by the minute: ``dataclasses.astuple`` would copy every number deeply.
        """
        return [self.step, self.loss, self.validation_loss, self.tokens_per_second, self.memory_bytes]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come.

    Attributes:
        status: where it stands.
        step: optimiser steps taken.
        steps: optimiser steps planned; 0 while unknown. An early stop ends below it.
        eta_seconds: estimated time to the end; None while unknown or when final.
        curve: loss curve so far, oldest first.
        reason: one sentence, exactly when failed or cancelled.
        notes: sentences about the data, such as how many conversations were shortened.
        trained_tokens: tokens that a provider says it has trained on, all epochs together; None while unknown.
        link: where the provider shows the job to people; None where nobody does.
    """

    status: JobStatus
    step: int = 0
    steps: int = 0
    eta_seconds: float | None = None
    curve: tuple[CurvePoint, ...] = ()
    reason: str | None = None
    notes: tuple[str, ...] = ()
    trained_tokens: int | None = None
    link: str | None = None


@dataclass(frozen=True, slots=True)
class Artefact:
    """What a completed training leaves: weights on this machine, or a model that its provider keeps.

    Attributes:
        model: a directory that plain ``AutoModelForCausalLM`` and ``AutoTokenizer`` load; adapters are merged. None
            where the provider keeps the weights.
        adapter: a directory that plain peft loads on ``base_model``; None after full training.
        base_model: what the training started from: a directory or a hub id; None where the provider keeps it.
        registered: what the provider calls the tuned model; None exactly where the weights are here.
        service: how its provider is to serve it, by the recipe; None leaves that to the backend.
    """

    model: Path | None
    adapter: Path | None
    base_model: Path | None
    registered: str | None = None
    service: Service | None = None

    @property
    def weights(self) -> Path:
        """The directory of the merged model.

        Raises:
            Conflict: the provider keeps it.
        """
        if self.model is None:
            raise Conflict(
                "The weights of {model} stay with their provider: choose a run that was trained on this machine.",
                model=self.registered or "",
            )
        return self.model

    @property
    def origin(self) -> Path:
        """What the training started from.

        Raises:
            Conflict: the provider keeps it.
        """
        if self.base_model is None:
            raise Conflict(
                "What {model} started from stays with its provider: choose a run that was trained on this machine.",
                model=self.registered or "",
            )
        return self.base_model


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model that answers.

    Attributes:
        url: its OpenAI-compatible root, such as ``http://127.0.0.1:8000/v1``.
        pid: the serving process on this machine; None where it is somebody else's.
        model: the name to put in a request's ``model`` field.
    """

    url: str
    pid: int | None
    model: str


@dataclass(frozen=True, slots=True)
class Rival:
    """The model in production, where it can only be asked."""

    backend: BackendName
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """One evaluation to be done, known by its directory.

    Attributes:
        run_id: the run whose model is evaluated.
        directory: this evaluation's own folder; the backend creates and fills it.
        candidate: the tuned model; None where its provider keeps it.
        baseline: the model in production; None where there is none here, and the base stands in for it.
        base: the model that the training started from; None where its provider keeps it.
        train: the training side, whose supervised tokens the unigram yardstick counts.
        validation: the validation side.
        cases: JSONL of ``{"id", "kind": "correction"|"endorsement", "messages", "expected", "flagged"}``,
            where ``messages`` are the turns before the reply and ``flagged`` may be null.
        objective: what the candidate has learned; one that says labels gives no replies.
        golden: a team's own exchanges that must never break, chat JSONL; None where there are none.
        safety: questions of ``training.evaluation.questions.read_safety``; None asks none.
        general: chat JSONL of general knowledge, of which only losses are measured; None measures none.
        registered: what its provider calls the tuned model; None exactly where ``candidate`` says where it is.
        rival: the model in production where it answers at an endpoint; None where none does.
        service: as ``Artefact.service``.
    """

    run_id: str
    directory: Path
    candidate: Path | None
    baseline: Path | None
    base: Path | None
    train: Path
    validation: Path
    cases: Path
    objective: Objective = Objective.REPLIES
    golden: Path | None = None
    safety: Path | None = None
    general: Path | None = None
    registered: str | None = None
    rival: Rival | None = None
    service: Service | None = None

    @property
    def here(self) -> tuple[Path, Path]:
        """The tuned model and what it started from.

        Raises:
            Conflict: their provider keeps them.
        """
        if self.candidate is None or self.base is None:
            raise Conflict("The weights of {model} stay with their provider.", model=self.registered or self.run_id)
        return self.candidate, self.base

    def as_json(self) -> dict[str, Any]:
        """What ``from_json`` reads back into an equal request."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in {"rival", "service"}}
        row: dict[str, Any] = {name: None if value is None else str(value) for name, value in values.items()}
        return row | {
            "rival": None if self.rival is None else asdict(self.rival),
            "service": None if self.service is None else asdict(self.service),
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """Read what ``as_json`` wrote."""
        rival, service = row.get("rival"), row.get("service")
        words = {
            "run_id": row["run_id"],
            "objective": Objective(row.get("objective", Objective.REPLIES)),
            "registered": row.get("registered"),
            "rival": Rival(BackendName(rival["backend"]), Endpoint(**rival["endpoint"])) if rival else None,
            "service": Service(**service | {"training_type": TrainingTier(service["training_type"])})
            if service
            else None,
        }
        paths = {name: Path(value) if value else None for name, value in row.items() if name not in words}
        return cls(**words, **paths)  # type: ignore[arg-type]  # None stands only where it may


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far an evaluation has come.

    Attributes:
        done: nothing more will happen.
        share: part of the work done, 0 to 1.
        reason: one sentence, exactly when it failed.
        report: the path of report.json; None until it is done and did not fail.
    """

    done: bool
    share: float
    reason: str | None = None
    report: Path | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """One answer of a classifier.

    Attributes:
        label: what the conversation would be called.
        probability: the model's own estimate, 0 to 1.
    """

    label: str
    probability: float


class Backend(Protocol):
    """A place that trains, evaluates and serves. Every method may be repeated after a crash."""

    def preflight(self, job: Job) -> list[Finding]:
        """What stands in the way of the job, found without starting it."""

    def destination(self, job: Job) -> str | None:
        """The region that the job's data go to, ``global`` where that is any; None where they stay on this machine."""

    def submit(self, job: Job) -> None:
        """Start the training; a second submit of the same run id never starts a second training."""

    def poll(self, job: Job) -> Progress:
        """How far it has come; ``queued`` for a job that was never submitted."""

    def cancel(self, job: Job) -> None:
        """Ask it to stop; nothing happens to one that has ended."""

    def resume(self, job: Job) -> None:
        """Go on with a training that failed or was cancelled, from the newest point that it kept or from the beginning.

        Nothing happens while it trains; raises Conflict once it is completed.
        """

    def fetch(self, job: Job) -> Artefact:
        """Where the model of a completed job lies; raises Conflict while it is not completed."""

    def evaluate(self, request: EvaluationRequest) -> None:
        """Start the evaluation; a second call for the same directory never starts a second one."""

    def poll_evaluation(self, request: EvaluationRequest) -> EvaluationProgress:
        """How far it has come."""

    def forget_evaluation(self, request: EvaluationRequest) -> None:
        """Remove what an evaluation that failed has left, so that ``evaluate`` starts another."""

    def deploy(self, artefact: Artefact, directory: Path, model_name: str) -> Endpoint | None:
        """Serve the model and give its endpoint once it answers; a live endpoint of the directory is reused.

        None while it is still coming: asked again, nothing is started twice.
        """

    def probe(self, endpoint: Endpoint, conversation: Conversation) -> str:
        """The reply of a deployed model; raises Unavailable with one sentence where none comes."""

    def classify(self, endpoint: Endpoint, conversations: Sequence[Conversation]) -> list[tuple[Guess, ...]]:
        """What a deployed classifier says of each conversation, the most probable answer first.

        Empty for one that it cannot read; raises Unavailable with one sentence where nothing comes.
        """

    def died(self, directory: Path, model_name: str) -> bool:
        """Whether an endpoint that answered has ended by itself; ``deploy`` starts it again.

        Where the directory knows nothing, as on another machine, its provider is asked for the endpoint of this name.
        """

    def undeploy(self, directory: Path, model_name: str) -> bool:
        """Stop serving; whether nothing is served any more. Where something still is, it is asked again.

        Where the directory knows nothing, as for ``died``; what somebody else serves under this name stays.
        """

    def delete(self, job: Job) -> None:
        """Remove the job's files; raises Conflict while it runs."""
