"""What every listener stands at: the store, the clock, the settings of this installation.

Owns how a Slack payload becomes an acting person. Everything else a listener needs it gets from the
payload or from a use case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session

from bot.installations import Workspaces
from bot.speech import DEFAULT, Say, spoken_to
from bot.variables import FLAG_REACTION
from curation import people
from curation.checking.inspection import Inspection
from curation.checking.windows import Gauge
from curation.people import Actor, person_id
from curation.privacy.treatment import DEFAULT_TERMS, Terms
from curation.store.engine import Store
from curation.store.rows import Work
from training.backends.foundry.place import NOWHERE, AzurePlace
from training.planning import prices
from training.planning.prices import PriceTable

NAME_LIMIT = 80
"""Slack's own limit of a display name."""


@dataclass(frozen=True)
class Desk:
    """The listeners' surroundings.

    Attributes:
        clock: gives the current time, aware.
        executor: its threads say what may wait until after the ack.
        review_channel: where review cards go; None: the channel of the reply.
        production_model: the checkpoint in production, while Errata has deployed none.
        solo: one person may try both halves of the two-person rule.
        approvals: how many people have to approve a correction, one or two.
        azure: where in Azure runs may happen, and what may be spent there.
        home: the folder for datasets and runs, with an installation's own prices and what was read of catalogues.
        privacy: under which terms examples leave the store.
        flag_reaction: the reaction that flags a reply, without colons.
        assistant: Errata answers mentions and direct messages itself.
        language: spoken in channels, and to people of whom nothing else is known.
        gauge: gives the gauge of the model that will be tuned, once it is loaded.
        workspaces: where Errata is installed, for a client of another one than the payload's own.
    """

    store: Store
    clock: Callable[[], datetime]
    executor: Executor
    review_channel: str | None = None
    production_model: str | None = None
    solo: bool = False
    privacy: Terms = DEFAULT_TERMS
    flag_reaction: str = FLAG_REACTION
    assistant: bool = False
    language: str = DEFAULT
    gauge: Callable[[], Gauge | None] = lambda: None
    workspaces: Workspaces | None = None
    approvals: int = 1
    azure: AzurePlace = NOWHERE
    home: Path = Path()

    def prices(self) -> PriceTable:
        """What paid services ask for, as the installation's own table says now.

        Raises:
            Invalid: it cannot be read.
        """
        return prices.read(self.home)

    def shown_prices(self) -> PriceTable:
        """The same where a price is only told: one that cannot be read keeps nothing back."""
        return prices.shown(self.home)

    def actor(self, body: Mapping[str, Any]) -> Actor:
        """Who sent this payload: an interaction's ``user`` or a slash command's ``user_id``."""
        user = body.get("user") or {}
        team = user.get("team_id") or id_of(body.get("team")) or body.get("team_id") or ""
        enterprise = id_of(body.get("enterprise")) or body.get("enterprise_id")
        return Actor(person_id(team, user.get("id") or body.get("user_id") or "", enterprise), solo=self.solo)

    def say(self, work: Work, body: Mapping[str, Any]) -> Say:
        """How to speak to whoever sent this payload."""
        return spoken_to(work, self.actor(body).person_id, self.language)

    def review_place(self, team_id: str) -> str | None:
        """The destination key of where a workspace's corrections are reviewed; None for the channel of each reply."""
        if self.workspaces is not None:
            return self.workspaces.review_places()(team_id)
        return place(team_id, self.review_channel) if self.review_channel else None

    def inspection(self) -> Inspection:
        """What one submission is looked at with."""
        return Inspection(self.gauge(), self.privacy)

    def meet(self, session: Session, body: Mapping[str, Any]) -> Actor:
        """Who sent this payload, remembered with the name that it gives."""
        actor = self.actor(body)
        people.meet(session, self.clock(), actor.person_id, display_name=_name_in(body))
        return actor


def _name_in(body: Mapping[str, Any]) -> str | None:
    user = body.get("user") or {}
    name = user.get("name") or user.get("username") or body.get("user_name")
    return name[:NAME_LIMIT] if isinstance(name, str) else None


def id_of(value: Any) -> str | None:
    """The id in ``"C1"`` or in ``{"id": "C1"}``; None where there is none."""
    return (value.get("id") if isinstance(value, dict) else value) or None


def team_of(body: Mapping[str, Any]) -> str:
    """The workspace that the payload came from."""
    return id_of(body.get("team")) or body.get("team_id") or ""


def place(team_id: str, channel_id: str) -> str:
    """The destination key of a channel: ``T1/C1``."""
    return f"{team_id}/{channel_id}"


def source(team_id: str, channel_id: str, ts: str) -> str:
    """Where a message stands: ``T1/C1/1700000000.000100``."""
    return f"{place(team_id, channel_id)}/{ts}"
