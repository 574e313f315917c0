"""``/errata train``: a rehearsal at once, anything else after a second question.

Owns which names may be given from Slack: those that ship with Errata. Paths and hub ids are for the host's own
command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient
from sqlmodel import Session

from bot.blocks import training as blocks
from bot.blocks.elements import Block, notice_view
from bot.desk import Desk, id_of, team_of
from bot.listeners import entries
from bot.listeners.answers import open_view, send_answer, spoken
from bot.listeners.commands.asked import Answer, Asked, View, heard_in, nearest
from bot.speech import Say
from curation import people
from curation.datasets import dataset
from curation.errors import ErrataError, Invalid, NotFound
from curation.people import Actor
from curation.policies import Permission
from training import catalogue, orders
from training import runs as lifecycle
from training.backends.names import SERVICES, BackendName
from training.backends.opening import available
from training.planning import confirmations
from training.planning.confirmations import Question
from training.planning.prices import ANY, Kind
from training.recipe import recipe_names


class Chosen(NamedTuple):
    """What somebody has asked for, by its names."""

    dataset: str
    model: str
    recipe: str | None
    backend: BackendName


def register(app: App, desk: Desk) -> None:
    """Listen to the forms of a run, and to the button that opens the first."""
    app.view(blocks.TRAIN)(partial(_form_sent, desk))
    app.view(blocks.CONFIRM)(partial(_confirmed, desk))
    app.action(blocks.OPEN_TRAIN)(ack=partial(_open_form, desk), lazy=[send_answer])


def train(session: Session, asked: Asked) -> Answer:
    """A rehearsal at once; anything else after a second question; without a dataset, the form."""
    people.require(session, asked.actor, Permission.TRAIN)
    name = asked.word(0)
    if name is None:
        return _form(session, asked.desk, asked.actor, asked.say, asked.destination)
    answer = _start(
        session, asked.desk, asked.actor, asked.say, _chosen(session, name, asked.words[1:]), asked.destination
    )
    return View(blocks.question_view(asked.say, answer)) if isinstance(answer, Question) else answer


def _chosen(session: Session, name: str, words: Sequence[str]) -> Chosen:
    """What ``DATASET [MODEL] [RECIPE]`` says; the name of a backend may stand anywhere behind the dataset."""
    places = [word.lower() for word in words if word.lower() in set(BackendName)]
    others = [word for word in words if word.lower() not in set(BackendName)]
    if places[1:]:
        raise Invalid("A run happens in one place: name {places:or}, not both.", places=places)
    backend = BackendName(places[0]) if places else BackendName.LOCAL
    model, recipe, *_ = [*others, None, None]
    return Chosen(dataset_named(session, name).name, model or orders.REHEARSAL, recipe, backend)


def _names(session: Session) -> list[str]:
    return [version.name for version in dataset.listed(session)]


def dataset_named(session: Session, name: str) -> Any:
    """The dataset that is meant.

    Raises:
        NotFound: there is none; the sentence names the nearest.
    """
    try:
        return dataset.find(session, name)
    except NotFound as error:
        meant = nearest(name, _names(session))
        if meant is None:
            raise
        raise NotFound("There is no dataset {dataset}. Did you mean {meant}?", dataset=name, meant=meant) from error


def _start(session: Session, desk: Desk, actor: Actor, say: Say, asked: Chosen, destination: str) -> str | Question:
    """Start a rehearsal, and say so; of anything else, the second question."""
    model, recipe, backend = asked.model, asked.recipe, asked.backend
    if model != orders.PRODUCTION and backend not in SERVICES:
        model = catalogue.find(model).name
    if recipe is not None and recipe not in recipe_names():
        raise Invalid("{recipe} is no shipped recipe: choose one of {recipes}.", recipe=recipe, recipes=recipe_names())
    if confirmations.needed(session, model=model, recipe=recipe, backend=backend):
        return confirmations.ask(
            session,
            actor,
            desk.clock(),
            dataset_name=asked.dataset,
            model=model,
            recipe=recipe,
            backend=backend,
            place=desk.azure,
            table=desk.prices(),
            production_model=desk.production_model,
            asked_in=destination,
            privacy=desk.privacy,
        )
    started = orders.request(
        session,
        actor,
        desk.clock(),
        dataset_name=asked.dataset,
        model=model,
        recipe=recipe,
        production_model=desk.production_model,
        asked_in=[destination],
        privacy=desk.privacy,
    )
    return _started(say, started.id)


def _started(say: Say, run_id: str) -> str:
    return say(
        "{run} is requested; its status appears in this channel. Stop it with {command}",
        run=f"*{run_id}*",
        command=f"`/errata cancel {run_id}`",
    )


def _form(session: Session, desk: Desk, actor: Actor, say: Say, destination: str, chosen: str | None = None) -> Answer:
    people.require(session, actor, Permission.TRAIN)
    names = _names(session)
    if not names:
        return say("There is no dataset yet. Next: {command}", command="`/errata freeze`")
    models = [one.name for one in catalogue.CATALOGUE]
    backends = available(desk.azure)
    if BackendName.OPENAI in backends:  # of its models, those that somebody has given a price
        models += sorted({one.model for one in desk.prices().prices if one.kind is Kind.TRAINING} - {ANY, *models})
    if desk.production_model is not None or lifecycle.production(session) is not None:
        models.append(orders.PRODUCTION)
    return View(
        blocks.train_form(
            say,
            datasets=names,
            models=models,
            recipes=recipe_names(),
            backends=backends,
            place=destination,
            dataset=chosen or names[0],
        )
    )


def _open_form(
    desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient, context: BoltContext
) -> None:
    """The button *Train* below a dataset; its value names the dataset."""
    say = spoken(desk, body)
    view: Block
    try:
        with desk.store.read() as session:
            destination = heard_in(team_of(body), id_of(body.get("channel")) or "", desk.actor(body))
            chosen = entries.value(action)
            answer = _form(
                session, desk, desk.actor(body), say, destination, chosen if chosen in _names(session) else None
            )
        view = answer.view if isinstance(answer, View) else blocks.done_view(say, say("Not yet"), str(answer))
    except ErrataError as error:
        view = notice_view(say, say("Not possible"), say(error.sentence))
    open_view(context, client, body["trigger_id"], view, say)
    ack()


def _form_sent(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    say = spoken(desk, body)
    following: Block
    try:
        values = entries.entered(view)
        recipe = values.get(blocks.RECIPE)
        chosen = Chosen(
            values.get(blocks.DATASET) or "",
            values.get(blocks.MODEL) or "",
            None if recipe in {None, blocks.AS_MODEL} else recipe,
            BackendName(values.get(blocks.BACKEND) or BackendName.LOCAL),
        )
        with desk.store.write() as session:
            answer = _start(session, desk, desk.meet(session, body), say, chosen, view["private_metadata"])
        if isinstance(answer, Question):
            following = blocks.question_view(say, answer)
        else:
            following = blocks.done_view(say, say("Requested"), answer)
    except ErrataError as error:
        ack(response_action="errors", errors={blocks.DATASET: say(error.sentence)})
        return
    ack(response_action="update", view=following)


def _confirmed(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    """The second press. What has changed since the first is asked about again, in the same modal."""
    say = spoken(desk, body)
    try:
        with desk.store.write() as session:
            answer = confirmations.confirm(
                session,
                desk.meet(session, body),
                desk.clock(),
                confirmation_id=entries.captured(view),
                place=desk.azure,
                table=desk.prices(),
                production_model=desk.production_model,
                privacy=desk.privacy,
            )
            following = (
                blocks.question_view(say, answer)
                if isinstance(answer, Question)
                else blocks.done_view(say, say("Requested"), _started(say, answer.id))
            )
    except ErrataError as error:
        following = notice_view(say, say("Not started"), say(error.sentence))
    ack(response_action="update", view=following)
