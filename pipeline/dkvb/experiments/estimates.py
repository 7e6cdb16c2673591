"""What a step will take on this machine: seconds by rates measured now, corrected by what such steps took in this
workspace, and the disk and memory it fills."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from dkvb.encoders.networks import load_encoder
from dkvb.encoders.speed import time_encoder
from dkvb.errors import DkvbError
from dkvb.experiments.filled import disk, memory
from dkvb.experiments.ran import parts_done
from dkvb.experiments.rates import Rates, Shape, measure
from dkvb.experiments.sizes import Size
from dkvb.experiments.workload import parts
from dkvb.recipe import Encoder, Recipe
from dkvb.records.experiments import EstimateFrom
from dkvb.runtime import progress
from dkvb.runtime.device import choose_device
from dkvb.workspace.artifacts import Workspace


@dataclass(frozen=True)
class Estimate:
    """What a step will take."""

    seconds: float | None
    """None where nothing tells: an encoder that cannot be run here."""
    disk: int
    """Bytes."""
    memory: int
    """Bytes of its process at the most."""
    source: EstimateFrom | None
    """What the seconds rest on."""


@dataclass
class Estimator:
    """Estimates for a workspace. Rates are measured once for each shape of model, an encoder once for each encoder."""

    workspace: Workspace
    device: str = "auto"
    _rates: dict[Shape, Rates] = field(default_factory=dict)
    _images: dict[Encoder, float] = field(default_factory=dict)

    def estimate(self, step: str, recipe: Recipe, size: Size) -> Estimate:
        """What a step of a recipe will take on data of a size."""
        recipe = _adapted(recipe, size)
        filled = disk(step, recipe, size), memory(step, recipe, size)
        part = f"embed {recipe.encoder.name}"
        try:
            needed = self._parts(step, recipe, size, timed=step == "embed" and part not in self._corrections)
        except DkvbError:
            return Estimate(None, *filled, None)
        known = [self._corrections.get(part) for part in needed]
        seconds = sum(taken * (by or 1.0) for taken, by in zip(needed.values(), known, strict=True))
        return Estimate(round(seconds, 3), *filled, "machine" if None in known else "workspace")

    def _parts(self, step: str, recipe: Recipe, size: Size, timed: bool) -> dict[str, float]:
        """The parts of a step and their seconds.

        Args:
            timed: whether the encoder has to be timed, rather than taken to need a second an image.

        Raises:
            DkvbError: it has, and cannot be run here.
        """
        images = None if recipe.data.features else self._encoder(recipe.encoder) if timed else 1.0
        return parts(step, recipe, size, self._measured(Shape.of(recipe, size.width, size.classes)), images)

    def _measured(self, shape: Shape) -> Rates:
        if shape not in self._rates:
            progress.note(
                f"measuring this machine: {shape.keys.codebooks} codebooks of {shape.keys.pairs:,} pairs,"
                f" {shape.classes:,} classes"
            )
            with progress.silenced():
                self._rates[shape] = measure(shape)
        return self._rates[shape]

    def _encoder(self, settings: Encoder) -> float:
        """Images a second, with random weights: they take as long.

        Raises:
            DkvbError: the encoder cannot be run here.
        """
        settings = settings.model_copy(update={"weights": "random"})
        if settings not in self._images:
            progress.note(f"measuring this machine: {settings.name}")
            encoder = load_encoder(settings, choose_device(self.device)[0], "RGB")
            self._images[settings] = time_encoder(encoder, settings.batch_size).rate
        return self._images[settings]

    @cached_property
    def _corrections(self) -> dict[str, float]:
        """Part -> what it took over what the rates say, of the largest one of its kind that was done here."""
        largest: dict[str, tuple[float, float]] = {}
        for ran in parts_done(self.workspace):
            said = self._parts(ran.step, ran.recipe, ran.size, timed=False).get(ran.part, 0.0)
            if said > largest.get(ran.part, (0.0, 0.0))[0]:
                largest[ran.part] = said, ran.seconds / said
        return {part: by for part, (_, by) in largest.items()}


def _adapted(recipe: Recipe, size: Size) -> Recipe:
    """The recipe with no more pairs than there are samples at which they start."""
    keys, fitted = recipe.keys, size.train - round(size.train * recipe.data.validation)
    if not keys.adapt or keys.init != "sample" or keys.pairs <= fitted or not fitted:
        return recipe
    return recipe.with_(keys={"pairs": fitted, "top_k": min(keys.top_k, fitted)})
