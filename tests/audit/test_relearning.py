"""A head that only hid a class has it back sooner than one that never saw it."""

from __future__ import annotations

import numpy as np
import pytest

from dkvb.audit.relearning import Lesson, Samples, relearned
from dkvb.metrics import ain
from dkvb.recipe import Linear
from dkvb.training.linear_head import converged_head


def lesson() -> Lesson:
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 2, (4, 12))
    y, test = np.arange(400) % 4, np.zeros(100, np.int64)
    x = (centres[y] + rng.normal(size=(400, 12))).astype(np.float32)
    held_out = (centres[test] + rng.normal(size=(100, 12))).astype(np.float32)
    return Lesson(x, Samples(y, Linear(lr=0.01, batch_size=32), seed=3), held_out, test)


def test_what_was_hidden_comes_back_sooner() -> None:
    given = lesson()
    weight, bias, _ = converged_head(given.features, given.samples.labels, 4)
    before = float(((given.test @ weight.T + bias).argmax(1) == 0).mean())
    kept = given.samples.labels != 0
    retrained = converged_head(given.features[kept], given.samples.labels[kept], 4)[:2]
    hidden = relearned(given.learner(weight, np.where(np.arange(4) == 0, -np.inf, bias)), before, [2, 50])
    never = relearned(given.learner(*retrained), before, [2, 50])
    assert hidden.curves[50][0] == never.curves[50][0] == 0
    assert hidden.epochs is not None
    assert never.epochs is not None
    assert hidden.epochs < never.epochs
    index = ain(hidden, never)
    assert index is not None
    assert index < 0.5
    assert relearned(given.learner(weight, bias), before, [2]).epochs == 0, "the original has it from the start"


def test_draws_are_nested_and_even_over_classes() -> None:
    given = lesson()
    few, many = given.samples.rows(3), given.samples.rows(50)
    assert set(few) < set(many)
    assert np.bincount(given.samples.labels[many]).tolist() == [50] * 4
    assert len(given.samples.rows(1000)) == 400
    weight = np.zeros((4, 12), np.float32)
    curve = list(given.learner(weight, np.zeros(4, np.float32), epochs=4)(50))
    assert len(curve) == 5
    assert curve == list(given.learner(weight, np.zeros(4, np.float32), epochs=4)(50))
    assert curve[-1] == pytest.approx(0.9, abs=0.1)
