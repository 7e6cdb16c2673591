"""What the paper's page is about: every trained bottleneck with its heads, what was unlearned from it, and what the
paper says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dkvb.metrics.published import PAPER, Published
from dkvb.pages.charts import palette
from dkvb.pages.facts import words
from dkvb.pages.facts.records import Collected, ReportRun, Setup, flatten
from dkvb.recipe import load
from dkvb.workspace.artifacts import Artifact, Workspace

CLIP = "clip-vit-b32"


@dataclass
class Part:
    """Everything about one bottleneck configuration on one data set, and one forget set."""

    setup: Setup
    run: ReportRun | None
    heads: list[Setup]
    published: Published | None
    """Of the same data and encoder, else of the same data."""
    attacks: list[Artifact] = field(default_factory=list)
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
        return (self.setup.embed.settings["data"]["source"], self.setup.encoder) in PAPER

    @property
    def differs(self) -> str:
        """What sets this run apart from the paper's."""
        if self.published is None:
            return "Not one of the paper's data sets: its own numbers, in the paper's tables."
        recipe = load(self.published.recipe)
        trained = self.setup.seeds[0]
        told = [] if self.exact else [f"the encoder: {self.setup.encoder} instead of {recipe.encoder.name}"]
        encoder = self.setup.embed.settings.get("encoder") or {}
        if self.exact and encoder.get("weights") not in (None, recipe.encoder.weights):
            told.append("encoder weights of one's own" if encoder["weights"] != "random" else "random encoder weights")
        told += _apart(
            "",
            trained.quantize.settings["keys"] if trained.quantize else {},
            recipe.keys.model_dump(exclude={"neighbours"}),
        )
        told += _apart("", trained.artifact.settings["train"], recipe.train.model_dump())
        for head in self.heads[:1]:
            told += _apart(
                "the linear head's ",
                head.seeds[0].artifact.settings["linear"],
                recipe.linear.model_dump(exclude={"converged"}),
            )
        if self.run and _chosen(self.run) == {"validation"}:
            told.append("N chosen on validation data instead of the test curve")
        if len(self.setup.seeds) != 5:
            told.append(f"{words.plural(len(self.setup.seeds), 'seed', 'seeds')} instead of 5")
        return (
            "Differs from the paper in " + "; ".join(told) + "."
            if told
            else "The paper's data, encoder, settings and epochs."
        )


def _apart(whose: str, used: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The settings that differ, in words."""
    names = {
        "pairs": "pairs a codebook",
        "dim": "key width",
        "top_k": "k",
        "lr": "learning rate",
        "values": "start of the values",
    }
    names |= {"epochs": "training epochs" if "values" in wanted else "epochs", "init": "start of the keys"}
    if "init" in wanted:
        names["epochs"] = "epochs of fitting keys"
    differing = [key for key in wanted if key in used and used[key] != wanted[key]]
    return [f"{whose}{names.get(key, key.replace('_', ' '))} {used[key]} instead of {wanted[key]}" for key in differing]


def _chosen(run: ReportRun) -> set[str]:
    return {
        str(result["chosen"]) for found in run.methods if found.method in palette.MASKING for result in found.results
    }


def all_parts(found: Collected, workspace: Workspace) -> list[Part]:
    """A part per bottleneck, with the forget set that most has been done on."""
    parts = []
    attacks = [artifact for artifact in workspace.all("unlearn") if artifact.settings.get("kind") == "membership"]
    for setup in found.setups:
        if setup.model != "dkvb":
            continue
        runs = [run for run in found.runs if run.setup is setup]
        run = max(runs, key=lambda run: (len(run.methods) + len(run.retraining), run.made), default=None)
        # of several heads the most recent
        heads = [
            head
            for head in found.setups
            if head.model == "linear" and head.embed.fingerprint == setup.embed.fingerprint
        ][-1:]
        source, encoder = setup.embed.settings["data"]["source"], setup.embed.result["encoder"]
        mine = [artifact for artifact in attacks if artifact.manifest["inputs"].get("embed") == setup.embed.fingerprint]
        parts.append(Part(setup, run, heads, PAPER.get((source, str(encoder))) or PAPER.get((source, CLIP)), mine))
    for part in parts:
        same = [_flat(other.setup) for other in parts if other.name == part.name]
        mine_ = _flat(part.setup)
        apart = [key for key in mine_ if any(other.get(key) != mine_[key] for other in same)]
        part.settings = ", ".join(f"{key.split('.')[-1].replace('_', ' ')} {mine_[key]}" for key in apart)
    order = list(PAPER.values())
    return sorted(parts, key=lambda part: (order.index(part.published) if part.published else len(order), part.title))


def _flat(setup: Setup) -> dict[str, Any]:
    trained = setup.seeds[0]
    return flatten(
        {
            "keys": trained.quantize.settings["keys"] if trained.quantize else {},
            "train": trained.artifact.settings["train"],
        }
    )
