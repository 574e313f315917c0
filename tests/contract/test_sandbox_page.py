"""The workspace's page over HTTP: who may use it, what each person is shown, and what the browser may do with it."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from builders import Office

from bot.demo.browser import GLOBAL_SHORTCUTS, SHORTCUTS
from bot.listeners.commands import COMMAND
from bot.sandbox.page import Seat, Setting, Step, open_page
from bot.sandbox.people import Person
from bot.sandbox.workspace import Workspace

KEY = "a-key-that-nobody-guesses"
PIXEL = b"\x89PNG\r\n\x1a\n" + b"\x00" * 20


class Page:
    """The page's server side, asked as a browser would ask it."""

    def __init__(self, workspace: Workspace, *people: Person, steps: tuple[Step, ...] = ()) -> None:
        seats = [Seat(person, "agent") for person in people]
        setting = Setting("Klarbris", seats, SHORTCUTS, ("/errata",), steps=steps)
        self.address = open_page(workspace, setting, key=KEY)
        self.origin = workspace.state.origin

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(self.address + path, headers=headers, trust_env=False)

    def post(self, path: str, content: Any, **headers: str) -> httpx.Response:
        return httpx.post(self.address + path, json=content, headers={"origin": self.origin} | headers, trust_env=False)

    def act(self, person: Person, do: str, **details: Any) -> dict[str, Any]:
        answer = self.post("gesture", {"seat": person.user_id, "gesture": {"do": do, **details}})
        assert answer.status_code == 200, answer.text
        done: dict[str, Any] = answer.json()
        return done

    def sight(self, person: Person, seen: int = -1) -> dict[str, Any]:
        shown: dict[str, Any] = self.get(f"sight?seat={person.user_id}&seen={seen}").json()
        return shown


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace(now=lambda: datetime.now(UTC), rng=random.Random(3)).serve() as served:
        yield served


@pytest.fixture
def ana(workspace: Workspace) -> Person:
    return workspace.add_person("Ana")


@pytest.fixture
def ben(workspace: Workspace) -> Person:
    return workspace.add_person("Ben")


def said(sight: dict[str, Any], channel: str) -> list[str]:
    (room,) = [one for one in sight["channels"] if one["id"] == channel]
    return [message["text"] for message in room["messages"]]


def test_the_page_is_served_to_whoever_has_its_address(workspace: Workspace, ana: Person) -> None:
    page = Page(workspace, ana)
    answer = page.get("")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    scripts = re.findall(r'src="([^"]+\.js)"', answer.text)
    assert scripts
    assert [page.get(script).headers["content-type"] for script in scripts] == ["text/javascript; charset=utf-8"]


@pytest.mark.parametrize("path", ["", "page.js", "setting", "sight?seat=U1&seen=-1", "files/F1?seat=U1"])
def test_another_key_opens_nothing(workspace: Workspace, ana: Person, path: str) -> None:
    page = Page(workspace, ana)
    answer = httpx.get(page.address.replace(KEY, "another") + path, trust_env=False)
    assert answer.status_code == 403
    assert "key" in answer.text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1.evil.example"])
def test_a_name_that_somebody_points_at_this_machine_is_not_answered(
    workspace: Workspace, ana: Person, host: str
) -> None:
    assert Page(workspace, ana).get("setting", host=host).status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", ""])
def test_another_page_cannot_press_a_button_here(workspace: Workspace, ana: Person, origin: str) -> None:
    page, channel = Page(workspace, ana), workspace.add_channel("support", [ana])
    gesture = {"do": "post", "channel": channel, "text": "Not me."}
    answer = page.post("gesture", {"seat": ana.user_id, "gesture": gesture}, origin=origin)
    assert answer.status_code == 403
    assert workspace.messages(channel) == []


@pytest.mark.parametrize("path", ["", "page.css", "setting", "nothing.js", "files/F1?seat=U1"])
def test_every_answer_forbids_content_from_elsewhere(workspace: Workspace, ana: Person, path: str) -> None:
    headers = Page(workspace, ana).get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")


@pytest.mark.parametrize("path", ["../../state.py", "%2e%2e/page.py", "sub/page.js", "__init__.py"])
def test_only_the_pages_own_files_are_served(workspace: Workspace, ana: Person, path: str) -> None:
    assert Page(workspace, ana).get(path).status_code in {403, 404}


