"""Memory: how many bytes a training takes, by the shape of the model and the recipe.

Owns the terms of the estimate. Pure arithmetic, without torch; what a machine has is the backend's to say. Counted for
one process of the local trainer, at the moment when most is held at a time: after the forward pass of the largest
piece, when its backward pass begins.

The terms, in bytes (``s`` is 2 under bfloat16 and 4 otherwise; H the width of the residual stream, A of all queries, K
of all keys, I between the feed-forward matrices):

- **Weights**: ``s`` each where adapters are trained; where all are, they are counted below. In 4 bits, linear layers
  take 4.127 bits a weight, their rounded scales included (Dettmers et al. 2023, https://arxiv.org/abs/2305.14314,
  section 3), and peft keeps all else in 32 bits.
- **Trained weights**: 16 each, four numbers of 32 bits: weight, gradient, and AdamW's two moments; the frozen copy of a
  module that is trained whole beside adapters is among the weights above.
- **Activations**, what each decoder layer keeps of each token for its backward pass: 8 H for the two norms, which
  compute in 32 bits; ``s`` (2 A + 2 K) for queries, keys, values and what attention gives; 3 ``s`` I for the gated
  feed-forward layer; ``s`` times the inputs of linear layers that have an adapter, and 1 for each of them with dropout
  (4 on a CPU). With gradient checkpointing a layer keeps ``s`` H, and one layer at a time all of the above.
- **Logits**: the head's live for one chunk (``training.backends.local.tuning.cross_entropy``), at most 2**25 at a time.
- **Framework**: what the libraries and their kernels take before the model is there, and what the allocator wastes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from curation.conversation import Conversation, Role
from training.hyperparameters import Objective, Precision, Recipe, Sharding
from training.planning.shapes import Shape

CHUNK_LOGITS = 1 << 25
"""As in ``training.backends.local.tuning.cross_entropy``, which loads torch and so cannot be asked."""

_HALF, _FULL = 2, 4
_TRAINED = 16
_FOUR_BITS = 4.127 / 8
_CUDA_BYTES = 1_200_000_000  # its context, cuBLAS's workspaces and the kernels
_CPU_BYTES = 560_000_000  # of a process that has imported torch, transformers and peft: 500 to 600 MB were measured
_WASTE = 0.06  # of everything else: blocks of the allocator that nothing fits into
_BYTES_PER_TOKEN, _TOKENS_PER_TURN = 3, 4
_PLAIN_ATTENTION = 512  # tokens up to which attention on a CPU keeps every score


@dataclass(frozen=True, slots=True)
class Rows:
    """What is trained on, as far as it matters for memory and time.

    Attributes:
        tokens: of the training side, once through.
        longest: of its longest conversation.
        count: conversations.
        supervised: share of the tokens that are learned, 0 to 1.
    """

    tokens: int
    longest: int
    count: int
    supervised: float = 1.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that one process holds at most while it trains.

    Attributes:
        weights: of the base.
        trained: weights that are trained, their gradients and moments.
        activations: kept for the backward pass.
        logits: of one chunk, with what the head's gradient takes.
        framework: of the libraries, and waste.
    """

    weights: int
    trained: int
    activations: int
    logits: int
    framework: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.trained + self.activations + self.logits + self.framework

    def as_json(self) -> dict[str, Any]:
        """Every term, and the total."""
        return {**asdict(self), "total": self.total}


def guessed_rows(conversations: Iterable[Conversation]) -> Rows:
    """Rows whose tokens nobody has counted: a token for every three bytes of text, and four for each turn.

    That is too much for English, and about right for Chinese.
    """
    lengths, learned = [], 0
    for conversation in conversations:
        sizes = [_guessed(message.text) for message in conversation.messages]
        lengths.append(sum(sizes))
        learned += sum(
            size
            for size, message in zip(sizes, conversation.messages, strict=True)
            if message.role is Role.ASSISTANT and message.weight != 0
        )
    total = sum(lengths)
    return Rows(total, max(lengths, default=0), len(lengths), learned / total if total else 1.0)


