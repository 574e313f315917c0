"""Azure AI Content Safety as the judge of ``curation.screening.harms``: texts out, severities back.

Owns the cut of long texts, and what was rated before: kept by digest in ``azure/safety.jsonl`` of the home folder,
never with a word of the text. Off where the place names no key. Refuses to send a word where the settings name a
geography, unless the resource is in it or an owner has consented. Imports nothing of Azure before something is rated.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from curation.errors import ErrataError, Unavailable
from curation.screening.harms import Harm, Severities, Watch
from curation.wording import phrase
from training import consents
from training.backends.foundry.access.arm import COGNITIVE
from training.backends.foundry.access.clients import arm
from training.backends.foundry.access.patience import retry_policy
from training.backends.foundry.access.sdks import content_safety
from training.backends.foundry.place import AzurePlace

MOST_CHARACTERS = 10_000
"""Of one request, as Microsoft's description of the service says."""

OVERLAP = 200
"""Characters that stand at the end of one piece and again at the beginning of the next: what is harmful only as a whole
must not be cut in two."""

_FILE = Path("azure") / "safety.jsonl"
_VERSION = "2023-10-01/8"  # of the service's interface, and its levels: other ratings would be other figures
_AT_ONCE = 4
_RETRIES, _CONNECT_SECONDS, _READ_SECONDS = 2, 5, 15
_REFUSED = frozenset({401, 403})
_NOT_TAKEN = frozenset({400, 413, 422})
_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)]*\s|[。！？]|\n")
_NAMES = {"Hate": Harm.HATE, "SelfHarm": Harm.SELF_HARM, "Sexual": Harm.SEXUAL, "Violence": Harm.VIOLENCE}


def watch(place: AzurePlace, home: Path, *, consented: Callable[[str], bool] = lambda _region: False) -> Watch | None:
    """The judge of the place with its thresholds; None where no key is given: then nothing leaves this machine.

    Args:
        consented: whether an owner lets words go to a region, looked at whenever something is to be sent.
    """
    if place.safety_url is None or not place.safety_key:
        return None
    known: list[str] = []

    def allow() -> None:
        if place.geography is None or consented(consents.CONTENT_SAFETY):
            return
        region = known[0] if known else region_of(place)
        if consents.needed(place, region) and not consented(region):
            raise Unavailable("{why}", why=consents.refusal(place, region))
        known[:] = [region]

    screen = SafetyScreen(place.safety_url, place.safety_key, home / _FILE, allow)
    return Watch(screen, dict(place.safety_thresholds))


def region_of(place: AzurePlace) -> str:
    """Where the resource is, by its address or the resource manager; ``CONTENT_SAFETY`` where neither tells.

    It may ask Azure: never call it while Slack waits.
    """
    told = consents.region_of_screening(place)
    if told != consents.CONTENT_SAFETY or place.subscription is None:
        return told
    path = f"/subscriptions/{place.subscription}/providers/Microsoft.CognitiveServices/accounts"
    with suppress(Unavailable):  # without a credential, or the role to look, nobody knows
        for row in arm().listed(path, COGNITIVE):
            if _host((row.get("properties") or {}).get("endpoint")) == _host(place.safety_url):
                return str(row.get("location") or told)
    return told


def _host(url: str | None) -> str:
    return urlsplit(url or "").hostname or ""


