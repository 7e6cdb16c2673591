"""The verdict on what a fitted model has forgotten, against a model that was trained without it: the checks of `dkvb
verify`, on arrays."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from dkvb.deletion import comparison
from dkvb.deletion.membership import losses
from dkvb.deletion.sample_checks import samples_forgotten
from dkvb.deletion.verdict import Known, UnderMask, concluded, measured
from dkvb.errors import UsageError
from dkvb.estimator.fitting import Retrained, retrained_without
from dkvb.estimator.forgetting import Forgetting
from dkvb.estimator.settings import with_limits
from dkvb.evaluation.in_memory import Arrays, ArraySeed
from dkvb.evaluation.under_masks import masked_predictions
from dkvb.metrics.proportions import retain_classes
from dkvb.records.proportions import Accuracy
from dkvb.records.verdict import Check, Verdict
from dkvb.training.array_codes import code


def verdict(model: Forgetting, test: Arrays, quick: bool, limits: Mapping[str, Any]) -> Verdict:
    """The verdict on held-out samples and on the forgotten classes' own rows.

    Args:
        quick: leave out the second retrained model, which says how far two of them are apart.
        limits: keys of the recipe's `[verify]`.

    Raises:
        UsageError: nothing is forgotten, there are no samples, or a limit that the recipe does not take.
    """
    if not model.events:
        raise UsageError("Nothing is forgotten in this model: there is nothing to verify. Call forget first.")
    started, forget, trained = time.perf_counter(), model.classes, model.trained.bottleneck
    recipe = with_limits(model.trained.recipe, limits)
    codes = code(test.features, trained.projection, trained.keys, trained.top_k)
    then, now = (one.measured_on(test, codes, recipe) for one in (model.trained, model.now))
    known = retrained_without(now, forget, model.rows)
    second = None if quick else _under(now, retrained_without(now, forget, model.rows, again=True))
    models, again = measured(now, model.masked, forget, _under(now, known), second)
    more = Known(
        oracle=comparison.oracle_record("in memory", known.seconds, models),
        before=_before(then, forget),
        samples=[_samples(model, now, known)] if len(model.rows) else [],
    )
    return concluded(now, model.masked, models, again, more, started)


def _under(now: ArraySeed, made: Retrained) -> UnderMask:
    """A retrained model, and its mask order."""
    oracle = now.standing_as((made.values, made.passed_over), np.empty(0, np.int64))
    return oracle.bottleneck, oracle.no_mask


def _before(then: ArraySeed, forget: list[int]) -> Accuracy | None:
    """Test accuracy of the model as trained on the classes that stay."""
    (predicted,) = masked_predictions(then.bottleneck, then.no_mask, [0], "test")
    return Accuracy.on(predicted, then.splits.labels["test"], retain_classes(len(then.splits.classes), forget))


def _samples(model: Forgetting, now: ArraySeed, known: Retrained) -> Check:
    """Whether the values that stand are those of a model that never had the samples: the share of pairs whose values
    differ, which must be none."""
    rows = model.rows
    never = known if model.without == model.classes else retrained_without(now, model.without, rows)
    differing = float((never.values != now.bottleneck.values).any(2).mean())
    loss, _ = losses(now, model.masked, rows)
    before, _ = losses(model.trained, model.trained.no_mask < 0, rows)
    same = "equal to the bit to" if differing == 0 else "not those of"
    detail = (
        f"values are {same} a model that never had the {len(rows):,} samples; their mean loss is {loss.mean():.3f}, and"
        f" {before.mean():.3f} while they were known"
    )
    return samples_forgotten("samples forgotten", differing, detail)
