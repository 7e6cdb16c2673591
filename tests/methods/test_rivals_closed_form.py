"""Rivals without a gradient step, each held against a slow loop, a model trained without the class, or sums by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from dkvb.bottleneck.decoder import Decoder
from dkvb.methods.on_head import Head, HeadData, searched
from dkvb.methods.rivals import certified, fisher, ridge_exact, tilted
from dkvb.methods.rivals.certified import Budget, Certified
from dkvb.methods.rivals.fisher import Fisher
from dkvb.methods.rivals.importance import importance
from dkvb.methods.rivals.influence import Influence, newton_step
from dkvb.methods.rivals.ridge_exact import RidgeExact
from dkvb.methods.rivals.ssd import Ssd
from dkvb.methods.rivals.ssd_values import SsdOfValues
from dkvb.methods.rivals.student import Student
from dkvb.methods.rivals.tilted import Tilted
from dkvb.training.linear_head import converged_head
from rival_toys import recognised, softmax, toy


def slow_importance(head: Head, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weight, bias = np.zeros(head.weight.shape), np.zeros(head.bias.shape)
    for row, label in zip(x, y, strict=True):
        p = softmax(head.logits(row[None]))[0]
        for j in range(len(bias)):
            g = p[j] - (j == label)
            weight[j] += (g * row.astype(np.float64)) ** 2 / len(y)
            bias[j] += g**2 / len(y)
    return weight, bias


def test_ssd_dampens_as_a_slow_loop_does() -> None:
    head, data = toy(each=40)
    forget = slow_importance(head, data.train[data.forgotten], data.labels[data.forgotten])
    everything = slow_importance(head, data.train, data.labels)
    found = Ssd().unlearn(head, data, {"a": 1.5, "l": 0.5})
    dampened = 0
    for new, old, of_forget, of_all in zip(
        (found.weight, found.bias), (head.weight, head.bias), forget, everything, strict=True
    ):
        for place in np.ndindex(old.shape):
            times = 1.0
            if of_forget[place] > 1.5 * of_all[place]:
                times = min(0.5 * of_all[place] / of_forget[place], 1)
                dampened += 1
            assert new[place] == pytest.approx(old[place] * times, rel=1e-4)
    assert 10 < dampened < head.weight.size
    ratio = forget[0] / everything[0]
    assert ratio.max() <= len(data.labels) / data.forgotten.sum() + 1e-6, "so that a = 10 does nothing to four classes"
    np.testing.assert_array_equal(Ssd().unlearn(head, data, {"a": 10, "l": 1}).weight, head.weight)


def test_ssd_on_values_is_over_the_samples_that_selected_them() -> None:
    draw = np.random.default_rng(0)
    values = draw.standard_normal((2 * 5, 3)).astype(np.float32)  # two codebooks of five pairs
    ids = np.stack([np.r_[draw.permutation(4)[:2], 5 + draw.permutation(5)[:2]] for _ in range(30)]).astype(np.int32)
    labels, forget = np.arange(30) % 3, 1
    squares = {"forget": np.zeros((10, 3)), "all": np.zeros((10, 3))}
    for row, label in zip(ids, labels, strict=True):
        p = softmax(values[row].mean(0, keepdims=True))[0]
        gradient = np.zeros((10, 3))
        for selected in row:
            gradient[selected] = (p - np.eye(3)[label]) / 4
        for name, samples in (("all", 30), ("forget", 10 if label == forget else 0)):
            if samples:
                squares[name] += (np.bincount(row, minlength=10)[:, None] > 0) * gradient**2 / samples
    decoder = Decoder(torch.from_numpy(values.copy()), 2, "mean")
    student = Student(
        decoder, torch.from_numpy(ids), torch.from_numpy(labels), torch.from_numpy(labels == forget), 3, [1], 1, 0, "x"
    )
    SsdOfValues().train(student, {"a": 1, "l": 1})
    times = np.ones((10, 3))
    chosen = squares["forget"] > squares["all"]
    times[chosen] = squares["all"][chosen] / squares["forget"][chosen]
    np.testing.assert_allclose(decoder.values.detach().numpy(), values * times, rtol=1e-4)
    np.testing.assert_array_equal(decoder.values.detach().numpy()[4], values[4])  # which nobody selects
    assert chosen.any()


def test_fisher_noise_has_the_variance_that_is_said() -> None:
    weights, needed = np.full((3, 40_000), 2.0), np.array([[0.01], [1e-9], [5.0]]) * np.ones((3, 40_000))
    found = fisher.noisy(weights, needed, [2], 1e-4, np.random.default_rng(0))
    np.testing.assert_allclose(found.var(1), [1e-4 / 0.01, 1e-4 * 1e3, 1e-4], rtol=0.03)
    np.testing.assert_allclose(found.mean(1), [2, 2, 0], atol=0.01)
    head, data = toy()
    scale = (data.mean_square / 16) ** 0.5
    rows = np.flatnonzero(~data.forgotten)
    expected = importance(head, data.train / np.float32(scale), data.labels, rows)
    wide = importance(
        Head(head.weight * np.float32(scale), head.bias), data.train / np.float32(scale), data.labels, rows
    )
    assert not np.allclose(expected.weight, wide.weight), "the head's own weights go with the scale"
    moved = Fisher().unlearn(head, data, {"a": 1e-12})
    np.testing.assert_allclose(moved.weight[[0, 1, 3]], head.weight[[0, 1, 3]], atol=1e-3)
    assert np.abs(moved.weight[2] * scale).max() < 0.05


def penalised(x: np.ndarray, y: np.ndarray, penalty: float) -> Head:
    """Multinomial logistic regression at the optimum of its mean loss plus penalty / 2 times all squared weights, the
    biases' as well."""
    wide = np.concatenate([x, np.ones((len(x), 1))], 1).astype(np.float64)
    model = LogisticRegression(C=1 / (penalty * len(y)), fit_intercept=False, tol=1e-10, max_iter=5000).fit(wide, y)
    return Head(model.coef_[:, :-1], model.coef_[:, -1])


