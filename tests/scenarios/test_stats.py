"""``errata stats`` and the pictures of a dataset: a command line in, words, files and exit codes out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import NOON, Team
from shell import Shell

from curation.measures import topics
from curation.reviews import Verdict


@pytest.fixture
def errata(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """On the team's database, as Ben."""
    monkeypatch.setenv("ERRATA_HOME", str(tmp_path))
    shell.acting = "Ben"
    return shell


@pytest.fixture
def curated(team: Team) -> Team:
    """Twelve approved examples about filters and bulbs, frozen as v1; a German question about filters waits."""
    for number in range(12):
        topic = "filters" if number < 9 else "bulbs"
        question = f"What does part {number * 31} of the {topic} in my lamp cost, and when is it here?"
        candidate = team.flag(
            question, None if number % 2 else f"Part {number * 31} costs {number} euros, in two days."
        )
        label(team, candidate, topic)
        team.decide(candidate, Verdict.APPROVE)
    team.freeze("v1")
    label(team, team.flag("Wie lange hält der Filter in meiner Lampe eigentlich?", "Sechs Monate lang."), "filters")
    return team


def label(team: Team, candidate: int, topic: str) -> None:
    with team.store.write() as session:
        topics.label(session, team.ben, NOON, candidate_id=candidate, topic=topic)


@pytest.mark.usefixtures("curated")
def test_the_figures_name_what_is_missing_and_who_waits(errata: Shell) -> None:
    code, out, _ = errata("stats", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["balance"]["table"] == {"bulbs": {"en": 3}, "filters": {"en": 9}}
    assert found["balance"]["kinds"] == {"correction": 6, "endorsement": 6}
    assert found["balance"]["authors"] == {"people": 1, "largest": 1.0, "who": "Ana", "effective": 1.0}
    assert found["balance"]["reviewers"]["who"] == "Ben"
    assert found["balance"]["tokens"]["p50"] > 10
    assert found["balance"]["diversity"]["texts"] == 12
    assert found["queue"] == {"pending": 1, "returned": 0, "approved": 12, "rejected": 0}
    assert found["versions"] == [{"name": "v1", "kinds": {"correction": 6, "endorsement": 6}}]
    waiting = [advice for advice in found["advice"] if advice["waiting"]]
    assert [(one["topic"], one["language"], one["missing"], one["ids"]) for one in waiting] == [
        ("filters", "de", 10, [13])
    ]


@pytest.mark.usefixtures("curated")
def test_the_terminal_shows_tables_bars_and_what_to_do_next(errata: Shell) -> None:
    code, out, _ = errata("stats", "--authors")
    assert code == 0
    assert "Candidates: 1 pending, 0 returned, 12 approved, 0 rejected" in out
    assert "█" in out
    assert "Vendi score" in out
    assert "Written by 1, as if by 1.0 alike: Ana 100% of it." in out
    command = "errata review --topic filters --language de"
    assert f"Add 10 German filters examples; 1 waits in the queue: 13; review it with: {command}" in out
    assert out.rstrip().endswith(f"Next: {command}")
    (row,) = [line for line in out.splitlines() if line.startswith("Ana")]
    assert row.split() == ["Ana", "1", "0", "12", "0", "100%", "bulbs", "100%"]


@pytest.mark.usefixtures("curated")
def test_pictures_are_written_with_their_words(errata: Shell, tmp_path: Path) -> None:
    code, out, _ = errata("stats", "--plots", str(tmp_path / "pictures"))
    assert code == 0
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["growth.png", "kinds.png", "tokens.png", "topics.png"]
    assert (
        f"{tmp_path / 'pictures' / 'topics.png'}: Heat map of examples by topic and language. bulbs: English 3" in out
    )

    code, out, _ = errata("dataset", "show", "v1", "--plots", str(tmp_path / "v1"), "--json")
    assert code == 0
    drawn = {Path(one["file"]).name: one["alt"] for one in json.loads(out)["plots"]}
    assert sorted(path.name for path in (tmp_path / "v1").iterdir()) == sorted(drawn)
    assert drawn["topics.png"].endswith("filters: English 9.")


@pytest.mark.usefixtures("curated")
def test_too_few_good_replies_are_a_warning_and_the_share_can_be_set(
    errata: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "balance.endorsements" not in errata("stats")[1]
    monkeypatch.setenv("ERRATA_ENDORSEMENT_SHARE", "0.8")
    assert "6 of 12 examples are corrections, more than 20%. Approve more good replies" in errata("stats")[1]
    monkeypatch.setenv("ERRATA_ENDORSEMENT_SHARE", "80%")
    code, _, error = errata("stats")
    assert code == 2
    assert "ERRATA_ENDORSEMENT_SHARE is no share from 0 to 1" in error


@pytest.mark.usefixtures("team")
def test_an_empty_store_says_where_to_begin(errata: Shell) -> None:
    code, out, _ = errata("stats")
    assert code == 0
    assert "0 examples" in out
