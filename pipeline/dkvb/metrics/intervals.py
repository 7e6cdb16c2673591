"""Results over training seeds: mean, standard deviation and a 95 % interval of the mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

MEASURES = {
    "train": ("train", "test", "seconds"),
    "unlearn": ("before", "after", "change", "n", "masked", "seconds"),
}
"""Stage -> what is averaged over seeds, of entries in `--json`."""
GROUPS = {"train": ("model",), "unlearn": ("method", "forget")}
"""Stage -> what an entry is about, beside its seed."""


def over_seeds(values: Iterable[float | None]) -> dict[str, float | int | None] | None:
    """Mean, sample standard deviation and Student's 95 % interval of the mean; None without values.

    Returns:
        `mean`, `sd`, `low`, `high` and `seeds`; of a single value, no deviation and no interval.
    """
    found = np.array([value for value in values if value is not None], float)
    if len(found) == 0:
        return None
    mean = float(found.mean())
    if len(found) == 1:
        return {"mean": mean, "sd": None, "low": None, "high": None, "seeds": 1}
    from scipy.stats import t

    sd = float(found.std(ddof=1))
    half = float(t.ppf(0.975, len(found) - 1)) * sd / len(found) ** 0.5
    return {"mean": mean, "sd": sd, "low": mean - half, "high": mean + half, "seeds": len(found)}


def summary(stage: str, entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row per model, or per method and forget set, with every measure over the seeds there are."""
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        grouped.setdefault(str([entry[name] for name in GROUPS[stage]]), []).append(entry)
    rows = []
    for same in grouped.values():
        row: dict[str, Any] = {"stage": stage} | {name: same[0][name] for name in GROUPS[stage]}
        for measure in MEASURES[stage]:
            found = [_measure(entry, measure) for entry in same]
            if isinstance(found[0], dict):
                row[measure] = {split: over_seeds(one[split] for one in found) for split in found[0]}
            else:
                row[measure] = over_seeds(found)
        rows.append(row)
    return rows


def _measure(entry: Mapping[str, Any], measure: str) -> Any:
    if measure != "change":
        return entry[measure]
    before, after = entry["before"], entry["after"]
    return {split: None if None in (before[split], after[split]) else after[split] - before[split] for split in before}
