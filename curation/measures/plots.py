"""Pictures of a set of examples, each with the words that stand in for it.

Owns the drawing of balance and growth, and for every picture of Errata's the palette and the ``figure`` it is drawn on.
matplotlib comes with the extra ``train`` and is imported only when something is drawn.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curation.errors import Invalid, Unavailable
from curation.language import name_of
from curation.measures.balance import Balance
from curation.wording import phrase

# Told apart in grey and by people who see red and green alike: Okabe and Ito 2008.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
_KIND_COLOURS = {"correction": VERMILION, "endorsement": GREEN, "imported": BLUE}
MOST_TOPICS = 30
MOST_LANGUAGES = 12
BINS = 30

Picture = tuple[Path, str]
"""A PNG and its alt text."""

_MISSING = phrase("Plots need matplotlib, which is not installed: pip install 'errata[train]'")


def require_matplotlib() -> None:
    """Ask whether anything can be drawn here, before somebody waits for the figures to draw.

    Raises:
        Invalid: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise Invalid(_MISSING)


def described(pictures: Sequence[Picture]) -> list[dict[str, str]]:
    """``[{"file": "pictures/kinds.png", "alt": "Bar chart of …"}]``, as ``--json`` prints them."""
    return [{"file": str(path), "alt": alt} for path, alt in pictures]


def write(balance: Balance, folder: Path, *, window: int | None = None, model: str = "") -> list[Picture]:
    """Draw what ``balance`` has figures for: ``topics.png``, ``tokens.png`` and ``kinds.png`` in ``folder``.

    Args:
        balance: of at least one example, or nothing is drawn.
        folder: made where it is missing; files of these names are replaced.
        window: most tokens of a dialogue, drawn into the histogram.
        model: whose window it is.

    Raises:
        Invalid: matplotlib is not installed.
        Unavailable: the folder cannot be written.
    """
    drawn = []
    with _folder(folder):
        if balance.cells:
            drawn.append(_topics(balance, folder / "topics.png"))
        if any(balance.token_counts):
            drawn.append(_tokens(balance, folder / "tokens.png", window, model))
        if balance.kinds:
            drawn.append(_kinds(balance, folder / "kinds.png"))
    return drawn


def growth(versions: Sequence[tuple[str, Mapping[str, int]]], folder: Path) -> Picture:
    """Draw the examples of each dataset version, oldest first, by kind: ``growth.png`` in ``folder``.

    Raises:
        As ``write``.
    """
    path = folder / "growth.png"
    with _folder(folder), figure(path) as axes:
        names = [_plain(name) for name, _ in versions]
        below = [0] * len(versions)
        for kind in sorted({kind for _, kinds in versions for kind in kinds}):
            counts = [kinds.get(kind, 0) for _, kinds in versions]
            axes.bar(range(len(names)), counts, bottom=below, label=kind, color=_KIND_COLOURS.get(kind, ORANGE))
            below = [low + count for low, count in zip(below, counts, strict=True)]
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right", parse_math=False)
        axes.set(title="Examples by dataset version", ylabel="examples")
        axes.legend()
    words = "; ".join(f"{name} {sum(kinds.values()):,}" for name, kinds in versions)
    return path, f"Bar chart of examples by dataset version, oldest first: {words}."


@contextmanager
def figure(path: Path, size: tuple[float, float] = (7, 4)) -> Iterator[Any]:
    """Axes to draw on, saved to ``path`` as a PNG at the end; equal drawings give equal bytes.

    Args:
        size: width and height in inches, of 120 dots each.

    Raises:
        Invalid: matplotlib is not installed.
    """
    with panels(path, (1,), size) as (axes,):
        yield axes


@contextmanager
def panels(path: Path, heights: Sequence[float], size: tuple[float, float]) -> Iterator[Sequence[Any]]:
    """As ``figure``, with several axes below each other of these relative heights."""
    try:
        # The object interface: pyplot keeps every figure alive and looks for a display.
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (half a second)
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Invalid(_MISSING) from error
    drawn = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(drawn)
    yield list(drawn.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0])
    with warnings.catch_warnings():
        # A font without somebody's script draws boxes; the alt text has the names.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        drawn.savefig(path, format="png", metadata={"Software": None})


