"""Artifacts as the stages write them, with made-up results, for the report's tests."""

from __future__ import annotations

import math
import statistics
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import TOML, blobs
from dkvb.pages.facts.collect import collect
from dkvb.recipe import Recipe, load
from dkvb.records.base import Record
from dkvb.records.embed import EmbedResult
from dkvb.records.experiments import MembershipResult
from dkvb.records.quantize import QuantizeResult
from dkvb.records.train import TrainResult
from dkvb.records.unlearn import Sweep, TrainOn, UnlearnResult
from dkvb.runtime import progress
from dkvb.stages import embed, quantize, report, train, unlearn
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from states import made_once

CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PAIRS = 256 * 4096
PER_CLASS = 1000
RECORDS: dict[str, type[Record]] = {
    "embed": EmbedResult,
    "quantize": QuantizeResult,
    "train": TrainResult,
    "forget": UnlearnResult,
    "sweep": Sweep,
    "retraining": TrainOn,
    "membership": MembershipResult,
}
NO_LEAKS = {"any": False, "rows": {"train": 50_000, "test": 10_000}}
UNSAID: dict[str, dict[str, Any]] = {
    "embed": {"mode": "RGB", "weights_sha256": None, "unreadable": {}, "leaks": NO_LEAKS, "leaks_in_words": None},
    "train": {"parameters": 1_000_000},
    "membership": dict.fromkeys(("loss_validation_forget", "loss_validation_held_out"), 1.0)
    | dict.fromkeys(("loss_test_forget", "loss_test_held_out"), 1.0)
    | {"model": "dkvb", "retain_test": 0.9, "seconds": 3.0, "note": None},
}
"""Kind -> what a result holds that no page shows."""