def test_each_person_sees_their_own_channels_notes_forms_and_nobody_elses(
    workspace: Workspace, ana: Person, ben: Person
) -> None:
    page = Page(workspace, ana, ben)
    shared, secret = workspace.add_channel("support", [ana, ben]), workspace.add_channel("private", [ben])
    ben.post(shared, "Hello & <b>welcome</b>")
    ben.post(secret, "Just me.")
    with workspace.state.lock:
        workspace.state.show_only_to(ana.user_id, {"channel": shared, "text": "For Ana only.", "user": ben.user_id})
        workspace.views.push_for(ana.user_id, {"type": "modal", "title": plain("Hers"), "blocks": []})
    hers, his = page.sight(ana), page.sight(ben)
    assert said(hers, shared) == ["Hello &amp; &lt;b&gt;welcome&lt;/b&gt;", "For Ana only."]
    assert said(his, shared) == ["Hello &amp; &lt;b&gt;welcome&lt;/b&gt;"]
    assert secret not in {channel["id"] for channel in hers["channels"]}
    assert hers["modal"]["view"]["title"]["text"] == "Hers"
    assert his["modal"] is None


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def test_a_file_is_shown_where_it_was_shared_and_only_an_image_as_one(
    workspace: Workspace, ana: Person, ben: Person
) -> None:
    page, channel = Page(workspace, ana, ben), workspace.add_channel("support", [ana])
    shared = {}
    for name, content in (("loss.png", PIXEL), ("page.html", b"<script>alert(1)</script>")):
        with httpx.Client(headers={"authorization": f"Bearer {workspace.bot_token}"}, trust_env=False) as bot:
            asked = {"filename": name, "length": len(content)}
            ticket = bot.post(f"{workspace.api_url}files.getUploadURLExternal", data=asked).json()
            bot.post(ticket["upload_url"], content=content)
            done = {"files": [{"id": ticket["file_id"]}], "channel_id": channel}
            assert bot.post(f"{workspace.api_url}files.completeUploadExternal", json=done).json()["ok"]
        shared[name] = ticket["file_id"]
    image, other = (page.get(f"files/{file_id}?seat={ana.user_id}") for file_id in shared.values())
    assert (image.headers["content-type"], image.content) == ("image/png", PIXEL)
    assert (other.headers["content-type"], other.headers["content-disposition"]) == (
        "application/octet-stream",
        "attachment",
    )
    assert page.get(f"files/{shared['loss.png']}?seat={ben.user_id}").status_code == 404


def test_a_look_waits_for_something_new(workspace: Workspace, ana: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.sandbox.page.LOOK_SECONDS", 0.1)
    page, channel = Page(workspace, ana), workspace.add_channel("support", [ana])
    seen = page.sight(ana)["revision"]
    assert page.sight(ana, seen) is None
    ana.post(channel, "News.")
    assert said(page.sight(ana, seen), channel) == ["News."]


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {"seat": "U1", "gesture": {"do": "close"}},
        {"seat": "ANA", "gesture": {"do": "destroy"}},
        {"seat": "ANA", "gesture": {"do": "post", "channel": 7, "text": "x"}},
        {"seat": "ANA", "gesture": {"do": "close", "more": 1}},
    ],
    ids=["empty", "list", "nobody", "unknown", "wrong type", "unknown field"],
)
def test_a_post_of_another_shape_is_refused(workspace: Workspace, ana: Person, content: Any) -> None:
    if content and content["seat"] == "ANA":
        content = {**content, "seat": ana.user_id}
    assert Page(workspace, ana).post("gesture", content).status_code == 400


def test_what_slacks_client_would_not_do_is_said_in_a_sentence(workspace: Workspace, ana: Person, ben: Person) -> None:
    page, channel = Page(workspace, ana), workspace.add_channel("private", [ben])
    assert page.act(ana, "post", channel=channel, text="Hello")["problem"] == f"Ana is not in channel {channel}."
    assert "1 to 40,000 characters" in page.act(ana, "post", channel=channel, text="")["problem"]
    assert "No bot is listening" in page.act(ana, "shortcut", **posted(workspace, ana), callback_id="x")["problem"]
    assert page.act(ana, "close") == {"problem": None}


def posted(workspace: Workspace, person: Person) -> dict[str, str]:
    channel = workspace.add_channel("general", [person])
    return {"channel": channel, "ts": person.post(channel, "A reply.")}


def test_a_step_does_what_it_promises_and_says_what_went_wrong(workspace: Workspace, ana: Person) -> None:
    def refuse() -> str:
        ana.post("C404", "x")
        return "never"

    steps = tuple(Step("Try", ana.user_id, "C1", does=does) for does in (lambda: "Done.", refuse, None))
    page = Page(workspace, ana, steps=steps)
    assert page.post("steps/0", {}).json() == {"problem": None, "said": "Done."}
    assert page.post("steps/1", {}).json() == {"problem": "Ana is not in channel C404."}
    assert [page.post(f"steps/{number}", {}).status_code for number in (2, 3)] == [404, 404]
    assert [step["acts"] for step in page.get("setting").json()["steps"]] == [True, True, False]


