"""scikit-learn's own checks of an estimator, none of which is expected to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

import dkvb

SMALL: dict[str, Any] = {"codebooks": 8, "pairs": 64, "key_epochs": 1}


@parametrize_with_checks([dkvb.KeyValueClassifier(**SMALL)])
def test_every_check_of_scikit_learn(estimator: dkvb.KeyValueClassifier, check: Callable[[Any], None]) -> None:
    check(estimator)
