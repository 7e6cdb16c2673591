"""What each stage's artifact depends on and how the next stage finds it; the only thing that stages know of each
other."""

from __future__ import annotations

from typing import Any

from dkvb.recipe import Recipe
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec


def embed_settings(recipe: Recipe) -> dict[str, Any]:
    """Settings of the embeddings; the fingerprints of the data and the weights are their inputs."""
    # the named data sets are the same wherever they lie; how bad images and leaks are met changes no feature
    apart = {"validation", "on_bad", "strict"} | (set() if recipe.data.own else {"path"})
    data = _said(recipe.data.model_dump(exclude=apart), LATER_DATA)
    encoder = None if recipe.data.features else _said(recipe.encoder.model_dump(), LATER_ENCODER)
    return {"data": data, "encoder": encoder}


def embed_spec(recipe: Recipe, inputs: dict[str, str]) -> Spec:
    encoder = "" if recipe.data.features else f"-{recipe.encoder.name}"
    return Spec("embed", f"{recipe.data_name}{encoder}", embed_settings(recipe), inputs)


LATER_DATA: dict[str, Any] = {
    "train": None,
    "exif_rotate": False,
    "x_column": None,
    "y_column": None,
    "labels": "from-0",
    "scale": None,
    "offset": 0.0,
}
LATER_ENCODER = {"backend": "torch"}
LATER_TRAIN = {"label_smoothing": 0.0, "adam": "dense"}
LATER_LINEAR = {"until": "epochs"}
"""Settings of each section that came after version 0.1, as it had them: left out of a fingerprint where they are
that."""


def _said(section: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """A section as a fingerprint has it."""
    return {key: value for key, value in section.items() if key not in later or value != later[key]}


def dkvb_spec(recipe: Recipe, seed: int, codes_fingerprint: str) -> Spec:
    train = _said(recipe.train.model_dump(), LATER_TRAIN)
    settings = {"model": "dkvb", "train": train, "unused": recipe.keys.unused, "seed": seed}
    return Spec("train", f"{recipe.data_name}-dkvb-seed{seed}", settings, {"quantize": codes_fingerprint})


def linear_spec(recipe: Recipe, seed: int, features: Artifact) -> Spec:
    converged = recipe.linear.until == "converged"  # its epochs then mean nothing
    settings = {
        "model": "linear",
        "linear": {"until": "converged"} if converged else _said(recipe.linear.model_dump(), LATER_LINEAR),
        "validation": recipe.data.validation,
        "seed": seed,
    }
    return Spec("train", f"{recipe.data_name}-linear-seed{seed}", settings, {"embed": features.fingerprint})
