"""The estimator where scikit-learn's own tools take it, and on frames."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas
import polars
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dkvb
from easy_classes import SMALL, data, fitted

X, Y, X_TEST, Y_TEST = data()


def test_pipelines_searches_and_clones() -> None:
    line = make_pipeline(StandardScaler(), dkvb.KeyValueClassifier(**SMALL))
    search = GridSearchCV(line, {"keyvalueclassifier__top_k": np.array([1, 4]), "keyvalueclassifier__lr": [0.1]}, cv=2)
    search.fit(X, Y)
    assert search.best_score_ > 0.9
    best = search.best_estimator_[-1]
    assert best.model_.top_k == best.top_k
    copied = clone(best.forget("cat"))
    assert not hasattr(copied, "classes_")
    assert copied.get_params() == best.get_params()
    assert cross_val_score(copied, X, Y, cv=2).mean() > 0.9


def test_forgetting_at_the_end_of_a_pipeline() -> None:
    line = make_pipeline(StandardScaler(), dkvb.KeyValueClassifier(**SMALL)).fit(X, Y)
    line[-1].forget("cat")
    assert set(line.predict(X_TEST)) == {"bird", "dog", "truck"}


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_are_taken_with_their_names(library: str) -> None:
    names = [f"f{i}" for i in range(X.shape[1])]
    if library == "pandas":
        frame, labels = pandas.DataFrame(X, columns=names), pandas.Series(Y)
        test = pandas.DataFrame(X_TEST, columns=names)
    else:
        frame, labels = polars.DataFrame(X, schema=names), polars.Series(Y)
        test = polars.DataFrame(X_TEST, schema=names)
    model = dkvb.KeyValueClassifier(**SMALL).fit(frame, labels)
    assert model.feature_names_in_.tolist() == names
    np.testing.assert_array_equal(model.predict_proba(test), fitted().predict_proba(X_TEST))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(test[names[::-1]])


def test_importing_dkvb_stays_light_and_predicting_takes_no_torch() -> None:
    fitted().save("saved")
    script = (
        "import sys, dkvb\n"
        "assert not {'sklearn', 'torch', 'faiss', 'numpy'} & set(sys.modules)\n"
        "model = dkvb.KeyValueClassifier.load('saved')\n"
        f"assert model.predict([{X[0].tolist()}]).tolist() == ['{Y[0]}']\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
