"""Under which system prompt an example leaves: its channel's own, else its assistant's, as they stand now.

Owns that a dataset and an export of everything approved put an example under the same one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlmodel import Session

from curation import assistants
from curation.errors import Conflict
from curation.store.tables import Example


@dataclass(frozen=True, slots=True)
class Prompts:
    """Id and text of the prompt of every assistant, and of every channel of theirs that has one of its own."""

    everywhere: Mapping[int | None, tuple[int, str]]
    in_channel: Mapping[tuple[int | None, str], tuple[int, str]]

    def get(self, example: Example) -> tuple[int, str] | None:
        """The prompt that the example's reply is to be given under."""
        place = example.source.rpartition("/")[0] if self.in_channel else ""
        own = self.in_channel.get((example.assistant_id, place))
        return own or self.everywhere.get(example.assistant_id)


def current(session: Session) -> Prompts:
    """The prompts in use of all assistants; those that nobody has said are missing."""
    everywhere: dict[int | None, tuple[int, str]] = {}
    in_channel: dict[tuple[int | None, str], tuple[int, str]] = {}
    for assistant in assistants.listed(session):
        prompt = assistants.current_prompt(session, assistant.key)
        if prompt is not None:
            everywhere[assistant.key] = (prompt.key, prompt.text)
        for own in assistants.channel_prompts(session, assistant.key):
            in_channel[assistant.key, str(own.place)] = (own.key, own.text)
    return Prompts(everywhere, in_channel)


def required(session: Session, chosen: Sequence[Example], for_files: str | None) -> Prompts:
    """The prompts in use, of which none that these examples need may be missing.

    Args:
        for_files: the assistant under whose prompt rows of files are put; None leaves them as they are.

    Raises:
        NotFound: no such assistant.
        Conflict: the prompt of an assistant whose replies are among the examples is not known.
    """
    found = current(session)
    wanted = {example.assistant_id for example in chosen}
    file_assistant = assistants.find(session, for_files).key if for_files is not None else None
    for assistant in assistants.listed(session):
        if assistant.key in wanted | {file_assistant} and assistant.key not in found.everywhere:
            raise Conflict(
                "The system prompt of {assistant} is not known, and a model tuned without it answers differently in "
                "use. Say it with: errata assistants prompt {quoted_name} --file prompt.txt",
                assistant=assistant.name,
                quoted_name=json.dumps(assistant.name),
            )
    if file_assistant is None:
        return found
    return Prompts({**found.everywhere, None: found.everywhere[file_assistant]}, found.in_channel)
