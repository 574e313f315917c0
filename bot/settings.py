"""The environment as typed settings, read once by the entry points.

Owns which variables there are and what they are to the processes; ``.env.example`` documents them. What a value may be
is ``variables``', those of services elsewhere are ``training.backends.foundry.place``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bot import env_file, variables
from curation.errors import Invalid
from curation.measures.balance import ENDORSEMENT_SHARE
from curation.policies import RoleName
from curation.privacy.treatment import REGIONS, Policy, Terms
from curation.samples import SIZE
from curation.screening.outliers import AUTHOR_PER_HOUR, AUTHOR_SHARE, Limits
from training.backends.foundry.place import NOWHERE, PREFIXES, AzurePlace

_COPY_BOT_OAUTH = "copy the Bot User OAuth Token (xoxb-…) from your app’s “OAuth & Permissions” page into .env"
_CREATE_APP_LEVEL = (
    "create an app-level token (xapp-…) with the scope connections:write on your app’s “Basic Information” page "
    "and copy it into .env"
)


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
    language: str = variables.LANGUAGE
    flag_reaction: str = variables.FLAG_REACTION
    author_share: float = AUTHOR_SHARE
    author_per_hour: int = AUTHOR_PER_HOUR
    endorsement_share: float = ENDORSEMENT_SHARE
    privacy: Policy = Policy.REDACT
    phone_regions: tuple[str, ...] = REGIONS
    retention_days: int | None = None
    sample: int = SIZE
    approvals: int = 1
    model: str = variables.MODEL
    tokenizer: Path | None = None
    assistant: bool = False
    assistant_url: str | None = None
    assistant_model: str = ""
    assistant_key: str = field(default="", repr=False)
    assistant_window: int = variables.ASSISTANT_WINDOW
    roles: tuple[tuple[str, RoleName], ...] = ()
    groups: tuple[tuple[str, RoleName], ...] = ()
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    redirect_uri: str | None = None
    services: Mapping[str, str] = field(default_factory=dict, repr=False)
    azure: AzurePlace = NOWHERE

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, dotenv: Path = env_file.DOTENV) -> Self:
        """Read ``environ`` and, for what it does not say, the file ``dotenv`` where there is one.

        Commands that need no Slack run without tokens; ``require_socket`` and ``require_http`` ask
        for them. A blank value counts as none.

        Raises:
            Invalid: a value, or a line of the file, that can't be taken.
        """
        values = {name: value.strip() for name, value in (env_file.read(dotenv) | dict(environ)).items()}
        home = Path(values.get("ERRATA_HOME") or ".errata").expanduser().resolve()
        return cls(
            bot_token=variables.token(values, "SLACK_BOT_TOKEN", "xoxb-", _COPY_BOT_OAUTH),
            app_token=variables.token(values, "SLACK_APP_TOKEN", "xapp-", _CREATE_APP_LEVEL),
            signing_secrets=variables.signing_secrets(values),
            api_url=variables.api_url(values),
            home=home,
            database_url=variables.database_url(values, home),
            actor=values.get("ERRATA_ACTOR") or None,
            review_channel=variables.slack_id(values, "ERRATA_REVIEW_CHANNEL", "CG", "channel"),
            production_model=values.get("ERRATA_PRODUCTION_MODEL") or None,
            team=variables.slack_id(values, "ERRATA_TEAM", "TE", "workspace"),
            solo=variables.switch(values, "ERRATA_SOLO"),
            metrics=variables.switch(values, "ERRATA_METRICS"),
            language=variables.language(values, "ERRATA_LANGUAGE"),
            flag_reaction=variables.reaction(values, "ERRATA_FLAG_REACTION"),
            author_share=variables.share(values, "ERRATA_AUTHOR_SHARE", AUTHOR_SHARE),
            author_per_hour=variables.count(values, "ERRATA_AUTHOR_PER_HOUR", AUTHOR_PER_HOUR),
            endorsement_share=variables.share(values, "ERRATA_ENDORSEMENT_SHARE", ENDORSEMENT_SHARE),
            privacy=variables.policy(values, "ERRATA_PRIVACY"),
            phone_regions=variables.countries(values, "ERRATA_PHONE_REGIONS"),
            retention_days=variables.days(values, "ERRATA_RETENTION_DAYS"),
            sample=variables.sample(values, "ERRATA_SAMPLE"),
            approvals=variables.approvals(values, "ERRATA_APPROVALS"),
            model=variables.model(values, "ERRATA_MODEL"),
            tokenizer=variables.path(values, "ERRATA_TOKENIZER"),
            assistant=variables.switch(values, "ERRATA_ASSISTANT"),
            assistant_url=variables.assistant_url(values),
            assistant_model=values.get("ERRATA_ASSISTANT_MODEL", ""),
            assistant_key=variables.assistant_key(values),
            assistant_window=variables.count(values, "ERRATA_ASSISTANT_WINDOW", variables.ASSISTANT_WINDOW),
            roles=variables.roles(values, "ERRATA_ROLES", "UW", "person"),
            groups=variables.roles(values, "ERRATA_GROUPS", "S", "user group"),
            client_id=variables.client(values)[0],
            client_secret=variables.client(values)[1],
            redirect_uri=variables.redirect_uri(values),
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
            ("SLACK_SIGNING_SECRET", self.signing_secrets, variables.COPY_SIGNING),
        )

    def _require(self, *needs: tuple[str, str | tuple[str, ...], str]) -> Self:
        missing = [f"{name} is missing: {source}." for name, value, source in needs if not value]
        if missing:
            raise Invalid(" ".join(missing))
        return self
