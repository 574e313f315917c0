"""Only signed, fresh, well-formed requests reach Bolt, each of them once, and nothing makes it fall over."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from wsgiref.types import WSGIEnvironment
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from slack_bolt import App, BoltRequest
from slack_bolt.authorization import AuthorizeResult

from bot.app import through
from bot.gate import Gate, Outcome
from bot.payloads import Payload, PayloadError, parse_socket
from curation.errors import Invalid

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET, OLD_SECRET = "new-secret", "old-secret"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
CHALLENGE = json.dumps({"type": "url_verification", "challenge": "c"}).encode()


class Memory:
    """A replay memory in a dictionary; it can be told to fail like a database that is away."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Outcome, datetime]] = {}
        self.fails_on: str | None = None

    def recall(self, key: str) -> Outcome | None:
        self._fail("recall")
        return self.kept[key][0] if key in self.kept else None

    def handling(self, _key: str, _now: datetime) -> AbstractContextManager[None]:
        return nullcontext()

    def remember(self, key: str, outcome: Outcome, now: datetime) -> None:
        self._fail("remember")
        self.kept[key] = (outcome, now)

    def _fail(self, method: str) -> None:
        if self.fails_on == method:
            raise OSError("canary: the database is away")


class Behind:
    """An app that keeps the payloads it is asked and answers what it is told."""

    def __init__(self, status: int = 200, *, fails: bool = False) -> None:
        self.status = status
        self.fails = fails
        self.asked: list[Payload] = []

    def __call__(self, payload: Payload) -> Outcome:
        self.asked.append(payload)
        if self.fails:
            raise RuntimeError("canary: what the customer wrote")
        return Outcome(self.status, "application/json", b'{"answer": %d}' % len(self.asked))


def gate(app: Callable[[Payload], Outcome], memory: Memory | None = None, **options: Any) -> Gate:
    secrets = options.pop("signing_secrets", (SECRET, OLD_SECRET))
    return Gate(app, signing_secrets=secrets, memory=memory or Memory(), clock=lambda: NOW, **options)


def request(
    body: bytes = CHALLENGE, content_type: str = JSON, *, secret: str = SECRET, stamp: str | None = None, **changes: Any
) -> WSGIEnvironment:
    """A signed request; ``changes`` replace keys of the environment, and None removes one."""
    stamp = stamp if stamp is not None else str(int(NOW.timestamp()))
    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode("utf-8", "replace") + b":" + body, hashlib.sha256)
    environ: WSGIEnvironment = {}
    setup_testing_defaults(environ)
    environ |= {
        "REQUEST_METHOD": "POST",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": "/slack/events",
        "QUERY_STRING": "",
        "CONTENT_TYPE": content_type,
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_X_SLACK_REQUEST_TIMESTAMP": stamp,
        "HTTP_X_SLACK_SIGNATURE": f"v0={digest.hexdigest()}",
        "wsgi.input": io.BytesIO(body),
    }
    return {name: value for name, value in (environ | changes).items() if value is not None}


def answer(app: Callable[..., Iterable[bytes]], environ: WSGIEnvironment) -> tuple[int, bytes]:
    statuses: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], object]:
        assert all(isinstance(part, str) for header in headers for part in header)
        assert error is None
        statuses.append(status)
        return lambda data: pytest.fail(f"nobody writes {data!r}")

    chunks = app(environ, start_response)
    body = b"".join(chunks)
    if hasattr(chunks, "close"):
        chunks.close()
    return int(statuses[0][:3]), body


def test_a_signed_request_reaches_the_app_whose_answer_comes_back_whole() -> None:
    behind = Behind()
    assert answer(validator(gate(behind)), request()) == (200, b'{"answer": 1}')
    assert behind.asked[0].body == {"type": "url_verification", "challenge": "c"}


def test_both_secrets_are_taken_while_one_replaces_the_other() -> None:
    assert answer(gate(Behind()), request(secret=OLD_SECRET))[0] == 200
    assert answer(gate(Behind(), signing_secrets=(SECRET,)), request(secret=OLD_SECRET))[0] == 401


