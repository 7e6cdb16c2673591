"""Results over training seeds: mean, standard deviation and a 95 % interval of the mean."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

MEASURES = {
    "train": ("train", "test", "seconds"),
    "unlearn": ("before", "after", "change", "n", "masked", "seconds"),
}
"""Stage -> what is averaged over seeds, of entries in `--json`."""


GROUPS = {"train": ("model",), "unlearn": ("method", "forget")}
"""Stage -> what an entry is about, beside its seed."""


@cache
def student(count: int) -> float:
    """The 97.5% quantile of Student's t for a mean of `count` values."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    return float(stdtrit(count - 1, 0.975))


@dataclass(frozen=True)
class Stat:
    """Mean over seeds and, where there are several, the sample standard deviation."""

    mean: float
    sd: float | None
    count: int

    @property
    def ci95(self) -> float | None:
        """Half the width of Student's 95% interval of the mean; None for a single value."""
        return None if self.sd is None else student(self.count) * self.sd / self.count**0.5


def stat(values: Iterable[float | None]) -> Stat | None:
    """None where no seed has a value."""
    known = [float(value) for value in values if value is not None]
    if not known:
        return None
    return Stat(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


def over_seeds(values: Iterable[float | None]) -> dict[str, float | int | None] | None:
    """`stat` as JSON: `mean`, `sd`, `low`, `high` and `seeds`; of a single value, no deviation and no interval; None
    without values."""
    found = stat(values)
    if found is None:
        return None
    half = found.ci95
    ends = {"low": None, "high": None} if half is None else {"low": found.mean - half, "high": found.mean + half}
    return {"mean": found.mean, "sd": found.sd, **ends, "seeds": found.count}


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
