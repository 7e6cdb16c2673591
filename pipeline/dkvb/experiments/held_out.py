"""Models that never saw one class: its training rows are left out of a copy of the features, on which stages 2 and 3
run as ever.

The copy and what is made from it lie in a workspace of their own, `membership/` in that of the recipe.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from dkvb.embedding.shards import ARRAYS, create_split
from dkvb.errors import UsageError
from dkvb.evaluation.splits import Splits
from dkvb.recipe import Recipe
from dkvb.records.embed import EmbedResult
from dkvb.runtime import progress
from dkvb.runtime.seeding import generator, stratified_split
from dkvb.workspace import arrays, content
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import STORED_SPLITS
from dkvb.workspace.rows import labels
from dkvb.workspace.specs import embed_settings

VALIDATION = 0.2
"""Share of every class's training rows kept for validation: 1000 of CIFAR-10's 5000 (paper, Appendix D)."""


def without_class(
    recipe: Recipe, workspace: Workspace, features: Artifact, held_out: int, force: bool = False
) -> tuple[Recipe, Workspace, Artifact]:
    """The features without a class's training rows, with the recipe and the workspace that train on them.

    The training rows of the class are appended to the test split, since training does not look there; `HeldOut` tells
    them apart.
    """
    if features.lost_rows:
        raise UsageError(
            f"Classes or samples were purged from {features.path}; membership inference needs features from which none"
            " was: another --data-dir."
        )
    embedded = features.result_as(EmbedResult)
    name = embedded.classes[held_out]
    readable = f"{recipe.data_name}-without-{name}"
    folder = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', readable).strip('-.')[:60]}-{features.fingerprint[:8]}-{held_out}"
    inner = Workspace(workspace.root / "membership" / folder, workspace.reports)
    derived = recipe.with_(data={"validation": VALIDATION})
    spec = Spec("embed", readable, embed_settings(derived), {"embed": features.fingerprint, "held_out": str(held_out)})
    label = f"membership: features without the training rows of '{name}'"
    earlier = inner.get(spec)
    changed = earlier is not None and bool(content.changed_inputs(earlier, {"embed": features}))
    with inner.claim(spec, force or changed) as claim:
        claim.inputs = {"embed": features}
        if done := claim.reuse(label):
            return derived, inner, done
        rows = _copy(features, claim.path, held_out, embedded.classes)
        artifact = claim.finish(embedded.model_copy(update=rows))
    progress.note(f"{label} ({artifact.path.name})")
    return derived, inner, artifact


def _copy(features: Artifact, path: Path, held_out: int, classes: list[str]) -> dict[str, int]:
    """Write both splits below a path, the training rows of a class after those of the test split; rows of each."""
    absent = labels(features, "train") == held_out
    lengths = {}
    for split in STORED_SPLITS:
        stored = {name: arrays.read(features, f"train/{name}") for name in ARRAYS}
        stored = {name: rows[absent if split == "test" else ~absent] for name, rows in stored.items()}
        if split == "test":
            stored = {
                name: np.concatenate([arrays.read(features, f"test/{name}"), rows]) for name, rows in stored.items()
            }
        lengths[split] = len(stored["labels"])
        create_split(path, split, lengths[split], stored["features"].shape[1], classes)
        store: Any = zarr.open_group(path / split, mode="r+")
        for name, rows in stored.items():
            store[name][:] = rows
    return lengths


class HeldOut:
    """Which rows of the splits of `without_class` an attack looks at.

    Args:
        splits: of the derived features, for one seed.
        tested: rows of the original test split, which come first in the derived one.
        held_out: the class that was left out; forget: those to unlearn.

    Raises:
        UsageError: a class without samples to attack.
    """

    def __init__(self, splits: Splits, tested: int, held_out: int, forget: list[int]) -> None:
        unseen = np.arange(tested, len(splits.labels["test"]))
        spared = stratified_split(
            splits.labels["test"][unseen], VALIDATION, generator(splits.seed, "validation", "held-out")
        )[1]
        test = splits.labels["test"][:tested]
        self.rows: dict[tuple[str, str], tuple[str, np.ndarray]] = {
            ("validation", "forget"): ("validation", np.flatnonzero(np.isin(splits.labels["validation"], forget))),
            ("validation", "held_out"): ("test", unseen[spared]),
            ("test", "forget"): ("test", np.flatnonzero(np.isin(test, forget))),
            ("test", "held_out"): ("test", np.flatnonzero(test == held_out)),
        }
        """(Split of the attack, role) -> split in which the samples are stored, and their rows in it."""
        self.retain = np.flatnonzero(~np.isin(test, [*forget, held_out]))
        """Test rows of the classes that stay."""
        for (part, role), (_, rows) in self.rows.items():
            if len(rows) == 0:
                which = [held_out] if role == "held_out" else forget
                names = ", ".join(splits.classes[c] for c in which)
                raise UsageError(
                    f"There are no {part} samples of '{names}', and the attack needs some: name another class."
                )
