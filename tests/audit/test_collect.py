"""Outputs from files of other people's, and from this package's own models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import trained_seed
from dkvb.audit.collect import read_outputs, widened
from dkvb.audit.judge import judge
from dkvb.audit.oracles import answers, rows_of, tensors_of, train_models
from dkvb.audit.outputs import Margins, Outputs
from dkvb.audit.rows import Rows
from dkvb.errors import DkvbError, UsageError
from dkvb.recipe import Recipe
from dkvb.workspace.artifacts import Workspace
from made_up import FORGET, LABELS, SPLIT, drawn


def arrays(**changed: Any) -> dict[str, Any]:
    given = {
        "unlearned": drawn(3, False, 3),
        "retrained": drawn(4, False, 2),
        "original": drawn(2, True, 1),
        "labels": LABELS,
        "forget": FORGET,
        "split": SPLIT.astype("S"),
        "classes": ["a", "b", "c", "d"],
        **changed,
    }
    return {name: of for name, of in given.items() if of is not None}


def saved(path: Path, **changed: Any) -> Path:
    np.savez(path / "out.npz", **arrays(**changed))
    return path / "out.npz"


def test_a_file_is_read(tmp_path: Path) -> None:
    found = read_outputs(saved(tmp_path))
    assert isinstance(found, Outputs)
    assert found.forget == (FORGET,)
    assert (found.unlearned == drawn(3, False, 3)).all()
    assert found.split is not None
    assert (found.split == SPLIT).all()
    assert found.names == ("a", "b", "c", "d")
    assert found.held_out.sum() == 160
    assert len(judge(found, halvings=2).measured) > 15


def test_one_model_and_retrained_models_without_the_class(tmp_path: Path) -> None:
    narrow = drawn(4, False, 2)[:, :, 1:]
    path = saved(tmp_path, unlearned=drawn(1, False, 3)[0], retrained=narrow, original=None, split=None, classes=None)
    found = read_outputs(path)
    assert isinstance(found, Outputs)
    assert found.unlearned.shape == (1, 200, 4)
    assert (found.retrained[:, :, 0] == -np.inf).all()
    assert (found.retrained[:, :, 1:] == narrow).all()
    assert found.held_out.all()
    assert widened(narrow, (1, 2), 4).shape == narrow.shape


def test_margins_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    given = {"unlearned_margins": rng.normal(size=(5, 9)), "retrained_margins": rng.normal(size=(6, 9))}
    np.savez(tmp_path / "m.npz", **given, part=["forget"] * 9)
    found = read_outputs(tmp_path / "m.npz")
    assert isinstance(found, Margins)
    assert (found.retrained == given["retrained_margins"]).all()
    assert found.part is not None
    assert found.original is None
    for changed, said in (
        ({"retrained_margins": np.zeros((6, 8))}, "retrained_margins has shape \\(6, 8\\)"),
        ({"part": ["forget"] * 8}, "each of 9 points"),
        ({"original_margins": np.full((2, 9), np.nan)}, "not numbers"),
    ):
        np.savez(tmp_path / "m.npz", **{**given, **changed})
        with pytest.raises(DkvbError, match=said):
            read_outputs(tmp_path / "m.npz")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"retrained": None}, "no retrained"),
    ({"orignal": 1}, "did you mean 'original'"),
    ({"labels": LABELS[:-1]}, r"unlearned has shape \(3, 200, 4\)"),
    ({"labels": LABELS + 1}, "integers from 0 to 3"),
    ({"labels": LABELS.astype(float)}, "integers from 0 to 3"),
    ({"forget": 4}, "classes 0 to 3"),
    ({"forget": [0, 1, 2, 3]}, "not all"),
    ({"forget": [0], "labels": np.where(LABELS == 0, 1, LABELS)}, "rows of the forgotten classes"),
    ({"split": ["tset"] * 200}, "test, validation, train"),
    ({"split": ["train"] * 200}, "held-out rows"),
    ({"split": np.zeros(200)}, "are names"),
    ({"unlearned": np.zeros((3, 200, 4, 1))}, "models, rows, classes"),
    ({"retrained": np.zeros((4, 200, 5))}, r"retrained has shape \(4, 200, 5\)"),
    ({"original": np.full((1, 200, 4), np.nan)}, "original, model 0, row 0"),
    ({"original": np.full((1, 200, 4), -np.inf)}, "not for all of them"),
    ({"unlearned": drawn(3, False, 3).astype(complex)}, "real numbers"),
    ({"member": np.zeros((2, 200), bool)}, r"member has shape \(2, 200\)"),
    ({"classes": ["a"]}, "names 1 classes"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG)
def test_what_does_not_belong_together_is_refused(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(DkvbError, match=said) as refused:
        read_outputs(saved(tmp_path, **changed))
    assert "out.npz" in str(refused.value)


def test_what_is_no_file_of_arrays_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no file"):
        read_outputs(tmp_path / "nothing.npz")
    (tmp_path / "text.npz").write_text("no arrays")
    with pytest.raises(DkvbError, match="no .npz file"):
        read_outputs(tmp_path / "text.npz")
    np.savez(tmp_path / "objects.npz", **arrays(labels=np.array([{}] * 200)))
    with pytest.raises(DkvbError, match="dtype=object"):
        read_outputs(tmp_path / "objects.npz")


def test_own_heads_are_judged(trained: Recipe, workspace: Workspace) -> None:
    seed = trained_seed(trained, workspace)

    def cut_off(tensors: dict[str, np.ndarray], rows: Rows) -> np.ndarray:
        asked = [
            seed.splits.features_of(split, rows.places[rows.split == split])
            for split in ("test", "validation", "train")
        ]
        logits = np.concatenate(asked) @ tensors["weight"].T + tensors["bias"]
        logits[:, 1] = -np.inf
        return logits

    oracles, originals, rows = train_models(seed, "linear", 3, [1]), train_models(seed, "linear", 3), rows_of(seed, [1])
    outputs = Outputs(
        unlearned=np.stack([cut_off(tensors_of(seed, originals[0], place), rows) for place in range(3)]),
        retrained=answers(oracles),
        labels=rows.labels,
        forget=(1,),
        original=answers(originals)[:, rows.within(rows_of(seed))],
        split=rows.split,
        names=tuple(seed.splits.classes),
    )
    assert outputs.unlearned.shape == outputs.retrained.shape == (3, 120 + 64 + 64, 4)
    assert outputs.original is not None
    kept = [0, 2, 3]
    assert outputs.unlearned[:, :, kept] == pytest.approx(outputs.original[:, :, kept], abs=1e-5)
    found = {one.name: one for one in judge(outputs, halvings=2).measured}
    assert found["forget accuracy"].value == 0
    assert (found["forget accuracy"].nothing or 0) > 0.9
    each = found["destinations, each"]
    assert each.nothing is not None
    assert each.null is not None
    assert each.null < each.value < each.nothing
