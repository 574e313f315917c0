"""The form of ``/errata language``: in which language Errata speaks to somebody, and which languages they review."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from bot.blocks.elements import Block, modal, plain, section
from bot.speech import OWN_NAMES, Say

CALLBACK = "language_form"
SPOKEN, READ = "spoken", "read"
ACTION = "value"
AS_SLACK = "slack"
"""The value of the choice to have none: as Slack is set, else as the workspace speaks."""


def form(say: Say, *, chosen: str | None, reads: Collection[str] | None, default: str) -> Block:
    """The form, filled in with what somebody chose before.

    Args:
        chosen: the code of the language that they chose; None: none.
        reads: the codes of the languages that they review; None: all.
        default: the code of the workspace's language.
    """
    as_slack = (AS_SLACK, say("As in Slack, or {language}", language=OWN_NAMES[default]))
    spoken = _options([as_slack, *OWN_NAMES.items()])
    read = _options(OWN_NAMES.items())
    of_languages = {
        "type": "multi_static_select",
        "action_id": ACTION,
        "placeholder": plain(say("All languages")),
        "options": read,
    }
    initial = [option for option in read if option["value"] in (reads or ())]
    return modal(
        say,
        CALLBACK,
        say("Language"),
        [
            _input(
                SPOKEN,
                say("Errata speaks to me in"),
                {
                    "type": "static_select",
                    "action_id": ACTION,
                    "options": spoken,
                    "initial_option": next(one for one in spoken if one["value"] == (chosen or AS_SLACK)),
                },
                hint=say("Channels are spoken to in the language of the workspace."),
            ),
            _input(
                READ,
                say("Languages I review"),
                of_languages | ({"initial_options": initial} if initial else {}),
                hint=say("Corrections in other languages are left to others. Choose none to see all of them."),
            ),
        ],
        submit=say("Save"),
    )


def saved(say: Say, *, reads: Collection[str] | None) -> Block:
    """What the form becomes, in the language that was just chosen."""
    return modal(say, "notice", say("Language"), [section(told(say)), section(told_reads(say, reads))], submit=None)


def told(say: Say) -> str:
    """That Errata speaks this language from now on, in this language."""
    return say("From now on Errata speaks {language} to you.", language=OWN_NAMES[say.language])


def told_reads(say: Say, reads: Collection[str] | None) -> str:
    """Which languages somebody reviews."""
    if not reads:
        return say("You review corrections in all languages.")
    names = [name for code, name in OWN_NAMES.items() if code in reads]
    return say("You review corrections in {languages:and}.", languages=names)


def _options(choices: Iterable[tuple[str, str]]) -> list[Block]:
    return [{"text": plain(text), "value": value} for value, text in choices]


def _input(block_id: str, label: str, element: Block, *, hint: str) -> Block:
    return {
        "type": "input",
        "block_id": block_id,
        "label": plain(label),
        "element": element,
        "optional": True,
        "hint": plain(hint),
    }
