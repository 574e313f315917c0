"""A live classifier suggests, a reviewer decides: in the queue, in the window of review and in a terminal."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from builders import NOON, Office, Team
from shell import Shell
from sqlmodel import select

from bot.app import now
from curation import suggestions
from curation.candidates import Reason
from curation.conversation import Conversation
from curation.privacy import erasure
from curation.reviews import Labels, Verdict, decide
from curation.store.engine import Store, open_engine
from curation.store.tables import AuditEntry, Candidate, DatasetVersion, Example, Review, Suggestion
from curation.suggestions import Kind
from curation.undoing import undo
from training.backends.local.backend import LocalBackend
from training.backends.local.serving.http import classify
from training.backends.local.serving.http.app import build_app
from training.backends.local.serving.http.figures import Figures
from training.backends.names import BackendName
from training.recipe import load_recipe
from training.store.tables import Deployment, Run
from training.suggesting import PAUSE, Suggesting
from training.workplace import Workplace

QUESTION = "How do I send the lamp back?"


@dataclass
class Keywords:
    """A classifier that knows a few words; the conversations that it was asked about stay with it."""

    answers: dict[str, list[tuple[str, float]]]
    asked: list[Conversation] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None

    def classify(self, conversations: Sequence[Conversation]) -> list[list[tuple[str, float]]]:
        """The answers behind the first word that a conversation holds; none behind none."""
        self.asked += conversations
        self.meanwhile()
        said = [" ".join(turn.content for turn in one.messages) for one in conversations]
        return [next((found for word, found in self.answers.items() if word in text), []) for text in said]


@contextmanager
def endpoint(run_id: str, classifier: classify.Classifier) -> Iterator[str]:
    """The endpoint's own application over a classifier; its address."""
    app = build_app(lambda: (run_id,), Figures(), classify.router(run_id, classifier))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the endpoint did not start"
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = True
        thread.join()


def go_live(store: Store, kind: str, url: str) -> str:
    """A classifier that is live at the address; its run."""
    run_id = f"run-{kind}"
    recipe = {**load_recipe("rehearsal-topic").as_json(), "classification": {"label": kind}}
    with store.write() as session:
        if session.get(DatasetVersion, 1) is None:
            session.add(DatasetVersion(id=1, name="v1", digest="d", manifest={}, frozen_by="T1/UOLGA", frozen_at=NOON))
            session.flush()
        session.add(
            Run(
                id=run_id,
                dataset_id=1,
                backend="local",
                model="rehearsal",
                recipe_name="rehearsal-topic",
                recipe=recipe,
                status="completed",
                progress={},
                destinations=[],
                requested_by="T1/UOLGA",
                requested_at=NOON,
            )
        )
        session.flush()
        session.add(
            Deployment(
                run_id=run_id, status="live", url=url, pid=1, requested_by="T1/UOLGA", requested_at=NOON, live_at=NOON
            )
        )
    return run_id


def asks(store: Store, home: Path, clock: Callable[[], datetime] = now) -> Suggesting:
    """The worker's part."""
    return Suggesting(Workplace(store, {BackendName.LOCAL: LocalBackend()}, home, clock))


TOPICS = Keywords({"send": [("returns", 0.92), ("billing", 0.08)], "price": [("billing", 0.7), ("returns", 0.3)]})
REASONS = Keywords({"ever": [("wrong_fact", 0.81), ("tone", 0.19)]})
FLAGS = Keywords({"ever": [("flagged", 0.87), ("kept", 0.13)]})


@pytest.fixture(scope="module")
def addresses() -> Iterator[dict[str, str]]:
    """Endpoints of a classifier for each label."""
    with (
        endpoint("run-topic", TOPICS) as topic,
        endpoint("run-reason", REASONS) as reason,
        endpoint("run-flagged", FLAGS) as flagged,
    ):
        yield {"topic": topic, "reason": reason, "flagged": flagged}


@pytest.fixture
def helped(office: Office, addresses: dict[str, str]) -> Office:
    """An office with all three classifiers live."""
    for kind, url in addresses.items():
        go_live(office.store, kind, url)
    return office


def one(office: Office, table: type) -> Any:
    with office.store.read() as session:
        return session.exec(select(table)).all()[-1]


def blocks(office: Office) -> str:
    assert office.ben.modal is not None
    return json.dumps(office.ben.modal["blocks"], ensure_ascii=False)


def field_of(office: Office, stem: str) -> str:
    """The block of a field in the window."""
    assert office.ben.modal is not None
    return next(str(b["block_id"]) for b in office.ben.modal["blocks"] if b["block_id"].startswith(f"{stem}:"))


