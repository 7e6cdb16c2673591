"""Forgetting, restoring and verifying in an estimator."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import dkvb
from dkvb.errors import DkvbError, UsageError
from easy_classes import N, data, fitted

X, Y, X_TEST, Y_TEST = data()


def test_a_forgotten_class_is_no_answer_and_none_of_its_rows_is_recognised() -> None:
    model = fitted()
    assert model.score(X_TEST, Y_TEST) > 0.95
    before = model.decision_function(X_TEST)
    assert model.forget(["truck"]) is model
    assert model.forgotten_.tolist() == ["truck"]
    assert np.isneginf(model.decision_function(X_TEST)[:, 3]).all()
    probabilities = model.predict_proba(X_TEST)
    assert (probabilities[:, 3] == 0).all()
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-12)
    assert "truck" not in model.predict(X_TEST)
    alone = model.model_.mask_alone(X[Y == "truck"]).argmax(1)  # with its label among the answers
    assert not (alone == 3).any()
    stays = Y_TEST != "truck"
    assert model.score(X_TEST[stays], Y_TEST[stays]) > 0.95
    assert np.isfinite(before).all()


def test_two_classes_have_one_decision() -> None:
    learned, two = np.isin(Y, ["bird", "cat"]), np.isin(Y_TEST, ["bird", "cat"])
    model = dkvb.KeyValueClassifier(codebooks=8, pairs=32).fit(X[learned], Y[learned])
    decision = model.decision_function(X_TEST[two])
    assert decision.shape == (two.sum(),)
    assert (np.where(decision > 0, "cat", "bird") == model.predict(X_TEST[two])).all()
    assert (model.forget("bird").decision_function(X_TEST[two]) == np.inf).all()


def test_labels_may_be_numbers_that_are_no_ids() -> None:
    numbers = np.array([7, -2, 30, 4])[np.unique(Y, return_inverse=True)[1]]
    model = dkvb.KeyValueClassifier(codebooks=8, pairs=32).fit(X, numbers).forget(np.int64(30))
    assert model.classes_.tolist() == [-2, 4, 7, 30]
    assert set(model.predict(X).tolist()) == {-2, 4, 7}
    with pytest.raises(UsageError, match="There is no class 3 among the labels"):
        model.forget([3])


def test_values_without_samples_are_trained_without_them_and_leave_other_rows_alone() -> None:
    model, known = fitted(validation=0.0, unused="mask"), fitted(validation=0.0)
    rows = np.flatnonzero(Y == "dog")[:10]
    mask = np.isin(np.arange(N), rows)
    model.forget_samples(mask)
    assert model.forgotten_samples_.tolist() == rows.tolist()
    assert (model.model_.values != known.model_.values).any()
    assert model.forgotten_.tolist() == []
    same = fitted(validation=0.0, unused="mask").forget_samples(rows[5:]).forget_samples(rows[:6])
    np.testing.assert_array_equal(same.predict_proba(X_TEST), model.predict_proba(X_TEST))


def test_restoring_leaves_what_was_never_forgotten() -> None:
    model, plain = fitted(), fitted().predict_proba(X_TEST)
    model.forget(["cat", "dog"]).forget_samples([0, 1]).forget_samples([8]).forget("bird")
    model.restore("cat", samples=[1])
    other = fitted().forget(["dog"]).forget_samples([0, 8]).forget("bird")
    assert model.forgotten_.tolist() == ["bird", "dog"]
    assert model.forgotten_samples_.tolist() == [0, 8]
    np.testing.assert_array_equal(model.predict_proba(X_TEST), other.predict_proba(X_TEST))
    np.testing.assert_array_equal(model.restore().predict_proba(X_TEST), plain)
    assert model.forgotten_.size == model.forgotten_samples_.size == 0


def test_fitting_again_forgets_what_was_forgotten() -> None:
    model, plain = fitted(), fitted().predict_proba(X_TEST)
    model.forget("cat").fit(X, Y)
    assert model.forgotten_.size == 0
    np.testing.assert_array_equal(model.predict_proba(X_TEST), plain)


def test_a_pickle_goes_on_forgetting() -> None:
    model = fitted().forget("cat")
    copied = pickle.loads(pickle.dumps(model)).forget("dog")
    np.testing.assert_array_equal(copied.predict_proba(X_TEST), model.forget("dog").predict_proba(X_TEST))


def test_the_verdict_is_against_models_trained_without() -> None:
    model = fitted().forget("truck")
    verdict = model.verify(
        X_TEST, Y_TEST, max_forget=0.1, max_retain_drop=0.05, max_class_drop=0.1, samples=[5], epochs=2
    )
    assert (verdict.verdict, verdict.names, verdict.passed) == ("passed", ["truck"], True)
    assert verdict.accuracy.test.forget is not None
    assert verdict.accuracy.test.forget.accuracy == 0
    assert verdict.accuracy.before.retain is not None
    assert verdict.accuracy.before.retain.samples == 150
    assert verdict.oracle.artifact == "in memory"
    assert verdict.distance is not None
    assert verdict.distance_null is not None
    assert [row.samples for row in verdict.relearning] == [0, 5]
    assert verdict.masked == int(model.model_.mask.sum())


def test_a_verdict_without_held_out_rows_of_the_class_shows_nothing_of_new_ones() -> None:
    model, stays = fitted().forget("truck"), Y_TEST != "truck"
    verdict = model.verify(X_TEST[stays], Y_TEST[stays], quick=True, samples=[5], epochs=1)
    assert verdict.checks[0].state == "not-shown"
    assert "It has no test rows" in verdict.checks[0].sentence
    assert verdict.destinations["truck"].distance_on == "train"
    with pytest.raises(UsageError, match="There is no class 'ship' among the labels"):
        model.verify(X_TEST, np.where(stays, Y_TEST, "ship"))


def test_the_verdict_fails_where_a_class_is_still_known() -> None:
    model = fitted().forget("truck")
    model._forgetting.masked[:] = False
    model._stand(model._forgetting)
    verdict = model.verify(X_TEST, Y_TEST, quick=True, samples=[5], epochs=1)
    assert verdict.verdict == "failed"
    assert verdict.checks[0].name == "forget accuracy: truck"
    assert verdict.checks[0].value == 1.0
    assert verdict.distance_null is None


def test_the_verdict_says_whether_values_are_those_of_a_model_without_the_samples() -> None:
    model = fitted().forget("cat").forget_samples([4, 8]).forget("dog")
    quick: dict[str, Any] = {"quick": True, "samples": [5], "epochs": 1, "max_forget": 0.2}
    (check,) = [one for one in model.verify(X_TEST, Y_TEST, **quick).checks if one.name == "samples forgotten"]
    assert (check.passed, check.value) == (True, 0.0)
    model._forgetting.now.bottleneck.values[0, 0] += 1
    (check,) = [one for one in model.verify(X_TEST, Y_TEST, **quick).checks if one.name == "samples forgotten"]
    assert (check.state, check.value) == ("failed", 1 / (16 * 64))


def test_what_cannot_be_asked_is_said() -> None:
    model = dkvb.KeyValueClassifier()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model.forget("cat")
    model = fitted()
    assert not hasattr(model, "partial_fit")
    with pytest.raises(UsageError, match="There is no class 'catt' among the labels; did you mean 'cat'"):
        model.forget(["catt"])
    with pytest.raises(UsageError, match="would leave no class: 0 of 4 are forgotten"):
        model.forget(["bird", "cat", "dog", "truck"])
    with pytest.raises(UsageError, match="Name at least one class"):
        model.forget([])
    with pytest.raises(UsageError, match="fitted to 400 rows, 0 to 399: there is no row 400"):
        model.forget_samples([1, 400])
    with pytest.raises(UsageError, match="mask of samples has shape"):
        model.forget_samples([True, False])
    with pytest.raises(UsageError, match="named by row, whole numbers"):
        model.forget_samples([1.5])
    with pytest.raises(DkvbError, match="Nothing is left to train on"):
        model.forget_samples(range(N))
    with pytest.raises(UsageError, match="cat cannot be restored: not forgotten. Forgotten are: dog"):
        model.forget("dog").restore(["cat"])
    with pytest.raises(UsageError, match="Nothing is forgotten in this model"):
        fitted().verify(X_TEST, Y_TEST)
    with pytest.raises(UsageError, match="unknown key 'max_forgot' in \\[verify\\]; did you mean 'max_forget'"):
        model.verify(X_TEST, Y_TEST, max_forgot=0.1)
    with pytest.raises(UsageError, match="KeyValueClassifier: keys.pairs = 0: give 1 or more"):
        fitted(pairs=0)


def test_a_class_that_was_never_learned_is_said() -> None:
    model = fitted(pairs=1)  # one pair a codebook: all samples look the same
    (answer,) = set(model.predict(X))
    other = next(name for name in ("cat", "dog") if name != answer)
    with pytest.warns(UserWarning, match=f"forget {other}: {other} is not recognised to begin with"):
        model.forget(other)
    assert not model.model_.mask.any()
