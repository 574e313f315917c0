"""A text outgrows its field: the form gets another one below, and everything typed stays where it is.

Owns nothing but the press. Nothing is written before the form is submitted, so a press that gets lost costs a press.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from slack_bolt import Ack, App
from slack_sdk import WebClient

from bot.blocks.correct import BETTER, CORRECTION
from bot.blocks.elements import Block
from bot.blocks.parts import ADD_PART, added, adder
from bot.blocks.review import AS_IT_SHOULD_BE, EDITED
from bot.desk import Desk
from bot.listeners import entries
from bot.listeners.answers import show_next, spoken
from bot.speech import Say
from curation.errors import Invalid

log = logging.getLogger("errata.correct")

MOST_BLOCKS = 100
_LABELS = {CORRECTION: BETTER, EDITED: AS_IT_SHOULD_BE}
_KEPT = ("type", "callback_id", "title", "submit", "close", "private_metadata", "notify_on_close")


def register(app: App, desk: Desk) -> None:
    """Listen to the button below the fields of a text."""
    app.action(ADD_PART)(partial(_add, desk))


def _add(desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient) -> None:
    try:
        following = _with_another(spoken(desk, body), body["view"], entries.value(action))
    except Invalid as error:
        log.info("no part was added: error=%s", type(error).__name__)
    else:
        show_next(client, body["view"], following)
    ack()


def _with_another(say: Say, view: dict[str, Any], stem: str) -> Block:
    """The form as it was sent, with one more field below those of this text.

    Raises:
        Invalid: there are none, or there is no room for another one.
    """
    fields = entries.fields_in(view, stem) if stem in _LABELS else []
    if not fields or not adder(say, stem, fields) or len(view["blocks"]) >= MOST_BLOCKS:
        raise entries.from_another_version()
    more = added(say, stem, say(_LABELS[stem]), fields)
    ids = {field["block_id"] for field in fields} | {f"{ADD_PART}:{stem}"}
    at = view["blocks"].index(fields[0])
    others = [[block for block in some if block["block_id"] not in ids] for some in _halves(view["blocks"], at)]
    kept = {name: view[name] for name in _KEPT if view.get(name) is not None}
    return kept | {"blocks": [*others[0], *more, *adder(say, stem, more), *others[1]]}


def _halves(blocks: list[Block], at: int) -> tuple[list[Block], list[Block]]:
    return blocks[:at], blocks[at:]
