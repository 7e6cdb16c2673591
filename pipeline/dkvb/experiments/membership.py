"""Class membership inference on unlearned models (paper, Appendix D, Table 3).

A model is trained without a held-out class and unlearns a forget class; the attacker is to tell by their losses which
of the two it once knew. Splits are those of `held_out.py`; `dkvb.metrics.membership` has the attackers, fitted to
validation and scored on test losses; `defended.py` is how far unlearning goes. The figure to judge by is how far the
attacker's accuracy is from that on a model retrained without the class. Each (seed, forget set, method) is an artifact
with `losses.parquet`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars

from dkvb.errors import DamagedArtifact, UsageError
from dkvb.evaluation.forget_sets import class_id, forget_sets, keyword
from dkvb.evaluation.seed import Seeds, TrainedSeed
from dkvb.experiments.defended import defend, defender
from dkvb.experiments.held_out import VALIDATION, HeldOut, without_class
from dkvb.methods.base import Method
from dkvb.metrics.accuracy import percent
from dkvb.metrics.membership import LARGEST, forest_score, score, seen
from dkvb.recipe import Recipe
from dkvb.records.accuracies import Model
from dkvb.records.embed import EmbedResult
from dkvb.records.experiments import MembershipResult
from dkvb.runtime import progress
from dkvb.runtime.parallel import each_unit
from dkvb.runtime.seeding import integer
from dkvb.stages import quantize, train
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import atomic
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import LOSSES
from dkvb.workspace.requests import need_features

DEFENCES = ("votes", "activations", "examples", "scrub-r", "logit-mask", "logit-shift", "retrain", "retrain-linear")
"""Votes, those of the paper, two controls, and the two oracles: no unlearning can better what has never seen the forget
set."""

ORACLES: dict[Model, str] = {"dkvb": "retrain", "linear": "retrain-linear"}
"""Kind of model -> the defence that is retrained without the class."""


def run(
    recipe: Recipe,
    workspace: Workspace,
    held_out: str | None = None,
    methods: Sequence[str] = DEFENCES,
    force: bool = False,
) -> list[MembershipResult]:
    """Train without a class, unlearn another, and attack; for each seed and forget set of the recipe and each method.

    Args:
        held_out: the class that takes no part in training, by name, or "#3" for the one of id 3; the last one by
            default.

    Raises:
        MissingStage: nothing embedded yet.
        UsageError: an unknown class or method, or a class both forgotten and held out.
        DamagedArtifact: the features, or what an earlier run left, have been altered.
    """
    if unknown := [name for name in methods if name not in DEFENCES]:
        raise UsageError(
            f"There is no defence '{unknown[0]}' against membership inference; known: {', '.join(DEFENCES)}."
        )
    features = need_features(recipe, workspace)
    classes = features.result_as(EmbedResult).classes
    absent = len(classes) - 1 if held_out is None else class_id(held_out, classes)
    if len(classes) < 3:
        raise UsageError(
            "Class membership inference needs 3 classes: one to forget, one that is held out and one that stays."
        )
    try:
        derived, inner, without = without_class(recipe, workspace, features, absent, force)
        if force:
            quantize.run(derived, inner, force)
        train.run(derived, inner, force)
        seeds = [TrainedSeed(derived, inner, without, seed) for seed in recipe.run.seeds]
        forget = {trained.seed: _forget_sets(trained, seeds, absent) for trained in seeds}
        attack = Attack(workspace, features, absent, force)
        units = [
            (trained.seed, chosen, name) for trained in seeds for chosen in forget[trained.seed] for name in methods
        ]
        entries = each_unit(_unit, units, derived, attack, Seeds(inner, without))
    except DamagedArtifact as error:
        if str(features.path) in str(error):
            raise
        # what lies in the inner workspace is made again by no stage's own command
        raise DamagedArtifact(f"{str(error).split(' `dkvb')[0]} `dkvb membership --force` makes it again.") from None
    together = [entries[start : start + len(methods)] for start in range(0, len(entries), len(methods) or 1)]
    return [entry for same in together for entry in _beside_the_oracle(same)]


@dataclass(frozen=True)
class Attack:
    """What all seeds, forget sets and methods of a run share; goes to other processes."""

    workspace: Workspace
    """Where results go."""
    features: Artifact
    held_out: int
    force: bool


def _unit(recipe: Recipe, attack: Attack, seeds: Seeds, unit: tuple[int, list[int], str]) -> MembershipResult:
    seed, forget, name = unit
    trained = seeds.of(recipe, seed)
    rows = HeldOut(trained.splits, attack.features.result_as(EmbedResult).test, attack.held_out, forget)
    return _one(trained, attack, defender(name, trained, forget), forget, rows)


def _forget_sets(trained: TrainedSeed, together: Sequence[TrainedSeed], held_out: int) -> list[list[int]]:
    wanted = forget_sets(trained, together)
    if keyword(trained.recipe) == "each":
        return [forget for forget in wanted if forget != [held_out]]
    name = trained.splits.classes[held_out]
    if any(held_out in forget for forget in wanted):
        raise UsageError(f"Class '{name}' is both forgotten and held out: name another with --forget or --held-out.")
    if any(len(forget) == len(trained.splits.classes) - 1 for forget in wanted):
        raise UsageError(
            f"With '{name}' held out, all other classes would be forgotten and nothing retained: leave at least one"
            " out."
        )
    return wanted


def _one(trained: TrainedSeed, attack: Attack, method: Method, forget: list[int], rows: HeldOut) -> MembershipResult:
    """Attack what one method makes of one forget set, or find that an earlier run has."""
    classes, held_out = trained.splits.classes, attack.held_out
    settings = {"kind": "membership", "method": method.name, "forget": forget, "held_out": held_out}
    settings |= {"seed": trained.seed, "validation": VALIDATION, "largest": LARGEST, **method.settings}
    model = trained.linear_artifact if method.model == "linear" else trained.dkvb_artifact
    about = f"{method.name}-{'-'.join(classes[c] for c in forget)}-{classes[held_out]}"
    readable = f"{trained.recipe.data_name}-membership-{about}-seed{trained.seed}"
    inputs = {"embed": attack.features.fingerprint, "train": model.fingerprint}
    spec = Spec("unlearn", readable, settings, inputs)
    with attack.workspace.claim(spec, attack.force or _of_one_attacker(attack.workspace, spec)) as claim:
        if done := claim.reuse(f"membership {readable}"):
            return done.entry(MembershipResult, skipped=True)
        started = time.perf_counter()
        defended = defend(trained, method, forget, rows)
        samples = {
            (part, role): seen(defended.logits(split, chosen), trained.splits.labels[split][chosen])
            for (part, role), (split, chosen) in rows.rows.items()
        }
        losses = {where: of[:, 0] for where, of in samples.items()}
        on_test, on_validation = score(_roles(losses, "validation"), _roles(losses, "test"))
        forest = forest_score(
            _roles(samples, "validation"), _roles(samples, "test"), integer(trained.seed, "membership", "forest")
        )
        retained = defended.logits("test", rows.retain).argmax(1) == trained.splits.labels["test"][rows.retain]
        result = MembershipResult(
            seed=trained.seed,
            method=method.name,
            model=method.model,
            forget=forget,
            forget_names=[classes[c] for c in forget],
            held_out=held_out,
            held_out_name=classes[held_out],
            n=defended.n,
            n_name=defended.n_name,
            shift=defended.shift,
            attack_test=on_test,
            attack_validation=on_validation,
            forest_test=forest,
            loss_validation_forget=float(losses["validation", "forget"].mean()),
            loss_validation_held_out=float(losses["validation", "held_out"].mean()),
            loss_test_forget=float(losses["test", "forget"].mean()),
            loss_test_held_out=float(losses["test", "held_out"].mean()),
            retain_test=float(retained.mean()) if len(retained) else None,
            seconds=round(time.perf_counter() - started, 4),
            note=defended.note,
        )
        with atomic(claim.path / LOSSES) as temporary:
            _frame(samples).write_parquet(temporary)
        artifact = claim.finish(result)
    at = f" at {defended.n_name} = {defended.n:,}" if defended.n_name else ""
    progress.note(
        f"membership {readable}{at}: the attacker is right in {percent(result.attack_test)} of cases, the forest in"
        f" {percent(result.forest_test)}"
    )
    return artifact.entry(MembershipResult, skipped=False)


def _of_one_attacker(workspace: Workspace, spec: Spec) -> bool:
    """Whether this was attacked by version 0.1, which had no forest."""
    done = workspace.get(spec)
    return done is not None and done.result_as(MembershipResult).forest_test is None


Samples = dict[tuple[str, str], np.ndarray]
"""(Split of the attack, role) -> what the attacker sees of its samples, (N,) or (N, 3)."""


def _roles(samples: Samples, split: str) -> dict[str, np.ndarray]:
    return {role: samples[split, role] for role in ("forget", "held_out")}


def _frame(samples: Samples) -> polars.DataFrame:
    parts = [
        polars.DataFrame(of, schema=["loss", "confidence", "entropy"], orient="row").select(
            polars.lit(split).alias("split"), polars.lit(role).alias("role"), polars.all()
        )
        for (split, role), of in samples.items()
    ]
    return polars.concat(parts)


def _beside_the_oracle(entries: list[MembershipResult]) -> list[MembershipResult]:
    """The entries of one seed and forget set, each with how far the attacker is from where the retrained model has
    it."""
    attacked = {entry.method: entry for entry in entries}

    def compared(entry: MembershipResult) -> MembershipResult:
        oracle = attacked.get(ORACLES[entry.model])
        if oracle is None:
            return entry
        forests = entry.forest_test, oracle.forest_test
        apart = None if None in forests else abs(forests[0] - forests[1])  # type: ignore[operator]
        more = {"from_retrained": abs(entry.attack_test - oracle.attack_test), "forest_from_retrained": apart}
        return entry.model_copy(update=more)

    return [compared(entry) for entry in entries]
