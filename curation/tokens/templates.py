"""Chat templates: what stands around the words of a conversation when a model is trained on it.

Owns one template per tokenizer family, for counting; what a trainer renders with is the model's own template
(``training.backends``). Refuses to know vocabularies (``curation.tokens.vocabularies``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from curation.conversation import Conversation


class TokenizerFamily(StrEnum):
    """Models that share a vocabulary, with the chat template that its Phi model uses."""

    PHI3 = "phi3"
    O200K = "o200k"
    CL100K = "cl100k"


@dataclass(frozen=True, slots=True)
class Template:
    """What the family's chat template writes around each turn, and at the end.

    ``opening`` has the place ``{role}``. Every special token counts one; so does a role's name where
    it is text (it is one token in cl100k). Names and weights of messages are not rendered. Definitions
    of tools stand in a pair of marks at the end of the system turn, calls as JSON in the assistant's.
    """

    opening: str
    closing: str
    ending: str
    specials: tuple[str, ...]
    tokens_per_turn: int
    tokens_at_end: int

    def around(self, conversation: Conversation) -> int:
        """Tokens that the template adds to the words."""
        tools = TOKENS_FOR_TOOLS if conversation.tools else 0
        return len(conversation.messages) * self.tokens_per_turn + self.tokens_at_end + tools

    def render(self, conversation: Conversation) -> str:
        """The conversation as one text, end of text included."""
        turns = [
            f"{self.opening.format(role=message.role.value)}{message.text}{self.closing}"
            for message in conversation.messages
        ]
        if conversation.tools:
            turns[0] = turns[0].removesuffix(self.closing) + tools_text(conversation) + self.closing
        return "".join(turns) + self.ending


_PHI_SPECIALS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>")
TEMPLATES = {
    # Phi-3's tokenizer swallows the newline after <|user|>, <|assistant|>, <|system|> and <|end|> (rstrip).
    # Source: tokenizer_config.json of microsoft/Phi-3-mini-4k-instruct.
    TokenizerFamily.PHI3: Template("<|{role}|>\n", "<|end|>\n", "<|endoftext|>", _PHI_SPECIALS, 2, 1),
    # Phi-4-mini: no newlines. Source: tokenizer_config.json of microsoft/Phi-4-mini-instruct.
    TokenizerFamily.O200K: Template("<|{role}|>", "<|end|>", "<|endoftext|>", _PHI_SPECIALS, 2, 1),
    # Phi-4, and OpenAI's models: start, role, separator, end. Source: tokenizer_config.json of microsoft/phi-4.
    TokenizerFamily.CL100K: Template(
        "<|im_start|>{role}<|im_sep|>", "<|im_end|>", "", ("<|im_start|>", "<|im_sep|>", "<|im_end|>"), 4, 0
    ),
}
# <|tool|> and <|/tool|>. Source: the chat template of microsoft/Phi-4-mini-instruct, the one Phi that has tools.
TOKENS_FOR_TOOLS = 2


def tools_text(conversation: Conversation) -> str:
    """The definitions of the tools as they stand in the system turn."""
    return json.dumps([tool.as_json()["function"] for tool in conversation.tools], ensure_ascii=False)
