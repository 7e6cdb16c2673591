"""What a purge rewrites in place is other content under the same name: what was made from it, masks among them, is told
so, or it would be refused from then on as not fitting."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from dkvb.deletion.reach import Reach
from dkvb.workspace import content, manifest, request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.lineage import Lineage
from dkvb.workspace.names import MANIFEST, PICTURES

STAGES = ("quantize", "train", "retrained", "unlearn", PICTURES)


def check(reach: Reach) -> None:
    """Raise where what is to be rewritten is not as it was made: rewritten, damage could no longer be told.

    Raises:
        DamagedArtifact: names the file, and what to do.
    """
    for artifact in (reach.features, *reach.quantized, *reach.covered, *reach.heads):
        artifact.check(chunks=True)


def unfit(workspace: Workspace) -> list[str]:
    """Artifacts (`stage/name`) and requests (`requests/id`) that do not fit what they were made from. They are not to
    fit it after a purge either."""
    lineage = Lineage(workspace)
    apart = [_name(one) for one, above in _made_from(lineage) if content.changed_inputs(one, above)]
    for request in requests.all_requests(workspace):
        train = lineage.find("train", request.train)
        if train and requests.of_other(train, request):
            apart.append(f"requests/{request.id}")
    return apart


def carry_on(workspace: Workspace, apart: Collection[str]) -> None:
    """Make everything but some say that it was made from what is there now. May be repeated. Call with requests held.

    Args:
        apart: what did not fit before anything was rewritten.
    """
    for artifact, above in _made_from(Lineage(workspace)):
        recorded = artifact.inputs_content
        now = {stage: one for stage, one in content.known(above).items() if stage in recorded}
        if _name(artifact) not in apart and recorded != recorded | now:
            _write(artifact, recorded | now)
    lineage = Lineage(workspace)  # as it is now
    for request in requests.all_requests(workspace):
        train = lineage.find("train", request.train)
        if train and f"requests/{request.id}" not in apart and requests.of_other(train, request):
            request_writing.change(request, made_on=requests.made_on(train))


def _made_from(lineage: Lineage) -> Iterator[tuple[Artifact, dict[str, Artifact]]]:
    """Every artifact with those that it was made from, by stage, where these are there."""
    for stage in STAGES:
        for artifact in lineage.all(stage):
            above = {name: lineage.find(name, fingerprint) for name, fingerprint in artifact.inputs.items()}
            yield artifact, {name: one for name, one in above.items() if one}


def _name(artifact: Artifact) -> str:
    return f"{artifact.stage}/{artifact.path.name}"


def _write(artifact: Artifact, inputs_content: dict[str, str]) -> None:
    """Write the manifest with other contents; when it was last made or used stays."""
    file = artifact.path / MANIFEST
    at = file.stat()
    manifest.write(artifact.path, {**artifact.manifest, "inputs_content": inputs_content})
    os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
