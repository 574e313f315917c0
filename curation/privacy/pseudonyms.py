"""Pseudonyms: a value gets the same stand-in wherever it occurs, and nobody without the key can tell whose it is.

Owns the key and the stand-ins. What a sentence needs in order to read naturally (names, addresses, numbers) gets one
of its kind, out of what standards reserve for nobody; what nobody should learn the look of (cards, credentials) gets a
numbered placeholder. Sources: RFC 2104 (HMAC), RFC 2606, RFC 5737, RFC 3849, NANPA's 555-0100 to 555-0199.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

from curation.errors import Unavailable
from curation.privacy.spans import Kind, Span
from curation.privacy.spelling import folded

KEY_FILE = "pseudonyms.key"
_KEY_BYTES = 32

_GIVEN = (  # noqa: SIM905 (fifty quotes would hide the names)
    "Alva Arlo Avery Blair Casey Charlie Dana Devon Eden Ellis Emery Finley Frankie Gray Harley Hollis Indigo Jamie "
    "Jesse Jules Kai Kendall Kit Lane Lennon Logan Lou Marlowe Merle Mika Morgan Nico Noa Oakley Parker Peyton Quinn "
    "Reese Remy Riley River Robin Rowan Sage Sam Sasha Shay Sidney Skyler Sloane Tatum Taylor Toni Tracy Val Wren"
).split()
_FAMILY = (  # noqa: SIM905 (as above)
    "Adair Alder Arden Barlow Beck Brennan Calder Carver Colby Dalton Darrow Ellery Fenwick Fisher Gable Garner Hale "
    "Harlow Hollins Ives Jarvis Keaton Kerrigan Langley Lorne Marsh Mercer Merritt Nash Norwood Osborn Paxton Penrose "
    "Quill Radley Ridley Rowe Sawyer Selby Sheldon Tanner Thorne Tilden Vance Vaughn Wade Walden Weston Whitby Yardley"
).split()
_HAN_FAMILY = "甲乙丙丁戊己庚辛"
_HAN_GIVEN = "安宁文清和平远晨星云海川松竹梅兰岚溪月帆"
_AREAS = (202, 212, 303, 305, 312, 404, 415, 503, 512, 602, 617, 702, 713, 808, 901, 907)
_HAN = re.compile(r"[\u3400-\u9fff]")


def key_of(home: Path) -> bytes:
    """The installation's key, made the first time it is asked for; only its owner may read the file.

    Without it the same people get other pseudonyms: it belongs into the backup, apart from what is handed out.

    Raises:
        Unavailable: the file cannot be written or read, or is no key.
    """
    path = home / KEY_FILE
    try:
        home.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(_KEY_BYTES) + "\n")
                file.flush()
                os.fsync(file.fileno())
        key = bytes.fromhex(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise Unavailable(
            "The key of the pseudonyms, {path}, cannot be used: restore it from a backup.", path=path
        ) from error
    if len(key) != _KEY_BYTES:
        raise Unavailable("The key of the pseudonyms, {path}, is not whole: restore it from a backup.", path=path)
    return key


def surrogate(span: Span, key: bytes) -> str:  # noqa: PLR0911 (a form for each kind)
    """The stand-in of a value: for ``Kari@x.no`` and ``kari@x.no`` the same ``quinn.hale41@pseudonym.invalid``."""
    drawn = int.from_bytes(hmac.new(key, f"{span.kind}:{canonical(span)}".encode(), hashlib.sha256).digest())

    def draw(count: int) -> int:
        nonlocal drawn
        drawn, rest = divmod(drawn, count)
        return rest

    match span.kind:
        case Kind.NAME if _HAN.search(span.text):
            family = _HAN_FAMILY[draw(len(_HAN_FAMILY))]
            return family + "".join(_HAN_GIVEN[draw(len(_HAN_GIVEN))] for _ in span.text[1:])
        case Kind.NAME:
            names = [_GIVEN[draw(len(_GIVEN))], _FAMILY[draw(len(_FAMILY))]]
            return " ".join(names[: max(1, len(span.text.split()))])
        case Kind.EMAIL:
            given, family = _GIVEN[draw(len(_GIVEN))].lower(), _FAMILY[draw(len(_FAMILY))].lower()
            return f"{given}.{family}{draw(10_000)}@pseudonym.invalid"
        case Kind.PHONE:
            return f"+1 {_AREAS[draw(len(_AREAS))]}-555-01{draw(100):02}"
        case Kind.IP if ":" in span.text:
            return f"2001:db8::{draw(65_536):x}:{draw(65_536):x}"
        case Kind.IP:
            return f"{('192.0.2', '198.51.100', '203.0.113')[draw(3)]}.{1 + draw(254)}"
        case _:
            return f"[{span.kind.upper()}-{draw(16**6):06x}]"


def canonical(span: Span) -> str:
    """A value without what may be written in several ways: signs in numbers, spaces, case, the coding of accents."""
    if span.kind is Kind.PHONE:
        return "".join(filter(str.isdigit, span.text))
    if span.kind in {Kind.CARD, Kind.IBAN, Kind.NATIONAL_ID}:
        return "".join(filter(str.isalnum, span.text)).upper()
    if span.kind in {Kind.KEY, Kind.SLACK_TOKEN}:
        return span.text
    return " ".join(folded(span.text).split()).casefold()
