"""Frozen encoders: images to feature vectors, weights never trained (SPEC section 1)."""

from __future__ import annotations

import contextlib
import difflib
import logging
import os
import re
import ssl
import threading
import urllib.error
import urllib.request
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from dkvb import progress
from dkvb.errors import DkvbError, UsageError, nearest
from dkvb.files import sha256
from dkvb.recipe import Encoder

if TYPE_CHECKING:
    import torch
    from PIL import Image

NAMES = ("clip-vit-b32", "resnet50", "pixels", "open_clip:ARCH", "timm:ARCH")
LAYERS = ("layer1", "layer2", "layer3", "layer4", "avgpool")
CLIP_ARCH = "ViT-B-32-quickgelu"  # plain ViT-B-32 computes another activation than OpenAI's weights were trained with

T = TypeVar("T")
TIMEOUT = 8.0
"""Seconds to wait for a sign of life before a download is given up."""


class FrozenEncoder(Protocol):
    """What every encoder does; `preprocess` may be called from several threads."""

    name: str

    @property
    def dim(self) -> int:
        """Width D of a feature vector."""
        ...

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        """One image of any 8-bit mode to (channels, H, W) float32 on the CPU."""
        ...

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) to (B, D) float32 on the CPU, computed on the encoder's device."""
        ...


def load_encoder(settings: Encoder, device: str, mode: str) -> FrozenEncoder:
    """Load the encoder that a recipe's `[encoder]` section names; `mode` is the image source's, "RGB" or "L".

    `size` applies to pixels alone and `layer` to resnet50 alone. Random weights are the same on every call.

    Raises:
        UsageError: unknown encoder, architecture, tag or layer; a weights file that is missing, unreadable or of another architecture.
        DkvbError: weights that are not on this machine and cannot be downloaded.
    """
    kind, _, arch = settings.name.partition(":")
    if settings.name == "pixels":
        return PixelEncoder(settings.size, mode)
    if settings.name == "clip-vit-b32":
        return _open_clip(settings, CLIP_ARCH, device)
    if settings.name == "resnet50":
        return _resnet50(settings, device)
    if kind == "open_clip" and arch:
        return _open_clip(settings, arch, device)
    if kind == "timm" and arch:
        return _timm(settings, arch, device)
    raise UsageError(f"Unknown encoder.name '{settings.name}'{nearest(settings.name, NAMES)}")


def weights_fingerprint(settings: Encoder) -> str:
    """What the weights are: "none", "random", "tag:…" or "sha256:…" of a local file; needs no deep-learning library.

    Raises:
        UsageError: the weights file does not exist.
    """
    if settings.name == "pixels":
        return "none"
    if settings.weights == "random":
        return "random"
    if file := _local_file(settings.weights):
        return f"sha256:{sha256(file)}"
    return f"tag:{settings.weights or _default_tag(settings.name)}"


def stack(images: Sequence[torch.Tensor]) -> torch.Tensor:
    """B tensors (channels, H, W) to one (B, channels, H, W).

    Raises:
        DkvbError: they are not of one size.
    """
    import torch

    shapes = sorted({tuple(image.shape) for image in images})
    if len(shapes) > 1:
        raise _sizes_differ(*shapes[:2])
    return torch.stack(list(images))


class PixelEncoder:
    """Pixels as a vector, each image standardised by its own mean and standard deviation, so nothing is learnt from the data.

    Without `size`, the first image sets the size that all must have; `dim` is known from then on.
    """

    name = "pixels"

    def __init__(self, size: int | None, mode: str) -> None:
        self.size, self.mode = size, "L" if mode == "L" else "RGB"
        self.shape: tuple[int, ...] | None = (len(self.mode), size, size) if size else None
        self.lock = threading.Lock()

    @property
    def dim(self) -> int:
        if self.shape is None:
            raise DkvbError("The encoder 'pixels' without encoder.size has no width before its first image; preprocess one image first.")
        return int(np.prod(self.shape))

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        import torch
        from PIL.Image import Resampling

        image = image if image.mode == self.mode else image.convert(self.mode)
        if self.size and image.size != (self.size, self.size):
            image = image.resize((self.size, self.size), Resampling.BICUBIC)
        # per image and in double precision, so that the batch an image falls into cannot change its features
        pixels = np.asarray(image, np.float64) / 255
        pixels = (pixels - pixels.mean()) / (pixels.std() + 1e-6)
        channels_first = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        with self.lock:
            self.shape = self.shape or channels_first.shape
        if channels_first.shape != self.shape:
            raise _sizes_differ(*sorted((channels_first.shape, self.shape)))
        return torch.from_numpy(np.ascontiguousarray(channels_first, np.float32))

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).float().cpu()


