"""What `config.json` of an export holds, checked before anything of it is used.

Three things bind the files of an export to each other: `files` has the hash of every other file, `seal` is a hash over
`config.json` itself, and the metadata of `model.safetensors` hold a hash over what the config says of the model. So no
file can be changed, or taken from another export, unseen; who changes all of them together can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import model_validator

from dkvb.inference.export_said import Count, Hash, Said, Size
from dkvb.records.base import Record
from dkvb.workspace.files import canonical_hash

FORMAT = 3
"""1: of every class a logit, forgotten or not. 2: hash of the tensors alone."""

BINDING = "config_sha256"
"""Key in the metadata of the tensors."""

HASHES = ("sha256", "files", "seal")
"""Fields of the config that tell of other files or of itself."""


class Shapes(Record):
    """Sizes of the tensors."""

    codebooks: Size
    pairs: Size
    dim: Size
    width: Size
    classes: Size


class ExportedFile(Record):
    """A file of the export."""

    bytes: Count
    sha256: Hash


class ExportConfig(Said):
    """All of `config.json`. Fields of later versions are passed over."""

    kind: Literal["dkvb"]
    shapes: Shapes
    top_k: Size
    pool: Literal["mean", "sum"]
    centre: str = ""
    sha256: Hash
    files: dict[str, ExportedFile] | None = None
    seal: Hash | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> ExportConfig:
        if wrong := next(self._contradictions(), None):
            raise ValueError(wrong)
        return self

    def _contradictions(self) -> Iterator[str]:
        """What cannot be, in words."""
        shapes = self.shapes
        yield from self.odd(shapes.classes)
        if self.top_k > shapes.pairs:
            yield f"top_k is {self.top_k}, and a codebook has {shapes.pairs} pairs"
        if self.format > 1 and not self.keep_labels and {*self.forgotten} & {*self.known_ids}:
            yield "a forgotten class is among classes, and keep_labels is false"
        if self.masked + self.unused > shapes.codebooks * shapes.pairs:
            yield f"masked and unused are more than the {shapes.codebooks * shapes.pairs} pairs"
        if self.format > 2 and (self.files is None or self.seal is None):
            yield "files or seal is missing"

    @property
    def hashed(self) -> bool:
        """Whether it was written with the hashes of all files."""
        return self.format > 2


def said_of_the_model(config: Mapping[str, Any]) -> str:
    """Hash over what a config says of the model, which its tensors hold."""
    return canonical_hash({name: value for name, value in config.items() if name not in HASHES})


def seal_of(config: Mapping[str, Any]) -> str:
    """Hash over all of a config but its seal."""
    return canonical_hash({name: value for name, value in config.items() if name != "seal"})
