"""Lineage: where each row of a dataset version came from, back to the message, its authors and its reviewers.

Owns the way back from a row. Which runs a row went on to is training's to add: ``training.lineage``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from sqlmodel import Session, col, select

from curation.datasets import dataset
from curation.datasets.frozen import Item
from curation.datasets.split import Side
from curation.expiry import first_source
from curation.people import user_id_of
from curation.store.tables import DatasetRow, DatasetVersion, Example, Person, Review, SystemPrompt

FILES = {Side.TRAIN: "train.jsonl", Side.VALIDATION: "validation.jsonl"}


def rows(
    session: Session, version: DatasetVersion, link_of: Callable[[str], str | None] = lambda _: None
) -> list[dict[str, Any]]:
    """Where each row came from, in the version's order.

    Args:
        link_of: the address of a source, for people.
    """
    names = {person.id: person.display_name for person in session.exec(select(Person))}
    prompts = {prompt.key: prompt.version for prompt in session.exec(select(SystemPrompt))}
    reviews = _reviews(session, version, names)
    positions = _positions(session, version)
    lines: Counter[Side] = Counter()
    found = []
    for item in dataset.items(session, version):
        lines[item.side] += 1
        example = item.example
        found.append(
            {
                "row": positions[example.key],
                "file": FILES.get(item.side),
                "line": lines[item.side] if item.side in FILES else None,
                **_origin(item, names, link_of),
                "prompt_version": prompts[item.prompt_id] if item.prompt_id is not None else None,
                "reviews": reviews.get(example.candidate_id or 0, []),
            }
        )
    return found


def versions_of(session: Session, example_id: int) -> list[dict[str, Any]]:
    """The dataset versions that hold an example, oldest first, and the side that it has in them."""
    held = (
        select(DatasetVersion.name, DatasetRow.position, DatasetRow.side)
        .join(DatasetRow, col(DatasetRow.dataset_id) == col(DatasetVersion.id))
        .where(DatasetRow.example_id == example_id)
        .order_by(col(DatasetVersion.id))
    )
    return [{"dataset": name, "row": position + 1, "side": side} for name, position, side in session.exec(held)]


def _origin(item: Item, names: Mapping[str, str], link_of: Callable[[str], str | None]) -> dict[str, Any]:
    example = item.example
    source = first_source(example.source)
    return {
        "example": example.key,
        "side": item.side.value,
        "kind": example.kind,
        "topic": example.topic,
        "language": example.language,
        "source": source,
        "link": link_of(source),
        "candidate": example.candidate_id,
        "question": item.conversation.first_user_text(),
        "flagged": item.rejected,
        "reply": item.reply,
        "authors": [_name(author, names) for author in example.authors],
        "approved_by": _name(example.approved_by, names),
        "approved_at": example.approved_at.isoformat(),
        "reviewed": example.attested is None,
        "attested": example.attested,
        "self_approved": example.self_approved,
    }


def _positions(session: Session, version: DatasetVersion) -> dict[int, int]:
    placed = select(DatasetRow.example_id, DatasetRow.position).where(DatasetRow.dataset_id == version.key)
    return {example: position + 1 for example, position in session.exec(placed)}


def _reviews(session: Session, version: DatasetVersion, names: Mapping[str, str]) -> dict[int, list[dict[str, Any]]]:
    """Every review of the rows' candidates, oldest first; without comments, which may quote anybody."""
    given = (
        select(Review)
        .join(Example, col(Example.candidate_id) == col(Review.candidate_id))
        .join(DatasetRow, col(DatasetRow.example_id) == col(Example.id))
        .where(DatasetRow.dataset_id == version.key, col(Review.undone_at).is_(None))
        .order_by(col(Review.id))
    )
    reviews: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for review in session.exec(given):
        by = _name(review.reviewer, names)
        reviews[review.candidate_id].append({"by": by, "verdict": review.verdict, "at": review.decided_at.isoformat()})
    return reviews


def _name(person: str, names: Mapping[str, str]) -> str:
    return names.get(person, user_id_of(person))
