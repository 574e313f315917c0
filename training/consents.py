"""Consents: an owner's word that customers' data may go to a region outside the geography that the settings name.

Owns when one is needed, and who has given it. Fails closed: of a region whose geography nobody knows, consent is
needed as soon as a geography is named; so it is of a Content Safety resource, whose address mostly tells no region.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from sqlmodel import Session, col, select

from curation import audit, people
from curation.errors import Conflict, Invalid
from curation.people import Actor
from curation.policies import Permission
from curation.store.engine import Store
from curation.wording import Phrase, phrase
from training.backends.foundry.place import AzurePlace, geography_of
from training.store.tables import Consent

UNKNOWN = "unknown"
"""The geography of a region that is not known here."""

CONTENT_SAFETY = "contentsafety"
"""In a region's place: wherever the Content Safety resource of the settings is."""

_REGIONAL = ".api.cognitive.microsoft.com"
"""How the addresses end that begin with their region."""


def plain(region: str) -> str:
    """A region as Azure's ids have it.

    Example:
        ``East US 2`` → ``eastus2``
    """
    return "".join(region.split()).lower()


def needed(place: AzurePlace, region: str) -> bool:
    """Whether data of this installation may go to the region only with consent: pure, it knows of none given."""
    return place.geography is not None and geography_of(region) != place.geography


def given(session: Session, region: str) -> bool:
    """Whether an owner has consented to the region."""
    return session.exec(select(Consent).where(Consent.region == plain(region))).first() is not None


def listed(session: Session) -> list[Consent]:
    """Every consent, by region."""
    return list(session.exec(select(Consent).order_by(col(Consent.region))))


def record(session: Session, actor: Actor, now: datetime, *, region: str) -> Consent:
    """Consent that data goes to the region; a second time changes nothing.

    Raises:
        NotAllowed: the actor is no owner.
        Invalid: that is no region's name.
    """
    people.require(session, actor, Permission.LET_DATA_LEAVE, now)
    name = plain(region)
    if not name.isascii() or not name.isalnum() or not name[:1].isalpha():
        raise Invalid("{region} is no region such as eastus2: az account list-locations --output table", region=region)
    kept = session.exec(select(Consent).where(Consent.region == name)).first()
    if kept is not None:
        return kept
    geography = geography_of(name) or UNKNOWN
    consent = Consent(region=name, geography=geography, given_by=actor.person_id, given_at=now)
    session.add(consent)
    session.flush()
    audit.record(
        session, actor, now, "consent.given", subject=f"region:{name}", details={"region": name, "geography": geography}
    )
    return consent


def region_of_screening(place: AzurePlace) -> str:
    """Where Content Safety rates what is said, as far as its address tells; ``CONTENT_SAFETY`` where it does not.

    Example:
        ``https://eastus.api.cognitive.microsoft.com`` → ``eastus``
    """
    host = urlsplit(place.safety_url or "").hostname or ""
    return host.removesuffix(_REGIONAL) if host.endswith(_REGIONAL) else CONTENT_SAFETY


def is_given(store: Store, region: str) -> bool:
    """``given``, for whoever is asked off any unit of work."""
    with store.read() as session:
        return given(session, region)


def refusal(place: AzurePlace, region: str) -> Phrase:
    """Why data do not go to the region, with the command that consents."""
    if region == CONTENT_SAFETY:
        return phrase(
            "Where {host} is, its address does not tell, and customers' words may go to {geography}: an owner consents "
            "to it with /errata foundry consent {region} in Slack, or errata --as PERSON foundry consent {region}",
            host=urlsplit(place.safety_url or "").hostname or "",
            region=region,
            geography=place.geography,
        )
    return phrase(
        "{region} is outside {geography}, where customers' words may go: an owner consents to it with "
        "/errata foundry consent {region} in Slack, or errata --as PERSON foundry consent {region}",
        region=plain(region),
        geography=place.geography,
    )


def require_consent(session: Session, place: AzurePlace, region: str | None) -> None:
    """Let data go to the region or raise; where the region is not known yet, the worker asks again once it is.

    Raises:
        Conflict: it is outside the geography of the settings, and no owner has consented.
    """
    if region is None or not needed(place, region) or given(session, region):
        return
    raise Conflict(refusal(place, region))
