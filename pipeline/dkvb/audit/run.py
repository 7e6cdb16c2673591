"""A whole audit: every method on the same originals, beside the same retrained models, for each seed and forget set of
a recipe.

KLoM and its like are of distributions over training seeds: each unlearned model starts from an original of its own, and
none is unlearned twice. Of N retrained models half stand on either side of a null, so that N // 2 originals are
unlearned, and as many retrained models more are held out for the line that no method can better.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from dkvb.audit.ahead import unlearn_ahead
from dkvb.audit.entries import Models, Stand, entry
from dkvb.audit.oracles import Order, rows_of, train_all
from dkvb.audit.shadows import LEAST, Shadows, attacked
from dkvb.audit.subjects import Subject, subjects
from dkvb.errors import UsageError
from dkvb.evaluation.forget_sets import forget_sets
from dkvb.evaluation.seed import TrainedSeed
from dkvb.metrics.per_point import FEW
from dkvb.recipe import Recipe
from dkvb.records.audit import Audit, AuditAbout, AuditEntry, Kind, KindModels, ModelBatch
from dkvb.runtime import progress
from dkvb.runtime.parallel import distributed_run, each_unit
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.requests import need_features

ORACLES = 20
"""Retrained models where no number is given."""

FEWEST = 2
"""With one there is nothing to tell by how much two of them differ."""


def run(
    recipe: Recipe,
    workspace: Workspace,
    oracles: int = ORACLES,
    audited: Sequence[Subject] | None = None,
    force: bool = False,
    shadows: int = 0,
) -> list[Audit]:
    """Audit methods for each seed and forget set of the recipe.

    Args:
        oracles: retrained models of each kind.
        shadows: models of each kind that each learn half of the rows, for U-LiRA; without any it is left out.
        audited: see `dkvb.audit.subjects.subjects`; by default, all that it gives.
        force: run methods and measures again; models that are trained are kept.

    Raises:
        UsageError: too few oracles, or an unknown class.
        MissingStage: nothing embedded or trained yet.
        DamagedArtifact: something on disk has been altered.
        DkvbError: nothing is left to train on, or a loss that is not finite.
    """
    check(oracles, shadows)
    features = need_features(recipe, workspace)
    seeds = [TrainedSeed(recipe, workspace, features, seed) for seed in recipe.run.seeds]
    units = [(trained, forget) for trained in seeds for forget in forget_sets(trained, seeds)]
    wanted = subjects() if audited is None else list(audited)
    return [_audit(trained, forget, oracles, wanted, force, shadows) for trained, forget in units]


def check(oracles: int, shadows: int = 0) -> None:
    """Refuse a number of oracles, or of shadow models.

    Raises:
        UsageError: it is too small for a null, or for an attack.
    """
    if shadows and shadows < LEAST:
        raise UsageError(
            f"--shadows {shadows}: give {LEAST} or more, or leave it out; 64 for an attack that says much."
        )
    if oracles < FEWEST:
        raise UsageError(
            f"--oracles {oracles}: give {FEWEST} or more, 20 to see large differences, {2 * FEW} for KLoM to say"
            " anything."
        )


def models_of(trained: TrainedSeed, kinds: Sequence[Kind], forget: Sequence[int], oracles: int) -> dict[Kind, Models]:
    """The originals and retrained models of some kinds, trained now as far as no earlier run has done that. A head
    trained to convergence is one model, whatever is asked for."""
    counts = {kind: (1, 1) if kind == "converged" else (oracles, oracles // 2) for kind in kinds}
    orders, without = [], tuple(sorted(forget))
    for kind, (beside, unlearned) in counts.items():
        orders.append(Order("values" if kind == "values-keys" else kind, unlearned))
        orders.append(Order(kind, beside if kind == "converged" else beside + unlearned, without))
    made = train_all(trained, orders)
    pairs = zip(made[::2], made[1::2], strict=True)
    return {kind: Models(*pair, *counts[kind]) for kind, pair in zip(kinds, pairs, strict=True)}


def _audit(
    trained: TrainedSeed, forget: list[int], oracles: int, audited: list[Subject], force: bool, shadows: int
) -> Audit:
    started, recipe = time.perf_counter(), trained.recipe
    kinds = list(dict.fromkeys(subject.kind for subject in audited))
    models = models_of(trained, kinds, forget, oracles)
    bare = TrainedSeed(recipe, trained.workspace, trained.features, trained.seed, left_out=trained.left_out)
    stand = Stand(bare, forget, models, force)
    with progress.task(f"audit {recipe.data_name}", len(audited), "methods") as task:
        entries = []
        if distributed_run(recipe.run):
            entries = each_unit(entry, audited, recipe, unlearn_ahead(recipe, stand, audited))
            task.advance(len(entries))
        else:
            for subject in audited:
                entries.append(entry(recipe, stand, subject))
                task.advance()
    if shadows:
        for kind in kinds:  # here, so that workers find them
            if kind != "converged":
                _ = Shadows.of(stand, kind, shadows).artifact
        entries = each_unit(attacked, entries, recipe, stand, shadows)
    about = AuditAbout(
        name=recipe.data_name,
        data=recipe.data.source,
        classes=trained.splits.classes,
        forget=forget,
        forget_names=[trained.splits.classes[c] for c in forget],
        seed=trained.seed,
        oracles=oracles,
        unlearned=oracles // 2,
        kinds=[_trained(kind, of) for kind, of in models.items()],
        points=len(rows_of(trained, forget)),
        says=says(oracles, oracles // 2),
        seconds=round(time.perf_counter() - started, 3),
    )
    return store(trained.workspace, about, entries, {"embed": trained.features.fingerprint}, force)


def _trained(kind: Kind, models: Models) -> KindModels:
    def seconds(batches: Sequence[Artifact]) -> list[float]:
        return [second for batch in batches for second in batch.result_as(ModelBatch).seconds]

    held_out = sum(batch.result_as(ModelBatch).models for batch in models.retrained) - models.oracles
    return KindModels(
        kind=kind,
        originals=models.unlearned,
        oracles=models.oracles,
        held_out=held_out,
        seconds_originals=seconds(models.originals),
        seconds_oracles=seconds(models.retrained),
    )


def says(oracles: int, unlearned: int) -> list[str]:
    """What so many models can show."""
    halves = min(oracles // 2, unlearned)
    said = [
        f"{oracles} retrained models and {unlearned} unlearned ones of each kind, every unlearned one from an original"
        " of its own training seed.",
        f"A difference from retrained models smaller than what {oracles} of them differ by among each other (the null)"
        " shows nothing.",
    ]
    if halves < FEW:
        said.append(
            f"KLoM is of {halves} models against {halves}: with fewer than {FEW} it is noise, two samples of the same"
            f" law are as far apart. --oracles {2 * FEW} trains enough."
        )
    return said


def store(
    workspace: Workspace, about: AuditAbout, entries: Sequence[AuditEntry], inputs: dict[str, str], force: bool
) -> Audit:
    """Keep an audit where pages find it (`dkvb.workspace.audits.audits`); an earlier one of the same entries is
    replaced, since what failed may have failed in another way."""
    skipped = all(one.skipped for one in entries)
    bare = [one.model_copy(update={"skipped": None, "artifact": None}) for one in entries]
    settings = {
        "kind": "audit",
        "name": about.name,
        "forget": about.forget,
        "seed": about.seed,
        "oracles": about.oracles,
        "entries": [one.key for one in entries],
    }
    names = "-".join(about.forget_names)
    spec = Spec("audit", f"{about.name}-audit-{names}-seed{about.seed}", settings, inputs)
    earlier = workspace.get(spec)
    if earlier and skipped and not force:
        held = earlier.result_as(Audit)
        return held.model_copy(update={"entries": list(entries), "skipped": True, "artifact": str(earlier.path)})
    result = Audit(**about.model_dump(), entries=bare)
    with workspace.claim(spec, force=earlier is not None) as claim:
        made = claim.finish(result, about.seconds)
    return result.model_copy(update={"entries": list(entries), "skipped": False, "artifact": str(made.path)})
