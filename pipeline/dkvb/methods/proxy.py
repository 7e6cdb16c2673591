"""A proxy set: samples that stand in for a forget set whose own data are gone (paper, section 4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dkvb.encoders.recorded import Encoding
from dkvb.errors import DkvbError, UsageError, some
from dkvb.records.embed import EmbedResult
from dkvb.runtime import progress
from dkvb.sources.checks import rows_not_finite
from dkvb.sources.labels import read_labels
from dkvb.sources.npz import read_npz
from dkvb.sources.numbers import new_features
from dkvb.sources.remarks import Remarks, in_words
from dkvb.sources.walk import list_images
from dkvb.workspace.files import canonical_hash, sha256
from dkvb.workspace.finished import Artifact
from dkvb.workspace.settings import EmbedSettings


def proxy_fingerprint(path: str | None) -> str:
    """A hash of what the proxy set holds.

    Raises:
        UsageError: no path is given or nothing is there.
    """
    if path is None:
        raise UsageError(
            "counts = 'proxy' needs the proxy set: give --proxy PATH, a .npz with x (N, D) or a folder of images."
        )
    if not Path(path).exists():
        raise UsageError(
            f"The proxy set {path} does not exist: give --proxy the path of a .npz file or a folder of images."
        )
    if Path(path).is_file():
        return sha256(Path(path))
    files = sorted(file for file in Path(path).rglob("*") if file.is_file())
    return canonical_hash(
        [[file.relative_to(path).as_posix(), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    )


def proxy_features(path: Path, features: Artifact, forget: list[int], device: str) -> np.ndarray:
    """Features (N, D) float32 of a proxy set: rows of a .npz (of the forget classes, where it has y), or images through
    the encoder that the model was trained with.

    Args:
        device: where the encoder runs, "auto", "cpu" or "cuda".

    Raises:
        UsageError: images, and the model was trained without an encoder.
        UnreadableFeatures: a .npz that cannot be read.
        DkvbError: images that cannot be read, no samples, another width, features that are not finite, or weights that
            are not those that the model was trained with.
    """
    x = _rows(path, forget, features) if path.is_file() else _encoded(path, Encoding.of(features, device))
    width = features.result_as(EmbedResult).dim
    if len(x) == 0:
        raise DkvbError(f"The proxy set {path} has no samples of the forget classes; it needs 1 or more.")
    if x.shape[1] != width:
        raise DkvbError(
            f"The proxy set {path} has features of width {x.shape[1]}, the model was trained on {width}: use the"
            " same encoder."
        )
    if len(bad := rows_not_finite(x)):
        raise DkvbError(f"The proxy set {path} holds NaN or infinite features (row {some(bad)}); remove those rows.")
    return x


def _rows(path: Path, forget: list[int], features: Artifact) -> np.ndarray:
    """Rows of a .npz, scaled and labelled as the data set was."""
    arrays, data = read_npz(path, may_have=("y",)), features.settings_as(EmbedSettings).data
    x = arrays["x"]
    if "y" in arrays:
        remarks = Remarks()
        y, names = read_labels(arrays["y"], path, "from-0" if arrays["y"].dtype.kind in "USO" else data.labels, remarks)
        classes = features.result_as(EmbedResult).classes
        wanted = [names.index(classes[c]) for c in forget if classes[c] in names] if names else forget
        x = x[np.isin(y, wanted)]
        for said in remarks.notes:
            progress.note(f"proxy: {said}")
    return new_features(x, path, data.scale, data.offset)


def _encoded(path: Path, encoding: Encoding) -> np.ndarray:
    if encoding.settings is None:
        raise UsageError(
            f"{path} is a folder of images, and the model was trained on features without an encoder: give a .npz with"
            " x (N, D)."
        )
    remarks = Remarks()
    files = list_images(path, remarks)
    for text in in_words(remarks.passed_over):
        progress.note(f"proxy set: {text}")
    with progress.task("encode the proxy set", len(files), "images") as task:
        encoded, _, bad = encoding.of_files(files, task.advance)
    if bad:
        raise DkvbError(f"The proxy set holds images that cannot be read: {some(bad.values())}. Mend or remove them.")
    return encoded
