"""Flagged replies that nobody has corrected: the list of them, and what becomes of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import Office, open_office
from sqlalchemy import text

from bot.blocks import flags as blocks
from bot.sandbox.errors import SandboxRefusal
from bot.sandbox.people import Person
from bot.speech import speaking
from bot.variables import FLAG_REACTION
from curation import audit, flagged, people
from curation.policies import RoleName

EVENTS = frozenset({"message", "reaction_added", "reaction_removed"})


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    """An office whose bot hears what happens in its channels."""
    with open_office(tmp_path) as opened:
        opened.workspace.subscriptions = EVENTS
        yield opened


def flag(office: Office, ts: str, *names: str, added: bool = True) -> None:
    for name in names:
        office.people[name].react(office.channel, ts, FLAG_REACTION, added=added)
    office.workspace.wait_until_delivered()


def reply(office: Office, said: str, *flagged_by: str) -> str:
    """A reply of the assistant to a question, and who minds it."""
    _, ts = office.ask("How long does the filter last?", said)
    flag(office, ts, *flagged_by)
    return ts


def listed(office: Office, person: Person) -> str:
    """The list in front of this person, once the messages are read."""
    office.workspace.wait_until(
        lambda: person.modal is not None and "Reading the message" not in json.dumps(person.modal),
        what="the list with the messages",
    )
    return json.dumps(person.modal, ensure_ascii=False)


def open_list(office: Office, person: Person) -> str:
    person.command("/errata", "flags", office.channel)
    return listed(office, person)


def shows(office: Office, person: Person, words: str, *, no: bool = False) -> None:
    office.workspace.wait_until(lambda: (words in json.dumps(person.modal, ensure_ascii=False)) is not no, what=words)


def source(office: Office, ts: str) -> str:
    return f"{office.workspace.team_id}/{office.channel}/{ts}"


def waiting(office: Office) -> list[str]:
    with office.store.read() as session:
        return [one.source for one in flagged.waiting(session, limit=50)]


def test_the_list_shows_what_was_said_who_minds_it_and_the_way_there(desk: Office) -> None:
    reply(desk, "Nobody minds this.")
    ts = reply(desk, "It lasts for ever.", "ana", "ben")
    shown = open_list(desk, desk.ana)
    assert "It lasts for ever." in shown
    assert "Nobody minds" not in shown
    assert "2 people mind it: Ana, Ben." in shown
    assert f"channel={desk.channel}&message_ts={ts}" in shown


def test_what_most_people_mind_comes_first_then_what_waits_longest(desk: Office) -> None:
    first, second, third = (reply(desk, said) for said in ("One.", "Two.", "Three."))
    flag(desk, second, "ana")
    flag(desk, first, "ana")
    flag(desk, third, "ana", "ben")
    assert waiting(desk) == [source(desk, ts) for ts in (third, second, first)]


def test_a_correction_from_the_list_takes_the_reply_off_it(desk: Office) -> None:
    ts = reply(desk, "It lasts for ever.", "ben")
    open_list(desk, desk.ana)
    desk.ana.click_in_modal(blocks.CORRECT, "flag:1")
    shows(desk, desk.ana, "correct_submit")
    assert desk.ana.submit({"correction": "Six months."}) == {}
    assert waiting(desk) == []
    with desk.store.read() as session:
        (row,) = session.connection().execute(text("SELECT source, turns FROM candidates")).all()
    assert row.source == source(desk, ts)
    assert "How long does the filter last?" in row.turns


def test_what_is_not_wrong_leaves_the_list_and_comes_back_with_a_new_flag(desk: Office) -> None:
    ts = reply(desk, "It lasts six months.", "ben")
    open_list(desk, desk.ana)
    desk.ana.click_in_modal(blocks.DISMISS, "flag:1")
    shows(desk, desk.ana, "No flagged reply waits")
    with desk.store.read() as session:
        (entry,) = audit.search(session, action="reply.not_wrong")
        assert entry.actor == desk.actor("ana").person_id
    flag(desk, ts, "ben", added=False)
    assert waiting(desk) == []
    flag(desk, ts, "ben")
    assert waiting(desk) == [source(desk, ts)]


def test_more_pressed_in_a_list_of_another_version_says_so(desk: Office) -> None:
    for number in range(blocks.SHOWN + 1):
        reply(desk, f"Number {number}.", "ben")
    open_list(desk, desk.ana)
    desk.forge(desk.ana, blocks.MORE, "page 2")
    desk.ana.click_in_modal(blocks.MORE)
    shows(desk, desk.ana, "is from another version of Errata")


def test_more_pressed_by_somebody_who_may_not_flag_any_more_says_so(desk: Office) -> None:
    for number in range(blocks.SHOWN + 1):
        reply(desk, f"Number {number}.", "ben")
    open_list(desk, desk.ana)
    with desk.store.write() as session:
        ana = desk.actor("ana").person_id
        people.revoke(session, desk.actor("olga"), desk.ahead(), person=ana, role=RoleName.AGENT)
    desk.ana.click_in_modal(blocks.MORE)
    shows(desk, desk.ana, "Not possible")


def test_not_wrong_pressed_by_two_people_is_said_once(desk: Office) -> None:
    reply(desk, "It lasts six months.", "bea")
    for person in (desk.ana, desk.ben):
        open_list(desk, person)
    for person in (desk.ana, desk.ben):
        person.click_in_modal(blocks.DISMISS, "flag:1")
        shows(desk, person, "No flagged reply waits")
    shows(desk, desk.ben, "somebody was faster")
    with desk.store.read() as session:
        assert len(audit.search(session, action="reply.not_wrong")) == 1


def test_of_two_who_correct_the_same_reply_the_second_is_told_and_keeps_the_text(desk: Office) -> None:
    reply(desk, "It lasts for ever.", "bea")
    for person in (desk.ana, desk.ben):
        open_list(desk, person)
        person.click_in_modal(blocks.CORRECT, "flag:1")
        shows(desk, person, "correct_submit")
    assert desk.ana.submit({"correction": "Six months."}) == {}
    errors = desk.ben.submit({"correction": "Half a year."})
    assert "Already corrected by Ana" in str(errors)
    assert "Half a year." in json.dumps(desk.ben.modal)


def test_a_flag_that_is_taken_back_while_the_form_is_open_stops_no_correction(desk: Office) -> None:
    ts = reply(desk, "It lasts for ever.", "ben")
    open_list(desk, desk.ana)
    desk.ana.click_in_modal(blocks.CORRECT, "flag:1")
    shows(desk, desk.ana, "correct_submit")
    flag(desk, ts, "ben", added=False)
    assert desk.ana.submit({"correction": "Six months."}) == {}
    with desk.store.read() as session:
        assert session.connection().execute(text("SELECT count(*) FROM candidates")).scalar_one() == 1


def test_a_message_that_was_deleted_unheard_of_leaves_the_list_once_somebody_looks(desk: Office) -> None:
    kept, gone = reply(desk, "It lasts for ever.", "ben"), reply(desk, "Nonsense.", "ben")
    desk.workspace.subscriptions = frozenset()  # the event that tells of it is lost
    desk.bris.delete(desk.channel, gone)
    shown = open_list(desk, desk.ana)
    assert "It lasts for ever." in shown
    assert gone not in shown
    assert waiting(desk) == [source(desk, kept)]


def test_a_message_deleted_while_the_list_is_open_cannot_be_corrected_and_says_so(desk: Office) -> None:
    ts = reply(desk, "It lasts for ever.", "ben")
    open_list(desk, desk.ana)
    desk.bris.delete(desk.channel, ts)
    desk.ana.click_in_modal(blocks.CORRECT, "flag:1")
    shows(desk, desk.ana, "That message is deleted")
    desk.ana.close_modal()
    desk.ana.close_modal()
    assert "No flagged reply waits" in open_list(desk, desk.ana)


def test_the_list_shows_nobody_the_words_of_a_channel_that_slack_would_not_show_them(desk: Office) -> None:
    insiders = [desk.customer, desk.bris, desk.ben]
    private = desk.workspace.add_channel("complaints", insiders, is_private=True)
    thread = desk.customer.post(private, "My address is wrong.")
    ts = desk.bris.post(private, "You live in Hagen 3.", thread_ts=thread)
    desk.ben.react(private, ts, FLAG_REACTION)
    desk.workspace.wait_until_delivered()
    assert "Hagen 3" in open_list(desk, desk.ben)
    shown = open_list(desk, desk.ana)
    assert "Hagen 3" not in shown
    assert "You or Errata cannot see this message." in shown
    desk.ana.click_in_modal(blocks.CORRECT, "flag:1")
    shows(desk, desk.ana, "cannot see that message")


def test_where_slack_does_not_answer_the_list_says_so_and_nothing_leaves_it(desk: Office) -> None:
    ts = reply(desk, "It lasts for ever.", "ben")
    desk.workspace.fail_next("conversations.replies", "not_in_channel")
    assert "You or Errata cannot see this message." in open_list(desk, desk.ana)
    assert waiting(desk) == [source(desk, ts)]


def test_somebody_without_a_role_sees_no_list_and_dismisses_nothing(desk: Office) -> None:
    ts = reply(desk, "It lasts for ever.", "ben")
    answer = desk.customer.command("/errata", "flags", desk.channel)
    assert "may not flag and correct replies" in str(answer.get("text"))
    open_list(desk, desk.ana)
    with desk.store.write() as session:
        owner, ana = desk.actor("olga"), desk.actor("ana").person_id
        people.revoke(session, owner, desk.ahead(), person=ana, role=RoleName.AGENT)
    desk.ana.click_in_modal(blocks.DISMISS, "flag:1")
    desk.workspace.wait_until_delivered()
    assert waiting(desk) == [source(desk, ts)]


@pytest.mark.parametrize("forged", ["nonsense", "T1/C1", "T9/C9/1.1", "../1.1", "T1/C1/1.1; DROP TABLE replies"])
def test_a_forged_place_changes_nothing(desk: Office, forged: str) -> None:
    ts = reply(desk, "It lasts for ever.", "ben")
    open_list(desk, desk.ana)
    with desk.workspace.state.lock:
        top = desk.workspace.views.top(desk.ana.user_id)
        assert top is not None
        for block in top.record["blocks"]:
            for element in block.get("elements", []) if block["type"] == "actions" else []:
                element["value"] = forged
    for action_id in (blocks.DISMISS, blocks.CORRECT):
        desk.ana.click_in_modal(action_id, "flag:1")
    desk.workspace.wait_until_delivered()
    assert waiting(desk) == [source(desk, ts)]


def test_a_long_list_is_turned_page_by_page(desk: Office) -> None:
    for number in range(blocks.SHOWN + 2):
        reply(desk, f"Answer {number}.", "ben")
    shown = open_list(desk, desk.ana)
    assert "*12 flagged replies* wait" in shown
    assert "Answer 9." in shown
    assert "Answer 10." not in shown
    desk.ana.click_in_modal(blocks.MORE)
    shows(desk, desk.ana, "Answer 11.")
    shows(desk, desk.ana, "Answer 9.", no=True)


def test_what_somebody_wrote_can_neither_ping_nor_link_in_the_list(desk: Office) -> None:
    reply(desk, "Ask <!channel> or https://evil.test " + "x" * 3000, "ben")
    shown = open_list(desk, desk.ana)
    assert "<!channel>" not in shown
    assert "https://evil" not in shown


def test_the_list_speaks_the_language_of_whoever_opens_it(desk: Office) -> None:
    reply(desk, "It lasts for ever.", "ben")
    words: dict[str, Any] = {}
    for language in ("english", "deutsch"):
        desk.ana.command("/errata", f"language {language}", desk.channel)
        open_list(desk, desk.ana)
        assert desk.ana.modal is not None
        words[language] = len(desk.ana.modal["title"]["text"])
        desk.ana.close_modal()
    assert all(length <= 24 for length in words.values())


def test_nobody_can_press_what_the_list_no_longer_shows(desk: Office) -> None:
    reply(desk, "It lasts for ever.", "ben")
    open_list(desk, desk.ana)
    desk.ana.click_in_modal(blocks.DISMISS, "flag:1")
    shows(desk, desk.ana, "No flagged reply waits")
    with pytest.raises(SandboxRefusal):
        desk.ana.click_in_modal(blocks.DISMISS, "flag:1")


def test_a_form_that_slack_does_not_open_from_the_list_is_told_in_the_readers_language(desk: Office) -> None:
    reply(desk, "It lasts for ever.", "ben")
    desk.ana.command("/errata", "language deutsch", desk.channel)
    desk.ana.command("/errata", "flags", desk.channel)
    shows(desk, desk.ana, "It lasts for ever.")
    desk.workspace.fail_next("views.open", "expired_trigger_id")
    desk.ana.click_in_modal(blocks.CORRECT, "flag:1")
    desk.workspace.wait_until(lambda: desk.ana.dms, what="the answer")
    english = "Slack did not open the form in time. Nothing is lost: press the button again."
    assert desk.ana.dms[-1]["text"] == speaking("de")(english) != english
