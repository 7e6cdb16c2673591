"""The manifest of an artifact: what it was made from, how, and every file it holds; and what an artifact is to be."""

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
from dkvb.workspace.files import canonical_hash, list_files, write_json
from dkvb.workspace.names import MANIFEST

FORMAT = 1


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


def write_new(folder: Path, spec: Spec, result: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Write the manifest of what lies in a folder; returns it."""
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "stage": spec.stage,
        "name": folder.name,
        "fingerprint": spec.fingerprint,
        "settings": dict(spec.settings),
        "inputs": dict(spec.inputs),
        "result": dict(result),
        "files": list_files(folder, apart=MANIFEST),
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
    write(
        folder,
        {**manifest, "files": list_files(folder, apart=MANIFEST), "result": {**manifest["result"], **result}},
    )


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
        raise DamagedArtifact(
            f"{folder / MANIFEST} is damaged: delete that folder, then run `dkvb {folder.parent.name}` to make it"
            " again."
        ) from None
    return dict(manifest)
