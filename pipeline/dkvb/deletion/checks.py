"""The checks of a verdict: what was measured against the limits of the recipe's `[verify]`, each in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dkvb.deletion import comparison
from dkvb.deletion.limits import at_least, at_most
from dkvb.deletion.outputs import ROWS, Models
from dkvb.deletion.recovery import erased_share
from dkvb.evaluation.seed import TrainedSeed
from dkvb.metrics.proportions import one_of, retain_classes, samples_to_show
from dkvb.recipe import Verify
from dkvb.records.proportions import Accuracy, ClassAccuracy, Difference, SplitAccuracy
from dkvb.records.verdict import BeforePurge, Check, CheckState, Destination, RelearnRow, together
from dkvb.workspace.requests import PURGED, Request


def _check(name: str, state: CheckState, value: float | None, threshold: float, **more: object) -> Check:
    return Check.model_validate(
        {"name": name, "state": state, "passed": state == "passed", "value": value, "threshold": threshold, **more}
    )


def forgotten_classes(
    trained: TrainedSeed,
    measured: dict[str, SplitAccuracy],
    forget: Sequence[int],
    requests: Sequence[Request],
    before: Sequence[BeforePurge],
) -> Iterator[Check]:
    """A check of every forgotten class: its accuracy or, where a purge left no samples, that its values are gone.

    Args:
        measured: split -> accuracies under the mask.
        requests: those that forget the classes.
        before: what was measured of purged ones.
    """
    most = limit(trained)
    for c in forget:
        name = trained.splits.classes[c]
        on = {split: one for split in measured if (one := measured[split].per_class[c]).samples}
        purged = [request for request in requests if c in request.classes and request.state == PURGED]
        if on:
            yield _forgotten(name, on, most)
        elif purged:
            yield _values_erased(trained, name, purged, [one for one in before if one.class_id == c])
        else:
            detail = "no held-out samples of this class are left on which to measure"
            sentence = f"No row of {name} is left: whether it is forgotten cannot be shown."
            yield _check(f"forget accuracy: {name}", "not-shown", None, most, sentence=sentence, detail=detail)


def limit(trained: TrainedSeed) -> float:
    """The highest accuracy that a forgotten class may have."""
    most = trained.recipe.verify.max_forget
    return 1 / len(trained.splits.classes) if most == "chance" else float(most)


def _forgotten(name: str, on: dict[str, ClassAccuracy], most: float) -> Check:
    """Of one class, from its accuracy on the splits where it has rows. Test rows are judged by their interval; of
    validation and training rows, on which N was chosen, the share itself must not be above the limit."""
    test = Accuracy.of(on["test"].correct or 0, on["test"].samples) if "test" in on else None
    chosen_on = {split: on[split].accuracy or 0.0 for split in ("validation", "train") if split in on}
    state = together(
        [
            at_most(most, test.low, test.high) if test else "not-shown",
            *("failed" if share > most else "passed" for share in chosen_on.values()),
        ]
    )
    shares = [f"{share:.1%} of its {on[split].samples:,} {ROWS[split]}" for split, share in chosen_on.items()]
    if test:
        shares = [f"{test.accuracy:.1%} of its {test.samples:,} test rows ({test.low:.1%} to {test.high:.1%})", *shares]
    sentence = f"{name} is recognised in {_and(shares)}; the limit is {most:.1%}."
    if state == "not-shown":
        sentence += _what_would_show(test, most)
    more = {"low": test.low, "high": test.high} if test else {}
    detail = "; ".join([str(test) if test else "no test rows", *shares[1 if test else 0 :]])
    value = test.accuracy if test else None
    return _check(f"forget accuracy: {name}", state, value, most, sentence=sentence, detail=detail, **more)


def _what_would_show(test: Accuracy | None, most: float) -> str:
    """Why nothing is shown, and what would be needed."""
    if test is None:
        return " It has no test rows, and N was chosen on the others: nothing shows that new ones are not recognised."
    needed = samples_to_show(most)
    if needed is None:
        return " No number of rows shows that none at all would be recognised."
    if needed <= test.samples:
        return " The interval crosses the limit."
    return f" {test.samples:,} test rows are too few to show that: it takes {needed:,} of which none is recognised."


def _and(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _values_erased(
    trained: TrainedSeed, class_name: str, purged: Sequence[Request], before: Sequence[BeforePurge]
) -> Check:
    """What is left to check of a class whose samples were purged from the held-out data as well."""
    name, earlier = f"values erased: {class_name}", "".join(f" {one.sentence}" for one in before)
    if any(request.exact for request in purged):
        detail = "its samples were purged with it; values that were trained without it took the place of all"
        sentence = f"{class_name} was purged: values that were trained without it took the place of all.{earlier}"
        return _check(name, "passed", 0.0, 0.0, sentence=sentence, detail=detail)
    if any(request.record.purge and request.record.purge.keys == "reinit" for request in purged):
        detail = "its samples were purged with it; keys and values were made again without it"
        sentence = f"{class_name} was purged: keys and values were made again without it.{earlier}"
        return _check(name, "passed", 0.0, 0.0, sentence=sentence, detail=detail)
    left = 1 - (erased_share(trained, np.logical_or.reduce([request.mask() for request in purged])) or 0.0)
    detail = f"its samples were purged with it: no accuracy can be measured; {left:.1%} of its pairs still hold values"
    sentence = f"{class_name} was purged with its samples: {left:.1%} of its pairs still hold values.{earlier}"
    return _check(name, "failed" if left else "passed", left, 0.0, sentence=sentence, detail=detail)


def retained_classes(trained: TrainedSeed, models: Models, before: Accuracy | None) -> Iterator[Check]:
    """Whether the classes that stay are known as well as by the oracle: all together, and the one that is worst off.

    Args:
        before: what training measured, for the record.
    """
    limits, names = trained.recipe.verify, trained.splits.classes
    classes = retain_classes(len(names), models.rows.forget)
    right = models.masked.right("test", classes)
    retain, behind = Accuracy.of(int(right.sum()), len(right)), comparison.against_oracle(models, classes)
    if retain and behind:
        was = f"{before.accuracy:.1%} before, " if before else ""
        what = f"the other classes are recognised in {retain.accuracy:.1%} of their {retain.samples:,} test rows"
        detail = f"{was}{retain} now, the oracle {retain.accuracy - behind.difference:.1%}"
        yield _lost("retain accuracy lost", behind, retain.accuracy, what, limits.max_retain_drop, detail)
    if retain and limits.min_retain is not None:
        yield _check(
            "retain accuracy",
            at_least(limits.min_retain, retain.low, retain.high),
            retain.accuracy,
            limits.min_retain,
            low=retain.low,
            high=retain.high,
            sentence=f"The other classes are recognised in {retain}; at least {limits.min_retain:.1%} is asked for.",
            detail=str(retain),
        )
    # the worst of several is picked by what is measured: its interval has to hold for all of them
    by_class = {c: comparison.against_oracle(models, [c], one_of(len(classes))) for c in classes}
    known = {c: one for c, one in by_class.items() if one}
    if len(known) > 1:
        worst = min(known, key=lambda c: known[c].difference)
        what = f"the class that loses most is {names[worst]}: it is recognised"
        yield _of_class(models, worst, known[worst], what, limits, "retain accuracy lost: worst class")


def nearest_classes(trained: TrainedSeed, models: Models) -> Iterator[Check]:
    """Of every forgotten class: whether the class for which the oracle takes most of its samples is still known."""
    names, forget = trained.splits.classes, models.rows.forget
    for c in forget:
        split = models.rows.split_of(c)
        if split is None:
            continue
        outputs = models.oracle.of_class(c).copy()
        outputs[:, forget] = -np.inf
        nearest = int(np.bincount(outputs.argmax(1), minlength=len(names)).argmax())
        if behind := comparison.against_oracle(models, [nearest]):
            what = f"of the classes that stay {names[nearest]} is nearest to {names[c]}: it is recognised"
            yield _of_class(
                models, nearest, behind, what, trained.recipe.verify, f"retain accuracy lost: nearest to {names[c]}"
            )


def _of_class(models: Models, c: int, behind: Difference, what: str, limits: Verify, name: str) -> Check:
    right = models.masked.right("test", [c])
    share, class_name = float(right.mean()), models.rows.splits.classes[c]
    most = max(limits.max_class_drop, limits.max_retain_drop)
    detail = f"{class_name}: {share:.1%} now, the oracle {share - behind.difference:.1%} ({len(right):,} test rows)"
    return _lost(name, behind, share, f"{what} in {share:.1%} of its {len(right):,} test rows", most, detail)


def _lost(name: str, behind: Difference, share: float, what: str, most: float, detail: str) -> Check:
    """How far an accuracy is behind the oracle's, on the same rows."""
    value, low, high = 0.0 - behind.difference, 0.0 - behind.high, 0.0 - behind.low
    ends = (low, high) if value >= 0 else (-high, -low)
    moved = (
        f"{_points(abs(value))} points {'lost' if value >= 0 else 'gained'} ({_points(ends[0])} to {_points(ends[1])})"
    )
    state = at_most(most, low, high)
    sentence = (
        f"{what[0].upper()}{what[1:]}, by the oracle in {share + value:.1%}: {moved}; up to {_points(most)} may be"
        f" lost.{_crosses(state)}"
    )
    return _check(name, state, value, most, low=low, high=high, sentence=sentence, detail=detail)


