"""What a purge deletes as a whole: models that still know what is purged, and what was made with it or never finished.

All of it is listed before any of it goes, so that a purge that is killed in between still knows, once it is run again,
what it deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dkvb.deletion.reach import Reach
from dkvb.records.purges import PurgeBegun
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.names import MANIFEST, PICTURES, WEIGHTS
from dkvb.workspace.settings import RetrainedSettings


@dataclass(frozen=True)
class Deleted:
    """Folders that a purge deletes, and the names of all that it has deleted so far or is about to."""

    folders: list[Path]
    models: list[str]
    """Bottlenecks (of single samples, linear heads as well) that still knew what is purged."""
    others: list[str]
    """Unfinished artifacts, students, retrained models, what audits made, and copies of the features."""


def to_delete(reach: Reach, begun: PurgeBegun) -> Deleted:
    """What is to be deleted now, with the names of what an earlier run of the same purge has listed."""
    models = [model.path for model in reach.knowing]
    others = list(dict.fromkeys([*_unfinished(reach), *_dependents(reach)]))
    named = dict.fromkeys([*(begun.deleted or []), *(path.name for path in models)])
    # a model whose shredding was cut short looks like one that was never finished
    rest = dict.fromkeys([*(begun.artifacts or []), *(path.name for path in others if path.name not in named)])
    return Deleted([*models, *others], sorted(named), sorted(rest))


def _unfinished(reach: Reach) -> Iterator[Path]:
    """What was begun and not finished, or was shredded in part."""
    for stage in ("quantize", "train", "unlearn", "retrained", "oracles", "audit", PICTURES):
        for folder in sorted((reach.workspace.root / stage).glob("*")):
            if folder.is_dir() and not (folder / MANIFEST).is_file():
                yield folder


def _dependents(reach: Reach) -> Iterator[Path]:
    """Students and retrained models that were trained with the classes, what models of an audit answer to their rows,
    and copies of the features."""
    lineage = Lineage(reach.workspace)
    above = {a.fingerprint for a in (reach.features, *reach.quantized, *reach.heads, *reach.covered)}
    known = {model.fingerprint for model in reach.knowing}
    for artifact in lineage.all("unlearn"):
        trained = lineage.input_of(artifact, "train")
        orphan = trained is None or trained.fingerprint in known  # its model goes
        if orphan or (trained and trained.fingerprint in above and (artifact.path / WEIGHTS).is_file()):
            yield artifact.path
    for artifact in lineage.all("retrained"):
        with_them = not set(reach.classes) <= set(artifact.settings_as(RetrainedSettings).forget)
        if (with_them or reach.request.record.samples) and above & set(artifact.inputs.values()):
            yield artifact.path
    for artifact in (*lineage.all("oracles"), *lineage.all("audit")):
        if above & set(artifact.inputs.values()):
            yield artifact.path
    yield from sorted((reach.workspace.root / "membership").glob(f"*-{reach.features.fingerprint[:8]}-*"))
