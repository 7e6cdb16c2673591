"""Audits of other people's outputs: one file, a folder with a file for each method, and margins alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dkvb.audit import given
from dkvb.errors import DkvbError, UsageError
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.audits import audits
from made_up import FORGET, LABELS, SPLIT, drawn


def saved(path: Path, unlearned: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    np.savez(
        path,
        unlearned=unlearned,
        retrained=drawn(12, False, 2),
        original=drawn(4, True, 1),
        labels=LABELS,
        forget=FORGET,
        split=SPLIT,
        classes=["a", "b", "c", "d"],
    )
    return path


def test_one_file_is_one_method_and_its_line(tmp_path: Path, workspace: Workspace) -> None:
    made = given.run(saved(tmp_path / "mine.npz", drawn(4, False, 3)), workspace)
    assert (made.name, made.oracles, made.unlearned, made.points) == ("mine", 12, 4, 200)
    assert (made.forget, made.forget_names, made.classes) == ([0], ["a"], ["a", "b", "c", "d"])
    assert [(entry.method, entry.role, entry.model) for entry in made.entries] == [
        ("original", "original", "given"),
        ("mine", "unlearned", "given"),
    ]
    idle, mine = made.entries
    assert idle.measures["forget accuracy"].value > 0.95
    assert mine.measures["forget accuracy"].value == 0
    assert mine.measures["destinations, each"].at_null
    assert "the model itself" in mine.left_out["relearning"]
    assert mine.seconds is None
    (found,) = audits(workspace)
    assert found.entries == made.entries


def test_a_folder_is_a_method_a_file(tmp_path: Path, workspace: Workspace) -> None:
    saved(tmp_path / "all" / "idle.npz", drawn(4, True, 4))
    saved(tmp_path / "all" / "good.npz", drawn(4, False, 3))
    made = given.run(tmp_path / "all", workspace)
    assert [entry.method for entry in made.entries] == ["original", "good", "idle"]
    distance = [entry.measures["destinations, each"].value for entry in made.entries]
    assert distance[1] < 0.3 < distance[2]
    assert distance[0] == pytest.approx(distance[2], abs=0.05)


def test_margins_alone_are_audited(tmp_path: Path, workspace: Workspace) -> None:
    unlearned, retrained = np.random.default_rng(0).normal(size=(2, 120, 40))
    np.savez(tmp_path / "m.npz", unlearned_margins=unlearned, retrained_margins=retrained)
    (entry,) = given.run(tmp_path / "m.npz", workspace).entries
    assert set(entry.measures) == {"KLoM, all points", "Wasserstein-1 of margins, all points"}
    assert "noise" not in entry.measures["KLoM, all points"].note, "halves of 120 are 60 models"
    assert "margins alone" in entry.left_out["forget accuracy"]


def test_what_cannot_be_read_is_named(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"holds no \.npz file"):
        given.run(tmp_path / "empty", workspace)
    with pytest.raises(UsageError, match="is no file"):
        given.run(tmp_path / "nowhere.npz", workspace)
    np.savez(tmp_path / "bad.npz", unlearned=np.zeros((2, 3, 4)))
    with pytest.raises(DkvbError, match=r"bad\.npz"):
        given.run(tmp_path / "bad.npz", workspace)
    assert not audits(workspace)
