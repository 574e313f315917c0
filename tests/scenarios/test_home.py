"""App Home: what each person sees, that it follows what they do, and that it stays within Slack's limits."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from builders import Office, Team
from sqlmodel import select

from bot import dashboard
from bot.app import now
from bot.blocks import home as blocks
from bot.sandbox import limits
from bot.sandbox.people import Person
from bot.speech import OWN_NAMES, Say
from curation import people
from curation.policies import RoleName, Standing
from curation.reviews import Verdict
from curation.store.tables import Person as Known
from training.runs import RunStatus
from training.store.tables import Run

EVENTS = frozenset({"app_home_opened"})


@pytest.fixture
def crowd(office: Office) -> Team:
    office.workspace.subscriptions = EVENTS
    actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
    return Team(office.store, 1, f"{office.workspace.team_id}/{office.channel}", **actors)


def opened(office: Office, person: Person) -> str:
    """What somebody reads on the page after opening it."""
    before = person.home
    person.open_home()
    office.workspace.wait_until(
        lambda: person.home is not None and (before is None or person.home["hash"] != before["hash"]), what="App Home"
    )
    return page(person)


def page(person: Person) -> str:
    assert person.home is not None
    return json.dumps(person.home["blocks"], ensure_ascii=False)


def settled(office: Office, person: Person, text: str) -> None:
    office.workspace.wait_until(lambda: text in page(person), what=f"{text!r} on the page")


def test_somebody_without_a_role_reads_what_errata_is_and_whom_to_ask(office: Office, crowd: Team) -> None:
    assert crowd
    told = opened(office, office.customer)
    assert "Olga can give you a role." in told
    assert "its next, better model" in told
    assert "wait" not in told


def test_a_guest_is_thanked_and_sees_nothing(office: Office, crowd: Team) -> None:
    crowd.approve("How long?", "Six months.")
    with office.store.write() as session:
        session.get_one(Known, office.actor("ben").person_id).standing = Standing.GUEST.value
    told = opened(office, office.ben)
    assert "for members of this workspace" in told
    assert "review" not in told


def test_an_agent_sees_what_became_of_their_corrections_and_reworks_what_came_back(office: Office, crowd: Team) -> None:
    crowd.flag("Where is my parcel?", "On its way.")
    back = crowd.flag("Is it waterproof?", "Yes.")
    crowd.decide(back, Verdict.RETURN, comment="Say up to what depth.")
    crowd.approve("How long does the filter last?", "Six months.")
    told = opened(office, office.ana)
    assert "1 pending · 1 returned · 1 approved" in told
    assert "wait for review" not in told
    assert "The data" not in told
    office.ana.click_in_home("review_amend")
    assert office.ana.modal is not None
    assert "Say up to what depth." in json.dumps(office.ana.modal)


def test_a_reviewer_sees_their_queue_and_begins_from_it(office: Office, crowd: Team) -> None:
    crowd.flag("Where is my parcel?", "On its way.")
    crowd.flag("Is it waterproof?", "Yes.", by=crowd.ben)
    told = opened(office, office.ben)
    assert "2 wait for review" in told
    assert "1 for you · 1 is yours" in told
    for title in ("This week", "The data", "The model"):
        assert f"*{title}*" in told
    office.ben.click_in_home("review_open")
    assert office.ben.modal is not None
    assert "Where is my parcel?" in json.dumps(office.ben.modal)


def test_an_owner_starts_a_freeze_and_a_run_from_the_page(office: Office, crowd: Team) -> None:
    crowd.approve("How long does the filter last?", "Six months.")
    crowd.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    assert "2 examples are approved." in opened(office, office.olga)
    office.olga.click_in_home("home_command_freeze")
    assert office.olga.submit({"name": "spring", "share": "50%"}) == {}
    crowd.freeze("v1")
    office.olga.click_in_home("home_command_train")
    assert office.olga.submit({"dataset": "v1", "model": "rehearsal", "recipe": "default"}) == {}
    with office.store.read() as session:
        run = session.exec(select(Run)).one()
    assert run.destinations[0] == f"person:{office.actor('olga').person_id}"
    settled(office, office.olga, run.id)  # the page follows what its reader does


def test_the_page_follows_a_command_and_a_press_on_refresh(office: Office, crowd: Team) -> None:
    assert "Nothing waits for review." in opened(office, office.ben)
    crowd.flag("Where is my parcel?", "On its way.")
    office.ben.click_in_home("home_refresh")
    settled(office, office.ben, "1 waits for review")
    crowd.flag("Is it waterproof?", "Yes.")
    office.ben.command("/errata", "help", office.channel)
    settled(office, office.ben, "2 wait for review")


def test_an_operator_sees_the_models_and_no_corrections(office: Office, crowd: Team) -> None:
    assert crowd
    with office.store.write() as session:
        someone = office.actor("customer").person_id
        people.grant(session, office.actor("olga"), now(), person=someone, role=RoleName.OPERATOR)
    told = opened(office, office.customer)
    assert "*The model*" in told
    assert "Your corrections" not in told


def test_help_language_and_costs_open_in_a_modal(office: Office, crowd: Team) -> None:
    assert crowd
    opened(office, office.ana)
    for name, expected in (("help", "/errata freeze"), ("costs", "electricity"), ("language", "Deutsch")):
        office.ana.click_in_home(f"home_command_{name}")
        assert office.ana.modal is not None
        assert expected in json.dumps(office.ana.modal, ensure_ascii=False)


def test_a_form_that_slack_does_not_open_in_time_is_told_in_a_direct_message(office: Office, crowd: Team) -> None:
    crowd.flag("How long?", "Six months.")
    opened(office, office.olga)
    office.workspace.views._trigger_seconds = -1.0
    for number, action in enumerate(("home_command_language", "review_open"), start=1):
        office.olga.click_in_home(action)
        assert office.olga.modal is None
        office.workspace.wait_until(lambda number=number: len(office.olga.dms) == number, what="a direct message")
    assert all("press the button again" in message["text"] for message in office.olga.dms)


def test_the_messages_tab_publishes_nothing(office: Office, crowd: Team) -> None:
    assert crowd
    office.ana.open_home("messages")
    office.workspace.wait_until_delivered()
    assert office.ana.home is None


@pytest.mark.parametrize("language", sorted(OWN_NAMES))
def test_the_page_is_within_the_limits_with_many_rows_and_long_names_in_every_language(
    office: Office, crowd: Team, language: str
) -> None:
    for number in range(12):
        candidate = crowd.flag(f"{'<!channel> ' * 300} {number}", "Six months. " * 400)
        if number % 2:
            crowd.decide(candidate, Verdict.RETURN, comment="No. " * 500)
    with office.store.write() as session:
        session.get_one(Known, office.actor("ana").person_id).display_name = "Ana " * 20
    for number in range(4):
        crowd.approve(f"How long does filter {number} last?", "Six months.")
    crowd.freeze("v1")
    with office.store.write() as session:
        people.grant(session, crowd.olga, now(), person=crowd.ana.person_id, role=RoleName.OWNER)
        for number in range(5):
            session.add(
                Run(
                    id=f"run-{number}",
                    dataset_id=1,
                    backend="local",
                    model=f"/models/{'x' * 2_000}",
                    recipe_name="phi-lora",
                    recipe={},
                    status=RunStatus.COMPLETED.value,
                    progress={},
                    destinations=[],
                    requested_by=crowd.olga.person_id,
                    requested_at=now() + timedelta(seconds=number),
                )
            )
    with office.store.read() as session:
        seen = dashboard.gather(session, crowd.ana, now())
    view = blocks.page(Say(language), seen, now())
    limits.check_view(view, kind="home")
    assert "<!channel>" not in json.dumps(view)
