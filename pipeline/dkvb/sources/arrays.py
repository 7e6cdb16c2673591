"""Arrays that are in memory already: NumPy, torch, polars or pandas, of features or of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from dkvb.errors import UsageError
from dkvb.recipe import Data
from dkvb.sources.assembly import Features, Images, array_digest, feature_source, image_source
from dkvb.sources.base import FeatureSource, ImageSource, Mode
from dkvb.sources.class_ids import Labels, as_read
from dkvb.sources.images import ArrayImages, indices
from dkvb.sources.remarks import Remarks

IMAGES, FEATURES = "image-arrays", "arrays"
"""What recipes call these sources."""


def from_arrays(
    x: Any,
    y: Any,
    classes: Sequence[str] | None = None,
    test: tuple[Any, Any] | float = 0.2,
    labels: str = "from-0",
) -> FeatureSource | ImageSource:
    """A data set of arrays, for `embed.run(recipe, workspace, source=…)` with the recipe "arrays" or "image-arrays".

    The same content has the same fingerprint, whatever library holds it, so that it is embedded once. Features that are
    float32 arrays already, and images, are not copied.

    Args:
        x: features (N, D), floating point: an array, a tensor of any device and float type, a DataFrame, or a column of
            lists; or images (N, H, W) or (N, H, W, 3), uint8.
        y: (N,) labels, names or integers: an array, a tensor, a column or a list.
        classes: names that integers count, or in which order names are numbered; without it, names are sorted.
        test: x and y of the test set, or the share of every class to set aside as one.
        labels: how integers count classes: "from-0", "from-1", or "sparse" for any integers.

    Raises:
        UsageError: x is neither features nor images, or `test` or `labels` is something else.
        DkvbError: x and y differ in length, features are not finite, labels are missing or out of range, or a class has
        no training samples.
    """
    if labels not in ("from-0", "from-1", "sparse"):
        raise UsageError(f'labels = {labels!r}: give "from-0", "from-1" or "sparse".')
    given = test if isinstance(test, tuple) and len(test) == 2 else None
    if given is None and not (isinstance(test, float) and 0 < test < 1):
        raise UsageError("test is neither a pair (x, y) nor a share between 0 and 1; give one of the two.")
    named = None if classes is None else [str(name) for name in classes]
    pairs = {"train": (x, y)} | ({"test": given} if given else {})
    arrays = {name: (_array(of_x), _labels(of_y, name)) for name, (of_x, of_y) in pairs.items()}
    for name, (of_x, of_y) in arrays.items():
        if len(of_x) != len(of_y.raw):
            raise UsageError(
                f"{name}: x has {len(of_x):,} rows and y has {len(of_y.raw):,}; give a label for each row."
            )
    pictures = _are_images({name: of_x for name, (of_x, _) in arrays.items()})
    data = Data.model_validate(
        {"source": IMAGES if pictures else FEATURES, "labels": labels, **({} if given else {"test": test})}
    )
    if not pictures:
        return feature_source([Features(of_y, of_x) for of_x, of_y in arrays.values()], named, data, Remarks())
    contents = [of_x for of_x, _ in arrays.values()]
    parts = [Images(of_y, indices(len(of_x)), ArrayImages(of_x)) for of_x, of_y in arrays.values()]
    mode: Mode = "RGB" if contents[0].ndim == 4 else "L"
    return image_source(parts, named, data, lambda: array_digest(contents), Remarks(), mode)


def open_arrays(data: Data) -> NoReturn:
    """What a recipe alone cannot do.

    Raises:
        UsageError: always; says how arrays are given.
    """
    raise UsageError(
        f"The data of the source '{data.source}' are in memory, given from Python: embed.run(recipe, workspace,"
        " source=dkvb.from_arrays(x, y)). What is embedded already can be used without them."
    )


def _array(x: Any) -> np.ndarray:
    """x as a NumPy array; floating point as float32, integers as they are."""
    array = _plain(x)
    if array.dtype == object and array.ndim == 1:  # a column of lists
        array = _plain([np.asarray(row) for row in array])
    if array.dtype.kind not in "fiu":
        raise UsageError(f"x is {array.dtype}; give floating-point features (N, D), or uint8 images.")
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" else array


def _labels(y: Any, name: str) -> Labels:
    return as_read(_plain(y), f"y of {name}")


def _plain(values: Any) -> np.ndarray:
    """NumPy's view of a tensor, a DataFrame, a column, an array or a list."""
    if hasattr(values, "detach"):  # a tensor; NumPy has no bfloat16
        values = values.detach().cpu()
        return np.asarray(values.float() if values.is_floating_point() else values)
    if hasattr(values, "to_numpy"):  # polars and pandas
        values = values.to_numpy()
    try:
        return np.asarray(values)
    except ValueError:
        raise UsageError(
            "Rows differ in length; give an array in which each has as many numbers as the next."
        ) from None


def _are_images(arrays: dict[str, np.ndarray]) -> bool:
    """Whether these are images rather than features.

    Raises:
        UsageError: they are neither.
    """
    for name, x in arrays.items():
        picture = x.dtype == np.uint8 and (x.ndim == 3 or (x.ndim == 4 and x.shape[3] == 3))
        features = x.dtype.kind == "f" and x.ndim == 2 and x.shape[1] > 0
        if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3):
            fix = "x.transpose(0, 2, 3, 1)" + (".squeeze(3)" if x.shape[1] == 1 else "")
        elif x.ndim == 4 and x.shape[3] == 1:
            fix = "x.squeeze(3)"
        elif x.ndim == 2:
            fix = "x.astype(np.float32), scaled as the encoder's features are"
        else:
            fix = "features (N, D) in floating point, or images (N, H, W) or (N, H, W, 3) in uint8"
        if not picture and not features:
            raise UsageError(f"{name}: x is {x.dtype} of shape {x.shape}; give {fix}.")
        if x.ndim != next(iter(arrays.values())).ndim:
            raise UsageError(f"{name}: x has shape {x.shape}, other than the training set's; give both alike.")
    return next(iter(arrays.values())).dtype == np.uint8
