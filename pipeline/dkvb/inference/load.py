"""Finding a trained model, by workspace, artifact or exported folder, and putting it together with the masks it is to
have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from dkvb.bottleneck.mask_order import unpack
from dkvb.encoders.recorded import Encoding
from dkvb.errors import MissingStage, SettingsClash, UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.inference.bottleneck_model import Model, Weights
from dkvb.inference.classifier import About, Classifier, LinearModel
from dkvb.inference.export_files import CONFIG, ONNX, TENSORS
from dkvb.inference.exported import read_export
from dkvb.recipe import Recipe
from dkvb.recipe import load as load_recipe
from dkvb.records.embed import EmbedResult
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import Keeps, UnlearnResult
from dkvb.runtime.device import choose_device
from dkvb.workspace import arrays, ledger_mark
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import reading, refuse_half_purged
from dkvb.workspace.finished import Artifact
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.names import COUNTS, KEYS, LINEAR, MANIFEST, MASK, PROJECTION, VALUES, WEIGHTS
from dkvb.workspace.requests import all_requests, need_features, refuse_of_other, unite
from dkvb.workspace.settings import BottleneckSettings, ModelSettings, QuantizeSettings


def load(
    path: str | Path,
    seed: int | None = None,
    recipe: Recipe | str | Path | None = None,
    device: str = "auto",
    requests: bool = True,
    keep_labels: bool = False,
) -> Classifier:
    """A trained classifier: features (B, D) -> logits (B, L), and `.images(…)` through its encoder.

    A forgotten class is no answer: its logit is minus infinity.

    Args:
        path: a workspace (the data folder), a finished train or unlearn artifact in one, or a folder that `dkvb export`
            wrote.
        seed: which seed's model of a workspace; by default the recipe's first, or the lowest of the model last trained.
        recipe: which recipe's model of a workspace, by name, path or as a Recipe; by default the one last trained.
        device: where the encoder runs, "auto", "cpu" or "cuda"; it is loaded when images are first handed in.
        requests: also mask what deletion requests (`dkvb forget`) have masked in this model; what they have purged is
            masked always.
        keep_labels: leave forgotten classes among the answers, to see what the mask alone does.

    Raises:
        UsageError: there is no such folder, nothing in it can be loaded, `device` is "cuda" and there is no GPU, or
            no class is left to answer with.
        MissingStage: the workspace has no such model.
        DamagedArtifact: a file has been altered or is missing.
    """
    _check_device(device)
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is no folder: give a workspace, a train or unlearn artifact, or a folder written by `dkvb"
            " export`."
        )
    if (folder / CONFIG).is_file() or (folder / TENSORS).is_file():
        return read_export(folder, device, keep_labels)
    if (folder / ONNX).is_file():
        raise UsageError(
            f"{folder} was exported for ONNX, which dkvb does not read: use onnxruntime, or export without --format."
        )
    artifact = (folder / MANIFEST).is_file()
    root = folder.parent.parent if artifact else folder
    workspace = Workspace(root, root / "reports")
    with reading(workspace):
        if artifact:
            found = workspace.read(folder)
            if found is None:
                raise MissingStage(f"{folder} has just been deleted: load the workspace {root} itself.")
            return load_artifact(workspace, found, device, requests, keep_labels)
        if recipe is not None:
            settings = recipe if isinstance(recipe, Recipe) else load_recipe(str(recipe))
            chosen = settings.run.seeds[0] if seed is None else seed
            return load_seed(settings, workspace, chosen, device, requests, keep_labels)
        return load_artifact(workspace, _last(workspace, seed), device, requests, keep_labels)


def load_seed(
    recipe: Recipe, workspace: Workspace, seed: int, device: str, requests: bool = True, keep_labels: bool = False
) -> Model:
    """The bottleneck that a recipe trained with a seed.

    Raises:
        UsageError: `device` is "cuda" and there is no GPU, or no class is left to answer with.
        MissingStage: nothing embedded or trained yet.
        DamagedArtifact: it has been altered.
    """
    _check_device(device)
    with reading(workspace):
        trained = TrainedSeed(recipe, workspace, need_features(recipe, workspace), seed).dkvb_artifact
        model = load_artifact(workspace, trained, device, requests, keep_labels)
    assert isinstance(model, Model)
    return model


def _check_device(device: str) -> None:
    """Say now, rather than at the first image, that there is no GPU."""
    if device == "cuda":
        choose_device(device)


def _last(workspace: Workspace, seed: int | None) -> Artifact:
    """The bottleneck last trained or used, with this seed, or the lowest that the same settings were trained with."""
    lineage = Lineage(workspace)
    models = [(artifact, artifact.settings_as(ModelSettings)) for artifact in lineage.all("train")]
    trained = [artifact for artifact, made in models if made.model == "dkvb" and seed in (None, made.seed)]
    if not trained:
        which = "" if seed is None else f" of seed {seed}"
        raise MissingStage(
            f"There is no trained bottleneck{which} in {workspace.root}: run `dkvb train` with this --data-dir first."
        )

    last = lineage.trained_from(trained[-1])
    if last is None:
        return trained[-1]  # loading it says what is missing
    alike = [made for model in trained if (made := lineage.trained_from(model)) and made.setup == last.setup]
    return min(alike, key=lambda made: made.seed).model


def load_artifact(
    workspace: Workspace,
    artifact: Artifact,
    device: str = "cpu",
    requests: bool = True,
    keep_labels: bool = False,
) -> Classifier:
    """The model of a finished train artifact, or what an unlearn artifact has made of it.

    Raises:
        UsageError: an artifact that holds no model, or no class left to answer with.
        MissingStage: what it was made from is gone.
        DamagedArtifact: a file has been altered or is missing, or a purge was cut short.
    """
    with reading(workspace):
        return _loaded(workspace, artifact, device, requests, keep_labels)


def _loaded(workspace: Workspace, artifact: Artifact, device: str, requests: bool, keep_labels: bool) -> Classifier:
    refuse_half_purged(workspace)
    workspace.check(artifact)
    if artifact.stage == "train":
        return _trained(workspace, artifact, device, requests, keep_labels)
    keeps = _kept(artifact)
    if keeps == "nothing":
        raise UsageError(
            f"{artifact.path} holds no model to load: give a train artifact, or an unlearn artifact that has a mask or"
            " weights."
        )
    trained = Lineage(workspace).need_input(artifact, "train")
    trained.check()
    model = _trained(workspace, trained, device, requests, keep_labels)
    exact = [one for one in all_requests(workspace, trained.fingerprint) if one.in_force and one.exact]
    if requests and exact and keeps == "weights" and isinstance(model, Model):
        raise SettingsClash(
            f"{artifact.path} was made from values that request {exact[-1].id} has since had trained again without"
            f" {exact[-1].record.what}: load the workspace itself, or restore the request first."
        )
    return _unlearned(model, artifact, keeps)


def _kept(artifact: Artifact) -> Keeps:
    """What an artifact keeps of a model; that of another stage, of a sweep or of training on keeps nothing of one."""
    if artifact.kind != "forget":
        return "nothing"
    result = artifact.result_as(UnlearnResult)
    if result.keeps:
        return result.keeps
    # version 0.1 did not say, and wrote a logit mask beside models trained again
    if result.method.startswith("retrain"):
        return "nothing"
    if (artifact.path / WEIGHTS).is_file():
        return "weights"
    return "excluded" if result.method == "logit-mask" else "mask"


def _unlearned(model: Classifier, artifact: Artifact, keeps: Keeps) -> Classifier:
    forget = artifact.result_as(UnlearnResult).forget
    arrays = artifact.tensors(WEIGHTS if keeps == "weights" else MASK)
    about = replace(model.about, forgotten=sorted({*model.about.forgotten, *forget}))
    if isinstance(model, LinearModel):
        return LinearModel(about, arrays["weight"], arrays["bias"])
    assert isinstance(model, Model)
    if keeps == "excluded":
        # the values are all still there: nothing counts as forgotten
        about = replace(model.about, excluded=sorted({*model.about.excluded, *forget}))
        return Model(about, model.weights, model.mask, model.top_k, model.pool, model.class_counts)
    if keeps == "weights":
        weights = replace(model.weights, values=arrays["values"])
        trained = Model(about, weights, model.mask, model.top_k, model.pool, model.class_counts)
        return trained.masked(_mask(arrays, model), forget) if "mask" in arrays else trained
    return model.masked(_mask(arrays, model), forget)


def _mask(arrays: Mapping[str, np.ndarray], model: Model) -> np.ndarray:
    """(C, M) bool: the pairs that an unlearning masked."""
    return unpack(arrays["mask"], model.mask.shape[1]) & ~model.unused


def _trained(workspace: Workspace, trained: Artifact, device: str, requests: bool, keep_labels: bool) -> Classifier:
    result = trained.result_as(TrainResult)
    lineage = Lineage(workspace)
    codes = lineage.need_input(trained, "quantize") if result.model == "dkvb" else None
    features = lineage.need_input(codes or trained, "embed")
    about = About(
        classes=result.classes,
        seed=result.seed,
        encoding=Encoding.of(features, device),
        name=features.result_as(EmbedResult).source,
        keep_labels=keep_labels,
        accuracy={"test": result.test, "per_class_test": result.per_class_test},
        identity={"train": trained.fingerprint, "embed": features.fingerprint},
        # looked up before the requests are: what comes in between is then unknown to the model, as far as this says
        ledger=ledger_mark.read(workspace.root) if requests else ledger_mark.NONE,
    )
    if codes is None:
        head = trained.tensors(LINEAR)
        return LinearModel(about, head["weight"], head["bias"])
    codes.check()
    keys = arrays.read(codes, KEYS)
    counts = partial(_class_counts, trained)
    unused = np.zeros(keys.shape[:2], bool)
    settings = trained.settings_as(BottleneckSettings)
    if settings.unused == "mask":
        unused = counts(range(len(about.classes))) == 0
    weights = Weights(codes.tensors(PROJECTION)["projection"], keys, trained.tensors(VALUES)["values"], unused)
    top_k = codes.settings_as(QuantizeSettings).keys.top_k
    model = Model(about, weights, np.zeros_like(unused), top_k, settings.train.pool, counts)
    return _requested(workspace, trained, model, requests)


def _requested(workspace: Workspace, trained: Artifact, model: Model, masked: bool) -> Model:
    """The model under the masks of all deletion requests that were not taken back, or of those alone whose values are
    gone; with the values of the newest exact request where there is one."""
    every = all_requests(workspace, trained.fingerprint)
    applied = [request for request in every if (request.in_force if masked else request.values_may_be_gone)]
    refuse_of_other(trained, applied)
    union = unite(applied, exact=masked)  # a purge has put values without its classes in the place of those of training
    if values := union.values:
        weights = replace(model.weights, values=values[0], unused=model.unused | values[1])
        model = Model(model.about, weights, model.mask, model.top_k, model.pool, model.class_counts)
    return model if union.mask is None else model.masked(union.mask & ~model.unused, union.classes)


def _class_counts(trained: Artifact, classes: Sequence[int]) -> np.ndarray:
    """(C, M): how often training samples of some classes selected each pair in the last epoch."""
    return arrays.read(trained, COUNTS, list(classes)).sum(0, dtype=np.int64)
