"""Frozen encoders by name: images to feature vectors, weights never trained (paper, section 5.1 and Appendix G)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dkvb.encoders.base import FrozenEncoder
from dkvb.encoders.names import CLIP_ARCH, LAYERS, NAMES, default_tag
from dkvb.encoders.network_encoder import NetworkEncoder
from dkvb.encoders.pixels import PixelEncoder
from dkvb.encoders.weights import (
    closest,
    fetch,
    fetch_url,
    is_torchscript,
    load_into,
    local_file,
    read_state_dict,
    seeded,
    unknown_tag,
)
from dkvb.errors import UsageError, nearest
from dkvb.recipe import Encoder
from dkvb.workspace.files import sha256


def load_encoder(settings: Encoder, device: str, mode: str) -> FrozenEncoder:
    """Load the encoder that a recipe's `[encoder]` section names; `mode` is the image source's, "RGB" or "L".

    `size` applies to pixels alone and `layer` to resnet50 alone. Random weights are the same on every call.

    Raises:
        UsageError: unknown encoder, architecture, tag or layer; a weights file that is missing, unreadable or of
        another architecture; a backend that is not installed or cannot compute this. DkvbError: weights that are not on
        this machine and cannot be downloaded.
    """
    if settings.name == "pixels":
        if settings.backend != "torch":
            raise UsageError(f'encoder.backend = "{settings.backend}" is for networks, not for pixels: leave it out.')
        return PixelEncoder(settings.size, mode)
    network = _network(settings, device)
    if settings.backend == "torch":
        return network
    from dkvb.encoders.openvino import OpenVinoEncoder

    return OpenVinoEncoder(network)


def _network(settings: Encoder, device: str) -> NetworkEncoder:
    kind, _, arch = settings.name.partition(":")
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
    if file := local_file(settings.weights):
        return f"sha256:{sha256(file)}"
    return f"tag:{settings.weights or default_tag(settings.name)}"


def _open_clip(settings: Encoder, arch: str, device: str) -> NetworkEncoder:
    """CLIP's image tower: feature = encode_image, projected, not normalised."""
    import open_clip

    config = open_clip.get_model_config(arch)
    if config is None:
        raise UsageError(f"open_clip has no architecture '{arch}'{closest(arch, open_clip.list_models())}")
    file = local_file(settings.weights)
    tag = None if file or settings.weights == "random" else settings.weights or default_tag(settings.name)
    tagged = open_clip.get_pretrained_cfg(arch, tag) if tag else {}
    if tag and not tagged:
        tags = open_clip.list_pretrained_tags_by_model(arch)
        raise unknown_tag(tag, arch, tags)
    state = read_state_dict(file) if file else None
    # OpenAI's own archives were all trained with QuickGELU, whatever the architecture's name says
    quick = bool(tagged.get("quick_gelu")) or bool(file and is_torchscript(file))

    def build() -> tuple[Any, Any]:
        model, _, transform = open_clip.create_model_and_transforms(
            arch, tag, precision="fp32", force_quick_gelu=quick, pretrained_text=False, pretrained_image=False
        )
        return model, transform

    if tag:
        example = Path(tagged.get("url") or "open_clip_model.safetensors").name
        model, transform = fetch(build, f"'{tag}' of {arch}", example)
    else:
        model, transform = seeded(build)
    if state is not None:
        visual = {key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")}
        load_into(model.visual, visual, file, f"the image tower of {arch}")
    return NetworkEncoder(settings, model, transform, device)


def _resnet50(settings: Encoder, device: str) -> NetworkEncoder:
    """torchvision's ResNet50 up to a layer, averaged over space; averaged layer4 is what avgpool computes."""
    from torch.nn import AdaptiveAvgPool2d, Flatten, Identity, Sequential
    from torchvision.models import ResNet50_Weights, resnet50

    layer = settings.layer or "avgpool"
    if layer not in LAYERS:
        raise UsageError(f"encoder.layer = '{layer}' is no layer of resnet50{nearest(layer, LAYERS)}")
    file = local_file(settings.weights)
    tag = None if file or settings.weights == "random" else settings.weights or default_tag(settings.name)
    if tag and tag not in ResNet50_Weights.__members__:
        raise unknown_tag(tag, "resnet50", list(ResNet50_Weights.__members__))
    trained = ResNet50_Weights[tag or default_tag(settings.name)]
    model: Any = seeded(resnet50)
    model.fc = Identity()
    if file or tag:
        source = file or fetch_url(trained.url, f"'{tag}' of resnet50")
        state = {key: value for key, value in read_state_dict(source).items() if not key.startswith("fc.")}
        load_into(model, state, source, "resnet50")
    blocks = [model.conv1, model.bn1, model.relu, model.maxpool, model.layer1, model.layer2, model.layer3, model.layer4]
    network = Sequential(*blocks[: 5 + min(LAYERS.index(layer), 3)], AdaptiveAvgPool2d(1), Flatten())
    return NetworkEncoder(settings, network, trained.transforms(), device)


def _timm(settings: Encoder, arch: str, device: str) -> NetworkEncoder:
    """A timm model without its classifier, and the evaluation transform of its own data configuration."""
    import timm
    from timm.data import create_transform, resolve_model_data_config

    base, _, own_tag = arch.partition(".")
    if not timm.is_model(base):
        raise UsageError(f"timm has no architecture '{base}'{closest(base, timm.list_models())}")
    file = local_file(settings.weights)
    tag = own_tag if file or settings.weights in (None, "random") else settings.weights
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{base}*") if name.partition(".")[0] == base]
    if tag and tag not in tags:
        raise unknown_tag(tag, base, tags)
    full = f"{base}.{tag}" if tag else base

    def build(pretrained: bool = False) -> Any:
        return timm.create_model(full, pretrained=pretrained, num_classes=0)

    if file or settings.weights == "random":
        model = seeded(build)
    else:
        model = fetch(lambda: build(True), f"'{tag or 'default'}' of {base}", "model.safetensors")
    if file:
        classifier = model.pretrained_cfg.get("classifier") or ()
        heads = tuple(f"{name}." for name in ((classifier,) if isinstance(classifier, str) else classifier))
        state = {key: value for key, value in read_state_dict(file).items() if not key.startswith(heads)}
        load_into(model, state, file, base)
    return NetworkEncoder(
        settings, model, create_transform(**resolve_model_data_config(model), is_training=False), device
    )
