"""A trained bottleneck as a folder of its own, from which masked pairs cannot be had back.

Holds `model.safetensors`, `config.json` (shapes, encoder, classes, what was forgotten, and what binds the files to each
other, see `export_config`), `labels.json` and a model card, `README.md`. Keys and values of pairs that may not be
selected are zeros, and a forgotten class has no column among the values and no name among the classes, unless the model
keeps its labels. `dkvb.load(folder)` computes the same bits as the model exported.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from dkvb.errors import DkvbError
from dkvb.inference import export_tensors
from dkvb.inference.bottleneck_model import Model
from dkvb.inference.export_about import Measured, kept_places, measured, told
from dkvb.inference.export_config import BINDING, FORMAT, ExportConfig, said_of_the_model, seal_of
from dkvb.inference.export_files import CARD, CONFIG, FILES, LABELS, TENSORS, labels_of
from dkvb.inference.export_folder import refuse, result, staged
from dkvb.inference.model_card import card
from dkvb.records.use import ExportResult
from dkvb.version import __version__
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import canonical_hash, like_others, named, sha256, write_json, write_text

CENTRE = (
    "Lookup subtracts centre (C, d) from keys and queries alike before it computes distances. No distance changes but"
    " for rounding, which decides near ties; it is the mean of all keys of a codebook, of the kept ones alone where a"
    " single one is masked."
)


def run(model: Model, folder: Path, workspace: Workspace, force: bool = False) -> ExportResult:
    """Write a model to a folder, all of it or nothing.

    Args:
        force: write into a folder that is not empty; other files there stay.

    Raises:
        UsageError: the folder is a file, or not empty.
    """
    folder = folder.expanduser().absolute()
    with workspace.hold(f"export-{canonical_hash(str(folder))[:16]}", f"the export to {folder}"):
        refuse(folder, force)
        config = write(model, folder, measured(model, workspace))
    return result(folder, FILES, config.sha256, config)


def write(model: Model, folder: Path, now: Measured | None, head: str = "") -> ExportConfig:
    """Write a model to a folder that `refuse` lets pass, all of it or nothing; what `config.json` holds.

    Args:
        now: its accuracies, where there are samples to measure them on.
        head: stands before the text of the model card.
    """
    with staged(folder, FILES) as temporary:
        return _write(model, temporary, now, head)


def _write(model: Model, folder: Path, now: Measured | None, head: str) -> ExportConfig:
    kept = kept_places(model)
    tensors = _tensors(model, kept)
    for wrong in export_tensors.impossible(tensors):
        raise DkvbError(f"The model cannot be exported: {wrong}. Train it again.")
    config = _config(model, kept, tensors, now)
    with named(folder / TENSORS):
        save_file(tensors, folder / TENSORS, metadata={"format": "pt", BINDING: said_of_the_model(config)})
        like_others(folder / TENSORS)
        with open(folder / TENSORS, "rb+") as file:
            os.fsync(file.fileno())
    write_text(folder / CARD, head + card(config))
    write_json(folder / LABELS, labels_of(config["classes"]))
    files = {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
        for name in FILES
        if name != CONFIG
    }
    config |= {"sha256": files[TENSORS]["sha256"], "files": files}
    config["seal"] = seal_of(config)
    write_json(folder / CONFIG, config)
    return ExportConfig.model_validate(config)


def _config(model: Model, kept: list[int], tensors: dict[str, np.ndarray], now: Measured | None) -> dict[str, Any]:
    """All of `config.json` but the hashes."""
    codebooks, pairs, classes = tensors["values"].shape
    return {
        "kind": "dkvb",
        "format": FORMAT,
        "dkvb": __version__,
        "shapes": {
            "codebooks": codebooks,
            "pairs": pairs,
            "dim": model.keys.shape[2],
            "width": model.width,
            "classes": classes,
        },
        "top_k": model.top_k,
        "pool": model.pool,
        "centre": CENTRE,
        **told(model, kept, now),
        "masked": int(model.mask.sum()),
        "unused": int(tensors["unused"].sum()),
    }


def _tensors(model: Model, kept: list[int]) -> dict[str, np.ndarray]:
    """What `model.safetensors` holds, of some places of the logits."""
    allowed, values = model.allowed, model.values
    if len(kept) < values.shape[2]:
        values = values.take(kept, axis=2)
    return {
        "projection": model.projection,
        "keys": np.where(allowed[:, :, None], model.keys, np.float32(0)),
        "values": np.where(allowed[:, :, None], values, np.float32(0)),
        "centre": model.centre,
        "allowed": allowed,
        "unused": model.unused & ~model.mask,
    }
