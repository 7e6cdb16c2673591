"""What a step will take on this machine: time from steps of the same kind that ran here, scaled by size, and the disk
it fills."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dkvb.errors import DkvbError
from dkvb.recipe import Keys, Recipe, load
from dkvb.records.embed import EmbedResult
from dkvb.records.unlearn import UnlearnResult
from dkvb.runtime import progress
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.settings import BottleneckSettings, EmbedSettings, LinearSettings, QuantizeSettings
from dkvb.workspace.specs import embed_settings

ITERATIONS = 100
"""Passes over the rows that training a linear head to convergence is taken to need."""


@dataclass(frozen=True)
class Size:
    """Rows, width and classes of a data set."""

    train: int
    test: int
    width: int
    classes: int

    @classmethod
    def embedded(cls, features: Artifact) -> Size:
        result = features.result_as(EmbedResult)
        return cls(result.train, result.test, result.dim, len(result.classes))

    @classmethod
    def of(cls, recipe: Recipe, workspace: Workspace) -> Size:
        """From its embeddings, or from the data themselves where nothing is embedded yet."""
        if features := workspace.find("embed", embed_settings(recipe)):
            return cls.embedded(features)
        from dkvb.sources.opening import open_source

        source = open_source(recipe.data)
        rows = {name: len(split.labels) for name, split in source.splits.items()}
        width = {"clip-vit-b32": 512, "resnet50": 2048}.get(recipe.encoder.name, 1024)
        return cls(rows["train"], rows["test"], width, len(source.classes))


def work(step: str, recipe: Recipe, size: Size) -> float:
    """How much there is to do, in units that cancel out between steps of one kind."""
    keys, values = recipe.keys, recipe.keys.codebooks * recipe.keys.pairs * size.classes
    steps = size.train / recipe.train.batch_size
    rows = size.train + size.test
    passes = recipe.linear.epochs if recipe.linear.until == "epochs" else ITERATIONS
    selected = keys.codebooks * keys.top_k
    training = recipe.train.epochs * (steps * values + size.train * selected * size.classes)
    return {
        "embed": float(rows),
        "quantize": float(size.train * keys.epochs + rows * (1 + keys.top_k / 4)) * keys.codebooks * keys.pairs,
        "train": training,
        "retrain": training,
        "retrain-keys": training + float(size.train * keys.epochs) * keys.codebooks * keys.pairs,
        "scrub": float(size.train * size.width * size.classes),
        "scrub-r": float(size.train * size.width * size.classes),
        "scrub-values": steps * values,
        "retrain-linear": float(size.train * size.width * size.classes * passes),
    }.get(step, float(rows * selected))


def disk(step: str, recipe: Recipe, size: Size) -> int:
    """Bytes that a step's artifacts fill."""
    keys = recipe.keys
    rows, pairs = size.train + size.test, keys.codebooks * keys.pairs
    kept_out = round(size.train * recipe.data.validation)
    coded = (
        rows * keys.codebooks * keys.top_k * 2
        + (size.test + kept_out) * keys.codebooks * min(keys.neighbours, keys.pairs) * 2
    )
    quantized = coded + pairs * keys.dim * 4 + keys.codebooks * size.width * keys.dim * 4
    values = pairs * size.classes * 4
    return {
        "embed": rows * size.width * 4,
        "quantize": quantized,
        "train": values + values // 4,
        "retrain": values,
        "retrain-keys": values + quantized,
        "scrub-values": values,
        "membership": rows * size.width * 4 + quantized + 2 * values,
    }.get(step, pairs // 8 + 100_000)


def kind(step: str, recipe: Recipe) -> str:
    """What a step's time is scaled from: steps of one kind, and of embeddings those by one encoder, or by none."""
    encoder = "" if recipe.data.features else recipe.encoder.name
    return {"embed": f"embed {encoder}", "membership": "train"}.get(step, step)


class Estimator:
    """Seconds per unit of work, by kind of step: from the workspace, else from a run of the digits recipe, made when
    first needed."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.measured = _rates(workspace)

    def estimate(self, step: str, recipe: Recipe, size: Size) -> tuple[float | None, int]:
        """Seconds, None where nothing tells (an encoder that has not run here), and bytes."""
        if step == "membership":  # another model, trained without a class, and a sweep or two
            parts = [
                self.estimate(name, recipe, size)[0]
                for name in ("quantize", "train", "votes", "activations", "examples")
            ]
            return round(sum(part or 0.0 for part in parts), 3), disk(step, recipe, size)
        rate = self.measured.get(kind(step, recipe))
        if rate is None and step != "embed":
            rate = self._calibration.get(step)
        if rate is None and step == "embed" and recipe.data.features:
            rate = self._calibration.get("embed pixels")  # no encoder either: rows are read and written
        return None if rate is None else round(rate * work(step, recipe, size), 3), disk(step, recipe, size)

    @cached_property
    def _calibration(self) -> dict[str, float]:
        from dkvb.stages import embed, train, unlearn

        progress.note("no steps of this kind have run in this workspace: measuring this machine on the digits recipe")
        recipe = load("digits")
        methods = [
            "votes",
            "activations",
            "examples",
            "scrub",
            "logit-mask",
            "scrub-values",
            "scrub-r",
            "retrain",
            "retrain-keys",
            "retrain-linear",
        ]
        recipe = recipe.with_(
            keys={"codebooks": 32, "epochs": 3},
            train={"epochs": 5},
            unlearn={"method": methods},
            linear={"until": "epochs", "converged": False, "epochs": 5},
        )
        with tempfile.TemporaryDirectory() as folder, progress.silenced():
            place = Workspace(Path(folder) / "data", Path(folder) / "reports")
            try:
                for stage in (embed, train, unlearn):
                    stage.run(recipe, place)
            except DkvbError:
                pass  # what went wrong is for the steps themselves to say; without a measurement there is no estimate
            return _rates(place)


def _rates(workspace: Workspace) -> dict[str, float]:
    """Step -> seconds per unit of work, of the largest piece of work of that kind."""
    largest: dict[str, tuple[float, float]] = {}
    """Step -> how much work it was, and the seconds per unit."""
    lineage = Lineage(workspace)

    def add(step: str, seconds: float, recipe: Recipe, features: Artifact) -> None:
        amount = work(step.split()[0], recipe, Size.embedded(features))
        if amount > largest.get(step, (0.0, 0.0))[0]:
            largest[step] = (amount, seconds / amount)

    for embeds in lineage.all("embed"):
        encoder = embeds.settings_as(EmbedSettings).encoder
        add(f"embed {encoder.name if encoder else ''}", embeds.seconds, Recipe(), embeds)
    for codes in lineage.all("quantize"):
        if features := lineage.input_of(codes, "embed"):
            add("quantize", codes.seconds, Recipe(keys=_keys(codes)), features)
    recipes: dict[str, tuple[Recipe, Artifact]] = {}
    for model in lineage.all("train"):
        made = lineage.trained_from(model)
        if made is None:
            continue
        if made.codes:
            recipe = Recipe(train=model.settings_as(BottleneckSettings).train, keys=_keys(made.codes))
        else:
            recipe = Recipe(linear=model.settings_as(LinearSettings).linear)
        recipes[model.fingerprint] = recipe, made.features
        if made.codes:
            add("train", model.seconds, recipe, made.features)
    for artifact in lineage.all("unlearn"):
        of = recipes.get(artifact.inputs.get("train", ""))
        if artifact.kind == "forget" and of:
            result = artifact.result_as(UnlearnResult)
            add(result.method, artifact.seconds + result.seconds, *of)
    return {step: rate for step, (_, rate) in largest.items()}


def _keys(codes: Artifact) -> Keys:
    return codes.settings_as(QuantizeSettings).keys
