"""What this machine offers: devices and why, the FAISS build, and whether data and room are there.

torch takes seconds to import: it is asked where it has to be, of a GPU that the driver lists and of an encoder. Of
what is built on it doctor says what the packages say.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from dkvb.commands import doctor_encoder
from dkvb.errors import DkvbError
from dkvb.recipe import Recipe
from dkvb.records.status import DoctorCheck
from dkvb.runtime.device import NO_CUDA, choose_device, gpus_listed
from dkvb.runtime.network import GLANCE, host, unreachable
from dkvb.runtime.parallel import cores
from dkvb.runtime.versions import versions
from dkvb.sources.cifar import ARCHIVES, HOST, missing_from
from dkvb.sources.opening import open_source
from dkvb.workspace.artifacts import Workspace

ON_TORCH = {"torch": "torch", "torchvision": "torchvision", "open_clip": "open_clip_torch", "timm": "timm"}
"""Module -> the package that brings it."""


def examine(recipe: Recipe, workspace: Workspace) -> list[DoctorCheck]:
    """All checks. Nothing is downloaded and nothing raises."""
    gpus = gpus_listed()
    device, usable = _device(recipe, gpus)
    checks = [_libraries(), device, _faiss(gpus), _data(recipe)]
    return [*checks, *doctor_encoder.examine(recipe, usable), _disk(workspace)]


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


def _device(recipe: Recipe, gpus: Sequence[str]) -> tuple[DoctorCheck, str]:
    """The check, and the device that can be used."""
    wanted = recipe.run.device
    listed = f"nvidia-smi lists {', '.join(gpus)}" if gpus else "nvidia-smi lists no GPU"
    if wanted == "cpu":
        device, reason = "cpu", "as --device or run.device says"
    elif not gpus:
        device, reason = "cpu", listed
    else:  # the one case in which torch's own look is worth its import
        device, seen = _torch_sees()
        reason = seen if device == "cuda" else f"{listed}, and {seen}"
    if wanted == "cuda" and device == "cpu":
        return _entry("device", False, f"--device cuda: {reason}. Use --device auto or cpu."), device
    return _entry("device", True, f"{device} ({reason}); {cores()} cores"), device


def _torch_sees() -> tuple[str, str]:
    """The device that torch would use, and why."""
    try:
        build = version("torch")
    except PackageNotFoundError:
        build = ""
    if build.endswith("+cpu"):
        return "cpu", f"torch {build} has no CUDA"
    try:
        device, reason = choose_device("auto")
    except Exception as error:  # a broken installation raises anything
        return "cpu", f"torch {build} cannot be imported ({str(error).splitlines()[0] if str(error) else error!r})"
    return device, reason if device == "cuda" or reason == NO_CUDA else f"{reason} (torch {build})"


def _faiss(gpus: Sequence[str]) -> DoctorCheck:
    import faiss

    seen = getattr(faiss, "get_num_gpus", lambda: 0)()
    detail = f"{faiss.__version__}, {faiss.get_compile_options().strip()}, sees {seen} GPUs"
    if gpus and not seen:
        detail += f" of {len(gpus)}: codes are looked up on the CPU; a build for GPUs is the package faiss-gpu"
    return _entry("FAISS", True, detail)


def _data(recipe: Recipe) -> DoctorCheck:
    if recipe.data.source in ARCHIVES and (folder := missing_from(recipe.data)):
        return _entry("data", False, _archive(recipe, folder))
    try:
        source = open_source(recipe.data)
    except DkvbError as error:
        return _entry("data", False, str(error))
    sizes = ", ".join(f"{len(split.labels):,} {name}" for name, split in source.splits.items())
    return _entry("data", True, f"{recipe.data.source}: {sizes}, {len(source.classes)} classes")


def _archive(recipe: Recipe, folder: Path) -> str:
    """That an archive is missing, and how to get it."""
    name = ARCHIVES[recipe.data.source]
    missing = f"{recipe.data.source}: {name} is not in {folder}"
    if recipe.data.path:
        return f"{missing}; --data-root takes another folder, or the archive itself"
    if reason := unreachable(HOST, GLANCE):
        return (
            f"{missing}, and {host(HOST)} does not answer ({reason}): fetch {HOST}{name} on another machine and put it"
            " there, or give it with --data-root"
        )
    return f"{missing}. {host(HOST)} answers: `dkvb embed` downloads it; --data-root takes a copy that you have"


def _disk(workspace: Workspace) -> DoctorCheck:
    place = workspace.root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    return DoctorCheck(check="disk", ok=free > 2 * 10**9, detail=f"{free / 10**9:.1f} GB free at {Path(place)}")
