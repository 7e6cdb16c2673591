"""Classes of new samples: image files, folders of images, or features in .npz files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dkvb.encoders.recorded import Encoding
from dkvb.errors import DkvbError, UsageError
from dkvb.inference.classifier import Classifier
from dkvb.records.use import ClassProbability, Prediction, Predictions, UnreadableInput
from dkvb.runtime import progress
from dkvb.sources.checks import rows_not_finite
from dkvb.sources.npz import UnreadableFeatures, read_npz
from dkvb.sources.numbers import new_features
from dkvb.sources.remarks import Remarks, in_words
from dkvb.sources.walk import list_images
from dkvb.workspace.files import write_text

FEATURES = ".npz"


@dataclass
class Inputs:
    """What is to be predicted, in the order in which it was named."""

    names: list[str] = field(default_factory=list)
    features: list[tuple[int, np.ndarray]] = field(default_factory=list)
    """First place among the names, (N, D)."""
    images: list[tuple[int, Path]] = field(default_factory=list)
    """Place among the names, file."""
    unreadable: list[UnreadableInput] = field(default_factory=list)


def run(model: Classifier, paths: Sequence[Path], top: int = 1) -> Predictions:
    """Predict everything that can be read.

    Args:
        top: classes listed for each input, most probable first.

    Raises:
        UsageError: a path that does not exist, a folder without images, images for a model without an encoder.
        DkvbError: features of another width than the model's.
    """
    if top < 1:
        raise UsageError(f"--top {top}: give 1 or more.")
    inputs = gather(paths, model.width, model.about.encoding)
    if inputs.images and model.encoder is None:
        raise UsageError(
            f"{inputs.images[0][1]} is an image, and this model was trained on ready-made features without an encoder:"
            f" give .npz files with x (N, {model.width})."
        )
    entries: list[Prediction | None] = [None] * len(inputs.names)
    for start, x in inputs.features:
        _enter(model, x, {place: inputs.names[place] for place in range(start, start + len(x))}, top, entries)
    if inputs.images:
        x, places = _images(model, inputs)
        _enter(model, x, {place: inputs.names[place] for place in places}, top, entries)
    return Predictions(predict=[entry for entry in entries if entry is not None], unreadable=inputs.unreadable)


def mostly_masked(entries: Sequence[Prediction]) -> int | None:
    """Inputs of whose nearest pairs the mask took away more than half; None where that is not known."""
    shares = [entry.masked_nearest for entry in entries if entry.masked_nearest is not None]
    return sum(share > 0.5 for share in shares) if len(shares) == len(entries) else None


def gather(paths: Sequence[Path], width: int, encoding: Encoding) -> Inputs:
    """Find images and read features.

    Raises:
        UsageError: a path that does not exist, or a folder without images.
        DkvbError: features of another width.
    """
    inputs = Inputs()
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path} does not exist: give images, folders of images, or .npz files with x (N, D).")
        if path.is_dir():
            remarks = Remarks()
            files = list_images(path, remarks)
            for text in in_words(remarks.passed_over):
                progress.note(f"predict: {text}")
            if not files:
                raise UsageError(f"There are no images in {path}: give a folder of images, or .npz files by name.")
            _add_images(inputs, files)
        elif path.suffix.lower() == FEATURES:
            _add_features(inputs, path, width, encoding)
        else:
            _add_images(inputs, [path])
    return inputs


def _add_images(inputs: Inputs, files: Sequence[Path]) -> None:
    inputs.images += [(len(inputs.names) + i, file) for i, file in enumerate(files)]
    inputs.names += [str(file) for file in files]


def _add_features(inputs: Inputs, path: Path, width: int, encoding: Encoding) -> None:
    try:
        x = read_npz(path)["x"]
    except UnreadableFeatures as error:
        inputs.unreadable.append(UnreadableInput(input=str(path), error=error.reason))
        return
    if x.shape[1] != width:
        raise DkvbError(
            f"{path} has features of width {x.shape[1]}, the model was trained on {width}: use the same encoder."
        )
    try:
        x = new_features(x, path, encoding.scale, encoding.offset)
    except DkvbError as error:
        inputs.unreadable.append(UnreadableInput(input=str(path), error=str(error).removeprefix(f"{path}: ")))
        return
    if len(bad := rows_not_finite(x)):
        reason = f"NaN or infinite features in {len(bad)} rows, the first {bad[0]}"
        inputs.unreadable.append(UnreadableInput(input=str(path), error=reason))
        return
    inputs.features.append((len(inputs.names), x))
    inputs.names += [f"{path}[{row}]" for row in range(len(x))]


def _images(model: Classifier, inputs: Inputs) -> tuple[np.ndarray, list[int]]:
    """Features (B, D) of the images that can be read, and the places of these."""
    places = [place for place, _ in inputs.images]
    with progress.task("predict", len(places), "images") as task:
        features, kept, bad = model.about.encoding.of_files([file for _, file in inputs.images], task.advance)
    inputs.unreadable += [
        UnreadableInput(input=inputs.names[places[row]], error=message) for row, message in bad.items()
    ]
    return features, [places[row] for row in kept]


def _enter(
    model: Classifier,
    features: np.ndarray,
    names: dict[int, str],
    top: int,
    entries: list[Prediction | None],
) -> None:
    """Predict features (B, D), and put an entry into each of their places."""
    if not names:
        return
    masked = model.masked_nearest(features)
    shares = [None] * len(names) if masked is None else masked.tolist()
    for (place, name), logits, share in zip(names.items(), model(features), shares, strict=True):
        listed = _listed(logits, model.classes, top)
        entries[place] = Prediction(input=name, **dict(listed[0]), top=listed, masked_nearest=share)


def _listed(logits: np.ndarray, classes: Sequence[str], top: int) -> list[ClassProbability]:
    """The classes that may be the answer, the most probable first."""
    shares = np.exp(logits.astype(np.float64) - logits.max())
    probabilities = shares / shares.sum()
    # of equals the lowest id, as argmax has it
    best = np.argsort(-logits, kind="stable")[: min(top, np.isfinite(logits).sum())].tolist()
    return [ClassProbability(class_name=classes[c], id=c, probability=float(probabilities[c])) for c in best]


def as_csv(entries: Sequence[Prediction]) -> str:
    """A header and a line an input: `input,class,id,probability`, the same for the 2nd, 3rd, … most probable class, and
    `masked_nearest`, empty where it is not known."""
    ranks = max((len(entry.top) for entry in entries), default=1)
    columns = [
        f"{name}{'' if rank == 1 else f'_{rank}'}"
        for rank in range(1, ranks + 1)
        for name in ("class", "id", "probability")
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["input", *columns, "masked_nearest"])
    for entry in entries:
        listed = (cell for at in entry.top for cell in (at.class_name, at.id, at.probability))
        writer.writerow([entry.input, *listed, entry.masked_nearest])
    return text.getvalue()


def write_csv(entries: Sequence[Prediction], path: Path) -> None:
    """`as_csv` into a file, all of it or nothing."""
    if path.is_dir():
        raise UsageError(f"--csv {path} is a folder: give a file, or - for standard output.")
    write_text(path.absolute(), as_csv(entries))
