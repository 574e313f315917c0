"""The demo's files: the folder it may use, and ``report.json`` at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot.demo.cast import Cast
from curation.datasets import dataset, lineage
from curation.errors import Invalid, Unavailable
from curation.formats.exports import write_atomically
from curation.wording import unpacked
from training import runs
from training.evaluation.evaluations import Case
from training.summaries import RunSummary

MARKER = ".errata-demo"


def new_folder(out: Path) -> Path:
    """An empty folder; one that an earlier demo left is emptied.

    Raises:
        Invalid: the folder holds other files, or is none.
        Unavailable: it cannot be made.
    """
    out = out.resolve()
    try:
        if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARKER).exists())):
            raise Invalid(f"{out} holds files that no demo left: choose an empty or a new folder with --out.")
        if out.exists():
            shutil.rmtree(out)
        (out / "home").mkdir(parents=True)
        (out / MARKER).touch()
    except OSError as error:
        raise Unavailable(f"{out} cannot be used ({error.strerror}): choose another folder with --out.") from error
    return out


def write_report(
    folder: Path, cast: Cast, summary: RunSummary, endpoint_reply: str, transcript: Sequence[str]
) -> dict[str, Any]:
    """Write the dataset's files, its lineage and ``report.json``; the report."""
    with cast.store.read() as session:
        version = runs.dataset_of(session, runs.find(session, summary.id))
        files = dataset.write_files(session, version, folder / "dataset")
        origins = lineage.rows(session, version)
    _write_json(folder / "dataset" / "lineage.json", origins)
    evaluated = summary.report or {}
    opening = _opening_case(cast, evaluated["cases"], origins)
    scores = evaluated["scores"]
    report = {
        "note": "A toy model that memorised its sample: this proves the pipeline, not the method.",
        "fixed": scores["fixed"],
        "corrected": scores["corrections"],
        "kept": scores["kept"],
        "endorsed": scores["endorsements"],
        "held_out": evaluated["held_out"],
        "verdict": summary.verdict,
        "claim": unpacked(evaluated["sentence"]),
        "question": opening["messages"][-1]["content"],
        "before": opening["before"],
        "after": opening["after"],
        "expected": opening["expected"],
        "dataset": {
            "name": version.name,
            "digest": version.digest,
            **version.manifest["sides"],
            "train_file": str(files.train.relative_to(folder)),
            "validation_file": str(files.validation.relative_to(folder)),
            "lineage_file": "dataset/lineage.json",
        },
        "cases": [
            {
                "kind": case["kind"],
                "side": case["side"],
                "outcome": Case.from_json(case).outcome,
                "question": case["messages"][-1]["content"],
                "expected": case["expected"],
                "before": case["before"],
                "after": case["after"],
            }
            for case in evaluated["cases"]
        ],
        "validation": evaluated["validation"],
        "run": summary.id,
        "endpoint_reply": endpoint_reply,
        "transcript": list(transcript),
    }
    _write_json(folder / "report.json", report)
    return report


def _opening_case(cast: Cast, cases: Sequence[dict[str, Any]], origins: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The case of the conversation that the story opened with."""
    first = next(conversation for conversation in cast.sample.conversations if conversation.first)
    source = f"{cast.workspace.team_id}/{cast.channel}/{cast.replies[first.id]}"
    example = next(str(row["example"]) for row in origins if row["source"] == source)
    return next(case for case in cases if case["id"] == example)


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, [json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n"])
