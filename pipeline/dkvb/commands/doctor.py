"""What this machine offers: devices and why, the FAISS build, and whether weights and data are there.

torch and what is built on it take seconds to import: of them doctor says what their packages say.
"""

from __future__ import annotations

import importlib
import shutil
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from dkvb.encoders.networks import weights_fingerprint
from dkvb.errors import DkvbError
from dkvb.recipe import Recipe
from dkvb.records.status import DoctorCheck
from dkvb.runtime.device import gpus_listed
from dkvb.runtime.parallel import cores
from dkvb.runtime.versions import versions
from dkvb.sources.opening import open_source
from dkvb.workspace.artifacts import Workspace

ON_TORCH = {"torch": "torch", "torchvision": "torchvision", "open_clip": "open_clip_torch", "timm": "timm"}
"""Module -> the package that brings it."""


def examine(recipe: Recipe, workspace: Workspace) -> list[DoctorCheck]:
    """All checks. Nothing is downloaded and nothing raises."""
    return [_libraries(), _device(recipe), _faiss(), _data(recipe), _weights(recipe), _disk(workspace)]


def _entry(check: str, ok: bool, detail: str) -> DoctorCheck:
    return DoctorCheck(check=check, ok=ok, detail=detail)


def _libraries() -> DoctorCheck:
    missing = [problem for module, package in ON_TORCH.items() if (problem := _unfit(module, package))]
    for name in ("faiss", "zarr", "polars", "altair", "vl_convert", "sklearn"):
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken binary raises anything; each is a finding, not a failure of doctor
            missing.append(f"{name} ({str(error).splitlines()[0]})" if str(error) else name)
    listed = ", ".join(f"{name} {number}" for name, number in versions().items())
    return _entry("libraries", not missing, f"cannot be imported: {'; '.join(missing)}" if missing else listed)


def _unfit(module: str, package: str) -> str | None:
    """Why a library on torch cannot be imported, as far as its package says."""
    if find_spec(module) is None:
        return f"{module} (No module named '{module}')"
    try:
        needed = [Requirement(line) for line in requires(package) or []]
        installed = version("torch")
    except PackageNotFoundError:
        return None  # built from source, say: it is there
    for need in needed:
        fits = need.specifier.contains(installed, prereleases=True)
        if need.name == "torch" and (need.marker is None or need.marker.evaluate({"extra": ""})) and not fits:
            return f"{module} (needs torch{need.specifier}, and {installed} is here)"
    return None


def _device(recipe: Recipe) -> DoctorCheck:
    gpus, wanted = gpus_listed(), recipe.run.device
    try:
        build = version("torch")
    except PackageNotFoundError:
        build = ""
    listed = f"nvidia-smi lists {', '.join(gpus)}" if gpus else "nvidia-smi lists no GPU"
    if wanted == "cpu":
        device, reason = "cpu", "as --device or run.device says"
    elif gpus and not build.endswith("+cpu"):
        device, reason = "cuda", f"{listed}; torch {build} is asked when something is trained or encoded"
    elif gpus:
        device, reason = "cpu", f"{listed}, and torch {build} has no CUDA"
    else:
        device, reason = "cpu", listed
    if wanted == "cuda" and device == "cpu":
        return _entry("device", False, f"--device cuda: {reason}. Use --device auto or cpu.")
    return _entry("device", True, f"{device} ({reason}); {cores()} cores")


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
    try:
        source = open_source(recipe.data)
    except DkvbError as error:
        return DoctorCheck(check="data", ok=False, detail=str(error))
    sizes = ", ".join(f"{len(split.labels):,} {name}" for name, split in source.splits.items())
    return DoctorCheck(check="data", ok=True, detail=f"{recipe.data.source}: {sizes}, {len(source.classes)} classes")


def _weights(recipe: Recipe) -> DoctorCheck:
    if recipe.data.features:
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
