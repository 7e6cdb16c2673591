"""The model of a folder that `dkvb export` wrote."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.numpy import load_file

from dkvb.encoders.recorded import Encoding
from dkvb.errors import DamagedArtifact, SettingsClash, UsageError
from dkvb.inference.bottleneck_model import Model, Weights
from dkvb.inference.classifier import About
from dkvb.inference.export import CONFIG, FORMAT, TENSORS
from dkvb.recipe import Encoder
from dkvb.records.use import LeftOut
from dkvb.version import __version__
from dkvb.workspace.files import sha256


def read_export(folder: Path, device: str = "cpu", keep_labels: bool = False) -> Model:
    """The model of a folder that `dkvb.inference.export.run` wrote.

    Raises:
        UsageError: labels are to be kept, and the export has left some out.
        DamagedArtifact: a file is missing or has been altered.
        SettingsClash: a newer dkvb wrote it.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if not isinstance(config, dict) or config.get("kind") != "dkvb":
            raise UsageError(f"{folder / CONFIG} was not written by `dkvb export`.")
        if int(config["format"]) > FORMAT:
            raise SettingsClash(
                f"{folder} has format {config['format']}, this dkvb ({__version__}) reads up to {FORMAT}: upgrade dkvb."
            )
        if sha256(folder / TENSORS) != config["sha256"]:
            raise ValueError("it has changed since it was written")
        tensors = load_file(folder / TENSORS)
        about = About(
            classes=list(config["classes"]),
            seed=int(config["seed"]),
            encoding=Encoding(
                Encoder(**config["encoder"]) if config["encoder"] else None,
                config["mode"] or "RGB",
                config["weights_sha256"],
                folder,
                device,
                exif_rotate=bool(config.get("exif_rotate", False)),
                **config.get("integers", {}),
            ),
            name=config["data"],
            forgotten=list(config["forgotten"]),
            excluded=list(config["excluded"]),
            # format 1 has a logit of every class, and did not say whether forgotten ones may be answers
            keep_labels=keep_labels or config.get("keep_labels", False),
            ids=list(config.get("ids", ())),
            left_out=[LeftOut.model_validate(one) for one in config.get("left_out", ())],
            accuracy={
                name: config["accuracy"][name] for name in ("test", "per_class_test") if name in config["accuracy"]
            },
            identity=dict(config["identity"]),
        )
        if keep_labels and about.left_out:
            names = ", ".join(one.name for one in about.left_out)
            raise UsageError(
                f"{folder} has no logits of {names}, so that their labels cannot be kept: export again from the"
                " workspace, with `dkvb export --keep-labels`."
            )
        weights = Weights(
            tensors["projection"], tensors["keys"], tensors["values"], tensors["unused"], tensors["centre"]
        )
        mask = ~tensors["allowed"] & ~tensors["unused"]
        return Model(about, weights, mask, int(config["top_k"]), config["pool"])
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
        raise DamagedArtifact(
            f"The export in {folder} is damaged ({error}): run `dkvb export {folder} --force` again."
        ) from None
