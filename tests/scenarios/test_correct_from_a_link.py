"""``/errata correct LINK``: the form of a reply that somebody has the address of, if Slack would show it to them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import Office
from sqlmodel import select

from bot.connection import slack_client
from bot.sandbox.people import Person
from curation.store.tables import Candidate, Capture

WRONG, RIGHT = "It lasts for ever.", "A filter lasts six months."


def rows(office: Office, table: type) -> list[Any]:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def link(office: Office, ts: str, channel: str | None = None) -> str:
    client = slack_client(office.settings)
    return str(client.chat_getPermalink(channel=channel or office.channel, message_ts=ts)["permalink"])


def ask(office: Office, address: str, person: Person | None = None) -> str:
    """Send the command and wait for what the modal says at last."""
    person = person or office.ana
    person.command("/errata", f"correct {address}", office.channel)
    office.wait_for_thread(person)
    return json.dumps(person.modal, ensure_ascii=False)


def private(office: Office, *members: str) -> tuple[str, str]:
    """A private channel with the assistant in it, and a wrong reply there."""
    people = [office.people[name] for name in ("customer", "bris", *members)]
    channel = office.workspace.add_channel("vip", people, is_private=True)
    root = office.customer.post(channel, "How long?")
    return channel, office.bris.post(channel, WRONG, thread_ts=root)


def test_the_form_of_the_linked_reply_opens_with_its_thread(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG, aside="Six months, I think.")
    form = ask(office, link(office, reply))
    assert "How long?" in form
    assert WRONG in form
    assert office.ana.submit({"correction": RIGHT, "reason": "wrong_fact"}) == {}
    (candidate,) = rows(office, Candidate)
    assert (candidate.reply, candidate.reason) == (WRONG, "wrong_fact")
    assert candidate.turns == [{"role": "user", "content": "How long?"}]


def test_it_works_from_another_channel_and_from_the_direct_message(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    office.ana.command("/errata", f"correct {link(office, reply)}", office.ana.dm_channel)
    office.wait_for_thread(office.ana)
    assert office.ana.submit({"correction": RIGHT}) == {}
    assert rows(office, Candidate)[0].source.split("/")[1] == office.channel


@pytest.mark.parametrize("form", ["<{link}>", "<{link}|that reply>", "{bare}"])
def test_a_link_is_taken_as_slack_or_a_phone_writes_it(office: Office, form: str) -> None:
    _, reply = office.ask("How long?", WRONG)
    address = link(office, reply)
    assert WRONG in ask(office, form.format(link=address, bare=address.partition("?")[0]))


def test_a_colleagues_answer_below_it_is_the_correction_to_begin_with(office: Office) -> None:
    root, reply = office.ask("How long?", WRONG)
    office.ben.post(office.channel, RIGHT, thread_ts=root)
    ask(office, link(office, reply))
    assert office.ana.submit({}) == {}
    office.deliver()
    assert rows(office, Candidate)[0].reply == WRONG


def test_without_a_link_the_answer_says_where_links_come_from(office: Office) -> None:
    answer = office.ana.command("/errata", "correct", office.channel)
    assert "*Copy link*" in answer["text"]
    assert office.ana.modal is None


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("that one", "no link to a message in Slack"),
        ("https://evil.test/archives/C0123/p1700000000000100", "no link to a message in Slack"),
        ("slack://channel?team=T99&id=C0123&message=1700000000.000100", "another workspace"),
    ],
)
def test_what_is_no_link_into_this_workspace_is_answered_at_once(office: Office, address: str, says: str) -> None:
    assert says in office.ana.command("/errata", f"correct {address}", office.channel)["text"]
    assert office.ana.modal is None


def test_a_permalink_of_another_workspace_is_told_by_its_name(office: Office) -> None:
    form = ask(office, "https://lumen.slack.com/archives/C0123456/p1700000000000100")
    assert "leads to another workspace" in form


def test_a_message_that_was_deleted_is_said_to_be(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    address = link(office, reply)
    office.bris.delete(office.channel, reply)
    assert "That message is deleted" in ask(office, address)
    assert rows(office, Capture) == []


def test_a_message_of_a_person_is_no_reply_of_the_assistant(office: Office) -> None:
    root, _ = office.ask("How long?", WRONG)
    assert "not by an assistant that Errata watches" in ask(office, link(office, root))


def test_a_reply_that_is_corrected_already_names_by_whom(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    office.correct(office.ben, reply, RIGHT)
    assert "Already corrected by Ben, pending" in ask(office, link(office, reply))


def test_somebody_without_a_role_is_refused_before_anything_is_read(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    answer = office.customer.command("/errata", f"correct {link(office, reply)}", office.channel)
    assert "may not flag" in answer["text"]
    assert office.customer.modal is None


def test_a_member_of_a_private_channel_corrects_in_it(office: Office) -> None:
    channel, reply = private(office, "ana")
    assert WRONG in ask(office, link(office, reply, channel))


def test_nobody_reads_a_private_channel_through_errata(office: Office) -> None:
    channel, reply = private(office, "ben")
    form = ask(office, link(office, reply, channel))
    assert "cannot see that message" in form
    assert WRONG not in form
    assert "How long?" not in form
    assert rows(office, Capture) == []


def test_of_a_private_channel_as_of_none_the_same_is_said(office: Office) -> None:
    channel, reply = private(office, "ben")
    there = ask(office, link(office, reply, channel))
    domain = office.workspace.state.identity.team_domain
    nowhere = ask(office, f"https://{domain}.slack.com/archives/C9999999/p1700000000000100")
    said = "You or Errata cannot see that message"
    assert said in there
    assert said in nowhere


def test_whoever_left_the_private_channel_meanwhile_sees_nothing_of_it(office: Office) -> None:
    channel, reply = private(office, "ana", "ben")
    address = link(office, reply, channel)
    office.workspace.remove(channel, office.ana)
    assert WRONG not in ask(office, address)


def test_a_public_channel_is_open_to_every_full_member_and_to_no_guest(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    address = link(office, reply)
    office.workspace.remove(office.channel, office.ana)
    office.ana.command("/errata", f"correct {address}", office.ana.dm_channel)
    office.wait_for_thread(office.ana)
    assert WRONG in json.dumps(office.ana.modal)
    with office.workspace.state.lock:
        office.workspace.state.account(office.ana.user_id).is_restricted = True
    office.ana.command("/errata", f"correct {address}", office.ana.dm_channel)
    office.wait_for_thread(office.ana)
    assert WRONG not in json.dumps(office.ana.modal)


@pytest.mark.parametrize("missing", ["channels:read", "users:read"])
def test_where_slack_does_not_say_who_may_look_nobody_may(office: Office, missing: str) -> None:
    _, reply = office.ask("How long?", WRONG)
    address = link(office, reply)
    office.workspace.remove(office.channel, office.ana)
    everything = {"commands", "chat:write", "channels:history", "channels:read", "users:read"}
    office.workspace.scopes = everything - {missing}
    office.ana.command("/errata", f"correct {address}", office.ana.dm_channel)
    office.wait_for_thread(office.ana)
    form = json.dumps(office.ana.modal)
    assert "errata doctor names the missing scope" in form
    assert WRONG not in form
    assert rows(office, Capture) == []


def test_a_channel_that_errata_was_taken_out_of_says_how_it_comes_back(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    address = link(office, reply)
    office.workspace.remove_errata(office.channel)
    assert "/invite @Errata" in ask(office, address).replace("\u2060", "")


@pytest.mark.parametrize(
    ("method", "fault", "says"),
    [
        ("conversations.members", 500, "does not show that message"),
        ("conversations.members", "drop_answer", "Slack did not answer"),
        ("conversations.replies", "thread_not_found", "That message is deleted"),
        ("conversations.replies", "is_archived", "That channel is archived"),
        ("conversations.replies", "missing_scope", "errata doctor names the missing scope"),
        ("conversations.replies", "something_new", "does not show that message (something_new)"),
    ],
)
def test_whatever_slack_refuses_is_said_in_the_form(office: Office, method: str, fault: str | int, says: str) -> None:
    _, reply = office.ask("How long?", WRONG)
    address = link(office, reply)
    office.workspace.fail_next(method, fault, times=3)
    assert says in ask(office, address)
    assert rows(office, Capture) == []


def test_a_moment_of_too_many_questions_is_waited_out(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    address = link(office, reply)
    office.workspace.fail_next("conversations.replies", "ratelimited", 1)
    assert WRONG in ask(office, address)


def test_a_form_that_is_closed_while_the_message_is_looked_for_stays_closed(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    address = link(office, reply)
    office.workspace.fail_next("conversations.members", "timeout", seconds=0.3)
    office.ana.command("/errata", f"correct {address}", office.channel)
    office.ana.close_modal()
    office.workspace.wait_until(lambda: rows(office, Capture), what="the capture")
    assert office.ana.modal is None
    assert rows(office, Candidate) == []


@pytest.mark.parametrize("fault", ["expired_trigger_id", "exchanged_trigger_id", 500])
def test_where_slack_opens_no_form_the_command_says_so(office: Office, fault: str | int) -> None:
    _, reply = office.ask("How long?", WRONG)
    address = link(office, reply)
    office.workspace.fail_next("views.open", fault)
    assert "send the command again" in office.ana.command("/errata", f"correct {address}", office.channel)["text"]
    assert rows(office, Candidate) == []


def test_in_a_channel_of_thousands_every_member_is_found_and_nobody_else(office: Office) -> None:
    crowd = [office.workspace.add_person(f"Guest {number}") for number in range(1_100)]
    members = [office.customer, office.bris, *crowd]
    channel = office.workspace.add_channel("vip", [*members, office.ana], is_private=True)
    root = office.customer.post(channel, "How long?")
    address = link(office, office.bris.post(channel, WRONG, thread_ts=root), channel)
    assert WRONG in ask(office, address)
    assert WRONG not in ask(office, address, office.ben)
