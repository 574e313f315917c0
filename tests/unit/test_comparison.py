"""How two versions differ: every row is in exactly one place, and no row may have changed its side."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from builders import NOON, PROMPT, Team
from test_dataset import attest, rows

from curation import assistants, expiry
from curation.datasets import dataset
from curation.datasets.comparison import Difference, compare
from curation.datasets.frozen import Item, release
from curation.datasets.split import Side
from curation.reviews import Verdict
from curation.store.tables import Example


def difference(team: Team, before: str, after: str) -> Difference:
    with team.store.read() as session:
        return compare(*(dataset.items(session, dataset.find(session, name)) for name in (before, after)))


def item(key: int, question: str, reply: str, *, side: Side = Side.TRAIN, prompt: str = "Be brief.") -> Item:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
    example = Example(id=key, kind="imported", messages=turns, topic="parts", language="en", source="s", thread="t")
    return release(example, side, (1, prompt), None)


def test_what_was_approved_in_between_is_added_and_the_rest_is_unchanged(team: Team) -> None:
    attest(team, rows(20, seed=1))
    team.freeze("v1")
    team.approve("How long does the filter last?", "Six months.")
    team.freeze("v2")
    found = difference(team, "v1", "v2")
    assert [one.conversation.first_user_text() for one in found.added] == ["How long does the filter last?"]
    assert (len(found.unchanged), found.removed, found.moved) == (20, [], [])
    assert found.cells == {("unknown", "en"): (20, 21)}
    back = difference(team, "v2", "v1")
    assert [one.example.key for one in back.removed] == [one.example.key for one in found.added]


def test_a_new_prompt_of_the_assistant_changes_the_prompts_and_nothing_else(team: Team) -> None:
    team.approve("How long does the filter last?", "Six months.")
    team.freeze("v1")
    with team.store.write() as session:
        assistants.set_prompt(session, team.olga, NOON, name="Bris", text="Another prompt.")
    team.freeze("v2")
    found = difference(team, "v1", "v2")
    assert [(old.system, new.system) for old, new in found.prompts] == [(PROMPT, "Another prompt.")]
    assert (found.added, found.removed, found.replies, found.words, found.unchanged) == ([], [], [], [], [])


def test_an_example_that_came_back_with_another_reply_is_a_changed_reply(team: Team) -> None:
    team.approve("How much is the filter?", "9 euros.")
    team.freeze("v1")
    with team.store.write() as session:
        expiry.expire(session, team.ben, NOON, reason="New prices.", after=NOON, example_ids=[1])
        (back,) = expiry.renew(session, team.ben, NOON)
    team.decide(back.candidate, Verdict.EDIT_AND_APPROVE, edited="11 euros.")
    team.freeze("v2")
    found = difference(team, "v1", "v2")
    assert [(old.reply, new.reply) for old, new in found.replies] == [("9 euros.", "11 euros.")]
    assert (found.added, found.removed, found.moved, found.unchanged) == ([], [], [], [])


def test_a_row_that_came_back_with_the_same_reply_is_unchanged_or_has_another_prompt() -> None:
    once, again = item(1, "How long?", "Six months."), item(2, "How long?", "Six months.")
    found = compare([once], [again])
    assert (found.unchanged, found.replies) == ([(once, again)], [])
    other = item(2, "How long?", "Six months.", prompt="Be kind.")
    assert compare([once], [other]).prompts == [(once, other)]


def test_words_that_were_treated_otherwise_are_told_apart_from_another_prompt() -> None:
    old = item(1, "I am Maya.", "Hello Maya.")
    treated = {"messages": [{"role": "user", "content": "I am [name]."}, {"role": "assistant", "content": "Hello."}]}
    new = release(old.example, Side.TRAIN, (1, "Be brief."), {**treated, "rejected": None})
    found = compare([old], [new])
    assert (len(found.words), found.prompts, found.unchanged) == (1, [], [])


@pytest.mark.parametrize("key", [1, 2])
def test_a_row_on_another_side_is_found_be_it_the_same_example_or_another_reply(key: int) -> None:
    old, new = item(1, "How?", "So."), item(key, "How?", "Thus." if key == 2 else "So.", side=Side.VALIDATION)
    assert compare([old], [new]).moved == [(old, new)]


def test_rows_with_the_same_question_and_different_replies_are_all_accounted_for() -> None:
    """Two rows may ask the same: none of them may get lost."""
    rng = random.Random(4)
    for _ in range(200):
        every = [item(number, f"Question {rng.randrange(4)}?", f"{rng.randrange(3)}") for number in range(8)]
        before, after = (rng.sample(every, rng.randrange(8)) for _ in range(2))
        found = compare(before, after)
        pairs = [*found.replies, *found.prompts, *found.words, *found.unchanged]
        assert sorted([new.example.key for _, new in pairs] + [one.example.key for one in found.added]) == sorted(
            one.example.key for one in after
        )
        assert sorted([old.example.key for old, _ in pairs] + [one.example.key for one in found.removed]) == sorted(
            one.example.key for one in before
        )


def test_the_json_has_what_a_program_needs(team: Team) -> None:
    attest(team, rows(12, seed=1))
    team.freeze("v1")
    with team.store.write() as session:
        expiry.expire(session, team.ben, NOON, reason="Old.", after=NOON - timedelta(days=1), example_ids=[3])
    team.freeze("v2")
    told = difference(team, "v1", "v2").as_json()
    assert told["removed"][0]["example"] == 3
    assert told["unchanged"] == 11
    assert (told["added"], told["changed_reply"], told["changed_prompt"], told["moved"]) == ([], [], [], [])
    assert sum(cell["before"] - cell["after"] for cell in told["cells"]) == 1
