"""One original, unlearned by one method: what is left of it, what it answers, and what that cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from dkvb.audit.bench import Bench
from dkvb.audit.ridge import ridge_flops
from dkvb.audit.subjects import ON_RIDGE, Subject
from dkvb.bottleneck.mask_order import unpack
from dkvb.errors import DkvbError, UsageError
from dkvb.evaluation.seed import TrainedSeed
from dkvb.methods.base import CurvePoint, Method, Outcome, make
from dkvb.methods.on_head import Head, in_words, on_head, rival, searched
from dkvb.methods.pair_masking import Masking
from dkvb.methods.rivals.as_method import RivalMethod
from dkvb.metrics.accuracy import retain_and_forget, target_accuracy


@dataclass(frozen=True)
class Choice:
    """The settings of a method, chosen on validation data."""

    n: int
    words: str | None
    seconds: float | None
    """What choosing took; None where there was nothing to choose."""
    note: str | None = None


@dataclass(frozen=True)
class Unlearned:
    """One unlearned model."""

    logits: np.ndarray
    """(P, L) float32."""
    seconds: float
    flops: int | None
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    """What is left of it: `weight` (L, D) and `bias` (L,) for features in line; or `values` (C, M, L), `masked` (C, M)
    bool and `excluded`, ids of classes that are never answered. Empty of a rule that is neither."""
    stored: int | None = None
    """Bytes that are kept for it."""
    choice: Choice | None = None
    """What was chosen for this model alone."""
    note: str | None = None


def choose(bench: Bench, subject: Subject) -> Choice | None:
    """The settings that are chosen once, on the first original, for all of them; None where each model's own are part
    of unlearning it (masking), or where there are none.

    Raises:
        UsageError: validation data are lacking.
    """
    if subject.method == ON_RIDGE:
        return None
    if subject.method in on_head():
        of = rival(subject.method)
        if len(of.settings_tried) == 1:
            return None
        started = time.perf_counter()
        found = searched(of, bench.head(0), bench.data, _target(bench))
        seconds = time.perf_counter() - started
        return Choice(found.at.n, in_words(of.settings_tried[found.at.n - 1]), seconds, found.note)
    method = make(subject.method, bench.as_trained(0), bench.forget)
    if isinstance(method, Masking):
        return None
    return _chosen(bench, method)


def unlearn(bench: Bench, subject: Subject, model: int, choice: Choice | None) -> Unlearned:
    """Unlearn an original.

    Raises:
        DkvbError: what the method raises.
    """
    if subject.method == ON_RIDGE:
        return _ridge(bench, model)
    if subject.method in on_head():
        return _head(bench, subject.method, model, choice)
    trained = bench.as_trained(model)
    method = make(subject.method, trained, bench.forget)
    own = _chosen(bench, method) if choice is None else None
    taken = choice or own
    assert taken is not None
    method.check(taken.n)
    return replace(_left(bench, subject.method, trained, method.forget(taken.n)), choice=own)


def _target(bench: Bench) -> float:
    return target_accuracy(bench.trained.recipe.unlearn.target, len(bench.trained.splits.classes))


def _chosen(bench: Bench, method: Method) -> Choice:
    """The recipe's n, or the one that validation data choose."""
    if method.given != "auto":
        return Choice(int(method.given), f"{method.dial} {method.given}" if method.dial else None, None)
    started = time.perf_counter()
    if isinstance(method, Masking):
        found = method.choose_n()
        seconds = time.perf_counter() - started
        return Choice(found.n, f"{method.dial} {found.n:,}", seconds, found.note)
    if "validation" not in bench.trained.splits.evaluation:
        raise UsageError(
            f"An audit chooses {method.dial} on validation data, and this recipe keeps none: set data.validation (0.1,"
            " say)."
        )
    curve = []
    for at in method.sweep(method.grid(), lambda points: None):
        if at.split == "validation":
            retain, forget = retain_and_forget(at.correct, at.total, bench.forget)
            if retain is None or forget is None:
                raise UsageError("Settings are chosen on validation data, and they lack forgotten or retained classes.")
            curve.append(CurvePoint(at.n, retain, forget))
    n, note = method.choose(curve, _target(bench))
    seconds = time.perf_counter() - started
    if isinstance(method, RivalMethod):
        return Choice(n, in_words(method.tried[n - 1]), seconds, note)
    return Choice(n, f"{method.dial} {n:,}", seconds, note)