@pytest.mark.parametrize("signature", [None, "", "v0=", "v0=" + "0" * 64, "v0=é", "v1=" + "0" * 64])
def test_an_unsigned_request_is_not_even_parsed(signature: str | None) -> None:
    behind = Behind()
    environ = request(b"{", HTTP_X_SLACK_SIGNATURE=signature)
    assert answer(gate(behind), environ) == (401, b"The signature does not fit.")
    assert behind.asked == []


def test_a_body_changed_on_the_way_is_refused() -> None:
    assert answer(gate(Behind()), request() | {"wsgi.input": io.BytesIO(CHALLENGE.replace(b'"c"', b'"d"'))})[0] == 401


@pytest.mark.parametrize(("seconds", "status"), [(-301, 401), (-300, 200), (0, 200), (300, 200), (301, 401)])
def test_a_timestamp_may_be_five_minutes_off(seconds: int, status: int) -> None:
    assert answer(gate(Behind()), request(stamp=str(int(NOW.timestamp()) + seconds)))[0] == status


@pytest.mark.parametrize("stamp", ["", "now", "1e9", "-1", " 1", "1.0", "١٢٣", "0" * 5000])
def test_a_timestamp_that_is_no_number_is_refused(stamp: str) -> None:
    assert answer(gate(Behind()), request(stamp=stamp))[0] == 400


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"PATH_INFO": "/"}, 404),
        ({"PATH_INFO": "/slack/events/"}, 404),
        ({"PATH_INFO": "/healthz"}, 404),
        ({"REQUEST_METHOD": "GET"}, 404),
        ({"REQUEST_METHOD": "PUT"}, 404),
        ({"CONTENT_LENGTH": None}, 411),
        ({"CONTENT_LENGTH": ""}, 411),
        ({"HTTP_TRANSFER_ENCODING": "chunked"}, 411),
        ({"CONTENT_LENGTH": "-1"}, 400),
        ({"CONTENT_LENGTH": "ten"}, 400),
        ({"CONTENT_LENGTH": "999"}, 400),
        ({"CONTENT_LENGTH": "1001"}, 413),
        ({"CONTENT_LENGTH": "9" * 5000}, 413),
        ({"CONTENT_TYPE": "text/plain"}, 400),
        ({"CONTENT_TYPE": None}, 400),
    ],
)
def test_what_goes_elsewhere_or_has_no_fit_length_is_refused(changes: dict[str, Any], status: int) -> None:
    behind = Behind()
    assert answer(gate(behind, max_bytes=1000), request(**changes))[0] == status
    assert behind.asked == []


def test_a_body_that_is_too_large_is_not_read() -> None:
    body = io.BytesIO(b"x" * 2000)
    assert answer(gate(Behind(), max_bytes=1000), request() | {"CONTENT_LENGTH": "2000", "wsgi.input": body})[0] == 413
    assert body.tell() == 0


def test_a_client_that_goes_away_is_no_failure() -> None:
    class Gone(io.BytesIO):
        def read(self, _size: int | None = -1, /) -> bytes:
            raise ConnectionResetError

    assert answer(gate(Behind()), request() | {"wsgi.input": Gone()})[0] == 400


def test_a_replayed_request_is_told_what_the_first_was_told_and_done_once() -> None:
    behind, memory = Behind(201), Memory()
    first = answer(gate(behind, memory), request())
    assert answer(gate(behind, memory), request()) == first == (201, b'{"answer": 1}')
    assert len(behind.asked) == 1
    assert list(memory.kept.values()) == [(Outcome(201, "application/json", b'{"answer": 1}'), NOW)]


def test_the_same_payload_signed_anew_is_another_request() -> None:
    behind, memory = Behind(), Memory()
    answer(gate(behind, memory), request())
    answer(gate(behind, memory), request(stamp=str(int(NOW.timestamp()) + 1)))
    assert len(behind.asked) == 2


@pytest.mark.parametrize("status", [404, 500, 302])
def test_what_did_not_succeed_may_be_tried_again(status: int) -> None:
    behind, memory = Behind(status), Memory()
    assert answer(gate(behind, memory), request())[0] == status
    assert memory.kept == {}
    answer(gate(behind, memory), request())
    assert len(behind.asked) == 2


