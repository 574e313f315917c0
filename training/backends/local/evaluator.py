"""The evaluation process: ``python -m training.backends.local.evaluator DIRECTORY``.

Owns measuring: how well each model predicts the validation side, and what each replies to the cases.
What the figures mean is decided in ``training.evaluations``.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curation.conversation import Conversation
from curation.errors import Invalid
from training.backends.base import EvaluationRequest
from training.backends.local import checkpoint, folder, process
from training.backends.local.chat import ChatFormat, Encoded, encode_corpus, read_conversations
from training.backends.local.checkpoint import Loaded
from training.backends.local.generation import greedy_replies
from training.backends.local.loss import SupervisedLoss, measure

# Enough for any support reply; an expected reply that is longer raises it.
_LEAST_NEW_TOKENS = 400
_SPARE_NEW_TOKENS = 32
_BATCH_TOKENS = 8192


def evaluate(directory: Path) -> dict[str, Any]:
    """Carry out the request in the directory and write ``report.json``."""
    row = folder.read_json(directory / folder.REQUEST)
    if row is None:
        raise Invalid(
            "{folder} holds no {file}; start an evaluation with `errata evaluate`.",
            folder=directory,
            file=folder.REQUEST,
        )
    request = EvaluationRequest.from_json(row)
    cases = _read_cases(request.cases)
    before = request.baseline or request.base
    work = _Work(directory, replies=len(cases) * (1 if before == request.candidate else 2), models=3)
    report = _measured(request, work)
    replies = {path: _replies(path, cases, work) for path in dict.fromkeys((before, request.candidate))}
    report["cases"] = [
        {**case, "before": replies[before][index], "after": replies[request.candidate][index]}
        for index, case in enumerate(cases)
    ]
    folder.write_json(directory / folder.REPORT, report)
    return {}


class _Work:
    """Counts what is done, for whoever waits. A model's measuring counts as much as ten replies."""

    def __init__(self, directory: Path, *, replies: int, models: int) -> None:
        self._directory, self._done, self._all = directory, 0, replies + 10 * models

    def replied(self, count: int) -> None:
        self._done += count
        # The last hundredth is the report itself: only a result means done.
        folder.append_progress(self._directory, {"share": min(0.99, self._done / self._all)})

    def measured(self) -> None:
        self.replied(10)


def _measured(request: EvaluationRequest, work: _Work) -> dict[str, Any]:
    """Validation figures of each model, and the unigram yardstick in the candidate's tokens."""
    validation, rows = {}, {}
    unigram = math.nan
    for name, path in (("candidate", request.candidate), ("baseline", request.baseline), ("base", request.base)):
        if path is None:
            continue
        loaded = checkpoint.load(path)
        chat = ChatFormat(loaded.tokenizer)
        held_out = encode_corpus(chat, read_conversations(request.validation), loaded.window).rows
        if not held_out:
            raise Invalid(
                "{file} has no conversation that fits the window; add examples.", file=request.validation.name
            )
        rows[name] = held_out
        fit = measure(SupervisedLoss(loaded.model), held_out, batch_tokens=_BATCH_TOKENS, device=loaded.device)
        validation[name] = {
            "perplexity": fit.perplexity,
            "token_accuracy": fit.accuracy,
            "supervised_tokens": fit.tokens,
            # Perplexity is per token: models with different tokenizers cannot be compared by it.
            "comparable": [row.ids for row in held_out] == [row.ids for row in rows["candidate"]],
        }
        if name == "candidate":
            learned = encode_corpus(chat, read_conversations(request.train), loaded.window).rows
            unigram = unigram_perplexity(learned, held_out, vocabulary=len(loaded.tokenizer))
        work.measured()
    return {"run_id": request.run_id, "validation": validation, "unigram_perplexity": unigram}


def unigram_perplexity(learned: Sequence[Encoded], held_out: Sequence[Encoded], *, vocabulary: int) -> float:
    """Perplexity of the supervised held-out tokens under add-one counts of the supervised learned ones.

    The yardstick of a model that knows which tokens are frequent and nothing about their order.
    """
    counts = Counter(_supervised(learned))
    total = sum(counts.values()) + vocabulary
    tokens = _supervised(held_out)
    return math.exp(-sum(math.log((counts[token] + 1) / total) for token in tokens) / len(tokens))


def _supervised(rows: Sequence[Encoded]) -> list[int]:
    return [token for row in rows for token, wanted in zip(row.ids, row.supervised, strict=True) if wanted]


def _read_cases(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _replies(path: Path, cases: Sequence[dict[str, Any]], work: _Work) -> list[str]:
    """One model's greedy reply to each case."""
    loaded = checkpoint.load(path)
    chat = ChatFormat(loaded.tokenizer)
    longest = max((_length(loaded, case["expected"]) for case in cases), default=0)
    new_tokens = max(_LEAST_NEW_TOKENS, longest + _SPARE_NEW_TOKENS)
    prompts = []
    for case in cases:
        prompt = chat.prompt(Conversation.from_json(case["messages"]))
        if len(prompt) >= loaded.window:
            raise Invalid(
                "Case {case} has {count:,} tokens before the reply; the window is {window:,}. Leave the case out or "
                "choose a model with a larger window.",
                case=case["id"],
                count=len(prompt),
                window=loaded.window,
            )
        prompts.append(prompt)
    return greedy_replies(loaded, prompts, max_new_tokens=new_tokens, done=work.replied)


def _length(loaded: Loaded, text: str) -> int:
    return len(loaded.tokenizer(text, add_special_tokens=False)["input_ids"])


if __name__ == "__main__":
    sys.exit(process.carry_out(process.directory_argument(), evaluate))
