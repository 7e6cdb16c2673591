"""All measures that the outputs of some models allow, each beside its null and its do-nothing line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from dkvb.audit.outputs import Margins, Outputs
from dkvb.audit.per_model import MEASURES, PerModel
from dkvb.audit.scene import Scene
from dkvb.metrics.half_splits import Ulira, ulira
from dkvb.metrics.over_models import mean_interval, percentiles
from dkvb.metrics.per_point import FEW, HALVINGS, Distance, Lines, klom, lines, margins, references, wasserstein
from dkvb.metrics.proportions import softmax, wilson
from dkvb.metrics.separation import separates
from dkvb.metrics.three_sample import FEWEST as TRIPLES
from dkvb.metrics.three_sample import closer
from dkvb.records.audit import Judgement, LeftOut, Measured

U_LIRA = "U-LiRA"

ONE = " One model: no interval over models."

PER_POINT: dict[str, tuple[Distance, str]] = {
    "KLoM": (
        lambda u, o: klom(u, o).points,
        "Divergence of unlearned models' margins from retrained models', point by point (Georgiev et al. 2025). Mean"
        " over points.",
    ),
    "Wasserstein-1 of margins": (
        wasserstein,
        "Distance of the same margins, in units of the margin. Mean over points; fewer models will do than for KLoM.",
    ),
}

NEEDS_MODEL = {
    "probe of the encoder's features": "needs the features; a frozen encoder keeps what it knows in any case",
    "probe of pooled values": "needs the model itself",
    "relearning": "needs the model itself, to train it again",
    "anamnesis index": "needs the model itself, to train it again",
}


def judge(outputs: Outputs | Margins, halvings: int = HALVINGS) -> Judgement:
    """Every measure of some models.

    Args:
        halvings: random draws of which models stand on either side where a null needs two halves of the retrained ones.

    Returns:
        What was measured, and what was left out and why. A perfect unlearner is at the null of each measure, one that
        does nothing at its do-nothing line.
    """
    if isinstance(outputs, Margins):
        found = list(_of_margins(outputs, halvings))
    else:
        found = list(_of_logits(Scene(outputs), halvings))
    return _judgement(outputs, found)


def judge_scene(scene: Scene, halvings: int = HALVINGS) -> Judgement:
    """The same of a scene, see `Scene.beside_the_same`."""
    return _judgement(scene.outputs, list(_of_logits(scene, halvings)))


def _judgement(outputs: Outputs | Margins, found: list[Measured | LeftOut]) -> Judgement:
    return Judgement(
        unlearned=len(outputs.unlearned),
        retrained=len(outputs.retrained),
        originals=0 if outputs.original is None else len(outputs.original),
        points=outputs.unlearned.shape[1],
        measured=[one for one in found if isinstance(one, Measured)],
        left_out=[one for one in found if isinstance(one, LeftOut)],
    )


def _of_logits(scene: Scene, halvings: int) -> Iterator[Measured | LeftOut]:
    outputs = scene.outputs
    for measure in MEASURES:
        yield _per_model(scene, measure)
    yield _three_sample(scene)
    taken = references(outputs.retrained, outputs.labels, outputs.forget)
    kept = {"forgotten rows": scene.forget, "learned rows": scene.learned, "retained rows": scene.retain}
    for part, rows in kept.items():
        if not len(rows) or (part == "learned rows" and not (outputs.forgotten & outputs.held_out).any()):
            continue

        def of(logits: np.ndarray, rows: np.ndarray = rows) -> np.ndarray:
            return margins(logits[:, rows], taken[rows], outputs.forget)

        given = of(outputs.unlearned), of(outputs.retrained), None if outputs.original is None else of(outputs.original)
        yield from _per_point(part, *given, halvings)
    yield _half_splits(scene)
    yield from (LeftOut(name=name, reason=reason) for name, reason in NEEDS_MODEL.items())


def _of_margins(outputs: Margins, halvings: int) -> Iterator[Measured | LeftOut]:
    parts = np.full(outputs.unlearned.shape[1], "all points") if outputs.part is None else outputs.part
    for part in dict.fromkeys(parts.tolist()):
        rows = parts == part
        original = None if outputs.original is None else outputs.original[:, rows]
        yield from _per_point(str(part), outputs.unlearned[:, rows], outputs.retrained[:, rows], original, halvings)
    names = [measure.name for measure in MEASURES] + ["three-sample test", U_LIRA]
    yield from (LeftOut(name=name, reason="needs logits; there are margins alone") for name in names)
    yield from (LeftOut(name=name, reason=reason) for name, reason in NEEDS_MODEL.items())


def _per_model(scene: Scene, measure: PerModel) -> Measured | LeftOut:
    outputs = scene.outputs
    if reason := measure.lacks(scene):
        return LeftOut(name=measure.name, reason=reason)
    most = measure.models

    def values(logits: np.ndarray, oracles: bool = False) -> np.ndarray:
        taken = [measure.value(scene, one, own if oracles else None) for own, one in enumerate(logits[:most])]
        return np.array([value for value in taken if not math.isnan(value)])

    of = values(outputs.unlearned)
    if not len(of):
        return LeftOut(name=measure.name, reason="there is nothing to compare with")
    if measure.name not in scene.kept:
        idle = values(outputs.original) if outputs.original is not None else np.empty(0)
        scene.kept[measure.name] = values(outputs.retrained, oracles=True), idle
    null, nothing = scene.kept[measure.name]
    ends = mean_interval(of)
    note = measure.note
    if ends is None and measure.rows:
        count = measure.rows(scene)
        ends = wilson(round(float(of[0]) * count), count)
        note += " One model: the interval is of the choice of rows."
    elif ends is None:
        note += ONE
    if not len(null):
        note += " One retrained model: no null."
    spread = percentiles(null) if len(null) > 1 else None
    return Measured(
        name=measure.name,
        value=float(of.mean()),
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        null=float(null.mean()) if len(null) else None,
        null_low=spread[0] if spread else None,
        null_high=spread[1] if spread else None,
        nothing=float(nothing.mean()) if len(nothing) else None,
        direction=measure.direction,
        separates=separates(nothing, null).power if min(len(nothing), len(null)) > 1 else None,
        note=note,
    )


def _per_point(
    part: str, unlearned: np.ndarray, retrained: np.ndarray, original: np.ndarray | None, halvings: int
) -> Iterator[Measured | LeftOut]:
    for name, (distance, note) in PER_POINT.items():
        label = f"{name}, {part}"
        if len(retrained) < 2:
            yield LeftOut(name=label, reason="needs two retrained models or more: one says nothing of how they differ")
            continue
        found = lines(distance, unlearned, retrained, original, halvings)
        said = f"{note} {found.models} models on either side, drawn {halvings} times."
        if name == "KLoM" and found.noise:
            said += f" With fewer than {FEW} this is noise: two samples of the same law are as far apart."
        yield _of_lines(label, found, said)


def _of_lines(name: str, found: Lines, note: str) -> Measured:
    return Measured(
        name=name,
        value=found.unlearned.mean,
        low=found.unlearned.low,
        high=found.unlearned.high,
        null=found.null.mean,
        null_low=found.null.low,
        null_high=found.null.high,
        nothing=found.nothing.mean if found.nothing else None,
        direction="lower",
        note=f"{note} 95th percentile over points {found.unlearned.p95:.2f}, of the null {found.null.p95:.2f}.",
    )


def _three_sample(scene: Scene) -> Measured | LeftOut:
    name, outputs = "three-sample test", scene.outputs
    if outputs.original is None:
        return LeftOut(name=name, reason="needs `original`, the models before anything was unlearned")

    def of(logits: np.ndarray) -> np.ndarray:
        return softmax(logits[0, scene.forget])

    models = of(outputs.unlearned), of(outputs.retrained), of(outputs.original)
    found = closer(*models)
    if found is None:
        return LeftOut(name=name, reason=f"needs {TRIPLES} rows of the forgotten classes")
    null = closer(of(outputs.retrained[1:]), models[1], models[2]) if len(outputs.retrained) > 1 else None
    idle = closer(of(outputs.original[1:]), models[1], models[2]) if len(outputs.original) > 1 else None
    return Measured(
        name=name,
        value=found.statistic,
        low=found.low,
        high=found.high,
        null=null.statistic if null else None,
        nothing=idle.statistic if idle else None,
        direction="lower",
        note="Discrepancy of the first unlearned model's probabilities on forgotten rows from a retrained model's, less"
        " that from an original's (Bounliphone et al. 2016): below 0 it is closer to the retrained one. 90 % interval.",
    )


def _half_splits(scene: Scene) -> Measured | LeftOut:
    outputs = scene.outputs
    if outputs.member is None:
        return LeftOut(
            name=U_LIRA, reason="needs shadow models, each trained on a random half: --shadows 64, or `member`"
        )
    rows = np.flatnonzero(outputs.forgotten)
    taken = references(outputs.retrained, outputs.labels, outputs.forget)[rows]
    return half_splits(outputs.unlearned[:, rows], None, taken, outputs.forget, outputs.member[:, rows])


def half_splits(
    unlearned: np.ndarray, original: np.ndarray | None, taken: np.ndarray, forget: Sequence[int], member: np.ndarray
) -> Measured | LeftOut:
    """U-LiRA on P rows of the forgotten classes.

    Args:
        unlearned: (T, P, L) logits of shadow models; original: the same before they were unlearned.
        taken: (P,), see `dkvb.metrics.per_point.references`.
        member: (T, P) bool, whether each model had learned from the row.
    """

    def attacked(logits: np.ndarray) -> Ulira:
        return ulira(np.clip(margins(logits, taken, forget), -100, 100), member)

    try:
        found, idle = attacked(unlearned), None if original is None else attacked(original)
    except ValueError as error:
        return LeftOut(name=U_LIRA, reason=str(error))
    return Measured(
        name=U_LIRA,
        value=found.accuracy,
        low=found.low,
        high=found.high,
        null=0.5,
        nothing=idle.accuracy if idle else None,
        direction="null",
        note="How often an attacker with shadow models is right on which of the forgotten rows a model had learned"
        f" (Hayes et al. 2024). AUC {found.auc:.2f}, {found.tpr:.1%} true positives at 1 % false ones; {found.models}"
        f" models, {found.points:,} rows.",
    )
