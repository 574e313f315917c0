"""``/errata`` in Slack: every sub-command, with and without its words, by whoever may and whoever may not."""

from __future__ import annotations

import json

import pytest
from builders import Office, Team
from sqlmodel import select

from bot.app import now
from bot.listeners.commands.asked import split
from bot.listeners.commands.table import SUBCOMMANDS
from bot.sandbox.people import Person
from curation import assistants, people
from curation.datasets import requested
from curation.errors import Invalid
from curation.policies import RoleName
from curation.store.tables import FreezeRequest
from curation.store.tables import Person as Known
from training.deployments import DeploymentStatus
from training.runs import RunStatus
from training.store.tables import Confirmation, Deployment, Run

LONG = "The filter lasts for six months, then it has to be changed. " * 1_500


@pytest.fixture
def crowd(office: Office) -> Team:
    """The office's people, as a team without Slack."""
    actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
    return Team(office.store, 1, f"{office.workspace.team_id}/{office.channel}", **actors)


@pytest.fixture
def stocked(office: Office, crowd: Team) -> Office:
    """With a dataset ``v1``."""
    crowd.approve("How long does the filter last?", "Six months.")
    crowd.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    crowd.freeze("v1")
    return office


def said(office: Office, words: str, person: Person | None = None) -> str:
    return str((person or office.olga).command("/errata", words, office.channel).get("text", ""))


def shown(person: Person) -> str:
    """The modal in front of somebody, as text."""
    assert person.modal is not None
    return json.dumps(person.modal, ensure_ascii=False)


def all_runs(office: Office) -> list[Run]:
    with office.store.read() as session:
        return list(session.exec(select(Run)))


def add_run(office: Office, name: str, status: RunStatus = RunStatus.COMPLETED) -> None:
    with office.store.write() as session:
        session.add(
            Run(
                id=name,
                dataset_id=1,
                backend="local",
                model="rehearsal",
                recipe_name="rehearsal",
                recipe={},
                status=status.value,
                progress={},
                destinations=[],
                requested_by=office.actor("olga").person_id,
                requested_at=now(),
            )
        )


def add_deployment(office: Office, run: str, status: DeploymentStatus) -> None:
    with office.store.write() as session:
        live_at = None if status is DeploymentStatus.REQUESTED else now()
        session.add(
            Deployment(
                run_id=run,
                status=status.value,
                requested_by=office.actor("olga").person_id,
                requested_at=now(),
                live_at=live_at,
                retired_at=now() if status is DeploymentStatus.RETIRED else None,
            )
        )


def speak(office: Office, name: str, language: str) -> None:
    with office.store.write() as session:
        session.get_one(Known, office.actor(name).person_id).language = language


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("freeze “spring one” 10%", ["freeze", "spring one", "10%"]),
        ("freeze „Frühling“ 10％", ["freeze", "Frühling", "10%"]),
        ("train\u3000v1\u3000phi-4", ["train", "v1", "phi-4"]),
        ("freeze ana's", ["freeze", "ana's"]),
        ("freeze 'a b'", ["freeze", "a b"]),
        ("", []),
    ],
)
def test_words_are_told_apart_as_phones_and_keyboards_write_them(typed: str, words: list[str]) -> None:
    assert split(typed) == words


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("roles grant <@U0123ABCD|ana> reviewer", ["roles", "grant", "<@U0123ABCD>", "reviewer"]),
        ("roles grant <@W0123ABCD> owner", ["roles", "grant", "<@W0123ABCD>", "owner"]),
        ("freeze <http://v1.de|v1.de> 10%", ["freeze", "v1.de", "10%"]),
        ("freeze <#C0123ABCD|help>", ["freeze", "#help"]),
        (
            "correct <https://a.slack.com/archives/C1/p1?thread_ts=1.2&amp;cid=C1>",
            ["correct", "https://a.slack.com/archives/C1/p1?thread_ts=1.2&cid=C1"],
        ),
        ("train &lt;b&gt; <!channel> a<b", ["train", "<b>", "<!channel>", "a<b"]),
        ("train &amp;lt;", ["train", "&lt;"]),
    ],
)
def test_what_slack_marks_up_is_read_as_it_was_meant(typed: str, words: list[str]) -> None:
    assert split(typed) == words


