"""An estimator on the Hugging Face Hub: a saved folder whose model card begins with metadata."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dkvb.errors import UsageError
from dkvb.estimator.saving import ESTIMATOR
from dkvb.inference.bottleneck_model import Model
from dkvb.inference.export_files import FILES
from dkvb.records.base import Record

TASK = "tabular-classification"
TAGS = ("dkvb", "machine-unlearning", "key-value-bottleneck")


class Evaluated(Record):
    """Accuracy on some samples."""

    split: str
    """"test" or "validation"."""
    accuracy: float
    """Share of all of them that is recognised, in [0, 1]."""
    retained: float | None
    """Of those whose class is not forgotten; None where nothing is, or there are none."""


def evaluated(model: Model, features: np.ndarray, labels: np.ndarray, split: str) -> Evaluated | None:
    """On features (N, D) of known classes (N,), by the data set's ids; None where there are none."""
    if not len(labels):
        return None
    right = np.array(model.about.ids)[model(features).argmax(1)] == labels
    stays = ~np.isin(labels, model.about.forgotten)
    retained = float(right[stays].mean()) if stays.any() and not stays.all() else None
    return Evaluated(split=split, accuracy=float(right.mean()), retained=retained)


def library() -> ModuleType:
    """huggingface_hub.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import huggingface_hub
    except ImportError:
        raise UsageError(
            "huggingface_hub is not installed: `pip install dkvb[hub]` brings it; save and load need only a folder."
        ) from None
    return huggingface_hub


def metadata(model: Model, repo: str, dataset: str, found: Evaluated | None, license_: str | None) -> str:
    """What the card begins with, between two lines of dashes: library, task, and the model index of what was
    measured."""
    hub = library()
    results = []
    if found:
        measures = {"Accuracy": found.accuracy, "Accuracy on classes that stay": found.retained}
        results = [
            hub.EvalResult(
                task_type=TASK,
                dataset_type=dataset,
                dataset_name=dataset,
                dataset_split=found.split,
                metric_type="accuracy",
                metric_name=name,
                metric_value=round(value, 6),
            )
            for name, value in measures.items()
            if value is not None
        ]
    data = hub.ModelCardData(
        library_name="dkvb",
        pipeline_tag=TASK,
        license=license_,
        tags=[*TAGS, *(["unlearned"] if model.about.forgotten else [])],
        model_name=repo.rpartition("/")[2] if results else None,
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n"


def upload(folder: Path, repo: str, private: bool | None, token: Any) -> str:
    """Create a model repository where there is none, and bring a saved folder there; its address."""
    api = library().HfApi(token=token)
    made = api.create_repo(repo, private=private, repo_type="model", exist_ok=True)
    api.upload_folder(repo_id=made.repo_id, folder_path=folder, repo_type="model", commit_message="A dkvb classifier")
    return str(made)


def download(repo: str | Path, revision: str | None, token: Any) -> Path:
    """The folder of a repository's files on this machine; a folder that is there already is taken as it is."""
    if Path(repo).expanduser().is_dir():
        return Path(repo)
    return Path(
        library().snapshot_download(str(repo), revision=revision, token=token, allow_patterns=[*FILES, ESTIMATOR])
    )