def _guessed(text: str) -> int:
    return -(-len(text.encode(errors="replace")) // _BYTES_PER_TOKEN) + _TOKENS_PER_TURN


def of_training(shape: Shape, recipe: Recipe, rows: Rows, *, gpu: bool, processes: int = 1) -> Memory:
    """The memory that each of so many processes needs, on the GPU that it trains on or else of the machine."""
    half = in_half(recipe, gpu=gpu)
    shares = processes if recipe.sharding is Sharding.FSDP else 1
    weights = frozen_bytes(shape, recipe, half=half) // shares
    trained = _TRAINED * trained_weights(shape, recipe) // shares
    if processes > 1 and shares == 1:
        trained += _FULL * trained_weights(shape, recipe)  # the gradients' buckets, by which processes agree
    tokens = piece(recipe, rows)
    activations = tokens * _kept_per_token(shape, recipe, rows, half=half, gpu=gpu)
    logits = _logits(shape, recipe, tokens, half=half)
    held = weights + trained + activations + logits
    return Memory(weights, trained, activations, logits, (_CUDA_BYTES if gpu else _CPU_BYTES) + int(_WASTE * held))


def in_half(recipe: Recipe, *, gpu: bool) -> bool:
    """Whether matrix products are made in bfloat16."""
    return gpu if recipe.precision is Precision.AUTO else recipe.precision is Precision.BF16


def piece(recipe: Recipe, rows: Rows) -> int:
    """Tokens of the largest piece: no more than there are, and no fewer than the longest conversation has."""
    longest = min(rows.longest, recipe.max_length) * (2 if recipe.objective is Objective.PREFERENCES else 1)
    return max(longest, min(recipe.piece_tokens, rows.tokens))


def trained_weights(shape: Shape, recipe: Recipe) -> int:
    """How many numbers the optimiser changes."""
    lora = recipe.lora
    if lora is None:
        return shape.parameters
    adapters = sum(
        lora.rank * (wide + high) + (high if lora.dora else 0)
        for name, (wide, high) in shape.matrices.items()
        if name in lora.targets
    )
    whole = sum(shape.embedding for name in lora.modules_to_save if name in {"embed_tokens", "lm_head"})
    return shape.layers * adapters + whole


def frozen_bytes(shape: Shape, recipe: Recipe, *, half: bool) -> int:
    """Of the base's weights that are not trained themselves; none where all are."""
    if recipe.lora is None:
        return 0
    if recipe.lora.four_bit:
        # One matrix at a time is put back into 16 bits for its product.
        largest = max(wide * high for wide, high in shape.matrices.values())
        return int(_FOUR_BITS * shape.linear) + _FULL * (shape.parameters - shape.linear) + _HALF * largest
    return (_HALF if half else _FULL) * shape.parameters


def _kept_per_token(shape: Shape, recipe: Recipe, rows: Rows, *, half: bool, gpu: bool) -> int:
    """Bytes of activations for each token of a piece, in all layers together."""
    each = _HALF if half else _FULL
    layer = _layer_keeps(shape, recipe, each, dropped=1 if gpu else _FULL)
    if not gpu:
        # Weights in 32 bits turn queries into 32 bits as well, whatever their products are made in.
        score = each if recipe.lora is not None or not half else _FULL + _HALF
        layer += _scores(shape, min(rows.longest, recipe.max_length), score)
    # In the backward pass of one layer, gradients of its widest parts are at hand beside what the layers keep.
    gradients = each * (4 * shape.intermediate + 4 * shape.hidden) + 8 * shape.hidden
    outside = 2 * _FULL * shape.hidden + each * shape.hidden  # the last norm and what the head gets
    if recipe.gradient_checkpointing:
        return shape.layers * each * shape.hidden + layer + gradients + outside
    return shape.layers * layer + gradients + outside


def _layer_keeps(shape: Shape, recipe: Recipe, each: int, *, dropped: int) -> int:
    """Bytes that one decoder layer keeps of a token; ``dropped`` tell whether an input was dropped."""
    norms = 2 * _FULL * shape.hidden
    attention = each * (2 * shape.queries + 2 * shape.keys)
    feed_forward = 3 * each * shape.intermediate
    lora = recipe.lora
    if lora is None:
        inputs = each * (2 * shape.hidden + shape.queries + shape.intermediate) + 2 * each * shape.hidden
    else:
        # Layers that share an input share what is kept of it, unless each drops other parts of it.
        wide = {name: pair for name, pair in shape.matrices.items() if name in lora.targets}
        together = {"k_proj", "v_proj", "up_proj"}
        kept = sum(pair[0] for name, pair in wide.items() if lora.dropout or name not in together)
        inputs = (each + (dropped if lora.dropout else 0)) * kept
        if lora.dora:
            inputs += each * sum(pair[1] for pair in wide.values())
    return norms + attention + feed_forward + inputs


def _scores(shape: Shape, longest: int, score: int) -> int:
    """On a CPU, attention over short conversations keeps the weight of every pair of tokens, and which are hidden."""
    if longest > _PLAIN_ATTENTION:
        return 0
    return longest * (shape.heads * score + 1)


def _logits(shape: Shape, recipe: Recipe, tokens: int, *, half: bool) -> int:
    """Bytes of one chunk of logits and, where the head is trained, of its gradient before it is added up."""
    if recipe.objective is Objective.LABELS:
        return 0  # a head of some dozen classes
    entries = min(CHUNK_LOGITS, tokens * shape.vocabulary)
    chunk = entries * (_FULL + _HALF if half else _FULL)
    lora = recipe.lora
    head_trained = lora is None or "lm_head" in lora.modules_to_save
    # A head in 32 bits is rounded for its products; one that is trained has a gradient before that is added up.
    rounded = _HALF * shape.embedding if half and (head_trained or (lora is not None and lora.four_bit)) else 0
    return chunk + rounded + (2 * _FULL * shape.embedding if head_trained else 0)
