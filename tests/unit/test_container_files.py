"""The files that others run Errata from: nothing in them is secret, too mighty or unknown to the program."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import check_jsonschema
import pytest
import typer
import yaml
from container_steps import ROOT, instructions, services
from jsonschema import Draft202012Validator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bot import cli
from bot.health import HEALTH
from bot.settings import Settings

IMAGES = ("base", "train")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OURS = {"migrate", "web", "worker"}


def accepts(words: list[str]) -> None:
    """Parse as the program would, without running anything; raises what the program would print."""
    group: Any = typer.main.get_command(cli.app)
    context = group.make_context("errata", list(words))
    name, command, arguments = group.resolve_command(context, [*context._protected_args, *context.args])
    command.make_context(name, arguments, parent=context)


def values(stage: str, name: str) -> list[str]:
    return [one.value for one in instructions() if one.stage == stage and one.name == name]


# -- Dockerfile


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_user_without_rights_and_starts_the_program_itself(image: str) -> None:
    *_, user = values(image, "USER")
    assert int(user.split(":")[0]) > 0
    (entry,), (command,) = values(image, "ENTRYPOINT"), values(image, "CMD")
    assert json.loads(entry) == ["errata"]  # not a shell, which would keep SIGTERM to itself
    accepts(json.loads(command))


def test_what_has_to_be_written_lies_on_volumes() -> None:
    (volumes,) = values("runtime", "VOLUME")
    (environ,) = values("runtime", "ENV")
    written = dict(word.split("=") for word in shlex.split(environ))
    assert {written["HOME"], written["ERRATA_HOME"]} == set(json.loads(volumes))


def test_nothing_is_fetched_but_packages_and_none_without_a_hash_in_the_base() -> None:
    assert {one.name for one in instructions()} <= {
        *("FROM", "WORKDIR", "COPY", "RUN", "ENV", "VOLUME", "STOPSIGNAL", "USER", "ENTRYPOINT", "CMD"),
    }
    for one in instructions():
        if one.name == "RUN":
            assert not re.search(r"https?:|curl|wget|git |sudo|chmod 777", one.value), one
            for command in one.value.split("&&"):
                if "pip" in command and one.stage != "installed-train":
                    assert "--require-hashes" in command or "--no-deps" in command, one


def test_every_stage_stands_on_a_pinned_python_or_on_another_stage() -> None:
    stages: set[str] = set()
    for one in instructions():
        if one.name == "FROM":
            source, name = one.value.split(" AS ")
            assert source in stages or source == "python:3.11-slim"
            stages.add(name)
    assert stages >= set(IMAGES)


def test_no_secret_is_built_in() -> None:
    for file in ("Dockerfile", "compose.yaml", "deploy/errata.service"):
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not re.search(r"xox[a-z]-|xapp-|(?:TOKEN|SECRET|PASSWORD)[=:] *[\w'\"]", text), file
    names = {word.split("=")[0] for one in instructions() if one.name in {"ENV", "ARG"} for word in one.value.split()}
    assert not any(re.search(r"TOKEN|SECRET|PASSWORD|KEY", name) for name in names)


def test_the_build_sees_what_it_copies_and_neither_secrets_nor_data() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        word.split("/")[0]
        for one in instructions()
        if one.name == "COPY" and "--from" not in one.value
        for word in one.value.split()[:-1]
    }
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
    assert {package.rstrip("*") for package in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]} <= copied
    kept_out = [rule.removeprefix("**/") for rule in rules[1:] if not rule.startswith("!")]
    for name in (".env", "errata.db", "errata.db-wal", "__pycache__"):
        assert any(fnmatch(name, rule) for rule in kept_out)


# -- the lock


def locked(file: str) -> dict[str, list[str]]:
    """``{"alembic": ["1.20.1", "sha256:…", …]}``."""
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"^([\w.-]+)==(\S+)((?:\s+--hash=\S+)*)\s*$", text, re.MULTILINE)
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(found) == len(lines)  # nothing in it that is not pinned
    return {
        str(canonicalize_name(name)): [version, *re.findall(r"--hash=(\S+)", hashes)] for name, version, hashes in found
    }


@pytest.mark.parametrize("file", ["base.txt", "build.txt"])
def test_everything_in_a_lock_has_hashes(file: str) -> None:
    packages = locked(file)
    assert packages
    for name, (_, *hashes) in packages.items():
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), name


def test_the_base_lock_holds_what_the_program_asks_for_at_the_versions_that_are_tested() -> None:
    packages = locked("base.txt")
    for line in PROJECT["project"]["dependencies"]:
        wanted = Requirement(line)
        version = packages[str(canonicalize_name(wanted.name))][0]
        assert wanted.specifier.contains(version), f"{line}: {version}; make the lock again"
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    tested = {str(canonicalize_name(name)): version for name, version in (line.split("==") for line in constraints)}
    differing = {name: one[0] for name, one in packages.items() if tested.get(name, one[0]) != one[0]}
    assert differing == {}
    assert not {"torch", "transformers", "peft"} & packages.keys()


# -- compose.yaml


def test_compose_takes_the_file() -> None:
    schema = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    validator = Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    content = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    assert [error.message for error in validator.iter_errors(content)] == []
    assert list(validator.iter_errors({**content, "services": {"web": {"comand": []}}}))


def test_every_service_of_ours_runs_what_the_program_takes_with_as_few_rights_as_can_be() -> None:
    assert services().keys() == OURS | {"database"}
    for name in OURS:
        service = services()[name]
        accepts(service["command"])
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert not {"privileged", "user", "network_mode", "pid"} & service.keys()


def test_every_lasting_service_is_asked_whether_it_is_healthy_where_it_answers() -> None:
    assert "pg_isready" in services()["database"]["healthcheck"]["test"]
    for name in ("web", "worker"):
        service = services()[name]
        address = service["command"][service["command"].index("--health") + 1]
        assert f"http://{address}{HEALTH}" in service["healthcheck"]["test"][-1]
        compile(service["healthcheck"]["test"][-1], name, "exec")


def test_there_is_no_default_password_and_only_the_bot_is_published_on_this_machine_alone() -> None:
    for name, service in services().items():
        for variable, value in service["environment"].items():
            if re.search(r"PASSWORD|DATABASE_URL", variable):
                assert "${POSTGRES_PASSWORD:?" in value, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert ("ports" in service) is (name == "web")
    tag = services()["database"]["image"].removeprefix("postgres:")
    assert int(tag) >= 16


def test_the_database_address_is_one_that_the_settings_take() -> None:
    url = services()["web"]["environment"]["ERRATA_DATABASE_URL"]
    given = {"ERRATA_DATABASE_URL": re.sub(r"\$\{[^}]*\}", "secret", url)}
    settings = Settings.from_environment(given, dotenv=Path("no.env"))
    assert settings.database_url == "postgresql://errata:secret@database/errata"


# -- systemd

UNIT = ROOT / "deploy" / "errata.service"


def service_of_the_unit() -> dict[str, str]:
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # systemd's names have capitals
    parser.read(UNIT, encoding="utf-8")
    return dict(parser["Service"])


def test_the_unit_runs_what_the_program_takes_with_as_few_rights_as_can_be() -> None:
    service = service_of_the_unit()
    _, *words = shlex.split(service["ExecStart"])
    accepts(words)
    assert service["User"] not in {"", "root"}
    assert {service[name] for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp")} == {"yes"}
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    home = dict(word.split("=") for word in service["Environment"].split())["ERRATA_HOME"]
    assert service["ReadWritePaths"] == home


SYSTEMD_ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(SYSTEMD_ANALYZE is None, reason="there is no systemd here")
def test_systemd_takes_the_unit_and_finds_it_little_exposed(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8").replace("/opt/errata/bin/errata", sys.executable)
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace("file:/opt/errata", f"file:{ROOT}"), encoding="utf-8")
    verified = analyzed("verify", str(copy))
    assert (verified.returncode, verified.stderr) == (0, "")
    judged = analyzed("security", "--offline=true", "--threshold=25", str(copy))  # of 100
    assert judged.returncode == 0, judged.stdout[-200:]


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert SYSTEMD_ANALYZE is not None
    return subprocess.run([SYSTEMD_ANALYZE, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 (our unit)
