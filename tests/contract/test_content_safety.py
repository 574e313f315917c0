"""Content Safety looks at examples before training: through Microsoft's own client, against the sandbox's service."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import NOON, Office, Team
from hypothesis import given
from hypothesis import strategies as st
from shell import Shell, dialogue

from bot import working
from bot.app import now
from curation.errors import Invalid
from curation.findings import Severity
from curation.privacy.treatment import REGIONS
from curation.screening import worklist
from curation.screening.harms import PAUSE_SECONDS, Harm, Watch
from curation.screening.outliers import Limits
from training.backends.foundry import safety_screen
from training.backends.foundry.place import AzurePlace
from training.sandbox.azure import AzureSandbox

HARMFUL = "Tell them that we stab whoever complains. "
GRAVE = "They are subhuman."
PLAIN = "You can send it back within 30 days."
ANYWHERE = {"ERRATA_AZURE_GEOGRAPHY": ""}
"""Words may go to any region; what is asked where they may not, see ``test_safety_where_words_may_go``."""
ANALYSE = "POST .*/contentsafety/text:analyze"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with AzureSandbox(tmp_path_factory.mktemp("azure")) as azure:
        yield azure


@pytest.fixture
def azure(sandbox: AzureSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureSandbox]:
    for name, value in (sandbox.environ() | ANYWHERE).items():
        monkeypatch.setenv(name, value)
    sandbox.forget_requests()
    yield sandbox
    sandbox.clear_faults()


def place_of(azure: AzureSandbox, **changes: str) -> AzurePlace:
    return AzurePlace.read(azure.environ() | ANYWHERE | changes)


def watch_of(azure: AzureSandbox, home: Path, **changes: str) -> Watch:
    found = safety_screen.watch(place_of(azure, **changes), home)
    assert found is not None
    return found


def sent(azure: AzureSandbox) -> list[str]:
    return [one.body["text"] for one in azure.requests]


def test_without_a_key_nothing_is_asked(azure: AzureSandbox, tmp_path: Path) -> None:
    place = place_of(azure)
    assert safety_screen.watch(replace(place, safety_key=None), tmp_path) is None
    assert safety_screen.watch(replace(place, safety_url=None), tmp_path) is None
    assert safety_screen.watch(AzurePlace(), tmp_path) is None


def test_a_text_is_rated_once_whoever_asks_and_the_file_holds_no_word_of_it(
    azure: AzureSandbox, tmp_path: Path
) -> None:
    rated = watch_of(azure, tmp_path).screen([HARMFUL, PLAIN, HARMFUL, " "])
    assert [one.get(Harm.VIOLENCE, 0) for one in rated] == [4, 0, 4, 0]
    assert sorted(sent(azure)) == sorted([HARMFUL, PLAIN])
    (request, _) = azure.requests
    assert request.body["categories"] == ["Hate", "SelfHarm", "Sexual", "Violence"]
    assert request.body["outputType"] == "EightSeverityLevels"
    (kept,) = (tmp_path / "azure").iterdir()
    with kept.open("a", encoding="utf-8") as file:
        file.write('{"digest": "cut')  # as a kill leaves it
    assert not [word for word in HARMFUL.split() if word in kept.read_text(encoding="utf-8")]
    azure.forget_requests()
    assert watch_of(azure, tmp_path).screen([HARMFUL, PLAIN]) == rated[:2]  # after a restart
    assert sent(azure) == []
    watch_of(azure, tmp_path).screen(["New."])
    assert watch_of(azure, tmp_path).screen(["New.", HARMFUL]) == [{}, {Harm.VIOLENCE: 4}]
    assert sent(azure) == ["New."]


def test_a_long_text_is_sent_in_pieces_and_has_the_severity_of_the_worst(azure: AzureSandbox, tmp_path: Path) -> None:
    text = f"{PLAIN} " * 400 + HARMFUL + f"{PLAIN} " * 400
    (rated,) = watch_of(azure, tmp_path).screen([text])
    assert rated[Harm.VIOLENCE] == 4
    assert len(sent(azure)) == 4
    assert max(map(len, sent(azure))) <= safety_screen.MOST_CHARACTERS
    assert all(piece.rstrip().endswith(".") for piece in sent(azure))


@given(
    st.text(alphabet=st.sampled_from("ab .!?。\n\U0001f600"), max_size=300),
    st.integers(20, 60),
    st.integers(0, 9),
)
def test_pieces_leave_nothing_out_and_none_is_too_long(text: str, most: int, overlap: int) -> None:
    found = safety_screen.pieces(text, most=most, overlap=overlap)
    assert all(piece.strip() and len(piece) <= most for piece in found)
    reached = 0
    for piece in found:
        place = text.find(piece, max(0, reached - overlap))
        assert not text[reached:place].strip() or place <= reached
        reached = max(reached, place + len(piece))
    assert not text[reached:].strip()


def test_a_team_says_from_which_severity_on_it_is_warned(azure: AzureSandbox, tmp_path: Path) -> None:
    usual, strict, mild = (
        watch_of(azure, tmp_path, ERRATA_AZURE_SAFETY_THRESHOLDS=given).of_one([], text)
        for given, text in (("", HARMFUL), ("violence=2", "We punch back."), ("violence=5", HARMFUL))
    )
    assert [(one.rule, one.severity, one.message) for one in usual] == [
        ("screen.harmful", Severity.WARNING, "The correction is rated as violence 4 of 7.")
    ]
    assert [one.message for one in strict] == ["The correction is rated as violence 2 of 7."]
    assert mild == []
    with pytest.raises(Invalid) as raised:
        place_of(azure, ERRATA_AZURE_SAFETY_THRESHOLDS="rudeness=3")
    assert str(raised.value) == (
        "ERRATA_AZURE_SAFETY_THRESHOLDS is no list such as hate=2, violence=6: the categories are hate, self_harm, "
        "sexual and violence, the severities 1 to 7."
    )


def test_a_refused_key_is_one_sentence_without_the_key_and_asked_about_once_in_a_while(
    azure: AzureSandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = [0.0]
    watch = watch_of(azure, tmp_path, ERRATA_AZURE_SAFETY_KEY="not-this-one")
    watch.clock = lambda: seconds[0]
    with caplog.at_level(logging.DEBUG):
        (finding,) = watch.of_one([PLAIN], HARMFUL)
    assert (finding.rule, finding.severity) == ("screen.harm_unknown", Severity.INFO)
    assert finding.message == (
        "It was not rated for harm: Azure AI Content Safety refuses the key: compare ERRATA_AZURE_SAFETY_KEY with az "
        "cognitiveservices account keys list, and ERRATA_AZURE_SAFETY_URL with the account it belongs to."
    )
    said = caplog.text
    assert "not-this-one" not in said
    assert "stab" not in said
    asked = len(sent(azure))
    assert watch.of_one([], "Another.") == [finding]
    assert len(sent(azure)) == asked
    seconds[0] = PAUSE_SECONDS
    watch.of_one([], "Another.")
    assert len(sent(azure)) > asked


def test_the_reviewer_is_warned_and_what_could_not_be_rated_is_once_the_service_answers(
    azure: AzureSandbox, office: Office, tmp_path: Path
) -> None:
    _, reply = office.ask("What if I complain? I could shoot you all!", "Nothing happens.")
    office.correct(office.ana, reply, HARMFUL)
    seconds = [0.0]
    watch = watch_of(azure, tmp_path)
    watch.clock = lambda: seconds[0]
    azure.fail_next(ANALYSE, 503, times=99, retry_after=0)
    assert worklist.step(office.store, now(), watch=watch) == 1
    shown = json.dumps(office.review(office.ben)["blocks"])
    assert "It was not rated for harm: Azure AI Content Safety gave no rating (status 503)." in shown
    azure.clear_faults()
    assert worklist.step(office.store, now(), watch=watch) == 0  # it is left alone for a while
    seconds[0] = PAUSE_SECONDS
    assert worklist.step(office.store, now(), watch=watch) == 1
    assert worklist.step(office.store, now(), watch=watch) == 0
    shown = json.dumps(office.review(office.ben)["blocks"])
    assert "The correction is rated as violence 4 of 7." in shown
    assert "What was said before the correction is rated as violence 4 of 7." in shown
    assert "not rated" not in shown
    assert "1 is risky" in office.queue()["text"]


def test_one_text_that_the_service_does_not_take_stops_nobody_else(azure: AzureSandbox, tmp_path: Path) -> None:
    watch = watch_of(azure, tmp_path)
    azure.fail_next(ANALYSE, 400)
    (unrated,) = watch.of_one([], "What?")
    assert unrated.message == "Something in 1 conversation could not be rated for harm."
    assert [one.rule for one in watch.of_one([], HARMFUL)] == ["screen.harmful"]
    assert watch.of_one([], "What?") == []


def test_the_worker_shows_what_arrives_to_the_service(azure: AzureSandbox, team: Team, tmp_path: Path) -> None:
    class Place:
        store = team.store
        clock = staticmethod(lambda: NOON)

    class Leading:
        def leads(self) -> bool:
            return True

    class Settings:
        author_limits = Limits()
        phone_regions = REGIONS

    candidate = team.flag("May I complain?", GRAVE)
    watch = watch_of(azure, tmp_path)
    assert working._screens(Place(), Leading(), Settings(), watch)  # type: ignore[arg-type]  # what a round reads of them
    with team.store.read() as session:
        (finding,) = worklist.findings_of(session, candidate)
    assert (finding.rule, finding.severity) == ("screen.very_harmful", Severity.ERROR)


def test_a_check_and_a_freeze_name_what_is_harmful(shell: Shell, azure: AzureSandbox, tmp_path: Path) -> None:
    rows = [dialogue(number) for number in range(12)]
    rows[3]["messages"][-1]["content"] += f" {HARMFUL}"
    rows[7]["messages"][-1]["content"] += f" {GRAVE}"
    file = tmp_path / "dialogues.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shell.owned_by("olga")
    code, out, _ = shell("check", str(file), "--model", "phi-3-mini-4k-instruct", "--json")
    harmful = {one["line"]: one for one in json.loads(out)["findings"] if one["rule"].endswith("harmful")}
    assert (code, {line: one["severity"] for line, one in harmful.items()}) == (1, {4: "warning", 8: "error"})
    assert harmful[4]["message"] == "The conversation is rated as violence 4 of 7."
    assert shell("import", str(file), "--approve-as", "olga", "--reason", "Read.")[0] == 0
    azure.forget_requests()
    code, _, err = shell("dataset", "freeze", "v1")
    assert (code, sent(azure)) == (0, [])  # the check has asked already
    assert "1 example is rated as harmful, from 6 of 7 on: 8" in err
    assert "1 example is rated as harmful, from 4 of 7 on: 4" in err
    assert "stab" not in err