def test_the_newton_step_of_influence_is_retraining_but_for_a_little() -> None:
    _, data = toy(spread=2.5)
    x, y, penalty = data.train, data.labels, 0.05
    gone = np.zeros(len(y), bool)
    gone[np.flatnonzero(y == 2)[:15]] = True
    before, after = penalised(x, y, penalty), penalised(x[~gone], y[~gone], penalty)
    step = newton_step(before, x, y, gone, penalty)
    wanted = np.concatenate([after.weight - before.weight, (after.bias - before.bias)[:, None]], 1)
    assert np.linalg.norm(step - wanted) < 0.1 * np.linalg.norm(wanted)
    whole = replace(data, forget=[2])
    a, b = (Influence().unlearn(before, whole, {"a": a, "damping": 1e-2}) for a in (1, 3))
    np.testing.assert_allclose(b.weight - before.weight, 3 * (a.weight - before.weight), atol=1e-4)
    assert recognised(b, whole)[0] < recognised(a, whole)[0] < recognised(before, whole)[0]


@pytest.mark.parametrize("random", [0, 60])
def test_exact_ridge_is_the_ridge_model_trained_without_the_class(random: int) -> None:
    head, data = toy(spread=2.0)
    rival = RidgeExact(random)
    lifted = rival._lift(data)
    found = rival.unlearn(head, data, {})
    x, y = lifted.features(data.train[~data.forgotten]).astype(np.float64), data.labels[~data.forgotten]
    held = data.validation_labels != 2
    logits = []
    for penalty in ridge_exact.PENALTIES:
        ridge = Ridge(alpha=penalty * ((x - x.mean(0)) ** 2).sum() / x.shape[1])
        logits.append(ridge.fit(x, np.eye(4)[y]).predict(lifted.features(data.validation)))
    scores = [(found_.argmax(1) == data.validation_labels)[held].sum() for found_ in logits]
    stay = [0, 1, 3]
    best = logits[int(np.argmax(scores))]
    np.testing.assert_allclose(found.logits(data.validation)[:, stay], best[:, stay], atol=1e-5)
    assert (found.logits(data.validation)[:, 2] == -np.inf).all()
    retained = HeadData(data.train[~data.forgotten], y, data.validation[held], data.validation_labels[held], [2], 0)
    again = RidgeExact(random).original(head, retained)
    np.testing.assert_allclose(
        again.logits(data.validation)[:, stay], found.logits(data.validation)[:, stay], atol=1e-5
    )
    before = rival.original(head, data).logits(data.train).argmax(1)
    assert (before[data.forgotten] == 2).mean() > 0.5, "it had learned the class"


