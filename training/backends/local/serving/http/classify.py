"""POST /v1/classify: what conversations are about, or what is wrong with their last replies. No standard but our own.

Owns the shape of the request and of the answer, and that one request is computed at a time: each takes all cores.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

from fastapi import APIRouter
from pydantic import BaseModel, Field

from curation.conversation import Conversation, Message, Role
from curation.errors import NotFound

MOST = 64
"""Conversations of one request."""


class Classifier(Protocol):
    """What answers."""

    def classify(self, conversations: Sequence[Conversation]) -> list[list[tuple[str, float]]]:
        """Every answer with its probability, the most probable first; none for what cannot be read."""


class Turn(BaseModel):
    """One turn of a conversation."""

    role: Role
    content: str


class ClassifyRequest(BaseModel):
    """Conversations, each up to and including the reply that is asked about."""

    model: str
    conversations: list[list[Turn]] = Field(min_length=1, max_length=MOST)


def router(name: str, classifier: Classifier) -> APIRouter:
    """The route over one classifier."""
    routes, busy = APIRouter(), threading.Lock()

    @routes.post("/v1/classify")
    def classify(request: ClassifyRequest) -> dict[str, Any]:
        if request.model != name:
            raise NotFound(
                "This endpoint serves {names}, not {wanted}; change the request's model.",
                names=(name,),
                wanted=request.model,
            )
        asked = [
            Conversation(tuple(Message(turn.role, turn.content) for turn in turns)) for turns in request.conversations
        ]
        with busy:
            answers = classifier.classify(asked)
        results = [
            {"labels": [{"label": label, "probability": probability} for label, probability in answer]}
            for answer in answers
        ]
        return {"object": "list", "model": name, "results": results}

    return routes