def test_a_failure_behind_is_a_plain_sentence_and_a_line_without_words_of_people(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "errata.gate")
    memory = Memory()
    assert answer(gate(Behind(fails=True), memory), request()) == (
        500,
        b"Something failed here. Try again in a moment.",
    )
    assert memory.kept == {}
    assert caplog.messages == ["failed: error=RuntimeError status=500"]
    caplog.set_level(logging.DEBUG, "errata.gate")
    answer(gate(Behind(fails=True), memory), request())
    assert "RuntimeError: canary" in caplog.text


def test_a_memory_that_is_away_lets_nothing_through_but_denies_nothing_done() -> None:
    behind, memory = Behind(), Memory()
    memory.fails_on = "recall"
    assert answer(gate(behind, memory), request())[0] == 500
    assert behind.asked == []
    memory.fails_on = "remember"
    assert answer(gate(behind, memory), request()) == (200, b'{"answer": 1}')


def test_a_refusal_is_one_line_with_a_reason_and_a_size(caplog: pytest.LogCaptureFixture) -> None:
    body = urlencode({"payload": json.dumps({"type": "canary", "token": "canary"})}).encode()
    answer(gate(Behind()), request(body, FORM))
    answer(gate(Behind()), request(body, FORM, HTTP_X_SLACK_SIGNATURE="canary"))
    answer(gate(Behind()), request(PATH_INFO="/canary", CONTENT_LENGTH="canary\n"))
    assert caplog.messages == [
        f"refused: reason=payload status=400 size={len(body)} detail=its type is unknown here",
        f"refused: reason=signature status=401 size={len(body)} detail=none",
        "refused: reason=path status=404 size=unknown detail=none",
    ]


def test_what_is_not_signed_does_not_steer_the_app() -> None:
    heard: list[str] = []
    app = bolt(listening=False)

    def press(ack: Any) -> None:
        heard.append("ack")
        ack()

    app.shortcut("review")(ack=press, lazy=[lambda: heard.append("lazy")])
    shortcut = request(urlencode({"payload": json.dumps(INTERACTIONS[-2])}).encode(), FORM)
    unsigned = {"QUERY_STRING": "a=b", "HTTP_X_SLACK_BOLT_LAZY_ONLY": "1"}
    assert answer(gate(through(app)), shortcut | unsigned)[0] == 200
    assert heard[0] == "ack"


@pytest.mark.parametrize("secrets", [(), ("",), (SECRET, " ")])
def test_a_gate_without_a_secret_is_not_built(secrets: tuple[str, ...]) -> None:
    with pytest.raises(Invalid, match="SLACK_SIGNING_SECRET"):
        gate(Behind(), signing_secrets=secrets)


# --- the real Bolt behind ------------------------------------------------------------------------


def bolt(*, listening: bool) -> App:
    """A Bolt app as ours is built; with ``listening``, something listens to everything, by patterns."""
    app = App(
        process_before_response=True,
        token_verification_enabled=False,
        request_verification_enabled=False,
        authorize=lambda: AuthorizeResult(enterprise_id="E1", team_id="T1", bot_token="xoxb-1", bot_user_id="UBOT"),
        logger=logging.getLogger("silent"),
    )

    def listen(ack: Any, body: Any, payload: Any, context: Any) -> None:
        assert isinstance(payload, dict)
        assert body
        assert context
        ack()

    def listen_to_event(body: Any, event: Any, context: Any) -> None:
        assert event["type"]
        assert body["event_id"]
        assert context

    if listening:
        anything = re.compile("")
        app.message(re.compile("Hello"))(listen_to_event)
        app.function(anything)(listen)
        app.event({"type": "message", "subtype": [anything]})(listen_to_event)
        app.event(anything)(listen_to_event)
        app.command(anything)(listen)
        app.action({"block_id": "other", "action_id": anything})(listen)
        app.action(anything)(listen)
        app.options(anything)(listen)
        app.shortcut(anything)(listen)
        app.view(anything)(listen)
        app.view_closed(anything)(listen)
    return app


