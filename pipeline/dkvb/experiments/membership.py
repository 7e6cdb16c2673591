"""Class membership inference on unlearned models (paper, Appendix D, Table 3).

A model is trained without a held-out class and unlearns a forget class; the attacker is to tell by their losses which
of the two it once knew. Splits are those of `held_out.py`; `dkvb.metrics.membership` is the attacker, fitted to
validation and scored on test losses. Unlearning is partial where there is a dial: N is the first at which the forget
class's validation loss is the held-out class's. Each (seed, forget set, method) is an artifact with `losses.parquet`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars

from dkvb.bottleneck.mask_order import NEVER
from dkvb.errors import DamagedArtifact, UsageError
from dkvb.evaluation.forget_sets import class_id, forget_sets, keyword
from dkvb.evaluation.seed import TrainedSeed
from dkvb.evaluation.stored_bottleneck import StoredBottleneck
from dkvb.evaluation.under_masks import masked_logits, masked_logits_at
from dkvb.experiments.held_out import VALIDATION, HeldOut, without_class
from dkvb.methods.base import Method, make
from dkvb.methods.pair_masking import Masking
from dkvb.metrics.accuracy import percent
from dkvb.metrics.membership import LARGEST, cross_entropy, score
from dkvb.recipe import Recipe
from dkvb.records.embed import EmbedResult
from dkvb.records.experiments import MembershipResult
from dkvb.runtime import progress
from dkvb.runtime.parallel import each_unit
from dkvb.stages import quantize, train
from dkvb.training.on_retain_set import load_bottleneck, load_head
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import atomic
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import LOSSES
from dkvb.workspace.requests import need_features

DEFENCES = ("activations", "examples", "scrub-r", "logit-mask", "retrain", "retrain-linear")
"""Those of the paper, a control, and the two oracles: no unlearning can better what has never seen the forget set."""


COARSE, FINE = 50, 20
"""Points of the search for N over the whole range, and then between two of them."""


Logits = Callable[[str, np.ndarray], np.ndarray]
"""(split, rows (n,)) -> logits (n, L)."""


@dataclass
class Defended:
    """An unlearned model: its logits, what was chosen, and what a user should know about it."""

    logits: Logits
    n: int | None = None
    n_name: str = ""
    note: str | None = None


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
        attack = Attack(workspace, inner, features, without, absent, tuple(methods), force)
        by_seed = each_unit(_seed, recipe.run.seeds, derived, attack)
    except DamagedArtifact as error:
        if str(features.path) in str(error):
            raise
        # what lies in the inner workspace is made again by no stage's own command
        raise DamagedArtifact(f"{str(error).split(' `dkvb')[0]} `dkvb membership --force` makes it again.") from None
    return [entry for entries in by_seed for entry in entries]


@dataclass(frozen=True)
class Attack:
    """What all seeds and methods of a run share; goes to other processes."""

    workspace: Workspace
    """Where results go."""
    inner: Workspace
    """Where the models without the held-out class lie."""
    features: Artifact
    without: Artifact
    """The features without the held-out class."""
    held_out: int
    methods: tuple[str, ...]
    force: bool


def _seed(recipe: Recipe, attack: Attack, seed: int) -> list[MembershipResult]:
    trained = TrainedSeed(recipe, attack.inner, attack.without, seed)
    tested = attack.features.result_as(EmbedResult).test
    entries = []
    for forget in _forget_sets(trained, attack.held_out):
        rows = HeldOut(trained.splits, tested, attack.held_out, forget)
        entries += [_one(trained, attack, make(name, trained, forget), forget, rows) for name in attack.methods]
    return entries


def _forget_sets(trained: TrainedSeed, held_out: int) -> list[list[int]]:
    wanted = forget_sets(trained)
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
    with attack.workspace.claim(Spec("unlearn", readable, settings, inputs), attack.force) as claim:
        if done := claim.reuse(f"membership {readable}"):
            return done.entry(MembershipResult, skipped=True)
        started = time.perf_counter()
        defended = _partial(method, rows) if isinstance(method, Masking) else _whole(trained, method, forget)
        losses = {where: _losses(trained, defended.logits, *stored) for where, stored in rows.rows.items()}
        by_split = {
            split: {role: losses[split, role] for role in ("forget", "held_out")} for split in ("validation", "test")
        }
        on_test, on_validation = score(by_split["validation"], by_split["test"])
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
            attack_test=on_test,
            attack_validation=on_validation,
            loss_validation_forget=float(losses["validation", "forget"].mean()),
            loss_validation_held_out=float(losses["validation", "held_out"].mean()),
            loss_test_forget=float(losses["test", "forget"].mean()),
            loss_test_held_out=float(losses["test", "held_out"].mean()),
            retain_test=float(retained.mean()) if len(retained) else None,
            seconds=round(time.perf_counter() - started, 4),
            note=defended.note,
        )
        with atomic(claim.path / LOSSES) as temporary:
            _frame(losses).write_parquet(temporary)
        artifact = claim.finish(result)
    at = f" at {defended.n_name} = {defended.n:,}" if defended.n_name else ""
    progress.note(f"membership {readable}{at}: the attacker is right in {percent(result.attack_test)} of cases")
    return artifact.entry(MembershipResult, skipped=False)


def _losses(trained: TrainedSeed, logits: Logits, split: str, rows: np.ndarray) -> np.ndarray:
    return cross_entropy(logits(split, rows), trained.splits.labels[split][rows])


def _frame(losses: dict[tuple[str, str], np.ndarray]) -> polars.DataFrame:
    parts = [
        polars.DataFrame({"loss": values}).with_columns(split=polars.lit(split), role=polars.lit(role))
        for (split, role), values in losses.items()
    ]
    return polars.concat(parts).select("split", "role", "loss")


def _partial(method: Masking, rows: HeldOut) -> Defended:
    """Masked no further than until the forget class is as strange to the model as the held-out class."""
    trained, order = method.trained, method.whole_order()
    placed = order[(order >= 0) & (order < NEVER)]
    top = int(placed.max()) + 1 if len(placed) else 0

    def gap(grid: list[int]) -> np.ndarray:
        means = []
        for role in ("forget", "held_out"):
            split, chosen = rows.rows["validation", role]
            labels = trained.splits.labels[split][chosen]
            means.append(
                [
                    cross_entropy(logits, labels).mean()
                    for logits in masked_logits_at(trained.bottleneck, order, grid, split, chosen)
                ]
            )
        return np.array(means[0]) - np.array(means[1])

    low, high, note = 0, top, None
    for points in (COARSE, FINE):
        grid = sorted({round(low + (high - low) * i / points) for i in range(points + 1)})
        reached = np.flatnonzero(gap(grid) >= 0)
        if len(reached) == 0:
            note = (
                f"no {method.dial} brings the forget class's validation loss up to that of the held-out class; all"
                f" {top:,} are taken"
            )
            low = high = top
            break
        place = int(reached[0])
        low, high = grid[max(place - 1, 0)], grid[place]
    n = high

    def logits(split: str, chosen: np.ndarray) -> np.ndarray:
        return np.asarray(masked_logits_at(trained.bottleneck, order, [n], split, chosen)[0])

    return Defended(logits, n, method.dial, note)


def _whole(trained: TrainedSeed, method: Method, forget: list[int]) -> Defended:
    """Every other method, at the recipe's n."""
    if method.name == "retrain":
        return Defended(_bottleneck_logits(*load_bottleneck(trained, forget, "retrain")))
    if method.name == "retrain-linear":
        return Defended(_linear_logits(trained, load_head(trained, forget)))
    if method.name == "logit-mask":
        plain = _bottleneck_logits(trained.bottleneck, trained.no_mask)

        def masked(split: str, rows: np.ndarray) -> np.ndarray:
            logits = plain(split, rows).copy()
            logits[:, forget] = -np.inf
            return logits

        return Defended(masked, note=f"its loss on the forget class is infinite, and taken as {LARGEST:g}")
    n = int(method.given)
    method.check(n)
    outcome = method.forget(n)
    return Defended(_linear_logits(trained, outcome.arrays), n, method.dial, outcome.note)


def _bottleneck_logits(model: StoredBottleneck, order: np.ndarray) -> Logits:
    """Of a bottleneck with what its order (C, M) masks at N = 0, which is what it never selected or nothing."""
    kept: dict[str, np.ndarray] = {}

    def logits(split: str, rows: np.ndarray) -> np.ndarray:
        if split not in kept:
            kept[split] = masked_logits(model, order, 0, split)
        return np.asarray(kept[split][rows])

    return logits


def _linear_logits(trained: TrainedSeed, head: dict[str, np.ndarray]) -> Logits:
    return lambda split, rows: trained.splits.features_of(split)[rows] @ head["weight"].T + head["bias"]
