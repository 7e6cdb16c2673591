"""What one unit of work of a large job takes on one core: the constants of docs/scale_out.md's predictions.

Seconds are those of the processor, of one thread, on made-up data of the job's size: what they take depends on shapes,
not on what the data are.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from memory import features
from PIL import Image
from scale_costs import say

from dkvb.encoders.networks import load_encoder
from dkvb.recipe import Encoder, Recipe, load
from dkvb.runtime import parallel, progress
from dkvb.sources.base import FeatureSource, FeatureSplit
from dkvb.stages import embed, quantize, train, unlearn
from dkvb.workspace.artifacts import Workspace

IMAGENET, CIFAR100 = 1_281_167, 50_000


def spent(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    started = time.process_time()
    work()
    return time.process_time() - started


def one_image() -> None:
    """A photograph of ImageNet's usual size, decoded and through ViT-B/32 with random weights."""
    rng, held = np.random.default_rng(0), BytesIO()
    coarse = Image.fromarray(rng.integers(0, 256, (94, 125, 3), np.uint8))
    coarse.resize((500, 375), Image.Resampling.BICUBIC).save(held, "JPEG", quality=92)
    encoder = load_encoder(Encoder(name="clip-vit-b32", weights="random"), "cpu", "RGB")
    ready = [encoder.preprocess(Image.open(BytesIO(held.getvalue())))] * 32
    decoding = spent(lambda: [encoder.preprocess(Image.open(BytesIO(held.getvalue())).convert("RGB")) for _ in ready])
    encoder.encode(torch.stack(ready[:2]))
    forward = spent(lambda: encoder.encode(torch.stack(ready)))
    say("embed: a JPEG of 500 x 375 decoded", f"{decoding / 32 * 1e3:.1f} ms, {len(held.getvalue()) / 1000:.0f} kB")
    say("embed: its way through ViT-B/32", f"{forward / 32 * 1e3:.1f} ms")


def imagenet(rows: int, folder: Path) -> None:
    """What one process does when all shards are done, and a pass and a codebook of `quantize`."""
    workspace = Workspace(folder / "data", folder / "reports")
    source = features(rows)
    recipe = load("arrays").with_(data={"validation": 0.0})
    embed.run(recipe, workspace, source=source)
    for manifest in (folder / "data").glob("embed/*/manifest.json"):
        manifest.unlink()
    serial = spent(lambda: embed.run(recipe, workspace, source=source))
    say(f"embed: once all shards of {rows:,} rows are done", f"{serial:.1f} s")
    taken = []
    for codebooks in (1, 2):
        keys = {"codebooks": codebooks, "pairs": 4096, "dim": 8, "epochs": 10, "init": "official"}
        fitted = recipe.with_(keys=keys)
        taken.append(spent(lambda fitted=fitted: quantize.run(fitted, workspace)))  # type: ignore[misc]
    say(f"quantize: a codebook of {rows:,} rows", f"{taken[1] - taken[0]:.1f} s")
    say("quantize: a pass over the features", f"{2 * taken[0] - taken[1]:.1f} s, what goes before it included")


def made_up(rows: int, test: int, classes: int, width: int = 512) -> FeatureSource:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((classes, width), np.float32)
    splits = {}
    for name, count in (("train", rows), ("test", test)):
        y = np.arange(count) % classes
        x = centres[y] + 3 * rng.standard_normal((count, width), np.float32)
        splits[name] = FeatureSplit([str(i) for i in range(count)], y, x)
    return FeatureSource([str(c) for c in range(classes)], lambda: "made-up", [], splits)


def cifar100(rows: int, folder: Path) -> None:
    """Unlearning one of a hundred classes at CIFAR-100's size, a method a unit, sweep included."""
    workspace = Workspace(folder / "data", folder / "reports")
    recipe: Recipe = load("features").with_(
        data={"validation": 0.1},
        keys={"pairs": 4096, "dim": 8, "epochs": 1},
        train={"epochs": 1},
        linear={"until": "epochs", "epochs": 2},
        unlearn={"forget": ["0"], "sweep": True},
    )
    embed.run(recipe, workspace, source=made_up(rows, rows // 5, 100))
    quantize.run(recipe, workspace)
    trained = spent(lambda: train.run(recipe, workspace))
    say(f"train: an epoch of values, {rows:,} rows, 100 classes", f"{trained:.1f} s, the linear head with it")
    for name in ("votes", "activations", "examples", "logit-mask", "scrub"):
        own = recipe.with_(unlearn={"method": name, "na": "auto", "ne": "auto"})
        say(f"unlearn: a class, {name}", f"{spent(lambda own=own: unlearn.run(own, workspace)):.1f} s")  # type: ignore[misc]


def show(imagenet_rows: int = IMAGENET, cifar_rows: int = CIFAR100) -> None:
    progress.silence()
    torch.set_num_threads(1)
    parallel._share = 1  # one thread, as in a worker
    one_image()
    for work, rows in ((cifar100, cifar_rows), (imagenet, imagenet_rows)):
        with tempfile.TemporaryDirectory() as folder:
            work(rows, Path(folder))
