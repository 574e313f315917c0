"""Content Safety: ``text:analyze`` with severities that are made up, and the same every time.

Owns the words by which a text is judged: nothing here understands anything, and no figure of it says anything about
the real service. The filter of the sandbox's own endpoints asks here too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from training.sandbox.names import SAFETY_KEY
from training.sandbox.wire import Refusal, Request, Response, Route

HOST = "*.cognitiveservices.azure.com"
FILTERED_FROM = 4
"""The severity from which an endpoint's filter refuses, as the service's default does (medium)."""

WORDS: Mapping[str, Mapping[str, int]] = {
    "Hate": {"inferior race": 6, "subhuman": 6, "vermin": 4, "go back to": 2},
    "SelfHarm": {"kill myself": 6, "hurt myself": 4, "suicide": 4, "starve myself": 2},
    "Sexual": {"explicit sex": 6, "nude pictures": 4, "lingerie": 2},
    "Violence": {"how to build a bomb": 6, "behead": 6, "stab": 4, "shoot": 4, "punch": 2},
}
"""Severities, 0 to 7, by what a text contains, regardless of case; the highest one of a category counts."""


def severities(text: str) -> dict[str, int]:
    """The sandbox's severity of each category: ``{"Hate": 0, "SelfHarm": 0, "Sexual": 0, "Violence": 4}``."""
    plain = text.lower()
    return {
        category: max((level for word, level in words.items() if re.search(rf"\b{word}\b", plain)), default=0)
        for category, words in WORDS.items()
    }


def filtered(text: str) -> str | None:
    """The category for which an endpoint with its filter on refuses the text; None: it passes."""
    found = severities(text)
    worst = max(found, key=lambda category: found[category])
    return worst if found[worst] >= FILTERED_FROM else None


def _analyse(request: Request) -> Response:
    if request.headers.get("ocp-apim-subscription-key") != SAFETY_KEY and not request.cloud.signed_in(request):
        raise Refusal(
            401,
            "401",
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for "
            "an active subscription and use a correct regional API endpoint for your resource.",
        )
    body = request.json()
    text = body["text"]
    if not text:
        raise Refusal(400, "InvalidRequestBody", "The field text is required.")
    asked = body.get("categories") or list(WORDS)
    found, eight = severities(text), body.get("outputType") == "EightSeverityLevels"
    # In four levels 0 and 1 are 0, 2 and 3 are 2, and so on.
    rows = [{"category": one, "severity": found[one] if eight else found[one] // 2 * 2} for one in asked]
    return Response.of({"blocklistsMatch": [], "categoriesAnalysis": rows}, x_errata_sandbox="made-up severities")


ROUTES = (Route("POST", HOST, "/contentsafety/text:analyze", _analyse, open=True),)
