"""A zarr store that reads one array of a finished artifact, each file of it checked against the manifest as it is
read: its hash belongs to this array and this chunk, so that no chunk can stand in another's place."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from dkvb.workspace.files import chunk
from dkvb.workspace.finished import Artifact
from dkvb.workspace.hashes import found_in, stamp


class CheckedStore(LocalStore):
    """The array `name` of an artifact, read-only.

    Raises (as zarr reads from it):
        DamagedArtifact: a file of the array is missing, was altered, or lies where there was none.
    """

    def __init__(self, artifact: Artifact, name: str) -> None:
        super().__init__(artifact.path / name, read_only=True)
        self._artifact, self._name = artifact, name
        self._found = found_in(artifact.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CheckedStore) and other._artifact is self._artifact and other._name == self._name

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        if not self._is_known(key):
            await asyncio.to_thread(self._check, key)
        return await super().get(key, prototype, byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        self._check(key)
        return super().get_sync(key, prototype=prototype, byte_range=byte_range)

    def _is_known(self, key: str) -> bool:
        """Whether a file was found to have its hash, and has not changed since."""
        recorded = self._artifact.manifest["files"].get(f"{self._name}/{key}", {})
        try:
            found = self._found.get(f"{self._name}/{key}", stamp(Path(self.root) / key))
        except OSError:
            return False
        return found is not None and found == recorded.get("sha256")

    def _check(self, key: str) -> None:
        name = f"{self._name}/{key}"
        if name in self._artifact.manifest["files"]:
            self._artifact.file(name)
        elif chunk(key) and (Path(self.root) / key).is_file():
            raise self._artifact.damaged(f"{name} was added since it was written")

    def save(self) -> None:
        """Keep for later processes which files were found to have their hashes."""
        self._found.save()