def test_what_a_model_takes_a_correction_for_stands_in_its_review_and_is_kept_with_an_approval(helped: Office) -> None:
    candidate = helped.flag(QUESTION, "Print a label in the app.")
    asks(helped.store, helped.settings.home)()
    assert TOPICS.asked[-1].messages[-1].content == "The filter lasts for ever, you never change it."
    helped.review(helped.ben)
    shown = blocks(helped)
    for line in ("Suggested topic: returns (92%)", "Suggested reason: Wrong fact (81%)", "flag this reply: 87%"):
        assert line in shown
    assert "Suggested topic: returns (92%)" in json.dumps(helped.queue()["blocks"])
    assert helped.approve(helped.ben) == {}
    assert one(helped, Example).topic == "returns"
    kept = one(helped, Candidate)
    assert (kept.id, kept.topic, kept.reason) == (candidate, "returns", "wrong_fact")
    assert one(helped, AuditEntry).details["labelled"] == ["reason", "topic"]


def test_a_reviewer_says_something_else_or_nothing(helped: Office) -> None:
    helped.flag(QUESTION, "Print a label in the app.")
    helped.flag("What is the price of the filter for my old coffee machine?", "Nine euros.")
    asks(helped.store, helped.settings.home)()
    helped.review(helped.ben)
    helped.ben.submit({field_of(helped, "topic"): "shipping", field_of(helped, "reason"): Reason.MISSING_STEP.value})
    assert (one(helped, Example).topic, one(helped, Review).reason) == ("shipping", "missing_step")
    helped.ben.submit({field_of(helped, "topic"): ""})
    assert one(helped, Example).topic is None
    assert one(helped, Candidate).reason == "wrong_fact"


def test_an_edit_keeps_the_labels_of_its_form(helped: Office) -> None:
    helped.flag(QUESTION, "Print a label in the app.")
    asks(helped.store, helped.settings.home)()
    helped.review(helped.ben)
    assert helped.approve(helped.ben, edited="Print a label at home.") == {}
    assert one(helped, Example).topic == "returns"


def test_what_the_author_said_stands_and_undoing_takes_back_what_the_reviewer_said(helped: Office) -> None:
    candidate = helped.flag(QUESTION, "Print a label in the app.", topic="parcels")
    asks(helped.store, helped.settings.home)()
    helped.review(helped.ben)
    assert "Suggested topic: returns (92%)" in blocks(helped)
    with pytest.raises(StopIteration):
        field_of(helped, "topic")
    helped.approve(helped.ben)
    assert (one(helped, Example).topic, one(helped, Candidate).reason) == ("parcels", "wrong_fact")
    with helped.store.write() as session:
        undo(session, helped.actor("ben"), now(), review_id=one(helped, Review).id)
    assert (one(helped, Candidate).topic, one(helped, Candidate).reason) == ("parcels", None)
    with helped.store.write() as session:  # what a form does not show it cannot overwrite either
        labels = Labels(topic="forged", reason=Reason.TONE)
        ben = helped.actor("ben")
        decide(session, ben, now(), candidate_id=candidate, verdict=Verdict.APPROVE, labels=labels)
    assert (one(helped, Candidate).topic, one(helped, Candidate).reason) == ("parcels", "tone")


# The worker's part.


def held(team: Team) -> list[tuple[int, str, str | None]]:
    with team.store.read() as session:
        rows = session.exec(select(Suggestion).order_by(Suggestion.id))  # type: ignore[arg-type]  # a column
        return [(row.candidate_id, row.run_id, row.value) for row in rows]


def test_each_candidate_is_asked_about_once_also_one_that_cannot_be_read(team: Team, tmp_path: Path) -> None:
    classifier = Keywords(TOPICS.answers)
    with endpoint("run-topic", classifier) as url:
        go_live(team.store, "topic", url)
        team.flag(QUESTION, "Print a label.")
        team.flag("Hello?", "Hello.")
        suggesting = asks(team.store, tmp_path)
        assert suggesting()
        assert not suggesting()
        assert held(team) == [(1, "run-topic", "returns"), (2, "run-topic", None)]
        team.flag("What is the price?", "Nine euros.")
        assert suggesting()
        assert [str(one.messages[0].content) for one in classifier.asked] == [QUESTION, "Hello?", "What is the price?"]
        with team.store.read() as session:
            assert suggestions.of_candidate(session, 2) == ()
            assert set(suggestions.of_candidates(session, [1, 2, 3])) == {1, 2, 3}


