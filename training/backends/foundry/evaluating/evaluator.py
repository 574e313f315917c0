"""The evaluation process of a provider's model: ``python -m training.backends.foundry.evaluating.evaluator DIRECTORY``.

Owns one such evaluation from its request to ``report.json``: the live model's replies first, which cost nothing more;
then the candidate is hosted for as long as it is asked. Only words come back, so there are no losses and no margins.
Loads neither torch nor, by itself, anything of Azure.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from curation.conversation import Conversation
from curation.errors import ErrataError, Invalid, Unavailable
from training.backends import opening
from training.backends.base import Artefact, Backend, EvaluationRequest
from training.backends.foundry.evaluating import endpoint as evaluation_endpoint
from training.backends.foundry.evaluating import evaluations
from training.backends.foundry.evaluating.asking import Ask, Pace, replies
from training.backends.local import folder, process
from training.backends.local.evaluating.asked import Asked
from training.evaluation import sanity
from training.evaluation.composing import case_rows, golden_set, mean_scores, safety_set
from training.evaluation.measured import LIVE, RECORDED
from training.hyperparameters import Objective

REPLIES = "replies.jsonl"
"""Replies as they come, ``{"of", "digest", "reply"}``: whoever is killed goes on from there."""

_CANDIDATE, _BEFORE = "candidate", "before"


@dataclass(frozen=True, slots=True)
class Waits:
    """How long what is waited for.

    Attributes:
        pace: of the asking.
        up_seconds, down_seconds: the candidate may take to come up and to go.
        look_seconds: between two looks at it.
    """

    pace: Pace = field(default_factory=Pace)
    up_seconds: float = evaluation_endpoint.UP_SECONDS
    down_seconds: float = evaluation_endpoint.DOWN_SECONDS
    look_seconds: float = evaluation_endpoint.LOOK_SECONDS


def evaluate(
    request: EvaluationRequest, backend: Backend, rival: Backend | None = None, waits: Waits | None = None
) -> dict[str, Any]:
    """The object of ``report.json``. No endpoint of the candidate is left behind, whatever happens.

    Args:
        request: names the candidate by what its provider calls it.
        backend: hosts it.
        rival: of the model in production, where ``request.rival`` names one; without it the replies as they were
            recorded stand for it.
        waits: how long.

    Raises:
        Invalid: it labels, or its files cannot be read.
        ErrataError: the candidate does not come up, or does not answer.
    """
    if request.objective is Objective.LABELS:
        raise Invalid(
            "{run} answers with labels, which no provider's endpoint does: train it with --backend local.",
            run=request.run_id,
        )
    waits = waits or Waits()
    questions = _Questions(Asked.read(request))
    kept = _Kept(request.directory, models=1 if request.rival is None else 2, questions=len(questions.all))
    before = _live(request, rival, questions, kept, waits.pace)
    after = _candidate(request, backend, questions, kept, waits)
    return {"run_id": request.run_id, "objective": request.objective.value, **_composed(questions, before, after)}


def carry_out(directory: Path) -> dict[str, Any]:
    """Do what the request in the directory asks for and write ``report.json``."""
    request, name, place = evaluations.read(directory)
    found = opening.backends(place)
    rival = None if request.rival is None else found.get(request.rival.backend)
    try:
        report = evaluate(request, found[name], rival)
    except (ErrataError, process.Stopped):
        raise
    except Exception as error:  # noqa: BLE001 (what it may say is kept from the log, so the process edge must not see it)
        # Its text may be a customer's or a provider's; where it happened is nobody's secret.
        traceback.print_tb(error.__traceback__)
        raise Unavailable(
            "An unforeseen {error} stopped the evaluation; {log} says where.",
            error=type(error).__name__,
            log=folder.LOG,
        ) from None
    folder.write_json(directory / folder.REPORT, report)
    (directory / REPLIES).unlink(missing_ok=True)
    return {}


@dataclass(frozen=True, slots=True)
class _Questions:
    asked: Asked

    @property
    def all(self) -> list[Conversation]:
        """The cases, then the golden ones, then those of the safety set."""
        asked = self.asked
        turns = [Conversation.from_json(case["messages"]) for case in asked.cases]
        turns += [Conversation(one.messages) for one in asked.golden]
        return turns + [Conversation(one.messages) for one in asked.safety]

    def split(self, said: Sequence[str | None]) -> tuple[list[str | None], list[str | None], list[str | None]]:
        """Replies to ``all``, apart again."""
        cases, golden = len(self.asked.cases), len(self.asked.golden)
        return list(said[:cases]), list(said[cases : cases + golden]), list(said[cases + golden :])

    @property
    def recorded(self) -> list[str | None]:
        """What was said to each case when somebody judged it: the flagged reply, or the endorsed one."""
        return [case["flagged"] if case["kind"] == "correction" else case["expected"] for case in self.asked.cases]


class _Kept:
    """Replies on disk, and how much of the work they are."""

    def __init__(self, directory: Path, *, models: int, questions: int) -> None:
        self._directory, self._all = directory, max(1, models * questions)
        self._found: dict[str, dict[str, str]] = {_BEFORE: {}, _CANDIDATE: {}}
        for row in _lines(directory / REPLIES):
            self._found[row["of"]][row["digest"]] = row["reply"]

    def of(self, who: str) -> dict[str, str]:
        return self._found[who]

    def heard(self, who: str, digest: str, reply: str) -> None:
        self._found[who][digest] = reply
        with (self._directory / REPLIES).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"of": who, "digest": digest, "reply": reply}) + "\n")
        done = sum(map(len, self._found.values()))
        # The last hundredth is the report itself: only a result means done.
        folder.append_progress(self._directory, {"share": min(0.99, done / self._all)})


def _lines(path: Path) -> list[dict[str, str]]:
    """Whole lines; a kill may have cut the last one, which is then written anew behind a line's end of its own."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def _live(
    request: EvaluationRequest, rival: Backend | None, questions: _Questions, kept: _Kept, pace: Pace
) -> list[str | None] | None:
    """The live model's replies; None where nobody can be asked: that must not cost a whole evaluation."""
    if request.rival is None or rival is None:
        return None
    ask = partial(rival.probe, request.rival.endpoint)
    try:
        return _answers(ask, _BEFORE, questions, kept, pace)
    except ErrataError as error:
        sys.stderr.write(f"The live model was not asked: {error}\n")
        return None


