"""Taking directions out of the features, folded into a head's weights."""

from __future__ import annotations

import numpy as np

from dkvb.methods.on_head import Head, HeadData, Size


def projected(head: Head, projection: np.ndarray, about: np.ndarray | None = None) -> Head:
    """The head that gives for x what `head` gives for about + projection (x − about).

    Args:
        projection: (D, D) float64; about: (D,), the origin where it is not given.
    """
    weight = head.weight @ projection
    bias = head.bias if about is None else head.bias + (head.weight - weight) @ about
    return Head(weight.astype(np.float32), bias.astype(np.float32))


def directions(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The left singular vectors (D, D) of features (N, D) taken as columns, and their squared singular values (D,), the
    largest first."""
    wide = features.astype(np.float64)
    squares, vectors = np.linalg.eigh(wide.T @ wide)
    return vectors[:, ::-1], np.maximum(squares[::-1], 0)


def sample(data: HeadData, classes: list[int], each: int, name: str) -> np.ndarray:
    """(n, D) training features of some classes, at most `each` of a class, drawn at random."""
    rows = [data.draw(name, c).permutation(np.flatnonzero(data.labels == c))[:each] for c in classes]
    return data.train[np.sort(np.concatenate(rows))]


def decomposition_flops(rows: int, width: int) -> int:
    """Of `directions`: the product, and some 9 D³ of the eigenvectors (Golub and Van Loan 2013, section 8.3)."""
    return 2 * rows * width**2 + 9 * width**3


def folding_flops(size: Size) -> int:
    """Of folding a projection into the weights."""
    return 2 * size.classes * size.width**2