def test_a_quotation_mark_that_is_never_closed_is_pointed_out() -> None:
    with pytest.raises(Invalid, match="A quotation mark is missing"):
        split("freeze “spring")


def test_help_lists_every_sub_command_and_explains_each_with_an_example(office: Office) -> None:
    answer = said(office, "")
    for name in SUBCOMMANDS:
        assert f"`/errata {name}`" in answer
        assert f"`/errata {name}" in said(office, f"help {name}")
    assert "Example: `/errata freeze spring 10%`" in said(office, "HELP Freeze")


def test_an_unknown_word_gets_the_nearest_one(office: Office) -> None:
    assert said(office, "frezze") == "There is no command frezze. Did you mean /errata freeze?"
    assert said(office, "help trian") == "There is no command trian. Did you mean /errata train?"
    assert said(office, "xyzzy <!channel>") == "There is no command xyzzy: /errata help lists what there is."


@pytest.mark.parametrize("name", ["queue", "review", "stats", "check", "freeze", "train", "cancel", "deploy"])
def test_somebody_without_a_role_is_told_so_in_their_language_and_nothing_opens(stocked: Office, name: str) -> None:
    assert "may not" in said(stocked, name, stocked.customer)
    assert stocked.customer.modal is None
    speak(stocked, "customer", "de")
    assert said(stocked, name, stocked.customer)


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("name", sorted(SUBCOMMANDS))
def test_every_sub_command_answers_an_owner_without_any_words(stocked: Office, name: str, language: str) -> None:
    add_run(stocked, "run-1a2b")
    speak(stocked, "olga", language)
    answer = stocked.olga.command("/errata", name, stocked.channel)
    assert answer.get("text") or stocked.olga.modal is not None


def test_review_opens_on_what_waits_and_the_queue_has_the_button(office: Office, crowd: Team) -> None:
    crowd.flag("Where is my parcel?", "On its way.")
    assert "1 waits for review" in said(office, "queue", office.ben)
    said(office, "review", office.ben)
    assert "Where is my parcel?" in shown(office.ben)


def test_a_freeze_is_asked_for_in_a_form_and_once_however_often_it_is_sent(stocked: Office) -> None:
    said(stocked, "freeze")
    errors = stocked.olga.submit({"name": "spring", "share": "a lot"})
    assert "neither a share nor a file" in errors["share"]
    assert stocked.olga.submit({"name": "v1", "share": "10%"})["name"].startswith("There is a dataset named v1")
    assert stocked.olga.submit({"name": "spring", "share": "20%", "since": "2026-01-02"}) == {}
    assert "*spring* is being frozen" in shown(stocked.olga)
    with stocked.store.read() as session:
        (request,) = session.exec(select(FreezeRequest)).all()
        assert request.options == {"validation_share": 0.2, "since": "2026-01-02T00:00:00+00:00"}
        assert request.place == f"{stocked.workspace.team_id}/{stocked.channel}"


def test_what_was_approved_before_the_day_is_left_out(stocked: Office) -> None:
    said(stocked, "freeze")
    assert stocked.olga.submit({"name": "late", "share": "20%", "since": "2200-01-01"}) == {}
    requested.step(stocked.store, now())
    with stocked.store.read() as session:
        (request,) = session.exec(select(FreezeRequest)).all()
        assert "no example was approved since 2200-01-01" in str(request.reason)


def test_a_dataset_is_checked_and_a_misspelt_one_suggested(stocked: Office) -> None:
    assert said(stocked, "check", stocked.ben).startswith("*v1*: ")
    assert said(stocked, "check v1") == said(stocked, "check")
    assert said(stocked, "check vv1") == "There is no dataset vv1. Did you mean v1?"


def test_a_checked_dataset_is_trained_from_the_button_below_it_by_whoever_may(stocked: Office) -> None:
    said(stocked, "check", stocked.ben)
    assert "train_open" not in json.dumps(stocked.ben.ephemerals[-1]["blocks"])
    said(stocked, "check")
    stocked.olga.click(stocked.channel, stocked.olga.ephemerals[-1]["ts"], "train_open")
    assert stocked.olga.modal is not None
    assert stocked.olga.modal["state"]["values"]["dataset"]["value"]["selected_option"]["value"] == "v1"
    assert stocked.olga.submit({"model": "rehearsal"}) == {}
    assert len(all_runs(stocked)) == 1


