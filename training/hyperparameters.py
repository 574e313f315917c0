"""Hyperparameters: what a recipe can say about a run; reading and checking them is ``training.recipe``'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Objective(StrEnum):
    """What is learned: to reply, to prefer the corrected reply to the wrong one, or to say what a reply is."""

    REPLIES = "replies"
    PREFERENCES = "preferences"
    LABELS = "labels"


class Method(StrEnum):
    """What is trained: low-rank adapters beside frozen weights, or every weight."""

    LORA = "lora"
    FULL = "full"


class Precision(StrEnum):
    """Of matrix products while training; weights that are trained have 32 bits in any case."""

    AUTO = "auto"
    BF16 = "bf16"
    FP32 = "fp32"


class Schedule(StrEnum):
    """Of the learning rate after the warm-up: half a cosine or a line down to a tenth of the peak, or the peak."""

    COSINE = "cosine"
    LINEAR = "linear"
    CONSTANT = "constant"


class Keep(StrEnum):
    """Which weights become the model: those of the last step, or those with the lowest validation loss."""

    LAST = "last"
    BEST = "best"


class Sharding(StrEnum):
    """Of weights over several processes: every one holds all of them (DDP), or each a part (FSDP)."""

    NONE = "none"
    FSDP = "fsdp"


class AdapterStart(StrEnum):
    """What adapters begin with, by peft's names: nothing, or the largest directions of the weights themselves."""

    DEFAULT = "default"
    GAUSSIAN = "gaussian"
    PISSA = "pissa"
    OLORA = "olora"
    ORTHOGONAL = "orthogonal"


class TrainingTier(StrEnum):
    """Where a service trains and serves: in the region, anywhere in the world, or where there is room just then."""

    STANDARD = "standard"
    GLOBAL = "global"
    DEVELOPER = "developer"


class Label(StrEnum):
    """What a classifier says: a topic, why a reply was flagged, or whether staff would flag it."""

    TOPIC = "topic"
    REASON = "reason"
    FLAGGED = "flagged"


FLAGGED, KEPT = "flagged", "kept"
"""What a reply is that staff would flag, and what any other is."""


@dataclass(frozen=True, slots=True)
class Lora:
    """The adapters (Hu et al. 2021, https://arxiv.org/abs/2106.09685).

    Attributes:
        rank: width of each adapter, 1 to 512.
        alpha: its scale is alpha / rank, or alpha / sqrt(rank) with ``rslora``; 1 to 2048.
        dropout: share of an adapter's inputs dropped while training, 0 to 0.5.
        targets: names of the linear layers that get an adapter.
        modules_to_save: modules trained whole and saved with the adapter, such as ``lm_head``.
        rslora: the scale of Kalajdzievski 2023, https://arxiv.org/abs/2312.03732.
        dora: magnitude and direction apart (Liu et al. 2024, https://arxiv.org/abs/2402.09353).
        start: what the adapters begin with.
        four_bit: the frozen weights in 4 bits (QLoRA, Dettmers et al. 2023, https://arxiv.org/abs/2305.14314).
    """

    rank: int
    alpha: int
    dropout: float
    targets: tuple[str, ...]
    modules_to_save: tuple[str, ...]
    rslora: bool = False
    dora: bool = False
    start: AdapterStart = AdapterStart.DEFAULT
    four_bit: bool = False


@dataclass(frozen=True, slots=True)
class Mix:
    """How much a supervised token of each kind of example weighs in the loss, 0 to 100; 0 leaves the kind out."""

    correction: float = 1.0
    endorsement: float = 1.0
    imported: float = 1.0

    def weight(self, kind: str | None) -> float:
        """Of an example of this kind; what is of no known kind counts as imported."""
        return {"correction": self.correction, "endorsement": self.endorsement}.get(kind or "", self.imported)


@dataclass(frozen=True, slots=True)
class Preference:
    """Direct preference optimisation (Rafailov et al. 2023, https://arxiv.org/abs/2305.18290).

    Attributes:
        beta: how far the model may leave the one it started from; smaller is further, 0.001 to 10.
        replies: weight of the cross-entropy of the corrected reply beside the preference, 0 to 10; it keeps the
            reply itself probable (Pang et al. 2024, https://arxiv.org/abs/2404.19733).
    """

    beta: float = 0.1
    replies: float = 0.0


@dataclass(frozen=True, slots=True)
class Classification:
    """A head on the same backbone.

    Attributes:
        label: what it says.
    """

    label: Label


