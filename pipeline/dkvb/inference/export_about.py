"""What an export says of a classifier, in whichever format: its classes, its accuracies, its encoder, where it comes
from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dkvb.encoders.recorded import Encoding
from dkvb.errors import DkvbError
from dkvb.inference.classifier import Classifier
from dkvb.inference.export_files import CONFIG
from dkvb.metrics.accuracy import accuracies, per_class
from dkvb.recipe import WEIGHTS_FILES, Encoder
from dkvb.records.use import LeftOut
from dkvb.runtime import progress
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import reading
from dkvb.workspace.rows import labels, present

PIXELS = (
    "resize to encoder.size x encoder.size where it is given (bicubic), divide by 255, subtract the image's mean, "
    "divide by its deviation + 1e-6"
)


@dataclass(frozen=True)
class Measured:
    """Test accuracy of every class of the data set, by its id, as the model is now; None where it has no samples, as
    after a purge."""

    answers: list[float | None]
    mask_alone: list[float | None]
    """The same, with the labels of forgotten classes among the answers."""


def measured(model: Classifier, workspace: Workspace) -> Measured | None:
    """On the stored test set; None where that is not there."""
    with reading(workspace):
        return _measured(model, workspace)


def _measured(model: Classifier, workspace: Workspace) -> Measured | None:
    for features in reversed(workspace.all("embed")):
        if features.fingerprint == model.about.identity.get("embed"):
            there = present(features, "test")
            return measured_on(model, arrays.read(features, "test/features")[there], labels(features, "test")[there])
    return None


def measured_on(model: Classifier, features: np.ndarray, of: np.ndarray) -> Measured:
    """On features (N, D) of samples of known classes (N,), by the data set's ids."""
    alone = model.mask_alone(features)
    logits = alone.copy()
    logits[:, model.about.no_answer] = -np.inf
    ids = np.array(model.about.ids)
    classes = len(ids) + len(model.about.left_out)
    answers, mask_alone = (accuracies(*per_class(ids[each.argmax(1)], of, classes)) for each in (logits, alone))
    return Measured(answers, mask_alone)


def kept_places(model: Classifier) -> list[int]:
    """Places of the logits that an export has: of all classes but, unless labels are kept, forgotten ones."""
    about = model.about
    forgotten = () if about.keep_labels else about.forgotten
    return [place for place, c in enumerate(about.ids) if c not in forgotten]


def told(model: Classifier, kept: list[int], now: Measured | None) -> dict[str, Any]:
    """What is said of a model, of which some places of the logits are kept."""
    about, encoding = model.about, model.about.encoding
    ids = [about.ids[place] for place in kept]
    return {
        "encoder": portable(encoding.settings),
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
        "data": about.name,
        "seed": about.seed,
        "accuracy": _accuracy(about.accuracy, kept) | {"now": [now.answers[c] for c in ids] if now else None},
        "identity": about.identity,
        "ledger": about.ledger.model_dump() if about.ledger else None,
    }


def _accuracy(trained: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    """Test accuracy as trained; of some places of the logits."""
    per_class = trained.get("per_class_test")
    return trained if per_class is None else {**trained, "per_class_test": [per_class[place] for place in kept]}


def _left_out(model: Classifier, kept: list[int], now: Measured | None) -> list[LeftOut]:
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


def portable(settings: Encoder | None) -> dict[str, Any] | None:
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
