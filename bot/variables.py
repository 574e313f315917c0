"""What each variable of the environment may say, and what it then means.

Owns the shapes, bounds and defaults of values, and the sentences that refuse one: they name the variable and where to
get a right value, and never repeat the value, which may be a token. Which variables there are is ``settings``'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from curation.errors import Invalid, NotFound
from curation.language import LANGUAGES
from curation.policies import RoleName
from curation.privacy.treatment import REGIONS, Policy
from curation.samples import LARGEST, SIZE
from training import catalogue

LANGUAGE = "en"
"""What Errata speaks in channels, unless another language is chosen."""

FLAG_REACTION = "triangular_flag_on_post"
"""The red flag that flags a reply, unless another sign is chosen."""

MODEL = "phi-3-mini-4k-instruct"
"""The model that corrections are measured for, unless another is named; no Phi has a smaller window."""

ASSISTANT_WINDOW = 8192
"""Tokens that a model is taken to have room for, unless it is said how many; the deployed one's are known."""

REDIRECT_PATH = "/slack/oauth_redirect"
"""Where Slack sends a browser back to after an installation."""

LIVE = "live"
"""As ERRATA_ASSISTANT_URL: the model that is deployed."""

COPY_SIGNING = "copy the Signing Secret from your app’s “Basic Information” page into .env"
"""Where a signing secret is to be found."""

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def token(values: Mapping[str, str], name: str, prefix: str, source: str) -> str:
    """A token of this kind; empty where none is given. Raises Invalid where it is of another kind."""
    token = values.get(name, "")
    if token and not re.fullmatch(re.escape(prefix) + r"[A-Za-z0-9_-]+", token):
        raise Invalid(f"{name} is not a token that begins with {prefix}: {source}.")
    return token


def client(values: Mapping[str, str]) -> tuple[str, str]:
    """Id and secret of the Slack app, both or neither. Raises Invalid."""
    given = values.get("SLACK_CLIENT_ID", ""), values.get("SLACK_CLIENT_SECRET", "")
    if any(given) and not all(given):
        raise Invalid(
            "SLACK_CLIENT_ID and SLACK_CLIENT_SECRET go together: copy both from your app’s “Basic Information” page "
            "into .env, or neither."
        )
    if not all(re.fullmatch(r"[!-~]*", value) for value in given):
        raise Invalid(
            "SLACK_CLIENT_ID or SLACK_CLIENT_SECRET holds a character that neither has: copy them again from your "
            "app’s “Basic Information” page."
        )
    return given


def _is_safe(url: str) -> bool:
    """Whether an address hides what is sent to it: in clear it may be only where that does not leave the machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))


def redirect_uri(values: Mapping[str, str]) -> str | None:
    """Where Slack sends a browser back to; None where nothing is said. Raises Invalid."""
    url = values.get("SLACK_REDIRECT_URI")
    if not url:
        return None
    if not _is_safe(url) or urlsplit(url).path != REDIRECT_PATH:
        raise Invalid(
            "SLACK_REDIRECT_URI is not https://YOUR-HOST{path}: write the address that your app’s “OAuth & "
            "Permissions” page names.",
            path=REDIRECT_PATH,
        )
    return url


def roles(values: Mapping[str, str], name: str, initials: str, thing: str) -> tuple[tuple[str, RoleName], ...]:
    """``owner=U0123ABCD, reviewer=T0123ABCD/U0456EFGH`` → who holds what; unclear in part, refused as a whole."""
    found = []
    for pair in filter(None, (one.strip() for one in values.get(name, "").split(","))):
        role, _, identity = (part.strip() for part in pair.partition("="))
        if role not in list(RoleName) or not re.fullmatch(rf"(T[A-Z0-9]+/)?[{initials}][A-Z0-9]+", identity):
            raise Invalid(
                "{name} is no list of ROLE=ID: write the id of a {thing} behind each role, with commas between them, "
                "such as reviewer={initial}0123ABCD. The roles are {roles}.",
                name=name,
                thing=thing,
                initial=initials[0],
                roles=[one.value for one in RoleName],
            )
        found.append((identity, RoleName(role)))
    return tuple(dict.fromkeys(found))


def signing_secrets(values: Mapping[str, str]) -> tuple[str, ...]:
    """One secret, or the old one and the new one. Raises Invalid."""
    given = values.get("SLACK_SIGNING_SECRET", "")
    secrets = tuple(secret.strip() for secret in given.split(",")) if given else ()
    if not all(secrets) or len(secrets) > len(("old", "new")):
        raise Invalid(f"SLACK_SIGNING_SECRET is neither one secret nor two with a comma between them: {COPY_SIGNING}.")
    return secrets


def api_url(values: Mapping[str, str]) -> str | None:
    """Base of the Web API with its final slash; None for Slack's own. Raises Invalid."""
    url = values.get("SLACK_API_URL")
    if not url:
        return None
    if not _is_safe(url):  # the bot token travels with every call
        raise Invalid(
            "SLACK_API_URL is not an https:// address (http:// is taken on this machine only): "
            "remove it to call Slack itself."
        )
    return url.rstrip("/") + "/"


