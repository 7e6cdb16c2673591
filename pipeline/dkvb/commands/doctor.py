"""What this machine offers: devices and why, the FAISS build, and whether weights and data are there."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

from dkvb.errors import DkvbError
from dkvb.recipe import Recipe
from dkvb.runtime.versions import versions
from dkvb.workspace.artifacts import Workspace


def examine(recipe: Recipe, workspace: Workspace) -> list[dict[str, Any]]:
    """An entry per check: `check`, `ok`, `detail`. Nothing is downloaded and nothing raises."""
    return [_libraries(), _device(recipe), _faiss(), _data(recipe), _weights(recipe), _disk(workspace)]


def _entry(check: str, ok: bool, detail: str) -> dict[str, Any]:
    return {"check": check, "ok": ok, "detail": detail}


def _libraries() -> dict[str, Any]:
    missing = []
    for name in ("torch", "torchvision", "open_clip", "faiss", "zarr", "polars", "altair", "vl_convert", "sklearn"):
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken binary raises anything; each is a finding, not a failure of doctor
            missing.append(f"{name} ({str(error).splitlines()[0]})" if str(error) else name)
    found = ", ".join(f"{name} {number}" for name, number in versions().items())
    return _entry("libraries", not missing, f"cannot be imported: {'; '.join(missing)}" if missing else found)


def _device(recipe: Recipe) -> dict[str, Any]:
    from dkvb.runtime.device import choose_device
    from dkvb.runtime.parallel import cores

    try:
        device, reason = choose_device(recipe.run.device)
    except DkvbError as error:
        return _entry("device", False, str(error))
    return _entry("device", True, f"{device} ({reason}); {cores()} cores")


def _faiss() -> dict[str, Any]:
    import faiss

    gpus = getattr(faiss, "get_num_gpus", lambda: 0)()
    return _entry("FAISS", True, f"{faiss.__version__}, {faiss.get_compile_options().strip()}, sees {gpus} GPUs")


def _data(recipe: Recipe) -> dict[str, Any]:
    if recipe.data.source in ("cifar10", "cifar100") and recipe.data.path is None:
        return _entry(
            "data", False, f"{recipe.data.source} will be downloaded on first use; --data-root takes a local archive"
        )
    from dkvb.sources.opening import open_source

    try:
        source = open_source(recipe.data)
    except DkvbError as error:
        return _entry("data", False, str(error))
    sizes = ", ".join(f"{len(split.labels):,} {name}" for name, split in source.splits.items())
    return _entry("data", True, f"{recipe.data.source}: {sizes}, {len(source.classes)} classes")


def _weights(recipe: Recipe) -> dict[str, Any]:
    from dkvb.encoders.networks import weights_fingerprint

    if recipe.data.source == "features":
        return _entry("weights", True, "none needed: the data are features")
    try:
        print_ = weights_fingerprint(recipe.encoder)
    except DkvbError as error:
        return _entry("weights", False, str(error))
    if print_.startswith("tag:"):
        return _entry(
            "weights",
            True,
            f"{recipe.encoder.name}: {print_.removeprefix('tag:')}, from the library's cache, else downloaded on"
            " first use",
        )
    return _entry("weights", True, f"{recipe.encoder.name}: {print_}")


def _disk(workspace: Workspace) -> dict[str, Any]:
    place = workspace.root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    return _entry("disk", free > 2 * 10**9, f"{free / 10**9:.1f} GB free at {Path(place)}")
