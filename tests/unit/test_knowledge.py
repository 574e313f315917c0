"""Corrections of facts that change: a list for whoever keeps the sources, and no lesson for the model."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import NOON, Team

from bot.blocks.correct import REASONS
from bot.links import message_link
from curation import audit, captures, knowledge, proposals
from curation.candidates import Reason
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset
from curation.errors import Conflict, NotAllowed
from curation.privacy import erasure, personal
from curation.privacy.treatment import Decision, Policy, Terms
from curation.reviews import Verdict
from curation.store.tables import Candidate, Export


def flag(team: Team, question: str, reply: str, correction: str, reason: Reason, *, topic: str | None = None) -> int:
    with team.store.write() as session:
        spot = f"T1/C1/17000009{sum(map(ord, question)) % 90 + 10}.000100"
        kept = captures.keep(
            session, team.ana, NOON, assistant_id=team.assistant_id, source=spot, thread=spot, reply=reply
        )
        asked = Conversation((Message(Role.USER, question),))
        captures.fill(session, kept.key, asked, reply=reply, staff_reply=None)
        return proposals.propose(
            session,
            team.ana,
            NOON,
            capture_id=kept.key,
            correction=correction,
            reason=reason,
            topic=topic,
            review_in=None,
        )


def price(team: Team) -> int:
    return flag(team, "How much is the plan?", "12 euros.", "9 euros.", Reason.CHANGING_FACT, topic="prices")


def gaps(team: Team) -> list[knowledge.Gap]:
    with team.store.write() as session:
        return knowledge.gaps(session, team.ben, NOON, message_link)[0]


def test_the_form_asks_whether_a_wrong_fact_is_stable_or_changing() -> None:
    assert [REASONS[reason] for reason in (Reason.WRONG_FACT, Reason.CHANGING_FACT)] == [
        "Wrong fact",
        "Wrong fact that changes, such as a price",
    ]
    assert set(REASONS) == set(Reason)


def test_a_changing_fact_is_listed_with_all_that_a_writer_needs(team: Team) -> None:
    flag(team, "Is it dishwasher safe?", "Yes.", "The lid is not.", Reason.WRONG_FACT)
    number = price(team)
    (gap,) = gaps(team)
    assert (gap.candidate, gap.question, gap.wrong, gap.correction) == (
        number,
        "How much is the plan?",
        "12 euros.",
        "9 euros.",
    )
    assert (gap.topic, gap.language, gap.status, gap.when) == ("prices", "en", "pending", NOON.isoformat())
    assert gap.link is not None
    assert gap.link.startswith("https://slack.com/app_redirect?team=T1&channel=C1&message_ts=17000009")


def test_a_gap_shows_the_newest_correction_and_goes_when_it_is_rejected(team: Team) -> None:
    number = price(team)
    with team.store.write() as session:
        proposals.amend(session, team.ana, NOON, candidate_id=number, correction="9.50 euros.")
    assert gaps(team)[0].correction == "9.50 euros."
    team.decide(number, Verdict.REJECT, comment="It is right.")
    assert gaps(team) == []


def test_a_changing_fact_is_no_lesson_unless_somebody_asks_for_it(team: Team) -> None:
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    team.decide(price(team), Verdict.APPROVE)
    without = team.freeze("without")
    assert (without.manifest["rows"], without.manifest["left_out"]) == (1, {"changing_fact": [2]})
    options = dataset.Options(include_changing=True)
    everything, new = dataset.freeze(team.store, team.olga, NOON, name="with", options=options)
    assert (new, everything.manifest["rows"], everything.manifest["left_out"]) == (True, 2, {})


def test_a_dataset_of_changing_facts_only_is_none(team: Team) -> None:
    team.decide(price(team), Verdict.APPROVE)
    with pytest.raises(Conflict, match="is of a fact that changes"):
        team.freeze("v1")


def test_the_page_has_the_topic_and_nothing_that_markdown_would_take_for_its_own(team: Team) -> None:
    flag(team, "Is *this* <b>free</b>\n# or not?", "[No](x)", "Yes.", Reason.CHANGING_FACT)
    page = knowledge.as_markdown(gaps(team))
    assert "## No topic\n" in page
    assert "### Is \\*this\\* \\<b\\>free\\</b\\> \\# or not?\n" in page
    assert "- Wrong: \\[No\\](x)\n- Right: Yes.\n" in page


def test_the_table_keeps_a_formula_as_text(team: Team) -> None:
    flag(team, '=HYPERLINK("x")', "+1", "-2", Reason.CHANGING_FACT)
    (row,) = csv.DictReader(io.StringIO(knowledge.as_csv(gaps(team))))
    assert (row["question"], row["wrong"], row["correction"]) == ('\'=HYPERLINK("x")', "'+1", "'-2")
    assert list(row) == ["question", "wrong", "correction", "link", "source", "topic", "language", "status", "when"]


def test_the_list_of_nothing_is_a_page_and_a_row_of_headings() -> None:
    assert knowledge.as_markdown([]).startswith("# Knowledge gaps\n")
    assert knowledge.as_csv([]).count("\n") == 1


def test_an_agent_may_not_take_customers_words_away(team: Team) -> None:
    with team.store.read() as session, pytest.raises(NotAllowed):
        knowledge.gaps(session, team.ana, NOON, message_link)


PERSONAL = ("I am kari@nordmann.no. How much?", "Ask ola@nordmann.no.", "9 euros, paid with 4111 1111 1111 1111.")


@pytest.mark.parametrize("write", [knowledge.as_markdown, knowledge.as_csv], ids=["markdown", "csv"])
def test_the_list_leaves_without_personal_data(team: Team, write: Callable[[list[knowledge.Gap]], str]) -> None:
    flag(team, *PERSONAL, Reason.CHANGING_FACT, topic="per@nordmann.no")
    page = write(gaps(team)).replace("\\", "")
    assert "nordmann" not in page
    assert "4111" not in page
    assert (page.count("[EMAIL]"), page.count("[CARD]")) == (3, 1)


def test_the_list_obeys_the_policy_and_what_was_decided(team: Team) -> None:
    flag(team, *PERSONAL, Reason.CHANGING_FACT)
    with team.store.write() as session:
        found, told = knowledge.gaps(session, team.ben, NOON, message_link, Terms(Policy.REVIEW))
        assert (found, [one.rule for one in told]) == ([], ["privacy.undecided"])
        for one in personal.listed(session):
            personal.decide(
                session,
                team.ben,
                NOON,
                which=one.id,
                decision=Decision.REDACT if one.kind == "email" else Decision.KEEP,
                reason="A test card",
                everywhere=False,
                key=b"k",
            )
        ((gap,), told) = knowledge.gaps(session, team.ben, NOON, message_link, Terms(Policy.REVIEW))
    assert (gap.wrong, gap.correction, told) == ("Ask [EMAIL].", PERSONAL[2], [])


def test_a_list_that_left_is_written_down_and_named_when_its_customer_is_erased(team: Team, tmp_path: Path) -> None:
    number = flag(team, *PERSONAL, Reason.CHANGING_FACT)
    out = tmp_path / "gaps.md"
    out.write_text("# Knowledge gaps\n")
    with team.store.write() as session:
        knowledge.record_written(session, team.ben, NOON, out, rows=1)
    with team.store.read() as session:
        (entry,) = audit.search(session, action="gaps.exported")
        assert (entry.details, session.get_one(Export, 1).target) == ({"rows": 1}, "knowledge-gaps")
        thread = session.get_one(Candidate, number).thread
        assert erasure.find(session, team.olga, thread).exports == [str(out)]
