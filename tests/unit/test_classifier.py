"""A classifier's head on the backbone: its loss and gradients are plain ones, what it reads, how it is kept."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid, Unavailable
from curation.measures.diversity import words
from training.backends.base import Base, Job
from training.backends.local import checkpoint, labels
from training.backends.local.chat import ChatFormat, Row
from training.backends.local.evaluating import classifying
from training.backends.local.labels import Labels, Sample
from training.backends.local.tuning import classifier
from training.backends.local.tuning.classifier import ClassifierLoss
from training.backends.local.tuning.loop import Hooks, Loop
from training.backends.local.tuning.rehearsal import build_base
from training.hyperparameters import Classification, Label, Method, Objective, Recipe, RehearsalModel
from training.particulars import Particulars, read_particulars

pytestmark = pytest.mark.usefixtures("one_thread")

ABOUT = Labels(Label.TOPIC, ("billing", "returns"), 64)
RECIPE = Recipe(
    name="toy",
    method=Method.FULL,
    learning_rate=3e-3,
    epochs=6,
    batch_tokens=128,
    warmup_share=0.1,
    weight_decay=0.0,
    max_grad_norm=1.0,
    seed=7,
    max_length=64,
    objective=Objective.LABELS,
    classification=Classification(Label.TOPIC),
)
WORDS = {
    "billing": ("invoice", "charged", "price", "paid twice", "refund the fee"),
    "returns": ("send it back", "parcel", "wrong size", "return label", "exchange"),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model whose tokenizer knows the toy words."""
    directory = tmp_path_factory.mktemp("base")
    size = RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=320)
    build_base(directory, [word for words in WORDS.values() for word in words], size, window=64, seed=3)
    return directory


def talk(*turns: str, system: str | None = "You help with returns.") -> Conversation:
    """Turns of customer and assistant, in turn."""
    said = (Message(Role.ASSISTANT if place % 2 else Role.USER, text) for place, text in enumerate(turns))
    return Conversation((*((Message(Role.SYSTEM, system),) if system else ()), *said))


def known(number: int, **changes: Any) -> Particulars:
    plain = Particulars(number, "train", "imported", None, None, None, None)
    return replace(plain, **changes)


def toy(rng: random.Random, name: str) -> Conversation:
    return talk(f"{rng.choice(WORDS[name])} {rng.choice(('please', 'hello', 'now'))}", "Of course.")


def job_of(folder: Path, answers: dict[str, list[str]]) -> Job:
    """A job whose rows are about what their words say, and labelled with the answers."""
    rng, particulars, number = random.Random(1), [], 0
    for side, names in answers.items():
        lines = []
        for place, called in enumerate(names):
            number += 1
            about = "billing" if place % 2 else "returns"
            row = {"messages": toy(rng, about).as_json(), "metadata": {"example": number, "kind": "imported"}}
            lines.append(json.dumps(row) + "\n")
            particulars.append(json.dumps(vars_of(known(number, side=side, topic=called))) + "\n")
        (folder / f"{side}.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "particulars.jsonl").write_text("".join(particulars), encoding="utf-8")
    files = {"train": folder / "train.jsonl", "validation": folder / "validation.jsonl"}
    return Job("run-1", Base("rehearsal"), RECIPE, **files, directory=folder, particulars=folder / "particulars.jsonl")


def vars_of(row: Particulars) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Particulars.__slots__}


def true_names(count: int) -> list[str]:
    return ["billing" if place % 2 else "returns" for place in range(count)]


def learned(job: Job, base: Path) -> dict[str, Any]:
    """The figures of a classifier that was trained on the job."""
    loaded = checkpoint.load(base)
    torch.manual_seed(job.recipe.seed)
    prepared = classifier.prepare(job, ChatFormat(loaded.tokenizer), loaded.model)
    hooks = Hooks(report=lambda *_: None)
    Loop(prepared.objective, job.recipe, rows=prepared.rows, validation=prepared.validation, hooks=hooks).run()
    assert isinstance(prepared.objective, ClassifierLoss)
    answering = classifier.LoadedClassifier(prepared.objective, ChatFormat(loaded.tokenizer), loaded.device)
    assert job.particulars is not None
    return classifying.measured(answering, read_particulars(job.particulars), job.train, job.validation)


# The loss.


def rows_of(chat: ChatFormat) -> list[Any]:
    rng = random.Random(2)
    found = [Sample(toy(rng, name), name) for name in ("billing", "returns", "billing", "returns", "returns")]
    return labels.encoded(ABOUT, chat, found).rows


