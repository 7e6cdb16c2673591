"""The map of features: two principal components without scikit-learn, to its bits."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from dkvb.pages.facts.feature_map import _principal


@pytest.mark.parametrize("shape", [(90, 7), (5, 30), (3, 2)])
def test_places_are_those_of_scikit_learn(shape: tuple[int, int]) -> None:
    features = np.random.default_rng(0).normal(3.0, 2.0, shape)
    places, explained = _principal(features)
    fitted = PCA(2, svd_solver="full").fit(features)
    largest = fitted.components_[np.arange(2), np.abs(fitted.components_).argmax(1)]
    np.testing.assert_array_equal(places, fitted.transform(features) * np.sign(largest))
    assert explained == pytest.approx(float(fitted.explained_variance_ratio_.sum()), rel=1e-15)
