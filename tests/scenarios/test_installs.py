"""One Errata in two workspaces: installed from a browser, kept apart, removed and installed again."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from builders import PROMPT, Office, furnish, new_workspace, served
from sqlmodel import select

from bot import installations
from bot.app import build, gated, installable, now
from bot.assistant import tasks
from bot.assistant.answerer import Answerer
from bot.assistant.bench import Bench
from bot.assistant.tasks import TaskKind
from bot.blocks.elements import button
from bot.blocks.review import AMEND
from bot.connection import slack_client
from bot.desk import Desk
from bot.installations import Workspaces
from bot.installing import INSTALL_PATH, MOST_BEGUN, issue
from bot.listeners.review import open_review
from bot.notices import Deliverer
from bot.sandbox.people import Person
from bot.sandbox.workspace import Workspace
from bot.variables import REDIRECT_PATH
from bot.weekly import Weekly
from curation import assistants, audit, claims, people, proposals, queue, replies, reviews
from curation.candidates import CandidateStatus
from curation.errors import NotAllowed
from curation.notices import NoticeKind
from curation.people import Actor, person_id
from curation.policies import RoleName
from curation.queue import Filters
from curation.reviews import Verdict, decide
from curation.store.tables import Candidate, InstallState, Notice

COOKIE = "slack-app-oauth-state"


@dataclass
class Two:
    """Errata at work in the office's workspace, and another workspace beside it that has not installed it yet."""

    office: Office
    other: Workspace
    address: str
    workspaces: Workspaces
    lumi: Person
    zoe: Person
    channel: str

    def get(self, path: str, **more: Any) -> httpx.Response:
        return httpx.get(f"{self.address}{path}", trust_env=False, timeout=10, **more)

    def begin(self) -> tuple[str, str]:
        """What the browser is sent to, and the state that it got."""
        answer = self.get(INSTALL_PATH)
        assert answer.status_code == HTTPStatus.FOUND
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "Secure" in cookie
        return answer.headers["location"], cookie.partition(";")[0].partition("=")[2]

    def come_back(self, location: str, state: str | None) -> httpx.Response:
        query = location.partition("?")[2]
        cookie = {"cookie": f"{COOKIE}={state}"} if state else {}
        return self.get(f"{REDIRECT_PATH}?{query}", headers=cookie)

    def install(self) -> httpx.Response:
        """Zoe installs Errata in her workspace."""
        location, state = self.begin()
        return self.come_back(self.other.install(self.zoe, location), state)

    @property
    def zoe_id(self) -> Actor:
        return Actor(person_id(self.other.team_id, self.zoe.user_id))

    def employ(self) -> None:
        """Give Zoe every role in her workspace, and let Lumi be watched there."""
        with self.office.store.write() as session:
            owner = self.office.actor("olga")
            for role in (RoleName.REVIEWER, RoleName.AGENT):
                people.grant(session, owner, now(), person=self.zoe_id.person_id, role=role)
            names = {self.lumi.user_id, str(self.lumi.bot_id)}
            assistants.add(session, owner, now(), name="Lumi", team_id=self.other.team_id, speaks_as=names)
            assistants.set_prompt(session, owner, now(), name="Lumi", text=PROMPT)

    def correct(self, question: str, correction: str) -> int:
        """Zoe corrects a reply of Lumi's in her workspace; the id of the candidate."""
        asked = self.zoe.post(self.channel, question)
        ts = self.lumi.post(self.channel, "For ever.", thread_ts=asked)
        self.zoe.message_shortcut(self.channel, ts, "correct_reply")
        self.office.wait_for_thread(self.zoe)
        assert self.zoe.submit({"correction": correction}) == {}
        with self.office.store.read() as session:
            return max(key for key in session.exec(select(Candidate.id)) if key is not None)

    def deliverer(self) -> Deliverer:
        office = self.office
        return Deliverer(office.store, slack_client(office.settings), office.ahead, clients=self.workspaces.client_for)


