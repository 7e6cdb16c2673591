"""The workspace on disk: one folder per artifact, whose manifest, written last, is the mark that it is done.

An artifact's name ends in the first 8 digits of its fingerprint: sha256 over its settings, its inputs' fingerprints and
the format version. Changed settings therefore make a new folder and can never hit a stale one.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import filelock
from pydantic import ValidationError

from dkvb.errors import DamagedArtifact, MissingStage, SettingsClash, UsageError
from dkvb.records.base import Record
from dkvb.runtime import progress
from dkvb.runtime.versions import versions
from dkvb.version import __version__
from dkvb.workspace.files import canonical_hash, leftover, remove_leftovers, sha256, write_json

R = TypeVar("R", bound=Record)


FORMAT = 1


MANIFEST = "manifest.json"


CLAIM = "claim.json"


@dataclass(frozen=True)
class Spec:
    """What an artifact is to be: everything its content depends on."""

    stage: str
    readable: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        return canonical_hash({"stage": self.stage, "settings": self.settings, "inputs": self.inputs, "format": FORMAT})

    @property
    def folder(self) -> str:
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", self.readable).strip("-.")[:60]
        return f"{readable}-{self.fingerprint[:8]}"


@dataclass(frozen=True)
class Artifact:
    """A finished artifact."""

    path: Path
    manifest: dict[str, Any]

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
    def kind(self) -> str:
        """What it is: the stage, and of those that stage 4 makes, "forget", "sweep", "retraining" or "membership"."""
        return str(self.settings.get("kind", self.stage))

    @property
    def result(self) -> dict[str, Any]:
        return dict(self.manifest["result"])

    def result_as(self, kind: type[R]) -> R:
        """The result as the record that wrote it.

        Raises:
            SettingsClash: another version of dkvb wrote it, with other fields.
        """
        try:
            return kind.model_validate(self.manifest["result"])
        except ValidationError as error:
            at = error.errors()[0]
            field = ".".join(map(str, at["loc"]))
            writer = self.manifest.get("versions", {}).get("dkvb", "an unknown version")
            raise SettingsClash(
                f"{self.path / MANIFEST} was written by dkvb {writer} and does not hold what dkvb {__version__} reads"
                f" (`result.{field}`: {at['msg'].lower()}): {self.remedy} makes it again."
            ) from None

    def entry(self, kind: type[R], skipped: bool, **more: Any) -> R:
        """Its entry in `--json`: the result with `skipped`, `artifact` and, where the result has none, `seconds`."""
        result = self.result_as(kind)
        if getattr(result, "seconds", 0.0) is None:
            more["seconds"] = self.manifest["seconds"]
        return result.model_copy(update={"skipped": skipped, "artifact": str(self.path), **more})

    @property
    def remedy(self) -> str:
        """The command that makes all of it again."""
        if self.stage == "retrained":  # made by the methods that need it, with no option of their own
            return f"delete {self.path}; `dkvb unlearn`"
        return f"`dkvb {'membership' if self.kind == 'membership' else self.stage} --force`"

    def wrong_files(self) -> dict[str, str]:
        """Files that are missing, of another size, or (those that carry no checksum of their own) of another hash: what
        is wrong."""
        wrong = {}
        for name, recorded in self.manifest["files"].items():
            file = self.path / name
            if not file.is_file():
                wrong[name] = f"{name} is missing"
            elif file.stat().st_size != recorded["bytes"]:
                wrong[name] = f"{name} has {file.stat().st_size} bytes instead of {recorded['bytes']}"
            elif "sha256" in recorded and sha256(file) != recorded["sha256"]:
                wrong[name] = f"the content of {name} has changed since it was written"
        return wrong

    def check(self) -> None:
        """Raise if any file differs from the manifest.

        Raises:
            DamagedArtifact: a file is missing, truncated or altered.
        """
        for what in self.wrong_files().values():
            raise self.damaged(what)

    def damaged(self, what: str, force: bool | None = None) -> DamagedArtifact:
        """The error that names what is damaged and the command that makes it again."""
        forced = self.stage not in ("embed", "quantize", "retrained") if force is None else force
        command = "unlearn" if self.stage == "retrained" else self.stage
        return DamagedArtifact(
            f"{self.path} is damaged: {what}. `dkvb {command}{' --force' if forced else ''}` makes it again."
        )

    def reopen(self) -> None:
        """Take the done mark away, so that missing units can be made again."""
        (self.path / MANIFEST).unlink()


@dataclass
class Claim:
    """The right to write one artifact's folder, held under its lock."""

    path: Path
    spec: Spec
    artifact: Artifact | None = None
    """Set where the artifact is already done."""
    started: float = field(default_factory=time.perf_counter)

    def finish(self, result: Record | Mapping[str, Any], seconds: float | None = None) -> Artifact:
        """Write the manifest: from this instant the artifact is done."""
        (self.path / CLAIM).unlink(missing_ok=True)
        spent = round(time.perf_counter() - self.started if seconds is None else seconds, 3)
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "stage": self.spec.stage,
            "name": self.path.name,
            "fingerprint": self.spec.fingerprint,
            "settings": dict(self.spec.settings),
            "inputs": dict(self.spec.inputs),
            "result": result.model_dump(mode="json") if isinstance(result, Record) else dict(result),
            "files": _listing(self.path),
            "versions": versions(),
            "seconds": spent,
            "host": f"{platform.node()}, {platform.machine()}, {os.cpu_count()} cores",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        manifest["checksum"] = canonical_hash(manifest)
        write_json(self.path / MANIFEST, manifest)
        self.artifact = Artifact(self.path, manifest)
        return self.artifact


