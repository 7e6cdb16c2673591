"""The base of all records."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Record(BaseModel):
    """A frozen record: `model_dump(mode="json")` is its `--json` entry and, in a manifest, its `result`."""

    # a field whose key is no name in Python has an alias: `class_id` stands under "class"
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=False, populate_by_name=True, serialize_by_alias=True
    )
    absent: ClassVar[frozenset[str]] = frozenset()
    """Fields that are left out of the dump where they are None; any other None is dumped as null."""

    @model_serializer(mode="wrap")
    def _dump(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if value is not None or name not in self.absent}