def _points(share: float) -> str:
    return f"{100 * share:.1f}".replace("-0.0", "0.0").replace("-", "−")


def _crosses(state: CheckState) -> str:
    return " The interval crosses the limit." if state == "not-shown" else ""


def compared_outputs(trained: TrainedSeed, models: Models) -> Iterator[Check]:
    """Of every forgotten class: whether what the model answers to its samples is closer to what the oracle answers than
    to what the model answered before; no check of a class where nothing is left to compare."""
    names = trained.splits.classes
    for c in models.rows.forget:
        if (test := comparison.relative(models, c)) is None:
            continue
        state, rows = at_most(0.0, test.low, test.high), f"{test.samples:,} {ROWS[models.rows.split_of(c) or 'test']}"
        which = {"passed": "the oracle's", "failed": "its own before"}.get(state, "neither, as far as shown")
        figures = f"T = {test.statistic:.3f}, {test.low:.3f} to {test.high:.3f}".replace("-", "−")
        yield _check(
            f"closer to the oracle: {names[c]}",
            state,
            test.statistic,
            0.0,
            low=test.low,
            high=test.high,
            unit="number",
            sentence=(
                f"What it answers to {rows} of {names[c]} is closer to {which} (relative three-sample test: {figures};"
                " below 0 is closer to the oracle)."
            ),
            detail=f"MMD² to the oracle less MMD² to the model before: {figures}",
        )


