"""The page about one bottleneck itself: its codebooks, the pairs that classes share, where masks lie and what is looked
up instead."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from safetensors import SafetensorError

from dkvb.errors import DkvbError
from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.charts import bottleneck as bottleneck_charts
from dkvb.pages.charts import palette
from dkvb.pages.facts import words
from dkvb.pages.facts.records import Collected, MethodResult, ReportRun, Setup, class_label
from dkvb.pages.facts.words import Missing
from dkvb.pages.page import Page, data_name, render
from dkvb.workspace.artifacts import Artifact
from dkvb.workspace.files import canonical_hash
from dkvb.workspace.names import COUNTS, MASK, VALUES

if TYPE_CHECKING:  # brings torch, which takes seconds to import: only where there is something to look into
    from dkvb.pages.facts import look_ups

PARTS = ("masked", "kept", "others", "unused")
"""Kinds of pairs, as `look_ups.whereabouts` counts them."""


MASKS = 12
"""Masks looked into, those of the most recent runs first; with more masks times seeds than this, only of the first
seed."""


FILES = (COUNTS, VALUES, MASK, "test")
"""What the page reads of its artifacts, beside their manifests."""


UNREADABLE = (DkvbError, OSError, KeyError, SafetensorError, ValueError)


@dataclass
class Mask:
    """One masking method's masks for one forget set, over seeds."""

    run: ReportRun
    result: MethodResult
    where: np.ndarray | None = None
    """(4, C) of the first seed, see `look_ups.whereabouts`."""
    hidden: list[Stat | None] = field(default_factory=list)
    """Of every class's look-ups, the share that is masked, over seeds."""
    falls: list[look_ups.Fallback] = field(default_factory=list)
    size: Stat | None = None
    exclusive: Stat | None = None
    """Of the masked pairs, the share that no other class uses."""

    @property
    def id(self) -> str:
        return f"{self.result.method} {'-'.join(map(str, self.run.forget))}"

    @property
    def label(self) -> str:
        return f"{words.forgotten(self.run)}, {palette.look(self.result.method).name.lower()}"

    def fall(self, pick: Callable[[look_ups.Fallback], float | None]) -> Stat | None:
        return stat(pick(found) for found in self.falls)


@dataclass
class Insight:
    """All that the page shows; what could not be read is in `lacking`."""

    usage: dict[int, look_ups.Usage] = field(default_factory=dict)
    """Seed -> usage."""
    classes: list[int] = field(default_factory=list)
    pairs: np.ndarray | None = None
    lookups: np.ndarray | None = None
    """(L, L) overlaps of `classes`, means over seeds."""
    masks: list[Mask] = field(default_factory=list)
    lacking: list[Missing] = field(default_factory=list)


def pages(found: Collected) -> list[Page]:
    """A page per bottleneck."""
    by_setup: dict[str, list[ReportRun]] = defaultdict(list)
    for run in found.runs:
        by_setup[run.setup.key].append(run)

    def one(setup: Setup, runs: list[ReportRun]) -> Page:
        used = [artifact for trained in setup.seeds for artifact in (trained.quantize, trained.artifact) if artifact]
        used += [artifact for mask in _masks(setup, runs) for artifact in mask.result.artifacts]
        inputs = [[canonical_hash(artifact.manifest), *_there(artifact)] for artifact in used]
        about = (
            f"{setup.encoder}, {setup.shape}: which pairs are used, shared and masked, and what is looked up instead"
        )
        return Page(
            setup.inside,
            f"Inside the bottleneck on {setup.data}",
            about,
            inputs,
            lambda: page(setup, runs),
            "bottleneck",
        )

    return [one(setup, by_setup[setup.key]) for setup in found.setups if setup.model == "dkvb"]


def _there(artifact: Artifact) -> list[bool]:
    return [(artifact.path / name).exists() for name in FILES]


def _masks(setup: Setup, runs: list[ReportRun]) -> list[Mask]:
    """The most recent result of each masking method on this bottleneck, most recent runs first."""
    found = [(run, run.find(method)) for run in runs for method in palette.MASKING]
    return [Mask(run, result) for run, result in found if result and result.setup is setup][:MASKS]


