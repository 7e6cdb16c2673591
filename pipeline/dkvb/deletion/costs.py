"""What each level of forgetting would cost: measured where that is cheap, else estimated from what training took."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dkvb.deletion.wanted import first_model, wanted_ids
from dkvb.evaluation.seed import TrainedSeed
from dkvb.recipe import Recipe
from dkvb.records.deletion import ExactPlan, LevelCost
from dkvb.records.levels import WORDS, Level
from dkvb.records.masking import Masking
from dkvb.workspace import requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import reading
from dkvb.workspace.requests import Union

BYTES_A_SECOND = 200e6
"""How fast a purge overwrites and scans a workspace, about."""

PURGE = 1.0
"""Seconds that a purge takes whatever the size: artifacts are opened, rewritten and checked, and the request closed. Of
the digits recipe it took 1.4 s."""


def levels(
    trained: TrainedSeed, classes: Sequence[int], rows: np.ndarray, masking: Masking | None = None, single: bool = False
) -> list[LevelCost]:
    """A row per level.

    Args:
        classes: ids of all classes that would be forgotten then; rows: (n,) likewise, rows of the stored training set.
        masking: what masking was measured to do, where it was.
        single: whether single samples are to be forgotten, which no mask does.
    """
    seconds: dict[Level, float | None] = {
        "hidden": masking.seconds_total if masking else None,
        "erased": None if single else round(_purge(trained), 3),
        "exact": _training(trained, classes, rows),
    }
    return [
        LevelCost(
            level=level,
            does=does,
            seconds=seconds[level],
            measured=level == "hidden" and masking is not None,
            reversible=level != "erased",
            possible=level == "exact" or not single,
        )
        for level, does in WORDS.items()
    ]


def kept_rows(trained: TrainedSeed, classes: Sequence[int], rows: np.ndarray) -> int:
    """Training samples that stay."""
    gone = np.isin(trained.splits.labels["train"], classes) | np.isin(trained.splits.rows["train"], rows)
    return int((~gone).sum())


def _training(trained: TrainedSeed, classes: Sequence[int], rows: np.ndarray) -> float | None:
    """What training took, by the share of its samples that stay."""
    everyone = len(trained.splits.labels["train"])
    return round(trained.dkvb_artifact.seconds * kept_rows(trained, classes, rows) / everyone, 3) if everyone else None


def _purge(trained: TrainedSeed) -> float:
    """Overwriting and scanning all files."""
    root = trained.workspace.root
    return PURGE + sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) / BYTES_A_SECOND


def plan(
    recipe: Recipe, workspace: Workspace, names: Sequence[str | int], samples: np.ndarray | None = None
) -> list[ExactPlan]:
    """What forgetting some classes, or single samples, exactly would do; nothing is trained or written.

    Args:
        samples: (n,) rows of the stored training set; None for classes.

    Raises:
        UsageError: an unknown class, or none.
        MissingStage: nothing trained yet.
    """
    with reading(workspace):
        trained = first_model(recipe, workspace)
        earlier = requests.forgotten(workspace, trained.dkvb_artifact)
        return _planned(trained, earlier, names, samples)


def _planned(
    trained: TrainedSeed, earlier: Union, names: Sequence[str | int], samples: np.ndarray | None
) -> list[ExactPlan]:
    wanted = wanted_ids(trained, names, " --exact") if samples is None else []
    gone = sorted({*earlier.classes, *wanted})
    rows = earlier.rows if samples is None else np.union1d(earlier.rows, samples)
    return [
        ExactPlan(
            names=[trained.splits.classes[c] for c in wanted],
            classes=wanted,
            samples=None if samples is None else len(samples),
            rows=kept_rows(trained, gone, rows),
            costs=levels(trained, gone, rows, single=samples is not None),
        )
    ]