class Fake:
    """Artifacts as the other stages write them, with made-up results."""

    def __init__(
        self, workspace: Workspace, classes: list[str] = CIFAR, forget: int = 1, source: str = "cifar10"
    ) -> None:
        self.workspace, self.classes, self.forget = workspace, classes, forget
        data = {"source": source, "path": None, "test": 0.2}
        result = {
            "source": source,
            "encoder": "clip-vit-b32",
            "dim": 512,
            "train": 50_000,
            "test": 10_000,
            "classes": classes,
        }
        self.embed = self.make(
            "embed", "embed", {"data": data, "encoder": {"name": "clip-vit-b32", "weights": "openai"}}, {}, result
        )

    def make(
        self, stage: str, name: str, settings: dict[str, Any], inputs: dict[str, str], result: Any, frame: Any = None
    ) -> Artifact:
        kind = settings.get("kind", stage)
        record = RECORDS[kind].model_validate(UNSAID.get(kind, {}) | result)
        with self.workspace.claim(Spec(stage, name, settings, inputs)) as claim:
            if frame is not None:
                frame.write_parquet(claim.path / ("curve.parquet" if stage == "unlearn" else "metrics.parquet"))
            return claim.finish(record, seconds=12.5)

    def base(self, seed: int) -> list[float]:
        """Test accuracy per class of the trained model."""
        return [
            round(0.965 if index == self.forget else 0.91 + 0.05 * math.sin(2.3 * index) + 0.002 * seed, 3)
            for index in range(len(self.classes))
        ]

    def train(self, model: str = "dkvb", seed: int = 0, epochs: int = 74, until: str | None = None) -> Artifact:
        inputs = {"embed": self.embed.fingerprint}
        if model == "dkvb":
            keys = {"codebooks": 256, "pairs": 4096, "dim": 8, "top_k": 1, "epochs": 10, "init": "official"}
            shares = {"used": 0.98, "unique": 0.97, "dead": 0.02, "quantisation_error": 0.101}
            result = {"seed": seed, "codebooks": 256, "pairs": 4096, **shares}
            quantize = self.make("quantize", "keys", {"keys": keys, "validation": 0.1, "seed": seed}, inputs, result)
            inputs = {"quantize": quantize.fingerprint}
        per_class = self.base(seed)
        result = {
            "seed": seed,
            "model": model,
            "train": 1.0 if model == "dkvb" else 0.9327,
            "test": statistics.fmean(per_class),
            "per_class_test": per_class,
            "per_class_train": [1.0] * len(per_class),
            "misclassified_test": [round(PER_CLASS * (1 - value)) for value in per_class],
            "tested": [PER_CLASS] * len(per_class),
            "classes": self.classes,
            "until": until,
        }
        section = "train" if model == "dkvb" else "linear"
        settings = {"model": model, section: {"epochs": epochs, "lr": 0.1}, "validation": 0.1, "seed": seed}
        frame = pl.DataFrame({"epoch": [1], "loss": [0.1], "train_accuracy": [1.0], "test_accuracy": [0.93]})
        return self.make("train", model, settings, inputs, result, frame)

    def split(self, per_class: list[float], train: tuple[float, float]) -> dict[str, float]:
        rest = [value for index, value in enumerate(per_class) if index != self.forget]
        test = {"retain_test": statistics.fmean(rest), "forget_test": per_class[self.forget]}
        return test | {"retain_train": train[0], "forget_train": train[1]}

    def unlearn(
        self,
        trained: Artifact,
        method: str,
        n: int,
        gain: float = 0.004,
        left: float = 0.0,
        chosen: str = "given",
        **more: Any,
    ) -> Artifact:
        seed, model = trained.result["seed"], trained.result["model"]
        before = self.base(seed)
        after = [left if index == self.forget else round(value + gain, 4) for index, value in enumerate(before)]
        masking = method in ("votes", "activations", "examples")
        result = {
            "method": method,
            "model": model,
            "forget": [self.forget],
            "forget_names": [self.classes[self.forget]],
            "classes": self.classes,
            "seed": seed,
            "n": n,
            "n_name": {"votes": "N_v", "activations": "N_a", "examples": "N_e", "scrub": "epochs"}.get(method, ""),
            "chosen": chosen,
            "masked": n if masking else 0,
            "pairs_total": PAIRS if model == "dkvb" else None,
            "activated": 445_414 if masking else None,
            "seconds": {"activations": 0.8, "examples": 1.4, "scrub": 41.2}.get(method, 0.0001) + seed / 50,
            "seconds_counts": 0.25 if masking else 0.0,
            "flops": 0 if masking else 7_400_000_000,
            "flops_counts": 210_000_000 if masking else 0,
            "seconds_evaluate": 0.4,
            "before": self.split(before, (0.9998, 1.0)),
            "after": self.split(after, (0.9991, left)),
            "per_class_before": before,
            "per_class_after": after,
            "note": None,
            "not_in_paper": ["alpha", "gamma", "temperature"] if method == "scrub" else [],
            **more,
        }
        scrub = (
            {"scrub": {"max_steps": 3, "alpha": 0.001, "gamma": 0.99, "temperature": 4.0}} if method == "scrub" else {}
        )
        settings = {
            "kind": "forget",
            "method": method,
            "forget": [self.forget],
            "seed": seed,
            "n": n,
            "choose": chosen,
            **scrub,
        }
        return self.make("unlearn", f"{method}-{n}", settings, {"train": trained.fingerprint}, result)

    def sweep(self, trained: Artifact, method: str, last: int, steps: int = 20, n_name: str = "") -> Artifact:
        seed, model, rows, points = trained.result["seed"], trained.result["model"], [], []
        base, grid = self.base(seed), [round(last * step / steps) for step in range(steps + 1)]
        for n in grid:
            t = n / last
            now = [value + 0.0045 * t for value in base]
            now[self.forget] = max(0.0, base[self.forget] * (1 - (t / 0.9) ** 1.2))
            for split, total in (("test", PER_CLASS), ("validation", PER_CLASS // 2)):
                rows += [
                    {
                        "n": n,
                        "split": split,
                        "class": index,
                        "correct": round(value * total),
                        "total": total,
                        "masked": n,
                    }
                    for index, value in enumerate(now)
                ]
            points.append({"n": n, "masked": n, "retain_test": 0.93, "forget_test": now[self.forget]})
        n_name = {"votes": "N_v", "activations": "N_a", "examples": "N_e"}.get(method, n_name)
        result = {
            "method": method,
            "model": model,
            "forget": [self.forget],
            "seed": seed,
            "n_name": n_name,
            "grid": grid,
            "points": points,
        }
        settings = {"kind": "sweep", "method": method, "forget": [self.forget], "seed": seed, "grid": grid}
        return self.make(
            "unlearn", f"{method}-sweep", settings, {"train": trained.fingerprint}, result, pl.DataFrame(rows)
        )

    def retrain(self, trained: Artifact, method: str, epochs: int = 3) -> Artifact:
        """Retraining after unlearning: the others gain a little, the forgotten class stays forgotten."""
        seed, model = trained.result["seed"], trained.result["model"]
        points = [
            {"epoch": e, "retain_test": 0.92 + 0.002 * e + 0.001 * seed, "forget_test": 0.001 * e}
            | {"retain_train": 0.99, "forget_train": 0.0}
            for e in range(epochs + 1)
        ]
        result = {
            "method": method,
            "model": model,
            "forget": [self.forget],
            "forget_names": [self.classes[self.forget]],
            "seed": seed,
            "n": 180_000,
            "n_name": "N_a",
            "epochs": epochs,
            "points": points,
        }
        settings = {"kind": "retraining", "method": method, "forget": [self.forget], "seed": seed, "epochs": epochs}
        return self.make("unlearn", f"{method}-retraining", settings, {"train": trained.fingerprint}, result)

    def everything(self, seeds: int = 1) -> None:
        for seed in range(seeds):
            bottleneck, head = self.train(seed=seed), self.train("linear", seed, epochs=2)
            self.sweep(bottleneck, "votes", 160_000)
            self.sweep(bottleneck, "activations", 200_000)
            self.sweep(bottleneck, "examples", 4000)
            self.unlearn(bottleneck, "votes", 130_000, 0.0041)
            self.unlearn(bottleneck, "activations", 180_000)
            self.unlearn(bottleneck, "examples", 3200, 0.0045)
            self.unlearn(bottleneck, "logit-mask", 0, 0.0061)
            self.unlearn(head, "scrub", 3, 0.0162, chosen="given")


def workspace_at(folder: Path) -> Workspace:
    return Workspace(folder / "data", folder / "reports")


@pytest.fixture(scope="session")
def made_up() -> Workspace:
    """Three seeds of everything, made up, with its report."""
    return workspace_at(made_once("made up", _make_up))


def _make_up(folder: Path) -> None:
    progress.silence()
    workspace = workspace_at(folder)
    fake = Fake(workspace)
    fake.everything(seeds=3)
    for trained in [artifact for artifact in workspace.all("train") if artifact.result["model"] == "dkvb"]:
        fake.retrain(trained, "activations")
    report.run(Recipe(name="test"), workspace)


@pytest.fixture(scope="session")
def full(made_up: Workspace) -> tuple[Workspace, str, str]:
    """The made-up workspace, its index and its run's page."""
    [run] = collect(made_up).runs
    return made_up, *((made_up.reports / name).read_text(encoding="utf-8") for name in ("index.html", run.page))


@pytest.fixture(scope="session")
def reported() -> tuple[Recipe, Workspace]:
    """A tiny but real workspace with two forget sets and its report."""
    folder = made_once("reported", _report)
    return load(str(folder / "tiny.toml")), workspace_at(folder)


def _report(folder: Path) -> None:
    progress.silence()
    blobs(folder / "tiny-data")
    (folder / "tiny.toml").write_text(TOML, encoding="utf-8")
    recipe, workspace = load(str(folder / "tiny.toml")), workspace_at(folder)
    for stage in (embed, quantize, train):
        stage.run(recipe, workspace)
    for forget in ("bird", "dog"):
        unlearn.run(recipe.with_(unlearn={"forget": [forget], "sweep": True}), workspace)
    report.run(recipe, workspace)
