"""Errata against a stranger: the Slack Web API of npm's ``emulate``, which nobody here has written.

Node 24 and emulate are installed once, into the user's cache; without npm or its registry these tests are
skipped. emulate has no interactions, so shortcuts and forms are signed and sent here, as Slack would.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from builders import Ahead, Team, new_team, served
from from_npm import installed
from slack_sdk import WebClient
from sqlmodel import col, select

from bot import installations
from bot.app import build, gated, installable, now
from bot.blocks import correct as blocks
from bot.installations import Workspaces
from bot.installing import INSTALL_PATH
from bot.listeners.correct import CORRECT
from bot.notices import Deliverer
from bot.sandbox.delivery import signature
from bot.scopes import SCOPES
from bot.settings import Settings
from bot.variables import REDIRECT_PATH
from curation import assistants, people, reviews
from curation.notices import NoticeKind, NoticeStatus
from curation.people import Actor, person_id
from curation.policies import RoleName
from curation.reviews import Verdict
from curation.store.engine import Store
from curation.store.tables import Candidate, Capture, Notice
from training import orders, runs
from training.store.tables import Run

EMULATE, NODE = "emulate@0.12.2", "node@24"
INSTALL_SECONDS = 45
TEAM, SECRET = "T000000001", "emulated-signing-secret"
MANIFEST_SCOPES = ["commands", "chat:write", "files:write", "channels:history", "groups:history", "im:write"]
ERRATA, NARROW, BRIS = "xoxb-errata", "xoxb-errata-narrow", "xoxb-bris"
PEOPLE = ("customer", "ana", "ben", "olga")


def seed(events_url: str) -> dict[str, Any]:
    """The workspace: four people, Errata with the manifest's scopes, and the assistant Bris."""
    redirect_uri = events_url.removesuffix("/slack/events") + REDIRECT_PATH

    def app(name: str, letter: str, scopes: list[str]) -> dict[str, Any]:
        ids = {"app_id": f"A00000000{letter}", "bot_id": f"B00000000{letter}", "bot_user_id": f"U0000000B{letter}"}
        secrets = {"client_id": f"1.{letter}", "client_secret": "none", "redirect_uris": [redirect_uri]}
        return {"name": name, "bot_name": name.lower(), "scopes": scopes, **ids, **secrets}

    def token(value: str, letter: str, scopes: list[str]) -> dict[str, Any]:
        ids = {"app_id": f"A00000000{letter}", "bot_id": f"B00000000{letter}", "bot_user_id": f"U0000000B{letter}"}
        return {"token": value, "type": "bot", "user_id": ids["bot_user_id"], "scopes": scopes, **ids}

    theirs = [
        "chat:write",
        "channels:read",
        "channels:history",
        "channels:write",
        "channels:manage",
        "im:history",
        "reactions:write",
    ]
    slack = {
        "signing_secret": SECRET,
        "strict_scopes": True,
        "users": [{"name": name} for name in PEOPLE],
        "channels": [{"name": "support"}],
        "oauth_apps": [app("Errata", "E", MANIFEST_SCOPES), app("Bris", "R", ["chat:write", "channels:join"])],
        "tokens": [
            token(ERRATA, "E", MANIFEST_SCOPES),
            token(NARROW, "E", ["chat:write", "im:write"]),
            token(BRIS, "R", ["chat:write", "channels:join"]),
            *({"token": f"xoxp-{name}", "type": "user", "user": name, "scopes": theirs} for name in PEOPLE),
        ],
    }
    return {"slack": slack}