def _topics(balance: Balance, path: Path) -> Picture:
    by_topic: dict[str, int] = {}
    by_language: dict[str, int] = {}
    for (topic, language), count in balance.cells.items():
        by_topic[topic] = by_topic.get(topic, 0) + count
        by_language[language] = by_language.get(language, 0) + count
    topics, languages = _largest(by_topic, MOST_TOPICS), _largest(by_language, MOST_LANGUAGES)
    counts = [[balance.cells.get((topic, language), 0) for language in languages] for topic in topics]
    height = max(2.5, 0.35 * len(topics) + 1.5)
    with figure(path, (max(5.0, 0.9 * len(languages) + 3), height)) as axes:
        axes.imshow(counts, cmap="Blues", aspect="auto", vmin=0)
        most = max(map(max, counts))
        for row, line in enumerate(counts):
            for column, count in enumerate(line):
                axes.text(
                    column, row, f"{count:,}", ha="center", va="center", color="white" if count * 2 > most else "black"
                )
        axes.set_xticks(range(len(languages)), [name_of(one) for one in languages], parse_math=False)
        axes.set_yticks(range(len(topics)), [_plain(topic) for topic in topics], parse_math=False)
        axes.set(title="Examples by topic and language")
    lines = "; ".join(
        f"{topic}: "
        + ", ".join(f"{name_of(language)} {count:,}" for language, count in zip(languages, line, strict=True))
        for topic, line in zip(topics, counts, strict=True)
    )
    left = f" {len(by_topic) - len(topics)} smaller topics are not shown." if len(by_topic) > len(topics) else ""
    return path, f"Heat map of examples by topic and language. {lines}.{left}"


def _tokens(balance: Balance, path: Path, window: int | None, model: str) -> Picture:
    longest = max(balance.tokens.max, 1)
    # Bins of whole tokens, so that no bin is wider than its neighbour.
    width = math.ceil((longest + 1) / BINS)
    counts: dict[int, int] = {}
    for tokens, number in balance.token_counts.items():
        counts[tokens // width] = counts.get(tokens // width, 0) + number
    with figure(path) as axes:
        axes.bar(
            [place * width for place in counts],
            list(counts.values()),
            width=width,
            align="edge",
            color=BLUE,
            ec="white",
        )
        axes.axvline(balance.tokens.p50, color="black", linestyle=":", label=f"median {balance.tokens.p50:,}")
        axes.axvline(balance.tokens.p95, color=ORANGE, linestyle="-.", label=f"95 % {balance.tokens.p95:,}")
        if window is not None:
            axes.axvline(window, color=VERMILION, linestyle="--", label=_plain(f"window {model} {window:,}"))
        axes.set(title="Tokens per dialogue", xlabel="tokens", ylabel="dialogues")
        axes.legend()
    lengths = balance.tokens
    words = (
        f"Histogram of tokens per dialogue: 5 % have at most {lengths.p5:,}, half at most {lengths.p50:,}, "
        f"95 % at most {lengths.p95:,}, the longest {lengths.max:,}"
    )
    if window is None:
        return path, f"{words}."
    over = sum(number for tokens, number in balance.token_counts.items() if tokens > window)
    return path, f"{words}; {over:,} are over the window of {model or 'the model'}, {window:,}."


def _kinds(balance: Balance, path: Path) -> Picture:
    kinds = sorted(balance.kinds.items())
    with figure(path, (6, 1.2 + 0.5 * len(kinds))) as axes:
        bars = axes.barh(
            [kind for kind, _ in kinds],
            [count for _, count in kinds],
            color=[_KIND_COLOURS.get(kind, ORANGE) for kind, _ in kinds],
        )
        axes.bar_label(bars, labels=[f" {count:,}" for _, count in kinds])
        axes.set(title="Examples by kind", xlabel="examples")
    words = ", ".join(f"{count:,} {kind} ({count / balance.total:.0%})" for kind, count in kinds)
    return path, f"Bar chart of examples by kind: {words}."


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise Unavailable(
            "{folder} cannot be written ({cause}); choose another folder.", folder=folder, cause=error.strerror
        ) from error


def _largest(counts: Mapping[str, int], most: int) -> list[str]:
    return sorted(sorted(counts, key=lambda name: (-counts[name], name))[:most])


def _plain(text: str) -> str:
    """On one line and not too long for an axis."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 40 else f"{flat[:39]}…"  # noqa: PLR2004 (as wide as the axes allow)
