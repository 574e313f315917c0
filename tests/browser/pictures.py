"""The pictures of the page in the docs, from a walk through it with the whole sample.

    python tests/browser/pictures.py docs/images

Owns which pictures there are and that each is small. Takes minutes: sixty replies are judged and a toy trains.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import walk
from PIL import Image
from visitor import Visitor, visitor

MOST_BYTES = 200_000
COLOURS = 256


def take(folder: Path) -> None:
    """Walk, and leave browser-*.png in the folder."""
    with (
        TemporaryDirectory() as out,
        walk.served(Path(out) / "demo") as address,
        visitor(folder) as somebody,
    ):
        somebody.visit(address)
        walk.correct(somebody)
        walk.approve(somebody)
        walk.let_the_others_judge(somebody)
        walk.train(somebody)
        walk.home(somebody)
        phone(somebody, address)
    for path in sorted(folder.glob("browser-*.png")):
        Image.open(path).convert("RGB").quantize(COLOURS).save(path, optimize=True)
        if path.stat().st_size > MOST_BYTES:
            raise SystemExit(f"{path} has {path.stat().st_size:,} bytes; {MOST_BYTES:,} are enough for a page.")


def phone(somebody: Visitor, address: str) -> None:
    """The same evaluation in somebody's hand, at night; and App Home, in German."""
    somebody.prefer("dark")
    somebody.visit(address, width=390, height=844)
    somebody.becomes("Priya, owner")
    somebody.scrolls_to("Evaluation of run-", "#room .message")
    somebody.picture("browser-phone")
    somebody.presses("Channels and steps")
    somebody.presses("Home", "#side")
    before = somebody.words("#room .home")
    somebody.speaks("Deutsch")
    somebody.until(lambda: somebody.words("#room .home") != before, "App Home in German")
    somebody.picture("browser-phone-home")


if __name__ == "__main__":
    take(Path(sys.argv[1]))
