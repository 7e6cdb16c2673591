"""Sweeps over n: correct answers per class as accuracies on retain and forget classes, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import polars as pl

from dkvb.metrics.intervals import Stat, stat, student
from dkvb.pages.facts.setups import Made
from dkvb.records.unlearn import Sweep
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import CURVE

Role = Literal["retain", "forget"]

ROLES: tuple[Role, Role] = ("retain", "forget")


@dataclass(frozen=True)
class MeanPoint:
    """One n on one split, over the seeds that have it."""

    n: int
    split: str
    masked: float
    """Mean number of pairs masked."""
    retain: Stat | None
    forget: Stat | None
    """Accuracy on the retain and on the forget classes; None where there are no samples."""
    seeds: int

    def of(self, role: Role) -> Stat | None:
        return self.retain if role == "retain" else self.forget


@dataclass
class Swept:
    """One method's sweep on one model, all seeds of it."""

    method: str
    model: str
    forget: tuple[int, ...]
    made: list[Made[Sweep]] = field(default_factory=list)

    @property
    def symbol(self) -> str:
        """What its n counts: "N_a", "N_e", "epochs", …"""
        return self.made[0].result.n_name or "N"

    @property
    def masks(self) -> bool:
        """Whether it hides pairs."""
        return any(point.masked for made in self.made for point in made.result.points)

    @cached_property
    def counts(self) -> pl.DataFrame:
        """One row per seed, n, split and class: correct, total, masked.

        Raises:
            DamagedArtifact: a file cannot be read.
        """
        return pl.concat(_read(made.artifact, made.result.seed) for made in self.made)

    @cached_property
    def seeds(self) -> pl.DataFrame:
        """One row per seed, n and split: masked, and accuracy on retain and on forget classes."""
        return per_seed(self.counts, self.forget)

    @cached_property
    def means(self) -> pl.DataFrame:
        """One row per split and n: masked, retain, forget (means over seeds), _sd, _least, _most, _ci95, seeds."""
        return over_seeds(self.seeds)

    @property
    def has_both(self) -> bool:
        """Whether there are samples of classes that stay and of forgotten ones at all."""
        return set(ROLES) <= set(self.means.columns)

    def points(self, split: str | None = "test") -> list[MeanPoint]:
        """The points of one split, or of all, by split and n."""
        rows = self.means.sort("split", "n").to_dicts()
        return [_mean_point(row) for row in rows if split in (None, row["split"])]

    def both(self) -> list[tuple[MeanPoint, Stat, Stat]]:
        """Test points that have accuracies on both kinds of classes, with retain and forget accuracy."""
        return [(at, at.retain, at.forget) for at in self.points() if at.retain and at.forget]

    def singles(self) -> list[dict[str, Any]]:
        """The test rows of `seeds`."""
        return self.seeds.filter(pl.col("split") == "test").to_dicts()

    def first_n(self, target: float) -> Stat | None:
        """The smallest n whose forget accuracy on test data is at most the target, over the seeds that reach it."""
        if "forget" not in self.seeds.columns:
            return None
        reached = self.seeds.filter(pl.col("split") == "test", pl.col("forget") <= target)
        return stat(reached.group_by("seed").agg(pl.col("n").min()).sort("seed")["n"])


def _read(artifact: Artifact, seed: int) -> pl.DataFrame:
    try:
        return pl.read_parquet(artifact.file(CURVE)).with_columns(seed=pl.lit(seed))
    except (OSError, pl.exceptions.PolarsError):
        raise artifact.damaged(f"{CURVE} cannot be read") from None


def _mean_point(row: dict[str, Any]) -> MeanPoint:
    known = {role: row.get(role) for role in ROLES}
    retain, forget = (
        None if mean is None else Stat(mean, row[f"{role}_sd"], row["seeds"], row[f"{role}_least"], row[f"{role}_most"])
        for role, mean in known.items()
    )
    return MeanPoint(row["n"], row["split"], row["masked"], retain, forget, row["seeds"])


def per_seed(counts: pl.DataFrame, forget: Sequence[int]) -> pl.DataFrame:
    """Retain and forget accuracy per seed, n and split, from correct answers per class."""
    role = pl.when(pl.col("class").is_in(forget)).then(pl.lit("forget")).otherwise(pl.lit("retain")).alias("role")
    # no samples is no accuracy, not NaN
    accuracy = pl.when(pl.col("total").sum() > 0).then(pl.col("correct").sum() / pl.col("total").sum())
    return (
        counts.group_by("seed", "split", "n", role)
        .agg(pl.col("masked").first(), accuracy.alias("accuracy"))
        .pivot("role", index=["seed", "split", "n", "masked"], values="accuracy")
        .sort("split", "n", "seed")
    )


def over_seeds(seeds: pl.DataFrame) -> pl.DataFrame:
    """Per n and split, of `per_seed`: mean over seeds, standard deviation, least, most and half the 95% interval of
    the mean."""
    columns = [role for role in ROLES if role in seeds.columns]
    spread = (
        seeds.group_by("split", "n")
        .agg(
            pl.col("masked", *columns).mean(),
            pl.col(columns).std().name.suffix("_sd"),
            pl.col(columns).min().name.suffix("_least"),
            pl.col(columns).max().name.suffix("_most"),
            pl.len().alias("seeds"),
        )
        .sort("split", "n")
    )
    quantiles = {count: student(count) / count**0.5 for count in spread["seeds"].unique() if count > 1}
    factor = pl.col("seeds").replace_strict(quantiles, default=None, return_dtype=pl.Float64)
    return spread.with_columns((pl.col(f"{name}_sd") * factor).alias(f"{name}_ci95") for name in columns)
