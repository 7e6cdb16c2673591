"""Charts of single samples on a run's page: confusion, where the forgotten samples go, and the map of features."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from dkvb.pages.charts import confusion as confusion_chart
from dkvb.pages.charts import feature_map as map_chart
from dkvb.pages.charts.destinations import destinations
from dkvb.pages.facts.asked import Answers, Split, answers, subject
from dkvb.pages.facts.confusion import confusion
from dkvb.pages.facts.feature_map import FeatureMap, by_class, feature_map
from dkvb.pages.facts.runs import ReportRun
from dkvb.pages.facts.where_to import SPLIT_WORDS, WhereTo, where_table, where_to
from dkvb.pages.facts.words import forgotten
from dkvb.workspace.files import canonical_hash
from dkvb.workspace.names import MASK


@dataclass(frozen=True)
class SampleCharts:
    """Charts, tables and what a template says of them; `lacking` says in a sentence why there are none."""

    lacking: str = ""
    found: Answers | None = None
    goes: list[WhereTo] = field(default_factory=list)
    map: FeatureMap | None = None
    no_map: str = ""
    mapped: list[tuple[str, dict[Split, tuple[int, int]]]] = field(default_factory=list)
    """See `feature_map.by_class`."""
    charts: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)


def sample_charts(run: ReportRun, umap: bool = False) -> SampleCharts:
    """All that can be drawn of a run's samples.

    Args:
        umap: whether the map is laid out by UMAP as well.
    """
    found = answers(run)
    if isinstance(found, str):
        return SampleCharts(lacking=found)
    classes, goes = run.setup.classes, where_to(found, run.forget)
    tested, placed = len(found.asked["test"].rows), feature_map(found, umap)
    charts: dict[str, Any] = {}
    tables: dict[str, pl.DataFrame] = {"where": where_table(goes, classes)}
    if tested:
        counted = confusion(found)
        charts |= confusion_chart.charts(counted, classes, run.forget)
        tables["confusion"] = counted.table(classes)
    for one in goes:
        who = f"{SPLIT_WORDS[one.split]} of {forgotten(run)}"
        shares = {whose: share.tolist() for whose, share in one.shares().items()}
        charts[f"goes-{one.split}"] = destinations(who, shares, classes)
    if isinstance(placed, FeatureMap):
        charts |= map_chart.charts(placed, classes, run.forget)
        tables["map"] = placed.table(classes)
    return SampleCharts(
        found=found,
        goes=goes,
        map=placed if isinstance(placed, FeatureMap) else None,
        mapped=by_class(placed, classes) if isinstance(placed, FeatureMap) else [],
        no_map=placed if isinstance(placed, str) else "",
        charts=charts,
        tables={name: frame for name, frame in tables.items() if not frame.is_empty()},
    )


def inputs(run: ReportRun) -> list[Any]:
    """What they depend on beside a run's own artifacts, as JSON."""
    found = subject(run)
    there = isinstance(found, str) or (found[2].path / MASK).exists()
    oracles = [[seed, canonical_hash(oracle.manifest)] for seed, oracle in sorted(run.oracles.items())]
    return [oracles, there, found if isinstance(found, str) else ""]
