"""What runs keep of erased examples: rows in their files, cases in their reports, a question in a deployment.

Owns that those words go, and that an evaluation still says what it said: of a case stays whether its replies were
right. A model cannot be made to forget: which ones were trained on erased rows is said, for a person to decide. It can
be repeated, and finishes what an interrupted one has left.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from curation.errors import Unavailable
from curation.formats.exports import json_line, write_atomically
from curation.privacy import erasure
from curation.store.engine import Store
from training.runs import is_deleted
from training.store.tables import Deployment, Evaluation, Run

GONE, OTHER = "[erased]", "[erased, another]"
"""In a case's words: equal ones stay equal, so that its verdict does."""

_WORDS = ("expected", "before", "after", "flagged")
_DATA = ("data/train.jsonl", "data/validation.jsonl", "data/particulars.jsonl", "cases.jsonl")
_REPORT = "evaluation/report.json"
_REPLIES = "evaluation/replies.jsonl"


def forget(store: Store, home: Path) -> list[str]:
    """Take every erased example out of what runs keep; a sentence for each run whose model has learned from one.

    Raises:
        Unavailable: a file cannot be read or written; do it again.
    """
    with store.write() as session:
        gone = erasure.tombstones(session)
        runs = list(session.exec(select(Run).where(col(Run.dataset_id).in_(list(gone))).order_by(Run.id)))
        for run in runs:
            _forget_rows(session, run, gone[run.dataset_id])
    sentences = []
    for run in runs:
        ids, folder = gone[run.dataset_id], home / "runs" / run.id
        _forget_files(folder, ids)
        if is_deleted(run) and not folder.exists():
            continue  # and its model with it
        sentences.append(
            f"{run.id} was trained on {len(ids):,} rows that are now erased; its model may repeat them. Freeze a new "
            f"dataset and train anew, then: errata delete {run.id}"
        )
    return sentences


def _forget_rows(session: Session, run: Run, ids: frozenset[int]) -> None:
    for evaluation in session.exec(select(Evaluation).where(Evaluation.run_id == run.id)):
        evaluation.report = _report_without(evaluation.report, ids)
        session.add(evaluation)
    for deployment in session.exec(select(Deployment).where(Deployment.run_id == run.id)):
        # Nobody wrote down which row the question came from.
        deployment.test_question = GONE if deployment.test_question else None
        deployment.test_reply = GONE if deployment.test_reply else None
        session.add(deployment)


def _forget_files(folder: Path, ids: frozenset[int]) -> None:
    try:
        for name in _DATA:
            if (folder / name).is_file():
                write_atomically(folder / name, list(_lines_without(folder / name, ids)))
        # Of an evaluation that has not ended: what is gone is asked again, without the erased rows.
        (folder / _REPLIES).unlink(missing_ok=True)
        report = folder / _REPORT
        if report.is_file():
            without = _report_without(json.loads(report.read_text(encoding="utf-8")), ids)
            write_atomically(report, [json.dumps(without, ensure_ascii=False).encode() + b"\n"])
    except (OSError, ValueError) as error:
        raise Unavailable(
            "The files of a run in {folder} cannot be rewritten; see to their rights and free space, then repeat it.",
            folder=folder,
        ) from error


def _lines_without(path: Path, ids: Collection[int]) -> Iterator[bytes]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            example = row.get("metadata", {}).get("example", row.get("id", row.get("example")))
            if str(example) not in map(str, ids):
                yield json_line(row)


def _report_without(report: Mapping[str, Any], ids: Collection[int]) -> dict[str, Any]:
    names = {str(key) for key in ids}
    cases = [_silent(case) if str(case.get("id")) in names else case for case in report.get("cases", ())]
    # Golden and safety questions have no row to come from: what a model said to any of them may be an erased one's.
    sets = {name: _all_silent(measured) for name, measured in report.get("sets", {}).items()}
    kept = {"cases": cases, "sets": sets}
    return {**report, **{name: kept[name] for name in kept if name in report}}


def _all_silent(measured: Mapping[str, Any]) -> dict[str, Any]:
    return {key: [_silent(case) for case in value] if key == "cases" else value for key, value in measured.items()}


def _silent(case: Mapping[str, Any]) -> dict[str, Any]:
    """The case without words: the approved reply and those equal to it as one mark, the others as another.

    Its turns go; its figures, and the rules that its replies broke, have no words.
    """
    wanted = str(case.get("expected", OTHER)).strip()
    said = {name: case[name] for name in _WORDS if isinstance(case.get(name), str)}
    marks = {name: GONE if words.strip() == wanted != OTHER else OTHER for name, words in said.items()}
    return {key: marks.get(key, value) for key, value in case.items() if key != "messages"}
