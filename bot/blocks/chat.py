"""Errata's own answers: what stands below one, and what is said where there is none."""

from __future__ import annotations

from bot.blocks.elements import Block, context
from bot.mrkdwn import disarm
from bot.speech import Say
from curation.wording import phrase

FEEDBACK = "answer_feedback"
GOOD, BAD = "good", "bad"

WELCOME = phrase("Ask me anything")
PROMPTS = (
    (phrase("What can you help with?"), phrase("What can you help me with?")),
    (
        phrase("Where do your answers come from?"),
        phrase("Where do your answers come from, and what do you not know?"),
    ),
)
"""What is suggested in an empty conversation, as title and message: Slack takes up to four."""


def body(text: str) -> Block:
    """An answer, with the model's own markdown, of at most 12,000 characters."""
    return {"type": "markdown", "text": disarm(text) or "–"}


def foot(say: Say, answer_id: int, label: str) -> list[Block]:
    """Below an answer: which model gave it, and the buttons that say whether it was good."""
    return [
        context(label),
        {
            "type": "context_actions",
            "elements": [
                {
                    "type": "feedback_buttons",
                    "action_id": FEEDBACK,
                    "positive_button": _feedback(say("Good answer"), f"{GOOD}:{answer_id}"),
                    "negative_button": _feedback(say("Wrong answer"), f"{BAD}:{answer_id}"),
                }
            ],
        },
    ]


def failure(sentence: str) -> list[Block]:
    """Below what came of an answer, or alone: why it did not come."""
    return [context(f"⚠️ {sentence}")]


def label(
    say: Say,
    *,
    model: str,
    base: str | None = None,
    prompt_version: int | None = None,
    left_out: int = 0,
    cut: bool = False,
) -> str:
    """``Answered by run-1a2b (phi-3-mini) · prompt 3 · without the 2 oldest messages``."""
    parts = [say("Answered by {model}", model=f"{model} ({base})" if base else model)]
    if prompt_version is not None:
        parts.append(say("prompt {version}", version=prompt_version))
    if left_out:
        parts.append(say.many("without the oldest message", "without the {count} oldest messages", left_out))
    if cut:
        parts.append(say("cut short"))
    return " · ".join(parts)


def _feedback(text: str, value: str) -> Block:
    return {"text": {"type": "plain_text", "text": text}, "accessibility_label": text, "value": value}