def database_url(values: Mapping[str, str], home: Path) -> str:
    """Where the database is: by default a file at home. Raises Invalid."""
    url = values.get("ERRATA_DATABASE_URL")
    if not url:
        return f"sqlite:///{(home / 'errata.db').as_posix()}"
    if not re.match(r"sqlite:///.|postgresql(\+\w+)?://.", url):
        raise Invalid(
            "ERRATA_DATABASE_URL is neither sqlite:///… nor postgresql://…: write "
            "postgresql://USER:PASSWORD@HOST/NAME, or remove it to keep errata.db in ERRATA_HOME."
        )
    return url


def slack_id(values: Mapping[str, str], name: str, initials: str, thing: str) -> str | None:
    """An id that begins with one of the initials; None where none is given. Raises Invalid."""
    identity = values.get(name)
    if identity and not re.fullmatch(rf"[{initials}][A-Z0-9]+", identity):
        raise Invalid(f"{name} is not the id of a {thing}, such as {initials[0]}0123ABCD: copy it from its details.")
    return identity or None


def switch(values: Mapping[str, str], name: str) -> bool:
    """Whether it is on; it is not where nothing is said. Raises Invalid."""
    value = values.get(name, "").lower()
    if value not in {"", "true", "false", "on", "off"}:
        raise Invalid(f"{name} is neither true nor false: write one of them, or remove it for false.")
    return value in {"true", "on"}


def assistant_url(values: Mapping[str, str]) -> str | None:
    """Base of an OpenAI-compatible endpoint; None for the model that is deployed. Raises Invalid."""
    url = values.get("ERRATA_ASSISTANT_URL", "")
    if url.lower() in {"", LIVE}:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"https", "http"} and parts.hostname and not parts.username and not parts.query
    except ValueError:
        usable = False
    if not usable:
        raise Invalid(
            "ERRATA_ASSISTANT_URL is neither live nor the base address of an OpenAI-compatible endpoint: write it "
            "without a name, key or question mark, such as https://api.openai.com/v1."
        )
    if values.get("ERRATA_ASSISTANT_KEY") and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise Invalid(
            "ERRATA_ASSISTANT_URL begins with http://, and ERRATA_ASSISTANT_KEY would travel in clear: write https://."
        )
    if not values.get("ERRATA_ASSISTANT_MODEL"):
        raise Invalid("ERRATA_ASSISTANT_MODEL is missing: write what the endpoint of ERRATA_ASSISTANT_URL calls it.")
    return url.rstrip("/").removesuffix("/chat/completions")


def assistant_key(values: Mapping[str, str]) -> str:
    """What an endpoint asks for; empty where it asks for nothing. Raises Invalid."""
    key = values.get("ERRATA_ASSISTANT_KEY", "")
    if not re.fullmatch(r"[!-~]*", key):  # it travels in a header
        raise Invalid("ERRATA_ASSISTANT_KEY holds a character that no key has: copy it again from your provider.")
    return key