def test_the_next_classifier_suggests_anew(team: Team, tmp_path: Path) -> None:
    team.flag(QUESTION, "Print a label.")
    with team.store.write() as session:
        suggestions.note(session, NOON, Kind.TOPIC, "run-older", {1: ("billing", 0.6)})
    with endpoint("run-topic", Keywords(TOPICS.answers)) as url:
        go_live(team.store, "topic", url)
        asks(team.store, tmp_path)()
    assert held(team) == [(1, "run-topic", "returns")]


def test_an_endpoint_that_does_not_answer_is_left_alone_for_a_while(
    team: Team, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ahead = timedelta()

    def clock() -> datetime:
        return NOON + ahead

    team.flag(QUESTION, "Print a label.")
    run_id = go_live(team.store, "topic", "http://127.0.0.1:9/v1")
    suggesting = asks(team.store, tmp_path, clock)
    assert not suggesting()
    assert not suggesting()
    assert caplog.text.count("does not answer and is left alone for a while") == 1
    with endpoint(run_id, Keywords(TOPICS.answers)) as url:
        with team.store.write() as session:
            session.get_one(Deployment, 1).url = url
        assert not suggesting()
        ahead = PAUSE
        assert suggesting()
    assert held(team) == [(1, run_id, "returns")]


def test_what_was_decided_or_erased_meanwhile_gets_no_suggestion(team: Team, tmp_path: Path) -> None:
    for question in (QUESTION, "May I send it to a shop?", "Where do I send it?"):
        team.flag(question, "Yes, in the app.")

    def meanwhile() -> None:
        with team.store.write() as session:
            decide(session, team.ben, NOON, candidate_id=1, verdict=Verdict.APPROVE)
        with team.store.write() as session:
            erasure.erase(session, team.olga, NOON, session.get_one(Candidate, 2).thread)

    with endpoint("run-topic", Keywords(TOPICS.answers, meanwhile=meanwhile)) as url:
        go_live(team.store, "topic", url)
        assert asks(team.store, tmp_path)()
    assert held(team) == [(3, "run-topic", "returns")]
    with team.store.write() as session:
        erasure.erase(session, team.olga, NOON, session.get_one(Candidate, 3).thread)
    assert held(team) == []


# In a terminal.


def test_the_walk_shows_what_is_suggested_and_asks_for_it(
    errata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errata("people", "grant", "ben", "reviewer")
    rows = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "Print a label."}]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": rows}) + "\n", encoding="utf-8")
    assert errata("import", str(tmp_path / "rows.jsonl"))[0] == 0
    store = Store(open_engine(f"sqlite:///{tmp_path}/home/errata.db"))
    with store.write() as session:
        suggestions.note(session, NOON, Kind.TOPIC, "run-1", {1: ("returns", 0.92)})
        suggestions.note(session, NOON, Kind.FLAGGED, "run-2", {1: ("flagged", 0.1)})
    shown = json.loads(errata("queue", "--json", acting="ben")[1])
    assert shown[0]["suggestions"][0] == {"label": "topic", "value": "returns", "probability": 0.92}
    monkeypatch.setattr(sys, "stdin", StringIO("a\n\n"))
    code, out, _ = errata("review", acting="ben")
    assert code == 0
    assert "Suggested topic: returns (92%)" in out
    assert "Staff would flag this reply: 10%" in out
    with store.read() as session:
        assert session.exec(select(Example)).one().topic == "returns"
    store.close()


# The endpoint itself.


def test_the_endpoint_refuses_what_it_does_not_serve_with_a_sentence(addresses: dict[str, str]) -> None:
    import httpx  # noqa: PLC0415

    turn = {"role": "user", "content": QUESTION}
    answer = httpx.post(
        f"{addresses['topic']}/classify", json={"model": "run-topic", "conversations": [[turn]]}, timeout=30
    )
    assert answer.json()["results"][0]["labels"][0] == {"label": "returns", "probability": 0.92}
    for body, status, words in (
        ({"model": "run-other", "conversations": [[turn]]}, 404, "This endpoint serves run-topic, not run-other"),
        ({"model": "run-topic", "conversations": []}, 400, "conversations: List should have at least 1 item"),
        ({"model": "run-topic", "conversations": [[{"role": "boss", "content": ""}]]}, 400, "Correct the request."),
    ):
        refused = httpx.post(f"{addresses['topic']}/classify", json=body, timeout=30)
        assert (refused.status_code, words in refused.json()["error"]["message"]) == (status, True), refused.text
