"""One entry of an audit: a method run on every original, its outputs kept, judged beside retrained models.

Each is an artifact of its own (`logits` (S, P, L), the first few models themselves, and the `AuditEntry` as result), so
that an audit that was killed goes on with the model at which it stopped, and another one with the same models does
nothing again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import zarr
from safetensors.numpy import load_file, save_file

from dkvb.audit.bench import Bench
from dkvb.audit.judge import judge_scene
from dkvb.audit.oracles import answers, rows_of
from dkvb.audit.outputs import Outputs
from dkvb.audit.remains import KEPT, Remains
from dkvb.audit.scene import Scene
from dkvb.audit.subjects import Subject
from dkvb.audit.unlearned import Choice, Unlearned, choose, unlearn
from dkvb.errors import DamagedArtifact, MissingStage, SettingsClash
from dkvb.evaluation.seed import TrainedSeed
from dkvb.recipe import Recipe
from dkvb.records.audit import AuditEntry, Kind, LeftOut, Measured
from dkvb.runtime import progress
from dkvb.workspace import arrays
from dkvb.workspace.artifacts import Claim
from dkvb.workspace.files import atomic, canonical_hash
from dkvb.workspace.finished import Artifact
from dkvb.workspace.manifest import Spec
from dkvb.workspace.names import LOGITS

MEASURES = 1
"""Raised where measures change, so that entries are judged anew."""


@dataclass(frozen=True)
class Models:
    """The models of one kind that an audit has trained."""

    originals: list[Artifact]
    retrained: list[Artifact]
    """Oracles, and after them those that are held out."""
    oracles: int
    unlearned: int
    """Originals that methods are run on; as many retrained models are held out."""


@dataclass
class Stand:
    """What all entries of a seed and forget set share; goes to other processes, where each reads it for itself."""

    trained: TrainedSeed
    forget: list[int]
    models: dict[Kind, Models]
    force: bool
    _read: dict[Kind, Beside] = field(default_factory=dict, repr=False)

    def beside(self, kind: Kind) -> Beside:
        if kind not in self._read:
            self._read[kind] = Beside(self.trained, kind, self.forget, self.models[kind])
        return self._read[kind]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "trained": replace(self.trained), "_read": {}}


class Beside:
    """The models of one kind, and what they answer."""

    def __init__(self, trained: TrainedSeed, kind: Kind, forget: list[int], models: Models) -> None:
        self.models, self.bench = models, Bench(trained, kind, forget, models.originals)
        self.remains = Remains(self.bench, models.retrained)
        within = self.bench.rows.within(rows_of(trained))
        self.original = answers(models.originals)[: models.unlearned, within]
        self.retrained = answers(models.retrained)
        self._scene: Scene | None = None

    def scene(self, unlearned: np.ndarray) -> Scene:
        """With some unlearned models (S, P, L)."""
        if self._scene is None:
            rows, splits = self.bench.rows, self.bench.trained.splits
            outputs = Outputs(
                unlearned=unlearned,
                retrained=self.retrained[: self.models.oracles],
                labels=rows.labels,
                forget=tuple(self.bench.forget),
                original=self.original,
                split=rows.split,
                untrained=self.bench.untrained,
                names=tuple(splits.classes),
            )
            self._scene = Scene(outputs)
            return self._scene
        self._scene = self._scene.beside_the_same(unlearned)
        return self._scene


def entry(recipe: Recipe, stand: Stand, subject: Subject) -> AuditEntry:
    """An entry, made now or by an earlier run. A method that fails has its error in its entry.

    Raises:
        DamagedArtifact, MissingStage, SettingsClash: something of the workspace is not as it has to be.
    """
    trained = stand.trained
    with trained.workspace.claim(entry_spec(stand, subject), stand.force) as claim:
        if done := claim.reuse(f"audit {subject.key}"):
            return _shown(done, skipped=True)
        beside = stand.beside(subject.kind)
        try:
            with progress.silenced():
                made = _line(beside, subject) if subject.line else _method(beside, subject, claim)
        except (DamagedArtifact, MissingStage, SettingsClash):
            raise
        except Exception as error:  # of whatever kind: a method that fails is seen to fail, and the others go on
            progress.note(f"audit {subject.key}: failed: {error}")
            said = str(error) or type(error).__name__
            models = {"seed": trained.seed, "forget": stand.forget, "models": 0}
            return subject.entry(**models, error=said)
        return _shown(claim.finish(made), skipped=False)


def _shown(artifact: Artifact, skipped: bool) -> AuditEntry:
    """Not `Artifact.entry`: seconds of a line, which unlearns nothing, are none."""
    return artifact.result_as(AuditEntry).model_copy(update={"skipped": skipped, "artifact": str(artifact.path)})


def entry_spec(stand: Stand, subject: Subject) -> Spec:
    """What names an entry, and what it was made from."""
    trained, models = stand.trained, stand.models[subject.kind]
    batches = [*models.originals, *models.retrained]
    settings = {
        "kind": "audit entry",
        "method": subject.method,
        "model": subject.kind,
        "forget": stand.forget,
        "seed": trained.seed,
        "oracles": models.oracles,
        "unlearned": models.unlearned,
        "measures": MEASURES,
        "batches": canonical_hash([batch.fingerprint for batch in batches]),
        # whatever a method takes from the recipe
        "unlearn": trained.recipe.unlearn.model_dump(mode="json", exclude={"forget", "method"}),
        "scrub": trained.recipe.scrub.model_dump(mode="json"),
    }
    names = "-".join(trained.splits.classes[c] for c in stand.forget)
    readable = f"{trained.recipe.data_name}-{subject.key}-{names}-seed{trained.seed}"
    return Spec("audit", readable, settings, {"embed": trained.features.fingerprint})


def _line(beside: Beside, subject: Subject) -> AuditEntry:
    """Doing nothing, or retrained models that are held out."""
    models = beside.models
    held_out = beside.retrained[models.oracles : models.oracles + models.unlearned]
    logits = beside.original if subject.method == "original" else held_out
    return _judged(beside, subject, logits, beside.remains.of_line(subject.method))


def _method(beside: Beside, subject: Subject, claim: Claim) -> AuditEntry:
    """Unlearn every original, keep what they answer, and judge it."""
    bench, models, marks = beside.bench, beside.models.unlearned, arrays.Marks(claim.path)
    stored = room(bench.trained, len(bench.rows), models, claim.path)
    chosen = choose_once(bench, subject, marks)
    for model in range(models):
        if marks.get(str(model)) is None:
            run_on(bench, subject, claim.path, model)
    costs = [marks.get(str(model)) or {} for model in range(models)]
    kept = [load_file(claim.path / f"model-{model}.safetensors") for model in range(min(KEPT, models))]
    logits = np.asarray(stored[:])
    return _judged(beside, subject, logits, beside.remains.measures(kept), **_summed(chosen, costs))


def room(trained: TrainedSeed, rows: int, models: int, folder: Path) -> Any:
    """The array, in an entry's folder, of what its models answer."""
    shape = (models, rows, len(trained.splits.classes))
    return arrays.create(folder, LOGITS, shape, np.float32, (1, *shape[1:]))


