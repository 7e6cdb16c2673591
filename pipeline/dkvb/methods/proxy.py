"""A proxy set: samples that stand in for a forget set whose own data are gone (paper, section 4)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from dkvb.errors import DkvbError, UsageError
from dkvb.workspace.artifacts import Artifact
from dkvb.workspace.files import canonical_hash, sha256


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


def proxy_features(path: Path, features: Artifact, forget: list[int]) -> np.ndarray:
    """Features (N, D) float32 of a proxy set: rows of a .npz (of the forget classes, where it has y), or images through
    the encoder.

    Raises:
        DkvbError: no samples, another width, or features that are not finite.
    """
    found = _rows(path, forget) if path.is_file() else _encoded(path, features)
    width = int(features.result["dim"])
    if found.ndim != 2 or len(found) == 0:
        raise DkvbError(
            f"The proxy set {path} has no samples of the forget classes: x must be (N, D) with N of 1 or more, got"
            f" {found.shape}."
        )
    if found.shape[1] != width:
        raise DkvbError(
            f"The proxy set {path} has features of width {found.shape[1]}, the model was trained on {width}: use the"
            " same encoder."
        )
    if not np.isfinite(found).all():
        raise DkvbError(f"The proxy set {path} holds NaN or infinite features; remove those rows.")
    return np.ascontiguousarray(found, np.float32)


def _rows(path: Path, forget: list[int]) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as file:
            x = np.asarray(file["x"])
            return x[np.isin(file["y"], forget)] if "y" in file else x
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise DkvbError(f"The proxy set {path} is not a .npz file with an array x (N, D): {error}.") from None


def _encoded(path: Path, features: Artifact) -> np.ndarray:
    from dkvb.encoders.networks import load_encoder, stack
    from dkvb.recipe import Encoder
    from dkvb.sources.folder import list_images, read_image

    settings = features.settings["encoder"]
    if settings is None:
        raise UsageError(
            f"{path} is a folder of images, and the model was trained on features without an encoder: give a .npz with"
            " x (N, D)."
        )
    mode: Literal["RGB", "L"] = features.result["mode"]
    encoder = load_encoder(Encoder(**settings), "cpu", mode)
    files = list_images(path)
    size = int(settings["batch_size"])
    parts = []
    for start in range(0, len(files), size):
        batch = stack([encoder.preprocess(read_image(file, mode)) for file in files[start : start + size]])
        parts.append(encoder.encode(batch).numpy())
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