@dataclass
class Door:
    """What stands between emulate and Errata's gate: it lets everything through and notes the answers."""

    behind: Callable[..., Iterable[bytes]] | None = None  # None while Errata is being installed
    answers: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self.behind is None:
            start_response("503 Service Unavailable", [("content-length", "0")])
            return []
        signed = environ.get("HTTP_X_SLACK_SIGNATURE", "")

        def note(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            self.answers.append((signed[:3], int(status[:3])))
            return start_response(status, headers, *rest)

        return self.behind(environ, note)


@dataclass
class Stranger:
    """Errata, installed in emulate's workspace."""

    url: str
    events_url: str
    settings: Settings
    team: Team
    channel: str
    ids: dict[str, str]
    door: Door
    ahead: Ahead

    @property
    def store(self) -> Store:
        return self.team.store

    def client(self, token: str = ERRATA) -> WebClient:
        return WebClient(token=token, base_url=f"{self.url}/api/", retry_handlers=[])

    def deliverer(self, token: str = ERRATA) -> Deliverer:
        return Deliverer(self.store, self.client(token), self.ahead)

    def messages(self, channel: str | None = None) -> list[dict[str, Any]]:
        """Errata's messages, oldest first."""
        shown = self.client("xoxp-ana").conversations_history(channel=channel or self.channel)["messages"][::-1]
        return [message for message in shown if message["user"] == "U0000000BE"]  # emulate gives them no bot_id

    def notices(self) -> list[Notice]:
        with self.store.read() as session:
            return list(session.exec(select(Notice).order_by(col(Notice.id))))

    def send(self, payload: dict[str, Any]) -> httpx.Response:
        """An interaction, signed as Slack does."""
        return self.send_form({"payload": json.dumps(payload)})

    def send_form(self, fields: dict[str, Any]) -> httpx.Response:
        """A command, or an interaction in its one field, signed."""
        body = urlencode(fields).encode()
        stamp = int(time.time())
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "x-slack-request-timestamp": str(stamp),
            "x-slack-signature": signature(SECRET, stamp, body),
        }
        return httpx.post(self.events_url, content=body, headers=headers, trust_env=False, timeout=30)

    def base(self, kind: str) -> dict[str, Any]:
        user = {"id": self.ids["ana"], "name": "ana", "username": "ana", "team_id": TEAM}
        team = {"id": TEAM, "domain": "emulate"}
        return {"type": kind, "team": team, "user": user, "api_app_id": "A00000000E", "token": "none"}

    def shortcut(self, message: dict[str, Any]) -> dict[str, Any]:
        """Ana chooses "Correct this reply" from the message's menu."""
        trigger = self.client().api_call("views.generateTriggerId", params={"user_id": self.ids["ana"]})["trigger_id"]
        payload = {"callback_id": CORRECT, "trigger_id": trigger, "message": message, "message_ts": message["ts"]}
        return self.base("message_action") | payload | {"channel": {"id": self.channel, "name": "support"}}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def modules() -> Path:
    return installed(NODE, EMULATE, within_seconds=INSTALL_SECONDS)