LISTENING, DEAF = bolt(listening=True), bolt(listening=False)

_EVENT = {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "authorizations": [{"team_id": "T1"}]}
_PERSON = {"team": {"id": "T1"}, "user": {"id": "U1", "team_id": "T1"}, "trigger_id": "1.2", "enterprise": None}
_VIEW = {
    "id": "V1",
    "hash": "1.a",
    "type": "modal",
    "blocks": [{"type": "divider", "block_id": "b"}],
    "callback_id": "correct",
    "private_metadata": "",
    "state": {"values": {"block": {"element": {"type": "plain_text_input", "value": "Better"}}}},
}
_ACTION = {"type": "button", "action_id": "approve", "block_id": "b", "value": "1"}
_MESSAGE = {"type": "message", "ts": "1.2", "user": "U1", "channel": "C1", "text": "Hello", "channel_type": "im"}
EVENTS: list[dict[str, Any]] = [
    {"type": "url_verification", "challenge": "c"},
    *(
        _EVENT | {"event": event}
        for event in (
            _MESSAGE,
            _MESSAGE | {"thread_ts": "1.1", "bot_id": "B1"},
            {
                "type": "message",
                "subtype": "message_changed",
                "channel": "C1",
                "message": _MESSAGE,
                "previous_message": {},
            },
            {"type": "reaction_added", "user": "U1", "item": {"type": "message", "channel": "C1", "ts": "1.2"}},
            {"type": "app_home_opened", "user": "U1", "channel": "D1", "tab": "messages", "view": _VIEW},
            {"type": "team_join", "user": {"id": "U1", "team_id": "T1"}},
            {"type": "tokens_revoked", "tokens": {"bot": ["U1"]}},
            {
                "type": "function_executed",
                "function": {"callback_id": "f"},
                "function_execution_id": "Fx1",
                "inputs": {},
            },
            {
                "type": "assistant_thread_started",
                "assistant_thread": {"user_id": "U1", "channel_id": "D1", "thread_ts": "1.2", "context": {}},
            },
        )
    ),
    _EVENT | {"is_ext_shared_channel": True, "event": _MESSAGE | {"user_team": "T2", "team": "T1"}},
]
INTERACTIONS: list[dict[str, Any]] = [
    _PERSON | {"type": "block_actions", "actions": [_ACTION], "channel": {"id": "C1"}, "message": _MESSAGE},
    _PERSON | {"type": "block_actions", "actions": [_ACTION], "view": _VIEW, "response_url": "https://x.test"},
    _PERSON | {"type": "block_suggestion", "action_id": "a", "block_id": "b", "value": "x", "view": _VIEW},
    _PERSON | {"type": "view_submission", "view": _VIEW, "response_urls": []},
    _PERSON | {"type": "view_closed", "view": _VIEW, "is_cleared": False},
    _PERSON | {"type": "message_action", "callback_id": "correct", "channel": {"id": "C1"}, "message": _MESSAGE},
    _PERSON | {"type": "shortcut", "callback_id": "review"},
    _PERSON | {"type": "shortcut", "callback_id": "review", "team": None, "enterprise": {"id": "E1"}},
]
COMMANDS: list[dict[str, Any]] = [
    {"command": "/errata", "text": text, "team_id": "T1", "user_id": "U1", "trigger_id": "1.2", "channel_id": "C1"}
    for text in ("", "help payload", "{")
]
VALID = [*EVENTS, *INTERACTIONS, *COMMANDS]


def sent(payload: Any, sample: dict[str, Any]) -> WSGIEnvironment:
    """The payload, whatever became of it, in the way in which Slack sends the sample."""
    if sample in EVENTS:
        return request(json.dumps(payload).encode(), JSON)
    fields = payload if sample in COMMANDS and isinstance(payload, dict) else {"payload": json.dumps(payload)}
    return request(urlencode(fields, errors="replace").encode(), FORM)


