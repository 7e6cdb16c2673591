"""What each stage's artifact depends on and how the next stage finds it; the only thing that stages know of each
other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dkvb.recipe import Keys, Linear, Recipe, Train
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.rows import labels, stored_train_rows


def embed_settings(recipe: Recipe) -> dict[str, Any]:
    """Settings of the embeddings; the fingerprints of the data and the weights are their inputs."""
    # the named data sets are the same wherever they lie; how bad images and leaks are met changes no feature
    apart = {"validation", "on_bad", "strict"} | (set() if recipe.data.own else {"path"})
    data = recipe.data.model_dump(exclude=apart)
    return {"data": data, "encoder": None if recipe.data.features else recipe.encoder.model_dump()}


def embed_spec(recipe: Recipe, inputs: dict[str, str]) -> Spec:
    encoder = "" if recipe.data.features else f"-{recipe.encoder.name}"
    return Spec("embed", f"{recipe.data_name}{encoder}", embed_settings(recipe), inputs)


def keys_for(recipe: Recipe, seed: int, features: Artifact, without: Sequence[int] = ()) -> Keys:
    """The recipe's `[keys]` as these data are served by them: where `adapt` is set and keys start at training samples,
    no more pairs than samples, and a k of no more than pairs.

    Purged rows count, so that the settings of a model stay what they were. Arguments as for `quantize_spec`.
    """
    keys = recipe.keys
    if not keys.adapt:
        return keys
    pairs = keys.pairs
    if keys.init == "sample":
        rows, _ = stored_train_rows(features, recipe.data.validation, seed)
        if without:
            rows = rows[~np.isin(labels(features, "train")[rows], without)]
        pairs = min(pairs, max(1, len(rows)))
    return keys.model_copy(update={"pairs": pairs, "top_k": min(keys.top_k, pairs)})


def quantize_spec(recipe: Recipe, seed: int, features: Artifact, without: Sequence[int] = ()) -> Spec:
    """Keys and codes; `without`: classes whose samples take no part in fitting the keys."""
    keys = keys_for(recipe, seed, features, without)
    told = keys.model_dump(exclude={"unused", "adapt"})
    settings = {"keys": told, "validation": recipe.data.validation, "seed": seed}
    readable = f"{recipe.data_name}-c{keys.codebooks}-m{keys.pairs}-k{keys.top_k}-seed{seed}"
    if without:
        settings["without"] = list(without)
        readable += "-without-" + "-".join(map(str, without))
    return Spec("quantize", readable, settings, {"embed": features.fingerprint})


LATER = {"label_smoothing": 0.0, "until": "epochs"}
"""Settings that came after version 0.1, as it had them: left out of a fingerprint where they are that."""


def _said(section: Train | Linear) -> dict[str, Any]:
    """A section as a fingerprint has it."""
    if isinstance(section, Linear) and section.until == "converged":
        return {"until": section.until}
    return {key: value for key, value in section.model_dump().items() if key not in LATER or value != LATER[key]}


def dkvb_spec(recipe: Recipe, seed: int, codes_fingerprint: str) -> Spec:
    settings = {"model": "dkvb", "train": _said(recipe.train), "unused": recipe.keys.unused, "seed": seed}
    return Spec("train", f"{recipe.data_name}-dkvb-seed{seed}", settings, {"quantize": codes_fingerprint})


def linear_spec(recipe: Recipe, seed: int, features: Artifact) -> Spec:
    settings = {
        "model": "linear",
        "linear": _said(recipe.linear),
        "validation": recipe.data.validation,
        "seed": seed,
    }
    return Spec("train", f"{recipe.data_name}-linear-seed{seed}", settings, {"embed": features.fingerprint})
