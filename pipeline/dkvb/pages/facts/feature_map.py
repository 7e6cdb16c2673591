"""Samples in two dimensions: their features by their two principal components at once, or by UMAP, which takes longer
and is an extra. Features do not change when a class is forgotten; the answers to them do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import polars as pl

from dkvb.errors import UsageError
from dkvb.pages.facts.asked import SPLITS, Answers, Asked, Split, spaced
from dkvb.pages.facts.words import class_label

POINTS = 900
"""Samples of a split on the map at most; both splits together stay small enough for a page."""

LAYOUTS = {"pca": "principal components", "umap": "UMAP"}


@dataclass(frozen=True)
class FeatureMap:
    """Samples of either split with their places."""

    asked: dict[Split, Asked]
    places: dict[str, dict[Split, np.ndarray]]
    """Layout to split to (n, 2), each axis with a standard deviation of 1 over both splits."""
    explained: float
    """Share of the features' variance that the two principal components hold."""

    @property
    def size(self) -> int:
        return sum(len(one.rows) for one in self.asked.values())

    def table(self, classes: Sequence[str]) -> pl.DataFrame:
        """A row per sample, without its number: where it lies, its class and what is answered."""
        names = np.asarray(classes, dtype=object)
        frames = []
        for split, one in self.asked.items():
            answers = {"class": one.labels, "before": one.before, "after": one.after}
            columns = {what: names[of].tolist() for what, of in answers.items()}
            for layout, placed in self.places.items():
                columns |= {f"{layout}_{axis}": placed[split][:, place].round(2) for place, axis in enumerate("xy")}
            frames.append(pl.DataFrame({"split": [split] * len(one.rows), **columns}))
        return pl.concat(frames)


def by_class(found: FeatureMap, classes: Sequence[str]) -> list[tuple[str, dict[Split, tuple[int, int]]]]:
    """Of every class on the map its name and, by split, how many of its dots there are and how many of them get another
    answer than before."""
    rows = []
    for index, name in enumerate(classes):
        mine = {split: one.labels == index for split, one in found.asked.items()}
        if not any(here.any() for here in mine.values()):
            continue
        counted = {
            split: (int(mine[split].sum()), int((one.before != one.after)[mine[split]].sum()))
            for split, one in found.asked.items()
        }
        rows.append((class_label(index, name), counted))
    return rows


def need_umap() -> None:
    """Raise where UMAP is asked for and is not installed.

    Raises:
        UsageError: names the extra.
    """
    if find_spec("umap") is None:
        raise UsageError(
            "--umap: the package umap-learn is not installed: `pip install 'dkvb[umap]'`, or leave it out."
        )


def feature_map(found: Answers, umap: bool = False) -> FeatureMap | str:
    """The map of the samples that were asked; why there is none, as a sentence. The same samples give the same map.

    Args:
        umap: whether to lay it out by UMAP as well.
    """
    chosen = {split: one.picked(_chosen(one)) for split, one in found.asked.items()}
    features = [found.splits.features_of(split, chosen[split].rows) for split in SPLITS]
    together = np.concatenate(features).astype(np.float64)
    if together.shape[1] < 2 or len(together) < 3:
        return "There are too few samples, or too few features, for a map."
    if not together.std(0).any():
        return "All samples have the same features."
    placed, explained = _principal(together)
    layouts = {"pca": placed} | ({"umap": _umap(together)} if umap else {})
    cut = len(features[0])
    places = {
        name: dict(zip(SPLITS, (scaled[:cut], scaled[cut:]), strict=True))
        for name, scaled in ((name, _scaled(layout)) for name, layout in layouts.items())
    }
    return FeatureMap(chosen, places, explained)


def _chosen(one: Asked) -> np.ndarray:
    return spaced(one.labels, np.ones(len(one.labels), bool), POINTS)


def _principal(features: np.ndarray) -> tuple[np.ndarray, float]:
    """(n, 2) components and the share of the variance that they hold; signs are those that make the entry of each axis
    that is largest in size positive, so that a map does not turn over from machine to machine."""
    from scipy.linalg import svd  # as in scikit-learn's PCA, which takes a second to import

    mean = features.mean(0)
    _, lengths, every = svd(features - mean, full_matrices=False)
    axes, variances = np.asfortranarray(every[:2]), lengths**2 / (len(features) - 1)
    signs = np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])
    return (features @ axes.T - mean[None] @ axes.T) * signs, float((variances / variances.sum())[:2].sum())


def _umap(features: np.ndarray) -> np.ndarray:
    """(n, 2), of one thread and a seed, without which it differs from call to call."""
    from umap import UMAP

    near = min(15, len(features) - 1)
    placed: np.ndarray = UMAP(n_neighbors=near, random_state=0, n_jobs=1).fit_transform(features.astype(np.float32))
    return placed


def _scaled(layout: np.ndarray) -> np.ndarray:
    spread = layout.std(0)
    scaled: np.ndarray = (layout - layout.mean(0)) / np.where(spread > 0, spread, 1)
    return scaled
