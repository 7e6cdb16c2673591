"""What the paper's page is about: every trained bottleneck with its heads, what was unlearned from it, and what the
paper says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dkvb.metrics.published import PAPER, Published
from dkvb.pages.facts.runs import Attack, Collected, MethodResult, ReportRun, latest
from dkvb.pages.facts.setups import Setup, flatten
from dkvb.pages.facts.words import plural
from dkvb.recipe import load
from dkvb.workspace.settings import EmbedSettings

CLIP = "clip-vit-b32"

SEEDS = 5
"""Seeds of the paper's experiments."""


@dataclass
class Part:
    """Everything about one bottleneck configuration on one data set, and one forget set."""

    setup: Setup
    run: ReportRun | None
    heads: list[Setup]
    published: Published | None
    """Of the same data and encoder, else of the same data."""
    attacks: list[Attack] = field(default_factory=list)
    settings: str = ""
    """What tells it from another part of the same name."""

    @property
    def title(self) -> str:
        return self.name + (f" ({self.settings})" if self.settings else "")

    @property
    def name(self) -> str:
        return self.published.name if self.exact and self.published else f"{self.setup.data} · {self.setup.encoder}"

    @property
    def exact(self) -> bool:
        """Whether the paper has this very data set and encoder."""
        return (self.setup.embed.settings_as(EmbedSettings).data.source, self.setup.encoder) in PAPER

    @property
    def results(self) -> list[MethodResult]:
        """The most recent result of every method and model."""
        return latest(self.run.methods) if self.run else []

    @property
    def differs(self) -> str:
        """What sets this run apart from the paper's, as a sentence."""
        if self.published is None:
            return "Not one of the paper's data sets: its own numbers, in the paper's tables."
        told = [*self._other_encoder(self.published), *self._other_settings(self.published)]
        if len(self.setup.seeds) != SEEDS:
            told.append(f"{plural(len(self.setup.seeds), 'seed', 'seeds')} instead of {SEEDS}")
        if not told:
            return "The paper's data, encoder, settings and epochs."
        return "Differs from the paper in " + "; ".join(told) + "."

    def _other_encoder(self, published: Published) -> list[str]:
        wanted = load(published.recipe).encoder
        if not self.exact:
            return [f"the encoder: {self.setup.encoder} instead of {wanted.name}"]
        used = self.setup.embed.settings_as(EmbedSettings).encoder
        if used is None or used.weights in (None, wanted.weights):
            return []
        return ["random encoder weights" if used.weights == "random" else "encoder weights of one's own"]

    def _other_settings(self, published: Published) -> list[str]:
        recipe, trained = load(published.recipe), self.setup.seeds[0]
        told = _apart("", trained.keys_settings, recipe.keys.model_dump(exclude={"neighbours"}))
        told += _apart("", trained.section, recipe.train.model_dump())
        for head in self.heads[:1]:
            used = head.seeds[0].section
            told += _apart("the linear head's ", used, recipe.linear.model_dump(exclude={"converged"}))
        if self.run and _chosen(self.run) == {"validation"}:
            told.append("N chosen on validation data instead of the test curve")
        return told


def _apart(whose: str, used: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The settings that differ, in words."""
    names = {
        "pairs": "pairs a codebook",
        "dim": "key width",
        "top_k": "k",
        "lr": "learning rate",
        "values": "start of the values",
    }
    names["until"] = "training"
    names |= {"epochs": "training epochs" if "values" in wanted else "epochs", "init": "start of the keys"}
    if "init" in wanted:
        names["epochs"] = "epochs of fitting keys"
    differing = [key for key in wanted if key in used and used[key] != wanted[key]]
    return [f"{whose}{names.get(key, key.replace('_', ' '))} {used[key]} instead of {wanted[key]}" for key in differing]


def _chosen(run: ReportRun) -> set[str]:
    """How the N of masking were chosen."""
    return {one.chosen for result in run.methods if result.method in run.masking for one in result.results}


def all_parts(collected: Collected) -> list[Part]:
    """A part per bottleneck, with the forget set that most has been done on; the paper's first, in its order."""
    parts = [_part(collected, setup) for setup in collected.setups if setup.model == "dkvb"]
    for part in parts:
        same = [_settings(other.setup) for other in parts if other.name == part.name]
        mine = _settings(part.setup)
        apart = [key for key in mine if any(other.get(key) != mine[key] for other in same)]
        part.settings = ", ".join(f"{key.split('.')[-1].replace('_', ' ')} {mine[key]}" for key in apart)
    order = list(PAPER.values())
    return sorted(parts, key=lambda part: (order.index(part.published) if part.published else len(order), part.title))


def _part(collected: Collected, setup: Setup) -> Part:
    runs = [run for run in collected.runs if run.setup is setup]
    run = max(runs, key=lambda run: (len(run.methods) + len(run.retraining), run.made), default=None)
    source, encoder = setup.embed.settings_as(EmbedSettings).data.source, setup.embedded.encoder
    return Part(
        setup,
        run,
        heads=collected.heads(setup)[-1:],  # of several the most recent
        published=PAPER.get((source, str(encoder))) or PAPER.get((source, CLIP)),
        attacks=[attack for attack in collected.attacks if attack.embed == setup.embed.fingerprint],
    )


def _settings(setup: Setup) -> dict[str, Any]:
    trained = setup.seeds[0]
    return flatten({"keys": trained.keys_settings, "train": trained.section})
