"""Preparing a dataset: its rows, their sides and its manifest, worked out while nobody waits.

Owns what is left out and why. Split into what is read, in one moment, and what is worked out from it, which takes
seconds for tens of thousands of rows and needs no database; nothing is written here (``curation.datasets.freezing``).
What a row is: ``curation.datasets.frozen``; on which side: ``curation.datasets.sides``; what a version says about
itself: ``curation.datasets.manifest``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, select

from curation import assistants, examples, expiry, knowledge
from curation.datasets import fitness, manifest, prompts, sides
from curation.datasets.basis import Basis, basis_of
from curation.datasets.frozen import Item, digest_of, release
from curation.datasets.prompts import Prompts
from curation.datasets.split import Side
from curation.errors import Conflict, Invalid
from curation.findings import Finding, blocking
from curation.formats.jsonl import Row
from curation.privacy import releases
from curation.privacy.treatment import DEFAULT_TERMS, Policy, Terms
from curation.screening.harms import Watch
from curation.store.tables import DatasetVersion, Example
from curation.tokens.counters import TokenCounter

Told = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done and of how much; 0 of 0 where that is not known."""


@dataclass(frozen=True, slots=True)
class Options:
    """What an owner may choose about a version beyond its name and its share for validation.

    Attributes:
        validation: rows of one's own to validate with, in place of a share of the new groups.
        include_changing: keep corrections of facts that change.
        prompt: the assistant under whose current prompt rows of files are put.
        counters: what counts tokens for the manifest.
        privacy: under which terms examples leave the store.
        strict: refuse to freeze what a warning is about.
        since: leave out what was approved before this moment; None: everything takes part.
        watch: rates what is said in the rows for harm; None: nobody does.
    """

    validation: Sequence[Row] = ()
    include_changing: bool = False
    prompt: str | None = None
    counters: Sequence[TokenCounter] = ()
    privacy: Terms = DEFAULT_TERMS
    strict: bool = False
    since: datetime | None = None
    watch: Watch | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """What the store says, of one moment.

    Attributes:
        everything: the examples up to the newest that takes part, oldest first.
        chosen: those of them that are in the version.
        treated: what of them leaves otherwise than it is kept.
        left_out: ``{why: ids}`` of the others.
        findings: what was done about personal data.
        prompts: those in use; ``prompt_versions`` are all there ever were.
        sides: of every group that has one.
        digests: of the versions there are.
        basis: by which a later moment is told from this one.
    """

    everything: Sequence[Example]
    chosen: Sequence[Example]
    treated: Mapping[int, Mapping[str, Any]]
    left_out: Mapping[str, Sequence[int]]
    findings: Sequence[Finding]
    prompts: Prompts
    prompt_versions: Mapping[int, fitness.Prompt]
    sides: Mapping[str, Side]
    digests: frozenset[str]
    basis: Basis


@dataclass(frozen=True, slots=True)
class Prepared:
    """A version that only has to be written down.

    Attributes:
        manifest: None where there is a version of this digest, which has its own.
        learned: the sides of groups that had none.
        basis: what it was made from.
    """

    rows: Sequence[Item]
    digest: str
    manifest: Mapping[str, Any] | None
    learned: Mapping[str, Side]
    basis: Basis


