"""What each stage's artifact depends on and how the next stage finds it; the only thing that stages know of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dkvb import stores
from dkvb.recipe import OWN_DATA, Recipe
from dkvb.seeding import generator, stratified_split
from dkvb.workspace import Artifact, Spec, Workspace


def embed_settings(recipe: Recipe) -> dict[str, Any]:
    """Settings of the embeddings; the fingerprints of the data and the weights are their inputs."""
    # the named data sets are the same wherever they lie; how bad images and leaks are met changes no feature
    apart = {"validation", "on_bad", "strict"} | (set() if recipe.data.source in OWN_DATA else {"path"})
    data = recipe.data.model_dump(exclude=apart)
    return {"data": data, "encoder": recipe.encoder.model_dump() if recipe.data.source != "features" else None}


def embed_spec(recipe: Recipe, inputs: dict[str, str]) -> Spec:
    encoder = "" if recipe.data.source == "features" else f"-{recipe.encoder.name}"
    return Spec("embed", f"{recipe.data_name}{encoder}", embed_settings(recipe), inputs)


def need_features(recipe: Recipe, workspace: Workspace) -> Artifact:
    """The embeddings of the recipe's data, found by their settings, so that the data themselves may be gone.

    Raises:
        MissingStage: nothing embedded yet.
        DamagedArtifact: altered since.
    """
    from dkvb.deletion.requests import refuse_half_purged

    refuse_half_purged(workspace)
    return workspace.need("embed", embed_settings(recipe), f"The embedded data set '{recipe.data_name}'")


def quantize_spec(recipe: Recipe, seed: int, features: Artifact, without: Sequence[int] = ()) -> Spec:
    """Keys and codes; `without`: classes whose samples take no part in fitting the keys."""
    keys = recipe.keys
    settings = {"keys": keys.model_dump(exclude={"unused"}), "validation": recipe.data.validation, "seed": seed}
    readable = f"{recipe.data_name}-c{keys.codebooks}-m{keys.pairs}-k{keys.top_k}-seed{seed}"
    if without:
        settings["without"] = list(without)
        readable += "-without-" + "-".join(map(str, without))
    return Spec("quantize", readable, settings, {"embed": features.fingerprint})


def dkvb_spec(recipe: Recipe, seed: int, codes_fingerprint: str) -> Spec:
    settings = {"model": "dkvb", "train": recipe.train.model_dump(), "unused": recipe.keys.unused, "seed": seed}
    return Spec("train", f"{recipe.data_name}-dkvb-seed{seed}", settings, {"quantize": codes_fingerprint})


def linear_spec(recipe: Recipe, seed: int, features: Artifact) -> Spec:
    settings = {"model": "linear", "linear": recipe.linear.model_dump(), "validation": recipe.data.validation, "seed": seed}
    return Spec("train", f"{recipe.data_name}-linear-seed{seed}", settings, {"embed": features.fingerprint})


def stored_labels(features: Artifact, split: str) -> np.ndarray:
    """(N,) int64 labels of all stored rows; that of a purged row of class c is -1 - c, so that no other row changes its split."""
    return stores.read(features, f"{split}/labels")


def labels(features: Artifact, split: str) -> np.ndarray:
    """(N,) int64 labels of a split's stored rows, purged ones among them; `present` tells them apart."""
    stored = stored_labels(features, split)
    return np.where(stored < 0, -1 - stored, stored)


def present(features: Artifact, split: str) -> np.ndarray:
    """(N,) bool: the stored rows that were not purged."""
    return stored_labels(features, split) >= 0


def stored_train_rows(features: Artifact, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Like `train_rows`, with rows that were purged."""
    return stratified_split(labels(features, "train"), validation, generator(seed, "validation"))


def train_rows(features: Artifact, validation: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the training set to learn from, and those kept out for choosing N; sorted."""
    kept, aside = stored_train_rows(features, validation, seed)
    there = present(features, "train")
    return kept[there[kept]], aside[there[aside]]
