"""What of a recipe is done, and what to run next."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dkvb.errors import DamagedArtifact
from dkvb.pictures.index import indices_of
from dkvb.recipe import Recipe
from dkvb.records.audit import ModelBatch
from dkvb.records.pictures import PicturesResult
from dkvb.records.status import ArtifactStatus, Capacity, RequestStatus, Status
from dkvb.workspace import arrays, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.beside_purge import reading
from dkvb.workspace.files import size_of
from dkvb.workspace.finished import Artifact
from dkvb.workspace.keys_spec import quantize_spec
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import CLAIM, COUNTS, PICTURES
from dkvb.workspace.settings import BottleneckSettings
from dkvb.workspace.specs import dkvb_spec, embed_settings, linear_spec

FEW_TIMES, FEW_SHARE = 2, 0.05
"""A codebook runs dry below this many times k, or below this share of its pairs."""


def status(recipe: Recipe, workspace: Workspace) -> Status:
    """An entry per artifact of the recipe, all deletion requests, the room that its models have left for more, and the
    command to run next."""
    with reading(workspace):
        return _status(recipe, workspace)


def _status(recipe: Recipe, workspace: Workspace) -> Status:
    features = workspace.find("embed", embed_settings(recipe))
    begun = workspace.unfinished("embed") if features is None else []
    entries = [_entry("embed", recipe.data_name, features, unfinished=bool(begun))]
    following = None if features else "embed"
    bottlenecks: dict[int, Artifact] = {}
    for seed in recipe.run.seeds:
        codes = trained = None
        if features:
            spec = quantize_spec(recipe, seed, features)
            codes = workspace.get(spec)
            entries.append(_of(workspace, spec, f"keys and codes, seed {seed}", codes))
            linear = linear_spec(recipe, seed, features)
            entries.append(_of(workspace, linear, f"linear head, seed {seed}", workspace.get(linear)))
        if codes:
            values = dkvb_spec(recipe, seed, codes.fingerprint)
            trained = workspace.get(values)
            entries.append(_of(workspace, values, f"bottleneck, seed {seed}", trained))
        if trained:
            bottlenecks[seed] = trained
        following = following or (None if codes else "quantize") or (None if trained else "train")
    models = {entry.fingerprint for entry in entries if entry.stage == "train"}
    unlearned = [artifact for artifact in workspace.all("unlearn") if artifact.inputs.get("train") in models]
    entries += [_entry("unlearn", artifact.path.name, artifact) for artifact in unlearned]
    entries += [_entry("unlearn", path.name, None, unfinished=True) for path in workspace.unfinished("unlearn")]
    entries += _audits(workspace, features)
    entries += _pictures(workspace, features)
    index = workspace.reports / "index.html"
    entries.append(_report(index))
    following = following or (None if unlearned else "unlearn") or (None if index.is_file() else "report")
    cut_short = [one.id for one in requests.all_requests(workspace) if one.record.purging]
    if cut_short:  # until it has ended, values and masks are of two states
        following = f"purge {cut_short[0]} --yes"
    return Status(
        status=entries,
        requests=_requests(workspace, bottlenecks),
        capacity=[] if cut_short else _capacity(recipe, workspace, bottlenecks),
        next=f"dkvb {following}" if following else f"open {index}",
    )


def status_checked(recipe: Recipe, workspace: Workspace, heal: bool) -> Status:
    """The same after every file was looked at and, where it is to be healed, mended as far as can be."""
    from dkvb.commands.checking import check
    from dkvb.commands.healing import heal as mend

    checked = check(workspace)
    if heal and (checked.problems or checked.unchecked):
        checked = mend(recipe, workspace, checked)
    try:
        result = status(recipe, workspace)
    except DamagedArtifact as error:  # one of the problems, by which no more can be said
        result = Status(status=[], requests=[], capacity=[], next=str(error))
    return result.model_copy(update={"check": checked})


def _audits(workspace: Workspace, features: Artifact | None) -> list[ArtifactStatus]:
    """Models that were trained for audits, together; and each audit, with what its methods left in the last line."""
    if features is None:
        return []
    of = {stage: [a for a in workspace.all(stage) if a.inputs.get("embed") == features.fingerprint] for stage in AUDITS}
    audits = [artifact for artifact in of["audit"] if artifact.kind == "audit"]
    models = sum(batch.result_as(ModelBatch).models for batch in of["oracles"])
    outputs = [artifact for artifact in of["audit"] if artifact.kind == "audit entry"]
    entries = [_together("oracles", f"{models:,} models trained for audits", of["oracles"], workspace)]
    entries += [_entry("audit", artifact.path.name, artifact) for artifact in audits]
    entries.append(_together("audit", f"outputs of {len(outputs)} audited methods", outputs, workspace))
    return [entry for entry in entries if entry.bytes]


AUDITS = ("oracles", "audit")


def _pictures(workspace: Workspace, features: Artifact | None) -> list[ArtifactStatus]:
    """The pictures that pages have shown, where there are any."""
    kept = indices_of(workspace, features) if features else []
    return [_entry(PICTURES, f"{one.result_as(PicturesResult).pictures:,} pictures for pages", one) for one in kept]


def _together(stage: str, what: str, artifacts: list[Artifact], workspace: Workspace) -> ArtifactStatus:
    """One entry for many artifacts."""
    return ArtifactStatus(
        stage=stage,
        what=what,
        state="unfinished" if workspace.unfinished(stage) else "done",
        bytes=sum(size_of(artifact.path) for artifact in artifacts),
        seconds=sum(artifact.seconds for artifact in artifacts),
        path=str(workspace.root / stage),
        fingerprint=None,
    )


def _of(workspace: Workspace, spec: Spec, what: str, artifact: Artifact | None) -> ArtifactStatus:
    return _entry(spec.stage, what, artifact, (workspace.path(spec) / CLAIM).is_file())


def _entry(stage: str, what: str, artifact: Artifact | None, unfinished: bool = False) -> ArtifactStatus:
    return ArtifactStatus(
        stage=stage,
        what=what,
        state="done" if artifact else "unfinished" if unfinished else "missing",
        bytes=size_of(artifact.path) if artifact else 0,
        seconds=artifact.seconds if artifact else 0.0,
        path=str(artifact.path) if artifact else None,
        fingerprint=artifact.fingerprint if artifact else None,
    )


def _report(index: Path) -> ArtifactStatus:
    written = index.is_file()
    return ArtifactStatus(
        stage="report",
        what=index.name,
        state="done" if written else "missing",
        bytes=size_of(index.parent) if written else 0,
        seconds=0.0,
        path=str(index) if written else None,
        fingerprint=None,
    )


def _requests(workspace: Workspace, bottlenecks: dict[int, Artifact]) -> list[RequestStatus]:
    """All deletion requests of the workspace."""
    mine = {artifact.fingerprint for artifact in bottlenecks.values()}
    return [
        RequestStatus(
            id=request.id,
            classes=request.classes,
            names=request.names,
            state=request.state,
            level=request.record.reached,
            level_in_words=request.record.level_in_words,
            samples=request.record.samples.count if request.record.samples else None,
            masked=request.record.masked,
            created=request.record.created,
            seed=request.record.seed,
            of_recipe=request.train in mine,
            purging=request.record.purging is not None,
        )
        for request in requests.all_requests(workspace)
    ]


def _capacity(recipe: Recipe, workspace: Workspace, bottlenecks: dict[int, Artifact]) -> list[Capacity]:
    """What room the models in which something is forgotten have left for more."""
    rooms = []
    for seed, artifact in bottlenecks.items():
        union = requests.forgotten(workspace, artifact)
        if union.mask is not None:
            rooms.append(
                room(union.mask | unused(artifact), min(recipe.keys.top_k, union.mask.shape[1]), seed, union.classes)
            )
    return rooms


def unused(trained: Artifact) -> np.ndarray | bool:
    """(C, M) bool: pairs that training never selected, where the model passes over those; else False."""
    if trained.settings_as(BottleneckSettings).unused != "mask":
        return False
    return np.asarray(arrays.read(trained, COUNTS).sum(0) == 0)


def room(masked: np.ndarray, top_k: int, seed: int, classes: list[int]) -> Capacity:
    """What room a seed's model has left under the mask (C, M) bool by which it forgets some classes."""
    left = (~masked).sum(1)
    pairs = masked.shape[1]
    few = max(FEW_TIMES * top_k, FEW_SHARE * pairs)
    dry = [int(c) for c in (left < few).nonzero()[0]]
    warning = None
    if dry:
        warning = (
            f"{len(dry)} of {len(left)} codebooks run dry: codebook {int(left.argmin())} has {int(left.min())} of"
            f" {pairs} pairs left, and lookup takes {top_k}; further requests will cost retain accuracy. Train with"
            " more keys.pairs to make room."
        )
    return Capacity(
        seed=seed,
        classes=classes,
        allowed=float(left.sum() / masked.size),
        least=int(left.min()),
        pairs=pairs,
        dry=dry,
        warning=warning,
    )
