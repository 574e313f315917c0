"""The environment as typed settings, read once by the entry points.

Owns the variables' names, defaults and what a valid value is; ``.env.example`` documents them.
Refuses a value by naming the variable, what is wrong with it and where to get a right one, and
never repeats the value: it may be a token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from curation.errors import Invalid, NotFound
from curation.language import LANGUAGES
from curation.measures.balance import ENDORSEMENT_SHARE
from curation.policies import RoleName
from curation.privacy.treatment import REGIONS, Policy, Terms
from curation.samples import LARGEST, SIZE
from curation.screening.outliers import AUTHOR_PER_HOUR, AUTHOR_SHARE, Limits
from training import catalogue
from training.backends.foundry.place import NOWHERE, PREFIXES, AzurePlace

DOTENV = Path(".env")
"""Read from the working directory; a variable of the environment wins over its line there."""

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

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_LINE = re.compile(r"(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(?P<value>.*)")
_VALUE = re.compile(r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^\s"'#]\S*)?)(?:(?:^|\s+)\#.*|\s*)""")

_COPY_BOT_OAUTH = "copy the Bot User OAuth Token (xoxb-…) from your app’s “OAuth & Permissions” page into .env"
_CREATE_APP_LEVEL = (
    "create an app-level token (xapp-…) with the scope connections:write on your app’s “Basic Information” page "
    "and copy it into .env"
)
_COPY_SIGNING = "copy the Signing Secret from your app’s “Basic Information” page into .env"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the processes are told from outside. Tokens and secrets are empty where they were not given.

    Attributes:
        bot_token: ``xoxb-…``; SLACK_BOT_TOKEN.
        app_token: ``xapp-…``, for Socket Mode; SLACK_APP_TOKEN.
        signing_secrets: one, or two while one replaces the other, for HTTP; SLACK_SIGNING_SECRET.
        api_url: base of the Slack Web API with its final slash; None for Slack's own; SLACK_API_URL.
        home: absolute path of the folder for the database, datasets and runs; ERRATA_HOME.
        database_url: SQLAlchemy URL; ``errata.db`` in ``home`` by default; ERRATA_DATABASE_URL.
        actor: who acts on the command line unless ``--as`` says otherwise; ERRATA_ACTOR.
        review_channel: id of the channel for notices; ERRATA_REVIEW_CHANNEL.
        production_model: path or hub id of the checkpoint now in production, where Errata has deployed none yet;
            ERRATA_PRODUCTION_MODEL.
        team: id of the workspace that ids on the command line belong to; the bot itself serves the workspace of its
            token; ERRATA_TEAM.
        solo: one person may play both halves of the two-person rule, to try things out; ERRATA_SOLO.
        approvals: how many people have to approve a correction, one or two; ERRATA_APPROVALS.
        metrics: figures for Prometheus at the address of ``--health``; ERRATA_METRICS.
        language: code of the one that Errata speaks in channels, and to people of whom nothing else is known;
            ERRATA_LANGUAGE.
        flag_reaction: name of the reaction that flags an assistant's reply, without colons; ERRATA_FLAG_REACTION.
        author_share: of everything pending or approved, above which reviewers are warned of one author, from 0 to 1;
            ERRATA_AUTHOR_SHARE.
        author_per_hour: corrections within an hour, above which reviewers are warned of one author;
            ERRATA_AUTHOR_PER_HOUR.
        endorsement_share: of good replies in a dataset, under which a check warns, from 0 to 1;
            ERRATA_ENDORSEMENT_SHARE.
        privacy: what becomes of personal data that nobody has decided about when examples leave: ``redact``, ``review``
            (the rows stay), or ``off``; ERRATA_PRIVACY.
        phone_regions: ISO codes of the countries whose telephone numbers are written without a country code;
            ERRATA_PHONE_REGIONS.
        retention_days: after so many days the worker removes captures and what nobody approved; None: never;
            ERRATA_RETENTION_DAYS.
        sample: replies of an assistant that nobody minded, which people are asked about every week; 0: none;
            ERRATA_SAMPLE.
        model: of the catalogue, the one that will be tuned: a correction has to fit its window; ERRATA_MODEL.
        tokenizer: its own tokenizer.json, or a folder with it, for exact counts; ERRATA_TOKENIZER.
        assistant: Errata answers mentions and direct messages itself; ERRATA_ASSISTANT.
        assistant_url: base of an OpenAI-compatible endpoint that it answers with, without a final slash; None: the
            model that is deployed; ERRATA_ASSISTANT_URL.
        assistant_model: what that endpoint calls its model; ERRATA_ASSISTANT_MODEL.
        assistant_key: what that endpoint asks for; ERRATA_ASSISTANT_KEY.
        assistant_window: most tokens that its model takes, question and answer together; ERRATA_ASSISTANT_WINDOW.
        roles: who holds which role by these settings, as pairs of a person as written and a role; ERRATA_ROLES.
        groups: which role the members of which Slack user group hold, likewise; ERRATA_GROUPS.
        client_id: of the Slack app; with its secret, workspaces install it by themselves over HTTP; SLACK_CLIENT_ID.
        client_secret: of the Slack app; SLACK_CLIENT_SECRET.
        redirect_uri: where Slack sends a browser back to after an installation, where the app has several such
            addresses; None: its only one; SLACK_REDIRECT_URI.
        services: the variables of services elsewhere that train and host, by name.
        azure: what they say of Azure.
    """

    bot_token: str = field(repr=False)
    app_token: str = field(repr=False)
    signing_secrets: tuple[str, ...] = field(repr=False)
    api_url: str | None
    home: Path
    database_url: str = field(repr=False)  # a PostgreSQL URL carries its password
    actor: str | None
    review_channel: str | None
    production_model: str | None
    team: str | None
    solo: bool
    metrics: bool
    language: str = LANGUAGE
    flag_reaction: str = FLAG_REACTION
    author_share: float = AUTHOR_SHARE
    author_per_hour: int = AUTHOR_PER_HOUR
    endorsement_share: float = ENDORSEMENT_SHARE
    privacy: Policy = Policy.REDACT
    phone_regions: tuple[str, ...] = REGIONS
    retention_days: int | None = None
    sample: int = SIZE
    approvals: int = 1
    model: str = MODEL
    tokenizer: Path | None = None
    assistant: bool = False
    assistant_url: str | None = None
    assistant_model: str = ""
    assistant_key: str = field(default="", repr=False)
    assistant_window: int = ASSISTANT_WINDOW
    roles: tuple[tuple[str, RoleName], ...] = ()
    groups: tuple[tuple[str, RoleName], ...] = ()
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    redirect_uri: str | None = None
    services: Mapping[str, str] = field(default_factory=dict, repr=False)
    azure: AzurePlace = NOWHERE

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, dotenv: Path = DOTENV) -> Self:
        """Read ``environ`` and, for what it does not say, the file ``dotenv`` where there is one.

        Commands that need no Slack run without tokens; ``require_socket`` and ``require_http`` ask
        for them. A blank value counts as none.

        Raises:
            Invalid: a value, or a line of the file, that can't be taken.
        """
        values = {name: value.strip() for name, value in (_read_dotenv(dotenv) | dict(environ)).items()}
        home = Path(values.get("ERRATA_HOME") or ".errata").expanduser().resolve()
        return cls(
            bot_token=_token(values, "SLACK_BOT_TOKEN", "xoxb-", _COPY_BOT_OAUTH),
            app_token=_token(values, "SLACK_APP_TOKEN", "xapp-", _CREATE_APP_LEVEL),
            signing_secrets=_signing_secrets(values),
            api_url=_api_url(values),
            home=home,
            database_url=_database_url(values, home),
            actor=values.get("ERRATA_ACTOR") or None,
            review_channel=_slack_id(values, "ERRATA_REVIEW_CHANNEL", "CG", "channel"),
            production_model=values.get("ERRATA_PRODUCTION_MODEL") or None,
            team=_slack_id(values, "ERRATA_TEAM", "TE", "workspace"),
            solo=_switch(values, "ERRATA_SOLO"),
            metrics=_switch(values, "ERRATA_METRICS"),
            language=_language(values, "ERRATA_LANGUAGE"),
            flag_reaction=_reaction(values, "ERRATA_FLAG_REACTION"),
            author_share=_share(values, "ERRATA_AUTHOR_SHARE", AUTHOR_SHARE),
            author_per_hour=_count(values, "ERRATA_AUTHOR_PER_HOUR", AUTHOR_PER_HOUR),
            endorsement_share=_share(values, "ERRATA_ENDORSEMENT_SHARE", ENDORSEMENT_SHARE),
            privacy=_policy(values, "ERRATA_PRIVACY"),
            phone_regions=_regions(values, "ERRATA_PHONE_REGIONS"),
            retention_days=_days(values, "ERRATA_RETENTION_DAYS"),
            sample=_sample(values, "ERRATA_SAMPLE"),
            approvals=_approvals(values, "ERRATA_APPROVALS"),
            model=_model(values, "ERRATA_MODEL"),
            tokenizer=_path(values, "ERRATA_TOKENIZER"),
            assistant=_switch(values, "ERRATA_ASSISTANT"),
            assistant_url=_assistant_url(values),
            assistant_model=values.get("ERRATA_ASSISTANT_MODEL", ""),
            assistant_key=_assistant_key(values),
            assistant_window=_count(values, "ERRATA_ASSISTANT_WINDOW", ASSISTANT_WINDOW),
            roles=_roles(values, "ERRATA_ROLES", "UW", "person"),
            groups=_roles(values, "ERRATA_GROUPS", "S", "user group"),
            client_id=_client(values)[0],
            client_secret=_client(values)[1],
            redirect_uri=_redirect_uri(values),
            services=(services := {name: value for name, value in values.items() if name.startswith(PREFIXES)}),
            azure=AzurePlace.read(services),
        )

    @property
    def author_limits(self) -> Limits:
        """What one author may write before reviewers are warned."""
        return Limits(author_share=self.author_share, author_per_hour=self.author_per_hour)

    @property
    def privacy_terms(self) -> Terms:
        """Under which terms examples leave the store."""
        return Terms(self.privacy, self.phone_regions)

    def require_socket(self) -> Self:
        """These settings, if they suffice for Socket Mode.

        Raises:
            Invalid: naming everything that is missing.
        """
        return self._require(
            ("SLACK_BOT_TOKEN", self.bot_token, _COPY_BOT_OAUTH),
            ("SLACK_APP_TOKEN", self.app_token, _CREATE_APP_LEVEL),
        )

    def require_http(self) -> Self:
        """These settings, if they suffice for requests over HTTP.

        Raises:
            Invalid: naming everything that is missing.
        """
        return self._require(
            ("SLACK_BOT_TOKEN", self.bot_token or self.client_id, _COPY_BOT_OAUTH),
            ("SLACK_SIGNING_SECRET", self.signing_secrets, _COPY_SIGNING),
        )

    def _require(self, *needs: tuple[str, str | tuple[str, ...], str]) -> Self:
        missing = [f"{name} is missing: {source}." for name, value, source in needs if not value]
        if missing:
            raise Invalid(" ".join(missing))
        return self


def _token(values: Mapping[str, str], name: str, prefix: str, source: str) -> str:
    token = values.get(name, "")
    if token and not re.fullmatch(re.escape(prefix) + r"[A-Za-z0-9_-]+", token):
        raise Invalid(f"{name} is not a token that begins with {prefix}: {source}.")
    return token


def _client(values: Mapping[str, str]) -> tuple[str, str]:
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


def _redirect_uri(values: Mapping[str, str]) -> str | None:
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


def _roles(values: Mapping[str, str], name: str, initials: str, thing: str) -> tuple[tuple[str, RoleName], ...]:
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


def _signing_secrets(values: Mapping[str, str]) -> tuple[str, ...]:
    given = values.get("SLACK_SIGNING_SECRET", "")
    secrets = tuple(secret.strip() for secret in given.split(",")) if given else ()
    if not all(secrets) or len(secrets) > len(("old", "new")):
        raise Invalid(f"SLACK_SIGNING_SECRET is neither one secret nor two with a comma between them: {_COPY_SIGNING}.")
    return secrets


def _api_url(values: Mapping[str, str]) -> str | None:
    url = values.get("SLACK_API_URL")
    if not url:
        return None
    if not _is_safe(url):  # the bot token travels with every call
        raise Invalid(
            "SLACK_API_URL is not an https:// address (http:// is taken on this machine only): "
            "remove it to call Slack itself."
        )
    return url.rstrip("/") + "/"


def _database_url(values: Mapping[str, str], home: Path) -> str:
    url = values.get("ERRATA_DATABASE_URL")
    if not url:
        return f"sqlite:///{(home / 'errata.db').as_posix()}"
    if not re.match(r"sqlite:///.|postgresql(\+\w+)?://.", url):
        raise Invalid(
            "ERRATA_DATABASE_URL is neither sqlite:///… nor postgresql://…: write "
            "postgresql://USER:PASSWORD@HOST/NAME, or remove it to keep errata.db in ERRATA_HOME."
        )
    return url


def _slack_id(values: Mapping[str, str], name: str, initials: str, thing: str) -> str | None:
    identity = values.get(name)
    if identity and not re.fullmatch(rf"[{initials}][A-Z0-9]+", identity):
        raise Invalid(f"{name} is not the id of a {thing}, such as {initials[0]}0123ABCD: copy it from its details.")
    return identity or None


def _switch(values: Mapping[str, str], name: str) -> bool:
    value = values.get(name, "").lower()
    if value not in {"", "true", "false", "on", "off"}:
        raise Invalid(f"{name} is neither true nor false: write one of them, or remove it for false.")
    return value in {"true", "on"}


def _assistant_url(values: Mapping[str, str]) -> str | None:
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


def _assistant_key(values: Mapping[str, str]) -> str:
    key = values.get("ERRATA_ASSISTANT_KEY", "")
    if not re.fullmatch(r"[!-~]*", key):  # it travels in a header
        raise Invalid("ERRATA_ASSISTANT_KEY holds a character that no key has: copy it again from your provider.")
    return key


def _language(values: Mapping[str, str], name: str) -> str:
    language = values.get(name, "").lower() or LANGUAGE
    if language not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise Invalid(f"{name} is none of the languages that Errata speaks: write one of {known}, or remove it for en.")
    return language


def _reaction(values: Mapping[str, str], name: str) -> str:
    reaction = values.get(name, "").strip(":") or FLAG_REACTION
    if not re.fullmatch(r"[a-z0-9_+'-]{1,100}", reaction):
        raise Invalid(f"{name} is not the name of a reaction, such as {FLAG_REACTION}: copy what Slack shows over it.")
    return reaction


def _share(values: Mapping[str, str], name: str, default: float) -> float:
    value = values.get(name) or str(default)
    if not re.fullmatch(r"0(\.[0-9]+)?|1(\.0+)?", value):
        raise Invalid(f"{name} is no share from 0 to 1: write a number such as {default}, or remove it for {default}.")
    return float(value)


def _count(values: Mapping[str, str], name: str, default: int) -> int:
    value = values.get(name) or str(default)
    if not re.fullmatch(r"[1-9][0-9]{0,5}", value):
        raise Invalid(f"{name} is no whole number from 1 on: write one, or remove it for {default}.")
    return int(value)


def _policy(values: Mapping[str, str], name: str) -> Policy:
    try:
        return Policy(values.get(name, "").lower() or Policy.REDACT)
    except ValueError as error:
        raise Invalid(f"{name} is none of redact, review and off: write one, or remove it for redact.") from error


def _regions(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    given = values.get(name, "").upper()
    if given and not re.fullmatch(r"[A-Z]{2}(?:\s*,\s*[A-Z]{2})*", given):
        raise Invalid(f"{name} is no list of countries: write their two-letter codes with commas, such as NO,DE,US.")
    return tuple(re.findall(r"[A-Z]{2}", given)) or REGIONS


def _days(values: Mapping[str, str], name: str) -> int | None:
    given = values.get(name, "")
    if given and not re.fullmatch(r"[1-9][0-9]{0,4}", given):
        raise Invalid(f"{name} is not a number of days from 1 on: write one, or remove it to keep everything.")
    return int(given) if given else None


def _sample(values: Mapping[str, str], name: str) -> int:
    given = values.get(name) or str(SIZE)
    if not re.fullmatch(r"[0-9]{1,2}", given) or int(given) > LARGEST:
        raise Invalid(
            "{name} is no number from 0 to {most}: write how many replies a week, or 0 for none.",
            name=name,
            most=LARGEST,
        )
    return int(given)


def _approvals(values: Mapping[str, str], name: str) -> int:
    given = values.get(name) or "1"
    if given not in {"1", "2"}:
        raise Invalid("{name} is neither 1 nor 2: write how many people have to approve a correction.", name=name)
    return int(given)


def _model(values: Mapping[str, str], name: str) -> str:
    try:
        return catalogue.find(values.get(name) or MODEL).name
    except NotFound as error:
        raise Invalid(
            f"{name} is none of the models that errata models lists: write one of them, or remove it for {MODEL}."
        ) from error


def _path(values: Mapping[str, str], name: str) -> Path | None:
    given = values.get(name)
    return Path(given).expanduser().resolve() if given else None


def _read_dotenv(path: Path) -> dict[str, str]:
    """``KEY=value`` lines; quotes around a value keep its spaces and ``#``; nothing is expanded."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read: make it a UTF-8 text file that you may read, or remove it.") from error
    values: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        value = _VALUE.fullmatch(match["value"]) if match else None
        if match is None or value is None:
            raise Invalid(
                f"{path} line {number} is not NAME=value: correct it, with quotes around a value with spaces."
            )
        if match["name"] in values:
            raise Invalid(f"{path} line {number} sets {match['name']} again: keep one of the lines.")
        values[match["name"]] = value["double"] or value["single"] or value["plain"] or ""
    return values