def _ridge(bench: Bench, model: int) -> Unlearned:
    """The class's sums are taken from those that the original was solved from."""
    seed, data = bench.seed(model), bench.data
    everything = bench.sums(seed)
    started = time.perf_counter()
    head = (everything - bench.sums(seed, forgotten=True)).head()
    seconds = time.perf_counter() - started
    size = data.size(head.weight.shape[1])
    flops = ridge_flops(size.forget, size.width, size.classes)
    return Unlearned(head.logits(bench.asked), seconds, flops, stored=head.weight.nbytes + head.bias.nbytes)


def _head(bench: Bench, name: str, model: int, choice: Choice | None) -> Unlearned:
    of, data, head = rival(name), bench.data_of(model), bench.head(model)
    of.original(head, data)  # a model of its own is trained before, not while it unlearns
    setting = of.settings_tried[choice.n - 1 if choice else 0]
    started = time.perf_counter()
    left = of.unlearn(head, data, setting)
    seconds = time.perf_counter() - started
    tensors = {"weight": left.weight, "bias": left.bias} if isinstance(left, Head) else {}
    logits = np.asarray(left.logits(bench.asked), np.float32)
    stored = sum(tensor.nbytes for tensor in tensors.values()) or None
    flops = of.flops(data.size(len(head.bias)), setting)
    return Unlearned(logits, seconds, flops, tensors, stored, note=left.note)


def _left(bench: Bench, name: str, trained: TrainedSeed, outcome: Outcome) -> Unlearned:
    """What a method of `dkvb unlearn` left, from what it would keep on disk."""
    kept, answer = outcome.arrays, _ANSWERS.get(outcome.keeps)
    if answer is None:
        raise DkvbError(f"{name} keeps nothing of what it makes, so that there is nothing to ask.")
    logits, tensors = answer(bench, trained, kept)
    flops = None if outcome.flops is None else outcome.flops + outcome.flops_counts
    stored = sum(array.nbytes for array in kept.values())
    return Unlearned(logits, outcome.seconds + outcome.seconds_counts, flops, tensors, stored, note=outcome.note)


Tensors = dict[str, np.ndarray]


def _masked(bench: Bench, trained: TrainedSeed, kept: Tensors) -> tuple[np.ndarray, Tensors]:
    masked = unpack(kept["mask"], int(kept["shape"][1])) if "mask" in kept else np.zeros(trained.no_mask.shape, bool)
    values, masked = kept.get("values", trained.bottleneck.values), masked | (trained.no_mask < 0)
    excluded = np.asarray(kept.get("excluded", []), np.int64)
    logits = bench.logits(trained.bottleneck.with_values(values), masked)
    logits[:, excluded] = -np.inf
    return logits, {"values": np.ascontiguousarray(values), "masked": masked, "excluded": excluded}


def _weights(bench: Bench, trained: TrainedSeed, kept: Tensors) -> tuple[np.ndarray, Tensors]:
    if "weight" not in kept:
        return _masked(bench, trained, kept)
    weight, bias = bench.trained.in_line.unfold(kept["weight"], kept["bias"])
    return np.asarray(bench.asked @ weight.T + bias, np.float32), {"weight": weight, "bias": bias}


_ANSWERS: dict[str, Callable[[Bench, TrainedSeed, Tensors], tuple[np.ndarray, Tensors]]] = {
    "mask": _masked,
    "excluded": _masked,
    "weights": _weights,
}
