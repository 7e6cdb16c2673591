"""A finished artifact: what its manifest says of it, and whether its files are still as they were written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from dkvb.errors import DamagedArtifact, DkvbError, SettingsClash
from dkvb.records.base import Record
from dkvb.runtime import progress
from dkvb.version import __version__
from dkvb.workspace import manifest
from dkvb.workspace.files import write_json
from dkvb.workspace.hashes import changed, differences, found_in
from dkvb.workspace.names import CLAIM, MAKERS, MANIFEST, PICTURES

if TYPE_CHECKING:
    import numpy as np

R = TypeVar("R", bound=Record)
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Artifact:
    """A finished artifact."""

    path: Path
    manifest: dict[str, Any]
    in_change: bool = False
    """Whether a purge is rewriting it: its files are read as they are, since the manifest is written last."""

    @property
    def stage(self) -> str:
        return str(self.manifest["stage"])

    @property
    def fingerprint(self) -> str:
        return str(self.manifest["fingerprint"])

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.manifest["settings"])

    @property
    def inputs(self) -> dict[str, str]:
        """Stage -> fingerprint of the artifact that this one was made from."""
        return dict(self.manifest["inputs"])

    @cached_property
    def content(self) -> str | None:
        """A hash over all that may be made into something else; None where an earlier version wrote it, without the
        hashes of chunks."""
        return manifest.content(self.manifest)

    @property
    def inputs_content(self) -> dict[str, str]:
        """Stage -> content of the artifact that this one was made from, as it was then; without those of which it is
        not known."""
        return dict(self.manifest.get("inputs_content") or {})

    @property
    def seconds(self) -> float:
        """What making it took."""
        return float(self.manifest["seconds"])

    @property
    def created(self) -> str:
        """When it was made, in UTC, as ISO 8601 has it."""
        return str(self.manifest["created"])

    @property
    def versions(self) -> dict[str, str]:
        """Library -> version of it that made this."""
        return dict(self.manifest["versions"])

    @property
    def host(self) -> str:
        """The machine that made it, in words."""
        return str(self.manifest["host"])

    @property
    def kind(self) -> str:
        """What it is: the stage, and of those that stage 4 makes, "forget", "sweep", "retraining" or "membership"."""
        return str(self.settings.get("kind", self.stage))

    @property
    def result(self) -> dict[str, Any]:
        return dict(self.manifest["result"])

    @property
    def purged(self) -> list[int]:
        """Classes whose data `dkvb purge` erased from it."""
        return list(self.manifest["result"].get("purged") or [])

    @property
    def purged_samples(self) -> int:
        """Single samples that `dkvb purge` erased from it."""
        return int(self.manifest["result"].get("purged_samples") or 0)

    @property
    def lost_rows(self) -> bool:
        """Whether `dkvb purge` erased anything from it."""
        return bool(self.purged or self.purged_samples)

    def result_as(self, kind: type[R]) -> R:
        """The result as the record that wrote it.

        Raises:
            SettingsClash: another version of dkvb wrote it, with other fields.
        """
        return self._part_as(kind, "result")

    def settings_as(self, kind: type[M]) -> M:
        """Some of the settings as a record (`dkvb.workspace.settings`).

        Raises:
            SettingsClash: another version of dkvb wrote them, with other fields.
        """
        return self._part_as(kind, "settings")

    def _part_as(self, kind: type[M], part: str) -> M:
        try:
            return kind.model_validate(self.manifest[part])
        except ValidationError as error:
            at = error.errors()[0]
            field = ".".join(map(str, at["loc"]))
            writer = self.manifest.get("versions", {}).get("dkvb", "an unknown version")
            raise SettingsClash(
                f"{self.path / MANIFEST} was written by dkvb {writer} and does not hold what dkvb {__version__} reads"
                f" (`{part}.{field}`: {at['msg'].lower()}):"
                f" delete {self.path}, then run `dkvb {self.maker}` to make it again."
            ) from None

    def entry(self, kind: type[R], skipped: bool, **more: Any) -> R:
        """Its entry in `--json`: the result with `skipped`, `artifact` and, where the result has none, `seconds`."""
        result = self.result_as(kind)
        if getattr(result, "seconds", 0.0) is None:
            more["seconds"] = self.seconds
        return result.model_copy(update={"skipped": skipped, "artifact": str(self.path), **more})

    def wrong_files(self, chunks: bool = False, afresh: bool = False) -> dict[str, str]:
        """Files that are missing or are not as the manifest lists them, and what is wrong with each.

        Args:
            chunks: look into chunks of arrays as well, which are checked when they are read.
            afresh: hash all, whatever is remembered of them.
        """
        return differences(self.path, self.manifest["files"], chunks, afresh)

    def check(self, chunks: bool = False) -> None:
        """Raise if any file differs from the manifest. `chunks`: as for `wrong_files`.

        Raises:
            DamagedArtifact: a file is missing, truncated or altered.
        """
        for what in self.wrong_files(chunks).values():
            raise self.damaged(what)

    def file(self, name: str) -> Path:
        """One of its files, to be read: its hash is that of the manifest.

        Raises:
            DamagedArtifact: it is missing or was altered.
        """
        recorded = self.manifest["files"].get(name)
        if self.in_change:
            return self.path / name
        if recorded is None:
            raise self.damaged(f"{name} is missing")
        try:
            found = found_in(self.path).of(name)
        except PermissionError:
            raise
        except OSError:
            raise self.damaged(f"{name} is missing") from None
        if found != recorded.get("sha256", found):
            raise self.damaged(changed(name))
        return self.path / name

    def tensors(self, name: str) -> dict[str, np.ndarray]:
        """The arrays of one of its safetensors files, by name.

        Raises:
            DamagedArtifact: it is missing or was altered.
        """
        from dkvb.workspace.tensors import load_file  # numpy, which commands that read manifests alone do without

        return load_file(self.file(name))

    def damaged(self, what: str, force: bool | None = None) -> DamagedArtifact:
        """The error that says what is damaged, and names the command that makes it again.

        Args:
            force: whether that command needs --force; by default, where its stage does not mend single parts itself.
        """
        if self._written_anew:
            return DamagedArtifact(f"{self.path} was written by another command meanwhile: run this one again.")
        return DamagedArtifact(f"{self.path} is damaged: {what}. {self.remedy(force)}")

    @property
    def _written_anew(self) -> bool:
        """Whether its manifest is another than that which was read: by a purge, say."""
        try:
            return manifest.read(self.path) not in (None, self.manifest)
        except (DkvbError, OSError):
            return False

    def remedy(self, force: bool | None = None) -> str:
        """What to do where it is damaged, in words. `force`: as for `damaged`."""
        if self.lost_rows:
            return "Rows were purged from it, so that it cannot be made again as it was: put it back from a backup."
        forced = self.stage not in ("embed", "quantize", "retrained", "oracles", PICTURES) if force is None else force
        return f"`dkvb {self.maker}{' --force' if forced else ''}` makes it again."

    @property
    def maker(self) -> str:
        """The command that makes it: of its stage, or of what needs it where it belongs to none."""
        if self.kind == "membership":
            return "membership"
        return MAKERS.get(self.stage, self.stage)

    def say_done(self, label: str, more: str = "") -> None:
        """Tell a person that the work of this label was done by an earlier run."""
        progress.note(f"{label}: already done ({self.path.name}){more}")

    def reseal(self, **result: Any) -> None:
        """Make the manifest agree with files that were rewritten, and change some of its `result`; fingerprint and
        settings stay."""
        manifest.rewrite(self.path, self.manifest, **result)

    def seal(self, inputs_content: Mapping[str, str]) -> None:
        """Give the manifest of an earlier version hashes of all files, and of what it was made from, as these are
        now."""
        manifest.seal(self.path, self.manifest, inputs_content)

    def reopen(self) -> None:
        """Take the done mark away, so that missing units can be made again from what it was made from."""
        write_json(self.path / CLAIM, {"fingerprint": self.fingerprint, "inputs_content": self.inputs_content})
        (self.path / MANIFEST).unlink()
