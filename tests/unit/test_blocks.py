"""Every message and form with the worst that people write: Slack takes it, nobody is pinged, no button is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bot.blocks import correct, review
from bot.blocks import runs as run_blocks
from bot.blocks import training as training_blocks
from bot.blocks.correct import Form
from bot.blocks.elements import Block, notice_view
from bot.blocks.parts import part_inputs
from bot.sandbox.limits import check_message, check_view
from bot.speech import ENGLISH_SPOKEN
from curation.candidates import Reason
from curation.findings import Finding, Severity
from curation.summaries import CandidateSummary
from training.backends.base import CurvePoint
from training.runs import RunStatus
from training.summaries import RunSummary

LONGEST = 3000
PINGS = "<!channel> <!here|here> <@U12345> <#C1|general> <!subteam^S1> @everyone <http://evil.test|your bank> "
TEXTS = {
    "empty": "",
    "blank": " \n\t\n ",
    "pings": PINGS * 40,
    "links": "https://evil.test/a?b=c&d=<e> www.evil.test mailto:a@evil.test " * 60,
    "backticks": "``` `code` ``` *bold* _it_ ~no~ > quote\n" * 80,
    "entities": "&lt;!channel&gt; &amp;lt; &" * 150,
    "ampersands": "&" * LONGEST,
    "latin": "ä" * LONGEST,
    "chinese": "滤芯可以使用六个月。" * 300,
    "thai": "ไส้กรองใช้งานได้หกเดือน" * 130,
    "emoji": "👩🏽‍🚒" * 750,
    "arabic": "المرشح يدوم ستة أشهر. " * 140,
    "reversed": "\u202egnp.exe\u202c \u2066x\u2069 " * 200,
    "controls": "\x00\x07\x1b[31m\u2028\u2029" * 400,
    "one line each": "a\n" * 1500,
    "one word": "x" * LONGEST,
}

CANDIDATE = CandidateSummary(
    id=7,
    kind="correction",
    status="pending",
    assistant="Bris",
    turns=(("user", "How long does the filter last?"),),
    reply="For ever.",
    correction="Six months.",
    seen=12,
    authors=("Ana",),
    flagged_by="Ana",
    flagged_at="2026-11-20T12:00:00+00:00",
    reason="wrong_fact",
    topic="filters",
    language="en",
    note=None,
    source="T1/C1/1.1",
    remarks=(),
    verdict=None,
    reviewer=None,
    comment=None,
    self_approved=False,
)
REPORT: dict[str, Any] = {
    "sentence": "Better: fixed 2 of 2 corrections, kept 1 of 1 good replies.",
    "scores": {"fixed": 2, "corrections": 2, "kept": 1, "endorsements": 1},
    "held_out": {"fixed": 1, "corrections": 1, "kept": 0, "endorsements": 0},
    "validation": {"candidate": {"perplexity": 2.0, "comparable": True}},
    "unigram_perplexity": 40.0,
    "cases": [],
}
RUN = RunSummary(
    id="run-1a2b3c4d",
    status="requested",
    reason=None,
    dataset="v1",
    backend="local",
    model="rehearsal",
    recipe="rehearsal",
    requested_by="Olga",
    requested_at="2026-11-20T12:00:00+00:00",
    started_at=None,
    ended_at=None,
    step=0,
    steps=0,
    eta_seconds=None,
    notes=(),
    curve=(),
    verdict=None,
    report=None,
    deployment=None,
    endpoint=None,
    test_question=None,
    test_reply=None,
    deployment_reason=None,
)


def hostile_candidate(text: str, status: str, kind: str) -> CandidateSummary:
    return replace(
        CANDIDATE,
        status=status,
        kind=kind,
        assistant=text[:80] or None,
        turns=tuple((("user", "assistant")[turn % 2], text) for turn in range(101)),
        reply=text,
        correction=text,
        authors=(text[:80], "Ben", text[:80]),
        topic=text,
        note=text,
        remarks=(review_remark(),),
        verdict=None if status == "pending" else "approve",
        reviewer=None if status == "pending" else text[:80],
        comment=text,
        self_approved=True,
    )


def review_remark() -> str:
    return "The correction is the same as the reply: it teaches nothing new. An endorsement says it better."


PORTAL = "https://ml.azure.com/runs/run-1a2b3c4d"


def hostile_run(text: str, status: str, deployment: str | None) -> RunSummary:
    case = {
        "id": "1",
        "kind": "correction",
        "messages": [{"role": "user", "content": text}],
        "expected": text,
        "before": text,
        "after": text,
    }
    return replace(
        RUN,
        status=status,
        reason=text,
        model=text[:200],
        requested_by=text[:80],
        step=3,
        steps=10,
        eta_seconds=12.3,
        curve=(CurvePoint(3, 1.25, None, 100.0),),
        verdict="better",
        report={**REPORT, "cases": [case] * 100},
        deployment=deployment,
        endpoint="http://127.0.0.1:8000/v1",
        test_question=text,
        test_reply=text,
        deployment_reason=text,
        backend="foundry",
        notes=(text,) * 9,
        link=f"{PORTAL}?wsid=/subscriptions/1&tid=2",
        hosted=True,
        hourly=1.7,
        filtered=status == "completed",
    )


def messages(text: str) -> Iterator[tuple[str, list[Block]]]:
    """Every message that Errata posts, about this text."""
    for state in RunStatus:
        run = hostile_run(text, state.value, None)
        yield run_blocks.status_text(ENGLISH_SPOKEN, run), run_blocks.status(ENGLISH_SPOKEN, run)
    for deployment in (None, "requested", "live", "failed", "retired", "retiring"):
        run = hostile_run(text, "completed", deployment)
        yield run_blocks.evaluated_text(ENGLISH_SPOKEN, run), run_blocks.evaluated(ENGLISH_SPOKEN, run)
        for live in (None, run.id, "run-2b3c4d5e"):
            line = run_blocks.deployment_text(ENGLISH_SPOKEN, run, live=live)
            yield line, run_blocks.deployment(ENGLISH_SPOKEN, run, live=live, former="run-3c4d5e6f")
        yield run_blocks.idle_text(ENGLISH_SPOKEN, run), run_blocks.idle(ENGLISH_SPOKEN, run)


def several(form: Form, text: str) -> Form:
    """The form of a reply in a thread of as many as a menu takes."""
    choices = [(f"T1/C1/1700000000.{number:06d}", text) for number in range(100)]
    return replace(
        form, choices=choices, shown=choices[7][0], fields=part_inputs(ENGLISH_SPOKEN, "correction", "A", text)
    )


def views(text: str) -> Iterator[Block]:
    """Every form that Errata opens, about this text."""
    turns = [(role, text) for role in ("user", "assistant", "system", "tool") * 25]
    for shown in (None, [], turns[:1], turns):
        form = Form(10**9, text, shown, staff_reply=text, room=text, warning=text)
        yield correct.correct_view(ENGLISH_SPOKEN, form)
        yield correct.correct_view(ENGLISH_SPOKEN, replace(form, prefill=text * 10, edition="1700000000.a1b2c3d4"))
        yield correct.correct_view(ENGLISH_SPOKEN, several(form, text))
        yield correct.endorse_view(ENGLISH_SPOKEN, form)
    yield correct.correct_view(ENGLISH_SPOKEN, Form(1, text, trouble=text))
    yield correct.endorse_view(ENGLISH_SPOKEN, Form(1, text, trouble="The thread is deleted."))
    yield review.amend_view(ENGLISH_SPOKEN, hostile_candidate(text, "returned", "correction"))
    yield notice_view(ENGLISH_SPOKEN, "Not possible", text)
    for deployment in (None, "live", "failed"):
        yield training_blocks.run_view(ENGLISH_SPOKEN, hostile_run(text, "completed", deployment))
    yield correct.looking_view(ENGLISH_SPOKEN)
    yield correct.found_view(
        ENGLISH_SPOKEN, "Your correction is saved.", [Finding("a.b", Severity.WARNING, text, text)] * 2
    )


def mrkdwn(part: Any) -> Iterator[str]:
    """Every text that Slack reads as mrkdwn."""
    if isinstance(part, dict):
        if part.get("type") == "mrkdwn":
            yield part["text"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from mrkdwn(inner)


def assert_harmless(text: str) -> None:
    for mark in ("<!", "<@", "<#", "<http", "<mailto", "@everyone", "http://evil", "https://evil", "\u202e", "\x1b"):
        assert mark not in text


@pytest.mark.parametrize("name", TEXTS)
def test_slack_takes_every_message_and_none_of_them_pings_or_links(name: str) -> None:
    for line, blocks in messages(TEXTS[name]):
        check_message({"text": line, "blocks": blocks})
        for text in (line, *mrkdwn(blocks)):
            assert_harmless(text.removeprefix(f"<{PORTAL}"))


@pytest.mark.parametrize("name", TEXTS)
def test_slack_takes_every_form_and_none_of_them_pings_or_links(name: str) -> None:
    for view in views(TEXTS[name]):
        check_view(view, kind="modal")
        for text in mrkdwn(view):
            assert_harmless(text.replace(f"<{PORTAL}", ""))


def buttons(blocks: list[Block]) -> dict[str, str]:
    """``{action_id: value}`` of every button."""
    rows = [block for block in blocks if block["type"] == "actions"]
    return {element["action_id"]: element["value"] for row in rows for element in row["elements"]}


@pytest.mark.parametrize("status", RunStatus)
def test_a_run_that_goes_on_can_be_cancelled_and_one_that_failed_or_was_cancelled_resumed(status: RunStatus) -> None:
    goes_on = {RunStatus.REQUESTED, RunStatus.TRAINING, RunStatus.EVALUATING, RunStatus.RESUMING}
    offered = dict.fromkeys(goes_on, run_blocks.CANCEL)
    offered |= dict.fromkeys((RunStatus.FAILED, RunStatus.CANCELLED), run_blocks.RESUME)
    found = buttons(run_blocks.status(ENGLISH_SPOKEN, replace(RUN, status=status.value)))
    assert found == ({offered[status]: RUN.id} if status in offered else {})


def test_a_run_shows_which_stage_it_is_in() -> None:
    shown = run_blocks.status(ENGLISH_SPOKEN, replace(RUN, status="training", step=5, steps=10, eta_seconds=60.0))
    (plan,) = (block for block in shown if block["type"] == "plan")
    states = {task["title"]: task["status"] for task in plan["tasks"]}
    assert states == {
        **dict.fromkeys(("Check", "Prepare"), "complete"),
        "Train": "in_progress",
        **dict.fromkeys(("Evaluate", "Gate", "Deploy"), "pending"),
    }
    assert "50%, step 5 of 10" in json.dumps(plan)
    assert "about 1 minute left" in json.dumps(plan)


@pytest.mark.parametrize("deployment", [None, "requested", "live", "retired", "failed"])
def test_only_a_run_that_was_never_deployed_offers_to_be(deployment: str | None) -> None:
    found = buttons(
        run_blocks.evaluated(ENGLISH_SPOKEN, replace(RUN, status="completed", report=REPORT, deployment=deployment))
    )
    assert found == ({run_blocks.DEPLOY: RUN.id} if deployment is None else {})


def test_a_failed_run_says_why_and_what_to_do_next() -> None:
    text = json.dumps(run_blocks.status(ENGLISH_SPOKEN, replace(RUN, status="failed", reason="The disk is full.")))
    assert "The disk is full." in text
    assert f"errata run logs {RUN.id}" in text


def test_the_form_asks_for_the_question_only_where_the_thread_could_not_be_read() -> None:
    def fields(view: Block) -> list[str]:
        return [block["block_id"] for block in view["blocks"] if block["type"] == "input"]

    usual = ["correction", "reason", "topic", "note", "post"]
    assert fields(correct.correct_view(ENGLISH_SPOKEN, Form(1, "x", []))) == usual
    assert fields(correct.correct_view(ENGLISH_SPOKEN, Form(1, "x"))) == usual
    assert fields(correct.correct_view(ENGLISH_SPOKEN, Form(1, "x", trouble="No."))) == ["question", *usual]


def test_the_form_is_prefilled_with_what_a_colleague_answered_already() -> None:
    form = Form(1, "wrong", [], staff_reply="right", prefill="right")
    view = correct.correct_view(ENGLISH_SPOKEN, form)
    (field,) = [block for block in view["blocks"] if block.get("block_id") == "correction"]
    assert field["element"]["initial_value"] == "right"
    assert "What a colleague answered" not in json.dumps(view)


def test_where_somebody_may_have_begun_to_write_the_colleagues_answer_stands_above_instead() -> None:
    view = correct.correct_view(ENGLISH_SPOKEN, Form(1, "wrong", [], staff_reply="right"))
    (field,) = [block for block in view["blocks"] if block.get("block_id") == "correction"]
    assert field["element"]["initial_value"] == "wrong"
    assert "*What a colleague answered*\\nright" in json.dumps(view)


def test_every_reason_can_be_chosen() -> None:
    view = correct.correct_view(ENGLISH_SPOKEN, Form(1, "x", []))
    (field,) = [block for block in view["blocks"] if block.get("block_id") == "reason"]
    assert [option["value"] for option in field["element"]["options"]] == [reason.value for reason in Reason]
