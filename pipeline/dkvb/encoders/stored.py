"""Where the libraries keep an encoder's published weights, and whether they are there: looked up, nothing is loaded or
downloaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dkvb.encoders.names import CLIP_ARCH, default_tag
from dkvb.encoders.weights import local_file
from dkvb.recipe import Encoder


@dataclass(frozen=True)
class Stored:
    """Published weights and the place where a library looks for them."""

    what: str
    """The weights in words."""
    name: str
    """Name of a file under which they are found elsewhere."""
    folder: Path
    """Where this machine would have them."""
    file: Path | None
    """The file there; None where it is missing."""
    url: str
    """The address that a download asks."""


def stored_weights(settings: Encoder) -> Stored | None:
    """The weights that a recipe's `[encoder]` section names, looked up; None where none are downloaded (the encoder has
    none, they are random or a file of the user's) or the section names what there is not, which loading it tells.

    Raises:
        UsageError: `weights` is written like a path and no file is there.
    """
    kind, _, arch = settings.name.partition(":")
    if settings.name == "pixels" or settings.weights == "random" or local_file(settings.weights):
        return None
    if settings.name == "resnet50":
        return _torchvision(settings.weights or default_tag(settings.name))
    if settings.name == "clip-vit-b32" or kind == "open_clip":
        return _open_clip(arch or CLIP_ARCH, settings.weights or default_tag(settings.name))
    return _timm(arch, settings.weights) if kind == "timm" else None


def _torchvision(tag: str) -> Stored | None:
    from torchvision.models import ResNet50_Weights

    if tag not in ResNet50_Weights.__members__:
        return None
    return _of_url(f"'{tag}' of resnet50", ResNet50_Weights[tag].url, _hub_folder())


def _open_clip(arch: str, tag: str) -> Stored | None:
    import open_clip

    tagged: Mapping[str, Any] = open_clip.get_pretrained_cfg(arch, tag) or {}
    what, url, hub = f"'{tag}' of {arch}", tagged.get("url") or "", tagged.get("hf_hub") or ""
    if hub:
        repository, _, name = hub.rpartition("/")
        files = [name] if name else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
        return _of_hub(what, repository, files, url.rpartition("/")[2] or files[0])
    return _of_url(what, url, Path.home() / ".cache/clip") if url else None


def _timm(arch: str, tag: str | None) -> Stored | None:
    import timm

    base, _, own_tag = arch.partition(".")
    tag = tag or own_tag
    found: Any = timm.get_pretrained_cfg(f"{base}.{tag}" if tag else base, allow_unregistered=True)
    if found is None:
        return None
    what = f"'{tag or 'default'}' of {base}"
    if found.hf_hub_id:
        files = [found.hf_hub_filename] if found.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
        return _of_hub(what, found.hf_hub_id, files, files[0])
    return _of_url(what, found.url, _hub_folder()) if found.url else None


def _of_url(what: str, url: str, folder: Path) -> Stored:
    name = url.rpartition("/")[2]
    file = folder / name
    return Stored(what, name, folder, file if file.is_file() else None, url)


def _of_hub(what: str, repository: str, files: Iterable[str], name: str) -> Stored:
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.file_download import repo_folder_name

    cached = (try_to_load_from_cache(repository, file, cache_dir=constants.HF_HUB_CACHE) for file in files)
    file = next((Path(path) for path in cached if isinstance(path, str)), None)
    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
    return Stored(what, name, folder, file, constants.ENDPOINT)


def _hub_folder() -> Path:
    """Where torchvision and timm keep what they download."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"
