"""What can be seen inside a bottleneck: pairs in use, pairs that classes share, masked pairs, and look-ups instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from safetensors import SafetensorError

from dkvb.errors import DkvbError
from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.facts import look_ups, methods
from dkvb.pages.facts.gaps import Missing
from dkvb.pages.facts.runs import MethodResult, ReportRun
from dkvb.pages.facts.setups import Setup, Trained
from dkvb.pages.facts.words import class_label, forgotten

MASKS = 12
"""Masks looked into, those of the most recent runs first; with more masks times seeds than this, only of the first
seed."""

UNREADABLE = (DkvbError, OSError, KeyError, SafetensorError, ValueError)


@dataclass
class Mask:
    """One masking method's masks for one forget set, over seeds."""

    run: ReportRun
    result: MethodResult
    where: np.ndarray | None = None
    """(4, C) of the first seed, see `look_ups.whereabouts`."""
    shares: list[list[float | None]] = field(default_factory=list)
    """(L,) of each seed, see `look_ups.hidden_shares`; None of a class whose rows were purged."""
    sizes: list[int] = field(default_factory=list)
    exclusives: list[float] = field(default_factory=list)
    """Of each seed: pairs masked, and the share of them that no other class uses."""
    falls: list[look_ups.Fallback] = field(default_factory=list)
    """Of each seed that was looked into."""

    @property
    def id(self) -> str:
        return f"{self.result.method} {'-'.join(map(str, self.run.forget))}"

    @property
    def label(self) -> str:
        return f"{forgotten(self.run)}, {methods.title(self.result.method).lower()}"

    @cached_property
    def hidden(self) -> list[Stat | None]:
        """Of every class's look-ups, the share that is masked, over seeds. Ask once all seeds are in."""
        return [stat(column) for column in zip(*self.shares, strict=True)]

    @property
    def size(self) -> Stat | None:
        return stat(self.sizes)

    @property
    def exclusive(self) -> Stat | None:
        return stat(self.exclusives)

    @property
    def hit(self) -> Stat | None:
        """Share of the forgotten classes' test look-ups that is masked."""
        return stat(fall.hit for fall in self.falls)

    @property
    def beyond(self) -> Stat | None:
        """Share of the pairs instead that lie beyond the list of nearest keys."""
        return stat(fall.beyond for fall in self.falls)


@dataclass(frozen=True)
class Neighbour:
    """A class, the one that shares most of its look-ups, and which share of its pairs and look-ups it shares."""

    name: str
    other: str
    pairs: float
    lookups: float


@dataclass
class Insight:
    """All that the page shows; what could not be read is in `lacking`."""

    usage: dict[int, look_ups.Usage] = field(default_factory=dict)
    """Seed -> usage."""
    classes: list[int] = field(default_factory=list)
    """Classes that are compared."""
    pairs: np.ndarray | None = None
    lookups: np.ndarray | None = None
    """(L, L) overlaps of `classes`, means over seeds."""
    masks: list[Mask] = field(default_factory=list)
    purged: list[int] = field(default_factory=list)
    """Classes whose rows were purged: what they looked up is not known any more, and so left out."""
    lacking: list[Missing] = field(default_factory=list)

    def share(self, what: str) -> Stat | None:
        """Mean share of the pairs that is "used" or "effective", over seeds."""
        return stat(float(getattr(one, what).mean() / one.pairs) for one in self.usage.values())

    def nearest(self, setup: Setup) -> list[Neighbour]:
        """Each class with the one that shares most with it."""
        if self.pairs is None or self.lookups is None or len(self.classes) < 2:
            return []
        rows = []
        for place, index in enumerate(self.classes):
            others = self.lookups[place].copy()
            others[place] = -1
            best = int(others.argmax())
            name, other = (class_label(which, setup.classes[which]) for which in (index, self.classes[best]))
            rows.append(Neighbour(name, other, float(self.pairs[place, best]), float(self.lookups[place, best])))
        return rows


def masks_of(setup: Setup, runs: Sequence[ReportRun]) -> list[Mask]:
    """The most recent result of each masking method on a bottleneck, most recent runs first."""
    every = [(run, run.find(method)) for run in runs for method in run.masking]
    return [Mask(run, result) for run, result in every if result and result.setup is setup][:MASKS]


def look_inside(setup: Setup, runs: Sequence[ReportRun]) -> Insight:
    """Read counts, masks and codes, and compute everything; a piece that cannot be read is noted and left out."""
    seen, overlaps, masks = Insight(), [], masks_of(setup, runs)
    several = len(masks) * len(setup.seeds) <= MASKS
    forgot = sorted({index for run in runs for index in run.forget})
    for trained in setup.seeds:
        try:
            counts = look_ups.Counts(trained)
            selected = look_ups.selected(counts)
            seen.usage[trained.seed] = look_ups.usage(selected.total)
            seen.purged = sorted({*seen.purged, *trained.artifact.purged})
            seen.classes = [index for index in counts.fitting(forgot) if index not in seen.purged]
            overlaps.append(look_ups.overlap(counts.of(seen.classes)))
        except UNREADABLE:
            what = f"The selection counts of seed {trained.seed} are missing or damaged"
            seen.lacking.append(Missing(what, f"dkvb train --force --seed {trained.seed}"))
            continue
        for mask in masks:
            seen.lacking += _look_at(mask, trained, counts, selected, several)
    if overlaps:
        seen.pairs, seen.lookups = (np.mean([one[place] for one in overlaps], axis=0) for place in (0, 1))
    seen.masks = [mask for mask in masks if mask.shares]
    if not masks:
        seen.lacking.append(
            Missing("Nothing has been masked in it yet", f"dkvb unlearn --method {methods.masking()[0]}")
        )
    return seen


def _look_at(
    mask: Mask, trained: Trained, counts: look_ups.Counts, selected: look_ups.Selected, several: bool
) -> list[Missing]:
    """Put what one seed's mask does into `mask`; what of it cannot be read. `several`: seeds beyond the first, too."""
    fingerprint = trained.artifact.fingerprint
    mine = [one.artifact for one in mask.result.made if one.artifact.inputs["train"] == fingerprint]
    lacking = []
    for artifact in mine:
        try:
            hide = look_ups.mask_of(artifact, counts.shape[1])
            forget = counts.of(mask.run.forget).sum(0, dtype=np.int64)
        except UNREADABLE:
            flags = f"--method {mask.result.method} --seed {trained.seed}{mask.run.flags}"
            what = f"The mask of {mask.label}, seed {trained.seed}, is missing or damaged"
            lacking.append(Missing(what, f"dkvb unlearn --force {flags}"))
            continue
        gone = trained.artifact.purged
        if mask.where is None and not set(mask.run.forget) & set(gone):
            mask.where = look_ups.whereabouts(hide, forget, selected.total)
        hidden = look_ups.hidden_shares(counts, hide).tolist()
        mask.shares.append([None if index in gone else share for index, share in enumerate(hidden)])
        mask.sizes.append(int(hide.sum()))
        mask.exclusives.append(float((hide & (selected.total == forget)).sum() / max(1, hide.sum())))
        if several or not mask.falls:
            try:
                fall = look_ups.fallback(trained, hide, mask.run.forget, selected)
                mask.falls += [fall] if fall else []
            except UNREADABLE:
                what = f"Codes or values of seed {trained.seed} are missing or damaged"
                lacking.append(Missing(what, f"dkvb train --seed {trained.seed}"))
    return lacking
