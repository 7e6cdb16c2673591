"""Manifests to facts: which models were trained, and what was unlearned from each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from dkvb.pages.facts import methods
from dkvb.pages.facts.oracles import oracle_of
from dkvb.pages.facts.runs import Attack, Collected, MethodResult, ReportRun
from dkvb.pages.facts.setups import Made, R, Setup, Trained, flatten, without
from dkvb.pages.facts.sweeps import Swept
from dkvb.records.experiments import MembershipResult
from dkvb.records.unlearn import Sweep, TrainOn, UnlearnResult
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.audits import audits
from dkvb.workspace.files import canonical_hash
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.settings import UnlearnSettings

KINDS = ("forget", "sweep", "retraining")
"""Kinds of unlearning artifacts that pages show per run."""

Unlearning = UnlearnResult | Sweep | TrainOn


def collect(workspace: Workspace) -> Collected:
    """Read the manifest of every finished artifact of the workspace.

    Raises:
        DamagedArtifact: a manifest cannot be read.
        SettingsClash: one was written by another version of dkvb, with other fields.
    """
    lineage = Lineage(workspace)
    setups, by_train, lost = _setups(lineage)
    unlearned = [
        (artifact, by_train.get(artifact.inputs.get("train", "")) if lineage.fits(artifact) else None)
        for artifact in lineage.all("unlearn")
    ]

    def made(kind: str, record: type[R]) -> list[Made[R]]:
        mine = [(artifact, setup) for artifact, setup in unlearned if artifact.kind == kind]
        return [Made(artifact, artifact.result_as(record), setup) for artifact, setup in mine if setup]

    parts = made("forget", UnlearnResult), made("sweep", Sweep), made("retraining", TrainOn)
    runs = [run for setup in setups if setup.model == "dkvb" for run in _runs(setup, *parts)]
    again = [artifact for artifact in lineage.all("retrained") if lineage.fits(artifact)]
    for run in runs:
        found = {trained.seed: oracle_of(again, trained, run.forget) for trained in run.setup.seeds}
        run.oracles = {seed: oracle for seed, oracle in found.items() if oracle}
    return Collected(
        setups,
        sorted(runs, key=lambda run: (run.made, run.slug), reverse=True),
        attacks=[Attack(one, one.result_as(MembershipResult)) for one, _ in unlearned if one.kind == "membership"],
        orphans=lost + sum(artifact.kind in KINDS and setup is None for artifact, setup in unlearned),
        audits=audits(workspace),
    )


def _setups(lineage: Lineage) -> tuple[list[Setup], dict[str, Setup], int]:
    """The setups, the setup of every trained model by its fingerprint, and of how many models the inputs are gone, or
    are no longer what they were."""
    setups: dict[str, Setup] = {}
    by_train: dict[str, Setup] = {}
    lost = 0
    for model in lineage.all("train"):
        made = lineage.trained_from(model)
        if made is None or not (lineage.fits(model) and lineage.fits(made.codes or model)):
            lost += 1
            continue
        trained = Trained(model, made.features, made.codes)
        setup = setups.setdefault(made.setup, Setup(made.setup, trained.result.model))
        setup.seeds.append(trained)
        by_train[model.fingerprint] = setup
    for setup in setups.values():
        setup.seeds.sort(key=lambda trained: trained.seed)
    return list(setups.values()), by_train, lost


def _forget(made: Made[Unlearning]) -> tuple[int, ...]:
    return tuple(sorted(made.result.forget))


def _runs(
    setup: Setup, forgot: list[Made[UnlearnResult]], swept: list[Made[Sweep]], trained_on: list[Made[TrainOn]]
) -> list[ReportRun]:
    """A run per forget set, with what was unlearned from this bottleneck and from linear heads on the same
    embedding."""
    every: list[Made[Unlearning]] = [*forgot, *swept, *trained_on]
    near = [made for made in every if made.setup.embed.fingerprint == setup.embed.fingerprint]
    masked = {_forget(made) for made in near if made.setup.model == "dkvb"}
    # a forget set that only a linear head has been through is shown too, but not where another bottleneck shows it
    wanted = {
        _forget(made)
        for made in near
        if made.setup is setup or (made.setup.model == "linear" and _forget(made) not in masked)
    }

    def of(forget: tuple[int, ...], made: Sequence[Made[R]]) -> list[Made[R]]:
        fits = {
            id(one) for one in near if _forget(one) == forget and (one.setup is setup or one.setup.model == "linear")
        }
        return [one for one in made if id(one) in fits]

    return [
        ReportRun(
            setup,
            forget,
            methods=_methods(of(forget, forgot)),
            sweeps=_sweeps(of(forget, swept), forget),
            retraining=of(forget, trained_on),
            swept=of(forget, swept),
            made=max(made.artifact.created for made in of(forget, every)),
        )
        for forget in sorted(wanted)
    ]


def _grouped(made: Sequence[Made[R]], key: Callable[[Made[R]], Any]) -> list[list[Made[R]]]:
    """Results of one setup and method that have the same key, by seed."""
    groups: dict[str, list[Made[R]]] = defaultdict(list)
    for one in made:
        groups[canonical_hash([one.setup.key, one.artifact.settings_as(UnlearnSettings).method, key(one)])].append(one)
    return [sorted(group, key=lambda one: one.artifact.settings_as(UnlearnSettings).seed) for group in groups.values()]


def _methods(made: list[Made[UnlearnResult]]) -> list[MethodResult]:
    def key(one: Made[UnlearnResult]) -> Any:
        # an N that was chosen may differ from seed to seed of one and the same setting
        chosen = one.result.chosen
        return [without(one.artifact.settings, "seed", "n"), chosen, one.result.n if chosen == "given" else None]

    results = [MethodResult(group[0].result.method, group[0].setup, group) for group in _grouped(made, key)]
    alike: dict[tuple[str, str], list[MethodResult]] = defaultdict(list)
    for result in results:
        alike[result.method, result.setup.model].append(result)
    for same in alike.values():
        if len(same) > 1:
            for result, difference in zip(same, _differences(same), strict=True):
                result.difference = difference
    return sorted(
        results, key=lambda result: (methods.rank(result.method), result.setup.model != "dkvb", result.method)
    )


def _differences(results: list[MethodResult]) -> list[str]:
    """What sets each of several results of one method apart, in words."""
    described = [_described(result) for result in results]
    # a setting that only some of them have follows from one that all have
    shared = sorted(set.intersection(*map(set, described)))
    apart = [name for name in shared if len({words[name] for words in described}) > 1]
    return [", ".join(words[name] for name in apart) for words in described]


def _described(result: MethodResult) -> dict[str, str]:
    """Every setting of a result and of the model that it began from, in words."""
    own = flatten(without(result.artifacts[0].settings, "seed", "n", "choose"))
    head = flatten(without(result.setup.seeds[0].artifact.settings, "seed"))
    words = {key: f"{key.split('.')[-1]} {value}" for key, value in own.items()}
    words |= {f"head.{key}": f"{key.split('.')[-1]} {value}" for key, value in head.items()}
    n, chosen = result.stat("n"), result.first.chosen
    words["n"] = f"N = {n.mean:,.0f}" if n and chosen == "given" else f"N chosen on {chosen} data"
    return words


def _sweeps(made: list[Made[Sweep]], forget: tuple[int, ...]) -> dict[tuple[str, str], Swept]:
    groups = _grouped(made, lambda one: without(one.artifact.settings, "seed"))
    # the workspace lists the most recent last, so the most recent sweep of a method wins
    return {
        (group[0].result.method, group[0].setup.model): Swept(
            group[0].result.method, group[0].setup.model, forget, group
        )
        for group in groups
    }