def test_a_rehearsal_starts_at_once(stocked: Office) -> None:
    assert "is requested" in said(stocked, "train v1 rehearsal")
    (run,) = all_runs(stocked)
    assert run.model == "rehearsal"


def test_without_a_dataset_a_form_asks_and_a_rehearsal_starts_from_it(stocked: Office) -> None:
    said(stocked, "train")
    assert stocked.olga.submit({"dataset": "v1", "model": "rehearsal", "recipe": "default"}) == {}
    assert "is requested" in shown(stocked.olga)
    assert len(all_runs(stocked)) == 1


def test_anything_else_is_asked_about_twice(stocked: Office) -> None:
    assert said(stocked, "train v1 phi-4") == ""
    told = shown(stocked.olga)
    for part in ("v1", "phi-4", "phi-lora", "*Time* unknown", "*Cost* no money", "rows to train on"):
        assert part in told
    assert all_runs(stocked) == []
    assert stocked.olga.submit() == {}
    assert "is requested" in shown(stocked.olga)
    (run,) = all_runs(stocked)
    assert (run.model, run.recipe_name, run.destinations[0]) == (
        "phi-4",
        "phi-lora",
        f"{stocked.workspace.team_id}/{stocked.channel}",
    )


def test_the_form_asks_a_second_time_in_the_same_modal(stocked: Office) -> None:
    said(stocked, "train")
    assert stocked.olga.submit({"dataset": "v1", "model": "phi-4", "recipe": "phi-lora"}) == {}
    assert "Start this run?" in shown(stocked.olga)
    assert all_runs(stocked) == []


def test_a_confirmation_that_is_pressed_twice_starts_one_run(stocked: Office) -> None:
    said(stocked, "train v1 phi-4")
    first = submitted_twice(stocked)
    assert len(all_runs(stocked)) == 1
    assert all_runs(stocked)[0].id in first


def submitted_twice(office: Office) -> str:
    """Press *Start* in two windows of one question; what the second shows."""
    olga = office.olga
    assert olga.modal is not None
    held = olga.modal["private_metadata"]
    olga.submit()
    said(office, "train v1 phi-4")
    with office.workspace.state.lock:
        office.workspace.views.stacks[olga.user_id][-1].record["private_metadata"] = held
    olga.submit()
    return shown(olga)


def test_a_question_of_somebody_else_starts_nothing(stocked: Office) -> None:
    with stocked.store.write() as session:
        people.grant(session, stocked.actor("olga"), now(), person=stocked.actor("bea").person_id, role=RoleName.OWNER)
    bea = stocked.people["bea"]
    said(stocked, "train v1 phi-4")
    assert stocked.olga.modal is not None
    said(stocked, "train v1 phi-4", bea)
    with stocked.workspace.state.lock:
        stocked.workspace.views.stacks[bea.user_id][-1].record["private_metadata"] = stocked.olga.modal[
            "private_metadata"
        ]
    bea.submit()
    assert "Olga was asked about this run" in shown(bea)
    assert all_runs(stocked) == []


def test_a_forged_question_starts_nothing(stocked: Office) -> None:
    said(stocked, "train v1 phi-4")
    with stocked.workspace.state.lock:
        stocked.workspace.views.stacks[stocked.olga.user_id][-1].record["private_metadata"] = "99999"
    stocked.olga.submit()
    assert "not known here" in shown(stocked.olga)
    assert all_runs(stocked) == []


def test_a_role_that_was_revoked_meanwhile_starts_nothing(stocked: Office) -> None:
    owner, bea = stocked.actor("olga"), stocked.people["bea"]
    with stocked.store.write() as session:
        people.grant(session, owner, now(), person=stocked.actor("bea").person_id, role=RoleName.OWNER)
    said(stocked, "train v1 phi-4", bea)
    with stocked.store.write() as session:
        people.revoke(session, owner, now(), person=stocked.actor("bea").person_id, role=RoleName.OWNER)
    bea.submit()
    assert "Bea may not start and cancel runs" in shown(bea)
    assert all_runs(stocked) == []


