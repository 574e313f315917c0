"""Use cases, in the order in which each finds what it needs: versions, and examples that age or leave."""

from __future__ import annotations

from builders import NOON, Team
from sqlmodel import Session
from use_case import Case, rows_in

from curation import examples, expiry, handover
from curation.datasets import dataset, freezing, requested
from curation.datasets.basis import newest_example
from curation.datasets.preparing import Options, Prepared, gather, prepare
from curation.datasets.split import Side
from curation.formats.format import Format
from curation.people import WORKER
from curation.privacy import personal

OF_DATASETS = [
    Case(
        "curation.datasets.freezing.attest_held_out",
        "examples.attested",
        Team.olga,
        lambda s, t, path: freezing.attest_held_out(
            s, t.olga, NOON, Options(rows_in(path, 2, word="toaster")), {"thread:toaster": Side.VALIDATION}, name="v1"
        ),
    ),
    Case(
        "curation.datasets.freezing.commit",
        "dataset.frozen",
        Team.olga,
        lambda s, t, _: freezing.commit(
            s, t.olga, NOON, prepared(s), name="v1", validation_share=0.1, options=Options()
        ),
    ),
    Case(
        "curation.datasets.requested.ask",
        "freezing.requested",
        Team.olga,
        lambda s, t, _: requested.ask(s, t.olga, NOON, name="v2", validation_share=0.1, destination=t.place),
    ),
    Case(
        "curation.datasets.dataset.annotate",
        "dataset.described",
        Team.olga,
        lambda s, t, _: dataset.annotate(s, t.olga, NOON, dataset.find(s, "v1"), "The first."),
    ),
    Case(
        "curation.expiry.expire",
        "example.expires",
        Team.ben,
        lambda s, t, _: expiry.expire(s, t.ben, NOON, reason="Old.", after=NOON, example_ids=[2]),
    ),
    Case("curation.expiry.renew", "example.renewed", Team.ben, lambda s, t, _: expiry.renew(s, t.ben, NOON)),
    Case(
        "curation.expiry.expire",
        "example.expires",
        Team.ben,
        lambda s, t, _: expiry.expire(s, t.ben, NOON, reason="Old.", after=NOON, example_ids=[3]),
    ),
    Case("curation.expiry.return_due", "example.renewed", WORKER, lambda s, _t, _: expiry.return_due(s, NOON)),
    Case(
        "curation.handover.hand_over",
        "examples.exported",
        Team.olga,
        lambda s, t, _: handover.hand_over(s, t.olga, NOON, target=Format.OPENAI),
    ),
]


def prepared(session: Session) -> Prepared:
    """A version of everything approved."""
    personal.look(session, examples.approved(session))
    gathered = gather(session, NOON, newest_example(session), Options())
    return prepare(gathered, validation_share=0.1, held_out={}, options=Options(), told=lambda *_: None)
