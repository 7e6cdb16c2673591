"""The model of a folder that `dkvb export` wrote."""

from __future__ import annotations

from pathlib import Path

from dkvb.encoders.recorded import Encoding
from dkvb.errors import UsageError
from dkvb.inference import export_files, export_tensors
from dkvb.inference.bottleneck_model import Model, Weights
from dkvb.inference.classifier import About
from dkvb.inference.export_config import ExportConfig
from dkvb.inference.export_files import CARD, TENSORS
from dkvb.runtime import progress


def read_export(folder: Path, device: str = "cpu", keep_labels: bool = False) -> Model:
    """The model of a folder that `dkvb.inference.export.run` wrote.

    Raises:
        UsageError: labels are to be kept, and the export has left some out.
        DamagedArtifact: a file is missing, has been altered, is another export's, or holds what no model does.
        SettingsClash: a newer dkvb wrote it.
    """
    config, raw = export_files.read_config(folder)
    export_files.check(folder, config, raw)
    if not config.hashed:
        progress.note(
            f"{folder}: written by dkvb {config.dkvb}, before hashes of all files were kept: whether its config and"
            " labels are as they were written is not checked."
        )
    elif export_files.card_changed(folder, config):
        progress.note(f"{folder}: {CARD} is not the model card that was written with this model.")
    about = _about(config, folder, device, keep_labels)
    if keep_labels and about.left_out:
        names = ", ".join(one.name for one in about.left_out)
        raise UsageError(
            f"{folder} has no logits of {names}, so that their labels cannot be kept: export again from the"
            " workspace, with `dkvb export --keep-labels`."
        )
    with export_files.naming(folder):
        tensors = export_tensors.read(folder / TENSORS, config, export_files.mend(folder))
    weights = Weights(tensors["projection"], tensors["keys"], tensors["values"], tensors["unused"], tensors["centre"])
    return Model(about, weights, ~tensors["allowed"] & ~tensors["unused"], config.top_k, config.pool)


def _about(config: ExportConfig, folder: Path, device: str, keep_labels: bool) -> About:
    trained = config.accuracy.model_dump(include={"test", "per_class_test"}, exclude_unset=True)
    return About(
        classes=config.classes,
        seed=config.seed,
        encoding=Encoding(
            config.encoder,
            config.mode or "RGB",
            config.weights_sha256,
            folder,
            device,
            exif_rotate=config.exif_rotate,
            scale=config.integers.scale if config.integers else None,
            offset=config.integers.offset if config.integers else 0.0,
        ),
        name=config.data,
        forgotten=config.forgotten,
        excluded=config.excluded,
        # format 1 has a logit of every class, and did not say whether forgotten ones may be answers
        keep_labels=keep_labels or config.keep_labels,
        ids=config.ids,
        left_out=config.left_out,
        accuracy=trained,
        identity=config.identity,
        ledger=config.ledger,
    )
