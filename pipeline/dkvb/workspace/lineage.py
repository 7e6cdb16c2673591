"""What an artifact was made from, and what was made from it.

    embed (features) -> quantize (keys, codes) -> train (bottleneck)  -> unlearn
                     ------------------------> train (linear head)    -> unlearn

Every manifest names its inputs by their fingerprints. There are two ways to ask:

- from what is on disk: `Lineage(workspace)` walks up (`input_of`, `need_input`, `trained_from`) and down (`made_from`);
- from a recipe: `seed_models(…)` are the artifacts that its settings stand for, whether or not they are there yet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from dkvb.errors import MissingStage
from dkvb.recipe import Recipe
from dkvb.workspace import content
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.files import canonical_hash
from dkvb.workspace.finished import Artifact
from dkvb.workspace.keys_spec import quantize_spec
from dkvb.workspace.settings import ModelSettings
from dkvb.workspace.specs import dkvb_spec, linear_spec


@dataclass(frozen=True)
class TrainedFrom:
    """A trained model, and what it was made from."""

    model: Artifact
    codes: Artifact | None
    """The keys and codes of a bottleneck; None for a linear head, which is trained on the features themselves."""
    features: Artifact

    @property
    def seed(self) -> int:
        return self.model.settings_as(ModelSettings).seed

    @cached_property
    def setup(self) -> str:
        """A hash of everything but the seed that the model was made with: the models of one recipe's seeds share it."""
        keys = _without_seed(self.codes) if self.codes else None
        return canonical_hash([self.features.fingerprint, keys, _without_seed(self.model)])


def _without_seed(artifact: Artifact) -> dict[str, object]:
    return {name: value for name, value in artifact.settings.items() if name != "seed"}


class Lineage:
    """The finished artifacts of a workspace by what they were made from. The manifests of a stage are read once, when
    they are first needed."""

    def __init__(self, workspace: Workspace, in_change: bool = False) -> None:
        """`in_change`: give the artifacts as what a purge is rewriting."""
        self.workspace, self._in_change = workspace, in_change
        self._read: dict[str, dict[str, Artifact]] = {}

    def _by_fingerprint(self, stage: str) -> dict[str, Artifact]:
        if stage not in self._read:
            every = self.workspace.all(stage)
            if self._in_change:
                every = [replace(artifact, in_change=True) for artifact in every]
            self._read[stage] = {artifact.fingerprint: artifact for artifact in every}
        return self._read[stage]

    def all(self, stage: str) -> list[Artifact]:
        """All artifacts of a stage, the one last made or used last."""
        return list(self._by_fingerprint(stage).values())

    def find(self, stage: str, fingerprint: str) -> Artifact | None:
        """The artifact of a stage with this fingerprint; None where it is gone."""
        return self._by_fingerprint(stage).get(fingerprint)

    def input_of(self, artifact: Artifact, stage: str) -> Artifact | None:
        """The artifact of an earlier stage that this one was made from; None where that is gone, or where it was made
        from none."""
        return self.find(stage, artifact.inputs.get(stage, ""))

    def need_input(self, artifact: Artifact, stage: str) -> Artifact:
        """Like `input_of`, and never None.

        Raises:
            MissingStage: that artifact is gone.
            DamagedArtifact: it is not what this one was made from: it was made again or altered since.
        """
        if above := self.input_of(artifact, stage):
            content.refuse_changed(artifact, {stage: above})
            return above
        raise MissingStage(
            f"{artifact.path} was made from a {stage} artifact that is no longer in {self.workspace.root}: run `dkvb"
            f" {stage}` with the same recipe."
        )

    def fits(self, artifact: Artifact) -> bool:
        """Whether all that an artifact was made from, where it is there, is still what it was."""
        above = {stage: self.find(stage, fingerprint) for stage, fingerprint in artifact.inputs.items()}
        return not content.changed_inputs(artifact, {stage: one for stage, one in above.items() if one})

    def trained_from(self, model: Artifact) -> TrainedFrom | None:
        """A train artifact with its codes and features; None where one of these is gone."""
        codes = self.input_of(model, "quantize")
        features = self.input_of(codes or model, "embed")
        return TrainedFrom(model, codes, features) if features else None

    def made_from(self, artifact: Artifact, stage: str) -> list[Artifact]:
        """The artifacts of a later stage that were made from this one directly."""
        return [other for other in self.all(stage) if other.inputs.get(artifact.stage) == artifact.fingerprint]


@dataclass(frozen=True)
class SeedModels:
    """What a recipe's settings have made of its features with one seed; None for what is not there, or not to its
    end."""

    codes: Artifact | None
    bottleneck: Artifact | None
    linear: Artifact | None


def seed_models(recipe: Recipe, workspace: Workspace, features: Artifact, seed: int) -> SeedModels:
    """The codes and models of one seed of a recipe. Only manifests are read: see `Artifact.check` for the files."""
    codes = workspace.get(quantize_spec(recipe, seed, features))
    bottleneck = workspace.get(dkvb_spec(recipe, seed, codes.fingerprint)) if codes else None
    return SeedModels(codes, bottleneck, workspace.get(linear_spec(recipe, seed, features)))
