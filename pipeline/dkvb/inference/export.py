"""A trained bottleneck as a folder of its own, from which masked pairs cannot be had back.

Holds `model.safetensors`, `config.json` (shapes, encoder, classes, what was forgotten), `labels.json` and a model card,
`README.md`. Keys and values of pairs that may not be selected are zeros. `dkvb.load(folder)` computes the same bits as
the model exported.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from dkvb.encoders.recorded import Encoding
from dkvb.errors import DkvbError, UsageError
from dkvb.inference.bottleneck_model import Model
from dkvb.inference.model_card import card
from dkvb.metrics.accuracy import accuracies, per_class
from dkvb.recipe import WEIGHTS_FILES, Encoder
from dkvb.records.use import ExportResult
from dkvb.runtime import progress
from dkvb.version import __version__
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import TEMPORARY, canonical_hash, sha256, write_json, write_text
from dkvb.workspace.rows import labels, present

FORMAT = 1


CONFIG, TENSORS, LABELS, CARD = "config.json", "model.safetensors", "labels.json", "README.md"


CENTRE = (
    "Lookup subtracts centre (C, d) from keys and queries alike before it computes distances. No distance changes but"
    " for rounding, which decides near ties; it is the mean of all keys of a codebook, of the kept ones alone where a"
    " single one is masked."
)


PIXELS = (
    "resize to encoder.size x encoder.size where it is given (bicubic), divide by 255, subtract the image's mean, "
    "divide by its deviation + 1e-6"
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
        _refuse(folder, force)
        temporary = folder.with_name(f"{TEMPORARY}export-{folder.name}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            config = _write(model, temporary, measured(model, workspace))
            _place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return ExportResult(
        path=str(folder),
        files=sorted((CONFIG, TENSORS, LABELS, CARD)),
        bytes=sum((folder / name).stat().st_size for name in (CONFIG, TENSORS, LABELS, CARD)),
        sha256=config["sha256"],
        classes=config["classes"],
        forgotten=config["forgotten"],
        masked=config["masked"],
        test=config["accuracy"]["now"],
    )


def _refuse(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder to export to.")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise UsageError(f"{folder} is not empty: give another folder, or --force to replace the export in it.")


def _place(temporary: Path, folder: Path) -> None:
    """Give a finished folder its name; where there is one with something in it, file by file, the config first away and
    last there."""
    if not folder.exists() or not any(folder.iterdir()):
        os.replace(temporary, folder)  # of an empty folder too
        return
    (folder / CONFIG).unlink(missing_ok=True)
    for name in (TENSORS, LABELS, CARD, CONFIG):
        os.replace(temporary / name, folder / name)


def measured(model: Model, workspace: Workspace) -> list[float | None] | None:
    """Test accuracy of every class as the model is now, on the stored test set; None where that is not there, or a
    class was purged."""
    for features in reversed(workspace.all("embed")):
        if features.fingerprint == model.about.identity.get("embed"):
            there = present(features, "test")
            predicted = model(arrays.read(features, "test/features")[there]).argmax(1)
            return accuracies(*per_class(predicted, labels(features, "test")[there], len(model.classes)))
    return None


def _write(model: Model, folder: Path, now: list[float | None] | None) -> dict[str, Any]:
    about, allowed = model.about, model.allowed
    tensors = {
        "projection": model.projection,
        "keys": np.where(allowed[:, :, None], model.keys, np.float32(0)),
        "values": np.where(allowed[:, :, None], model.values, np.float32(0)),
        "centre": model.centre,
        "allowed": allowed,
        "unused": model.unused & ~model.mask,
    }
    save_file(tensors, folder / TENSORS, metadata={"format": "pt"})
    codebooks, pairs, classes = model.values.shape
    encoding = about.encoding
    config: dict[str, Any] = {
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
        "encoder": _portable(encoding.settings),
        "mode": encoding.mode if encoding.settings else None,
        "weights_sha256": encoding.weights_sha256,
        "transform": _transform(encoding),
        "classes": about.classes,
        "forgotten": about.forgotten,
        "excluded": about.excluded,
        "masked": int(model.mask.sum()),
        "unused": int(tensors["unused"].sum()),
        "data": about.name,
        "seed": about.seed,
        "accuracy": {**about.accuracy, "now": now},
        "identity": about.identity,
        "sha256": sha256(folder / TENSORS),
    }
    write_text(folder / CARD, card(config))
    write_json(folder / LABELS, {str(number): name for number, name in enumerate(about.classes)})
    write_json(folder / CONFIG, config)
    with open(folder / TENSORS, "rb+") as file:
        os.fsync(file.fileno())
    return config


def _portable(settings: Encoder | None) -> dict[str, Any] | None:
    """Encoder settings without the place of a weights file on this machine: its bare name."""
    if settings is None:
        return None
    weights = settings.weights
    bare = Path(weights).name if weights and Path(weights).suffix in WEIGHTS_FILES else weights
    return settings.model_dump() | {"weights": bare}


def _transform(encoding: Encoding) -> str | None:
    """What is done to an image before it is encoded; None where there is no encoder, or its weights cannot be had
    here."""
    if encoding.settings is None:
        return None
    if encoding.settings.name == "pixels":
        return PIXELS
    try:
        return repr(getattr(encoding.encoder, "transform", None))
    except DkvbError as error:
        progress.note(f"export: the encoder's transform is left out of {CONFIG}: {error}")
        return None
