"""KLoM: how far the margins of unlearned models are from those of retrained ones, point by point.

Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching" (ICLR 2025), appendix E.1. At every
point, the margins of N unlearned models are one sample and those of M oracles another; both become histograms, and the
measure is the Kullback-Leibler divergence of the first from the second. 0 is the same, lower is better.

Histograms of few models differ although both are from the same law: below `FEW` models, KLoM says nothing, and above
that it has to be read beside its null, the oracles against themselves. Both depend on how many models there are, so
that what is compared (`lines`) is taken of equally many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dkvb.metrics.over_models import percentiles

CLIP = 100.0
"""Margins are cut off here."""

BINS = 20
"""Bins of a histogram, equal, from the least to the greatest margin of both samples at a point."""

FLOOR = 1e-5
"""The least share of a bin of the oracles' that unlearned models fall into, so that the divergence is finite."""

FEW = 50
"""With fewer models, two samples of the same law are as far apart as samples of different laws."""


def margins(logits: np.ndarray, labels: np.ndarray, without: Sequence[int] = ()) -> np.ndarray:
    """The logit of the label less the logarithm of the sum of the others' exponentials: (…, P) float64, infinite where
    a logit is.

    Args:
        logits: (…, P, L); labels: (P,) integers.
        without: classes whose logits are left out, none of them a label; see `references`.
    """
    kept = np.setdiff1d(np.arange(logits.shape[-1]), without)
    places = np.searchsorted(kept, labels)
    if len(kept) < 2:
        raise ValueError("a margin needs two classes or more")
    if np.isin(labels, without).any():
        raise ValueError("a label is among the classes that are left out: take `references` in place of labels")
    if logits.ndim > 2:
        return np.stack([margins(one, labels, without) for one in logits])
    exact, rows = logits[:, kept].astype(np.float64), np.arange(len(labels))
    own = exact[rows, places]
    exact[rows, places] = -np.inf
    return np.asarray(own - np.logaddexp.reduce(exact, axis=1))


def references(oracles: np.ndarray, labels: np.ndarray, without: Sequence[int]) -> np.ndarray:
    """The class (P,) whose margin is taken at each point: its label or, where that is a forgotten class, for which a
    retrained model has no logit, the retained class that the oracles' mean probability is largest for.

    Args:
        oracles: (M, P, L) logits; labels: (P,) integers; without: the forgotten classes.
    """
    taken, gone = np.array(labels, np.int64), np.isin(labels, without)
    if gone.any():
        kept = np.setdiff1d(np.arange(oracles.shape[2]), without)
        logits = oracles[:, gone][:, :, kept].astype(np.float64)
        powers = np.exp(logits - logits.max(2, keepdims=True))
        taken[gone] = kept[(powers / powers.sum(2, keepdims=True)).mean(0).argmax(1)]
    return taken


@dataclass(frozen=True)
class Klom:
    """KLoM of every point."""

    points: np.ndarray
    """(P,) float64."""
    unlearned: int
    oracles: int
    """Models of each kind."""

    @property
    def mean(self) -> float:
        return float(self.points.mean())

    @property
    def p95(self) -> float:
        """The 95th percentile over points."""
        return float(np.quantile(self.points, 0.95))

    @property
    def noise(self) -> bool:
        """Whether there are too few models for it to say anything."""
        return min(self.unlearned, self.oracles) < FEW

    @property
    def sentence(self) -> str:
        """What it is, and whether it says anything."""
        models = f"{self.unlearned} unlearned models and {self.oracles} retrained ones"
        said = f"KLoM of {models}: {self.mean:.2f} on average, {self.p95:.2f} at the 95th percentile of points"
        if not self.noise:
            return f"{said} (0 is the same)."
        return f"{said}. With fewer than {FEW} models this is noise: two samples of the same law are as far apart."


def klom(unlearned: np.ndarray, oracles: np.ndarray) -> Klom:
    """KLoM of margins at P points; lower is better.

    Args:
        unlearned: (N, P), of models that were unlearned, each from an original of its own; oracles: (M, P), of models
            that never saw what was forgotten. No model of one has a partner in the other.
    """
    _same_points(unlearned, oracles)
    u, o = (np.clip(part.astype(np.float64), -CLIP, CLIP) for part in (unlearned, oracles))
    least = np.minimum(u.min(0), o.min(0))
    width = np.maximum(u.max(0), o.max(0)) - least
    p, q = _shares(u, least, width), _shares(o, least, width)
    q = np.where(p > 0, np.maximum(q, FLOOR), q)
    q /= q.sum(1, keepdims=True)
    ratios = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return Klom((p * np.log(ratios)).sum(1), len(unlearned), len(oracles))