def language(values: Mapping[str, str], name: str) -> str:
    """Code of a language that Errata speaks. Raises Invalid."""
    language = values.get(name, "").lower() or LANGUAGE
    if language not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise Invalid(f"{name} is none of the languages that Errata speaks: write one of {known}, or remove it for en.")
    return language


def reaction(values: Mapping[str, str], name: str) -> str:
    """Name of a reaction, without colons. Raises Invalid."""
    reaction = values.get(name, "").strip(":") or FLAG_REACTION
    if not re.fullmatch(r"[a-z0-9_+'-]{1,100}", reaction):
        raise Invalid(f"{name} is not the name of a reaction, such as {FLAG_REACTION}: copy what Slack shows over it.")
    return reaction


def share(values: Mapping[str, str], name: str, default: float) -> float:
    """A share from 0 to 1. Raises Invalid."""
    value = values.get(name) or str(default)
    if not re.fullmatch(r"0(\.[0-9]+)?|1(\.0+)?", value):
        raise Invalid(f"{name} is no share from 0 to 1: write a number such as {default}, or remove it for {default}.")
    return float(value)


def count(values: Mapping[str, str], name: str, default: int) -> int:
    """A whole number from 1 on. Raises Invalid."""
    value = values.get(name) or str(default)
    if not re.fullmatch(r"[1-9][0-9]{0,5}", value):
        raise Invalid(f"{name} is no whole number from 1 on: write one, or remove it for {default}.")
    return int(value)


def policy(values: Mapping[str, str], name: str) -> Policy:
    """What becomes of personal data that nobody has decided about. Raises Invalid."""
    try:
        return Policy(values.get(name, "").lower() or Policy.REDACT)
    except ValueError as error:
        raise Invalid(f"{name} is none of redact, review and off: write one, or remove it for redact.") from error


def countries(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Two-letter codes, separated by commas. Raises Invalid."""
    given = values.get(name, "").upper()
    if given and not re.fullmatch(r"[A-Z]{2}(?:\s*,\s*[A-Z]{2})*", given):
        raise Invalid(f"{name} is no list of countries: write their two-letter codes with commas, such as NO,DE,US.")
    return tuple(re.findall(r"[A-Z]{2}", given)) or REGIONS


def days(values: Mapping[str, str], name: str) -> int | None:
    """Days from 1 on; None where nothing is said. Raises Invalid."""
    given = values.get(name, "")
    if given and not re.fullmatch(r"[1-9][0-9]{0,4}", given):
        raise Invalid(f"{name} is not a number of days from 1 on: write one, or remove it to keep everything.")
    return int(given) if given else None


def sample(values: Mapping[str, str], name: str) -> int:
    """How many replies a week people are asked about; 0 for none. Raises Invalid."""
    given = values.get(name) or str(SIZE)
    if not re.fullmatch(r"[0-9]{1,2}", given) or int(given) > LARGEST:
        raise Invalid(
            "{name} is no number from 0 to {most}: write how many replies a week, or 0 for none.",
            name=name,
            most=LARGEST,
        )
    return int(given)


def approvals(values: Mapping[str, str], name: str) -> int:
    """How many people have to approve, one or two. Raises Invalid."""
    given = values.get(name) or "1"
    if given not in {"1", "2"}:
        raise Invalid("{name} is neither 1 nor 2: write how many people have to approve a correction.", name=name)
    return int(given)


def model(values: Mapping[str, str], name: str) -> str:
    """Name of a model of the catalogue. Raises Invalid."""
    try:
        return catalogue.find(values.get(name) or MODEL).name
    except NotFound as error:
        raise Invalid(
            f"{name} is none of the models that errata models lists: write one of them, or remove it for {MODEL}."
        ) from error


def path(values: Mapping[str, str], name: str) -> Path | None:
    """An absolute path; None where none is given."""
    given = values.get(name)
    return Path(given).expanduser().resolve() if given else None
