"""Serving runs from a terminal, beside what is live: for as long as a command takes.

Owns what is loaded for which runs. Several adapters of one base share it; a run that shares with nobody is served
merged, which replies faster. Also says how vLLM would serve the same files.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from curation.errors import Conflict
from curation.terminal import Terminal
from training import runs
from training.backends.base import Artefact
from training.backends.local.labels import is_classifier
from training.backends.local.serving.entries import Entry
from training.backends.local.serving.standing import Standing
from training.commands.watching import workplace_of
from training.hyperparameters import Lora
from training.store.tables import Run


@contextmanager
def serve_beside(
    terminal: Terminal,
    run_ids: Sequence[str],
    *,
    port: int = 0,
    with_base: bool = False,
    also: Sequence[Entry] = (),
) -> Iterator[str]:
    """Serve completed runs' models for the length of the block, and of this process; the block gets the URL.

    Args:
        port: on the loopback interface; 0 lets the system choose a free one.
        with_base: load bases and adapters apart even for one run, so that others can join them.
        also: what else is served.

    Raises:
        NotFound, Conflict: no such run; it has no model; of several, one is a classifier.
        Unavailable: it does not start; the port is taken.
    """
    found = artefacts(terminal, run_ids)
    served = [*entries(found, with_base=with_base), *also]
    if len(served) > 1:
        require_replies(found)
    # Of its own: the same run may be served from two terminals at once.
    directory = terminal.home / "runs" / next(iter(found)) / f"foreground-{os.getpid()}"
    standing = Standing()
    try:
        with terminal.waiting("Loading the model …"):
            endpoint = standing.start(served, directory, port=port, attended=True)
        yield endpoint.url
    finally:
        standing.stop(directory)
    shutil.rmtree(directory, ignore_errors=True)


def artefacts(terminal: Terminal, run_ids: Sequence[str]) -> dict[str, Artefact]:
    """What completed runs left, by their whole ids.

    Raises:
        NotFound, Conflict: no such run; it has no model, or is named twice.
    """
    place = workplace_of(terminal)
    with terminal.store.read() as session:
        found: list[Run] = [runs.find(session, run_id) for run_id in run_ids]
    for run_id, times in Counter(run.id for run in found).items():
        if times > 1:
            raise Conflict("{run} is named twice; name each run once.", run=run_id)
    for run in found:
        runs.require_kept(run)
    fetched = {run.id: place.backend(run).fetch(place.job(run)) for run in found}
    for run_id, artefact in fetched.items():
        if artefact.model is None:
            raise Conflict(
                "The weights of {run} stay with the service that tuned it, so nothing can load them here: "
                "errata deploy {run} puts it at an endpoint there.",
                run=run_id,
            )
    return fetched


def require_replies(found: Mapping[str, Artefact]) -> None:
    """Refuse a classifier, which says nothing.

    Raises:
        Conflict: one of the runs is one.
    """
    for run_id, one in found.items():
        if is_classifier(one.weights):
            raise Conflict(
                "{run} answers with labels, not in words: errata endpoint {run} serves it by itself.", run=run_id
            )


def entries(found: dict[str, Artefact], *, with_base: bool = False) -> list[Entry]:
    """What is loaded for these runs: bases that several share once, the others merged."""
    # What a classifier says comes from its head, which is saved with the whole model.
    adapted = {run_id for run_id, one in found.items() if one.adapter is not None and not is_classifier(one.weights)}
    sharing = Counter(found[run_id].base_model for run_id in adapted)
    return [
        Entry(run_id, str(one.base_model), one.adapter)
        if run_id in adapted and (with_base or sharing[one.base_model] > 1)
        else Entry(run_id, str(one.weights))
        for run_id, one in found.items()
    ]


def vllm_commands(found: Mapping[str, Artefact], loras: Mapping[str, Lora | None], *, port: int) -> list[str]:
    """Shell commands by which vLLM serves these runs: each base with its adapters, the others merged, by themselves.

    Args:
        found: what the runs left.
        loras: their recipes' adapters; vLLM takes neither whole modules beside them nor DoRA.
        port: of the first server; each further one takes the next.
    """
    commands: list[list[str]] = []
    adapted: dict[str, dict[str, Artefact]] = {}
    for run_id, one in found.items():
        lora = loras[run_id]
        if one.adapter is None or lora is None or lora.modules_to_save or lora.dora:
            commands.append(["vllm", "serve", str(one.weights), "--served-model-name", run_id])
        else:
            adapted.setdefault(str(one.base_model), {})[run_id] = one
    for base, beside in adapted.items():
        rank = max(lora.rank for run_id in beside if (lora := loras[run_id]) is not None)
        named = [f"{run_id}={one.adapter}" for run_id, one in beside.items()]
        flags = ["--enable-lora", "--max-lora-rank", str(_rank_of_vllm(rank)), "--lora-modules", *named]
        commands.append(["vllm", "serve", base, "--served-model-name", "base", *flags])
    return [
        shlex.join([*command, "--host", "127.0.0.1", "--port", str(port + number)])
        for number, command in enumerate(commands)
    ]


_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes for --max-lora-rank (``vllm/config/lora.py``)."""


def _rank_of_vllm(rank: int) -> int:
    return next(one for one in _RANKS if one >= rank)
