"""What keys and codes depend on: the recipe's `[keys]`, as the data are served by them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dkvb.recipe import Keys, Recipe
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.rows import labels, stored_train_rows


def keys_for(recipe: Recipe, seed: int, features: Artifact, without: Sequence[int] = ()) -> Keys:
    """The recipe's `[keys]` as these data are served by them: where `adapt` is set and keys start at training samples,
    no more pairs than samples, and a k of no more than pairs.

    Purged rows count, so that the settings of a model stay what they were. Arguments as for `quantize_spec`.
    """
    keys = recipe.keys
    if not keys.adapt:
        return keys
    if keys.init != "sample":
        return served(keys, keys.pairs)
    rows, _ = stored_train_rows(features, recipe.data.validation, seed)
    if without:
        rows = rows[~np.isin(labels(features, "train")[rows], without)]
    return served(keys, len(rows))


def served(keys: Keys, rows: int) -> Keys:
    """`[keys]` that adapt, as so many training rows serve them."""
    pairs = min(keys.pairs, max(1, rows)) if keys.init == "sample" else keys.pairs
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