def test_the_loss_is_plain_cross_entropy_on_each_conversations_last_state_and_so_are_the_gradients(base: Path) -> None:
    loaded, plain = checkpoint.load(base), AutoModelForCausalLM.from_pretrained(base)
    objective = ClassifierLoss(loaded.model, ABOUT)
    head = nn.Linear(32, 2, bias=False)
    head.load_state_dict(objective.head.state_dict())
    rows = rows_of(ChatFormat(loaded.tokenizer))
    scored = objective(objective.pack(rows))
    (scored.loss / scored.count).backward()
    logits = torch.cat([head(plain.base_model(torch.tensor([row.ids])).last_hidden_state[:, -1]) for row in rows])
    wanted = torch.tensor([row.label for row in rows])
    expected = nn.functional.cross_entropy(logits, wanted)
    expected.backward()
    torch.testing.assert_close(scored.loss / scored.count, expected, rtol=1e-5, atol=0.0)
    assert int(scored.correct) == int((logits.argmax(-1) == wanted).sum())
    torch.testing.assert_close(objective.head.weight.grad, head.weight.grad, rtol=1e-4, atol=1e-7)
    ours = dict(loaded.model.base_model.named_parameters())
    for name, parameter in plain.base_model.named_parameters():
        torch.testing.assert_close(ours[name].grad, parameter.grad, rtol=1e-4, atol=1e-7, msg=name)


def test_the_models_own_head_predicts_nothing_and_is_left_alone(base: Path) -> None:
    objective = ClassifierLoss(checkpoint.load(base).model, ABOUT)
    trained = {name for name, one in objective.named_parameters() if one.requires_grad}
    assert "head.weight" in trained
    assert "model.model.embed_tokens.weight" in trained
    assert "model.lm_head.weight" not in trained


def test_an_embedding_that_is_the_models_head_as_well_is_trained_all_the_same(base: Path) -> None:
    model = checkpoint.load(base).model
    model.lm_head.weight = model.model.embed_tokens.weight
    objective = ClassifierLoss(model, ABOUT)
    assert objective.core.get_input_embeddings().weight.requires_grad


# What is read.


def test_the_system_turn_is_never_read(base: Path) -> None:
    chat = ChatFormat(checkpoint.load(base).tokenizer)
    for label in Label:
        about = replace(ABOUT, label=label)
        read = {
            str(labels.fitted(about, chat, talk("Hi", "Hello", system=system)))
            for system in (None, "About returns.", "About billing.")
        }
        assert len(read) == 1
        assert "About" not in labels.text_of(label, talk("Hi", "Hello", system="About returns."))


def test_a_topic_is_what_the_customer_said_first_and_all_they_said(base: Path) -> None:
    chat = ChatFormat(checkpoint.load(base).tokenizer)
    side = labels.encoded(ABOUT, chat, [Sample(talk("invoice", "Yes?", "paid twice", "I see."), "billing")])
    first = labels.fitted(ABOUT, chat, talk("invoice", "Something else."))
    assert first is not None
    assert side.conversations == 1
    assert [row.ids for row in side.rows][1] == first[0]
    assert len(side.rows[0]) > len(side.rows[1])
    once = labels.encoded(ABOUT, chat, [Sample(talk("invoice", "Yes."), "billing")])
    assert len(once.rows) == 1


def test_a_reason_is_of_the_conversation_with_the_flagged_reply_and_a_flag_of_both_replies() -> None:
    row = Row(talk("invoice", "It is paid."), 1, "correction")
    corrected = {1: known(1, kind="correction", rejected="No idea.", reason="tone", topic="billing")}
    (reason,) = labels.samples(Label.REASON, [row], corrected)
    assert (reason.conversation.messages[-1].content, reason.name) == ("No idea.", "tone")
    flagged = labels.samples(Label.FLAGGED, [row], corrected)
    assert [(one.conversation.messages[-1].content, one.name) for one in flagged] == [
        ("No idea.", "flagged"),
        ("It is paid.", "kept"),
    ]
    assert labels.samples(Label.FLAGGED, [row], {1: known(1)}) == []  # nobody has judged what was imported
    assert len(labels.samples(Label.FLAGGED, [row], {1: known(1, kind="endorsement")})) == 1
    assert labels.samples(Label.TOPIC, [row], {}) == []


def test_what_is_too_long_loses_its_oldest_turns_and_what_is_too_long_even_so_is_left_out(base: Path) -> None:
    chat, about = ChatFormat(checkpoint.load(base).tokenizer), replace(ABOUT, max_length=24)
    long = talk("send it back " * 9, "Why?", "wrong size", "I see.")
    side = labels.encoded(about, chat, [Sample(long, "returns"), Sample(talk("parcel " * 30, "?"), "returns")])
    assert (side.conversations, side.shortened, side.left_out) == (1, 1, 1)
    assert [row.ids for row in side.rows] == [labels.fitted(about, chat, talk("wrong size", "I see."))[0]]  # type: ignore[index]
    assert side.notes("training", about) == [
        "1 of the training conversations lost their oldest turns to fit 24 tokens.",
        "1 of the training conversations were left out: one turn alone exceeds 24 tokens.",
    ]


