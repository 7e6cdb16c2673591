"""`dkvb.KeyValueClassifier`: the bottleneck as scikit-learn has classifiers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from dkvb.errors import UsageError
from dkvb.estimator import asked, hub, saving
from dkvb.estimator.predicting import Predicting
from dkvb.estimator.settings import PLACES, plain, recipe_of
from dkvb.evaluation.in_memory import Arrays
from dkvb.inference.export_about import measured_on
from dkvb.records.verdict import Verdict

if TYPE_CHECKING:
    from dkvb.estimator.forgetting import Forgetting


class KeyValueClassifier(Predicting):
    """A discrete key-value bottleneck on features (N, D), such as embeddings of a frozen encoder, that can forget
    classes and samples.

    Parameters are those of the recipe for own data (docs/estimator.md), with its defaults; `pairs` is capped to the
    number of training rows, and `top_k` to `pairs`. `verbose` shows progress. Fitting is what `dkvb quantize` and `dkvb
    train` do, to the same bits.

    Attributes:
        classes_: (L,) labels, in the order of columns.
        forgotten_: labels of the forgotten classes. predict never answers with them.
        forgotten_samples_: (n,) rows of the X that was fitted to that were forgotten one by one.
        model_: the `dkvb.Model` in use.
        n_features_in_, feature_names_in_: as scikit-learn has them.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to X (N, D), real numbers taken as float32, and labels y (N,). What an earlier fit has forgotten counts
        no more.

        Raises:
            ValueError: X or y is not what scikit-learn takes.
            UsageError: a parameter's value that the recipe does not take.
            DkvbError: a loss that is not finite.
        """
        from dkvb.estimator.fitting import trained_on  # torch, which takes seconds to import and predicting does not
        from dkvb.estimator.forgetting import Forgetting

        X, y = validate_data(self, X, y, dtype=np.float32, order="C")
        check_classification_targets(y)
        recipe = recipe_of({name: getattr(self, name) for name in PLACES})
        self.classes_, ids = np.unique(y, return_inverse=True)
        names = [str(label) for label in self.classes_.tolist()]
        with self._progress():
            trained = trained_on(Arrays(X, ids.astype(np.int64)), names, recipe)
        return self._stand(Forgetting.nothing(trained))

    def _stand(self, forgetting: Forgetting) -> Self:
        """Be the model of what has been forgotten now."""
        self._forgetting, self.model_ = forgetting, forgetting.model()
        self.forgotten_ = self.classes_[forgetting.classes]
        self.forgotten_samples_ = forgetting.rows
        return self

    def forget(self, classes: Any) -> Self:
        """Forget classes: mask the fewest pairs, by votes, that leave none of a class's own rows recognised, and leave
        it out of the answers, as `dkvb forget` does. Classes that are forgotten already are passed over.

        Args:
            classes: a label, or several.

        Raises:
            UsageError: an unknown label, no class would be left, or the model was loaded.
        """
        model = self._fitted
        with self._progress():
            return self._stand(model.of_classes(asked.ids(self.classes_, classes)))

    def forget_samples(self, rows: Any) -> Self:
        """Forget single samples exactly: values are trained again without them, as `dkvb forget --samples` does, on the
        same keys.

        Args:
            rows: places in the X that was fitted to, or a mask (N,) bool.

        Raises:
            UsageError: a row that is not there, or the model was loaded.
            DkvbError: nothing would be left to train on.
        """
        model = self._fitted
        with self._progress():
            return self._stand(model.of_rows(asked.rows(rows, model.samples)))

    def restore(self, classes: Any = None, *, samples: Any = None) -> Self:
        """Take forgetting back, of some classes or samples, or of all where none are given: the model is as if they had
        never been forgotten.

        Raises:
            UsageError: a class or sample that is not forgotten, or the model was loaded.
        """
        model, every = self._fitted, classes is None and samples is None
        ids = model.classes if every else [] if classes is None else asked.ids(self.classes_, classes)
        rows = model.rows.tolist() if every else [] if samples is None else asked.rows(samples, model.samples)
        asked.refuse_known(ids, model.classes, self.classes_.tolist())
        asked.refuse_known(rows, model.rows.tolist(), [f"row {row}" for row in range(model.samples)])
        with self._progress():
            return self._stand(model.restored(ids, rows))

    @property
    def _fitted(self) -> Forgetting:
        check_is_fitted(self, "model_")
        if not hasattr(self, "_forgetting"):
            raise UsageError(
                "This model was loaded, and a saved model holds none of the rows that it was fitted to: forget, restore"
                " and verify in the model that was fitted, and save it again."
            )
        return self._forgetting

    def verify(self, X: Any, y: Any, *, quick: bool = False, **limits: Any) -> Verdict:
        """Whether what was forgotten is, measured on held-out samples and on the forgotten classes' own rows against a
        model that is trained without them now: the checks of `dkvb verify`.

        Args:
            X, y: (N, D) and (N,), of forgotten and other classes.
            quick: leave out the second retrained model, which says how far two of them are apart.
            limits: keys of the recipe's `[verify]`, such as `max_forget=0.05`.

        Raises:
            UsageError: nothing is forgotten, an unknown limit or label, or the model was loaded.
        """
        from dkvb.estimator.verifying import verdict  # torch

        with self._progress():
            return verdict(self._fitted, self._test(X, y), quick, limits)

    def _test(self, X: Any, y: Any) -> Arrays:
        """Features (N, D) and ids of classes (N,) of samples that are measured on."""
        X, y = validate_data(self, X, y, reset=False, dtype=np.float32, order="C")
        asked.ids(self.classes_, np.unique(y))
        return Arrays(X, np.searchsorted(self.classes_, y).astype(np.int64))

    def save(self, folder: str | Path, *, force: bool = False, X: Any = None, y: Any = None) -> Path:
        """Write the model to a folder, as `dkvb export` does: without masked pairs, forgotten classes, and the rows
        that it was fitted to. `load` and `dkvb.load` read it.

        Args:
            force: write into a folder that is not empty.
            X, y: held-out samples to measure, for the model card.

        Raises:
            UsageError: the folder is a file, or not empty; labels that cannot be written.
        """
        check_is_fitted(self, "model_")
        now = None if X is None else measured_on(self.model_, *self._by_id(X, y))
        return saving.save(self.model_, self._described(), folder, force, now)

    def _by_id(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, D), and ids of classes (N,) as the model has them."""
        test = self._test(X, y)
        return test.features, np.array(self.model_.about.ids)[test.labels]

    def _described(self) -> saving.Described:
        return saving.Described(
            kind=saving.kind_of(self.classes_),
            classes=self.classes_[~np.isin(self.classes_, self.forgotten_)].tolist(),
            forgotten=self.forgotten_.tolist(),
            parameters=plain(self.get_params(deep=False)),
            feature_names=list(getattr(self, "feature_names_in_", [])) or None,
        )

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """What `save` wrote, to predict with; of a folder of `dkvb export` the model, with names of classes as labels.

        Raises:
            UsageError: there is no such folder.
            DamagedArtifact: a file is missing or has been altered.
        """
        model, described = saving.load(folder)
        loaded = cls(**described.parameters)
        loaded.model_, loaded.n_features_in_ = model, model.width
        loaded.classes_ = described.labels(described.classes)
        loaded.forgotten_ = described.labels(described.forgotten)
        loaded.forgotten_samples_ = np.empty(0, np.int64)
        if described.feature_names:
            loaded.feature_names_in_ = np.array(described.feature_names, dtype=object)
        return loaded

    def to_hub(
        self,
        repo: str,
        X: Any = None,
        y: Any = None,
        *,
        dataset: str = "own data",
        license: str | None = None,
        private: bool | None = None,
        token: str | bool | None = None,
    ) -> str:
        """Bring the model, saved as by `save`, to the Hugging Face Hub (extra `hub`); the repository's address. The
        card has a model index with accuracies.

        Args:
            repo: "owner/name", made where it is not there.
            X, y: held-out samples to measure; without them, the validation rows are, where there are any.
            dataset: what the card calls the data.

        Raises:
            UsageError: huggingface_hub is not installed, or labels that cannot be written.
        """
        check_is_fitted(self, "model_")
        now, found = None, None
        if X is not None:
            samples = self._by_id(X, y)
            now, found = measured_on(self.model_, *samples), hub.evaluated(self.model_, *samples, "test")
        elif hasattr(self, "_forgetting"):
            splits = self._forgetting.now.splits
            samples = splits.features_of("validation"), splits.labels["validation"]
            found = hub.evaluated(self.model_, *samples, "validation")
        head = hub.metadata(self.model_, repo, dataset, found, license)
        with tempfile.TemporaryDirectory() as folder:
            place = saving.save(self.model_, self._described(), Path(folder) / "model", False, now, head)
            return hub.upload(place, repo, private, token)

    @classmethod
    def from_hub(cls, repo: str | Path, *, revision: str | None = None, token: str | bool | None = None) -> Self:
        """The model of a repository that `to_hub` filled, "owner/name", or of a folder with its files.

        Raises:
            UsageError: huggingface_hub is not installed.
            DamagedArtifact: a file is missing or has been altered.
        """
        return cls.load(hub.download(repo, revision, token))
