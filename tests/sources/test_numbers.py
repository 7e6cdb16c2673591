"""Features of every type of number: their values, and what float32 does not hold."""

from __future__ import annotations

import numpy as np
import pytest

from dkvb import from_arrays
from dkvb.errors import DkvbError, UsageError
from dkvb.sources.numbers import BLOCK, as_features, doubt_columns, new_features
from dkvb.sources.remarks import Remarks


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_stay_as_they_are(dtype: type) -> None:
    x, remarks = np.array([[1.5, -2.0]], dtype), Remarks()
    assert as_features(x, "x.npy", None, 0.0, remarks) is x
    assert remarks.notes == []


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64])
def test_integers_are_taken_as_the_recipe_scales_them(dtype: type) -> None:
    x, remarks = np.array([[100, 3], [0, 128]]).astype(dtype), Remarks()
    scaled = as_features(x, "x.npy", 0.25, -128.0, remarks)
    assert scaled.tolist() == ((x.astype(float) - 128) / 4).tolist()
    assert scaled.dtype == np.float32
    assert remarks.notes == [f"x.npy: features are {np.dtype(dtype)}, taken as (x + -128) * 0.25"]
    with pytest.raises(DkvbError, match=r"x.npy: features are .*set data.scale .*\(x \+ offset\) \* scale"):
        as_features(x, "x.npy", None, 0.0)


def test_scale_and_offset_are_for_integers() -> None:
    x = np.ones((2, 2), np.float32)
    for scale, offset in ((2.0, 0.0), (None, 1.0)):
        with pytest.raises(UsageError, match="are for features that are integers, and those in x.npy are float32"):
            as_features(x, "x.npy", scale, offset)
    with pytest.raises(UsageError, match="data.scale is 0"):
        as_features(x.astype(int), "x.npy", 0.0, 0.0)
    assert new_features(x, "x.npy", 2.0, 1.0).tolist() == x.tolist(), "new floats are what they say"
    assert new_features(x.astype(np.int8), "x.npy", 2.0, 1.0).tolist() == [[4, 4], [4, 4]]


def test_bfloat16_as_numpy_saves_it() -> None:
    values = np.array([[1.0, -2.5, 3e16 / 4], [0.0, 2**-130, 255.0]], np.float32)
    saved = (values.view(np.uint32) >> 16).astype(np.uint16).view("V2")
    remarks = Remarks()
    read = as_features(saved, "x.npy", None, 0.0, remarks)
    assert read.dtype == np.float32
    assert read[1].tolist() == [0.0, 2**-130, 255.0]
    assert read[0, :2].tolist() == [1.0, -2.5]
    assert abs(read[0, 2] / values[0, 2] - 1) < 2**-7
    assert "read as bfloat16" in remarks.notes[0]
    with pytest.raises(DkvbError, match=r"features are \|V4; features must be real numbers"):
        as_features(np.zeros((1, 2), "V4"), "x.npy", None, 0.0)


def test_what_float32_does_not_hold_is_refused_with_its_place() -> None:
    x = np.ones((BLOCK + 5, 3))
    x[7, 2], x[BLOCK + 1, 0] = 1e39, -1e300
    says = f"x.npy: 2 values of float64 are beyond 1e.16 .the first: row 7 column 2, row {BLOCK + 1} column 0"
    with pytest.raises(DkvbError, match=says):
        as_features(x, "x.npy", None, 0.0)
    with pytest.raises(DkvbError, match="1 values of float32 .*row 0 column 1"):
        as_features(np.array([[1, 1e19]], np.float32), "x.npy", None, 0.0)
    with pytest.raises(DkvbError, match="row 1 column 0"):
        as_features(np.array([[1], [np.longdouble("1e4000")]]), "x.npy", None, 0.0)
    whole = np.zeros((BLOCK + 5, 1), np.int64)
    whole[BLOCK + 2] = 2**62
    with pytest.raises(DkvbError, match=f"row {BLOCK + 2} column 0"):
        as_features(whole, "x.npy", 1e6, 0.0)


@pytest.mark.parametrize("dtype", [bool, complex, object, "U3"])
def test_what_is_no_number_is_refused(dtype: object) -> None:
    with pytest.raises(DkvbError, match="features must be real numbers"):
        as_features(np.ones((2, 2)).astype(dtype), "x.npy", None, 0.0)


def doubts(x: np.ndarray) -> list[str]:
    remarks = Remarks()
    doubt_columns(x, "train.npz", remarks)
    return remarks.doubts


def test_a_column_far_from_the_rest_is_doubted() -> None:
    x = np.random.default_rng(0).standard_normal((BLOCK + 900, 20)).astype(np.float32)
    assert doubts(x) == []
    assert doubts(x * 300 * (np.arange(20) == 3) + x) == []
    time = x.copy()
    time[:, 11] = 1.7e9 + np.arange(len(x))
    assert "train.npz: column 11 of the features is far from the rest: column 11 has mean 1.7e+09" in doubts(time)[0]
    wide = x.copy()
    wide[:, 4] *= 5000
    assert "column 4" in doubts(wide)[0]
    assert "and spread 4.98e+03, where the median column has size 1 and" in doubts(wide)[0]
    small = x * 1e-6
    small[:, 0] += 1  # far for them, as it is for the projections
    assert "column 0" in doubts(small)[0]


def test_columns_of_zeros_are_no_measure() -> None:
    x = np.zeros((100, 50))
    x[:, :5] = np.random.default_rng(0).standard_normal((100, 5))
    assert doubts(x) == []
    assert doubts(np.zeros((3, 3))) == []
    assert doubts(np.full((3, 3), 7.0)) == []


def test_columns_out_of_proportion_are_doubted_in_arrays_too() -> None:
    x = np.random.default_rng(0).standard_normal((40, 5))
    x[:, 3] += 1e6
    (doubt,) = from_arrays(x, np.arange(40) % 2).doubts
    assert "column 3 of the features is far from the rest" in doubt