def test_a_form_is_opened_refused_filled_and_saved_through_the_page(office: Office) -> None:
    _, reply = office.ask("How long is it good for?", "For ever.")
    page = Page(office.workspace, office.ana)
    assert page.act(office.ana, "shortcut", channel=office.channel, ts=reply, callback_id="correct_reply") == {
        "problem": None
    }
    office.wait_for_thread(office.ana)
    modal = page.sight(office.ana)["modal"]
    assert (modal["view"]["title"]["text"], modal["depth"]) == ("Correct a reply", 1)
    values = {"correction": " ", "reason": None, "topic": None, "note": None}
    assert "correction" in page.act(office.ana, "submit", values=values)["errors"]
    assert page.act(office.ana, "submit", values=values | {"correction": "Six months."})["errors"] == {}
    assert page.sight(office.ana)["modal"] is None
    assert "Six months." in str(office.review(office.ben)["blocks"])


def test_a_language_that_is_chosen_on_the_page_is_what_slack_tells_of_that_person(
    workspace: Workspace, ana: Person
) -> None:
    page = Page(workspace, ana)
    assert page.sight(ana)["locale"] == "en-US"
    page.act(ana, "speak", locale="de-DE")
    assert page.sight(ana)["locale"] == "de-DE"
    assert page.post("gesture", {"seat": ana.user_id, "gesture": {"do": "speak", "locale": "xx"}}).status_code == 400


def test_a_global_shortcut_is_chosen_without_a_message(office: Office) -> None:
    page = Page(office.workspace, office.ben)
    assert page.act(office.ben, "global_shortcut", callback_id="review_corrections") == {"problem": None}
    assert "Nothing is left for you to review" in str(page.sight(office.ben)["modal"])


def test_groups_are_known_by_name_and_who_left_is_no_person_any_more(workspace: Workspace, ana: Person) -> None:
    group = workspace.add_group("reviewers", [ana])
    gil = workspace.add_person("Gil", deactivated=True)
    people = Page(workspace, ana).get("setting").json()["people"]
    assert (people[group]["name"], people[group]["kind"]) == ("reviewers", "group")
    assert (people[ana.user_id]["kind"], people[gil.user_id]["kind"]) == ("person", "gone")


def test_a_command_and_its_answer_are_seen_by_whoever_typed_it(office: Office) -> None:
    page = Page(office.workspace, office.ana, office.ben)
    assert page.act(office.ben, "command", channel=office.channel, name="/errata", text="queue") == {"problem": None}
    assert any("Nothing waits for review" in text for text in said(page.sight(office.ben), office.channel))
    assert not any("Nothing waits for review" in text for text in said(page.sight(office.ana), office.channel))


def test_a_name_after_an_at_sign_is_a_mention_and_other_words_stay_words(workspace: Workspace, ana: Person) -> None:
    page, channel = Page(workspace, ana), workspace.add_channel("support", [ana])
    page.act(ana, "post", channel=channel, text="@Errata, is a < b? mail@Errata.test @Erratas")
    (message,) = workspace.messages(channel)
    assert message["text"] == f"<@{workspace.bot_user_id}>, is a &lt; b? mail@Errata.test @Erratas"
    assert message["blocks"][0]["elements"][0]["elements"] == [
        {"type": "user", "user_id": workspace.bot_user_id},
        {"type": "text", "text": ", is a < b? mail@Errata.test @Erratas"},
    ]


def test_the_shortcuts_are_those_of_the_manifest() -> None:
    manifest = yaml.safe_load((Path(__file__).parents[2] / "app-manifest.yaml").read_text(encoding="utf-8"))
    for kind, ours in (("message", SHORTCUTS), ("global", GLOBAL_SHORTCUTS)):
        declared = [one for one in manifest["features"]["shortcuts"] if one["type"] == kind]
        assert [(one["name"], one["callback_id"]) for one in declared] == list(ours)
    assert [one["command"] for one in manifest["features"]["slash_commands"]] == [COMMAND]


SCRIPTS = sorted(one.name for one in (files("bot.sandbox") / "web").iterdir() if one.name.endswith((".js", ".html")))


@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_that_people_wrote_can_become_code_or_markup(name: str) -> None:
    text = (files("bot.sandbox") / "web" / name).read_text(encoding="utf-8")
    ways = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setTimeout\(\"|srcdoc|DOMParser"
    )
    assert re.findall(ways, text) == []
    if name.endswith(".html"):
        assert re.findall(r"\son\w+=|style=|<style|<script(?![^>]* src=)|https?:", text) == []
    else:
        assert re.findall(r"from \"(?!\./)", text) == [], "a script from elsewhere"
