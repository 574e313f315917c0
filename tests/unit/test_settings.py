"""Settings come from the environment and .env, are checked once and never shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.settings import Settings
from curation.errors import Invalid
from curation.policies import RoleName

GIVEN = {
    "SLACK_BOT_TOKEN": "xoxb-1-canary",
    "SLACK_APP_TOKEN": "xapp-1-canary",
    "SLACK_SIGNING_SECRET": "canary-new,canary-old",
    "ERRATA_DATABASE_URL": "postgresql://errata:canary@db.test/errata",
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_is_needed_for_what_needs_no_slack(tmp_path: Path) -> None:
    settings = Settings.from_environment({})
    assert settings.home == tmp_path / ".errata"
    assert settings.database_url == f"sqlite:///{tmp_path}/.errata/errata.db"
    assert (settings.actor, settings.review_channel, settings.team, settings.solo) == (None, None, None, False)
    assert settings.api_url is None
    assert not settings.home.exists()


def test_every_variable_is_read(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        GIVEN
        | {
            "SLACK_API_URL": "http://127.0.0.1:8090/api",
            "ERRATA_HOME": str(tmp_path / "elsewhere"),
            "ERRATA_ACTOR": " T1/U1 ",
            "ERRATA_REVIEW_CHANNEL": "C0123ABCD",
            "ERRATA_PRODUCTION_MODEL": "/models/support-phi",
            "ERRATA_TEAM": "T0123ABCD",
            "ERRATA_SOLO": "True",
            "ERRATA_METRICS": "true",
            "ERRATA_APPROVALS": "2",
        }
    )
    assert settings == Settings(
        bot_token="xoxb-1-canary",
        app_token="xapp-1-canary",
        signing_secrets=("canary-new", "canary-old"),
        api_url="http://127.0.0.1:8090/api/",
        home=tmp_path / "elsewhere",
        database_url="postgresql://errata:canary@db.test/errata",
        actor="T1/U1",
        review_channel="C0123ABCD",
        production_model="/models/support-phi",
        team="T0123ABCD",
        solo=True,
        metrics=True,
        approvals=2,
    )


def test_the_default_database_is_in_the_home_folder(tmp_path: Path) -> None:
    settings = Settings.from_environment({"ERRATA_HOME": str(tmp_path / "home")})
    assert settings.database_url == f"sqlite:///{tmp_path}/home/errata.db"


def test_what_a_way_of_running_needs_is_asked_for_together_with_where_to_get_it() -> None:
    settings = Settings.from_environment({})
    with pytest.raises(Invalid, match=r"SLACK_BOT_TOKEN is missing: copy the Bot User .*SLACK_APP_TOKEN is missing: "):
        settings.require_socket()
    with pytest.raises(Invalid, match=r"SLACK_BOT_TOKEN is missing: .*SLACK_SIGNING_SECRET is missing: copy "):
        settings.require_http()


def test_each_way_of_running_asks_for_no_more_than_it_needs() -> None:
    http = Settings.from_environment({name: GIVEN[name] for name in ("SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET")})
    socket = Settings.from_environment({name: GIVEN[name] for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")})
    assert http.require_http() is http
    assert socket.require_socket() is socket
    with pytest.raises(Invalid, match=r"^SLACK_APP_TOKEN is missing"):
        http.require_socket()
    with pytest.raises(Invalid, match=r"^SLACK_SIGNING_SECRET is missing"):
        socket.require_http()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLACK_BOT_TOKEN", "xoxp-canary"),
        ("SLACK_BOT_TOKEN", "xoxb-"),
        ("SLACK_BOT_TOKEN", "xoxb-canary two"),
        ("SLACK_APP_TOKEN", "xoxb-canary"),
        ("SLACK_SIGNING_SECRET", "canary,"),
        ("SLACK_SIGNING_SECRET", "canary,b,c"),
        ("SLACK_API_URL", "http://canary.test/api/"),
        ("SLACK_API_URL", "ftp://127.0.0.1/canary"),
        ("SLACK_API_URL", "https://[canary"),
        ("ERRATA_DATABASE_URL", "postgres://a:canary@db.test/errata"),
        ("ERRATA_DATABASE_URL", "sqlite://"),
        ("ERRATA_REVIEW_CHANNEL", "#canary"),
        ("ERRATA_TEAM", "canary"),
        ("ERRATA_SOLO", "canary"),
        ("ERRATA_APPROVALS", "canary"),
        ("ERRATA_APPROVALS", "3"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable_and_never_repeated(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=rf"^{name} is n.*: .*\.$") as refusal:
        Settings.from_environment({name: value})
    assert "canary" not in str(refusal.value)


def test_settings_show_no_secret() -> None:
    assert "canary" not in repr(Settings.from_environment(GIVEN))


def test_the_file_is_read_and_the_environment_wins() -> None:
    Path(".env").write_text(
        "# comment\n\nexport SLACK_BOT_TOKEN=xoxb-file\nERRATA_ACTOR = \"T1/Ana # 1\"\nERRATA_SOLO='true'   # for now\n"
        "ERRATA_TEAM=T1 # ours\nSLACK_SIGNING_SECRET=\nERRATA_REVIEW_CHANNEL=C1\nERRATA_HOME= # here\n",
        encoding="utf-8",
    )
    settings = Settings.from_environment({"SLACK_BOT_TOKEN": "xoxb-environment", "ERRATA_REVIEW_CHANNEL": ""})
    assert settings.bot_token == "xoxb-environment"
    assert (settings.actor, settings.solo, settings.team) == ("T1/Ana # 1", True, "T1")
    assert settings.signing_secrets == ()
    assert settings.review_channel is None
    assert settings.home == Path.cwd() / ".errata"


@pytest.mark.parametrize("line", ["canary", "1A=canary", 'A="canary', "A=canary two", "A='canary'x", "A=b\nA=canary"])
def test_a_line_that_says_nothing_clear_is_refused_by_its_number(line: str) -> None:
    Path(".env").write_text(f"# first\n{line}\n", encoding="utf-8")
    with pytest.raises(Invalid, match=r"\.env line [23] ") as refusal:
        Settings.from_environment({})
    assert "canary" not in str(refusal.value)


def test_a_file_that_is_no_text_is_refused() -> None:
    Path(".env").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Invalid, match="cannot be read"):
        Settings.from_environment({})


def test_the_example_names_every_variable_and_is_read_as_it_stands() -> None:
    root = Path(__file__).resolve().parents[2]
    example = root / ".env.example"
    documented = set(re.findall(r"^(?:# )?([A-Z_]+)=", example.read_text(encoding="utf-8"), re.MULTILINE))
    readers = [root / "bot" / "settings.py", root / "bot" / "variables.py", root / "training/backends/foundry/place.py"]
    names = re.compile(r"\"((?:SLACK|ERRATA|AZURE)_[A-Z_]*[A-Z])\"")
    assert documented == {name for file in readers for name in names.findall(file.read_text(encoding="utf-8"))}
    assert Settings.from_environment({}, dotenv=example) == Settings.from_environment({})


def test_roles_and_groups_are_pairs_of_a_role_and_an_id() -> None:
    found = Settings.from_environment(
        {"ERRATA_ROLES": "owner=U0123, reviewer = T0123/W0456 ,owner=U0123", "ERRATA_GROUPS": "agent=S0123"}
    )
    assert found.roles == (("U0123", RoleName.OWNER), ("T0123/W0456", RoleName.REVIEWER))
    assert found.groups == (("S0123", RoleName.AGENT),)
    assert Settings.from_environment({}).roles == Settings.from_environment({}).groups == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("ERRATA_ROLES", value)
            for value in ("U0123", "king=U0123", "owner=S0123", "owner=", "owner=U1 reviewer=U2")
        ),
        *(("ERRATA_GROUPS", value) for value in ("reviewer=U0123", "reviewer:S0123", "reviewer=@reviewers", "=S0123")),
    ],
)
def test_a_list_of_roles_that_is_unclear_in_part_is_refused_as_a_whole(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=f"{name} is no list of ROLE=ID"):
        Settings.from_environment({name: f"agent={'S' if name == 'ERRATA_GROUPS' else 'U'}0999,{value}"})


def test_the_apps_id_and_secret_go_together_and_are_told_to_nobody() -> None:
    for half in ("SLACK_CLIENT_ID", "SLACK_CLIENT_SECRET"):
        with pytest.raises(Invalid, match="go together"):
            Settings.from_environment({half: "1.2"})
    found = Settings.from_environment(
        {"SLACK_CLIENT_ID": "1.2", "SLACK_CLIENT_SECRET": "hush", "SLACK_SIGNING_SECRET": "s"}
    )
    assert "hush" not in repr(found)
    assert found.require_http() is found  # workspaces bring their tokens


@pytest.mark.parametrize(
    "url", ["http://errata.example/slack/oauth_redirect", "https://errata.example/", "errata", "https://["]
)
def test_a_redirect_address_is_the_one_that_errata_serves(url: str) -> None:
    assert (
        Settings.from_environment({"SLACK_REDIRECT_URI": "https://errata.example/slack/oauth_redirect"}).redirect_uri
        is not None
    )
    with pytest.raises(Invalid, match="SLACK_REDIRECT_URI is not"):
        Settings.from_environment({"SLACK_REDIRECT_URI": url})