def test_the_tilt_is_the_logit_mask_at_zero_and_leans_to_the_nearest_class() -> None:
    head, data = toy(spread=1.5)
    masked = head.logits(data.train)
    called = masked.argmax(1) == 2
    masked[:, 2] = -np.inf
    np.testing.assert_array_equal(Tilted().unlearn(head, data, {"b": 0}).logits(data.train), masked)
    similar = tilted.similarities(head.weight, [2])[0]
    assert similar.sum() == pytest.approx(1)
    assert similar[2] == 0
    found = Tilted().unlearn(head, data, {"b": 3}).logits(data.train)
    np.testing.assert_array_equal(found[~called], masked[~called])
    np.testing.assert_allclose(
        found[called], masked[called] + np.float32(3) * similar.astype(np.float32), rtol=1e-5, atol=1e-6
    )
    near = np.array([[1, 0, 0.1], [0.9, 0, 0], [-1, 0.2, 0], [0, -1, 0]], np.float32)
    assert tilted.similarities(near, [0])[0].argmax() == 1


def test_the_tilt_is_taken_that_answers_as_a_retrained_head_does() -> None:
    head, data = toy(spread=1.5)
    keep = ~data.forgotten
    weight, bias, _ = converged_head(data.train[keep], data.labels[keep], 4)
    mine = data.validation[data.validation_labels == 2]
    wanted = (mine @ weight.T + bias).argmax(1)
    left = [Tilted().unlearn(head, data, setting) for setting in Tilted.settings_tried]
    differ = [float((one.logits(mine).argmax(1) != wanted).mean()) for one in left]
    assert differ == [Tilted().apart(one, data) for one in left]
    assert min(differ) < differ[0], "the strongest tilt is not the nearest here"
    found = searched(Tilted(), head, data)
    assert differ[found.at.n - 1] == min(differ)


def test_the_budget_of_certified_removal_runs_out_as_computed_by_hand() -> None:
    budget = Budget(std=10, epsilon=1, delta=1.5 * math.exp(-2))  # c = 2
    assert budget.limit == pytest.approx(5)
    assert budget.spend(3)
    assert not budget.spend(2.5)
    assert budget.spent == 3, "what is not certified spends nothing"
    assert budget.spend(2)
    assert not budget.spend(1e-6)


def test_the_bound_of_certified_removal_holds() -> None:
    _, data = toy(spread=2.0)
    problem = certified.problem_of(data, 4)
    w = problem.trained(np.zeros((4, 17)))
    left = np.linalg.norm(problem.gradient(w), axis=1)
    assert left.max() < 1e-3 * np.linalg.norm(problem.gradient(np.zeros((4, 17))))
    for many in (1, 10, 96):
        rows = problem.rows.copy()
        rows[np.flatnonzero(data.forgotten)[:many]] = False
        remaining = replace(problem, rows=rows)
        moved, bounds = certified.removed(problem, remaining, w)
        residual = np.linalg.norm(remaining.gradient(moved), axis=1)
        assert (residual <= bounds + left).all()
        stays = np.linalg.norm(remaining.gradient(w), axis=1)
        assert (residual < stays).all(), "the step goes towards the retrained model"
    found = Certified().unlearn(Head(np.zeros((4, 16)), np.zeros(4)), data, {"epsilon": 1e9, "delta": 1e-4})
    assert found.note == "0 of 3 regressions ran out of their budget and were trained again"
    moved, _ = certified.removed(problem, replace(problem, rows=~data.forgotten), w)
    np.testing.assert_allclose(found.weight[0], moved[0, :-1] * problem.scale, rtol=1e-4)
    assert found.bias[2] == -np.inf
    found = Certified().unlearn(Head(np.zeros((4, 16)), np.zeros(4)), data, {"epsilon": 1, "delta": 1e-4})
    assert found.note == "3 of 3 regressions ran out of their budget and were trained again"
    again = replace(problem, rows=~data.forgotten).trained(w)
    assert not np.allclose(found.weight[0], again[0, :-1] * problem.scale, rtol=1e-3), "its noise is drawn anew"
