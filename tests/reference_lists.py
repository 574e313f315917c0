"""The reference pages that list tables of the code: states, schema, rules, reports.

Owns what each list takes from where. Which files they are written to is ``reference_pages``'s.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlmodel import SQLModel

import training.store.tables  # noqa: F401 (its tables join the metadata)
from bot import archives
from bot.assistant import tasks
from bot.demo import report as demo_report
from curation import candidates, cleaning, notices, policies
from curation.checking import checks
from curation.datasets import fitness, requested, sides
from curation.formats import exports, rules
from curation.measures import advice
from curation.privacy import releases
from curation.screening import suspicions
from curation.store.tables import Notice
from training import deployments, runs
from training.evaluation import evaluations, gate, looks, measured

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def attributes(described: type) -> dict[str, str]:
    """The ``Attributes:`` of a class's docstring, each on one line."""
    doc = inspect.getdoc(described) or ""
    _, _, listed = doc.partition("Attributes:\n")
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \w+: )", f"\n{listed}"):
        name, _, meaning = entry.strip().partition(": ")
        if meaning:
            found[name] = " ".join(meaning.split())
    return found


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; bars and line breaks in cells are made harmless."""

    def line(cells: Sequence[object]) -> str:
        shown = ("" if cell is None else str(cell) for cell in cells)
        return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in shown) + " |"

    return "\n".join([line(headings), "|" + " --- |" * len(headings), *map(line, rows)])


@dataclass(frozen=True)
class Lifecycle:
    """One kind of row and its steps: ``{(status, step): status}``."""

    title: str
    owner: str
    statuses: type[StrEnum]
    steps: Mapping[Any, StrEnum]  # keys are pairs of the lifecycle's own enums


def lifecycles() -> list[Lifecycle]:
    """Every lifecycle, in the order of the data's way."""
    return [
        Lifecycle("Candidates", "curation/candidates.py", candidates.CandidateStatus, candidates.TRANSITIONS),
        Lifecycle("Freeze requests", "curation/datasets/requested.py", requested.RequestStatus, requested.TRANSITIONS),
        Lifecycle("Runs", "training/runs.py", runs.RunStatus, runs.TRANSITIONS),
        Lifecycle("Deployments", "training/deployments.py", deployments.DeploymentStatus, deployments.TRANSITIONS),
        Lifecycle("Notices", "curation/notices.py", notices.NoticeStatus, _notice_steps()),
        Lifecycle("Chat tasks", "bot/assistant/tasks.py", tasks.TaskStatus, tasks.TRANSITIONS),
    ]


def _notice_steps() -> dict[tuple[StrEnum, str], StrEnum]:
    """The outbox has functions in place of a table: each is called, and where the notice then stands is kept."""
    status = notices.NoticeStatus

    def after(step: Callable[[Notice], None], *, attempts: int = 1) -> notices.NoticeStatus:
        notice = Notice(
            kind="run.status",
            subject="run:1",
            destination="T1/C1",
            status=status.QUEUED,
            attempts=attempts,
            not_before=_EPOCH,
            owed_at=_EPOCH,
        )
        step(notice)
        return status(notice.status)

    def put_off(notice: Notice) -> None:
        notices.put_off(notice, _EPOCH, trouble="ratelimited")

    def not_answered(notice: Notice) -> None:
        notices.put_off(notice, _EPOCH, trouble="TimeoutError", arrived=None)

    sent = status.IN_FLIGHT
    last = f"for the {notices.MAX_ATTEMPTS}th time"
    return {
        (status.QUEUED, "start"): after(lambda notice: notices.start(notice, _EPOCH)),
        (status.QUEUED, "owed again"): status.QUEUED,
        (sent, "delivered"): after(lambda notice: notices.delivered(notice, _EPOCH, reference=None)),
        (sent, "put off"): after(put_off),
        (sent, f"put off {last}"): after(put_off, attempts=notices.MAX_ATTEMPTS),
        (sent, "not answered"): after(not_answered),
        (sent, f"not answered {last}"): after(not_answered, attempts=notices.MAX_ATTEMPTS),
        (sent, "cannot be looked for"): after(lambda notice: notices.leave_uncertain(notice, trouble="missing_scope")),
        (sent, "give up"): after(lambda notice: notices.give_up(notice, trouble="is_archived")),
    }


def states_page() -> str:
    """Every lifecycle as a diagram and a table."""
    parts = [
        "# States",
        "Each lifecycle is one table in the code. A step that is not in it is refused, and the state stays.",
    ]
    for cycle in lifecycles():
        rows = [(source.value, str(step), target.value) for (source, step), target in cycle.steps.items()]
        parts += [
            f"## {cycle.title}",
            f"Owned by `{cycle.owner}`.",
            _diagram(cycle, rows),
            table(["From", "Step", "To"], rows),
        ]
    return "\n\n".join(parts)


def _diagram(cycle: Lifecycle, rows: Sequence[tuple[str, str, str]]) -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {next(iter(cycle.statuses)).value}"]
    lines += [f"    {source} --> {target}: {step}" for source, step, target in rows]
    ended = [status.value for status in cycle.statuses if status.value not in {source for source, _, _ in rows}]
    return "\n".join([*lines, *(f"    {status} --> [*]" for status in ended), "```"])


