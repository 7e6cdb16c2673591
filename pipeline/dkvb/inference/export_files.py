"""The files of an export, and whether they are those that were written together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dkvb.errors import DamagedArtifact, SettingsClash, UsageError
from dkvb.inference import export_tensors
from dkvb.inference.export_config import FORMAT, ExportConfig, said_of_the_model, seal_of
from dkvb.version import __version__
from dkvb.workspace.files import sha256
from dkvb.workspace.hashes import differences

CONFIG, TENSORS, LABELS, CARD = "config.json", "model.safetensors", "labels.json", "README.md"
FILES = (TENSORS, LABELS, CARD, CONFIG)
"""In the order in which they are put in place."""

ONNX, ONNX_DATA = "model.onnx", "model.onnx.data"
ONNX_FILES = (ONNX_DATA, LABELS, CARD, ONNX)
"""Of an export for ONNX, in the order in which they are put in place; the data are a file of their own where they are
too large for the model's."""

EVERY = (*FILES, ONNX, ONNX_DATA)
MARKS = (CONFIG, ONNX)
"""Files without which a folder is no export."""

LARGEST = 2**26
"""Bytes of a config or of labels that are read at all; those of 20,000 classes take 4 MB."""


def labels_of(classes: Sequence[str]) -> dict[str, str]:
    """What `labels.json` holds: place of a logit -> name."""
    return {str(place): name for place, name in enumerate(classes)}


def mend(folder: Path) -> str:
    """What to do about an export that is damaged."""
    return f"copy it again from where it came, or run `dkvb export {folder} --force` again."


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Raise what cannot be in an export as damage of it.

    Raises:
        DamagedArtifact: names the folder, what is wrong, and what mends it.
    """
    try:
        yield
    except FileNotFoundError as error:
        name = Path(error.filename or TENSORS).name
        raise DamagedArtifact(
            f"The export in {folder} is damaged or was not finished ({name} is missing): {mend(folder)}"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = f"{where}: {first['msg']}" if where else first["msg"].removeprefix("Value error, ")
        raise DamagedArtifact(f"The export in {folder} is damaged ({CONFIG}, {what}): {mend(folder)}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedArtifact(f"The export in {folder} is damaged ({error}): {mend(folder)}") from None


def read_config(folder: Path) -> tuple[ExportConfig, dict[str, Any]]:
    """The config of an export, checked by itself; and as it stands in the file, over which its hashes are taken.

    Raises:
        UsageError: `dkvb export` did not write it.
        SettingsClash: a newer dkvb wrote it.
        DamagedArtifact: it is missing or has been altered, or says what cannot be.
    """
    with naming(folder):
        raw = _json(folder / CONFIG)
        if not isinstance(raw, dict) or raw.get("kind") != "dkvb":
            raise UsageError(f"{folder / CONFIG} was not written by `dkvb export`.")
        if isinstance(raw.get("format"), int) and raw["format"] > FORMAT:
            raise SettingsClash(
                f"{folder} has format {raw['format']}, this dkvb ({__version__}) reads up to {FORMAT}: upgrade dkvb."
            )
        config = ExportConfig.model_validate(raw)
        if config.hashed and config.seal != seal_of(raw):
            raise ValueError(f"{CONFIG} has changed since it was written")
        return config, raw


def check(folder: Path, config: ExportConfig, raw: dict[str, Any]) -> None:
    """Compare the other files with the config; the model card is left to `card_changed`, since it is for people alone.

    Raises:
        DamagedArtifact: a file is missing, has been altered, or is another export's.
    """
    for problem in _problems(folder, config, raw):
        raise DamagedArtifact(f"The export in {folder} is damaged ({problem}): {mend(folder)}")


def _problems(folder: Path, config: ExportConfig, raw: dict[str, Any]) -> Iterator[str]:
    with naming(folder):
        if config.hashed:
            listed = {name: file.model_dump() for name, file in (config.files or {}).items() if name != CARD}
            for what in differences(folder, listed, afresh=True).values():
                yield what if what.endswith("missing") else f"{what}, or it is of another export than {CONFIG}"
            if missing := {TENSORS, LABELS} - set(listed):
                yield f"{CONFIG} has no hash of {min(missing)}"
        if sha256(folder / TENSORS) != config.sha256:
            yield f"the content of {TENSORS} has changed since it was written, or it is of another export than {CONFIG}"
        bound = export_tensors.read_header(folder / TENSORS, config, mend(folder))
        if config.hashed and bound != said_of_the_model(raw):
            yield f"{CONFIG} and {TENSORS} are not of the same export"
        if (folder / LABELS).is_file() and _json(folder / LABELS) != labels_of(config.classes):
            yield f"{LABELS} has other names than {CONFIG}, or another order"


def card_changed(folder: Path, config: ExportConfig) -> bool:
    """Whether the model card is not the one that was written with the model; False where that is not known."""
    listed = {name: file.model_dump() for name, file in (config.files or {}).items() if name == CARD}
    return bool(differences(folder, listed, afresh=True))


def _json(file: Path) -> Any:
    if (size := file.stat().st_size) > LARGEST:
        raise ValueError(f"{file.name} has {size:,} bytes")
    return json.loads(file.read_text(encoding="utf-8"))
