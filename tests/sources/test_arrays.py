"""Arrays from Python: NumPy, torch, polars and pandas."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

import dkvb
from conftest import CLASSES, blobs
from dkvb.errors import DkvbError, UsageError
from dkvb.sources.base import FeatureSource, ImageSource
from dkvb.sources.opening import open_source
from dkvb.stages import embed
from dkvb.workspace.artifacts import Workspace

DOCS = Path(__file__).resolve().parents[2] / "docs/api.md"
X = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
NAMES = ["u", "v", "w"] * 4


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X, NAMES),
        (X.astype(np.float64), np.array(NAMES)),
        (X.tolist(), tuple(NAMES)),
        (torch.from_numpy(X).requires_grad_(), pd.Series(NAMES)),
        (pl.DataFrame(X), pl.Series(NAMES)),
        (pl.Series(X), pl.Series(NAMES, dtype=pl.Categorical)),
        (pl.Series(X.tolist()), pl.Series(NAMES)),
        (pd.DataFrame(X), pd.Categorical(NAMES)),
        (pd.Series(list(X)), pd.Series(NAMES, dtype="string")),
    ],
)
def test_every_library_s_objects_hold_the_same(x: Any, y: Any) -> None:
    source = dkvb.from_arrays(x, y, test=(X[:3] + 1, NAMES[:3]))
    assert isinstance(source, FeatureSource)
    np.testing.assert_array_equal(source.splits["train"].features, X)
    assert source.splits["train"].labels.tolist() == [0, 1, 2] * 4
    np.testing.assert_array_equal(source.splits["test"].features, X[:3] + 1)
    assert source.classes == ["u", "v", "w"]
    assert source.fingerprint == dkvb.from_arrays(X, NAMES, test=(X[:3] + 1, NAMES[:3])).fingerprint


def test_bfloat16_and_half_precision_become_float32_with_the_same_values() -> None:
    for kind in (torch.bfloat16, torch.float16):
        x = torch.from_numpy(X).to(kind)
        source = dkvb.from_arrays(x, torch.arange(12) % 3, test=0.25)
        rows = [int(id) for id in source.splits["train"].ids]
        np.testing.assert_array_equal(source.splits["train"].features[:], x.float().numpy()[rows])


def test_classes_name_numbers_or_order_names() -> None:
    numbers = np.arange(12) % 3
    assert dkvb.from_arrays(X, numbers, ["c", "a", "b"], test=0.25).classes == ["c", "a", "b"]
    assert dkvb.from_arrays(X, numbers + 1, test=0.25, labels="from-1").classes == ["1", "2", "3"]
    assert dkvb.from_arrays(X, numbers * 5, test=0.25, labels="sparse").classes == ["0", "5", "10"]
    ordered = dkvb.from_arrays(X, NAMES, ["w", "v", "u"], test=(X, NAMES))
    assert ordered.splits["test"].labels.tolist() == [2, 1, 0] * 4
    with pytest.raises(DkvbError, match="class w is not among the classes' names"):
        dkvb.from_arrays(X, NAMES, ["u", "v"])


@pytest.mark.parametrize(("shape", "mode"), [((12, 5, 6), "L"), ((12, 5, 6, 3), "RGB")])
def test_images(shape: tuple[int, ...], mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    source = dkvb.from_arrays(torch.from_numpy(pixels), NAMES, test=0.25)
    assert isinstance(source, ImageSource)
    split = source.splits["test"]
    assert (source.mode, len(split)) == (mode, 3)
    for row, id in enumerate(split.ids):
        assert split.read(row).mode == mode
        np.testing.assert_array_equal(np.asarray(split.read(row)), pixels[int(id)])
    changed = pixels.copy()
    changed[3, 0, 0] ^= 1
    assert dkvb.from_arrays(changed, NAMES, test=0.25).fingerprint != source.fingerprint


@pytest.mark.parametrize(
    ("x", "y", "options", "match"),
    [
        (X[:5], NAMES, {}, "x has 5 rows and y has 12"),
        (X.astype(int), NAMES, {}, r"int64 of shape \(12, 4\); give x.astype\(np.float32\)"),
        (np.zeros((12, 3, 5, 5), np.uint8), NAMES, {}, r"give x.transpose\(0, 2, 3, 1\)\."),
        (np.zeros((12, 5, 5, 1), np.uint8), NAMES, {}, r"give x.squeeze\(3\)"),
        (X[0], NAMES, {}, "x has 4 rows"),
        ([[1.0], [1.0, 2.0]] * 6, NAMES, {}, "Rows differ in length"),
        (pl.Series([[1.0], [1.0, 2.0]] * 6), NAMES, {}, "Rows differ in length"),
        (X, NAMES, {"test": 3}, "neither a pair"),
        (X, NAMES, {"labels": "from-2"}, "from-0"),
        (X, NAMES, {"test": (X[:, :3], NAMES)}, "4 features a row and y of test has 3"),
        (X * np.inf, NAMES, {}, "NaN or infinite features in 12 rows"),
        (X, [*NAMES[:-1], None], {}, r"1 rows have no label \(the first: 11\)"),
        (X, pd.Series([1, 2, None] * 4, dtype="Int64"), {}, "4 rows have no label"),
        (X, [0.5] * 12, {}, "row 0 has the label 0.5"),
    ],
)
def test_refusals(x: Any, y: Any, options: dict[str, Any], match: str) -> None:
    with pytest.raises(DkvbError, match=match):
        dkvb.from_arrays(x, y, **options)


def test_the_same_arrays_are_embedded_once_and_the_recipe_has_to_fit(workspace: Workspace) -> None:
    recipe = dkvb.load_recipe("arrays")
    first = embed.run(recipe, workspace, source=dkvb.from_arrays(X, NAMES, test=0.25))[0]
    again = embed.run(recipe, workspace, source=dkvb.from_arrays(X.copy(), NAMES, test=0.25))[0]
    other = embed.run(recipe, workspace, source=dkvb.from_arrays(X + 1, NAMES, test=0.25))[0]
    assert (first.skipped, again.skipped, other.skipped) == (False, True, False)
    assert first.artifact == again.artifact != other.artifact
    with pytest.raises(UsageError, match=r'load_recipe\("arrays"\) is a recipe for them'):
        embed.run(dkvb.load_recipe("image-arrays"), workspace, source=dkvb.from_arrays(X, NAMES))
    with pytest.raises(UsageError, match="given from Python"):
        open_source(recipe.data)
    pixels = np.random.default_rng(0).integers(0, 255, (12, 4, 4), np.uint8)
    small = dkvb.load_recipe("image-arrays").with_(encoder={"name": "pixels", "weights": None}, run={"workers": 2})
    entry = embed.run(small, workspace, source=dkvb.from_arrays(pixels, NAMES, test=0.25))[0]
    assert (entry.dim, entry.mode, entry.encoder) == (16, "L", "pixels")


def test_the_documented_example_forgets_a_class(tmp_path: Path) -> None:
    section = DOCS.read_text(encoding="utf-8").split("## Data from Python")[1].split("\n## ")[0]
    example = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    blobs(tmp_path)
    given = {split: np.load(tmp_path / f"{split}.npz") for split in ("train", "test")}
    names = {"x": given["train"]["x"], "y": given["train"]["y"], "names": CLASSES}
    names |= {"x_test": given["test"]["x"], "y_test": given["test"]["y"]}
    exec(example, names)
    model = names["without"]
    answers = {model.classes[c] for c in model(names["x_test"]).argmax(1)}
    assert answers == {"airplane", "bird", "dog"}