class SafetyScreen:
    """The service at one address.

    Args:
        url: of the resource.
        key: one of its two.
        kept: the file of what was rated before.
        allow: raises Unavailable where nothing may be sent there.
    """

    def __init__(self, url: str, key: str, kept: Path, allow: Callable[[], None] = lambda: None) -> None:
        self._url, self._key, self._allow = url, key, allow
        self._kept = _Ratings(kept)
        self._client: Any = None

    def __call__(self, texts: Sequence[str]) -> list[Severities | None]:
        """The severities of each text, 0 to 7; equal ones are sent once, and what was rated before is not sent.

        None of a text that the service does not take.

        Raises:
            Unavailable: the service refuses, or does not answer; what it has rated until then is kept.
        """
        digests = [_digest(text) for text in texts]
        new = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._kept}
        if new:
            self._allow()
            self._open()
            with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="safety") as pool:
                for digest, rated in zip(new, pool.map(self._rated, new.values()), strict=True):
                    if rated is not None:
                        self._kept.add(digest, rated)
        return [self._kept.get(digest) for digest in digests]

    def _rated(self, text: str) -> Severities | None:
        worst: dict[Harm, int] = {}
        for piece in pieces(text):
            found = self._asked(piece)
            if found is None:
                return None
            for harm, severity in found.items():
                worst[harm] = max(worst.get(harm, 0), severity)
        return {harm: severity for harm, severity in worst.items() if severity}

    def _asked(self, piece: str) -> dict[Harm, int] | None:
        from azure.ai.contentsafety.models import AnalyzeTextOptions, AnalyzeTextOutputType  # noqa: PLC0415 (as above)
        from azure.core.exceptions import AzureError, HttpResponseError  # noqa: PLC0415 (as above)

        levels = AnalyzeTextOutputType.EIGHT_SEVERITY_LEVELS
        options = AnalyzeTextOptions(text=piece, categories=list(_NAMES), output_type=levels)
        try:
            answer = self._client.analyze_text(options)
        except HttpResponseError as error:
            if error.status_code in _NOT_TAKEN:
                return None
            raise _refused(error.status_code or 0) from None  # its text may quote what was sent
        except AzureError:
            raise Unavailable("Azure AI Content Safety does not answer; it is asked again later.") from None
        rows = answer.categories_analysis
        return {_NAMES[str(row.category)]: int(row.severity or 0) for row in rows if str(row.category) in _NAMES}

    def _open(self) -> None:
        if self._client is not None:
            return
        sdk = content_safety()
        from azure.core.credentials import AzureKeyCredential  # noqa: PLC0415 (as above)

        self._client = sdk.ContentSafetyClient(
            self._url,
            AzureKeyCredential(self._key),
            retry_policy=retry_policy(_RETRIES),
            connection_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
        )


def pieces(text: str, *, most: int = MOST_CHARACTERS, overlap: int = OVERLAP) -> list[str]:
    """The text in pieces of at most so many characters, cut where a sentence ends as far as that can be seen.

    ``pieces("One. Two. Three.", most=10, overlap=2)`` → ``["One. Two. ", ". Three."]``. None of white space alone.

    Args:
        most: characters of a piece.
        overlap: how far each goes back into the one before it; less than half of ``most``.
    """
    found, start = [], 0
    while start < len(text):
        end = _end(text, start, most)
        found.append(text[start:end])
        if end == len(text):
            break
        start = end - overlap
    return [piece for piece in found if piece.strip()]


def _end(text: str, start: int, most: int) -> int:
    """Where a piece ends: behind the last sentence, else the last word, of its second half, else where it has to."""
    end = start + most
    if end >= len(text):
        return len(text)
    half = start + most // 2 + 1
    sentences = [match.end() for match in _SENTENCE_END.finditer(text, half, end)]
    if sentences:
        return sentences[-1]
    space = text.rfind(" ", half, end)
    return end if space < 0 else space + 1


class _Ratings:
    """What was rated before, of this process and of others; a line that a kill has cut is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._found: dict[str, Severities] | None = None
        self._torn = False

    def __contains__(self, digest: str) -> bool:
        return digest in self._all()

    def get(self, digest: str) -> Severities | None:
        return self._all().get(digest)

    def add(self, digest: str, rated: Severities) -> None:
        self._all()[digest] = rated
        line = json.dumps({"digest": digest, **{one.value: severity for one, severity in rated.items()}})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # One short write to a file that is only appended to: a line of another process is before it or behind it. The
        # end of a line that a kill has cut comes first, or both were lost; an empty line is none.
        with self._lock, self._path.open("a", encoding="ascii") as file:
            file.write(f"\n{line}\n" if self._torn else f"{line}\n")
            self._torn = False

    def _all(self) -> dict[str, Severities]:
        with self._lock:
            if self._found is None:
                text = self._path.read_text(encoding="ascii", errors="replace") if self._path.exists() else ""
                self._torn = bool(text) and not text.endswith("\n")
                self._found = dict(_read(text))
            return self._found


def _read(text: str) -> Iterator[tuple[str, Severities]]:
    for line in text.splitlines():
        with suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            yield row["digest"], {one: int(row[one.value]) for one in Harm if one.value in row}


def _digest(text: str) -> str:
    return hashlib.sha256(f"{_VERSION}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _refused(status: int) -> ErrataError:
    if status in _REFUSED:
        return Unavailable(
            "Azure AI Content Safety refuses the key: compare ERRATA_AZURE_SAFETY_KEY with az cognitiveservices "
            "account keys list, and ERRATA_AZURE_SAFETY_URL with the account it belongs to."
        )
    return Unavailable(phrase("Azure AI Content Safety gave no rating (status {status}).", status=status))
