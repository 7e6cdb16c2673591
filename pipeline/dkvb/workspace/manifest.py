"""The manifest of an artifact: what it was made from, how, and every file it holds; and what an artifact is to be.

`files` binds every file to its place, chunks of arrays among them: path -> size and sha256. A hash over those is the
artifact's content, and `inputs_content` is that of each artifact it was made from, as it was then. Manifests of
versions before these hold no hashes of chunks and no contents: what they say is not known is never taken to be
unchanged.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dkvb.errors import DamagedArtifact, SettingsClash
from dkvb.runtime.versions import versions
from dkvb.version import __version__
from dkvb.workspace.files import canonical_hash, names_of, write_json
from dkvb.workspace.hashes import list_files
from dkvb.workspace.names import CLAIM, CURVE, FILES, LOSSES, MAKERS, MANIFEST, METRICS

FORMAT = 1

MEASURED = {METRICS, CURVE, LOSSES, FILES}
"""Files from which nothing is made, and which may hold times: no part of an artifact's content."""


@dataclass(frozen=True)
class Spec:
    """What an artifact is to be: everything its content depends on."""

    stage: str
    readable: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    """What it is made from -> that artifact's fingerprint."""

    @property
    def fingerprint(self) -> str:
        return canonical_hash({"stage": self.stage, "settings": self.settings, "inputs": self.inputs, "format": FORMAT})

    @property
    def folder(self) -> str:
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", self.readable).strip("-.")[:60]
        return f"{readable}-{self.fingerprint[:8]}"


def write_new(
    folder: Path, spec: Spec, result: Mapping[str, Any], seconds: float, inputs_content: Mapping[str, str]
) -> dict[str, Any]:
    """Write the manifest of what lies in a folder; returns it.

    Args:
        inputs_content: stage -> content of the artifact that it was made from, where that is known.
    """
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "stage": spec.stage,
        "name": folder.name,
        "fingerprint": spec.fingerprint,
        "settings": dict(spec.settings),
        "inputs": dict(spec.inputs),
        "inputs_content": dict(inputs_content),
        "result": dict(result),
        "files": list_files(folder, names_of(folder, [MANIFEST, CLAIM])),
        "versions": versions(),
        "seconds": seconds,
        "host": f"{platform.node()}, {platform.machine()}, {os.cpu_count()} cores",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write(folder, manifest)
    return manifest


def write(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write a manifest, under a checksum of its own."""
    write_json(folder / MANIFEST, {**manifest, "checksum": canonical_hash(manifest)})


def rewrite(folder: Path, manifest: Mapping[str, Any], **result: Any) -> None:
    """Make a manifest agree with files that were rewritten, and with new fields of its result; its fingerprint and
    settings stay."""
    files = list_files(folder, names_of(folder, [MANIFEST, CLAIM]))
    write(folder, {**manifest, "files": files, "result": {**manifest["result"], **result}})


def seal(folder: Path, manifest: Mapping[str, Any], inputs_content: Mapping[str, str]) -> None:
    """Give the manifest of an earlier version hashes of all files, and of what it was made from, as these are now; and
    say when that was: what changed before it is not known."""
    sealed = datetime.now(UTC).isoformat(timespec="seconds")
    rewrite(folder, {**manifest, "inputs_content": dict(inputs_content), "sealed": sealed})


def content(manifest: Mapping[str, Any]) -> str | None:
    """A hash over all files of an artifact from which others may be made; None where it lacks the hash of one."""
    files = {
        name: of.get("sha256")
        for name, of in manifest.get("files", {"": {}}).items()
        if name not in MEASURED and not name.startswith("done/")
    }
    return None if None in files.values() else canonical_hash(files)


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest in a folder, without its checksum; None where there is none yet.

    Raises:
        DamagedArtifact: it cannot be read or was altered.
        SettingsClash: a newer dkvb wrote it.
    """
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        text = ""
    try:
        manifest = json.loads(text)
        written = int(manifest["format"])
        if written > FORMAT:
            raise SettingsClash(
                f"{folder} has format {written}, written by a newer dkvb; this one ({__version__}) reads up to"
                f" {FORMAT}. Upgrade dkvb, or give another --data-dir."
            )
        if manifest.pop("checksum") != canonical_hash(manifest):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        maker = MAKERS.get(folder.parent.name, folder.parent.name)
        raise DamagedArtifact(
            f"{folder / MANIFEST} is damaged: put it back from a backup; or delete that folder, then run `dkvb {maker}`"
            " to make it again, which cannot be done where rows were purged."
        ) from None
    return dict(manifest)
