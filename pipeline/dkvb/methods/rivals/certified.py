"""Certified removal: a Newton step and a bound on what it leaves, under noise that hides as much.

Source: Guo et al. 2020, test_removal.py [V] (its licence forbids taking code; these are its equations): one logistic
regression a class against the rest (`one_vs_rest`), trained with a random linear term b ~ N(0, std²). Removing rows
moves w by H⁻¹ Δ, Δ their gradients and share of the penalty, H of what remains; the gradient that is left is at most
‖X‖ ‖H⁻¹ Δ‖ ‖X H⁻¹ Δ‖ / 4. While such bounds add up to at most std ε / c, δ = 1.5 exp(−c² / 2), removal is (ε,
δ)-certified; after that the regression is trained again. std 10; penalty 1e-3 on MNIST, 2e-4 on SVHN.

Ours: a whole class is one removal; std 1, since 10 costs a head for ten classes on 1,800 rows 40 points; ε 1 and δ
1e-4, divided among the regressions that stay; the Frobenius norm in place of ‖X‖, which is no smaller; what conjugate
gradients and training leave of the gradient counts as well. The forgotten class's own regression is dropped, and the
length to which rows are scaled is taken to be public. The certificate is of the head alone, as the encoder has never
seen the data. A whole class has run out of every budget so far, so that this is a slow way to train again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dkvb.methods.on_head import Head, HeadData, Rival, Setting, Size
from dkvb.methods.rivals.as_method import HeadRival
from dkvb.methods.rivals.one_vs_rest import ITERATIONS, NEWTON, Problem
from dkvb.metrics.flops import linear_flops

STD, PENALTY = 1.0, 2e-4
GAMMA = 0.25
"""How fast the logistic loss's second derivative may change."""


@dataclass
class Budget:
    """What removals may leave of the gradient before a model has to be trained again."""

    std: float
    epsilon: float
    delta: float
    spent: float = 0.0

    @property
    def limit(self) -> float:
        return self.std * self.epsilon / math.sqrt(2 * math.log(1.5 / self.delta))

    def spend(self, bound: float) -> bool:
        """Whether a removal with this bound is still certified; one that is not spends nothing."""
        if self.spent + bound > self.limit:
            return False
        self.spent += bound
        return True


class Certified(Rival):
    name = "certified"
    settings_tried = ({"epsilon": 1, "delta": 1e-4},)

    def original(self, head: Head, data: HeadData) -> Head:
        problem = problem_of(data, len(head.bias))
        return head_of(problem, _trained(data, problem))

    def _unlearn(self, head: Head, data: HeadData, setting: Setting) -> Head:
        problem = problem_of(data, len(head.bias))
        w, remaining = _trained(data, problem), replace(problem, rows=~data.forgotten)
        moved, bounds = removed(problem, remaining, w)
        stay = np.setdiff1d(np.arange(len(w)), data.forget)
        share = {name: setting[name] / len(stay) for name in ("epsilon", "delta")}
        left = np.linalg.norm(problem.gradient(w), axis=1)
        again = np.array([c for c in stay if not Budget(STD, **share, spent=float(left[c])).spend(bounds[c])], int)
        if len(again):
            fresh = data.draw(self.name, "again").normal(0, STD, problem.random.shape)
            start = np.zeros_like(w[again])
            moved[again] = _only(replace(remaining, random=fresh), again).trained(start)
        note = f"{len(again)} of {len(stay)} regressions ran out of their budget and were trained again"
        return without(head_of(problem, moved), data.forget, note)

    def flops(self, size: Size, setting: Setting) -> int:
        passes = ITERATIONS + 2 + NEWTON * (ITERATIONS + 2)
        return linear_flops(size.train * passes, size.width, size.classes)


def problem_of(data: HeadData, classes: int) -> Problem:
    """The regressions over all training rows."""
    longest = float(np.sqrt(np.einsum("nd,nd->n", data.train, data.train).max()))
    one = longest or 1.0
    # not of the forget classes: what is trained before they are known
    random = replace(data, forget=[]).draw("certified", "random").normal(0, STD, (classes, data.train.shape[1] + 1))
    rows = np.ones(len(data.labels), bool)
    return Problem(data.train, data.labels, rows, random, PENALTY, 1 / (math.sqrt(2) * one), one)


def _trained(data: HeadData, problem: Problem) -> np.ndarray:
    return data.once("certified", lambda: problem.trained(np.zeros_like(problem.random)), whole=True)


def _only(problem: Problem, classes: np.ndarray) -> Problem:
    """The regressions of some classes alone."""
    places = np.full(max(int(problem.labels.max()) + 1, len(problem.random)), -1)
    places[classes] = np.arange(len(classes))
    return replace(problem, labels=places[problem.labels], random=problem.random[classes])


def removed(problem: Problem, remaining: Problem, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights (L, D + 1) that a Newton step leaves, and a bound (L,) on the gradient that removing rows leaves of
    what was zero before it."""
    gone = problem.rows & ~remaining.rows
    penalty = problem.weight_of_penalty - remaining.weight_of_penalty
    wanted = problem.sums(problem.slopes(w) * gone[:, None]) + penalty * w
    step, rest = remaining.newton(w, wanted)
    features = remaining.features[remaining.rows]
    spread = math.sqrt(float(np.vdot(features, features)) + len(features) * problem.one**2) * problem.scale
    moved = np.linalg.norm(remaining.scores(step)[remaining.rows].astype(np.float64), axis=0)
    bounds = GAMMA * spread * np.linalg.norm(step, axis=1) * moved + np.linalg.norm(rest, axis=1)
    return w + step, bounds


def head_of(problem: Problem, w: np.ndarray) -> Head:
    """The head for features as they are."""
    weight, bias = w[:, :-1] * problem.scale, w[:, -1] * problem.scale * problem.one
    return Head(weight.astype(np.float32), bias.astype(np.float32))


def without(head: Head, forget: list[int], note: str | None = None) -> Head:
    """The head with the outputs of some classes dropped: no weights, and a bias of minus infinity."""
    weight, bias = head.weight.copy(), head.bias.copy()
    weight[forget], bias[forget] = 0, -np.inf
    return Head(weight, bias, note)


METHOD = HeadRival(Certified())
