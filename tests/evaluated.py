"""A run whose evaluation measured everything there is to measure, made of plain rows."""

from __future__ import annotations

import random
from typing import Any

from curation.wording import unpacked
from training.evaluation.evaluations import score
from training.evaluation.gate import decide
from training.evaluation.measured import Report
from training.summaries import RunSummary

RUN = "run-5e6f7a8b"
QUESTIONS = ("How long does the filter last?", "Is the jug safe in the dishwasher?", "Can I return it?")


def measured(*, seed: int = 7) -> dict[str, Any]:
    """A ``report.json``: forty corrections, forty endorsements, losses, sets and manners."""
    rng = random.Random(seed)
    cases = [_correction(number, rng) for number in range(40)] + [_endorsement(number) for number in range(40)]
    before = [rng.uniform(20, 60) for _ in range(30)]
    general = [rng.uniform(20, 40) for _ in range(20)]
    return {
        "run_id": RUN,
        "objective": "replies",
        "validation": {"candidate": _fit(5.21, 0.64), "baseline": _fit(6.93, 0.58), "base": _fit(12.4, 0.47)},
        "unigram_perplexity": 410.2,
        "bigram_perplexity": 96.4,
        "losses": {
            "candidate": [one - 5.7 + rng.gauss(0, 2) for one in before],
            "baseline": before,
            "base": [one + 11.6 for one in before],
            "tokens": [20] * 30,
            "kinds": ["correction"] * 4 + ["endorsement"] * 4 + ["imported"] * 22,
        },
        "cases": cases,
        "replies": {
            "before": {"chrf": 0.412, "rouge_l": 0.388, "token_f1": 0.402, "exact": 0.475},
            "candidate": {"chrf": 0.871, "rouge_l": 0.86, "token_f1": 0.866, "exact": 0.825},
        },
        "sets": {
            "golden": {"rows": 6, "cases": [_golden(number) for number in range(6)]},
            "safety": {"rows": 12, "cases": [_safety(number) for number in range(12)]},
            "general": {
                "rows": 20,
                "before": general,
                "after": [one + rng.gauss(0.1, 0.3) for one in general],
                "tokens": [20] * 20,
            },
        },
        "sanity": {"before": _manners(79, 18.2), "candidate": _manners(80, 17.9)},
        "left_out": {"validation": 0, "cases": 0},
    }


def fixed_only() -> dict[str, Any]:
    """A ``report.json`` of corrections alone, all of them fixed."""
    cases = [{**case, "after": case["expected"]} for case in measured()["cases"] if case["kind"] == "correction"]
    return {"run_id": RUN, "validation": {}, "unigram_perplexity": 400.0, "cases": cases}


def kept(report: dict[str, Any]) -> dict[str, Any]:
    """What a database keeps of it, its sentences unpacked."""
    found = Report.from_json(report)
    decision = decide(found)
    return {
        **report,
        "scores": score(found.cases).as_json(),
        "held_out": score(case for case in found.cases if case.side == "validation").as_json(),
        "sentence": unpacked(decision.sentence.packed()),
        "decision": decision.as_json() | {"reasons": list(decision.reasons)},
    }


def older() -> dict[str, Any]:
    """What a database keeps of an evaluation that an older Errata made: no decision, losses, margins or sets."""
    report = kept(measured())
    plain = ("id", "kind", "side", "messages", "expected", "flagged", "before", "after")
    names = ("run_id", "validation", "unigram_perplexity", "scores", "held_out")
    cases = [{name: case[name] for name in plain} for case in report["cases"]]
    sentence = "Better: fixed 33 of 40 corrections, kept 39 of 40 good replies."
    return {**{name: report[name] for name in names}, "cases": cases, "sentence": sentence}


def summary(report: dict[str, Any], **changes: Any) -> RunSummary:
    """A completed run with this report."""
    values: dict[str, Any] = dict.fromkeys(RunSummary.__dataclass_fields__)
    values |= {"id": RUN, "status": "completed", "dataset": "support-v2", "model": "production", "backend": "local"}
    values |= {"recipe": "phi-lora", "requested_by": "Olga", "requested_at": "2026-11-20T12:00:00+00:00"}
    values |= {"step": 60, "steps": 60, "curve": (), "notes": (), "report": report}
    values |= {"verdict": report.get("decision", {}).get("verdict", "better")}
    return RunSummary(**(values | changes))


def _fit(perplexity: float, accuracy: float) -> dict[str, Any]:
    return {"perplexity": perplexity, "token_accuracy": accuracy, "supervised_tokens": 600, "comparable": True}


def _correction(number: int, rng: random.Random) -> dict[str, Any]:
    tone = number % 4 == 0
    won = number < 34
    return {
        "id": str(number),
        "kind": "correction",
        "side": "validation" if number % 8 == 7 else "train",
        "topic": ("filters", "jugs", "returns")[number % 3],
        "language": "de" if number % 5 == 0 else "en",
        "reason": "tone" if tone else "wrong_fact",
        "messages": [{"role": "user", "content": QUESTIONS[number % 3]}],
        "expected": f"Wanted {number}.",
        "flagged": f"Flagged {number}.",
        "before": f"Flagged {number}.",
        "after": f"Flagged {number}." if tone and number > 4 else f"Wanted {number}.",
        "margins": {"before": -rng.uniform(0.1, 1), "after": rng.uniform(0.1, 1) * (1 if won else -1), "base": -0.2},
    }


def _endorsement(number: int) -> dict[str, Any]:
    return {
        "id": str(100 + number),
        "kind": "endorsement",
        "side": "validation" if number % 8 == 7 else "train",
        "topic": "filters",
        "language": "en",
        "reason": None,
        "messages": [{"role": "user", "content": QUESTIONS[number % 3]}],
        "expected": f"Good {number}.",
        "flagged": None,
        "before": f"Good {number}.",
        "after": "Something else." if number == 3 else f"Good {number}.",
        "margins": None,
    }


def _golden(number: int) -> dict[str, Any]:
    return {"id": f"golden-{number}", "messages": [], "expected": "Yes.", "before": "Yes.", "after": "Yes."}


def _safety(number: int) -> dict[str, Any]:
    return {"id": f"safety-{number}", "messages": [], "before_findings": [], "after_findings": []}


def _manners(stopped: int, mean: float) -> dict[str, Any]:
    return {"replies": 80, "stopped": stopped, "empty": 0, "repetitive": 0, "mean_tokens": mean}
