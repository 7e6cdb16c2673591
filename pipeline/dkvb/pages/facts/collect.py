"""Manifests to plain records: which models were trained, and what was unlearned from each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import polars as pl

from dkvb.metrics.intervals import student
from dkvb.pages.charts import palette
from dkvb.pages.facts.records import Collected, MethodResult, ReportRun, Setup, Trained, flatten, without
from dkvb.workspace.artifacts import Artifact, Workspace
from dkvb.workspace.files import canonical_hash
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.names import CURVE

KINDS = ("forget", "sweep", "retraining")
"""Kinds of unlearning artifacts that pages show."""


def collect(workspace: Workspace) -> Collected:
    """Read every finished artifact of the workspace."""
    setups, by_train, lost = _setups(workspace)
    found: list[tuple[Artifact, Setup]] = []
    for artifact in workspace.all("unlearn"):
        if artifact.settings.get("kind") in KINDS:
            setup = by_train.get(artifact.manifest["inputs"].get("train", ""))
            lost += setup is None
            found += [(artifact, setup)] if setup else []
    runs = [run for setup in setups if setup.model == "dkvb" for run in _runs(setup, found)]
    return Collected(setups, sorted(runs, key=lambda run: (run.made, run.slug), reverse=True), lost)


def _forget(artifact: Artifact) -> tuple[int, ...]:
    return tuple(sorted(int(index) for index in artifact.result["forget"]))


def _runs(setup: Setup, found: list[tuple[Artifact, Setup]]) -> list[ReportRun]:
    """A run per forget set, with what was unlearned from this bottleneck and from linear heads on the same
    embedding."""
    near = [(artifact, other) for artifact, other in found if other.embed.fingerprint == setup.embed.fingerprint]
    masked = {_forget(artifact) for artifact, other in near if other.model == "dkvb"}
    # a forget set that only a linear head has been through is shown too, but not where another bottleneck shows it
    wanted = {
        _forget(artifact)
        for artifact, other in near
        if other is setup or (other.model == "linear" and _forget(artifact) not in masked)
    }
    runs = []
    for forget in sorted(wanted):
        mine = [pair for pair in near if _forget(pair[0]) == forget and (pair[1] is setup or pair[1].model == "linear")]
        parts = {kind: [pair for pair in mine if pair[0].settings["kind"] == kind] for kind in KINDS}
        made = max(artifact.manifest["created"] for artifact, _ in mine)
        counts = _counts(parts["sweep"])
        curves = {which: curve(found, forget) for which, found in counts.items()}
        run = ReportRun(
            setup, forget, _methods(parts["forget"]), curves, counts, [artifact for artifact, _ in parts["retraining"]]
        )
        run.made, run.swept = made, [artifact for artifact, _ in parts["sweep"]]
        runs.append(run)
    return runs


def _setups(workspace: Workspace) -> tuple[list[Setup], dict[str, Setup], int]:
    """The setups, the setup of every trained model by its fingerprint, and of how many models the inputs are gone."""
    lineage = Lineage(workspace)
    setups: dict[str, Setup] = {}
    by_train: dict[str, Setup] = {}
    lost = 0
    for model in lineage.all("train"):
        made = lineage.trained_from(model)
        if made is None:
            lost += 1
            continue
        setup = setups.setdefault(made.setup, Setup(made.setup, str(model.result["model"])))
        setup.seeds.append(Trained(model, made.features, made.codes))
        by_train[model.fingerprint] = setup
    for setup in setups.values():
        setup.seeds.sort(key=lambda trained: trained.seed)
    return list(setups.values()), by_train, lost


def _grouped(found: list[tuple[Artifact, Setup]], key: Callable[[Artifact], Any]) -> list[MethodResult]:
    groups: dict[str, MethodResult] = {}
    for artifact, setup in found:
        name = canonical_hash([setup.key, artifact.result["method"], key(artifact)])
        groups.setdefault(name, MethodResult(str(artifact.result["method"]), setup)).artifacts.append(artifact)
    for group in groups.values():
        group.artifacts.sort(key=lambda artifact: artifact.result["seed"])
    return list(groups.values())


def _methods(found: list[tuple[Artifact, Setup]]) -> list[MethodResult]:
    def key(artifact: Artifact) -> Any:
        # an N that was chosen may differ from seed to seed of one and the same setting
        chosen = artifact.result["chosen"]
        return [without(artifact.settings, "seed", "n"), chosen, artifact.result["n"] if chosen == "given" else None]

    groups = _grouped(found, key)
    alike: dict[tuple[str, str], list[MethodResult]] = defaultdict(list)
    for group in groups:
        alike[group.method, group.setup.model].append(group)
    for same in alike.values():
        if len(same) > 1:
            for group, difference in zip(same, _differences(same), strict=True):
                group.difference = difference
    return sorted(groups, key=lambda group: (palette.rank(group.method), group.setup.model != "dkvb", group.method))


def _differences(groups: list[MethodResult]) -> list[str]:
    """What sets each of several results of one method apart, in words."""
    described: list[dict[str, str]] = []
    for group in groups:
        first, trained = group.artifacts[0], group.setup.seeds[0].artifact
        words = {
            key: f"{key.split('.')[-1]} {value}"
            for key, value in flatten(without(first.settings, "seed", "n", "choose")).items()
        }
        words |= {
            f"head.{key}": f"{key.split('.')[-1]} {value}"
            for key, value in flatten(without(trained.settings, "seed")).items()
        }
        n, chosen = group.stat("n"), first.result["chosen"]
        words["n"] = f"N = {n.mean:,.0f}" if n and chosen == "given" else f"N chosen on {chosen} data"
        described.append(words)
    # a setting that only some of them have follows from one that all have
    shared = sorted(set.intersection(*map(set, described)))
    apart = [name for name in shared if len({words[name] for words in described}) > 1]
    return [", ".join(words[name] for name in apart) for words in described]


def _counts(found: list[tuple[Artifact, Setup]]) -> dict[tuple[str, str], pl.DataFrame]:
    counts: dict[tuple[str, str], pl.DataFrame] = {}
    for group in _grouped(found, lambda artifact: without(artifact.settings, "seed")):
        frames = [_read(artifact) for artifact in group.artifacts]
        # the workspace lists the most recent last, so the most recent sweep of a method wins
        counts[group.method, group.setup.model] = pl.concat(frames)
    return counts


def _read(artifact: Artifact) -> pl.DataFrame:
    try:
        return pl.read_parquet(artifact.path / CURVE).with_columns(seed=pl.lit(artifact.result["seed"]))
    except (OSError, pl.exceptions.PolarsError):
        raise artifact.damaged("curve.parquet cannot be read") from None


def per_seed(counts: pl.DataFrame, forget: tuple[int, ...]) -> pl.DataFrame:
    """Retain and forget accuracy per seed, n and split, from correct answers per class."""
    role = pl.when(pl.col("class").is_in(forget)).then(pl.lit("forget")).otherwise(pl.lit("retain")).alias("role")
    # no samples is no accuracy, not NaN
    accuracy = pl.when(pl.col("total").sum() > 0).then(pl.col("correct").sum() / pl.col("total").sum())
    return (
        counts.group_by("seed", "split", "n", role)
        .agg(pl.col("masked").first(), accuracy.alias("accuracy"))
        .pivot("role", index=["seed", "split", "n", "masked"], values="accuracy")
        .sort("split", "n", "seed")
    )


def curve(counts: pl.DataFrame, forget: tuple[int, ...]) -> pl.DataFrame:
    """Retain and forget accuracy per n and split: mean over seeds, standard deviation and half the 95% interval of the
    mean."""
    found = per_seed(counts, forget)
    columns = [name for name in ("retain", "forget") if name in found.columns]
    spread = (
        found.group_by("split", "n")
        .agg(pl.col("masked", *columns).mean(), pl.col(columns).std().name.suffix("_sd"), pl.len().alias("seeds"))
        .sort("split", "n")
    )
    quantiles = {count: student(count) / count**0.5 for count in spread["seeds"].unique() if count > 1}
    factor = pl.col("seeds").replace_strict(quantiles, default=None, return_dtype=pl.Float64)
    return spread.with_columns((pl.col(f"{name}_sd") * factor).alias(f"{name}_ci95") for name in columns)
