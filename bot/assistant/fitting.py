"""A conversation that fits the model's window: the oldest turns stay behind where it does not.

Owns where a conversation may be cut. Pure. How many tokens there are is estimated from above, as the exact count
takes the tokenizer of a model that may be anybody's.
"""

from __future__ import annotations

from dataclasses import dataclass

from curation.conversation import Conversation, Role

BYTES_PER_TOKEN = 2
"""At least so many bytes of UTF-8 make a token: Phi-3's tokenizer, the finest here, needs 2.2 a token of German."""
TURN_TOKENS = 8
"""What a chat template adds to a turn, at most."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A conversation that fits, and how many of its oldest turns were left out."""

    conversation: Conversation
    left_out: int


def fit(conversation: Conversation, prompt: str | None, *, room: int) -> Fitted:
    """The newest turns that fit into ``room`` tokens under the system prompt; the last turn stays in any case.

    ``[user, assistant, user]`` of which two do not fit → ``[user]``: what is left begins with a user's turn.
    """
    turns = [turn for turn in conversation.messages if turn.role is not Role.SYSTEM]
    left = room - (_tokens(prompt) if prompt else 0)
    kept = len(turns) - 1
    left -= _tokens(turns[-1].content)
    while kept > 0 and (cost := _tokens(turns[kept - 1].content)) <= left:
        left -= cost
        kept -= 1
    while turns[kept].role is not Role.USER:
        kept += 1
    return Fitted(Conversation(tuple(turns[kept:])).with_system(prompt), kept)


def halved(fitted: Fitted) -> Fitted | None:
    """The same without the older half of its turns, for an endpoint that counts more than we do; None of a single one.

    What is left begins with a user's turn.
    """
    system = [turn for turn in fitted.conversation.messages if turn.role is Role.SYSTEM]
    turns = [turn for turn in fitted.conversation.messages if turn.role is not Role.SYSTEM]
    cut = (len(turns) + 1) // 2
    if cut == len(turns):
        return None
    while turns[cut].role is not Role.USER:
        cut += 1
    return Fitted(Conversation((*system, *turns[cut:])), fitted.left_out + cut)


def _tokens(text: str) -> int:
    return len(text.encode()) // BYTES_PER_TOKEN + TURN_TOKENS
