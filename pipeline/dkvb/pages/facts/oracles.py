"""Models that were retrained without a forget set, on the same keys: what a run's samples are held against."""

from __future__ import annotations

from collections.abc import Sequence

from dkvb.pages.facts.setups import Trained
from dkvb.workspace.finished import Artifact


def oracle_of(retrained: Sequence[Artifact], trained: Trained, forget: Sequence[int]) -> Artifact | None:
    """The retrained model of a trained bottleneck and a forget set, if there is one: values from scratch, trained as
    the bottleneck's own were, on all other classes and without leaving out single samples."""
    wanted = {**trained.artifact.settings, "what": "retrain", "forget": list(forget)}
    keys = trained.artifact.inputs.get("quantize")
    mine = [one for one in retrained if one.settings == wanted and one.inputs.get("quantize") == keys]
    return mine[-1] if mine else None