@contextmanager
def two_workspaces(home: Path, *, own_token: bool = True, **settings: str) -> Iterator[Two]:
    with new_workspace().serve() as workspace:
        other = Workspace(now=now, rng=random.Random(11), beside=workspace)
        with other.serve():
            lumi, zoe = other.add_bot("Lumi"), other.add_person("Zoe")
            channel = other.add_channel("help", [lumi, zoe])
            app = workspace.app
            more = {"SLACK_CLIENT_ID": app.client_id, "SLACK_CLIENT_SECRET": app.client_secret, **settings}
            if not own_token:
                more["SLACK_BOT_TOKEN"] = ""
            office = furnish(workspace, home, **more)
            workspaces = Workspaces(office.settings, office.store)
            gate = gated(build(office.settings, office.store, workspaces=workspaces), office.settings, office.store)
            with served(installable(gate, office.settings, office.store, workspaces)) as url:
                workspace.deliver_to(url)
                other.deliver_to(url)
                other.subscriptions = frozenset({"tokens_revoked", "app_uninstalled"})
                yield Two(office, other, url.removesuffix("/slack/events"), workspaces, lumi, zoe, channel)
            office.store.close()


def test_a_workspace_installs_errata_from_a_browser_and_nobody_there_may_do_anything_yet(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        assert "not installed in this workspace" in two.zoe.command("/errata", "help", two.channel)["text"]
        page = two.install()
        assert page.status_code == HTTPStatus.OK
        assert f"errata people grant {two.zoe_id.person_id} agent" in page.text
        assert "queue" in str(two.zoe.command("/errata", "help", two.channel))
        assert "may not review" in two.zoe.command("/errata", "stats", two.channel)["text"]
        with two.office.store.read() as session:
            (entry,) = audit.about(session, f"workspace:{two.other.team_id}")
            assert (entry.action, entry.actor) == ("app.installed", two.zoe_id.person_id)


def test_what_happens_in_a_workspace_is_said_there_with_its_own_token(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        two.install()
        two.employ()
        asked = two.zoe.post(two.channel, "How long does it last?")
        ts = two.lumi.post(two.channel, "For ever.", thread_ts=asked)
        two.zoe.message_shortcut(two.channel, ts, "correct_reply")
        two.office.wait_for_thread(two.zoe)
        assert two.zoe.submit({"correction": "Six months."}) == {}
        deliverer = two.deliverer()
        for _ in range(5):
            two.office.wait()
            deliverer.tick()
        said = [message for message in two.other.messages(two.channel) if message.get("bot_id") == two.other.bot_id]
        assert said
        assert two.office.cards() == []


def test_a_reviewer_of_one_workspace_decides_nothing_of_the_other(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        two.install()
        two.employ()
        number = two.office.flag("How long?", "Six months.")
        with two.office.store.write() as session, pytest.raises(NotAllowed, match="belongs to another workspace"):
            decide(session, two.zoe_id, now(), candidate_id=number, verdict=Verdict.APPROVE)
        with two.office.store.write() as session:
            assert claims.take_next(session, two.zoe_id, now()) is None  # it is not even shown
            assert claims.take_next(session, two.office.actor("ben"), now()) == number
        with two.office.store.write() as session, pytest.raises(NotAllowed, match="belongs to another workspace"):
            claims.hold(session, two.zoe_id, now(), number)
        with two.office.store.read() as session:
            assert session.exec(select(Candidate)).one().status == "pending"
            with pytest.raises(NotAllowed, match="another workspace"):
                people.require_at_home(session, two.zoe_id, session.exec(select(Candidate)).one().source)


def test_what_waits_in_one_workspace_is_listed_counted_found_and_shown_in_no_other(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        two.install()
        two.employ()
        theirs = two.office.flag("Where is the secret recipe?", "In the safe.", reply="In the drawer, of course.")
        nothing = str(two.zoe.command("/errata", "queue", two.channel))
        assert "Nothing waits" in nothing
        assert "drawer" not in nothing
        mine = two.correct("How long?", "Six months.")
        listed = str(two.zoe.command("/errata", "queue", two.channel))
        assert "1 waits for review" in listed
        assert "drawer" not in listed
        assert "1 waits for review" in str(two.office.ben.command("/errata", "queue", two.office.channel))
        with two.office.store.read() as session:
            for person, seen in ((two.zoe_id, mine), (two.office.actor("ben"), theirs)):
                for status in (CandidateStatus.PENDING, None):
                    filters = Filters(status, seen_by=person.person_id)
                    assert [one.id for one in queue.page(session, filters).candidates] == [seen]
                    assert queue.waiting(session, filters) == 1
                    found = queue.search(session, "the*", filters).candidates
                    assert [one.id for one in found] == ([theirs] if seen == theirs else [])


def test_nobody_reviews_reworks_or_undoes_what_belongs_to_another_workspace(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        two.install()
        two.employ()
        office = two.office
        theirs = office.flag("Where is the recipe?", "In the safe.", reply="In the drawer.")
        mine = two.correct("How long?", "Six months.")
        two.zoe.global_shortcut("review_corrections")  # the one that waits for somebody else is not hers to decide
        assert two.zoe.modal is not None
        assert "drawer" not in str(two.zoe.modal)
        body = {"user": {"id": two.zoe.user_id, "team_id": two.other.team_id}, "team": {"id": two.other.team_id}}
        desk = Desk(office.store, now, ThreadPoolExecutor(1), workspaces=two.workspaces)
        with office.store.write() as session, pytest.raises(NotAllowed, match="another workspace"):
            open_review(desk, session, body, candidate_id=theirs)
        with office.store.write() as session, pytest.raises(NotAllowed, match="another workspace"):
            proposals.amend(session, two.zoe_id, now(), candidate_id=theirs, correction="In my pocket.")
        with office.store.write() as session, pytest.raises(NotAllowed, match="another workspace"):
            proposals.amend(session, office.actor("ana"), now(), candidate_id=mine, correction="A year.")
        office.decide("ben", theirs, Verdict.APPROVE)
        with office.store.write() as session, pytest.raises(NotAllowed, match="nobody else"):
            reviews.undo(session, two.zoe_id, now(), review_id=1)


def test_a_rework_button_of_another_workspace_opens_nothing_to_read(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        two.install()
        two.employ()
        theirs = two.office.flag("Where is the recipe?", "In the safe.", reply="In the drawer.")
        carried = [{"type": "actions", "elements": [button("Rework", AMEND, str(theirs))]}]
        client = two.workspaces.client_for(f"{two.other.team_id}/{two.channel}")
        ts = client.chat_postMessage(channel=two.channel, text="x", blocks=carried)["ts"]
        two.zoe.click(two.channel, ts, AMEND)
        assert "another workspace" in str(two.zoe.modal)
        assert "safe" not in str(two.zoe.modal)


@pytest.mark.parametrize("own_token", [True, False])
def test_the_review_channel_is_one_of_the_settings_own_workspace(tmp_path: Path, own_token: bool) -> None:
    with two_workspaces(tmp_path, own_token=own_token, ERRATA_REVIEW_CHANNEL="C0REVIEW") as two:
        two.install()
        two.employ()
        places = two.workspaces.review_places()
        home = two.office.workspace.team_id
        assert places(home) == (f"{home}/C0REVIEW" if own_token else None)
        assert places(two.other.team_id) is None
        number = two.correct("How long?", "Six months.")
        with two.office.store.read() as session:
            assert session.get_one(Candidate, number).place == f"{two.other.team_id}/{two.channel}"


def test_a_sample_of_another_workspace_is_asked_about_where_its_replies_stand(tmp_path: Path) -> None:
    with two_workspaces(tmp_path, ERRATA_REVIEW_CHANNEL="C0REVIEW") as two:
        two.install()
        two.employ()
        office = two.office
        with office.store.write() as session:
            for key, place in ((1, f"{office.workspace.team_id}/{office.channel}"), (2, _place_of(two))):
                replies.count(
                    session, assistant_id=key, source=f"{place}/1700000001.000100", said_at=now(), model_version=None
                )
        office.ahead.by += timedelta(days=8)
        Weekly(office.store, office.ahead, office.settings, rng=random.Random(7), workspaces=two.workspaces)()
        with office.store.read() as session:
            asked = {one.destination for one in session.exec(select(Notice)) if one.kind == NoticeKind.SAMPLE.value}
        assert asked == {f"{office.workspace.team_id}/C0REVIEW", _place_of(two)}


def _place_of(two: Two) -> str:
    return f"{two.other.team_id}/{two.channel}"


@pytest.mark.parametrize("own_token", [True, False], ids=["beside-home", "by-itself"])
def test_a_good_reply_of_another_workspace_is_read_with_its_token_and_waits_there(
    tmp_path: Path, *, own_token: bool
) -> None:
    with two_workspaces(tmp_path, own_token=own_token) as two:
        two.install()
        two.employ()
        asked = two.zoe.post(two.channel, "How long does it last?")
        ts = two.lumi.post(two.channel, "Six months.", thread_ts=asked)
        place = f"{two.other.team_id}/{two.channel}"
        settings, store = two.office.settings, two.office.store
        with store.write() as session:
            tasks.owe(
                session,
                now(),
                TaskKind.ENDORSEMENT,
                source=f"{place}/{ts}#endorsement",
                thread=f"{place}/{asked}",
                asked_by=two.zoe_id.person_id,
                asked_at=now(),
            )
        bench = Bench(store, slack_client(settings), two.office.ahead, settings, workspaces=two.workspaces)
        assert Answerer(bench).settle_next()
        with store.read() as session:
            candidate = session.exec(select(Candidate)).one()
            assert (candidate.kind, candidate.place, candidate.reply) == ("endorsement", place, "Six months.")


def test_a_removed_app_is_gone_at_once_and_an_installation_heals_it(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        two.install()
        assert "queue" in str(two.zoe.command("/errata", "help", two.channel))
        two.other.uninstall()
        two.other.wait_until_delivered()
        assert "not installed in this workspace" in two.zoe.command("/errata", "help", two.channel)["text"]
        with two.office.store.read() as session:
            assert installations.listed(session) == []
            assert [one.action for one in audit.about(session, f"workspace:{two.other.team_id}")] == [
                "app.installed",
                "app.removed",
            ]
        assert "queue" in str(two.office.ana.command("/errata", "help", two.office.channel))  # the other one works on
        two.other._web_api.revoked = False  # a new installation gives a token that is valid
        two.install()
        assert "queue" in str(two.zoe.command("/errata", "help", two.channel))


def test_what_is_owed_to_a_workspace_without_errata_waits_for_it_to_come_back(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        two.install()
        two.employ()
        number = two.office.flag("How long?", "Six months.")
        with two.office.store.write() as session:
            notice = session.exec(select(Notice)).first()
            assert notice is not None
            notice.destination = f"{two.other.team_id}/{two.channel}"
            installations.remove(session, two.other.team_id, now() + timedelta(days=1))
        two.workspaces.forget(two.other.team_id)
        two.office.wait()
        two.deliverer().tick()
        with two.office.store.read() as session:
            assert [one.trouble for one in session.exec(select(Notice)) if one.destination.endswith(two.channel)] == [
                "NotInstalled"
            ]
        two.install()
        two.office.ahead.by += timedelta(hours=1)
        two.deliverer().tick()
        assert any(message.get("bot_id") == two.other.bot_id for message in two.other.messages(two.channel)), number


def test_an_old_removal_brought_again_does_not_take_a_new_installation(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        two.install()
        with two.office.store.write() as session:
            assert not installations.remove(session, two.other.team_id, now() - timedelta(minutes=5))
            assert [one.team_id for one in installations.listed(session)] == [two.other.team_id]


def test_errata_serves_without_a_token_of_its_own_until_somebody_installs_it(tmp_path: Path) -> None:
    with two_workspaces(tmp_path, own_token=False) as two:
        assert "not installed" in two.zoe.command("/errata", "help", two.channel)["text"]
        assert two.install().status_code == HTTPStatus.OK
        assert "queue" in str(two.zoe.command("/errata", "help", two.channel))


# What must not install anything.


def test_a_state_is_good_once_in_its_own_browser_and_for_ten_minutes(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        location, state = two.begin()
        back = two.other.install(two.zoe, location)
        assert two.come_back(back, None).status_code == HTTPStatus.BAD_REQUEST
        assert two.come_back(back, "another").status_code == HTTPStatus.BAD_REQUEST
        assert two.come_back(back, state).status_code == HTTPStatus.OK
        assert two.come_back(back, state).status_code == HTTPStatus.BAD_REQUEST
        location, state = two.begin()
        with two.office.store.write() as session:
            for begun in session.exec(select(InstallState)):
                begun.begun_at = now() - timedelta(minutes=11)
        late = two.come_back(two.other.install(two.zoe, location), state)
        assert late.status_code == HTTPStatus.BAD_REQUEST
        assert "begin again" in late.text


@pytest.mark.parametrize(
    "query", ["", "?code=1", "?state=x", "?error=access_denied", "?code=%00&state=%ff", "?code=1&state=x"]
)
def test_a_browser_that_comes_with_anything_else_gets_a_sentence(tmp_path: Path, query: str) -> None:
    with two_workspaces(tmp_path) as two:
        page = two.get(REDIRECT_PATH + query)
        assert page.status_code in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST}
        assert "Nothing was installed" in page.text
        with two.office.store.read() as session:
            assert installations.listed(session) == []


def test_a_wrong_secret_or_a_lost_answer_installs_nothing_and_says_so(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        location, state = two.begin()
        two.office.workspace.fail_next("oauth.v2.access", "invalid_code", times=1)
        assert two.come_back(two.other.install(two.zoe, location), state).status_code == HTTPStatus.BAD_REQUEST
        location, state = two.begin()
        two.other.fail_next("auth.test", "drop_answer", times=3)
        lost = two.come_back(two.other.install(two.zoe, location), state)
        assert lost.status_code == HTTPStatus.BAD_GATEWAY
        assert "Begin again" in lost.text
        with two.office.store.read() as session:
            assert installations.listed(session) == []


def test_more_installations_begun_than_anybody_needs_are_refused_for_a_while(tmp_path: Path) -> None:
    with two_workspaces(tmp_path) as two:
        with two.office.store.write() as session:
            assert all(issue(session, now(), f"state-{number}") for number in range(MOST_BEGUN))
            assert not issue(session, now(), "one too many")
        assert two.get(INSTALL_PATH).status_code == HTTPStatus.SERVICE_UNAVAILABLE
        with two.office.store.write() as session:
            assert issue(session, now() + timedelta(minutes=11), "later")


def test_no_token_and_no_state_is_ever_logged_or_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with two_workspaces(tmp_path) as two, caplog.at_level(logging.DEBUG, "errata"):
        location, state = two.begin()
        page = two.come_back(two.other.install(two.zoe, location), state)
        said = page.text + str(page.headers) + caplog.text
        for secret in (two.other.bot_token, two.office.settings.client_secret, state):
            assert secret not in said
        with two.office.store.read() as session:
            assert two.other.bot_token not in str([one.details for one in audit.search(session)])
        assert two.office.settings.client_secret not in repr(two.office.settings)


def test_without_the_apps_secret_there_are_no_pages(tmp_path: Path) -> None:
    with new_workspace().serve() as workspace:
        office = furnish(workspace, tmp_path)
        workspaces = Workspaces(office.settings, office.store)
        gate = gated(build(office.settings, office.store), office.settings, office.store)
        assert installable(gate, office.settings, office.store, workspaces) is gate
        office.store.close()