def _listing(folder: Path) -> dict[str, dict[str, Any]]:
    files: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST and not leftover(path):
            relative = path.relative_to(folder)
            # zarr chunks live below a "c" folder and carry crc32c checksums, verified on every read
            files[relative.as_posix()] = {"bytes": path.stat().st_size} | (
                {} if "c" in relative.parts else {"sha256": sha256(path)}
            )
    return files


class Workspace:
    """Where stages write artifacts (`root`) and reports (`reports`)."""

    def __init__(self, root: Path, reports: Path) -> None:
        self.root, self.reports = root.absolute(), reports.absolute()
        for name, folder in (("--data-dir", self.root), ("--reports-dir", self.reports)):
            if folder.exists() and not folder.is_dir():
                raise UsageError(f"{name} {folder} is a file; give a folder.")

    def path(self, spec: Spec) -> Path:
        return self.root / spec.stage / spec.folder

    def read(self, path: Path) -> Artifact | None:
        """The finished artifact in a folder; None where it has no manifest yet.

        Raises:
            DamagedArtifact: the manifest cannot be read or was altered.
            SettingsClash: a newer dkvb wrote it.
        """
        try:
            text = (path / MANIFEST).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            text = ""
        remedy = f"delete that folder, then run `dkvb {path.parent.name}` to make it again"
        try:
            manifest = json.loads(text)
            found = int(manifest["format"])
            if found > FORMAT:
                raise SettingsClash(
                    f"{path} has format {found}, written by a newer dkvb; this one ({__version__}) reads up to"
                    f" {FORMAT}. Upgrade dkvb, or give another --data-dir."
                )
            if manifest.pop("checksum") != canonical_hash(manifest):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DamagedArtifact(f"{path / MANIFEST} is damaged: {remedy}.") from None
        return Artifact(path, manifest)

    def all(self, stage: str) -> list[Artifact]:
        """Finished artifacts of a stage, most recently made or asked for last."""
        folders = [path.parent for path in (self.root / stage).glob(f"*/{MANIFEST}")]
        folders.sort(key=lambda path: (path / MANIFEST).stat().st_mtime_ns)
        return [artifact for path in folders if (artifact := self.read(path))]

    def find(self, stage: str, settings: Mapping[str, Any]) -> Artifact | None:
        """The artifact with these settings; of several (the data changed), the one last made or asked for."""
        wanted = canonical_hash(settings)
        return next((found for found in reversed(self.all(stage)) if canonical_hash(found.settings) == wanted), None)

    def need(self, stage: str, settings: Mapping[str, Any], what: str) -> Artifact:
        """Like `find`, checked and never None.

        Raises:
            MissingStage: it has not been made, or not to its end.
            DamagedArtifact: it has been altered since.
        """
        artifact = self.find(stage, settings)
        if artifact is None:
            raise self._missing(stage, what)
        artifact.check()
        return artifact

    def need_spec(self, spec: Spec, what: str) -> Artifact:
        """The artifact of exactly this spec, checked.

        Raises:
            MissingStage: it has not been made, or not to its end.
            DamagedArtifact: it has been altered since.
        """
        artifact = self.get(spec)
        if artifact is None:
            raise self._missing(spec.stage, what)
        artifact.check()
        return artifact

    def _missing(self, stage: str, what: str) -> MissingStage:
        return MissingStage(
            f"{what} is not in {self.root}: run `dkvb {stage}` with the same recipe first (it picks up where it"
            " stopped)."
        )

    def get(self, spec: Spec) -> Artifact | None:
        """The finished artifact of exactly this spec."""
        artifact = self.read(self.path(spec))
        if artifact and artifact.fingerprint != spec.fingerprint:
            raise SettingsClash(
                f"{artifact.path} holds other settings than its name says; move that folder away and run again."
            )
        return artifact

    @contextmanager
    def claim(self, spec: Spec, force: bool = False, sweep: bool = True) -> Iterator[Claim]:
        """Hold an artifact's lock; `artifact` is set if it is done (and not forced), else its folder is ready to be
        written.

        Args:
            sweep: remove what a killed process left half-written; not where other processes may be writing parts of it.
        """
        path = self.path(spec)
        path.mkdir(parents=True, exist_ok=True)
        with self.hold(f"{spec.stage}-{path.name}", f"{spec.stage} {path.name}"):
            if force:
                (path / MANIFEST).unlink(missing_ok=True)
                shutil.rmtree(path)
                path.mkdir()
            artifact = self.get(spec)
            claim = Claim(path, spec, artifact)
            if artifact is None:
                self._start(path, spec, sweep)
            else:
                os.utime(path / MANIFEST)
            yield claim

    def _start(self, path: Path, spec: Spec, sweep: bool) -> None:
        if sweep:
            remove_leftovers(path)
        if (path / CLAIM).is_file():
            started = json.loads((path / CLAIM).read_text(encoding="utf-8") or "{}")
            if started.get("fingerprint") != spec.fingerprint:
                raise SettingsClash(f"{path} was begun with other settings; move that folder away and run again.")
        write_json(path / CLAIM, {"fingerprint": spec.fingerprint})

    @contextmanager
    def hold(self, name: str, what: str) -> Iterator[None]:
        """Hold a named lock of the workspace, waiting for it, and saying for whom, where another process has it."""
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        holder = folder / f"{name}.holder"
        lock = filelock.FileLock(folder / f"{name}.lock")
        try:
            lock.acquire(timeout=0.05)
        except filelock.Timeout:
            who = holder.read_text(encoding="utf-8").strip() if holder.is_file() else "another process"
            progress.note(
                f"waiting: {who} is working on {what}; this run goes on when it ends (Ctrl-C to stop waiting)"
            )
            lock.acquire()
        try:
            command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
            holder.write_text(
                f"process {os.getpid()} on {platform.node()} (`{command}`, since {datetime.now():%H:%M:%S})",
                encoding="utf-8",
            )
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def unfinished(self, stage: str) -> list[Path]:
        """Folders of a stage that were begun and not finished."""
        return sorted(path.parent for path in (self.root / stage).glob(f"*/{CLAIM}"))