def test_a_label_that_was_seen_once_is_left_out_and_said(tmp_path: Path, base: Path) -> None:
    job = job_of(tmp_path, {"train": [*true_names(6), "lost"], "validation": [*true_names(2), "lost", "stolen"]})
    loaded = checkpoint.load(base)
    prepared = classifier.prepare(job, ChatFormat(loaded.tokenizer), loaded.model)
    assert isinstance(prepared.objective, ClassifierLoss)
    assert prepared.objective.about.names == ("billing", "returns")
    assert prepared.notes == (
        "1 of the training conversations were left out: their topic has fewer than 2 conversations to learn from.",
        "2 of the validation conversations were left out: their topic has fewer than 2 conversations to learn from.",
    )


@pytest.mark.parametrize(
    ("answers", "label", "words"),
    [
        ({"train": ["returns"] * 4, "validation": ["returns"]}, Label.TOPIC, "There is nothing to tell apart: 4 conv"),
        ({"train": true_names(4), "validation": ["lost"]}, Label.TOPIC, "No conversation of the validation side has a"),
        ({"train": true_names(4), "validation": []}, Label.REASON, "No correction of the training side says what was"),
        ({"train": true_names(4), "validation": []}, Label.FLAGGED, "has neither a flagged reply nor an approved one"),
    ],
)
def test_nothing_to_tell_apart_is_refused_before_anything_is_trained(
    tmp_path: Path, base: Path, answers: dict[str, list[str]], label: Label, words: str
) -> None:
    job, loaded = job_of(tmp_path, answers), checkpoint.load(base)
    job = replace(job, recipe=replace(RECIPE, classification=Classification(label)))
    with pytest.raises(Invalid, match=words):
        classifier.prepare(job, ChatFormat(loaded.tokenizer), loaded.model)


# What is learned, and how it is kept.


def test_toy_topics_are_learned_and_labels_in_a_random_order_score_no_better_than_chance(
    tmp_path: Path, base: Path
) -> None:
    truth = {"train": true_names(120), "validation": true_names(60)}
    found = learned(job_of(tmp_path, truth), base)
    assert found["candidate"]["macro_f1"] > 0.95
    assert found["yardstick"]["macro_f1"] > 0.95
    assert found["majority"]["accuracy"] == 0.5
    assert (found["names"], found["rows"], found["left_out"]) == (["billing", "returns"], 60, 0)
    assert sum(found["correct"]) == sum(found["candidate"]["confusion"][place][place] for place in range(2))
    rng = random.Random(5)
    permuted = {side: rng.sample(names, len(names)) for side, names in truth.items()}
    assert learned(job_of(tmp_path, permuted), base)["candidate"]["accuracy"] < 0.7


def test_what_was_exported_answers_as_before_and_plain_transformers_loads_the_backbone(
    tmp_path: Path, base: Path
) -> None:
    loaded = checkpoint.load(base)
    objective = ClassifierLoss(loaded.model, ABOUT)
    chat = ChatFormat(loaded.tokenizer)
    before = classifier.LoadedClassifier(objective, chat, loaded.device)
    asked = [talk("invoice", "Yes?", "paid twice", "I see."), talk("parcel " * 90), talk("return label")]
    answers = before.classify(asked)
    assert [len(answer) for answer in answers] == [2, 0, 2]
    assert answers[0][0][1] >= answers[0][1][1]
    assert sum(share for _, share in answers[0]) == pytest.approx(1)
    checkpoint.save(loaded.model, loaded.tokenizer, tmp_path / "model")
    objective.export(tmp_path, {"head.weight": objective.head.weight})
    after = classifier.load_classifier(tmp_path / "model")
    assert after.about == ABOUT
    for one, other in zip(answers, after.classify(asked), strict=True):
        assert [name for name, _ in one] == [name for name, _ in other]
        assert [share for _, share in one] == pytest.approx([share for _, share in other])
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "model").config.hidden_size == 32
    assert labels.is_classifier(tmp_path / "model")
    (tmp_path / "model" / classifier.HEAD).unlink()
    with pytest.raises(Unavailable, match=r"holds no head\.safetensors that fits"):
        classifier.load_classifier(tmp_path / "model")
    (tmp_path / "model" / labels.FILE).write_text('{"label": "colour"}', encoding="utf-8")
    with pytest.raises(Unavailable, match=r"holds no classifier: its labels\.json is missing or cannot be read"):
        classifier.load_classifier(tmp_path / "model")


def test_the_yardstick_is_scikit_learns_naive_bayes() -> None:
    from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415 (an oracle, slow to load)
    from sklearn.naive_bayes import MultinomialNB  # noqa: PLC0415

    rng = random.Random(4)
    rows = [(labels.text_of(Label.TOPIC, toy(rng, name)), name) for name in true_names(40)]
    asked = [" ".join(rng.choices(WORDS["returns"] + ("invoice", "paid", "hello"), k=4)) for _ in range(40)]
    counter = CountVectorizer(analyzer=words)
    model = MultinomialNB().fit(counter.fit_transform([text for text, _ in rows]), [name for _, name in rows])
    known_words = counter.vocabulary_
    heard = [" ".join(word for word in text.split() if word in known_words) for text in asked]
    expected = model.predict(counter.transform(heard)).tolist()
    assert classifying.naive_bayes(rows, heard) == expected