def _shares(values: np.ndarray, least: np.ndarray, width: np.ndarray) -> np.ndarray:
    """(P, BINS): the share of values (N, P) in each bin of its point; the last bin includes the greatest value."""
    scaled = np.divide(values - least, width, out=np.zeros_like(values), where=width > 0)
    places = np.minimum((scaled * BINS).astype(np.int64), BINS - 1) + np.arange(values.shape[1]) * BINS
    counts = np.bincount(places.ravel(), minlength=values.shape[1] * BINS)
    return counts.reshape(-1, BINS) / len(values)


@dataclass(frozen=True)
class Line:
    """The mean over points of a measure per point: its mean over random halvings of the models, and their middle
    95 %."""

    mean: float
    p95: float
    """Mean over halvings of the 95th percentile over points."""
    low: float
    high: float


@dataclass(frozen=True)
class Lines:
    """A measure per point beside what it is of models that are known to be alike and of models that did not forget,
    each of `models` against as many oracles."""

    unlearned: Line
    null: Line
    """One half of the oracles against the other."""
    nothing: Line | None
    """The originals, from which nothing was unlearned."""
    models: int

    @property
    def noise(self) -> bool:
        """Whether there are too few models for KLoM to say anything."""
        return self.models < FEW


HALVINGS = 20

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Margins (N, P) and (M, P) -> how far apart they are at each point, (P,)."""


def lines(
    distance: Distance,
    unlearned: np.ndarray,
    oracles: np.ndarray,
    originals: np.ndarray | None = None,
    halvings: int = HALVINGS,
    seed: int = 0,
) -> Lines:
    """A measure with its null and its do-nothing line; every number of it is of equally many models, since fewer are
    further apart whatever they are.

    Args:
        unlearned (N, P), oracles (M, P), originals (S, P): margins. M is 2 or more.
        halvings: random draws of which models stand on either side, over which the mean is taken.
    """
    if len(oracles) < 2:
        raise ValueError("a null needs two oracles or more")
    models = min(len(oracles) // 2, len(unlearned), *([] if originals is None else [len(originals)]))
    rng = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray]] = {"unlearned": [], "null": [], "nothing": []}
    for _ in range(halvings):
        order = rng.permutation(len(oracles))
        against = oracles[order[:models]]
        others = {"unlearned": unlearned, "nothing": originals}
        found["null"].append(distance(oracles[order[models : 2 * models]], against))
        for name, given in others.items():
            if given is not None:
                found[name].append(distance(given[rng.permutation(len(given))[:models]], against))
    nothing = _line(found["nothing"]) if found["nothing"] else None
    return Lines(_line(found["unlearned"]), _line(found["null"]), nothing, models)


def _line(found: Sequence[np.ndarray]) -> Line:
    means = np.array([points.mean() for points in found])
    return Line(
        float(means.mean()), float(np.mean([np.quantile(points, 0.95) for points in found])), *percentiles(means)
    )


def klom_lines(
    unlearned: np.ndarray,
    oracles: np.ndarray,
    originals: np.ndarray | None = None,
    halvings: int = HALVINGS,
    seed: int = 0,
) -> Lines:
    """KLoM with its null and its do-nothing line, see `lines`."""
    return lines(lambda u, o: klom(u, o).points, unlearned, oracles, originals, halvings, seed)


def wasserstein(unlearned: np.ndarray, oracles: np.ndarray) -> np.ndarray:
    """The Wasserstein-1 distance (P,) of margins (N, P) and (M, P) at every point, in units of the margin: 0 is the
    same, lower is better. It needs no histogram, so that fewer models will do than for KLoM; read it beside its null as
    well."""
    _same_points(unlearned, oracles)
    both = np.clip(np.concatenate([unlearned, oracles]).astype(np.float64), -CLIP, CLIP)
    order = both.argsort(0, kind="stable")
    steps = np.where(order < len(unlearned), 1 / len(unlearned), -1 / len(oracles)).cumsum(0)[:-1]
    return np.asarray((np.abs(steps) * np.diff(np.take_along_axis(both, order, 0), axis=0)).sum(0))


def _same_points(first: np.ndarray, second: np.ndarray) -> None:
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or not (len(first) and len(second)):
        raise ValueError(f"margins are (models, points), of the same points: {first.shape} and {second.shape} are not")
