"""Originals and oracles by the dozen: models of different training seeds, of which oracles never saw the forgotten
classes.

A batch of models is an artifact of its own, made once and shared by all audits: what each model answers to the rows of
`dkvb.audit.rows`, and of originals the models themselves where they are small. A batch that was interrupted goes on
with the model at which it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from dkvb.audit.ridge import PENALTY, WIDTH
from dkvb.audit.rows import Rows
from dkvb.audit.trainers import Model, trainer
from dkvb.errors import DkvbError, UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.recipe import Recipe
from dkvb.records.audit import Kind, ModelBatch, Role
from dkvb.runtime import progress
from dkvb.runtime.parallel import each_unit
from dkvb.training.codes import quantize_without
from dkvb.training.on_retain_set import damaged
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Claim
from dkvb.workspace.files import atomic, canonical_hash
from dkvb.workspace.finished import Artifact
from dkvb.workspace.keys_spec import quantize_spec
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import LOGITS
from dkvb.workspace.specs import dkvb_spec, linear_spec

BATCH = 10
"""Models of a batch at most."""

LARGE = 2**24
"""Bytes of a model that is too large to be kept a hundred times, and is trained again where it is needed."""

HALF = 2**28
"""Bytes of a batch's answers above which they are kept as float16: its error, below a thousandth, is far less than what
two models differ by."""

APART = 1_000_000
"""What separates the training seeds of originals from those of oracles, so that none of the one shares its start values
with one of the other; the first of either is the model that training, or `retrained`, makes."""


def train_models(trained: TrainedSeed, kind: Kind, count: int, forget: Sequence[int] = ()) -> list[Artifact]:
    """The artifacts of originals (`forget` empty), or of models that never saw some classes; trained now as far as no
    earlier run has done that, spread over processes as the recipe's `[run]` says. Their results are `ModelBatch`es.

    Args:
        count: models, in batches of `BATCH`.

    Raises:
        UsageError: fewer than one model, or several of a kind that has no randomness.
        MissingStage: there is no trained model yet.
        DkvbError: nothing is left to train on, or a loss that is not finite.
    """
    if count < 1:
        raise UsageError(f"{count} models were called for: take 1 or more.")
    if kind == "converged" and count > 1:
        raise UsageError(
            "A head trained to convergence is the same from every start, so that there is 1 model and its null is 0:"
            f" take 1 of them, or {count} of kind 'linear', which are trained by epochs."
        )
    forget = sorted(forget)
    if set(np.unique(trained.splits.labels["train"])) <= set(forget):
        raise DkvbError("Nothing is left to train on: the forget classes are all there is. Leave one out.")
    trained.features.check()
    if kind == "values-keys" and forget:  # here, so that workers find them
        quantize_without(trained.recipe, trained.workspace, trained.features, trained.seed, forget)
    batches = [(first, min(BATCH, count - first)) for first in range(0, count, BATCH)]
    bare = TrainedSeed(
        trained.recipe, trained.workspace, trained.features, trained.seed, left_out=trained.left_out
    )  # nothing that was read of it goes to other processes
    return each_unit(_batch, batches, trained.recipe, bare, kind, tuple(forget))


def answers(batches: Sequence[Artifact]) -> np.ndarray:
    """What all models of some batches answer: (models, P, L) float32."""
    return np.concatenate([arrays.read(batch, LOGITS).astype(np.float32) for batch in batches])


def rows_of(trained: TrainedSeed, forget: Sequence[int] = ()) -> Rows:
    """The P rows that oracles were asked about, or (`forget` empty) originals, which are asked about training rows of
    every class."""
    return Rows.of(trained.splits, sorted(forget) if forget else range(len(trained.splits.classes)))


def tensors_of(trained: TrainedSeed, batch: Artifact, model: int) -> dict[str, np.ndarray]:
    """What a model of a batch consists of, see `Model.tensors`; trained again where it was not kept.

    Args:
        model: its place in the batch.
    """
    result = batch.result_as(ModelBatch)
    if result.kept:
        return batch.tensors(model_file(batch.path, model).name)
    seed = training_seed(result.seed, result.role, result.first + model)
    rows = rows_of(trained, result.forget)
    return trainer(trained, result.kind, result.forget, rows).train(seed).tensors


def training_seed(seed: int, role: Role, model: int) -> int:
    """Of which all that is random in the training of a model is drawn."""
    return seed + model + (APART if role == "original" and model else 0)


def model_file(folder: Path, model: int) -> Path:
    """Where a model of a batch is kept."""
    return folder / f"model-{model}.safetensors"


def _batch(
    recipe: Recipe, trained: TrainedSeed, kind: Kind, forget: tuple[int, ...], batch: tuple[int, int]
) -> Artifact:
    first, count = batch
    spec = batch_spec(trained, kind, forget, first, count)
    with trained.workspace.claim(spec, force=damaged(trained, spec)) as claim:
        if claim.artifact:
            return claim.artifact
        return _train(trained, claim, kind, forget, first, count)


def _train(trained: TrainedSeed, claim: Claim, kind: Kind, forget: tuple[int, ...], first: int, count: int) -> Artifact:
    role: Role = "oracle" if forget else "original"
    rows = rows_of(trained, forget)
    maker = trainer(trained, kind, forget, rows)

    def make(model: int) -> Model:
        return maker.train(training_seed(trained.seed, role, first + model))

    shape = (count, len(rows), len(trained.splits.classes))
    seconds, kept = stored_models(claim, f"audit: {role}s, {kind}", shape, make, keep=role == "original")
    result = ModelBatch(
        kind=kind,
        role=role,
        forget=list(forget),
        seed=trained.seed,
        first=first,
        models=count,
        seconds=seconds,
        kept=kept,
    )
    return claim.finish(result)


def stored_models(
    claim: Claim, label: str, shape: tuple[int, int, int], make: Callable[[int], Model], keep: bool
) -> tuple[list[float], bool]:
    """Make models, as far as an earlier run has not, and store what they answer; the models themselves too if asked
    for and not too large.

    Args:
        shape: models, rows, classes.

    Returns:
        What each took, and whether the models are kept.
    """
    marks = arrays.Marks(claim.path)
    dtype = np.float16 if 4 * np.prod(shape) > HALF else np.float32
    stored = arrays.create(claim.path, LOGITS, shape, dtype, (1, *shape[1:]))
    with progress.task(label, shape[0], "models") as task:
        for model in range(shape[0]):
            if marks.get(str(model)) is None:
                with progress.silenced():
                    made = make(model)
                stored[model] = made.logits
                kept = keep and 0 < sum(part.nbytes for part in made.tensors.values()) <= LARGE
                if kept:
                    with atomic(model_file(claim.path, model)) as temporary:
                        save_file(made.tensors, temporary)
                marks.set(str(model), {"seconds": made.seconds, "kept": kept})
            task.advance()
    done = [marks.get(str(model)) or {} for model in range(shape[0])]
    return [of["seconds"] for of in done], all(of["kept"] for of in done)


def batch_spec(trained: TrainedSeed, kind: Kind, forget: tuple[int, ...], first: int, count: int) -> Spec:
    """What names a batch, and what it was made from."""
    recipe, seed, features = trained.recipe, trained.seed, trained.features
    if kind in ("values", "values-keys"):
        without = forget if kind == "values-keys" else ()
        like = dkvb_spec(recipe, seed, quantize_spec(recipe, seed, features, without).fingerprint)
    else:
        until = "converged" if kind == "converged" else "epochs"
        like = linear_spec(recipe.with_(linear={"until": until}), seed, features)
    settings = {**like.settings, "kind": f"audit {kind}", "forget": list(forget), "first": first, "models": count}
    if kind == "ridge":
        settings = {**settings, "linear": {"width": WIDTH, "penalty": PENALTY}}
    name = f"{recipe.data_name}-{kind}-"
    name += f"without-{'-'.join(map(str, forget))}" if forget else "originals"
    if trained.left_out is not None:
        settings["left_out"] = canonical_hash(trained.left_out.tolist())
    # the rows that models are asked about are rows of the features, which codes are made from
    inputs = {**like.inputs, "embed": features.fingerprint}
    return Spec("oracles", f"{name}-seed{seed}-{first}", settings, inputs)
