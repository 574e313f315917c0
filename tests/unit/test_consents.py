"""Customers' words leave the geography of the settings only where an owner has said so."""

from __future__ import annotations

import pytest
from builders import NOON, Team

from curation.errors import Conflict, Invalid, NotAllowed
from training import consents
from training.backends.foundry.place import NOWHERE, AzurePlace

EUROPE = AzurePlace(geography="europe")


@pytest.mark.parametrize(
    ("place", "region", "needed"),
    [
        (EUROPE, "swedencentral", False),
        (EUROPE, "Sweden Central", False),
        (EUROPE, "eastus2", True),
        (EUROPE, "a-region-of-tomorrow", True),
        (AzurePlace(geography="us"), "eastus2", False),
        (NOWHERE, "eastus2", False),
    ],
    ids=["inside", "as the portal writes it", "outside", "nobody knows", "another geography", "none named"],
)
def test_consent_is_needed_outside_the_geography_and_where_nobody_knows(
    place: AzurePlace, region: str, needed: bool
) -> None:
    assert consents.needed(place, region) is needed


def test_a_run_whose_rows_would_leave_is_refused_with_the_command_until_an_owner_consents(crew: Team) -> None:
    with crew.store.read() as session, pytest.raises(Conflict) as refused:
        consents.require_consent(session, EUROPE, "East US 2")
    assert str(refused.value) == (
        "eastus2 is outside europe, where customers' words may go: an owner consents to it with /errata foundry "
        "consent eastus2 in Slack, or errata --as PERSON foundry consent eastus2"
    )

    with crew.store.write() as session:
        consents.record(session, crew.olga, NOON, region="East US 2")
    with crew.store.read() as session:
        consents.require_consent(session, EUROPE, "eastus2")
        consents.require_consent(session, EUROPE, "northeurope")
        consents.require_consent(session, EUROPE, None)
        assert [consent.region for consent in consents.listed(session)] == ["eastus2"]
        with pytest.raises(Conflict):
            consents.require_consent(session, EUROPE, "westus3")


def test_a_reviewer_cannot_consent_and_a_region_has_to_be_one(team: Team) -> None:
    with team.store.write() as session:
        with pytest.raises(NotAllowed, match="takes the role owner"):
            consents.record(session, team.bea, NOON, region="eastus2")
        with pytest.raises(Invalid, match="no region such as eastus2"):
            consents.record(session, team.olga, NOON, region="east us; drop")
        assert not consents.given(session, "eastus2")
