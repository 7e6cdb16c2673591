"""What `model.onnx` says of itself, in its metadata: written, sealed by a hash over every byte of the file, and read
again.

An entry of the metadata is a field of `OnnxConfig`: texts as they are, all else as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from dkvb.errors import DamagedArtifact, SettingsClash, UsageError
from dkvb.inference.export_files import LABELS, ONNX, ONNX_DATA, labels_of
from dkvb.inference.export_said import Count, Hash, Said, Size
from dkvb.inference.onnx_graph import library
from dkvb.records.base import Record
from dkvb.version import __version__
from dkvb.workspace.files import named, sha256

if TYPE_CHECKING:
    import onnx

FORMAT = 1
UNSEALED = "?" * 64
"""Stands for the seal while the file is hashed."""

# texts that are None have no entry
TEXTS = ("kind", "dkvb", "model", "data", "mode", "weights_sha256", "transform", "pool", "data_sha256", "seal")
LARGEST = 3 * 2**29
"""Bytes of tensors that are kept in the file itself, whose format ends at 2 GiB."""


class OnnxShapes(Record):
    """Sizes; of a linear head the first two alone."""

    width: Size
    classes: Size
    codebooks: Size | None = None
    pairs: Size | None = None
    dim: Size | None = None


class OnnxConfig(Said):
    """All of the metadata."""

    kind: Literal["dkvb-onnx"]
    model: Literal["bottleneck", "linear"]
    shapes: OnnxShapes
    top_k: Size | None = None
    pool: Literal["mean", "sum"] | None = None
    masked: Count
    unused: Count
    format: Annotated[int, Field(ge=1, strict=True)]
    data_sha256: Hash | None = None
    """Of the file beside it that has the tensors; None where they are in this one."""
    seal: Hash

    @model_validator(mode="after")
    def _fits_together(self) -> OnnxConfig:
        if wrong := next(self.odd(self.shapes.classes), None):
            raise ValueError(wrong)
        return self


def write(proto: onnx.ModelProto, config: dict[str, Any], folder: Path, size: int) -> OnnxConfig:
    """Write a model of `size` bytes of tensors with its metadata to a folder."""
    onnx, data_sha256 = library(), None
    if size > LARGEST:
        with named(folder / ONNX_DATA):
            # the first of two writes: this one puts the tensors aside, with names and places of them in the model
            onnx.save_model(proto, str(folder / ONNX), save_as_external_data=True, location=ONNX_DATA)
        proto, data_sha256 = onnx.load_model(str(folder / ONNX), load_external_data=False), sha256(folder / ONNX_DATA)
    said = {**config, "data_sha256": data_sha256, "seal": UNSEALED}
    library("onnx.helper").set_model_props(
        proto, {name: _text(v) for name, v in said.items() if v is not None or name not in TEXTS}
    )
    content = proto.SerializeToString()
    assert content.count(UNSEALED.encode()) == 1, "the seal has one place"
    seal = hashlib.sha256(content).hexdigest()
    with named(folder / ONNX), open(folder / ONNX, "wb") as file:
        file.write(content.replace(UNSEALED.encode(), seal.encode()))
        os.fsync(file.fileno())
    return OnnxConfig.model_validate({**said, "seal": seal})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def read(file: Path) -> OnnxConfig:
    """What an ONNX file that `dkvb export` wrote says of itself, which is as it was written.

    Raises:
        UsageError: onnx is not installed, or `dkvb export` did not write the file.
        SettingsClash: a newer dkvb wrote it.
        DamagedArtifact: it, or the file of its tensors, is missing or has been altered.
    """
    onnx = library()
    mend = "copy it again from where it came, or export again."
    try:
        content = file.read_bytes()
        said = {one.key: one.value for one in onnx.load_model_from_string(content).metadata_props}
    except FileNotFoundError:
        raise DamagedArtifact(f"{file} is missing: {mend}") from None
    except Exception as error:  # protobuf's errors have no tree that can be named without it
        raise DamagedArtifact(f"{file} is damaged ({type(error).__name__}: no ONNX model): {mend}") from None
    if said.get("kind") != "dkvb-onnx":
        raise UsageError(f"{file} was not written by `dkvb export --format onnx`.")
    if said.get("format", "").isdigit() and int(said["format"]) > FORMAT:
        raise SettingsClash(
            f"{file} has format {said['format']}, this dkvb ({__version__}) reads up to {FORMAT}: upgrade dkvb."
        )
    seal = said.get("seal", "")
    if hashlib.sha256(content.replace(seal.encode() or b"-", UNSEALED.encode())).hexdigest() != seal:
        raise DamagedArtifact(f"{file} has changed since it was written: {mend}")
    try:
        known = {name: text if name in TEXTS else json.loads(text) for name, text in said.items()}
        config = OnnxConfig.model_validate({**dict.fromkeys(TEXTS), **known})
    except (ValueError, ValidationError) as error:
        raise DamagedArtifact(f"{file} is damaged (its metadata: {error}): {mend}") from None
    data = file.with_name(ONNX_DATA)
    if config.data_sha256 and not (data.is_file() and sha256(data) == config.data_sha256):
        raise DamagedArtifact(f"{data} is missing, or has changed since it was written: {mend}")
    return config


def labels_fit(file: Path, config: OnnxConfig) -> bool:
    """Whether the labels that lie beside an ONNX file are its own; True where there are none."""
    try:
        text = file.with_name(LABELS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return True
    try:
        return bool(json.loads(text) == labels_of(config.classes))
    except ValueError:
        return False
