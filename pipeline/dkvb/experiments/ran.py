"""What ran in a workspace, part by part: seconds, and of what recipe and data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dkvb.experiments.sizes import Size
from dkvb.recipe import Data, Keys, Recipe
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import UnlearnResult
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.settings import (
    BottleneckSettings,
    EmbedSettings,
    LinearSettings,
    QuantizeSettings,
    UnlearnSettings,
)


@dataclass(frozen=True)
class Ran:
    """A part of a step that was done here."""

    part: str
    """Its name in `workload.parts`."""
    step: str
    """A step that has this part."""
    seconds: float
    recipe: Recipe
    size: Size


def parts_done(workspace: Workspace) -> Iterator[Ran]:
    """Every part of which the workspace has the artifact; the encoder's time is a part of its own."""
    lineage = Lineage(workspace)
    for embeds in lineage.all("embed"):
        encoder = embeds.settings_as(EmbedSettings).encoder
        recipe = Recipe(encoder=encoder) if encoder else Recipe(data=Data(source="features"))
        yield Ran(
            f"embed {encoder.name if encoder else ''}".strip(), "embed", embeds.seconds, recipe, Size.embedded(embeds)
        )
    for codes in lineage.all("quantize"):
        if features := lineage.input_of(codes, "embed"):
            recipe = Recipe(keys=_keys(codes), data=Data(validation=codes.settings_as(QuantizeSettings).validation))
            yield Ran("quantize", "quantize", codes.seconds, recipe, Size.embedded(features))
    models: dict[str, tuple[Recipe, Size]] = {}
    whole: dict[str, Recipe] = {}
    """Features -> what a recipe says of both models that were trained on them."""
    for model in lineage.all("train"):
        if made := lineage.trained_from(model):
            embedded, size = made.features.fingerprint, Size.embedded(made.features)
            models[model.fingerprint] = _trained(Recipe(), model, made.codes), size
            whole[embedded] = _trained(whole.get(embedded, Recipe()), model, made.codes)
            part = "values" if made.codes else "head"
            yield Ran(part, "train", model.seconds, models[model.fingerprint][0], size)
    yield from _unlearned(lineage, models)
    yield from _attacked(lineage, whole)


def _trained(recipe: Recipe, model: Artifact, codes: Artifact | None) -> Recipe:
    """A recipe with what it says of a model that was trained."""
    if codes is None:
        linear = model.settings_as(LinearSettings).linear
        converged = model.result_as(TrainResult).converged is not None
        return recipe.with_(linear=linear.model_dump() | {"converged": converged})
    validation = codes.settings_as(QuantizeSettings).validation
    train = model.settings_as(BottleneckSettings).train.model_dump()
    return recipe.with_(train=train, keys=_keys(codes).model_dump(), data={"validation": validation})


def _unlearned(lineage: Lineage, models: dict[str, tuple[Recipe, Size]]) -> Iterator[Ran]:
    """What methods left, their sweeps, and what training on made of it."""
    for artifact in lineage.all("unlearn"):
        of_model = models.get(artifact.inputs.get("train", ""))
        if artifact.kind == "membership" or not of_model:
            continue
        recipe, size = of_model
        method, seconds = artifact.settings_as(UnlearnSettings).method, artifact.seconds
        chosen = artifact.settings.get("n", "auto")
        scrub = {"min_steps": chosen} if method.startswith("scrub") and chosen else {}
        unlearn = {"sweep": True, "retrain": artifact.settings.get("epochs", 0)}
        if artifact.kind == "forget":  # a model that was retrained earlier took what its own result says
            seconds = max(seconds, artifact.result_as(UnlearnResult).seconds)
        yield Ran(f"{method} {artifact.kind}", method, seconds, recipe.with_(scrub=scrub, unlearn=unlearn), size)


def _attacked(lineage: Lineage, whole: dict[str, Recipe]) -> Iterator[Ran]:
    """Membership inference: all the models of a seed that were attacked, together."""
    seconds: dict[tuple[str, int], float] = {}
    for artifact in lineage.all("unlearn"):
        if artifact.kind == "membership":
            of = artifact.inputs.get("embed", ""), artifact.settings_as(UnlearnSettings).seed
            seconds[of] = seconds.get(of, 0.0) + artifact.seconds
    for (fingerprint, _), taken in seconds.items():
        features = lineage.find("embed", fingerprint)
        if features and fingerprint in whole:
            yield Ran("membership", "membership", taken, whole[fingerprint], Size.embedded(features))


def _keys(codes: Artifact) -> Keys:
    return codes.settings_as(QuantizeSettings).keys
