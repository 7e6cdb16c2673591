"""What a page is about: one bottleneck and one forget set, with what was done by every method, over seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from dkvb.evaluation.baselines import no_baseline
from dkvb.metrics.intervals import Stat, stat
from dkvb.pages.facts import methods
from dkvb.pages.facts.setups import Made, Setup
from dkvb.pages.facts.sweeps import Swept
from dkvb.pictures.album import Album
from dkvb.records.audit import Audit
from dkvb.records.experiments import MembershipResult
from dkvb.records.unlearn import Sweep, TrainOn, UnlearnResult
from dkvb.workspace.files import canonical_hash
from dkvb.workspace.finished import Artifact

When = Literal["before", "after"]

ACCURACIES = ("retain_test", "forget_test", "retain_train", "forget_train")
"""Accuracies that every run has, as fields of `Accuracies`."""


@dataclass
class MethodResult:
    """One method with one setting on one model, all seeds of it."""

    method: str
    setup: Setup
    made: list[Made[UnlearnResult]] = field(default_factory=list)
    difference: str = ""
    """What tells it from another result of the same method and model."""

    @property
    def artifacts(self) -> list[Artifact]:
        return [made.artifact for made in self.made]

    @property
    def results(self) -> list[UnlearnResult]:
        return [made.result for made in self.made]

    @property
    def first(self) -> UnlearnResult:
        """Of the first seed: what all seeds have in common is read from it."""
        return self.made[0].result

    @property
    def masks(self) -> bool:
        """Whether it hides pairs, and does nothing else."""
        return any(result.masked and result.keeps != "weights" for result in self.results)

    @property
    def alters(self) -> bool:
        """Whether it changes weights or values, whatever it hides as well."""
        return any(result.keeps == "weights" for result in self.results)

    @property
    def label(self) -> str:
        name = methods.title_on(self.method, self.setup.model, self.setup.model_name)
        return name + (f", {self.difference}" if self.difference else "")

    def stat(self, field_: str) -> Stat | None:
        """A number of the results over seeds, such as "seconds"."""
        return stat(getattr(result, field_) for result in self.results)

    def split(self, when: When, split: str) -> Stat | None:
        """Accuracy on a split such as "forget_test"."""
        return stat(accuracy(result, when, split) for result in self.results)

    def change(self, split: str) -> Stat | None:
        """After less before, per seed."""
        return stat(
            less(accuracy(result, "after", split), accuracy(result, "before", split)) for result in self.results
        )

    def per_class(self, when: When) -> list[Stat | None]:
        """Test accuracy of each class."""
        columns = zip(*(getattr(result, f"per_class_{when}") for result in self.results), strict=True)
        return [stat(column) for column in columns]


def accuracy(result: UnlearnResult, when: When, split: str) -> float | None:
    """Accuracy on a split such as "forget_test"; None where it has no samples."""
    return getattr(result.before if when == "before" else result.after, split)  # type: ignore[no-any-return]


def less(after: float | None, before: float | None) -> float | None:
    """Their difference; None where either is missing."""
    return None if after is None or before is None else after - before


def latest(results: Iterable[MethodResult]) -> list[MethodResult]:
    """The most recent setting of each method and model."""
    return list({(result.method, result.setup.model): result for result in results}.values())


@dataclass
class ReportRun:
    """One DKVB configuration and one forget set: what a page is about."""

    setup: Setup
    forget: tuple[int, ...]
    methods: list[MethodResult] = field(default_factory=list)
    sweeps: dict[tuple[str, str], Swept] = field(default_factory=dict)
    """(method, model) to its most recent sweep."""
    retraining: list[Made[TrainOn]] = field(default_factory=list)
    """Training on after unlearning, a curve over epochs each."""
    swept: list[Made[Sweep]] = field(default_factory=list)
    """All sweeps, earlier ones included."""
    made: str = ""
    """When the last of it was made."""
    oracles: dict[int, Artifact] = field(default_factory=dict)
    """Seed to the model that was retrained without the forget set."""

    @property
    def names(self) -> list[str]:
        return [self.setup.classes[index] for index in self.forget]

    @property
    def flags(self) -> str:
        """The options of `dkvb unlearn` that name its classes, with a space before each; by id where a name would have
        to be quoted, or is long."""
        plain = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,29}")
        named = zip(self.forget, self.names, strict=True)
        return "".join(f" --forget {name}" if plain.fullmatch(name) else f" --id {index}" for index, name in named)

    @property
    def chance(self) -> float:
        return 1 / len(self.setup.classes)

    @property
    def slug(self) -> str:
        words = f"{self.setup.data}-{self.setup.encoder}-{'-'.join(self.names)}"
        readable = re.sub(r"[^A-Za-z0-9]+", "-", words).strip("-").lower()
        return f"{readable[:60].rstrip('-')}-{canonical_hash([self.setup.key, self.forget])[:8]}"

    @property
    def page(self) -> str:
        """The file name of its page."""
        return f"{self.slug}.html"

    def no_baseline(self, result: UnlearnResult) -> str | None:
        """Why a result on the linear head is no baseline; None where it is one."""
        same = (trained.result for trained in self.setup.seeds if trained.seed == result.seed)
        return no_baseline(result, next(same, None))

    def find(self, method: str, model: str = "dkvb") -> MethodResult | None:
        """The method's most recent result on a model."""
        wanted = (method, model)
        return next(
            (result for result in reversed(self.methods) if (result.method, result.setup.model) == wanted), None
        )

    def sweep(self, method: str) -> Swept | None:
        """The method's sweep on the bottleneck."""
        return self.sweeps.get((method, "dkvb"))

    @cached_property
    def masking(self) -> list[str]:
        """Methods that mask pairs and do nothing else: the registry's, then those of other packages that did."""
        results = [result.method for result in self.methods if result.masks]
        altering = {result.method for result in self.methods if result.alters}
        swept = [sweep.method for sweep in self.sweeps.values() if sweep.masks and sweep.method not in altering]
        return list(dict.fromkeys([*methods.masking(), *results, *swept]))

    @property
    def masking_sweeps(self) -> dict[str, Swept]:
        """The sweeps of masking methods on the bottleneck, by method."""
        return {method: sweep for method in self.masking if (sweep := self.sweep(method))}

    @property
    def lead(self) -> MethodResult | None:
        """The result that the page's headline is about: masking if it was done, else the first there is."""
        masking = (self.find(method) for method in self.masking)
        return next((result for result in masking if result), self.methods[0] if self.methods else None)


@dataclass(frozen=True)
class Attack:
    """Class membership inference on one unlearned model."""

    artifact: Artifact
    result: MembershipResult

    @property
    def embed(self) -> str | None:
        """Fingerprint of the embedding that it was run on."""
        return self.artifact.inputs.get("embed")


@dataclass(frozen=True)
class Collected:
    """All that a report says."""

    setups: list[Setup]
    runs: list[ReportRun]
    attacks: list[Attack]
    orphans: int
    """Artifacts left out because what they were made from is gone."""
    audits: list[Audit] = field(default_factory=list)
    album: Album | None = None
    """Pictures of the samples; none where pages are to have none."""

    def heads(self, setup: Setup) -> list[Setup]:
        """Linear heads on the same embedding, most recent last."""
        same = setup.embed.fingerprint
        return [other for other in self.setups if other.model == "linear" and other.embed.fingerprint == same]