@pytest.fixture
def stranger(modules: Path, tmp_path: Path) -> Iterator[Stranger]:
    door = Door()
    with served(door) as events_url:
        node = str(modules / "node" / "bin" / "node")
        script = str(Path(__file__).with_name("emulate.mjs"))
        command = [
            node,
            script,
            str(modules / "emulate" / "dist"),
            json.dumps(seed(events_url)),
            events_url,
            str(free_port()),
        ]
        with subprocess.Popen(  # noqa: S603 (a pinned program, no shell)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                url = process.stdout.readline().strip()
                assert url, "emulate did not start"
                made = install(url, events_url, tmp_path, door)
                yield made
                made.store.close()
            finally:
                process.terminate()


def install(url: str, events_url: str, home: Path, door: Door) -> Stranger:
    """Invite the two bots, tell Errata who is who, open its door."""
    team = new_team(home)
    environ = {
        "SLACK_BOT_TOKEN": ERRATA,
        "SLACK_SIGNING_SECRET": SECRET,
        "SLACK_API_URL": f"{url}/api/",
        "ERRATA_HOME": str(home),
    }
    settings = Settings.from_environment(environ, dotenv=home / "no.env")
    ids = {}
    for name in PEOPLE:
        ids[name] = WebClient(token=f"xoxp-{name}", base_url=f"{url}/api/").auth_test()["user_id"]
    admin = WebClient(token="xoxp-ana", base_url=f"{url}/api/")
    (channel,) = [one["id"] for one in admin.conversations_list()["channels"] if one["name"] == "support"]
    admin.conversations_invite(channel=channel, users="U0000000BE,U0000000BR")
    team.place = f"{TEAM}/{channel}"
    roles = {"ana": RoleName.AGENT, "ben": RoleName.REVIEWER, "olga": RoleName.OWNER}
    with team.store.write() as session:
        for name, role in roles.items():
            actor = Actor(person_id(TEAM, ids[name]))
            people.meet(session, now(), actor.person_id, display_name=name.title())
            people.grant(session, team.olga, now(), person=actor.person_id, role=role)
            setattr(team, name, actor)
        team.assistant_id = assistants.add(
            session, team.olga, now(), name="Bris in Slack", team_id=TEAM, speaks_as={"U0000000BR", "B00000000R"}
        ).key
        assistants.set_prompt(session, team.olga, now(), name="Bris in Slack", text="Be brief.")
    door.behind = gated(build(settings, team.store), settings, team.store)
    return Stranger(url, events_url, settings, team, channel, ids, door, Ahead())


def test_the_message_of_the_queue_is_posted_edited_and_found_again_by_its_metadata(stranger: Stranger) -> None:
    stranger.team.flag("How long?", "Six months.")
    stranger.deliverer().tick()
    (posted,) = stranger.messages()
    assert posted["metadata"]["event_payload"] == {"message": f"queue:{TEAM}/{stranger.channel}:1"}
    with stranger.store.write() as session:  # as a deliverer leaves it that dies before it hears the answer
        notice = session.exec(select(Notice)).one()
        assert notice.message_ref == f"{stranger.channel}/{posted['ts']}"
        notice.status, notice.message_ref, notice.not_before = "in_flight", None, notice.owed_at
    stranger.ahead.by += timedelta(seconds=3)
    stranger.deliverer().tick()
    assert [message["ts"] for message in stranger.messages()] == [posted["ts"]]
    with stranger.store.write() as session:
        reviews.decide(session, stranger.team.ben, stranger.ahead(), candidate_id=1, verdict=Verdict.APPROVE)
    stranger.ahead.by += timedelta(seconds=3)
    stranger.deliverer().tick()
    (message,) = stranger.messages()
    assert message["text"] == "Nothing waits for review. 1 was decided in the last 24 hours."
    assert {notice.status for notice in stranger.notices()} == {"delivered"}


def test_a_correction_that_came_back_is_told_in_a_direct_message(stranger: Stranger) -> None:
    stranger.team.flag("How long?", "Six months.")
    stranger.team.decide(1, Verdict.RETURN, comment="Say how long exactly.")
    stranger.deliverer().tick()
    (returned,) = [notice for notice in stranger.notices() if notice.kind == NoticeKind.AUTHOR]
    assert returned.status == "delivered"
    channel, ts = str(returned.message_ref).split("/")
    (told,) = stranger.messages(channel)
    assert told["ts"] == ts
    assert "Say how long exactly." in json.dumps(told)


def test_without_the_scope_to_look_a_notice_is_left_uncertain(stranger: Stranger) -> None:
    stranger.team.flag("How long?", "Six months.")
    with stranger.store.write() as session:
        session.exec(select(Notice)).one().status = "in_flight"
    stranger.deliverer(NARROW).tick()
    (notice,) = stranger.notices()
    assert (notice.status, notice.trouble) == (NoticeStatus.UNCERTAIN, "missing_scope")
    assert stranger.messages() == []


def test_the_loss_curve_arrives_as_a_file_once(stranger: Stranger) -> None:
    team = stranger.team
    team.approve("How long does the filter last?", "Six months.")
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    team.freeze("v1")
    with stranger.store.write() as session:
        for notice in session.exec(select(Notice)):
            notice.status = NoticeStatus.DELIVERED.value  # the queue is not what this is about
        run = orders.request(session, team.olga, now(), dataset_name="v1", model="rehearsal", asked_in=[team.place])
        kept = session.get_one(Run, run.id)
        kept.progress = {"step": 2, "steps": 2, "curve": [[1, 3.0, None, 90.0], [2, 1.5, 2.0, 95.0]]}
        runs.tell(session, now(), kept, NoticeKind.RUN_CURVE)
    stranger.deliverer().tick()
    with stranger.store.write() as session:
        curve = session.exec(select(Notice).where(Notice.kind == NoticeKind.RUN_CURVE.value)).one()
        assert curve.status == "delivered"
        curve.status, curve.not_before = "in_flight", curve.owed_at
    stranger.deliverer().tick()
    files = [file for message in stranger.messages() for file in message.get("files", [])]
    assert [file["name"] for file in files] == [f"{run.id}-loss.png"]


def test_a_thread_becomes_a_candidate_by_shortcut_and_form(stranger: Stranger) -> None:
    client = stranger.client
    asked = client("xoxp-customer").chat_postMessage(channel=stranger.channel, text="How long does it last?")["ts"]
    client("xoxp-ben").chat_postMessage(channel=stranger.channel, text="Let Bris do it.", thread_ts=asked)
    bris = client(BRIS)
    wrong = bris.chat_postMessage(channel=stranger.channel, text="For <ever> &amp; ever.", thread_ts=asked)["ts"]
    client("xoxp-ben").chat_postMessage(channel=stranger.channel, text="Six months.", thread_ts=asked)
    thread = client().conversations_replies(channel=stranger.channel, ts=asked)["messages"]
    message = next(one for one in thread if one["ts"] == wrong)
    assert stranger.send(stranger.shortcut(message)).status_code == 200
    capture = wait_for(lambda: filled(stranger))
    assert [(turn["role"], turn["content"]) for turn in capture.turns or []] == [("user", "How long does it last?")]
    assert capture.staff_reply == "Six months."
    filled_in = {"correction": {"value": {"type": "plain_text_input", "value": "Six months."}}}
    view: dict[str, Any] = {
        "id": "V1",
        "type": "modal",
        "callback_id": blocks.CORRECT,
        "private_metadata": str(capture.id),
    }
    view |= {"state": {"values": filled_in}}
    answered = stranger.send({**stranger.base("view_submission"), "view": view})
    assert (answered.status_code, answered.text) == (200, "")
    with stranger.store.read() as session:
        assert session.exec(select(Candidate)).one().status == "pending"
    stranger.deliverer().tick()
    assert [message["text"] for message in stranger.messages()] == ["1 waits for review · oldest 0 minutes"]


def filled(stranger: Stranger) -> Capture | None:
    with stranger.store.read() as session:
        kept = session.exec(select(Capture)).one()
        return kept if kept.turns is not None or kept.trouble else None


def wait_for(look: Callable[[], Any], seconds: float = 10.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def test_a_used_trigger_opens_nothing_and_breaks_nothing(stranger: Stranger) -> None:
    stranger.client(BRIS).chat_postMessage(channel=stranger.channel, text="For ever.")
    (message,) = stranger.client("xoxp-ana").conversations_history(channel=stranger.channel)["messages"]
    shortcut = stranger.shortcut(message)
    assert [stranger.send({**shortcut, "action_ts": str(number)}).status_code for number in range(2)] == [200, 200]


def test_signed_events_of_messages_and_reactions_pass_the_gate(stranger: Stranger) -> None:
    ana = stranger.client("xoxp-ana")
    ts = ana.chat_postMessage(channel=stranger.channel, text="Hello")["ts"]
    ana.reactions_add(channel=stranger.channel, timestamp=ts, name="triangular_flag_on_post")
    wait_for(lambda: len(stranger.door.answers) >= 2)
    assert set(stranger.door.answers) == {("v0=", 200)}


def test_errata_is_installed_from_a_browser_and_speaks_with_the_token_that_it_got(stranger: Stranger) -> None:
    """The whole way of OAuth: our page, the stranger's, the code, the token, and a signed command after it."""
    origin = stranger.events_url.removesuffix("/slack/events")
    environ = {
        "SLACK_CLIENT_ID": "1.E",
        "SLACK_CLIENT_SECRET": "none",
        "SLACK_REDIRECT_URI": f"{origin}{REDIRECT_PATH}",
        "SLACK_SIGNING_SECRET": SECRET,
        "SLACK_API_URL": f"{stranger.url}/api/",
        "ERRATA_HOME": str(stranger.settings.home),
    }
    settings = Settings.from_environment(environ, dotenv=stranger.settings.home / "no.env")
    workspaces = Workspaces(settings, stranger.store)
    gate = gated(build(settings, stranger.store, workspaces=workspaces), settings, stranger.store)
    stranger.door.behind = installable(gate, settings, stranger.store, workspaces)
    command = {"command": "/errata", "text": "help", "team_id": TEAM, "user_id": stranger.ids["ana"]}
    command |= {"channel_id": stranger.channel, "trigger_id": "1.2.3"}
    assert "not installed in this workspace" in stranger.send_form(command).text
    with httpx.Client(trust_env=False, timeout=30) as browser:
        sent = browser.get(f"{origin}{INSTALL_PATH}")
        page = browser.get(sent.headers["location"])
        assert "Authorize" in page.text
        asked = dict(parse_qsl(urlsplit(sent.headers["location"]).query))
        form = {"user_id": stranger.ids["olga"], **asked}
        allowed = browser.post(f"{stranger.url}/oauth/v2/authorize/callback", data=form)
        cookie = {"cookie": sent.headers["set-cookie"].partition(";")[0]}
        done = browser.get(allowed.headers["location"], headers=cookie)
    assert (done.status_code, "Errata is installed in" in done.text) == (200, True)
    with stranger.store.read() as session:
        (installed,) = installations.listed(session)
    assert (installed.team_id, installed.bot_id, installed.bot_user_id) == (TEAM, "B00000000E", "U0000000BE")
    assert set(installed.scopes.split(",")) == set(SCOPES)
    assert "queue" in stranger.send_form(command | {"trigger_id": "1.2.4"}).text
    client = workspaces.client_for(f"{TEAM}/{stranger.channel}")
    assert client.token not in {ERRATA, NARROW}
    assert client.chat_postMessage(channel=stranger.channel, text="Hello")["ok"]
