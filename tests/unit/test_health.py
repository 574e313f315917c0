from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
import pytest
from builders import NOON, Team
from sqlalchemy import text

from bot.health import LEAST_FREE_BYTES, OLDEST_NOTICE, Readiness, listening, with_health
from bot.metrics import Metrics
from bot.settings import Settings
from curation.errors import Conflict
from curation.store.engine import Store, open_engine

WORDS = "A customer's own words"


def behind(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("418 I'm a Teapot", [])
    return [b"behind"]


def ask(app: Callable[..., Iterable[bytes]], path: str, method: str = "GET") -> tuple[int, str]:
    statuses: list[str] = []
    body = b"".join(
        app({"PATH_INFO": path, "REQUEST_METHOD": method}, lambda status, _headers: statuses.append(status))
    )
    return int(statuses[0][:3]), body.decode()


def readiness(team: Team, home: Path, **changes: Any) -> Readiness:
    return Readiness(team.store, home, changes.pop("clock", lambda: NOON), **changes)


def state(team: Team, home: Path, **changes: Any) -> tuple[int, dict[str, Any]]:
    status, body = ask(with_health(behind, readiness(team, home, **changes)), "/readyz")
    told = json.loads(body)
    assert told["ready"] is (status == 200)
    checks: dict[str, Any] = told["checks"]
    return status, checks


def test_a_process_that_can_do_its_work_is_ready(team: Team, tmp_path: Path) -> None:
    team.flag(WORDS, "Better.")
    assert state(team, tmp_path) == (
        200,
        {
            "database": {"ready": True},
            "disk": {"ready": True},
            "migrations": {"ready": True},
            "outbox": {"ready": True, "oldest_seconds": 0},
        },
    )


def test_it_is_healthy_as_soon_as_it_serves_whatever_the_database_says(tmp_path: Path) -> None:
    gone = Store(open_engine(f"sqlite:///{tmp_path / 'empty.db'}"))
    app = with_health(behind, Readiness(gone, tmp_path, lambda: NOON))
    assert ask(app, "/healthz") == (200, "ok\n")
    assert ask(app, "/readyz")[0] == 503
    gone.close()


@pytest.mark.parametrize(("waited", "status"), [(timedelta(0), 200), (timedelta(seconds=1), 503)])
def test_a_notice_that_is_owed_too_long_is_not_ready(
    team: Team, tmp_path: Path, waited: timedelta, status: int
) -> None:
    team.flag(WORDS, "Better.")
    answered, checks = state(team, tmp_path, clock=lambda: NOON + OLDEST_NOTICE + waited)
    assert answered == status
    assert checks["outbox"]["oldest_seconds"] == (OLDEST_NOTICE + waited).total_seconds()


def test_tables_of_another_revision_are_not_ready(team: Team, tmp_path: Path) -> None:
    with team.store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'other'"))
    status, checks = state(team, tmp_path)
    assert status == 503
    assert checks["migrations"] == {"ready": False, "reason": "other_revision"}
    assert "outbox" not in checks


def test_a_full_disk_and_a_missing_folder_are_not_ready(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state(team, tmp_path / "nowhere")[1]["disk"] == {"ready": False, "reason": "missing"}
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=LEAST_FREE_BYTES - 1))
    assert state(team, tmp_path)[1]["disk"] == {"ready": False, "reason": "full"}


def test_a_damaged_database_is_not_ready(team: Team, tmp_path: Path) -> None:
    team.store.close()
    for file in tmp_path.glob("errata.db*"):
        file.write_bytes(b"no database, but long enough to be read as a header" * 100)
    status, checks = state(team, tmp_path)
    assert status == 503
    assert checks["database"] == {"ready": False, "reason": "unavailable"}


def test_an_answer_is_kept_for_a_second(team: Team, tmp_path: Path) -> None:
    moment = [0.0]
    looking = readiness(team, tmp_path, monotonic=lambda: moment[0])
    first = looking.checks()
    moment[0] = 0.9
    assert looking.checks() is first
    moment[0] = 1.0
    assert looking.checks() is not first


def test_while_one_looks_the_others_get_the_last_answer(team: Team, tmp_path: Path) -> None:
    moment = [0.0]
    inside, go_on = threading.Event(), threading.Event()

    def clock() -> Any:
        if moment[0]:
            inside.set()
            assert go_on.wait(30)
        return NOON

    looking = readiness(team, tmp_path, clock=clock, monotonic=lambda: moment[0])
    first = looking.checks()
    moment[0] = 5.0
    slow = threading.Thread(target=looking.checks)
    slow.start()
    assert inside.wait(30)
    assert looking.checks() is first
    go_on.set()
    slow.join()
    assert looking.checks() is not first


def test_nothing_that_people_wrote_and_nothing_of_the_machine_is_told(team: Team, tmp_path: Path) -> None:
    team.flag(WORDS, "Better.")
    _, body = ask(with_health(behind, readiness(team, tmp_path)), "/readyz")
    for secret in (WORDS, "Better", "Ana", "T1", str(tmp_path)):
        assert secret not in body


def test_everything_else_goes_to_the_app_behind(team: Team, tmp_path: Path) -> None:
    app = with_health(behind, readiness(team, tmp_path))
    for path, method in (("/slack/events", "POST"), ("/readyz", "POST"), ("/metrics", "GET"), ("/", "GET")):
        assert ask(app, path, method) == (418, "behind")
    assert ask(app, "/healthz", "HEAD") == (200, "")


@pytest.mark.parametrize("metrics", [True, False])
def test_a_process_answers_at_an_address_of_its_own_and_tells_figures_where_it_is_asked_to(
    team: Team, tmp_path: Path, metrics: bool
) -> None:
    environ = {"ERRATA_HOME": str(tmp_path), "ERRATA_METRICS": str(metrics)}
    settings = Settings.from_environment(environ, dotenv=tmp_path / "no.env")
    with (
        listening(("127.0.0.1", 0), settings, team.store, Metrics(), lambda: NOON) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        assert client.get("/healthz").text == "ok\n"
        assert client.get("/readyz").json()["ready"] is True
        assert client.get("/metrics").status_code == (200 if metrics else 404)
        assert client.post("/slack/events").status_code == 404
        taken = ("127.0.0.1", port)
        with pytest.raises(Conflict, match=str(port)), listening(taken, settings, team.store, Metrics(), lambda: NOON):
            pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
