"""The estimator's parameters, and what it predicts once it is fitted."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from dkvb.bottleneck.values import Pool
from dkvb.inference.bottleneck_model import Model
from dkvb.metrics.proportions import softmax
from dkvb.runtime import progress


class Predicting(ClassifierMixin, BaseEstimator):
    """A classifier that has, once fitted, a `model_` and labels, `classes_`."""

    classes_: np.ndarray
    model_: Model

    def __init__(
        self,
        *,
        codebooks: int = 256,
        pairs: int = 512,
        dim: int = 14,
        top_k: int = 10,
        key_epochs: int = 10,
        key_batch_size: int = 256,
        decay: float = 0.95,
        init: Literal["official", "sample"] = "sample",
        unused: Literal["keep", "mask"] = "keep",
        epochs: int = 5,
        lr: float = 0.3,
        batch_size: int = 256,
        values: Literal["normal", "zeros", "uniform"] = "zeros",
        pool: Pool = "mean",
        label_smoothing: float = 0.1,
        validation: float = 0.1,
        seed: int = 0,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        verbose: bool = False,
    ) -> None:
        self.codebooks = codebooks
        self.pairs = pairs
        self.dim = dim
        self.top_k = top_k
        self.key_epochs = key_epochs
        self.key_batch_size = key_batch_size
        self.decay = decay
        self.init = init
        self.unused = unused
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.values = values
        self.pool = pool
        self.label_smoothing = label_smoothing
        self.validation = validation
        self.seed = seed
        self.device = device
        self.verbose = verbose

    def _progress(self) -> AbstractContextManager[None]:
        """Progress on stderr where `verbose`, else none."""
        return nullcontext() if self.verbose else progress.silenced()

    def _logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "model_")
        X = validate_data(self, X, reset=False, dtype=np.float32, order="C")
        return np.asarray(self.model_(X), np.float64)

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits (N, L) float64, a forgotten class's at minus infinity; of two classes (N,), the second's less the
        first's."""
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Softmax of the logits, (N, L) float64; 0 for a forgotten class."""
        return softmax(self._logits(X))

    def predict(self, X: Any) -> np.ndarray:
        """The labels (N,) of the highest logits."""
        places = self._logits(X).argmax(1)
        return np.asarray(self.classes_[places])