def page(setup: Setup, runs: list[ReportRun]) -> tuple[str, dict[str, pl.DataFrame]]:
    """The page's HTML, and its data."""
    seen = look_inside(setup, runs)
    charts = {
        "usage": bottleneck_charts.usage(seen.usage),
        "overlap": bottleneck_charts.overlap(
            setup, seen.classes, seen.pairs, seen.lookups, [c for run in runs for c in run.forget]
        ),
        "where": bottleneck_charts.where(
            [(mask.id, mask.label, mask.where) for mask in seen.masks if mask.where is not None]
        ),
        "hidden": bottleneck_charts.hidden(
            setup, [(mask.id, mask.label, mask.run.forget, mask.hidden) for mask in seen.masks if mask.hidden]
        ),
        "fallback": bottleneck_charts.fallback(
            setup, [(mask.id, mask.label, mask.run.forget, mask.falls) for mask in seen.masks if mask.falls]
        ),
    }
    tables = {name: frame for name, maker in TABLES.items() if not (frame := maker(setup, seen)).is_empty()}
    html = render(
        "bottleneck.html",
        setup=setup,
        seen=seen,
        charts={name: spec for name, spec in charts.items() if spec},
        used=stat(float(one.used.mean() / one.pairs) for one in seen.usage.values()),
        effective=stat(float(one.effective.mean() / one.pairs) for one in seen.usage.values()),
        near=_nearest(setup, seen),
        labels=[class_label(index, name) for index, name in enumerate(setup.classes)],
        mean=lambda values: stat(float(value) for value in values),
        tables={name: data_name(setup.inside, name) for name in tables},
        links=[
            ("index.html", "All reports"),
            *([(setup.compare, "Methods compared")] if any(run.methods for run in runs) else []),
        ],
    )
    return html, tables


def look_inside(setup: Setup, runs: list[ReportRun]) -> Insight:
    """Read counts, masks and codes, and compute everything; a piece that cannot be read is noted and left out."""
    from dkvb.pages.facts import look_ups

    seen = Insight()
    masks = _masks(setup, runs)
    forgotten = sorted({index for run in runs for index in run.forget})
    overlaps = []
    totals: dict[int, np.ndarray] = {}
    owners: dict[int, np.ndarray] = {}
    for trained in setup.seeds:
        try:
            totals[trained.seed] = look_ups.total_counts(trained)
            seen.usage[trained.seed] = look_ups.usage(totals[trained.seed])
            seen.classes = look_ups.fitting(trained, forgotten)
            overlaps.append(look_ups.overlap(look_ups.counts_of(trained, seen.classes)))
        except UNREADABLE:
            gap = Missing(
                f"The selection counts of seed {trained.seed} are missing or damaged",
                f"dkvb train --force --seed {trained.seed}",
            )
            seen.lacking.append(gap)
    if overlaps:
        seen.pairs, seen.lookups = (np.mean([one[place] for one in overlaps], axis=0) for place in (0, 1))
    several = len(masks) * len(setup.seeds) <= MASKS
    for mask in masks:
        _look_at(setup, mask, totals, owners, several, seen)
    if not masks:
        seen.lacking.append(Missing("Nothing has been masked in it yet", "dkvb unlearn --method activations"))
    return seen