def distances(trained: TrainedSeed, going: dict[str, Destination]) -> Iterator[Check]:
    """How far what it answers to each forgotten class is from the oracle's; no check where the recipe sets no limit."""
    most = trained.recipe.verify.max_distance
    for name, one in going.items():
        if most is not None and one.distance is not None:
            state: CheckState = "passed" if one.distance <= most else "failed"
            sentence = f"{one.sentence} The limit is {most:.1%}."
            yield _check(
                f"distance to the oracle: {name}", state, one.distance, most, sentence=sentence, detail=sentence
            )


def relearned_classes(trained: TrainedSeed, rows: Sequence[RelearnRow]) -> Iterator[Check]:
    """Whether no class is learned again faster than the oracle learns it; no check where the recipe sets no limit."""
    most = trained.recipe.verify.max_relearn
    if most is None:
        return
    for row in rows:
        if not (row.samples and row.unlearned and row.oracle):
            continue
        if row.difference is None or row.low is None or row.high is None:
            continue
        state, ahead = at_most(most, row.low, row.high), f"{_points(abs(row.difference))} points"
        compared = f"{ahead} {'ahead of' if row.difference > 0 else 'behind'} the oracle that learned the same"
        yield _check(
            f"relearning from {row.samples}: {row.name}",
            state,
            row.difference,
            most,
            low=row.low,
            high=row.high,
            sentence=(
                f"Learned again from {row.used} samples, {row.name} is recognised in {row.unlearned.accuracy:.1%} of"
                f" {row.unlearned.samples:,} test rows, {compared} ({_points(row.low)} to {_points(row.high)}); up to"
                f" {_points(most)} are allowed.{_crosses(state)}"
            ),
            detail=f"{row.unlearned.accuracy:.1%} after {row.used} samples, the oracle {row.oracle.accuracy:.1%}",
        )
