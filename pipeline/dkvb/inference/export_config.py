"""What `config.json` of an export holds, checked before anything of it is used.

Three things bind the files of an export to each other: `files` has the hash of every other file, `seal` is a hash over
`config.json` itself, and the metadata of `model.safetensors` hold a hash over what the config says of the model. So no
file can be changed, or taken from another export, unseen; who changes all of them together can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from dkvb.recipe import Encoder
from dkvb.records.base import Record
from dkvb.records.use import LedgerMark, LeftOut
from dkvb.workspace.files import canonical_hash

FORMAT = 3
"""1: of every class a logit, forgotten or not. 2: hash of the tensors alone."""

BINDING = "config_sha256"
"""Key in the metadata of the tensors."""

HASHES = ("sha256", "files", "seal")
"""Fields of the config that tell of other files or of itself."""

Size = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Id = Annotated[int, Field(ge=0, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class Shapes(Record):
    """Sizes of the tensors."""

    codebooks: Size
    pairs: Size
    dim: Size
    width: Size
    classes: Size


class ExportAccuracy(Record):
    """Test accuracies of the model as trained, of each class, and of each class as exported."""

    model_config = ConfigDict(extra="ignore")

    test: Share | None = None
    per_class_test: list[Share | None] | None = None
    now: list[Share | None] | None = None


class ExportedFile(Record):
    """A file of the export."""

    bytes: Count
    sha256: Hash


class Integers(Record):
    """How features that are integers are taken: (x + offset) * scale."""

    scale: float
    offset: float


class ExportConfig(Record):
    """All of `config.json`. Fields of later versions are passed over."""

    model_config = ConfigDict(extra="ignore")

    kind: Literal["dkvb"]
    format: Annotated[int, Field(ge=1, strict=True)]
    dkvb: str
    shapes: Shapes
    top_k: Size
    pool: Literal["mean", "sum"]
    centre: str = ""
    encoder: Encoder | None
    mode: Literal["RGB", "L"] | None
    exif_rotate: Annotated[bool, Field(strict=True)] = False
    integers: Integers | None = None
    weights_sha256: str | None
    transform: str | None = None
    classes: list[Annotated[str, Field(strict=True)]]
    ids: list[Id] = Field(default_factory=list)
    forgotten: list[Id]
    left_out: list[LeftOut] = Field(default_factory=list)
    keep_labels: Annotated[bool, Field(strict=True)] = False
    excluded: list[Id]
    masked: Count
    unused: Count
    data: str
    seed: Annotated[int, Field(strict=True)]
    accuracy: ExportAccuracy
    identity: dict[str, str]
    ledger: LedgerMark | None = None
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
        shapes, names, ids = self.shapes, self.classes, self.known_ids
        out = [one.id for one in self.left_out]
        if len(names) != shapes.classes:
            yield f"classes has {len(names)} names, and shapes.classes is {shapes.classes}"
        if len(set(names)) < len(names):
            yield "a name stands twice in classes"
        if len(ids) != len(names) or len({*ids, *out}) < len(ids) + len(out):
            yield f"ids and left_out do not give each of {len(names)} classes and those left out an id of its own"
        if self.top_k > shapes.pairs:
            yield f"top_k is {self.top_k}, and a codebook has {shapes.pairs} pairs"
        if unknown := sorted({*self.forgotten} - {*ids, *out}):
            yield f"forgotten has {unknown[0]}, which is the id of no class"
        if self.format > 1 and not self.keep_labels and {*self.forgotten} & {*ids}:
            yield "a forgotten class is among classes, and keep_labels is false"
        if any(place >= len(names) for place in self.excluded):
            yield f"excluded has a place beyond the {len(names)} classes"
        if self.masked + self.unused > shapes.codebooks * shapes.pairs:
            yield f"masked and unused are more than the {shapes.codebooks * shapes.pairs} pairs"
        for name in ("per_class_test", "now"):
            listed = getattr(self.accuracy, name)
            if listed is not None and len(listed) != len(names):
                yield f"accuracy.{name} has {len(listed)} entries for {len(names)} classes"
        if self.format > 2 and (self.files is None or self.seal is None):
            yield "files or seal is missing"

    @property
    def known_ids(self) -> list[int]:
        """(L,) id of each class; format 1 did not give them."""
        return self.ids or list(range(len(self.classes)))

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