def _look_at(
    setup: Setup, mask: Mask, totals: dict[int, np.ndarray], owners: dict[int, np.ndarray], several: bool, seen: Insight
) -> None:
    from dkvb.pages.facts import look_ups

    by_fingerprint = {trained.artifact.fingerprint: trained for trained in setup.seeds}
    hidden, exclusive, sizes = [], [], []
    for artifact in mask.result.artifacts:
        trained = by_fingerprint[artifact.manifest["inputs"]["train"]]
        total = totals.get(trained.seed)
        if total is None:
            continue
        flags = f"--method {mask.result.method} --seed {trained.seed}" + "".join(
            f" --forget {index}" for index in mask.run.forget
        )
        try:
            hide = look_ups.mask_of(artifact, total.shape[1])
            mine = look_ups.counts_of(trained, mask.run.forget).sum(0, dtype=np.int64)
        except UNREADABLE:
            seen.lacking.append(
                Missing(
                    f"The mask of {mask.label}, seed {trained.seed}, is missing or damaged",
                    f"dkvb unlearn --force {flags}",
                )
            )
            continue
        if mask.where is None:
            mask.where = look_ups.whereabouts(hide, mine, total)
        hidden.append(look_ups.hidden_shares(trained, hide, len(setup.classes)))
        sizes.append(float(hide.sum()))
        exclusive.append(float((hide & (total == mine)).sum() / max(1, hide.sum())))
        if several or not mask.falls:
            try:
                if trained.seed not in owners:
                    owners[trained.seed] = look_ups.owners_of(trained, len(setup.classes))
                found = look_ups.fallback(trained, hide, mask.run.forget, owners[trained.seed], total == 0)
                mask.falls += [found] if found else []
            except UNREADABLE:
                seen.lacking.append(
                    Missing(
                        f"Codes or values of seed {trained.seed} are missing or damaged",
                        f"dkvb train --seed {trained.seed}",
                    )
                )
    if hidden:
        mask.hidden = [stat(float(one[index]) for one in hidden) for index in range(len(setup.classes))]
        mask.size, mask.exclusive = stat(sizes), stat(exclusive)
        seen.masks.append(mask)


def _nearest(setup: Setup, seen: Insight) -> list[tuple[str, str, float, float]]:
    """Per class, the one that shares most of its pairs: names, shares of pairs and of look-ups."""
    if seen.pairs is None or seen.lookups is None or len(seen.classes) < 2:
        return []
    rows = []
    for place, index in enumerate(seen.classes):
        others = seen.lookups[place].copy()
        others[place] = -1
        best = int(others.argmax())
        names = [class_label(which, setup.classes[which]) for which in (index, seen.classes[best])]
        rows.append((names[0], names[1], float(seen.pairs[place, best]), float(seen.lookups[place, best])))
    return rows


def _usage_table(setup: Setup, seen: Insight) -> pl.DataFrame:
    frames = [
        pl.DataFrame({"codebook": np.arange(len(one.used)), "used": one.used, "effective": one.effective}).with_columns(
            seed=pl.lit(seed), pairs=pl.lit(one.pairs)
        )
        for seed, one in seen.usage.items()
    ]
    return pl.concat(frames) if frames else pl.DataFrame()


def _overlap_table(setup: Setup, seen: Insight) -> pl.DataFrame:
    if seen.pairs is None or seen.lookups is None:
        return pl.DataFrame()
    rows, columns = np.meshgrid(seen.classes, seen.classes, indexing="ij")
    return pl.DataFrame(
        {"class": rows.ravel(), "other": columns.ravel(), "pairs": seen.pairs.ravel(), "lookups": seen.lookups.ravel()}
    )


def _where_table(setup: Setup, seen: Insight) -> pl.DataFrame:
    frames = [
        pl.DataFrame(
            {"codebook": np.arange(mask.where.shape[1]), **dict(zip(PARTS, mask.where, strict=True))}
        ).with_columns(mask=pl.lit(mask.label))
        for mask in seen.masks
        if mask.where is not None
    ]
    return pl.concat(frames) if frames else pl.DataFrame()


def _fallback_table(setup: Setup, seen: Insight) -> pl.DataFrame:
    rows = []
    for mask in seen.masks:
        for index, name in enumerate(setup.classes):
            row: dict[str, Any] = {
                "mask": mask.label,
                "class": index,
                "name": name,
                "hidden": _mean(mask.hidden[index]),
            }
            picks = {"instead": "owners", "predicted_before": "before", "predicted_after": "after"}
            means = {key: stat(float(getattr(fall, what)[index]) for fall in mask.falls) for key, what in picks.items()}
            rows.append(row | {key: _mean(found) for key, found in means.items()})
    return pl.DataFrame(rows, infer_schema_length=None)


def _mean(found: Stat | None) -> float | None:
    return found.mean if found else None


TABLES = {"usage": _usage_table, "overlap": _overlap_table, "where": _where_table, "fallback": _fallback_table}
