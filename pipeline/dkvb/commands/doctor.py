"""What this machine offers: devices and why, the FAISS build, and whether weights and data are there."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

from dkvb.errors import DkvbError
from dkvb.recipe import Recipe
from dkvb.records.stages import DoctorCheck
from dkvb.runtime.versions import versions
from dkvb.workspace.artifacts import Workspace


def examine(recipe: Recipe, workspace: Workspace) -> list[DoctorCheck]:
    """All checks. Nothing is downloaded and nothing raises."""
    return [_libraries(), _device(recipe), _faiss(), _data(recipe), _weights(recipe), _disk(workspace)]


def _libraries() -> DoctorCheck:
    missing = []
    for name in ("torch", "torchvision", "open_clip", "faiss", "zarr", "polars", "altair", "vl_convert", "sklearn"):
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken binary raises anything; each is a finding, not a failure of doctor
            missing.append(f"{name} ({str(error).splitlines()[0]})" if str(error) else name)
    found = ", ".join(f"{name} {number}" for name, number in versions().items())
    return DoctorCheck(
        check="libraries", ok=not missing, detail=f"cannot be imported: {'; '.join(missing)}" if missing else found
    )


def _device(recipe: Recipe) -> DoctorCheck:
    from dkvb.runtime.device import choose_device
    from dkvb.runtime.parallel import cores

    try:
        device, reason = choose_device(recipe.run.device)
    except DkvbError as error:
        return DoctorCheck(check="device", ok=False, detail=str(error))
    return DoctorCheck(check="device", ok=True, detail=f"{device} ({reason}); {cores()} cores")


def _faiss() -> DoctorCheck:
    import faiss

    gpus = getattr(faiss, "get_num_gpus", lambda: 0)()
    return DoctorCheck(
        check="FAISS", ok=True, detail=f"{faiss.__version__}, {faiss.get_compile_options().strip()}, sees {gpus} GPUs"
    )


def _data(recipe: Recipe) -> DoctorCheck:
    if recipe.data.source in ("cifar10", "cifar100") and recipe.data.path is None:
        return DoctorCheck(
            check="data",
            ok=False,
            detail=f"{recipe.data.source} will be downloaded on first use; --data-root takes a local archive",
        )
    from dkvb.sources.opening import open_source

    try:
        source = open_source(recipe.data)
    except DkvbError as error:
        return DoctorCheck(check="data", ok=False, detail=str(error))
    sizes = ", ".join(f"{len(split.labels):,} {name}" for name, split in source.splits.items())
    return DoctorCheck(check="data", ok=True, detail=f"{recipe.data.source}: {sizes}, {len(source.classes)} classes")


def _weights(recipe: Recipe) -> DoctorCheck:
    from dkvb.encoders.networks import weights_fingerprint

    if recipe.data.source == "features":
        return DoctorCheck(check="weights", ok=True, detail="none needed: the data are features")
    try:
        weights = weights_fingerprint(recipe.encoder)
    except DkvbError as error:
        return DoctorCheck(check="weights", ok=False, detail=str(error))
    if not weights.startswith("tag:"):
        return DoctorCheck(check="weights", ok=True, detail=f"{recipe.encoder.name}: {weights}")
    tag = weights.removeprefix("tag:")
    found = f"{recipe.encoder.name}: {tag}, from the library's cache, else downloaded on first use"
    return DoctorCheck(check="weights", ok=True, detail=found)


def _disk(workspace: Workspace) -> DoctorCheck:
    place = workspace.root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    return DoctorCheck(check="disk", ok=free > 2 * 10**9, detail=f"{free / 10**9:.1f} GB free at {Path(place)}")