@pytest.mark.parametrize("payload", VALID, ids=lambda payload: str(payload.get("type", payload.get("text"))))
def test_what_slack_sends_is_acknowledged(payload: dict[str, Any]) -> None:
    assert answer(gate(through(LISTENING)), sent(payload, payload))[0] == 200


FIELDS = [
    *(
        "type",
        "event",
        "team",
        "team_id",
        "enterprise",
        "enterprise_id",
        "user",
        "user_id",
        "channel",
        "channel_id",
        "id",
    ),
    *("view", "actions", "action_id", "block_id", "callback_id", "command", "authorizations", "is_enterprise_install"),
    *("is_ext_shared_channel", "response_url", "response_urls", "message", "previous_message", "item", "thread_ts"),
    *("assistant_thread", "function_data", "function", "inputs", "ssl_check", "app_installed_team_id", "workflow_step"),
]
VALUES: list[Any] = [
    *(
        None,
        True,
        0,
        7,
        1.5,
        "",
        "x",
        "T1",
        [],
        {},
        [None],
        [{}],
        [{}, {}],
        ["x"],
        {"id": 7},
        {"id": None},
        {"id": "x"},
    ),
    *(
        "message",
        "workflow_step",
        "workflow_step_execute",
        "assistant_thread_started",
        "function_executed",
        "block_actions",
    ),
    *("dialog_submission", "interactive_message", "event_callback", {"type": 7}, {"callback_id": 7}, [[[]]]),
    *(float("nan"), float("inf"), 10**400, "\ud800", "\0", {"": {}}, [{"team_id": 7}], [{"response_url": 7}]),
]


def _places(value: Any) -> Iterator[Any]:
    """Every object and list inside a payload, itself included."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _places(inner)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Any, dict[str, Any]]:
    """A payload of Slack's after up to four accidents, and the sample that it was."""
    sample = draw(st.sampled_from(VALID))
    payload = deepcopy(sample)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.sampled_from(list(_places(payload))))
        keys = [*place, *FIELDS] if isinstance(place, dict) else [*range(len(place))]
        if not keys:
            continue
        key = draw(st.sampled_from(keys))
        if draw(st.booleans()) and (isinstance(place, list) or key in place):
            del place[key]
        else:
            place[key] = deepcopy(draw(st.sampled_from(VALUES)))
    return payload, sample


@seed(20261120)
@settings(max_examples=400, deadline=None, database=None)
@given(mutated())
def test_no_signed_payload_makes_bolt_fail(mutation: tuple[Any, dict[str, Any]]) -> None:
    payload, sample = mutation
    status, _ = answer(gate(through(LISTENING)), sent(payload, sample))
    assert status == 200 if payload == sample else status in {200, 400}
    assert answer(gate(through(DEAF)), sent(payload, sample))[0] in {200, 400, 404}


@seed(20261120)
@settings(max_examples=300, deadline=None, database=None)
@given(mutated())
def test_no_socket_mode_payload_that_passes_makes_bolt_fail(mutation: tuple[Any, dict[str, Any]]) -> None:
    payload, sample = mutation
    envelope = "events_api" if sample in EVENTS else "slash_commands" if sample in COMMANDS else "interactive"
    try:
        body = parse_socket({"type": envelope, "payload": payload}).body
    except PayloadError:
        assert payload != sample
        return
    assert LISTENING.dispatch(BoltRequest(body=body, mode="socket_mode")).status == 200
    assert DEAF.dispatch(BoltRequest(body=body, mode="socket_mode")).status in {200, 404}


@seed(20261120)
@settings(max_examples=200, deadline=None, database=None)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from([b"[1]", b"null", b"{", b'{"team":7}', b"[" * 50_000, b"payload=" + b"%5B" * 50_000, b"a;b&c"]),
        st.text(max_size=40).map(lambda text: urlencode({"payload": text}).encode()),
    ),
    st.sampled_from([JSON, FORM, "application/json ;x", "", "é"]),
)
def test_no_signed_bytes_make_bolt_fail(body: bytes, content_type: str) -> None:
    assert answer(gate(through(LISTENING)), request(body, content_type))[0] in {400, 411}