def _candidate(
    request: EvaluationRequest, backend: Backend, questions: _Questions, kept: _Kept, waits: Waits
) -> list[str | None]:
    artefact = Artefact(request.candidate, None, request.base, request.registered, request.service)
    try:
        endpoint = evaluation_endpoint.bring_up(
            backend,
            artefact,
            request.directory,
            f"{request.run_id}-check",
            up_seconds=waits.up_seconds,
            look_seconds=waits.look_seconds,
        )
        return _answers(partial(backend.probe, endpoint), _CANDIDATE, questions, kept, waits.pace)
    finally:
        evaluation_endpoint.see_down(
            backend, request.directory, down_seconds=waits.down_seconds, look_seconds=waits.look_seconds
        )


def _answers(ask: Ask, who: str, questions: _Questions, kept: _Kept, pace: Pace) -> list[str | None]:
    heard: Callable[[str, str], None] = partial(kept.heard, who)
    return replies(ask, questions.all, dict(kept.of(who)), pace, heard=heard)


def _composed(
    questions: _Questions, before: Sequence[str | None] | None, after: Sequence[str | None]
) -> dict[str, Any]:
    asked = questions.asked
    said, golden, safety = questions.split(after)
    was: tuple[Any, Any, Any] = (questions.recorded, None, None) if before is None else questions.split(before)
    cases = case_rows(asked.cases, was[0], said)
    sets = {}
    if asked.golden or asked.problem:
        sets["golden"] = golden_set(asked.golden, asked.problem, was[1], golden)
    if asked.safety:
        sets["safety"] = safety_set(asked.safety, asked.train, was[2], safety)
    return {
        "compared_with": RECORDED if before is None else LIVE,
        "validation": {},
        "cases": cases,
        "pairs": [],
        "replies": {"before": mean_scores(cases, "before"), "candidate": mean_scores(cases, "after")},
        "sets": sets,
        "sanity": {
            "before": sanity.counts_of_texts([text for text in (*was[0], *(was[1] or ())) if text is not None]),
            "candidate": sanity.counts_of_texts([text for text in (*said, *golden) if text is not None]),
        },
        "left_out": {"validation": 0, "cases": len(asked.cases) - len(cases)},
    }


if __name__ == "__main__":
    code = process.carry_out(process.directory_argument(), carry_out)
    os._exit(code)  # a thread that still waits for a reply, which nobody needs any more, would hold the process
