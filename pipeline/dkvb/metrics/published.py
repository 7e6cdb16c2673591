"""The paper's numbers as data (arXiv 2311.15268): accuracies and changes as shares, not percent; seconds on an
RTX8000."""

from __future__ import annotations

from dataclasses import dataclass, field

TABLE_1_COLUMNS = ("train", "retain_train", "forget_train", "test", "retain_test", "forget_test")
"""The accuracies that Table 1 gives of a model, in its order."""

FIGURES = {"activations": "Figure 2", "examples": "Figure 3"}
"""The figures of the main text that show a method's sweep."""


def _shares(*percent: float) -> dict[str, float]:
    return dict(zip(TABLE_1_COLUMNS, (round(value / 100, 6) for value in percent), strict=True))


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
    """Method -> change of accuracy on retain test data, and on forget test data, as a share of what the trained model
    has there."""
    first_zero: dict[str, int] = field(default_factory=dict)
    """Appendix C: method -> the first N at 0 % forget accuracy."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Table 8: method -> seconds."""
    attack: dict[str, float] = field(default_factory=dict)
    """Table 3: method -> the attacker's accuracy."""
    also: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Like `changes`: the second case of a method that the table reports twice."""
    points: dict[str, tuple[tuple[int, float, float], ...]] = field(default_factory=dict)
    """Appendix C: method -> points of its figure that the text spells out, as (N, forget test accuracy, retain test
    accuracy)."""
    best: int | None = None
    """Figure 5: the class that the paper forgets, as the best learned."""

    def figure(self, method: str) -> str:
        """The figure that shows a method's sweep; of a method that the paper does not have, the one it is drawn as."""
        if method not in FIGURES:
            return "as Figure 2"
        return FIGURES[method] if self.curves.startswith("Figures 2") else self.curves


PAPER = {
    ("cifar10", "clip-vit-b32"): Published(
        "CIFAR-10",
        "cifar10",
        "Table 2",
        "Figures 2 and 3",
        {
            "dkvb": _shares(100, 100, 100, 93.01, 92.61, 96.50),
            "linear": _shares(93.27, 92.82, 97.32, 93.02, 92.59, 96.90),
        },
        {"activations": (0.0036, -1.0), "examples": (0.0045, -1.0), "scrub": (0.0162, -1.0)},
        {"activations": 180_000, "examples": 3_200},
        {"activations": 5.02, "examples": 13.98, "scrub": 288.80},
        {"activations": 0.535, "scrub-r": 0.515},
        points={
            "activations": ((0, 0.965, 0.9261), (150_000, 0.1, 0.9297), (180_000, 0.0, 0.9294)),
            "examples": (
                *((0, 0.965, 0.9261), (2_400, 0.1804, 0.9295), (2_600, 0.0668, 0.9298)),
                *((3_000, 0.0008, 0.9299), (3_200, 0.0, 0.9302)),
            ),
        },
        best=1,
    ),
    ("cifar100", "clip-vit-b32"): Published(
        "CIFAR-100",
        "cifar100",
        "Table 2",
        "Figures 2 and 3",
        {
            "dkvb": _shares(99.98, 99.98, 100, 78.43, 78.24, 96.00),
            "linear": _shares(86.73, 86.61, 99.00, 78.53, 78.35, 96.00),
        },
        {"activations": (-0.0020, -1.0), "examples": (-0.0036, -1.0), "scrub": (-0.0091, -1.0)},
        {"activations": 70_000, "examples": 150},
        {"activations": 1.57, "examples": 6.65, "scrub": 921.56},
        points={
            "activations": ((0, 0.96, 0.7824), (65_000, 0.01, 0.7814), (70_000, 0.0, 0.7808)),
            "examples": ((0, 0.96, 0.7824), (110, 0.05, 0.7799), (120, 0.016, 0.7801), (150, 0.0, 0.7796)),
        },
        best=58,
    ),
    ("lacuna100", "clip-vit-b32"): Published(
        "LACUNA-100",
        "lacuna100",
        "Table 2",
        "Figures 2 and 3",
        {
            "dkvb": _shares(98.09, 98.07, 100, 90.38, 90.28, 100),
            "linear": _shares(95.58, 95.53, 100, 90.68, 90.59, 100),
        },
        {"activations": (-0.0017, -1.0), "examples": (-0.0009, -1.0), "scrub": (-0.0110, -1.0)},
        {"activations": 150_000, "examples": 300},
        {"activations": 2.74, "examples": 13.03, "scrub": 553.31},
        points={
            "activations": ((0, 1.0, 0.9028), (140_000, 0.02, 0.9024), (150_000, 0.0, 0.9013)),
            "examples": ((0, 1.0, 0.9028), (260, 0.01, 0.9025), (300, 0.0, 0.902)),
        },
        best=48,
    ),
    ("cifar10", "resnet50"): Published(
        "CIFAR-10, ResNet50",
        "cifar10-resnet50",
        "Table 9",
        "Figure 7",
        changes={"activations": (0.0004, -1.0), "examples": (-0.0007, -1.0), "scrub": (0.0044, -0.9604)},
        also={"scrub": (-0.1175, -1.0)},
    ),
    ("imagenet1k", "clip-vit-b32"): Published(
        "ImageNet-1k",
        "imagenet1k",
        "Table 10",
        "Figure 8",
        changes={"activations": (0.0015, -1.0), "examples": (-0.0003, -1.0), "scrub": (0.0731, -1.0)},
    ),
}
"""(Data source, encoder) -> what the paper says. Of Table 9, `changes` holds SCRUB's case A and `also` its case B."""


EXPERIMENTS = {entry.recipe: key for key, entry in PAPER.items()}
"""Built-in recipe -> key of PAPER."""
