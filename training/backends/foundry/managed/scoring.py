"""A model at a serverless endpoint, asked as OpenAI's chat completions are.

Owns the request and what its refusals mean; none of them quotes what was said. Keys are ``endpoint_keys``'. It is asked
at the route of the Model Inference API and at no other: content safety stands before that one alone.

https://learn.microsoft.com/azure/ai-foundry/concepts/model-catalog-content-safety
https://learn.microsoft.com/azure/ai-foundry/model-inference/reference/reference-model-inference-chat-completions
"""

from __future__ import annotations

from typing import Any

import httpx

from curation.conversation import Conversation
from curation.wording import phrase
from training.backends.addresses import within
from training.backends.errors import Refused, Unreached
from training.backends.foundry.access import plain
from training.backends.foundry.access.refusals import meant
from training.backends.foundry.access.shapes import Said, wait_of

ANSWER_TOKENS = 1024
QUERY = "api-version=2024-05-01-preview"
"""Of the Model Inference API, which every request names."""

_FILTERED = ("content_filter", "ResponsibleAIPolicyViolation")
_UNREADY = frozenset({401, 403, 404, 408, 409, 424, 425, 429})
"""With these it answers while it comes up, a key that is not known everywhere yet among them."""


class KeyRefused(Refused):
    """The endpoint does not take its key: it was renewed."""


def root(address: str) -> str:
    """The root of the API at the address that Azure gives for an endpoint, which may name a route or a version."""
    plain_root = address.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1")
    return f"{plain_root}?{QUERY}"


def ask(url: str, key: str, model: str, conversation: Conversation, *, tokens: int = ANSWER_TOKENS) -> str:
    """The model's reply.

    Args:
        url: root of the API, as ``root`` gives it.
        tokens: most of a reply.

    Raises:
        Unreached: nothing, or *later*; Refused: no. Neither quotes what was said.
    """
    body = {"model": model, "messages": conversation.as_json(), "max_tokens": tokens, "temperature": 0}
    response = _posted(within(url, "chat/completions"), key, body)
    if not response.is_success:
        raise _refusal(response)
    try:
        return str(response.json()["choices"][0]["message"]["content"] or "")
    except (ValueError, TypeError, KeyError, IndexError):
        raise Refused(phrase("The endpoint's answer could not be read: it is not a chat completion.")) from None


def answers(url: str, key: str, model: str) -> bool:
    """Whether the endpoint answers a tiny question: for minutes after its resource is done it does not."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    try:
        response = _posted(within(url, "chat/completions"), key, body)
    except Unreached:
        return False
    if response.is_success:
        return True
    if response.status_code in _UNREADY or response.is_server_error:
        return False
    raise _refusal(response)


def _posted(address: str, key: str, body: dict[str, Any]) -> httpx.Response:
    try:
        return plain.client().post(address, json=body, headers={"authorization": f"Bearer {key}"})
    except httpx.HTTPError:
        raise Unreached(phrase("The endpoint does not answer at the moment.")) from None


def _refusal(response: httpx.Response) -> Refused | Unreached:
    try:
        error = response.json().get("error") or {}
        said = Said.of_body(error if isinstance(error, dict) else {}, response.status_code)
    except (ValueError, AttributeError):
        said = Said()
    status = response.status_code
    if said.has(*_FILTERED):
        return Refused(meant(said).sentence)
    if status in {401, 403}:
        return KeyRefused(
            phrase(
                "The endpoint refuses its key ({status}): it was renewed, or the endpoint is another.", status=status
            )
        )
    if status in {404, 408, 424, 425, 429} or response.is_server_error:
        later = Unreached(phrase("The endpoint says: later ({status}).", status=status))
        later.wait_seconds = wait_of(response.headers)
        return later
    return Refused(phrase("The endpoint does not take the question ({status}).", status=status))