def test_a_question_of_a_quarter_of_an_hour_ago_starts_nothing(stocked: Office) -> None:
    said(stocked, "train v1 phi-4")
    with stocked.store.write() as session:
        asked = session.exec(select(Confirmation)).one()
        asked.expires_at = now()
    stocked.olga.submit()
    assert "more than 15 minutes ago" in shown(stocked.olga)
    assert all_runs(stocked) == []


def test_what_has_changed_since_is_said_and_asked_about_again(stocked: Office) -> None:
    said(stocked, "train v1 phi-4")
    with stocked.store.write() as session:
        assistants.set_prompt(session, stocked.actor("olga"), now(), name="Bris", text="Be brief.")
    stocked.olga.submit()
    told = shown(stocked.olga)
    assert "Something has changed since" in told
    assert "1 finding is new." in told
    assert all_runs(stocked) == []
    stocked.olga.submit()
    assert "is requested" in shown(stocked.olga)
    assert len(all_runs(stocked)) == 1


def test_an_error_in_the_data_leaves_nothing_to_confirm(office: Office, crowd: Team) -> None:
    crowd.approve("How long does the filter last?", LONG)
    crowd.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    said(office, "freeze long 50%")
    requested.step(office.store, now())
    said(office, "train long phi-4")
    told = shown(office.olga)
    assert "phi-4 takes 16,384" in told
    assert "has to be mended" in told
    assert office.olga.modal is not None
    assert not office.olga.modal["submit"]


def test_runs_are_listed_with_buttons_for_whoever_may_press_them(stocked: Office) -> None:
    add_run(stocked, "run-done")
    add_run(stocked, "run-going", RunStatus.TRAINING)
    assert said(stocked, "runs").startswith("2 runs, newest first:")
    buttons = json.dumps(stocked.olga.ephemerals[-1]["blocks"])
    for action_id in ("run_details", "run_cancel", "run_deploy"):
        assert action_id in buttons
    said(stocked, "runs", stocked.ana)
    buttons = json.dumps(stocked.ana.ephemerals[-1]["blocks"])
    assert "run_details" in buttons
    assert "run_cancel" not in buttons
    stocked.ana.click(stocked.channel, stocked.ana.ephemerals[-1]["ts"], "run_details", "line_0")
    assert "run-" in shown(stocked.ana)


def test_a_run_is_named_by_its_beginning_and_a_misspelt_one_suggested(stocked: Office) -> None:
    add_run(stocked, "run-1a2b3c4d", RunStatus.TRAINING)
    assert said(stocked, "run run-1a") == ""
    assert "run-1a2b3c4d" in shown(stocked.olga)
    assert said(stocked, "cancel run-1a2b3c4e") == "There is no run run-1a2b3c4e. Did you mean run-1a2b3c4d?"
    assert "cancelling" in said(stocked, "cancel run-1a2b")
    assert said(stocked, "cancel run-1a2b") == said(stocked, "cancel run-1a2b3c4d")


def test_what_can_be_deployed_is_listed_and_what_is_live_is_taken_down(stocked: Office) -> None:
    assert "No run can be deployed" in said(stocked, "deploy")
    assert said(stocked, "undeploy") == "No model of Errata's is live."
    add_run(stocked, "run-one")
    add_run(stocked, "run-two")
    add_deployment(stocked, "run-one", DeploymentStatus.LIVE)
    answer = said(stocked, "deploy")
    assert "run-two" in answer
    assert "*run-one*: completed" not in answer
    assert "*run-one*: completed" in said(stocked, "undeploy")
    listed = stocked.olga.ephemerals[-1]["ts"]
    stocked.olga.click(stocked.channel, listed, "run_undeploy")
    assert said(stocked, "undeploy") == "No model of Errata's is live."
    add_deployment(stocked, "run-two", DeploymentStatus.LIVE)
    assert said(stocked, "undeploy run-two") == "*run-two* is being taken down."


def test_a_rollback_brings_back_what_was_live_before(stocked: Office) -> None:
    assert "No other model was live before" in said(stocked, "rollback")
    add_run(stocked, "run-old")
    add_run(stocked, "run-new")
    add_deployment(stocked, "run-old", DeploymentStatus.RETIRED)
    add_deployment(stocked, "run-new", DeploymentStatus.LIVE)
    assert "may not deploy models" in said(stocked, "rollback", stocked.ben)
    assert said(stocked, "rollback").startswith("*run-old* was live before")
    assert said(stocked, "rollback") == "run-old is on its way to the endpoint: wait until it answers."


