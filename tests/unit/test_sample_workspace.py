from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier

from bot.sandbox.sample_workspace import (
    CONVERSATIONS_FILE,
    WORKSPACE_FILE,
    SampleConversation,
    SampleSpeaker,
    SampleVerdict,
    SampleWorkspace,
    load_sample,
)
from curation.candidates import Reason
from curation.errors import Invalid
from curation.policies import RoleName

LANGUAGES = ["en", "de", "nb", "fil", "zh", "id"]
TOPICS = ["billing", "delivery", "account", "device", "returns"]
# The classifier's own codes where they differ from ours.
DETECTED = {"nb": "no", "fil": "tl"}


@pytest.fixture(scope="module")
def sample() -> SampleWorkspace:
    return load_sample()


@pytest.fixture(scope="module")
def identify() -> Callable[[str], str]:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages([DETECTED.get(language, language) for language in LANGUAGES])
    return lambda text: str(identifier.classify(text)[0])


def wrong(sample: SampleWorkspace) -> list[SampleConversation]:
    return [item for item in sample.conversations if item.verdict is SampleVerdict.WRONG]


def length(text: str) -> float:
    """Words; in Chinese, two characters count as one."""
    chinese = len(re.findall("[\u4e00-\u9fff]", text))
    return chinese / 2 if chinese else len(re.findall(r"\S*\w\S*", text))


def test_every_language_has_two_conversations_on_every_topic(sample: SampleWorkspace) -> None:
    cells = Counter((item.language, item.topic) for item in sample.conversations)
    assert cells == {(language, topic): 2 for language in LANGUAGES for topic in TOPICS}


def test_an_id_says_language_and_topic(sample: SampleWorkspace) -> None:
    assert all(re.fullmatch(rf"{item.language}-{item.topic}-[12]", item.id) for item in sample.conversations)


def test_two_replies_per_language_are_wrong(sample: SampleWorkspace) -> None:
    assert Counter(item.language for item in wrong(sample)) == dict.fromkeys(LANGUAGES, 2)


def test_wrong_replies_are_spread_over_topics_and_reasons(sample: SampleWorkspace) -> None:
    reasons = Counter(item.reason for item in wrong(sample))
    assert set(Counter(item.topic for item in wrong(sample))) == set(TOPICS)
    assert set(reasons) == set(Reason) - {Reason.OTHER, Reason.CHANGING_FACT}
    assert reasons[Reason.LANGUAGE] == 1


def test_every_wrong_fact_is_stable(sample: SampleWorkspace) -> None:
    assert [item.stable for item in wrong(sample) if item.reason is Reason.WRONG_FACT] == [True] * 4


def test_the_demo_opens_with_one_wrong_english_reply_to_a_single_question(sample: SampleWorkspace) -> None:
    (opening,) = [item for item in sample.conversations if item.first]
    assert (opening.language, opening.verdict, len(opening.turns)) == ("en", SampleVerdict.WRONG, 2)


def test_no_two_conversations_begin_alike(sample: SampleWorkspace) -> None:
    openings = [item.turns[0].text for item in sample.conversations]
    alike = [
        (one, other)
        for index, one in enumerate(openings)
        for other in openings[index + 1 :]
        if SequenceMatcher(None, one, other).ratio() > 0.7
    ]
    assert alike == []


def test_a_correction_differs_clearly_from_the_reply(sample: SampleWorkspace) -> None:
    for item in wrong(sample):
        assert SequenceMatcher(None, item.reply, item.correction or "").ratio() < 0.7, item.id


def test_replies_and_corrections_are_short_and_concrete(sample: SampleWorkspace) -> None:
    for item in sample.conversations:
        for text in filter(None, (item.reply, item.correction)):
            assert 8 <= length(text) <= 40, (item.id, text)


def test_a_conversation_has_one_to_three_customer_turns_and_no_reply_to_itself(sample: SampleWorkspace) -> None:
    for item in sample.conversations:
        spoken = [turn.speaker for turn in item.turns if turn.speaker is not SampleSpeaker.STAFF]
        assert spoken == [SampleSpeaker.CUSTOMER, SampleSpeaker.ASSISTANT] * (len(spoken) // 2), item.id
        assert 1 <= len(spoken) // 2 <= 3, item.id


def test_a_quarter_of_the_threads_have_earlier_replies_and_a_few_have_staff_asides(sample: SampleWorkspace) -> None:
    threads = [[turn.speaker for turn in item.turns] for item in sample.conversations]
    assert sum(speakers.count(SampleSpeaker.ASSISTANT) > 1 for speakers in threads) == 15
    assert sum(SampleSpeaker.STAFF in speakers for speakers in threads) == 5


def test_customers_write_in_the_language_on_the_label(sample: SampleWorkspace, identify: Callable[[str], str]) -> None:
    for language in LANGUAGES:
        texts = [turn.text for item in sample.conversations if item.language == language for turn in item.turns[:1]]
        assert identify(" ".join(texts)) == DETECTED.get(language, language)


def test_only_the_reply_flagged_for_its_language_is_in_another_one(
    sample: SampleWorkspace, identify: Callable[[str], str]
) -> None:
    strays = {
        item.id for item in sample.conversations if identify(item.reply) != DETECTED.get(item.language, item.language)
    }
    assert strays == {item.id for item in wrong(sample) if item.reason is Reason.LANGUAGE}


def test_the_team_has_every_role_and_its_reviewers_read_every_language(sample: SampleWorkspace) -> None:
    assert Counter(person.role for person in sample.people) == {
        RoleName.AGENT: 3,
        RoleName.REVIEWER: 2,
        RoleName.OWNER: 1,
    }
    read = {code for person in sample.people if person.role is RoleName.REVIEWER for code in person.languages}
    assert read == set(LANGUAGES)


def test_people_have_user_ids_of_their_own_in_slacks_shape(sample: SampleWorkspace) -> None:
    ids = [person.user_id for person in sample.people]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("U[A-Z0-9]{8,10}", user_id) for user_id in ids)