def schema_page() -> str:
    """Every table of the database."""
    # Tables in the order in which their classes are written: the order of the data's way.
    mapped: dict[str, Any] = {mapper.class_.__tablename__: mapper.class_ for mapper in SQLModel._sa_registry.mappers}
    tables = sorted(SQLModel.metadata.tables.values(), key=lambda one: (one.name in _TRAINING, _line(mapped[one.name])))
    parts = [
        "# Schema",
        (
            "The tables of the database, SQLite or PostgreSQL alike. Moments are stored in UTC. Rows are records: "
            "what a status may be is in [States](states.md)."
        ),
    ]
    for one in tables:
        parts += [f"## {one.name}", (inspect.getdoc(mapped[one.name]) or "").split("\n\n")[0]]
        unique = [
            " + ".join(column.name for column in constraint.columns)
            for constraint in one.constraints
            if isinstance(constraint, UniqueConstraint)
        ]
        parts.append(table(["Column", "Type", "Empty", ""], [_column(column) for column in one.columns]))
        parts += [f"Unique: {', '.join(sorted(unique))}."] if unique else []
    return "\n\n".join(parts)


_TRAINING = {"runs", "evaluations", "deployments"}


def _line(described: type) -> int:
    return inspect.getsourcelines(described)[1]


def _column(column: Any) -> tuple[str, str, str, str]:
    notes = ["key"] if column.primary_key else []
    notes += [f"of {key.target_fullname}" for key in sorted(column.foreign_keys, key=lambda key: key.target_fullname)]
    kind = type(column.type).__name__.removeprefix("Auto").lower()
    return f"`{column.name}`", kind, "may be" if column.nullable else "", ", ".join(notes)


def rules_page() -> str:
    """Every rule about data, and who may do what."""

    def listed(of: Iterable[rules.Rule]) -> str:
        rows = [(f"`{rule.id}`", rule.severity.value, rule.summary, rule.fix) for rule in of]
        return table(["Rule", "Severity", "What must hold", "What to do"], rows)

    names = list(policies.RoleName)
    allowed = [
        (permission.value, *("yes" if name in policies.ALLOWED[permission] else "" for name in names))
        for permission in policies.Permission
    ]
    return "\n\n".join(
        [
            "# Rules and roles",
            (
                "An error stops the work, a warning is printed (`errata check --strict` stops for it as well), info "
                "is for the record."
            ),
            "## About one row",
            listed(rules.RULES),
            "## About one row: noise",
            listed(cleaning.RULES),
            "## About a whole file or dataset",
            listed([*checks.RULES, *sides.RULES, *fitness.RULES]),
            "## About a candidate, for its reviewer",
            listed(suspicions.RULES),
            "## About personal data on its way out",
            listed(releases.RULES),
            "## About a Slack export",
            listed(archives.RULES),
            "## About an export",
            listed(exports.RULES),
            "## Who may do what",
            (
                "Asked of the database at the moment of the action, in Slack as in the terminal. The two-person rule "
                "stands beside it: whoever wrote any version of a correction does not approve it."
            ),
            table(["", *(name.value for name in names)], allowed),
            f"Advice about missing examples names at most {advice.ADVICE_LIMIT} of them.",
        ]
    )


_DEMO_KEYS = {
    "note": "what the demo proves, and what it does not",
    "fixed": "corrections that were wrong before and are right after",
    "corrected": "all corrections",
    "kept": "endorsements that were right before and still are",
    "endorsed": "all endorsements",
    "held_out": "the same counts for the cases that the tuned model was not shown",
    "verdict": "`better`, `worse` or `cannot_tell`",
    "claim": "the verdict as a sentence with its figures",
    "question": "the customer's question of the opening conversation",
    "before": "the production model's reply to it",
    "after": "the tuned model's reply to it",
    "expected": "the approved reply",
    "dataset": "name, digest, rows per side, and where the files lie in the demo's folder",
    "cases": "every case: kind, side, question, expected, before, after",
    "validation": "how well each model predicts the validation side, as in *Fit* above",
    "run": "the run's id",
    "endpoint_reply": "what the deployed model answered to the opening question",
    "transcript": "every line that was told",
}


def report_page() -> str:
    """What the evaluation, the check and the demo report."""
    demo = demo_report_keys()
    if missing := set(demo) ^ _DEMO_KEYS.keys():
        raise ValueError(f"say in {Path(__file__).name} what these keys of the demo's report mean: {sorted(missing)}")
    parts = [
        "# Reports",
        "What `errata evaluate RUN --json`, `errata check … --json` and the demo's `report.json` hold.",
        "## An evaluation",
    ]
    for described in (measured.Report, measured.Fit, evaluations.Case, evaluations.Scores, looks.Decision, looks.Look):
        first = (inspect.getdoc(described) or "").split("\n\n")[0]
        rows = [(f"`{name}`", meaning) for name, meaning in attributes(described).items()]
        parts += [f"### {described.__name__}", first, table(["", ""], rows)]
    parts += [
        "### Verdict",
        inspect.getdoc(gate.decide) or "",
        table(["Verdict"], [(f"`{verdict.value}`",) for verdict in evaluations.Verdict]),
        "## A check",
        inspect.getdoc(checks.CheckReport) or "",
        f"`{(inspect.getdoc(checks.CheckReport.as_json) or '').strip('`.')}`",
        "Tokens:",
        table(["", ""], [(f"`{name}`", meaning) for name, meaning in attributes(checks.TokenSummary).items()]),
        "## The demo",
        table(["", ""], [(f"`{name}`", _DEMO_KEYS[name]) for name in demo]),
    ]
    return "\n\n".join(parts)


def demo_report_keys() -> list[str]:
    """The keys of the demo's ``report.json``, read from the source of the function that writes it."""
    tree = ast.parse(inspect.getsource(demo_report.write_report))
    literal = next(
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Dict)
        and any(isinstance(target, ast.Name) and target.id == "report" for target in node.targets)
    )
    return [str(ast.literal_eval(key)) for key in literal.keys if key is not None]