def test_costs_are_told_as_far_as_they_are_known(stocked: Office) -> None:
    answer = said(stocked, "costs", stocked.ana)
    for part in ("electricity", "no model of Errata's is live", "*Azure* is not set up here"):
        assert part in answer
    assert "phi-4-mini-instruct" in said(stocked, "models", stocked.ana)


@pytest.mark.parametrize("words", ["runs", "run run-1a2b", "costs"])
def test_nobody_without_a_role_looks_at_runs(stocked: Office, words: str) -> None:
    add_run(stocked, "run-1a2b")
    told = said(stocked, words, stocked.customer)
    assert "may not" in told
    assert "rehearsal" not in told
    assert stocked.customer.modal is None
    with stocked.store.write() as session:
        people.grant(
            session, stocked.actor("olga"), now(), person=stocked.actor("customer").person_id, role=RoleName.OPERATOR
        )
    stocked.customer.command("/errata", words, stocked.channel)  # whichever role it is
    assert "may not" not in str(stocked.customer.modal) + str(stocked.workspace.deliveries[-1].answer)


def test_what_is_asked_for_in_a_direct_message_is_told_to_whoever_asked(stocked: Office) -> None:
    with stocked.workspace.state.lock:
        private = stocked.workspace.state.direct_message(stocked.olga.user_id).channel_id
    stocked.olga.command("/errata", "freeze spring", private)
    stocked.olga.command("/errata", "train v1 rehearsal", private)
    me = f"person:{stocked.actor('olga').person_id}"
    with stocked.store.read() as session:
        assert [one.place for one in session.exec(select(FreezeRequest)) if one.name == "spring"] == [me]
        assert [one.destinations[0] for one in session.exec(select(Run))] == [me]


@pytest.mark.parametrize(
    "text",
    [
        "freeze \x07spring\x1b[31m\x0b\x7f",
        "freeze " + "x" * 20_000,
        "train " + "\u202egnirps\u202c",
        "train 数据集 📦",
        "run " + "%s" * 500,
        "language " + "ß" * 3_000,
        "roles grant " + "@" * 2_000 + " reviewer",
        "help " + "'" * 999,
        "correct <https://x.slack.com/archives/" + "A" * 5_000 + "|x>",
        "check ../../etc/passwd",
        "\u2028queue\u2028",
        "deploy {run} {0} {",
        "digest <!channel>",
        "{name}",
    ],
)
def test_whatever_is_typed_is_answered_with_a_sentence_and_pings_nobody(stocked: Office, text: str) -> None:
    answer = stocked.olga.command("/errata", text, stocked.channel)
    told = json.dumps([answer, stocked.olga.modal or ""])
    assert answer.get("text") or stocked.olga.modal
    assert "<!channel>" not in told
    assert "Something failed" not in told


def test_a_form_that_slack_does_not_open_in_time_is_a_sentence(stocked: Office) -> None:
    stocked.workspace.views._trigger_seconds = -1.0
    assert said(stocked, "train") == "Slack did not open the form in time. Nothing is lost: send the command again."


@pytest.mark.parametrize("words", ["train v1 rehearsal", "freeze spring", "train v1 phi-4", "runs", "freeze"])
def test_a_command_that_arrives_twice_is_done_once_and_answered_alike(stocked: Office, words: str) -> None:
    add_run(stocked, "run-1a2b")
    first = stocked.olga.command("/errata", words, stocked.channel)
    opened = stocked.olga.modal
    (sent,) = [one for one in stocked.workspace.deliveries if one.kind == "command"]
    assert stocked.workspace.redeliver(sent).answer.as_json() == (first or sent.answer.as_json())
    assert stocked.olga.modal == opened
    with stocked.store.read() as session:
        assert len(session.exec(select(Run)).all()) <= 1 + (words == "train v1 rehearsal")
        assert len(session.exec(select(FreezeRequest)).all()) == (words == "freeze spring")
        assert len(session.exec(select(Confirmation)).all()) == (words == "train v1 phi-4")
