"""What each stage's artifact depends on and how the next stage finds it; the only thing that stages know of each
other."""

from __future__ import annotations

from typing import Any

from dkvb.recipe import Linear, Recipe, Train
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec


def embed_settings(recipe: Recipe) -> dict[str, Any]:
    """Settings of the embeddings; the fingerprints of the data and the weights are their inputs."""
    # the named data sets are the same wherever they lie; how bad images and leaks are met changes no feature
    apart = {"validation", "on_bad", "strict"} | (set() if recipe.data.own else {"path"})
    data = recipe.data.model_dump(exclude=apart)
    data = {key: value for key, value in data.items() if key not in LATER_DATA or value != LATER_DATA[key]}
    encoder = {key: value for key, value in recipe.encoder.model_dump().items() if (key, value) not in LATER_ENCODER}
    return {"data": data, "encoder": None if recipe.data.features else encoder}


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
"""Settings of data that came after version 0.1, as it had them: left out of a fingerprint where they are that."""

LATER_ENCODER = {("backend", "torch")}
"""Settings of the encoder that came after version 0.1, with the values that it had."""

LATER = {"label_smoothing": 0.0, "until": "epochs", "adam": "dense"}
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
