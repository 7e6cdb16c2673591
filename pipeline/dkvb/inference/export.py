"""A trained bottleneck as a folder of its own, from which masked pairs cannot be had back.

Holds `model.safetensors`, `config.json` (shapes, encoder, classes, what was forgotten, and what binds the files to each
other, see `export_config`), `labels.json` and a model card, `README.md`. Keys and values of pairs that may not be
selected are zeros, and a forgotten class has no column among the values and no name among the classes, unless the model
keeps its labels. `dkvb.load(folder)` computes the same bits as the model exported.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from dkvb.encoders.recorded import Encoding
from dkvb.errors import DkvbError, UsageError
from dkvb.inference import export_tensors
from dkvb.inference.bottleneck_model import Model
from dkvb.inference.export_config import BINDING, FORMAT, ExportConfig, said_of_the_model, seal_of
from dkvb.inference.export_files import CARD, CONFIG, FILES, LABELS, TENSORS, labels_of
from dkvb.inference.model_card import card
from dkvb.metrics.accuracy import accuracies, per_class
from dkvb.recipe import WEIGHTS_FILES, Encoder
from dkvb.records.use import ExportResult, LeftOut
from dkvb.runtime import progress
from dkvb.version import __version__
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import reading
from dkvb.workspace.files import TEMPORARY, canonical_hash, like_others, named, sha256, write_json, write_text
from dkvb.workspace.rows import labels, present

STAGING = f"{TEMPORARY}export"
"""Where an export into a folder that is there already is made: below it. It goes last, and so marks an export that was
cut short."""


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
        refuse(folder, force)
        config = write(model, folder, measured(model, workspace))
    return ExportResult(
        path=str(folder),
        files=sorted(FILES),
        bytes=sum((folder / name).stat().st_size for name in FILES),
        sha256=config.sha256,
        classes=config.classes,
        ids=config.ids,
        left_out=config.left_out,
        forgotten=config.forgotten,
        masked=config.masked,
        test=config.accuracy.now,
        ledger=config.ledger,
    )


def write(model: Model, folder: Path, now: Measured | None, head: str = "") -> ExportConfig:
    """Write a model to a folder that `refuse` lets pass, all of it or nothing; what `config.json` holds.

    Args:
        now: its accuracies, where there are samples to measure them on.
        head: stands before the text of the model card.
    """
    beside = folder.with_name(f"{STAGING}-{folder.name}")
    temporary = folder / STAGING if folder.exists() else beside
    for left in (beside, folder / STAGING):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        config = _write(model, temporary, now, head)
        _place(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return config


def refuse(folder: Path, force: bool) -> None:
    """Raise UsageError for a folder that is a file, or that holds anything but an export cut short, unless `force`."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a folder to export to.")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    cut_short = STAGING in there and there <= {STAGING, *FILES}
    if there and not cut_short and not force:
        raise UsageError(f"{folder} is not empty: give another folder, or --force to replace the export in it.")


def _place(temporary: Path, folder: Path) -> None:
    """Give a finished folder its name; where there is one, file by file, the config first away and last there."""
    if temporary.parent != folder:
        os.replace(temporary, folder)
        return
    (folder / CONFIG).unlink(missing_ok=True)
    for name in FILES:
        os.replace(temporary / name, folder / name)


@dataclass(frozen=True)
class Measured:
    """Test accuracy of every class of the data set, by its id, as the model is now; None where it has no samples, as
    after a purge."""

    answers: list[float | None]
    mask_alone: list[float | None]
    """The same, with the labels of forgotten classes among the answers."""


def measured(model: Model, workspace: Workspace) -> Measured | None:
    """On the stored test set; None where that is not there."""
    with reading(workspace):
        return _measured(model, workspace)


def _measured(model: Model, workspace: Workspace) -> Measured | None:
    for features in reversed(workspace.all("embed")):
        if features.fingerprint == model.about.identity.get("embed"):
            there = present(features, "test")
            return measured_on(model, arrays.read(features, "test/features")[there], labels(features, "test")[there])
    return None


def measured_on(model: Model, features: np.ndarray, of: np.ndarray) -> Measured:
    """On features (N, D) of samples of known classes (N,), by the data set's ids."""
    alone = model.mask_alone(features)
    logits = alone.copy()
    logits[:, model.about.no_answer] = -np.inf
    ids = np.array(model.about.ids)
    classes = len(ids) + len(model.about.left_out)
    answers, mask_alone = (accuracies(*per_class(ids[each.argmax(1)], of, classes)) for each in (logits, alone))
    return Measured(answers, mask_alone)


def _write(model: Model, folder: Path, now: Measured | None, head: str) -> ExportConfig:
    about = model.about
    forgotten = () if about.keep_labels else about.forgotten
    kept = [place for place, c in enumerate(about.ids) if c not in forgotten]
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
    about, encoding = model.about, model.about.encoding
    codebooks, pairs, classes = tensors["values"].shape
    ids = [about.ids[place] for place in kept]
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
        "encoder": _portable(encoding.settings),
        "mode": encoding.mode if encoding.settings else None,
        # said only where it is so: other exports are the same as before there was a choice
        **({"exif_rotate": True} if encoding.exif_rotate else {}),
        **({"integers": {"scale": encoding.scale, "offset": encoding.offset}} if encoding.scale is not None else {}),
        "weights_sha256": encoding.weights_sha256,
        "transform": _transform(encoding),
        "classes": [about.classes[place] for place in kept],
        "ids": ids,
        "forgotten": about.forgotten,
        "left_out": [one.model_dump() for one in _left_out(model, kept, now)],
        "keep_labels": about.keep_labels,
        "excluded": [at for at, place in enumerate(kept) if place in about.excluded],
        "masked": int(model.mask.sum()),
        "unused": int(tensors["unused"].sum()),
        "data": about.name,
        "seed": about.seed,
        "accuracy": _accuracy(about.accuracy, kept) | {"now": [now.answers[c] for c in ids] if now else None},
        "identity": about.identity,
        "ledger": about.ledger.model_dump() if about.ledger else None,
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


def _accuracy(trained: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    """Test accuracy as trained; of some places of the logits."""
    per_class = trained.get("per_class_test")
    return trained if per_class is None else {**trained, "per_class_test": [per_class[place] for place in kept]}


def _left_out(model: Model, kept: list[int], now: Measured | None) -> list[LeftOut]:
    """The classes of which the export has no logit, by id, those among them that the model itself has none of."""
    about, trained = model.about, model.about.accuracy.get("per_class_test")
    out = [
        LeftOut(
            id=c,
            name=about.classes[place],
            trained=trained[place] if trained else None,
            mask_alone=now.mask_alone[c] if now else None,
        )
        for place, c in enumerate(about.ids)
        if place not in kept
    ]
    return sorted([*about.left_out, *out], key=lambda one: one.id)


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
