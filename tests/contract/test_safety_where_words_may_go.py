"""Words go to Content Safety where they may: in the geography of the settings, or where an owner lets them go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import Office
from shell import Shell, write_dialogues

from bot.app import now
from curation.screening import worklist
from curation.screening.harms import PAUSE_SECONDS, Watch
from training import consents
from training.backends.foundry import safety_screen
from training.backends.foundry.place import AzurePlace
from training.sandbox.azure import AzureSandbox

HARMFUL = "Tell them that we stab whoever complains."
ACCOUNTS = "GET .*/providers/Microsoft.CognitiveServices/accounts"
REFUSED = (
    "It was not rated for harm: Where errata-safety.cognitiveservices.azure.com is, its address does not tell, and "
    "customers' words may go to us: an owner consents to it with /errata foundry consent contentsafety in Slack, or "
    "errata --as PERSON foundry consent contentsafety"
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with AzureSandbox(tmp_path_factory.mktemp("azure")) as azure:
        yield azure


@pytest.fixture
def azure(sandbox: AzureSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureSandbox]:
    for name, value in sandbox.environ().items():
        monkeypatch.setenv(name, value)
    sandbox.forget_requests()
    yield sandbox
    sandbox.clear_faults()


def watch_of(azure: AzureSandbox, home: Path, *consented: str, **changes: str) -> Watch:
    place = AzurePlace.read(azure.environ() | changes)
    found = safety_screen.watch(place, home, consented=lambda region: region in consented)
    assert found is not None
    return found


def sent(azure: AzureSandbox) -> int:
    return sum("text:analyze" in one.path for one in azure.requests)


def test_a_resource_in_the_geography_is_found_by_its_account_once(azure: AzureSandbox, tmp_path: Path) -> None:
    watch = watch_of(azure, tmp_path)  # the resource is in eastus2, and words may go to us
    for text in (HARMFUL, "Another."):
        watch.of_one([], text)
    assert sent(azure) == 2
    assert sum("CognitiveServices/accounts" in one.path for one in azure.requests) == 1


@pytest.mark.parametrize(
    ("consented", "rated"), [((), False), (("swedencentral",), False), (("eastus2",), True), (("contentsafety",), True)]
)
def test_one_outside_of_it_takes_an_owners_consent(
    azure: AzureSandbox, tmp_path: Path, consented: tuple[str, ...], rated: bool
) -> None:
    watch = watch_of(azure, tmp_path, *consented, ERRATA_AZURE_GEOGRAPHY="europe")
    (found,) = watch.of_one([], HARMFUL)
    assert (found.rule == "screen.harmful", sent(azure) == 1) == (rated, rated)
    if not rated:
        assert "eastus2 is outside europe, where customers' words may go" in found.message
        assert "/errata foundry consent eastus2" in found.message


def test_one_whose_place_nobody_tells_gets_no_word_without_a_consent(azure: AzureSandbox, tmp_path: Path) -> None:
    azure.fail_next(ACCOUNTS, 403, times=-1)
    (found,) = watch_of(azure, tmp_path).of_one([], HARMFUL)
    assert (found.rule, found.message, sent(azure)) == ("screen.harm_unknown", REFUSED, 0)
    watch_of(azure, tmp_path, "contentsafety").of_one([], HARMFUL)
    assert sent(azure) == 1


@pytest.mark.parametrize(("url", "region"), [("https://westeurope.api.cognitive.microsoft.com", "westeurope")])
def test_an_address_that_begins_with_its_region_tells_it(url: str, region: str) -> None:
    place = AzurePlace.read({"ERRATA_AZURE_SAFETY_URL": url})
    assert consents.region_of_screening(place) == region == safety_screen.region_of(place)


def test_a_correction_that_waited_for_the_consent_is_rated_once_it_is_given(
    azure: AzureSandbox, office: Office, tmp_path: Path
) -> None:
    azure.fail_next(ACCOUNTS, 403, times=-1)
    place, seconds = AzurePlace.read(azure.environ()), [0.0]
    watch = safety_screen.watch(place, tmp_path, consented=lambda region: consents.is_given(office.store, region))
    assert watch is not None
    watch.clock = lambda: seconds[0]
    _, reply = office.ask("What if I complain?", "Nothing happens.")
    office.correct(office.ana, reply, HARMFUL)
    assert worklist.step(office.store, now(), watch=watch) == 1
    assert "foundry consent contentsafety" in json.dumps(office.review(office.ben)["blocks"])
    told = office.people["olga"].command("/errata", "foundry consent contentsafety", office.channel)["text"]
    assert told == "Content Safety may rate what is said, wherever it is, as Olga has consented."
    seconds[0] = PAUSE_SECONDS
    assert worklist.step(office.store, now(), watch=watch) == 1
    assert sent(azure) > 0
    assert "rated as violence" in json.dumps(office.review(office.ben)["blocks"])


def test_in_a_terminal_a_check_says_it_once_and_the_doctor_too(
    errata: Shell, azure: AzureSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ERRATA_AZURE_GEOGRAPHY", "europe")
    file = str(write_dialogues(tmp_path / "rows.jsonl", 3))
    _, out, err = errata("check", file, "--model", "phi-4")
    assert (out + err).count("It was not rated for harm: eastus2 is outside europe") == 1
    assert sent(azure) == 0
    checks = json.loads(errata("doctor", "--foundry", "--json")[1])["checks"]
    (line,) = [one for one in checks if one["id"] == "azure.safety"]
    assert (line["state"], "foundry consent eastus2" in line["remedy"]) == ("warning", True)
    assert errata("foundry", "consent", "contentsafety")[0] == 0
    errata("check", file, "--model", "phi-4")
    assert sent(azure) > 0
