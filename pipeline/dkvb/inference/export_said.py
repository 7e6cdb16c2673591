"""What every export says of its model, in whichever format, checked before anything of it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from dkvb.recipe import Encoder
from dkvb.records.base import Record
from dkvb.records.use import LedgerMark, LeftOut

Size = Annotated[int, Field(ge=1, le=2**31 - 1, strict=True)]
Count = Annotated[int, Field(ge=0, strict=True)]
Id = Annotated[int, Field(ge=0, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class ExportAccuracy(Record):
    """Test accuracies of the model as trained, of each class, and of each class as exported."""

    model_config = ConfigDict(extra="ignore")

    test: Share | None = None
    per_class_test: list[Share | None] | None = None
    now: list[Share | None] | None = None


class Integers(Record):
    """How features that are integers are taken: (x + offset) * scale."""

    scale: float
    offset: float


class Said(Record):
    """What is said of a model. Fields of later versions are passed over."""

    model_config = ConfigDict(extra="ignore")

    format: Annotated[int, Field(ge=1, strict=True)]
    dkvb: str
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

    def odd(self, classes: int) -> Iterator[str]:
        """What cannot be of a model with logits of some classes, in words."""
        names, ids = self.classes, self.known_ids
        out = [one.id for one in self.left_out]
        if len(names) != classes:
            yield f"classes has {len(names)} names, and shapes.classes is {classes}"
        if len(set(names)) < len(names):
            yield "a name stands twice in classes"
        if len(ids) != len(names) or len({*ids, *out}) < len(ids) + len(out):
            yield f"ids and left_out do not give each of {len(names)} classes and those left out an id of its own"
        if unknown := sorted({*self.forgotten} - {*ids, *out}):
            yield f"forgotten has {unknown[0]}, which is the id of no class"
        if any(place >= len(names) for place in self.excluded):
            yield f"excluded has a place beyond the {len(names)} classes"
        for name in ("per_class_test", "now"):
            listed = getattr(self.accuracy, name)
            if listed is not None and len(listed) != len(names):
                yield f"accuracy.{name} has {len(listed)} entries for {len(names)} classes"

    @property
    def known_ids(self) -> list[int]:
        """(L,) id of each class; format 1 of `dkvb export` did not give them."""
        return self.ids or list(range(len(self.classes)))

    @property
    def hashed(self) -> bool:
        """Whether hashes say that it is as it was written."""
        return True
