"""What each stage's artifact depends on and how the next stage finds it; the only thing that stages know of each
other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dkvb.recipe import Recipe
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec


def embed_settings(recipe: Recipe) -> dict[str, Any]:
    """Settings of the embeddings; the fingerprints of the data and the weights are their inputs."""
    # the named data sets are the same wherever they lie; how bad images and leaks are met changes no feature
    apart = {"validation", "on_bad", "strict"} | (set() if recipe.data.own else {"path"})
    data = recipe.data.model_dump(exclude=apart)
    return {"data": data, "encoder": None if recipe.data.features else recipe.encoder.model_dump()}


def embed_spec(recipe: Recipe, inputs: dict[str, str]) -> Spec:
    encoder = "" if recipe.data.features else f"-{recipe.encoder.name}"
    return Spec("embed", f"{recipe.data_name}{encoder}", embed_settings(recipe), inputs)


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
    settings = {
        "model": "linear",
        "linear": recipe.linear.model_dump(),
        "validation": recipe.data.validation,
        "seed": seed,
    }
    return Spec("train", f"{recipe.data_name}-linear-seed{seed}", settings, {"embed": features.fingerprint})
