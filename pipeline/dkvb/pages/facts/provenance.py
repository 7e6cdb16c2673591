"""What a run's page was made from: settings, artifacts, versions and machines."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dkvb.metrics.intervals import stat
from dkvb.pages.facts.runs import ReportRun
from dkvb.pages.facts.setups import Setup, flatten, without
from dkvb.workspace.finished import Artifact

KEYS_MEASURED = ("used", "unique", "dead", "quantisation_error")


@dataclass(frozen=True)
class Setting:
    """One setting as it is shown."""

    name: str
    value: str
    open: bool = False
    """Whether the paper leaves it open."""


def artifacts(run: ReportRun, heads: Sequence[Setup]) -> list[Artifact]:
    """All that a run's page shows, apart from sweeps, oldest first."""
    used = [run.setup.embed]
    for setup in (run.setup, *heads):
        used += [artifact for trained in setup.seeds for artifact in (trained.quantize, trained.artifact) if artifact]
    used += [artifact for result in run.methods for artifact in result.artifacts]
    used += [made.artifact for made in run.retraining]
    return sorted(used, key=lambda artifact: artifact.created)


def versions(used: Sequence[Artifact]) -> dict[str, list[str]]:
    """Every version of every library, and every machine, that had a part in some artifacts."""
    seen: dict[str, set[str]] = {}
    for artifact in used:
        for name, number in artifact.versions.items():
            seen.setdefault(name, set()).add(number)
        seen.setdefault("made on", set()).add(artifact.host)
    return {name: sorted(numbers) for name, numbers in seen.items()}


def settings(run: ReportRun, heads: Sequence[Setup]) -> list[tuple[str, list[Setting]]]:
    """Groups of settings, by title."""
    first, embedded = run.setup.seeds[0], run.setup.embedded
    sizes = {"train": embedded.train, "test": embedded.test, "dim": embedded.dim}
    groups = [("Data and encoder", _group(run.setup.embed.settings | sizes))]
    if first.quantize:
        groups.append(("Keys", _group(without(first.quantize.settings, "seed"))))
        groups.append(("Keys, as measured", _measured(run.setup)))
    groups.append(("Training the bottleneck", _group(without(first.artifact.settings, "seed"))))
    groups += [("Training the linear head", _group(without(head.seeds[0].artifact.settings, "seed"))) for head in heads]
    for result in run.methods:
        chosen = without(result.artifacts[0].settings, "kind", "seed", "forget", "method")
        groups.append((result.label, _group(chosen, result.first.not_in_paper)))
    return groups


def _group(chosen: Mapping[str, Any], open_: Collection[str] = ()) -> list[Setting]:
    known = {name: value for name, value in flatten(chosen).items() if value is not None}
    return [Setting(name, _plain(name, value), name.split(".")[-1] in open_) for name, value in known.items()]


def _measured(setup: Setup) -> list[Setting]:
    results = [trained.keys_result for trained in setup.seeds if trained.keys_result]
    means = {name: stat(getattr(result, name) for result in results) for name in KEYS_MEASURED}
    return [Setting(name.replace("_", " "), f"{mean.mean:.3f}") for name, mean in means.items() if mean]


def _plain(name: str, value: Any) -> str:
    """A value as shown; of a path only its last part, since where a file lay is nobody's business."""
    if name.endswith(("path", "weights", "proxy")) and isinstance(value, str):
        return Path(value).name
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