class NetworkEncoder:
    """A network in evaluation mode and the transform that its weights were trained for."""

    def __init__(self, name: str, network: Any, transform: Callable[[Any], Any], device: str) -> None:
        self.name, self.device = name, device
        self.network = network.eval().requires_grad_(False).to(device)
        self.transform = transform
        # CLIP's own forward compares images with texts
        self.forward: Callable[[Any], Any] = getattr(network, "encode_image", network)

    @cached_property
    def dim(self) -> int:
        from PIL import Image

        return int(self.encode(self.preprocess(Image.new("RGB", (8, 8)))[None]).shape[1])

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        tensor: torch.Tensor = self.transform(image if image.mode == "RGB" else image.convert("RGB"))
        return tensor

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        import torch

        # full single precision: convolutions on a GPU would otherwise round their inputs to TF32
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            features: torch.Tensor = self.forward(images.to(self.device))
            return features.float().cpu()


def _sizes_differ(one: tuple[int, ...], other: tuple[int, ...]) -> DkvbError:
    sizes = " and ".join(f"{shape[-1]}×{shape[-2]}" for shape in (one, other))
    return DkvbError(f"The encoder needs images of one size and found {sizes} pixels; set `encoder.size = 32` (say) to resize them all.")


def _default_tag(name: str) -> str:
    return {"resnet50": "IMAGENET1K_V1", "timm": "default"}.get(name.partition(":")[0], "openai")


