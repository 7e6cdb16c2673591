"""A trained classifier for any ONNX runtime: `model.onnx`, with labels and a model card beside it.

The file takes features, not images, and gives the logits of the model under its mask. It has no row for a forgotten
class and nothing of masked pairs; its metadata say what it is, what was forgotten, and where the ledger of requests
ended, so that `dkvb export --check` can tell a copy that has been overtaken.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dkvb.errors import DkvbError, UsageError
from dkvb.inference import onnx_file, onnx_graph
from dkvb.inference.bottleneck_model import Model
from dkvb.inference.classifier import Classifier, LinearModel
from dkvb.inference.export_about import Measured, kept_places, measured, told
from dkvb.inference.export_files import CARD, LABELS, ONNX, ONNX_FILES, labels_of
from dkvb.inference.export_folder import refuse, result, staged
from dkvb.inference.model_card import card
from dkvb.inference.onnx_file import FORMAT, OnnxConfig
from dkvb.records.use import ExportResult
from dkvb.version import __version__
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import canonical_hash, sha256, write_json, write_text


def run(
    model: Classifier, folder: Path, workspace: Workspace, force: bool = False, without_encoder: bool = False
) -> ExportResult:
    """Write a bottleneck or a linear head to a folder, all of it or nothing.

    Args:
        force: write into a folder that is not empty; other files there stay.
        without_encoder: of a model that takes images, write what comes after its encoder.

    Raises:
        UsageError: onnx is not installed, the folder is a file or not empty, or the model takes images and
            `without_encoder` was not asked for.
        DkvbError: the model holds numbers that are not finite.
    """
    onnx_graph.library()
    if model.encoder and not without_encoder:
        raise UsageError(
            f"This model takes images, through the encoder {model.encoder['name']}, which an ONNX file of dkvb cannot"
            f" hold: give --without-encoder for what comes after it, which takes features (B, {model.width})."
        )
    folder = folder.expanduser().absolute()
    with workspace.hold(f"export-{canonical_hash(str(folder))[:16]}", f"the export to {folder}"):
        refuse(folder, force)
        config = write(model, folder, measured(model, workspace))
    files = [name for name in ONNX_FILES if (folder / name).is_file()]
    return result(folder, files, sha256(folder / ONNX), config)


def write(model: Classifier, folder: Path, now: Measured | None) -> OnnxConfig:
    """Write a model to a folder that `refuse` lets pass, all of it or nothing; what its metadata say."""
    kept = kept_places(model)
    config = _config(model, kept, now)
    if isinstance(model, Model):
        graph = onnx_graph.bottleneck(model, kept, config["excluded"])
    else:
        assert isinstance(model, LinearModel)
        graph = onnx_graph.linear(model, kept, config["excluded"])
    names = ["projection", "keys", "values", "centre"] if isinstance(model, Model) else ["weight", "bias"]
    for name in names:
        if not np.isfinite(getattr(model, name)).all():
            raise DkvbError(f"The model cannot be exported: {name} holds NaN or infinite values. Train it again.")
    with staged(folder, ONNX_FILES) as temporary:
        written = onnx_file.write(graph.proto(model.width, len(kept)), config, temporary, graph.bytes)
        write_json(temporary / LABELS, labels_of(written.classes))
        write_text(temporary / CARD, card(config))
        return written


def _config(model: Classifier, kept: list[int], now: Measured | None) -> dict[str, Any]:
    """All of the metadata but the hashes."""
    sizes, lookup = {"width": model.width, "classes": len(kept)}, {}
    masked = unused = 0
    if isinstance(model, Model):
        codebooks, pairs, dim = model.keys.shape
        sizes |= {"codebooks": codebooks, "pairs": pairs, "dim": dim}
        lookup = {"top_k": model.top_k, "pool": model.pool}
        masked, unused = int(model.mask.sum()), int((model.unused & ~model.mask).sum())
    return {
        "kind": "dkvb-onnx",
        "format": FORMAT,
        "dkvb": __version__,
        "model": "bottleneck" if isinstance(model, Model) else "linear",
        "shapes": sizes,
        **lookup,
        **told(model, kept, now),
        "masked": masked,
        "unused": unused,
    }
