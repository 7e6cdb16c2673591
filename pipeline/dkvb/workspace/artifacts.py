"""The workspace on disk: one folder per artifact, whose manifest, written last, is the mark that it is done.

An artifact's name ends in the first 8 digits of its fingerprint: sha256 over its settings, its inputs' fingerprints and
the format version. Changed settings therefore make a new folder and can never hit a stale one.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dkvb.errors import MissingStage, SettingsClash, UsageError
from dkvb.records.base import Record
from dkvb.runtime import progress
from dkvb.workspace import content, last_recipe, locks, manifest
from dkvb.workspace.files import canonical_hash, remove_leftovers, write_json
from dkvb.workspace.finished import Artifact
from dkvb.workspace.last_recipe import LastRecipe
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import CLAIM, MANIFEST


@dataclass
class Claim:
    """The right to write one artifact's folder, held under its lock."""

    path: Path
    spec: Spec
    inputs: Mapping[str, Artifact]
    """Stage -> artifact that it is made from."""
    artifact: Artifact | None = None
    """Set where the artifact is already done."""
    started: float = field(default_factory=time.perf_counter)

    def reuse(self, label: str, mend: Callable[[Artifact], bool] | None = None) -> Artifact | None:
        """What an earlier run has finished, checked; None where there is work to do.

        Args:
            label: names the work where a person is told that it is done already.
            mend: looks for damage in place of `Artifact.check`, and returns True where it opened the artifact again so
                that the damaged parts are made anew.

        Raises:
            DamagedArtifact: one of its files is missing or is not as it was written, or it was made from something
                else than what is there now.
        """
        if self.artifact is not None:
            content.refuse_changed(self.artifact, self.inputs)
        if self.artifact is None or (mend is not None and mend(self.artifact)):
            return None
        if mend is None:
            self.artifact.check()
        self.artifact.say_done(label)
        return self.artifact

    def finish(self, result: Record | Mapping[str, Any], seconds: float | None = None) -> Artifact:
        """Write the manifest: from this instant the artifact is done.

        Args:
            seconds: what it took; by default, the time since it was claimed.
        """
        (self.path / CLAIM).unlink(missing_ok=True)
        spent = round(time.perf_counter() - self.started if seconds is None else seconds, 3)
        held = result.model_dump(mode="json") if isinstance(result, Record) else result
        self.artifact = Artifact(
            self.path, manifest.write_new(self.path, self.spec, held, spent, content.known(self.inputs))
        )
        return self.artifact


class Workspace:
    """Where stages write artifacts (`root`) and reports (`reports`).

    Args:
        used_with: the recipe to remember here once something is written.
    """

    def __init__(self, root: Path, reports: Path, used_with: LastRecipe | None = None) -> None:
        self.root, self.reports, self.used_with = root.absolute(), reports.absolute(), used_with
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
        held = manifest.read(path)
        return None if held is None else Artifact(path, held)

    def all(self, stage: str) -> list[Artifact]:
        """Finished artifacts of a stage, the one last made or used last."""
        made = {}
        for path in (self.root / stage).glob(f"*/{MANIFEST}"):
            with suppress(FileNotFoundError):  # deleted at this instant
                made[path.parent] = path.stat().st_mtime_ns
        return [artifact for path in sorted(made, key=made.__getitem__) if (artifact := self.read(path))]

    def find(self, stage: str, settings: Mapping[str, Any]) -> Artifact | None:
        """The artifact with these settings; of several (the data changed), the one last made or used."""
        wanted = canonical_hash(settings)
        return next((found for found in reversed(self.all(stage)) if canonical_hash(found.settings) == wanted), None)

    def need(self, stage: str, settings: Mapping[str, Any], what: str) -> Artifact:
        """Like `find`, checked and never None.

        Raises:
            MissingStage: it has not been made, or not to its end.
            DamagedArtifact: one of its files is missing or is not as it was written.
        """
        return self.need_made(self.find(stage, settings), stage, what)

    def need_spec(self, spec: Spec, what: str) -> Artifact:
        """The artifact of exactly this spec, checked.

        Raises:
            MissingStage: it has not been made, or not to its end.
            DamagedArtifact: one of its files is missing or is not as it was written.
        """
        return self.need_made(self.get(spec), spec.stage, what)

    def need_made(self, artifact: Artifact | None, stage: str, what: str, check: bool = True) -> Artifact:
        """An artifact that was looked up, its files checked unless `check` is False.

        Raises:
            MissingStage: it is None: it has not been made, or not to its end.
            DamagedArtifact: one of its files is missing or is not as it was written.
        """
        if artifact is None:
            raise MissingStage(
                f"{what} is not in {self.root}: run `dkvb {stage}` with the same recipe first (it picks up where it"
                " stopped)."
            )
        if check:
            self.check(artifact)
        return artifact

    def check(self, artifact: Artifact) -> None:
        """Raise where an artifact is not as it was made, or not made from what is there now.

        Raises:
            DamagedArtifact: one of its files is missing or is not as it was written, or it was made from something
                else than what is there now.
        """
        artifact.check()
        content.refuse_changed(artifact, content.input_artifacts(self.root, artifact.inputs))

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
        self.remember_recipe()
        with self.hold(f"{spec.stage}-{path.name}", f"{spec.stage} {path.name}"):
            if force:
                (path / MANIFEST).unlink(missing_ok=True)
                shutil.rmtree(path)
                path.mkdir()
            artifact = self.get(spec)
            claim = Claim(path, spec, content.input_artifacts(self.root, spec.inputs), artifact)
            if artifact is None:
                self._start(claim, sweep)
            else:
                with locks.unless_read_only(self.root):
                    (path / CLAIM).unlink(missing_ok=True)
                    os.utime(path / MANIFEST)
            yield claim

    def _start(self, claim: Claim, sweep: bool) -> None:
        path, made_from = claim.path, content.known(claim.inputs)
        if sweep:
            remove_leftovers(path)
        if (path / CLAIM).is_file():
            started = json.loads((path / CLAIM).read_text(encoding="utf-8") or "{}")
            if started.get("fingerprint") != claim.spec.fingerprint:
                raise SettingsClash(f"{path} was begun with other settings; move that folder away and run again.")
            before = started.get("inputs_content", {})
            if sweep and any(before.get(stage, now) != now for stage, now in made_from.items()):
                progress.note(f"{path.name} was begun from what has changed since: what was done of it is dropped")
                shutil.rmtree(path)
                path.mkdir()
        write_json(path / CLAIM, {"fingerprint": claim.spec.fingerprint, "inputs_content": made_from})

    def hold(self, name: str, what: str) -> AbstractContextManager[None]:
        """Hold a named lock of the workspace, waiting for it where another process has it; `what` it is for."""
        return locks.hold(self.locks, name, what)

    @property
    def locks(self) -> Path:
        """The folder of its locks."""
        return self.root / ".locks"

    def remember_recipe(self) -> None:
        """Make `used_with` the recipe last used here, unless nothing can be written here. Call before anything else is
        written."""
        if self.used_with is not None:
            with locks.unless_read_only(self.root):
                last_recipe.write(self.root, self.used_with)

    def unfinished(self, stage: str) -> list[Path]:
        """Folders of a stage that were begun and not finished."""
        return sorted(path.parent for path in (self.root / stage).glob(f"*/{CLAIM}"))