def test_the_system_prompt_is_short_and_names_assistant_and_product(sample: SampleWorkspace) -> None:
    assert len(sample.system_prompt.split()) < 60
    assert sample.assistant_name in sample.system_prompt
    assert sample.product.name in sample.system_prompt


def test_nobody_can_be_reached_by_an_address_or_number_in_the_sample(sample: SampleWorkspace) -> None:
    for item in sample.conversations:
        texts = [*(turn.text for turn in item.turns), item.correction or ""]
        assert not re.search(r"\S@\S|https?://|\d(?:[ -]?\d){6,}", " ".join(texts)), item.id


def write_sample(directory: Path, *rows: dict[str, Any], workspace: dict[str, Any] | None = None) -> Path:
    person = {"name": "Tala", "user_id": "U0TALA0002", "role": "agent", "languages": ["en"], "locale": "en-US"}
    entry = workspace or {
        "product": {"name": "Kettle", "description": "It boils.", "facts": ["Water boils at 100 degrees."]},
        "assistant": {"name": "Puff", "system_prompt": "You are Puff."},
        "channel": "kettles",
        "people": [person],
    }
    (directory / WORKSPACE_FILE).write_text(json.dumps(entry), encoding="utf-8")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (directory / CONVERSATIONS_FILE).write_text(lines, encoding="utf-8")
    return directory


def row(**changes: Any) -> dict[str, Any]:
    """A wrong reply that the demo opens with; a key whose new value is None is taken out."""
    entry: dict[str, Any] = {
        "id": "en-device-1",
        "language": "en",
        "topic": "device",
        "customer": "Maya",
        "turns": [{"speaker": "customer", "text": "How hot?"}, {"speaker": "assistant", "text": "80 degrees."}],
        "verdict": "wrong",
        "reason": "wrong_fact",
        "correction": "100 degrees.",
        "stable": True,
        "first": True,
        **changes,
    }
    return {key: value for key, value in entry.items() if value is not None}


def turns(*speakers: str, **last: str) -> list[dict[str, str]]:
    spoken = [{"speaker": speaker, "text": f"Words of the {speaker}."} for speaker in speakers]
    spoken[-1].update(last)
    return spoken


def test_a_sample_of_ones_own_is_read_from_a_directory(tmp_path: Path) -> None:
    loaded = load_sample(write_sample(tmp_path, row()))
    (conversation,) = loaded.conversations
    assert (loaded.assistant_name, loaded.channel, loaded.product.name) == ("Puff", "kettles", "Kettle")
    assert (conversation.reply, conversation.correction) == ("80 degrees.", "100 degrees.")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"topic": None}, "missing required field `topic`"),
        ({"verdict": "fine"}, "Invalid enum value 'fine'"),
        ({"turns": turns("customer", "assistant", "customer")}, "end with the reply to be judged"),
        ({"turns": []}, "begin with what the customer asked"),
        ({"turns": turns("assistant")}, "begin with what the customer asked"),
        ({"turns": turns("customer", "assistant", text=" ")}, "a turn has no text"),
        ({"turns": [*turns("customer", "staff", name="Nobody"), *turns("assistant")]}, "names nobody of workspace"),
        ({"correction": None}, "needs reason and correction"),
        ({"reason": None, "stable": None}, "needs reason and correction"),
        ({"stable": None}, "stable belongs to wrong_fact"),
        ({"reason": "tone"}, "stable belongs to wrong_fact"),
        ({"verdict": "good"}, "a good reply has nothing to correct"),
    ],
)
def test_a_bad_conversation_is_refused_by_file_and_line(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    directory = write_sample(tmp_path, row(), row(**{"id": "en-device-2", "first": None} | changes))
    with pytest.raises(Invalid, match=rf"^conversations\.jsonl, line 2.*{complaint}.*\.$"):
        load_sample(directory)


def test_a_line_that_is_not_json_is_refused_by_its_number(tmp_path: Path) -> None:
    directory = write_sample(tmp_path, row())
    with (directory / CONVERSATIONS_FILE).open("ab") as file:
        file.write(b'{"id": "\xff"}\n')
    with pytest.raises(Invalid, match=r"^conversations\.jsonl, line 2: "):
        load_sample(directory)


def test_two_conversations_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="en-device-1 occurs more than once"):
        load_sample(write_sample(tmp_path, row(), row(first=None)))


@pytest.mark.parametrize("marks", [(None, None), (True, True)])
def test_a_sample_with_no_opening_or_two_is_refused(tmp_path: Path, marks: tuple[bool | None, ...]) -> None:
    rows = [row(id=f"en-device-{number}", first=mark) for number, mark in enumerate(marks)]
    with pytest.raises(Invalid, match="mark exactly one"):
        load_sample(write_sample(tmp_path, *rows))


def test_a_workspace_without_people_is_refused(tmp_path: Path) -> None:
    product = {"name": "Kettle", "description": "It boils.", "facts": []}
    entry = {"product": product, "assistant": {"name": "Puff", "system_prompt": "You are Puff."}, "channel": "k"}
    with pytest.raises(Invalid, match=r"^workspace\.json: .*`people`"):
        load_sample(write_sample(tmp_path, row(), workspace=entry))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"^workspace\.json of the sample workspace cannot be read"):
        load_sample(tmp_path)