def gather(session: Session, now: datetime, newest: int, options: Options) -> Gathered:
    """Read everything that a version of the examples up to ``newest`` is made from.

    Raises:
        NotFound: no assistant of the name in ``options.prompt``.
        Conflict: nothing is left to freeze, or a prompt that is needed is not known.
    """
    everything = [example for example in examples.approved(session) if example.key <= newest]
    expired = expiry.expired(expiry.newest(session), now)
    changing = set() if options.include_changing else knowledge.changing(session) - expired
    since = options.since
    older = {example.key for example in everything if since is not None and example.approved_at < since}
    absent = (("expired", expired - older), ("changing_fact", changing - older), ("older", older))
    left_out = {why: [one.key for one in everything if one.key in ids] for why, ids in absent if ids}
    chosen = [example for example in everything if example.key not in expired | changing | older]
    if not chosen and older:
        raise Conflict("Nothing is left to freeze: no example was approved since {day}.", day=f"{since:%Y-%m-%d}")
    if not chosen:
        raise Conflict("Nothing is left to freeze: every approved example has expired or is of a fact that changes.")
    released = releases.as_decided(session, chosen, options.privacy.policy)
    if released.left_out:
        left_out["undecided_privacy"] = released.left_out
        staying = set(released.left_out)
        chosen = [example for example in chosen if example.key not in staying]
    if not chosen:
        raise Conflict(
            "Nothing is left to freeze: nobody has decided about the personal data in any row. Look for it with: "
            "errata privacy scan --examples"
        )
    return Gathered(
        everything=everything,
        chosen=chosen,
        treated=released.treated,
        left_out=left_out,
        findings=released.findings,
        prompts=prompts.required(session, chosen, options.prompt),
        prompt_versions=assistants.prompt_versions(session),
        sides=sides.remembered(session),
        digests=frozenset(session.exec(select(DatasetVersion.digest))),
        basis=basis_of(session, newest),
    )


def prepare(
    gathered: Gathered, *, validation_share: float, held_out: Mapping[int, int], options: Options, told: Told
) -> Prepared:
    """Work out the version.

    Args:
        validation_share: of the rows, above 0 and at most a half; a side, once given, stays.
        held_out: ``{example: line}`` of a validation file of one's own.

    Raises:
        Invalid: nothing is left to train on beside that file.
        Conflict: a row of that file belongs to what was trained on, or there is a warning and ``options.strict`` holds.
    """
    total = len(gathered.chosen)
    told("Placing rows", 0, 0)
    placement = sides.place(
        gathered.everything,
        {example.key for example in gathered.chosen},
        stored=gathered.sides,
        validation_share=validation_share,
        held_out=held_out,
    )
    if Side.TRAIN not in placement.sides and held_out:
        raise Invalid("Nothing is left to train on: every example belongs with the rows of the validation file.")
    rows = [
        release(example, side, gathered.prompts.get(example), gathered.treated.get(example.key))
        for example, side in zip(gathered.chosen, placement.sides, strict=True)
    ]
    digest = digest_of(rows)
    if digest in gathered.digests:
        return Prepared(rows, digest, None, placement.learned, gathered.basis)
    harmful = _rated(rows, options.watch, told) if options.watch is not None else []
    told("Counting tokens", 0, 0)
    about = manifest.of_rows(
        rows,
        digest=digest,
        ties=placement.ties,
        left_out=gathered.left_out,
        prompts=gathered.prompt_versions,
        counters=options.counters,
        privacy=options.privacy.policy.value,
        told=[*gathered.findings, *placement.findings, *harmful],
    )
    refuse_warned(about, options)
    told("Writing", total, total)
    return Prepared(rows, digest, about, placement.learned, gathered.basis)


def unseen(gathered: Gathered, options: Options) -> bool:
    """Whether nobody has looked for personal data in an example of it, though somebody should have."""
    return options.privacy.policy is not Policy.OFF and any(example.scanned is None for example in gathered.everything)


def _rated(rows: Sequence[Item], watch: Watch, told: Told) -> list[Finding]:
    spoken = [(item.example.key, Row(line, item.conversation)) for line, item in enumerate(rows, start=1)]
    return watch.of_dataset(spoken, lambda done: told("Rating for harm", done, len(rows)))


def refuse_warned(about: Mapping[str, Any], options: Options) -> None:
    """Refuse a version of this manifest if there is a warning in it and the owner wants none.

    Raises:
        Conflict: naming what is warned of.
    """
    warned = blocking(map(Finding.from_json, about["findings"]), strict=True) if options.strict else []
    if warned:
        raise Conflict(
            "Nothing is frozen. {findings:sentences} Freeze without --strict to have it all the same.",
            findings=[finding.sentence() for finding in warned],
        )
