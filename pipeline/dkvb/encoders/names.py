"""What encoders are called, and which published weights are theirs where a recipe names none."""

from __future__ import annotations

NAMES = ("clip-vit-b32", "resnet50", "pixels", "open_clip:ARCH", "timm:ARCH")


LAYERS = ("layer1", "layer2", "layer3", "layer4", "avgpool")


CLIP_ARCH = "ViT-B-32-quickgelu"  # plain ViT-B-32 computes another activation than OpenAI's weights were trained with


def default_tag(name: str) -> str:
    """The tag of the weights that are taken where `encoder.weights` is not set."""
    return {"resnet50": "IMAGENET1K_V1", "timm": "default"}.get(name.partition(":")[0], "openai")
