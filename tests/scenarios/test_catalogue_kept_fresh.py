"""What Slack shows of the provider's models is read anew once a day; where it cannot be, it stays, dated."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders import Office, open_office

from bot import working
from training import offers
from training.backends.errors import Unreached
from training.backends.foundry import registry
from training.backends.foundry.place import NOWHERE, AzurePlace
from training.sandbox.azure import AzureSandbox
from training.workplace import Workplace

MONDAY = datetime(2026, 11, 16, 9, tzinfo=UTC)
MODELS = "/models"


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureSandbox]:
    with AzureSandbox(tmp_path / "azure") as sandbox:
        for name, value in sandbox.environ().items():
            monkeypatch.setenv(name, value)
        yield sandbox


def asked(azure: AzureSandbox) -> int:
    return sum(MODELS in one.path for one in azure.requests)


def test_every_day_what_somebody_looked_for_is_read_anew_and_shorter_words_spare_the_longer_ones(
    azure: AzureSandbox, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    registry.refresh(home, lambda: MONDAY)
    first = offers.load(home)
    assert [one.lower() for one in first.offers if "phi" not in one.lower()] == []
    assert first.read_at("phi-4") == MONDAY  # where nobody looked for anything it is the Phis
    count = asked(azure)
    assert count > 0
    offers.save(home, first.with_("phi-4", MONDAY, first.found("phi-4")))
    registry.refresh(home, lambda: MONDAY + timedelta(hours=23))
    assert asked(azure) == count

    tuesday = MONDAY + timedelta(days=1)
    registry.refresh(home, lambda: tuesday)
    assert asked(azure) == 2 * count
    assert offers.load(home).read_at("phi-4") == tuesday

    azure.fail_next(".*", 503, times=-1, retry_after=0.01)
    with pytest.raises(Unreached):
        registry.refresh(home, lambda: tuesday + timedelta(days=2))
    assert offers.load(home).read_at("phi") == tuesday  # what was known stays, with its date


class Leading:
    """The duty of the only worker."""

    def leads(self) -> bool:
        return True


def test_the_worker_does_it_beside_its_rounds_and_slack_says_of_which_day_it_is(
    azure: AzureSandbox, tmp_path: Path
) -> None:
    with open_office(tmp_path / "office") as office:
        home, moments = office.settings.home, [MONDAY]
        place = Workplace(office.store, {}, home, lambda: moments[0], AzurePlace.read(azure.environ()))

        def rounds(place: Workplace, *, after: timedelta) -> int:
            """How many models are known once the worker has come by so much later."""
            catalogue = working._Cataloguing(place, Leading())  # type: ignore[arg-type]
            catalogue()  # just started: it has enough to do
            assert not [one for one in threading.enumerate() if one.name == "errata-catalogue"]
            moments[0] += after
            catalogue()
            for thread in threading.enumerate():
                if thread.name == "errata-catalogue":
                    thread.join(60)
            return len(offers.load(home).offers)

        assert "was never searched" in _said(office, "models phi-4")
        assert rounds(Workplace(office.store, {}, home, place.clock, NOWHERE), after=timedelta(minutes=2)) == 0
        assert asked(azure) == 0
        known = rounds(place, after=timedelta(minutes=2))
        assert known > 0
        assert "Azure's registry as of 2026-11-16." in _said(office, "models phi-4")
        azure.fail_next(".*", 503, times=-1, retry_after=0.01)
        assert rounds(place, after=timedelta(days=3)) == known  # silence on its part is silence on ours
        assert "Azure's registry as of 2026-11-16." in _said(office, "models phi-4")


def _said(office: Office, words: str) -> str:
    return str(office.olga.command("/errata", words, office.channel).get("text", ""))
