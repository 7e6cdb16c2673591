"""Whether what an artifact was made from is still what it was: by content, not by name.

A fingerprint is over settings, and says which artifact is meant; keys that are fitted again under the same fingerprint
to other rows are other keys. Keys, codes, values and masks are therefore used together only where the content of each
is that which the next was made from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dkvb.errors import DamagedArtifact
from dkvb.workspace import manifest
from dkvb.workspace.finished import Artifact
from dkvb.workspace.names import MANIFEST


def input_artifacts(root: Path, inputs: Mapping[str, str]) -> dict[str, Artifact]:
    """Stage -> artifact, of those in the workspace at `root` that some inputs (stage -> fingerprint) name.

    Raises:
        DamagedArtifact: the manifest of one cannot be read.
    """
    found = {}
    for stage, fingerprint in inputs.items():
        for file in sorted((root / stage).glob(f"*-{fingerprint[:8]}/{MANIFEST}")):
            held = manifest.read(file.parent)
            if held and held["fingerprint"] == fingerprint:
                found[stage] = Artifact(file.parent, held)
    return found


def known(above: Mapping[str, Artifact]) -> dict[str, str]:
    """Stage -> content of the artifacts of which it is known."""
    return {stage: artifact.content for stage, artifact in above.items() if artifact.content}


def changed_inputs(artifact: Artifact, above: Mapping[str, Artifact]) -> list[Artifact]:
    """Those of the artifacts above, by stage, whose content is not that which an artifact was made from; without those
    of which it is not known what that was."""
    recorded = artifact.inputs_content
    return [one for stage, one in above.items() if recorded.get(stage, one.content) != one.content]


def refuse_changed(artifact: Artifact, above: Mapping[str, Artifact]) -> None:
    """Raise where an artifact was made from something else than what is there now.

    Raises:
        DamagedArtifact: names both, and what to do.
    """
    for one in changed_inputs(artifact, above):
        raise DamagedArtifact(f"{in_words(artifact, one)} {remedy(artifact, one)}")


def in_words(artifact: Artifact, above: Artifact) -> str:
    """That an artifact was not made from what is there now."""
    return (
        f"{artifact.path} was not made from {above.path} as it is now: that was made again or altered since, and they"
        " do not fit together."
    )


def remedy(artifact: Artifact, above: Artifact) -> str:
    """What to do about it."""
    back = f"Put {above.path} back from a backup"
    if artifact.lost_rows:
        return f"{back}: rows were purged from {artifact.path.name}, so that it cannot be made again as it was."
    return f"{back}, or make this one again from what is there: `dkvb {artifact.maker} --force`."
