"""What the models of an evaluation are asked, read from the request's files before any is loaded.

Owns which questions there are. Knows no torch, because models that only their provider has are asked the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from curation.conversation import Conversation
from curation.errors import Invalid
from training.backends.base import EvaluationRequest
from training.backends.local.chat import Row, read_conversations, read_rows
from training.evaluation import questions
from training.evaluation.evaluations import JUDGED
from training.evaluation.questions import Golden, SafetyQuestion


@dataclass(frozen=True, slots=True)
class Asked:
    """What every model of an evaluation is asked, read before any is loaded.

    Attributes:
        train: the training side, which the yardsticks count.
        validation: the validation side.
        cases: the dataset's own, as ``training.evaluation.cases`` wrote them.
        pairs: the imported ones among them, of which only margins are measured.
        golden: a team's own exchanges.
        safety: requests for what no reply may hold.
        general: exchanges of general knowledge.
        problem: one sentence where the golden file cannot be read: that must not cost a whole training.
    """

    train: Sequence[Conversation]
    validation: Sequence[Row]
    cases: Sequence[Mapping[str, Any]]
    golden: Sequence[Golden] = ()
    safety: Sequence[SafetyQuestion] = ()
    general: Sequence[Conversation] = ()
    pairs: Sequence[Mapping[str, Any]] = ()
    problem: str | None = None

    @classmethod
    def read(cls, request: EvaluationRequest) -> Asked:
        """Read the request's files; raises Invalid where the dataset's own cannot be read."""
        golden, problem = [], None
        if request.golden is not None:
            try:
                golden = questions.read_golden(request.golden)
            except Invalid as error:
                problem = error.sentence.packed()
        cases = questions.read_rows(request.cases)
        return cls(
            train=read_conversations(request.train),
            validation=read_rows(request.validation),
            cases=[case for case in cases if case["kind"] in JUDGED],
            pairs=[case for case in cases if case["kind"] not in JUDGED],
            golden=golden,
            safety=[] if request.safety is None else questions.read_safety(request.safety),
            general=[] if request.general is None else read_conversations(request.general),
            problem=problem,
        )

    @property
    def replies(self) -> int:
        """How many replies that asks of a model."""
        return len(self.cases) + len(self.golden) + len(self.safety)