@dataclass(frozen=True, slots=True)
class Service:
    """What only a service that tunes its own models is told; it chooses for itself what is None.

    Attributes:
        training_type: where it trains and, where the service leaves the choice, serves. ``standard`` keeps the data in
            the region, ``global`` and ``developer`` do not promise that; a ``developer`` endpoint is gone after a day.
        batch_size: examples in one optimiser step, 1 to 256.
        learning_rate_multiplier: of the learning rate that the service would take, 0.001 to 100.
        capacity: thousands of tokens that the endpoint takes in a minute, 1 to 10,000.
    """

    training_type: TrainingTier = TrainingTier.STANDARD
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    capacity: int = 10


@dataclass(frozen=True, slots=True)
class RehearsalModel:
    """The size of the tiny random Phi-3-shaped model that a rehearsal starts from.

    Attributes:
        hidden: width of the residual stream, 16 to 1024; a multiple of twice ``heads``.
        layers: decoder layers, 1 to 12.
        heads: attention heads, 1 to 32.
        vocabulary: most tokens its tokenizer may learn, 300 to 32064.
    """

    hidden: int
    layers: int
    heads: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """Hyperparameters of one run.

    Attributes:
        name: the shipped name, or the file's name without its suffix.
        method: adapters or every weight.
        learning_rate: peak step size of AdamW, 1e-6 to 0.01 per optimiser step.
        epochs: passes over the training side, 1 to 1000.
        batch_tokens: most tokens in one optimiser step, 64 to 1,048,576.
        warmup_share: share of the steps in which the learning rate rises from 0, 0 to 0.5.
        weight_decay: decoupled decay of weight matrices per step and unit of learning rate, 0 to 1.
        max_grad_norm: gradients longer than this are scaled down to it, 0.01 to 100.
        seed: of initialisation, shuffling and dropout, 0 to 2**31 - 1.
        max_length: tokens of one conversation, 64 to 131,072; longer ones lose their oldest turns.
        objective: what is learned.
        device_tokens: most tokens that one process works on at a time, 64 to 1,048,576; a step of more is accumulated
            from several such pieces. None is as many as a step has. It decides how much memory a step takes.
        gradient_checkpointing: compute each layer twice instead of remembering it: a third more time, far less memory.
        schedule: of the learning rate after the warm-up.
        stop_at_loss: training may end after an epoch whose mean loss is below this, 1e-5 to 10 nats per
            supervised token.
        stop_at_accuracy: likewise where at least this share of supervised tokens was the most probable
            one, 0.5 to 1. Where both are given, both must hold; with neither, every epoch is trained.
        validations: how often the validation side is measured in a whole run, 1 to 1000.
        patience: training ends after so many validations without a lower loss, 1 to 1000; None never ends it.
        keep: which weights become the model.
        snapshot_minutes: how often what is needed to go on after a stop is kept, 0 (after every step) to 1440.
        snapshots: how many of them are kept, the newest, 1 to 100; the best weights are kept beside them.
        precision: of matrix products; ``auto`` is ``bf16`` on a GPU and ``fp32`` on a CPU.
        tensorboard: whether the curve is written for TensorBoard as well.
        processes: how many train together, 1 to 64; 0 is one for each GPU.
        sharding: of the weights over them.
        lora: the adapters; None exactly where ``method`` is ``full``.
        mix: weights of corrections, endorsements and imported rows.
        preference: of the objective ``preferences``; None for any other.
        classification: of the objective ``labels``; None for any other.
        service: what only a service is told; None takes what a service takes by itself.
        rehearsal: the tiny model to start from when the base is the rehearsal one.
    """

    name: str
    method: Method
    learning_rate: float
    epochs: int
    batch_tokens: int
    warmup_share: float
    weight_decay: float
    max_grad_norm: float
    seed: int
    max_length: int
    objective: Objective = Objective.REPLIES
    device_tokens: int | None = None
    gradient_checkpointing: bool = False
    schedule: Schedule = Schedule.COSINE
    stop_at_loss: float | None = None
    stop_at_accuracy: float | None = None
    validations: int = 20
    patience: int | None = None
    keep: Keep = Keep.LAST
    snapshot_minutes: float = 10.0
    snapshots: int = 2
    precision: Precision = Precision.AUTO
    tensorboard: bool = False
    processes: int = 1
    sharding: Sharding = Sharding.NONE
    lora: Lora | None = None
    mix: Mix = Mix()
    preference: Preference | None = None
    classification: Classification | None = None
    service: Service | None = None
    rehearsal: RehearsalModel | None = None

    @property
    def piece_tokens(self) -> int:
        """Most tokens that one process works on at a time."""
        return min(self.device_tokens or self.batch_tokens, self.batch_tokens)

    def as_json(self) -> dict[str, Any]:
        """The table that ``training.recipe.parse_recipe`` reads back into an equal recipe, without the name."""
        table: dict[str, Any] = _plain(asdict(self))
        del table["name"]
        return table


def _plain(value: Any) -> Any:
    """Without None and enums, for JSON and TOML."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, StrEnum):
        return value.value
    return value
