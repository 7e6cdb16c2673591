"""The page about one bottleneck itself: its codebooks, the pairs that classes share, where masks lie and what is looked
up instead."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import polars as pl

from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.charts import codebooks, masks, overlap
from dkvb.pages.facts.insight import Insight, look_inside, masks_of
from dkvb.pages.facts.runs import Collected, ReportRun
from dkvb.pages.facts.setups import Setup
from dkvb.pages.facts.shown import mask_pictures
from dkvb.pages.facts.words import class_label, class_names
from dkvb.pages.page import INDEX, Content, Page, data_name, render
from dkvb.pictures.album import Album
from dkvb.workspace.files import canonical_hash
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import COUNTS, MASK, VALUES

PARTS = ("masked", "kept", "others", "unused")
"""Kinds of pairs, as `look_ups.whereabouts` counts them."""

FILES = (COUNTS, VALUES, MASK, "test")
"""What the page reads of its artifacts, beside their manifests."""


def pages(collected: Collected) -> list[Page]:
    """A page per bottleneck."""
    by_setup: dict[str, list[ReportRun]] = defaultdict(list)
    for run in collected.runs:
        by_setup[run.setup.key].append(run)
    return [_page(setup, by_setup[setup.key], collected.album) for setup in collected.setups if setup.model == "dkvb"]


def _page(setup: Setup, runs: list[ReportRun], album: Album | None) -> Page:
    used = [artifact for trained in setup.seeds for artifact in (trained.quantize, trained.artifact) if artifact]
    used += [artifact for mask in masks_of(setup, runs) for artifact in mask.result.artifacts]
    inputs: list[Any] = [[canonical_hash(artifact.manifest), *_there(artifact)] for artifact in used]
    inputs += [album.state(setup.embed)] if album else []
    title = f"Inside the bottleneck on {setup.data}"
    about = f"{setup.encoder}, {setup.shape}: which pairs are used, shared and masked, and what is looked up instead"
    return Page(setup.inside, title, about, inputs, lambda: content(setup, runs, album), "bottleneck")


def _there(artifact: Artifact) -> list[bool]:
    return [(artifact.path / name).exists() for name in FILES]


def content(setup: Setup, runs: list[ReportRun], album: Album | None = None) -> Content:
    """The page's HTML, and its data. `album`: the pictures of the samples."""
    seen = look_inside(setup, runs)
    charts = {
        "usage": codebooks.usage(seen.usage),
        "overlap": overlap.overlap(setup, seen, [index for run in runs for index in run.forget]),
        "where": codebooks.where(seen.masks),
        "hidden": masks.hidden(setup, seen.masks),
        "fallback": masks.fallback(setup, seen.masks),
    }
    every = {
        "usage": _usage_table(seen),
        "overlap": _overlap_table(seen),
        "where": _where_table(seen),
        "fallback": _fallback_table(setup, seen),
    }
    tables = {name: frame for name, frame in every.items() if not frame.is_empty()}
    compared = [(setup.compare, "Methods compared")] if any(run.methods for run in runs) else []
    html = render(
        "bottleneck.html",
        setup=setup,
        seen=seen,
        charts={name: spec for name, spec in charts.items() if spec},
        used=seen.share("used"),
        effective=seen.share("effective"),
        near=seen.nearest(setup),
        purged=class_names([setup.classes[index] for index in seen.purged]),
        labels=[class_label(index, name) for index, name in enumerate(setup.classes)],
        tables={name: data_name(setup.inside, name) for name in tables},
        links=[INDEX, *compared],
        pictures=mask_pictures(setup, seen.masks, album),
    )
    return Content(html, tables)


def _usage_table(seen: Insight) -> pl.DataFrame:
    frames = [
        pl.DataFrame({"codebook": np.arange(len(one.used)), "used": one.used, "effective": one.effective}).with_columns(
            seed=pl.lit(seed), pairs=pl.lit(one.pairs)
        )
        for seed, one in seen.usage.items()
    ]
    return pl.concat(frames) if frames else pl.DataFrame()


def _overlap_table(seen: Insight) -> pl.DataFrame:
    if seen.pairs is None or seen.lookups is None:
        return pl.DataFrame()
    rows, columns = np.meshgrid(seen.classes, seen.classes, indexing="ij")
    return pl.DataFrame(
        {"class": rows.ravel(), "other": columns.ravel(), "pairs": seen.pairs.ravel(), "lookups": seen.lookups.ravel()}
    )


def _where_table(seen: Insight) -> pl.DataFrame:
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
            owned = stat(float(fall.owners[index]) for fall in mask.falls)
            row["instead"] = None if index in seen.purged else _mean(owned)
            row["predicted_before"] = _mean(stat(float(fall.before[index]) for fall in mask.falls))
            row["predicted_after"] = _mean(stat(float(fall.after[index]) for fall in mask.falls))
            rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def _mean(over: Stat | None) -> float | None:
    return over.mean if over else None
