"""The paper's numbers as data (arXiv 2311.15268): accuracies and changes as shares, not percent; seconds on an RTX8000."""

from __future__ import annotations

from dataclasses import dataclass, field

SPLITS = ("train", "retain_train", "forget_train", "test", "retain_test", "forget_test")
"""Columns of Table 1."""


def _shares(*percent: float) -> dict[str, float]:
    return dict(zip(SPLITS, (round(value / 100, 6) for value in percent), strict=True))


@dataclass(frozen=True)
class Published:
    """What the paper says of one data set and encoder."""

    name: str
    recipe: str
    """The built-in recipe with its settings."""
    change_table: str
    """The table that `changes` are from."""
    curves: str
    """The figures that show its sweeps."""
    trained: dict[str, dict[str, float]] = field(default_factory=dict)
    """Table 1: model -> split -> accuracy."""
    changes: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Method -> change of accuracy on retain test data relative to the trained model, and on forget test data."""
    first_zero: dict[str, int] = field(default_factory=dict)
    """Appendix C: method -> the first N at 0 % forget accuracy."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Table 8: method -> seconds."""
    attack: dict[str, float] = field(default_factory=dict)
    """Table 3: method -> the attacker's accuracy."""


PAPER = {
    ("cifar10", "clip-vit-b32"): Published(
        "CIFAR-10",
        "cifar10",
        "Table 2",
        "Figures 2 and 3",
        {"dkvb": _shares(100, 100, 100, 93.01, 92.61, 96.50), "linear": _shares(93.27, 92.82, 97.32, 93.02, 92.59, 96.90)},
        {"activations": (0.0036, -1.0), "examples": (0.0045, -1.0), "scrub": (0.0162, -1.0)},
        {"activations": 180_000, "examples": 3_200},
        {"activations": 5.02, "examples": 13.98, "scrub": 288.80},
        {"activations": 0.535, "scrub-r": 0.515},
    ),
    ("cifar100", "clip-vit-b32"): Published(
        "CIFAR-100",
        "cifar100",
        "Table 2",
        "Figures 2 and 3",
        {"dkvb": _shares(99.98, 99.98, 100, 78.43, 78.24, 96.00), "linear": _shares(86.73, 86.61, 99.00, 78.53, 78.35, 96.00)},
        {"activations": (-0.0020, -1.0), "examples": (-0.0036, -1.0), "scrub": (-0.0091, -1.0)},
        {"activations": 70_000, "examples": 150},
        {"activations": 1.57, "examples": 6.65, "scrub": 921.56},
    ),
    ("lacuna100", "clip-vit-b32"): Published(
        "LACUNA-100",
        "lacuna100",
        "Table 2",
        "Figures 2 and 3",
        {"dkvb": _shares(98.09, 98.07, 100, 90.38, 90.28, 100), "linear": _shares(95.58, 95.53, 100, 90.68, 90.59, 100)},
        {"activations": (-0.0017, -1.0), "examples": (-0.0009, -1.0), "scrub": (-0.0110, -1.0)},
        {"activations": 150_000, "examples": 300},
        {"activations": 2.74, "examples": 13.03, "scrub": 553.31},
    ),
    ("cifar10", "resnet50"): Published(
        "CIFAR-10, ResNet50",
        "cifar10-resnet50",
        "Table 9",
        "Figure 7",
        changes={"activations": (0.0004, -1.0), "examples": (-0.0007, -1.0), "scrub": (0.0044, -0.9604)},
    ),
    ("imagenet1k", "clip-vit-b32"): Published(
        "ImageNet-1k",
        "imagenet1k",
        "Table 10",
        "Figure 8",
        changes={"activations": (0.0015, -1.0), "examples": (-0.0003, -1.0), "scrub": (0.0731, -1.0)},
    ),
}
"""(Data source, encoder) -> what the paper says. Of Table 9, SCRUB's case A; its case B is -11.75 % at -100 %."""
EXPERIMENTS = {entry.recipe: key for key, entry in PAPER.items()}
"""Built-in recipe -> key of PAPER."""
EPOCHS = {"cifar10": 74, "cifar100": 71, "lacuna100": 7}
"""Table 4: epochs of training the bottleneck."""
