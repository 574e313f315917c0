"""A classifier: trained, measured, deployed in a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path

import in_this_process
import pytest

from curation.conversation import Conversation, Message, Role
from curation.errors import Unavailable
from training.backends.base import Base, EvaluationRequest, Job
from training.backends.local import labels
from training.backends.local.backend import LocalBackend
from training.backends.local.evaluating import evaluator
from training.backends.local.tuning import trainer
from training.hyperparameters import Classification, Label, Lora, Method, Objective, Recipe, RehearsalModel
from training.particulars import Particulars

TOY = Recipe(
    name="toy",
    method=Method.LORA,
    learning_rate=5e-3,
    epochs=6,
    batch_tokens=128,
    warmup_share=0.1,
    weight_decay=0.0,
    max_grad_norm=1.0,
    seed=7,
    max_length=64,
    objective=Objective.LABELS,
    classification=Classification(Label.REASON),
    lora=Lora(8, 16, 0.0, ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"), ("embed_tokens", "lm_head")),
    rehearsal=RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300),
)

WRONG = {"tone": ("Whatever.", "Not my problem.", "Hurry up."), "unsafe": ("Open it.", "Use a knife.", "Wet it.")}


def talk(*turns: str) -> Conversation:
    said = (Message(Role.ASSISTANT if place % 2 else Role.USER, text) for place, text in enumerate(turns))
    return Conversation((Message(Role.SYSTEM, "You help."), *said))


def job_of(folder: Path) -> Job:
    """Corrections whose flagged replies have one of two reasons."""
    rng, particulars, number = random.Random(1), [], 0
    for side, count in (("train", 60), ("validation", 20)):
        rows = []
        for place in range(count):
            number += 1
            reason = "tone" if place % 2 else "unsafe"
            about = {"example": number, "kind": "correction"}
            question = rng.choice(("It broke, what now?", "How do I clean it?"))
            rows.append({"messages": talk(question, "Please call us.").as_json(), "metadata": about})
            flagged = rng.choice(WRONG[reason])
            particulars.append(Particulars(number, side, "correction", None, "en", reason, flagged))
        (folder / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    known = folder / "particulars.jsonl"
    known.write_text("".join(json.dumps(asdict(one)) + "\n" for one in particulars), encoding="utf-8")
    sides = (folder / "train.jsonl", folder / "validation.jsonl")
    return Job("run-1", Base("rehearsal"), TOY, *sides, folder / "job", particulars=known)


def test_why_a_reply_was_flagged_is_learned_measured_and_answered_at_an_endpoint(tmp_path: Path) -> None:
    backend, job = LocalBackend(), job_of(tmp_path)
    assert in_this_process.carry_out(job, trainer.train) == 0, backend.poll(job).reason
    artefact = backend.fetch(job)
    assert labels.is_classifier(artefact.model)
    request = EvaluationRequest(
        run_id=job.run_id,
        directory=tmp_path / "evaluation",
        candidate=artefact.model,
        baseline=None,
        base=artefact.base_model,
        train=job.train,
        validation=job.validation,
        cases=tmp_path / "cases.jsonl",
        objective=Objective.LABELS,
    )
    assert in_this_process.carry_out(request, evaluator.evaluate) == 0, backend.poll_evaluation(request).reason
    endpoint = backend.deploy(artefact, tmp_path / "endpoint", "run-1")
    try:
        first, second, nothing = backend.classify(
            endpoint, [talk("It broke?", "Use a knife."), talk("Hello?", "Whatever."), talk("Why? " * 99, "Hurry up.")]
        )
        assert (first[0].label, second[0].label, nothing) == ("unsafe", "tone", ())
        assert first[0].probability + first[1].probability == pytest.approx(1)
        with pytest.raises(Unavailable, match="refused the test query: POST /v1/chat/completions is not served here"):
            backend.probe(endpoint, talk("Hello?"))
    finally:
        backend.undeploy(tmp_path / "endpoint", "run-1")
    with pytest.raises(Unavailable, match="does not answer; deploy it again"):
        backend.classify(endpoint, [talk("Hello?", "Whatever.")])
    done = backend.poll_evaluation(request)
    assert done.report is not None, done.reason
    report = json.loads(done.report.read_text(encoding="utf-8"))
    assert (report["objective"], report["labels"]["label"], report["cases"]) == ("labels", "reason", [])
    assert report["labels"]["candidate"]["macro_f1"] > 0.9
