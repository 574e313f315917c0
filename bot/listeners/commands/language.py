"""Language: somebody says how Errata speaks to them and which languages they review, in a form or in one word.

Owns which words name a language. What Slack itself says of somebody's language is heard in ``bot.membership``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from slack_bolt import Ack, App
from sqlmodel import Session

from bot.blocks import language as blocks
from bot.desk import Desk
from bot.listeners import entries
from bot.listeners.commands.asked import Answer, Asked, View
from bot.speech import OWN_NAMES, speaking, spoken_to
from curation import people, tongues
from curation.errors import ErrataError
from curation.language import LANGUAGES, name_of


def register(app: App, desk: Desk) -> None:
    """Listen to the form."""
    app.view(blocks.CALLBACK)(partial(_chosen, desk))


def choose(session: Session, asked: Asked) -> Answer:
    """``/errata language``: the form; with a language behind it, that language from now on."""
    word, person = " ".join(asked.words), asked.actor.person_id
    if not word:
        chosen, _ = people.tongue_of(session, person)
        reads = people.reads_of(session, person)
        return View(blocks.form(asked.say, chosen=chosen, reads=reads, default=asked.desk.language))
    tongues.choose_language(session, asked.actor, asked.desk.clock(), code_of(word))
    return blocks.told(spoken_to(session, person, asked.desk.language))


def code_of(word: str) -> str | None:
    """The code of a language by its code, its English name or its own: ``Deutsch`` → ``de``; ``slack`` → None.

    What is none of these is given back as it is, for the use case to refuse.
    """
    wanted = word.strip().casefold()
    if wanted == blocks.AS_SLACK:
        return None
    known = {name.casefold(): code for code in LANGUAGES for name in (code, name_of(code), OWN_NAMES[code])}
    known |= {"norsk": "nb", "bokmål": "nb", "中文": "zh", "tagalog": "fil", "bahasa": "id"}
    return known.get(wanted, word)


def _chosen(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    say = speaking(desk.language)
    try:
        with desk.store.write() as session:
            say = desk.say(session, body)
            spoken, reads = _choices(view)
            actor, now = desk.meet(session, body), desk.clock()
            tongues.choose_language(session, actor, now, spoken)
            tongues.choose_reads(session, actor, now, reads)
            done = blocks.saved(desk.say(session, body), reads=reads)
    except ErrataError as error:
        ack(response_action="errors", errors={blocks.SPOKEN: say(error.sentence)})
        return
    ack(response_action="update", view=done)


def _choices(view: dict[str, Any]) -> tuple[str | None, list[str]]:
    """What was chosen in both menus.

    Raises:
        Invalid: the form is none that Errata made.
    """
    try:
        values = view["state"]["values"]
        spoken = values[blocks.SPOKEN][blocks.ACTION].get("selected_option")
        read = values[blocks.READ][blocks.ACTION].get("selected_options") or []
        code = str(spoken["value"]) if spoken is not None else blocks.AS_SLACK
        return (None if code == blocks.AS_SLACK else code), [str(option["value"]) for option in read]
    except (KeyError, TypeError, AttributeError) as error:
        raise entries.from_another_version() from error