def _open_clip(settings: Encoder, arch: str, device: str) -> FrozenEncoder:
    """CLIP's image tower: feature = encode_image, projected, not normalised."""
    import open_clip

    config = open_clip.get_model_config(arch)
    if config is None:
        raise UsageError(f"open_clip has no architecture '{arch}'{_closest(arch, open_clip.list_models())}")
    file = _local_file(settings.weights)
    tag = None if file or settings.weights == "random" else settings.weights or _default_tag(settings.name)
    tagged = open_clip.get_pretrained_cfg(arch, tag) if tag else {}
    if tag and not tagged:
        tags = open_clip.list_pretrained_tags_by_model(arch)
        raise _unknown_tag(tag, arch, tags)
    state = _read_state_dict(file) if file else None
    # OpenAI's own archives were all trained with QuickGELU, whatever the architecture's name says
    quick = bool(tagged.get("quick_gelu")) or bool(file and _is_torchscript(file))

    def build() -> tuple[Any, Any]:
        model, _, transform = open_clip.create_model_and_transforms(
            arch, tag, precision="fp32", force_quick_gelu=quick, pretrained_text=False, pretrained_image=False
        )
        return model, transform

    if tag:
        example = Path(tagged.get("url") or "open_clip_model.safetensors").name
        model, transform = _fetch(build, f"'{tag}' of {arch}", example)
    else:
        model, transform = _seeded(build)
    if state is not None:
        visual = {key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")}
        _load_into(model.visual, visual, file, f"the image tower of {arch}")
    return NetworkEncoder(settings.name, model, transform, device)


def _resnet50(settings: Encoder, device: str) -> FrozenEncoder:
    """torchvision's ResNet50 up to a layer, averaged over space; averaged layer4 is what avgpool computes."""
    from torch.nn import AdaptiveAvgPool2d, Flatten, Identity, Sequential
    from torchvision.models import ResNet50_Weights, resnet50

    layer = settings.layer or "avgpool"
    if layer not in LAYERS:
        raise UsageError(f"encoder.layer = '{layer}' is no layer of resnet50{nearest(layer, LAYERS)}")
    file = _local_file(settings.weights)
    tag = None if file or settings.weights == "random" else settings.weights or _default_tag(settings.name)
    if tag and tag not in ResNet50_Weights.__members__:
        raise _unknown_tag(tag, "resnet50", list(ResNet50_Weights.__members__))
    trained = ResNet50_Weights[tag or _default_tag(settings.name)]
    model: Any = _seeded(resnet50)
    model.fc = Identity()
    if file or tag:
        source = file or _fetch_url(trained.url, f"'{tag}' of resnet50")
        state = {key: value for key, value in _read_state_dict(source).items() if not key.startswith("fc.")}
        _load_into(model, state, source, "resnet50")
    blocks = [model.conv1, model.bn1, model.relu, model.maxpool, model.layer1, model.layer2, model.layer3, model.layer4]
    network = Sequential(*blocks[: 5 + min(LAYERS.index(layer), 3)], AdaptiveAvgPool2d(1), Flatten())
    return NetworkEncoder(settings.name, network, trained.transforms(), device)


def _timm(settings: Encoder, arch: str, device: str) -> FrozenEncoder:
    """A timm model without its classifier, and the evaluation transform of its own data configuration."""
    import timm
    from timm.data import create_transform, resolve_model_data_config

    base, _, own_tag = arch.partition(".")
    if not timm.is_model(base):
        raise UsageError(f"timm has no architecture '{base}'{_closest(base, timm.list_models())}")
    file = _local_file(settings.weights)
    tag = own_tag if file or settings.weights in (None, "random") else settings.weights
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{base}*") if name.partition(".")[0] == base]
    if tag and tag not in tags:
        raise _unknown_tag(tag, base, tags)
    full = f"{base}.{tag}" if tag else base

    def build(pretrained: bool = False) -> Any:
        return timm.create_model(full, pretrained=pretrained, num_classes=0)

    if file or settings.weights == "random":
        model = _seeded(build)
    else:
        model = _fetch(lambda: build(True), f"'{tag or 'default'}' of {base}", "model.safetensors")
    if file:
        classifier = model.pretrained_cfg.get("classifier") or ()
        heads = tuple(f"{name}." for name in ((classifier,) if isinstance(classifier, str) else classifier))
        state = {key: value for key, value in _read_state_dict(file).items() if not key.startswith(heads)}
        _load_into(model, state, file, base)
    return NetworkEncoder(settings.name, model, create_transform(**resolve_model_data_config(model), is_training=False), device)


# Weights: from a local file, the libraries' caches or a download, or random from a fixed seed.


def _local_file(value: str | None) -> Path | None:
    """The file that `encoder.weights` names, or None where it is a tag, "random" or not set.

    Raises:
        UsageError: it is written like a path and no file is there.
    """
    if value is None or value == "random":
        return None
    path = Path(value).expanduser()
    if path.is_file():
        return path
    if path.is_absolute() or path.suffix in (".pt", ".pth", ".bin", ".safetensors", ".ckpt") or "/" in value or os.sep in value:
        raise UsageError(f"encoder.weights names {path}, which is no file; give a weights file, a tag, or leave it out.")
    return None


def _closest(name: str, known: Sequence[str]) -> str:
    """`; did you mean …?` with up to three close names of a long list, or where it starts."""
    close = difflib.get_close_matches(name, known, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else f"; it has {len(known)}, such as {', '.join(known[:5])}."


def _unknown_tag(tag: str, arch: str, tags: Sequence[str]) -> UsageError:
    listed = ", ".join(tags) or "none"
    return UsageError(
        f"encoder.weights = '{tag}' is no tag of {arch}; its tags are: {listed}. A weights file's path or 'random' works too."
    )


def _seeded(build: Callable[[], T]) -> T:
    """Build a network whose random weights are always the same; the global random state stays as it was."""
    import torch

    with _quiet(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return build()


def _is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, the form in which OpenAI published CLIP."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Parameters by name from `.safetensors`, a TorchScript archive, or a state dict; no code in the file is unpickled.

    Raises:
        UsageError: damaged, or none of these.
    """
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        elif _is_torchscript(path):
            with _quiet():
                state = torch.jit.load(path, map_location="cpu").state_dict()
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # each reader has its own errors
        reason = re.split(r"[.\n]", str(error) or type(error).__name__, maxsplit=1)[0]
        raise UsageError(
            f"The weights file {path} cannot be read ({reason}); give .safetensors, a state dict (.pt, .bin) or a TorchScript archive."
        ) from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UsageError(f"The weights file {path} holds no state dict (parameters by name); save model.state_dict().")
    return {key.removeprefix("module."): value for key, value in state.items()}


def _load_into(module: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path | None, what: str) -> None:
    """Copy parameters into a network.

    Raises:
        UsageError: names or shapes differ; the message gives the first of each.
    """
    own = module.state_dict()
    faults = {
        "lacks": [key for key in own if key not in state and not key.endswith("num_batches_tracked")],
        "has besides": [key for key in state if key not in own],
        "has in another shape": [key for key in own if key in state and own[key].shape != state[key].shape],
    }
    if any(faults.values()):
        found = "; it ".join(f"{fault} {_first(keys)}" for fault, keys in faults.items() if keys)
        remedy = "Set encoder.name to what it holds, or give another file."
        raise UsageError(f"{path} does not hold the weights of {what}: it {found}. {remedy}")
    module.load_state_dict(dict(state), strict=False)


def _fetch(load: Callable[[], T], what: str, example: str) -> T:
    """Call a library's loader, with its hub's cache alone if that suffices, else with the network.

    Args:
        what: the weights in words.
        example: a file name under which they are found.

    Raises:
        DkvbError: they are in no cache and cannot be downloaded.
    """
    from huggingface_hub import constants

    barred = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        return _seeded(load)
    except Exception:  # whatever it was, the attempt with the network meets it again
        pass
    finally:
        constants.HF_HUB_OFFLINE = barred
    reason = "the environment says HF_HUB_OFFLINE" if barred else _unreachable(constants.ENDPOINT)
    if reason:
        raise _missing(what, example, reason)
    progress.note(f"downloading the weights {what}")
    try:
        return _seeded(load)
    except Exception as error:
        raise _missing(what, example, str(error)[:200] or type(error).__name__) from None


def _fetch_url(url: str, what: str) -> Path:
    """The file that torch.hub keeps for a URL, downloaded if it is not there yet.

    Raises:
        DkvbError: it is not there and cannot be downloaded.
    """
    import torch

    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if file.is_file():
        return file
    digits = re.search(r"-([0-9a-f]{8,})\.", file.name)
    try:
        if reason := _unreachable(url):
            raise OSError(reason)
        progress.note(f"downloading the weights {what}")
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), digits[1] if digits else None, progress=False)
    except (OSError, RuntimeError) as error:
        raise _missing(what, file.name, str(error)[:200], f"put {file.name} into {file.parent}, or ") from None
    return file


def _missing(what: str, example: str, reason: str, either: str = "") -> DkvbError:
    return DkvbError(
        f"The weights {what} are not on this machine and their download failed ({reason.rstrip('.')}). Fetch them on another machine, then "
        f'{either}set `encoder.weights = "/path/to/{example}"` in the recipe.'
    )


def _unreachable(url: str) -> str | None:
    """Why a host does not answer, or None if it does; the libraries' own retries take most of a minute to say so."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=TIMEOUT).close()
    except urllib.error.HTTPError:
        return None
    except urllib.error.URLError as error:
        # the libraries may trust other certificates
        return None if isinstance(error.reason, ssl.SSLError) else str(error.reason)
    except OSError as error:
        return str(error) or type(error).__name__
    return None


def _first(keys: Sequence[str], limit: int = 2) -> str:
    return ", ".join(keys[:limit]) + (f" and {len(keys) - limit} more" if len(keys) > limit else "")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' warnings, logging and progress bars off stderr; what matters is said by our own errors."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    root, handler, before = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    bars = not are_progress_bars_disabled()
    # with no handler at all, logging's shorthand functions would install one that prints, for good
    root.addHandler(handler)
    logging.disable(logging.CRITICAL)
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if bars:
            enable_progress_bars()
        logging.disable(before)
        root.removeHandler(handler)
