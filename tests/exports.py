"""Exports that are altered by somebody who knows how their files are bound to each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from dkvb.inference.export_config import BINDING, HASHES, said_of_the_model, seal_of
from dkvb.workspace.files import sha256


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def forge(folder: Path, change: Callable[[dict[str, Any], dict[str, np.ndarray]], None]) -> None:
    """Change config and tensors of an export, and make all hashes agree again."""
    config, tensors = config_of(folder), load_file(folder / "model.safetensors")
    change(config, tensors)
    with safe_open(folder / "model.safetensors", framework="numpy") as file:
        metadata = dict(file.metadata())
    if BINDING in metadata:
        metadata[BINDING] = said_of_the_model(config)
    save_file(tensors, folder / "model.safetensors", metadata=metadata)
    (folder / "labels.json").write_text(json.dumps({str(i): name for i, name in enumerate(config["classes"])}))
    config["sha256"] = sha256(folder / "model.safetensors")
    for name in config.get("files") or {}:
        config["files"][name] = {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)}
    if "seal" in config:
        config["seal"] = seal_of(config)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def made_by_format_2(folder: Path) -> None:
    """Make an export one of format 2, which keeps the hash of the tensors alone."""
    config, tensors = config_of(folder), load_file(folder / "model.safetensors")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    old = {name: value for name, value in config.items() if name not in (*HASHES, "ledger")}
    old |= {"format": 2, "sha256": sha256(folder / "model.safetensors")}
    (folder / "config.json").write_text(json.dumps(old), encoding="utf-8")
