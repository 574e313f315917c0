"""What Slack sends is read strictly, over HTTP and over Socket Mode alike."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.decoding import read_form
from bot.payloads import Kind, Payload, PayloadError, parse, parse_socket

JSON, FORM = "application/json", "application/x-www-form-urlencoded"

COMMAND = {
    "command": "/errata",
    "text": "help",
    "team_id": "T1",
    "user_id": "U1",
    "trigger_id": "1.2",
    "enterprise_id": "",
}
EVENT: dict[str, Any] = {
    "type": "event_callback",
    "team_id": "T1",
    "event_id": "Ev1",
    "enterprise_id": "E1",
    "event": {"type": "message", "channel": "C1", "user": "U1", "text": "Hello"},
}
CLICK: dict[str, Any] = {
    "type": "block_actions",
    "team": {"id": "T1", "domain": "x"},
    "user": {"id": "U1", "team_id": "T1"},
    "enterprise": None,
    "trigger_id": "1.2",
    "channel": {"id": "C1"},
    "actions": [{"type": "button", "action_id": "approve", "block_id": "b"}],
}
IN_VIEW: dict[str, Any] = {
    **CLICK,
    "view": {
        "id": "V1",
        "hash": "1.a",
        "type": "modal",
        "blocks": [{"type": "divider", "block_id": "b"}],
        "state": {"values": {}},
    },
}
SUBMISSION: dict[str, Any] = {
    "type": "view_submission",
    "team": {"id": "T1"},
    "user": {"id": "U1"},
    "view": {"id": "V1", "type": "modal", "callback_id": "correct", "private_metadata": "", "state": {"values": {}}},
}


def posted(payload: Any) -> bytes:
    return urlencode({"payload": json.dumps(payload)}).encode()


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


def test_an_event_is_known_by_its_event_id() -> None:
    payload = parse(f"{JSON}; charset=utf-8", json.dumps(EVENT).encode())
    assert payload == Payload(Kind.EVENT, "T1", "E1", "U1", "Ev1", EVENT)


def test_the_person_behind_an_event_may_come_as_an_object_or_not_at_all() -> None:
    joined = EVENT | {"event": {"type": "team_join", "user": {"id": "U7"}}}
    renamed = EVENT | {"event": {"type": "channel_rename", "channel": {"id": "C1"}}}
    assert parse(JSON, json.dumps(joined).encode()).user_id == "U7"
    assert parse(JSON, json.dumps(renamed).encode()).user_id is None


def test_a_slash_command_is_a_form() -> None:
    assert parse(FORM, urlencode(COMMAND).encode()) == Payload(Kind.COMMAND, "T1", None, "U1", None, dict(COMMAND))


def test_a_command_may_talk_about_a_payload() -> None:
    assert parse(FORM, urlencode(COMMAND | {"text": "help payload"}).encode()).body["text"] == "help payload"


def test_an_interaction_comes_in_the_field_payload() -> None:
    assert parse(FORM, posted(CLICK)) == Payload(Kind.BLOCK_ACTIONS, "T1", None, "U1", None, CLICK)


def test_an_org_wide_install_has_an_enterprise_where_it_has_no_team() -> None:
    org_wide = CLICK | {"team": None, "enterprise": {"id": "E1", "name": "Grid"}}
    payload = parse(FORM, posted(org_wide))
    assert (payload.team_id, payload.enterprise_id) == ("T1", "E1")
    with pytest.raises(PayloadError, match="neither a team nor an enterprise"):
        parse(FORM, posted(CLICK | {"team": None}))


def test_a_url_verification_has_a_challenge() -> None:
    assert parse(JSON, b'{"type": "url_verification", "challenge": "c"}').kind is Kind.URL_VERIFICATION
    with pytest.raises(PayloadError, match="challenge"):
        parse(JSON, b'{"type": "url_verification"}')


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[1]", b"null", b"{", b"7", b'"text"', b'{"team":7}', b"\xff", b"\xef\xbb\xbf{}", b"[" * 100_000),
        *(b'{"a": 1, "a": 1}', b'{"type": []}', b'{"type": "event_callback"}', b'{"type": "block_actions"}'),
        json.dumps(EVENT).replace('"Hello"', "NaN").encode(),
        json.dumps(EVENT | {"n": 1}).replace('"n": 1', '"n": 1e999').encode(),
        json.dumps(EVENT | {"n": 1}).replace('"n": 1', '"n": ' + "1" * 5000).encode(),
        json.dumps(EVENT | {"n": 1}).replace('"n"', '"team_id"').encode(),
        json.dumps(EVENT | {"deep": nested(32)}).encode(),
        json.dumps(EVENT | {"text": "\ud800"}).encode(),
        json.dumps(EVENT | {"\0": "text"}).encode(),
        json.dumps(EVENT | {"command": "/errata"}).encode(),
    ],
)
def test_what_is_not_the_json_of_an_event_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadError):
        parse(JSON, body)


def test_the_deepest_payload_is_thirty_two_levels() -> None:
    assert parse(JSON, json.dumps(EVENT | {"deep": nested(31)}).encode()).kind is Kind.EVENT


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"payload", b"payload=", b"payload=%5B1%5D", b"payload=null", b"command=%FF", b"command"),
        posted(CLICK) + b"&" + posted(CLICK),
        posted(CLICK) + b"&command=%2Ferrata",
        posted(EVENT),
        *(urlencode(COMMAND).encode() + end for end in (b"%", b"%4", b"%zz", b"%\n41", b"&", b"&=&", b"%00")),
        urlencode(COMMAND).encode() + b"&user_id=U2",
        urlencode(COMMAND | {"command": "errata"}).encode(),
        urlencode(COMMAND | {"event": "x"}).encode(),
        urlencode(COMMAND | {"type": "block_actions"}).encode(),
        urlencode(COMMAND | {"user_id": ""}).encode(),
        urlencode(COMMAND | {f"field{number}": "" for number in range(100)}).encode(),
    ],
)
def test_what_is_not_a_form_of_slacks_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadError):
        parse(FORM, body)


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@settings(max_examples=200, deadline=None, database=None)
@given(st.dictionaries(WORDS, WORDS, max_size=5), st.sampled_from([quote, quote_plus]))
def test_a_form_is_read_as_it_was_written(fields: dict[str, str], way: Any) -> None:
    form = read_form(urlencode({"a": "=%", **fields}, quote_via=way).encode())
    assert {name: value.decode() for name, value in form.items()} == {"a": "=%", **fields}


@pytest.mark.parametrize("content_type", ["", "text/plain", "multipart/form-data", "application/jsonp"])
def test_other_content_types_are_refused(content_type: str) -> None:
    with pytest.raises(PayloadError, match="content type"):
        parse(content_type, json.dumps(EVENT).encode())


def test_json_is_for_events_only() -> None:
    with pytest.raises(PayloadError, match="type is unknown"):
        parse(JSON, json.dumps(CLICK).encode())


def wrong(payload: dict[str, Any], path: str, *values: Any) -> list[dict[str, Any]]:
    """The payload once with each of these values at ``event.type`` or ``actions``."""
    outer, _, inner = path.partition(".")
    return [payload | {outer: payload[outer] | {inner: value} if inner else value} for value in values]


@pytest.mark.parametrize(
    "payload",
    [
        *wrong(EVENT, "team_id", None, "", 7, []),
        *wrong(EVENT, "event_id", None, "", 7, []),
        *wrong(EVENT, "event", None, "", 7, [], {}, {"type": "assistant_thread_started", "channel": "C1"}),
        *wrong(EVENT, "event.type", None, 7),
        *wrong(EVENT, "event.channel", None, {"id": "C1"}),
        *wrong(EVENT, "event.text", None, 7),
        *wrong(EVENT, "event.user", 7, ["U1"]),
        *wrong(EVENT, "event.item", "x", 7),
        *wrong(EVENT, "event.message", "x", [], {"user": 7}),
        *wrong(EVENT, "authorizations", "x", [None], [{"team_id": 7}]),
        *wrong(CLICK, "user", "U1", None, {}, {"id": 7}, {"id": ""}),
        *wrong(CLICK, "team", 7, "T1", {}, {"id": None}),
        *wrong(CLICK, "actions", None, [], {}, [None], [{}], [{"action_id": "a"}], "actions"),
        *wrong(CLICK, "view", None, 3, []),
        *(payload for key in ("id", "hash", "blocks") for payload in wrong(IN_VIEW, f"view.{key}", None, 3)),
        *wrong(IN_VIEW, "view.blocks", [None], [{}], [{"type": "divider"}], [{"type": "divider", "block_id": 3}]),
        *wrong(IN_VIEW, "view.state", None, {}, {"values": 1.5}, {"values": {"b": 1.5}}, {"values": {"b": {"a": []}}}),
        {key: value for key, value in CLICK.items() if key != "channel"},
        *wrong(SUBMISSION, "view.blocks", [None], [{}], [{"type": "divider"}]),
        *wrong(CLICK, "event", None, {}, EVENT["event"]),
        *wrong(CLICK, "message", 3, []),
        *wrong(CLICK, "channel", 3, []),
        *wrong(CLICK, "trigger_id", None, 3),
        *wrong(CLICK, "response_urls", None, {}, [3], [{}, {}]),
        *wrong(CLICK, "response_url", 7),
        *wrong(CLICK, "type", "dialog_submission", "interactive_message", "workflow_step_edit"),
        *wrong(SUBMISSION, "view", 3, None, {}, []),
        *(payload for key in SUBMISSION["view"] for payload in wrong(SUBMISSION, f"view.{key}", None, 3)),
        *wrong(SUBMISSION, "view.state", {}, {"values": []}, {"values": {"b": 1}}, {"values": {"b": {"a": 1}}}),
        *wrong(SUBMISSION, "view.type", "workflow_step"),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_in_both_modes(payload: dict[str, Any]) -> None:
    event = payload["type"] == "event_callback"
    with pytest.raises(PayloadError):
        parse(*((JSON, json.dumps(payload).encode()) if event else (FORM, posted(payload))))
    with pytest.raises(PayloadError):
        parse_socket({"type": "events_api" if event else "interactive", "payload": payload})


@pytest.mark.parametrize(
    ("envelope_type", "payload"), [("events_api", EVENT), ("interactive", CLICK), ("slash_commands", COMMAND)]
)
def test_socket_mode_reads_the_same_payloads(envelope_type: str, payload: dict[str, Any]) -> None:
    body = {"events_api": json.dumps(payload), "interactive": posted(payload).decode()}.get(envelope_type)
    http = parse(JSON if envelope_type == "events_api" else FORM, (body or urlencode(payload)).encode())
    assert parse_socket({"type": envelope_type, "envelope_id": "1", "payload": payload}) == http


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        {"type": "hello"},
        {"type": ["interactive"], "payload": CLICK},
        {"type": "interactive", "payload": [CLICK]},
        {"type": "interactive", "payload": EVENT},
        {"type": "interactive", "payload": COMMAND},
        {"type": "slash_commands", "payload": CLICK},
        {"type": "slash_commands", "payload": COMMAND | {"text": 7}},
        {"type": "events_api", "payload": EVENT | {"n": float("nan")}},
        {"type": "events_api", "payload": EVENT | {"deep": nested(32)}},
    ],
)
def test_a_strange_envelope_is_refused(envelope: dict[str, Any]) -> None:
    with pytest.raises(PayloadError):
        parse_socket(envelope)


def test_a_refusal_and_a_payload_show_nothing_that_somebody_wrote() -> None:
    assert "Hello" not in repr(parse(JSON, json.dumps(EVENT).encode()))
    with pytest.raises(PayloadError) as refusal:
        parse(JSON, json.dumps(EVENT | {"canary": 1, "team": ["canary"]}).encode())
    assert refusal.value.reason == "team is neither text nor an object"
    assert "canary" not in str(refusal.value)


def test_a_form_that_names_no_blocks_has_none() -> None:
    view = {"id": "V1", "callback_id": "review_verdict", "type": "modal", "private_metadata": ""}
    view |= {"state": {"values": {"comment": {"value": {"type": "plain_text_input", "value": "No."}}}}}
    sent = {**CLICK, "type": "view_submission", "view": view}
    sent = {key: value for key, value in sent.items() if key not in {"actions", "channel", "message"}}
    assert parse(FORM, posted(sent)).body["view"]["blocks"] == []
