"""What may not be made again once rows were purged: features, which would bring them back; and keys and values, which
would be fitted to fewer rows under the name of those that masks and values belong to."""

from __future__ import annotations

from dkvb.errors import SettingsClash
from dkvb.records.embed import EmbedResult
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.requests import all_requests


def refuse_return(workspace: Workspace, features: Artifact) -> None:
    """Raise where making features again would bring purged rows back.

    Raises:
        SettingsClash: rows of these features were purged.
    """
    if features.lost_rows:
        names = ", ".join(features.result_as(EmbedResult).classes[c] for c in features.purged)
        what = f"Rows of {names}" if names else f"{features.purged_samples:,} samples"
        raise SettingsClash(
            f"{what} were purged from {features.path}, and making the features again would bring them back: put that"
            " folder back from a backup made after the purge; or take them out of the data and give another --data-dir."
        )


def refuse_gone(workspace: Workspace, spec: Spec) -> None:
    """Raise where features that are no longer there had lost rows: making them would bring these back.

    Raises:
        SettingsClash: something that was made from them, and purged with them, is still there.
    """
    for stage in ("quantize", "train"):
        for artifact in workspace.all(stage):
            if artifact.inputs.get("embed") == spec.fingerprint and artifact.lost_rows:
                raise SettingsClash(
                    f"Rows were purged from {workspace.path(spec)} and from {artifact.path}, and making the features"
                    " again would bring them back: put that folder back from a backup made after the purge; or take"
                    " them out of the data and give another --data-dir."
                )


def refuse_anew(workspace: Workspace, spec: Spec, features: Artifact) -> None:
    """Raise where keys, or values, would be fitted to what a purge has left, under the name of those that were there
    before it. Not within `dkvb purge --keys reinit`, which makes both, and empties the masks.

    Args:
        spec: of keys and codes, or of a bottleneck; it is not there, or is to be made again.

    Raises:
        SettingsClash: names what belongs to those that were there.
    """
    if not features.lost_rows:
        return
    requests = all_requests(workspace)
    if any(one.record.purging and one.record.purging.stage == "reinit" for one in requests):
        return
    there = workspace.path(spec)
    if belongs := _belongs(workspace, spec):
        what = "keys" if spec.stage == "quantize" else "values"
        raise SettingsClash(
            f"Rows were purged from {features.path}, and the {what} in {there} were made before: made again, they would"
            f" be others, of fewer rows, under the same name, and {belongs} belongs to those that were there. Put"
            f" {there} back from a backup. Without one, train another model on what is left: `dkvb train --seed N` with"
            " a seed that was not used yet, or a recipe with other [keys]. (Before a purge, `dkvb purge REQUEST --keys"
            " reinit` makes new keys and values together.)"
        )


def _belongs(workspace: Workspace, spec: Spec) -> str | None:
    """What is there that was made from an artifact of this spec before a purge; None where nothing is."""
    requests = all_requests(workspace)
    if spec.stage == "train":
        return next((f"request {one.id}" for one in requests if one.train == spec.fingerprint and one.in_force), None)
    for model in workspace.all("train"):
        if model.inputs.get(spec.stage) == spec.fingerprint and model.lost_rows:
            return str(model.path)
    purged = (one for one in requests if one.record.purge and spec.folder in one.record.purge.done.codes)
    return next((f"request {one.id}" for one in purged), None)
