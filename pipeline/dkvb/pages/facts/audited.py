"""An audit as its page shows it: methods by the kind of model that they unlearn, and the measures of all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from dkvb import registry
from dkvb.pages.facts.words import class_names
from dkvb.records.audit import Audit, Audited, AuditEntry, KindModels, Measured

KINDS: dict[Audited, str] = {
    "values": "the bottleneck’s values",
    "values-keys": "the bottleneck’s values, beside models with keys of their own",
    "linear": "the linear head",
    "converged": "the converged linear head",
    "ridge": "ridge regression",
    "given": "the models given",
}
"""What models of a kind are called in a sentence."""

SHORT: dict[Audited, str] = {
    "values": "values",
    "values-keys": "values, own keys",
    "linear": "linear head",
    "converged": "converged head",
    "ridge": "ridge",
    "given": "given",
}

VOTES = "votes"
"""The method whose place every page of an audit says."""

RETAIN = "retain accuracy"

DISTANCES = ("destinations, each", "Wasserstein-1", "KLoM", "activation distance", "destinations")
"""Beginnings of the names of measures that are distances from retrained models. The first that was taken ranks methods:
it needs few models, has a unit, and sees every sample; KLoM needs many models."""


@dataclass(frozen=True)
class Group:
    """All entries on models of one kind."""

    kind: Audited
    entries: list[AuditEntry]
    models: KindModels | None
    """None where they were trained elsewhere."""
    distance: str | None
    """Name of the measure that ranks methods."""

    @property
    def words(self) -> str:
        return KINDS[self.kind]

    @property
    def short(self) -> str:
        return SHORT[self.kind]

    @cached_property
    def lines(self) -> list[AuditEntry]:
        """Retrained models that were held out, and doing nothing."""
        return sorted((one for one in self.entries if one.role != "unlearned"), key=lambda one: one.role == "original")

    @cached_property
    def methods(self) -> list[AuditEntry]:
        """Nearest to retraining first; those without a distance last."""
        mine = [one for one in self.entries if one.role == "unlearned"]
        return sorted(mine, key=lambda one: self._far(one))

    def _far(self, entry: AuditEntry) -> tuple[bool, float]:
        measured = entry.measures.get(self.distance or "")
        return (True, 0.0) if measured is None else (False, measured.value)

    def beside(self, name: str) -> Measured | None:
        """A measure of any entry: its null, its do-nothing line and how well it separates are those of all."""
        there = (one.measures[name] for one in [*self.methods, *self.lines] if name in one.measures)
        return next(there, None)

    def best(self, name: str) -> set[str]:
        """Keys of the methods than which no other is better in a measure."""
        costs = self._costs(name)
        return {key for key, cost in costs.items() if cost == min(costs.values())}

    def better(self, name: str, entry: AuditEntry) -> list[AuditEntry]:
        """Methods that are better in a measure than one of them, the best first."""
        costs = self._costs(name)
        ahead = [one for one in self.methods if one.key in costs and costs[one.key] < costs.get(entry.key, -math.inf)]
        return sorted(ahead, key=lambda one: costs[one.key])

    def _costs(self, name: str) -> dict[str, float]:
        """Of each method that has the measure, the less the better; what pages show alike is alike."""
        found = {one.key: cost(one.measures[name]) for one in self.methods if name in one.measures}
        return {key: round(value, 3) for key, value in found.items() if value is not None}

    @property
    def training(self) -> float | None:
        """Seconds of training an original."""
        return median(self.models.seconds_originals) if self.models and self.models.seconds_originals else None

    @property
    def retraining(self) -> float | None:
        """Seconds of training a model without the class."""
        return median(self.models.seconds_oracles) if self.models and self.models.seconds_oracles else None


def cost(measured: Measured) -> float | None:
    """How bad a value is: itself, less itself, or how far from what retrained models have; None where that is not
    known."""
    if measured.direction == "null":
        return None if measured.null is None else abs(measured.value - measured.null)
    return measured.value if measured.direction == "lower" else -measured.value


def groups(audit: Audit) -> list[Group]:
    """Kinds in the order of the audit."""
    trained: dict[Audited, KindModels] = {one.kind: one for one in audit.kinds}
    kinds = dict.fromkeys(entry.model for entry in audit.entries)
    ranks = distances(audit)
    first = ranks[0] if ranks else None
    return [
        Group(kind, [one for one in audit.entries if one.model == kind], trained.get(kind), first) for kind in kinds
    ]


def names(audit: Audit) -> list[str]:
    """All measures that were taken of any entry: the distance that ranks methods, then in the order of the record."""
    longest = sorted(audit.entries, key=lambda entry: -len(entry.measures))
    taken = list(dict.fromkeys(name for entry in longest for name in entry.measures))
    return list(dict.fromkeys([*_distances(taken)[:1], *taken]))


def distances(audit: Audit) -> list[str]:
    """Measures that are distances from retrained models on rows that are not retained, the one that ranks methods
    first."""
    return _distances(names(audit))


def _distances(taken: Iterable[str]) -> list[str]:
    mine = [name for name in taken if not of_retained(name)]
    return list(dict.fromkeys(name for start in DISTANCES for name in mine if name.startswith(start)))


def of_retained(name: str) -> bool:
    """Whether a measure is of the classes that stay: what unlearning costs them, and not whether anything is
    forgotten."""
    return "retain" in name


def own(entry: AuditEntry) -> bool:
    """Whether it is a method of this package that is not in the paper."""
    known = registry.methods().get(entry.method)
    return entry.model != "given" and known is not None and not (known.in_paper or known.rival or known.foreign)


def seconds(entry: AuditEntry) -> float | None:
    """What unlearning one model takes, settings chosen."""
    return None if entry.seconds is None else entry.seconds + (entry.seconds_choosing or 0.0)


def forgotten(audit: Audit) -> str:
    """What was to be forgotten; of margins alone no classes are known."""
    return class_names(audit.forget_names) if audit.forget_names else "a class"