def run_on(bench: Bench, subject: Subject, folder: Path, model: int) -> None:
    """Unlearn an original, store what is left of it in the entry's folder, and mark it done; once settings are
    chosen."""
    marks = arrays.Marks(folder)
    made = unlearn(bench, subject, model, choose_once(bench, subject, marks))
    zarr.open_array(folder / LOGITS, mode="r+")[model] = made.logits
    if model < KEPT:
        with atomic(folder / f"model-{model}.safetensors") as temporary:
            save_file(made.tensors, temporary)
    marks.set(str(model), _costs(made))


def choose_once(bench: Bench, subject: Subject, marks: arrays.Marks) -> Choice | None:
    """What is chosen once; an earlier run's, where it got as far."""
    held = marks.get("chosen")
    if held is None:
        chosen = choose(bench, subject)
        held = {"choice": vars(chosen) if chosen else None}
        marks.set("chosen", held)
    return Choice(**held["choice"]) if held["choice"] else None


def chosen_before(stand: Stand, subject: Subject) -> Choice | None:
    """What an entry that is there was made with; None where each model chose its own."""
    marks = arrays.Marks(stand.trained.workspace.path(entry_spec(stand, subject)))
    return choose_once(stand.beside(subject.kind).bench, subject, marks)


def _costs(made: Unlearned) -> dict[str, Any]:
    return {
        "seconds": made.seconds,
        "flops": made.flops,
        "stored": made.stored,
        "note": made.note,
        "choice": vars(made.choice) if made.choice else None,
    }


def _summed(chosen: Choice | None, costs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Costs of one model, and what was chosen, from those of all."""
    own = [Choice(**cost["choice"]) for cost in costs if cost["choice"]]
    choices = [chosen] if chosen else own
    seconds = [choice.seconds for choice in choices if choice.seconds is not None]
    words = list(dict.fromkeys(choice.words for choice in choices if choice.words))
    if len(words) > 1:
        counts = sorted(choice.n for choice in own)
        words = [f"{own[0].words.split(' ')[0] if own[0].words else 'N'} {counts[0]:,} to {counts[-1]:,}"]
    notes = dict.fromkeys(note for note in (*(c.note for c in choices), *(cost["note"] for cost in costs)) if note)
    flops = [cost["flops"] for cost in costs if cost["flops"] is not None]
    stored = [cost["stored"] for cost in costs if cost["stored"] is not None]
    return {
        "settings": words[0] if words else None,
        "seconds": median(cost["seconds"] for cost in costs),
        "seconds_choosing": median(seconds) if seconds else None,
        "flops": round(median(flops)) if flops else None,
        "bytes": round(median(stored)) if stored else None,
        "note": "; ".join(list(notes)[:2]) or None,
    }


def _judged(
    beside: Beside, subject: Subject, logits: np.ndarray, more: Sequence[Measured | LeftOut], **costs: Any
) -> AuditEntry:
    """The entry of what some models answer, with measures that needed the models themselves in `more`."""
    judgement = judge_scene(beside.scene(logits))
    measured = {one.name: one for one in judgement.measured} | {
        one.name: one for one in more if isinstance(one, Measured)
    }
    left_out = {one.name: one.reason for one in (*judgement.left_out, *more) if isinstance(one, LeftOut)}
    bench = beside.bench
    return subject.entry(
        seed=bench.trained.seed,
        forget=bench.forget,
        models=len(logits),
        measures=measured,
        left_out={name: reason for name, reason in left_out.items() if name not in measured},
        **costs,
    )
