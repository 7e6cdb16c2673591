"""How much work each step is, in seconds at given rates."""

from __future__ import annotations

from collections.abc import Callable

from dkvb.experiments.rates import Rates
from dkvb.experiments.sizes import Size
from dkvb.methods.scrub import LONGEST
from dkvb.recipe import Recipe
from dkvb.registry import methods

START = 0.1
"""Seconds of an idle processor that a step takes whatever its size: inputs are opened and checked, results measured and
written. On two cores of 2.6 GHz with AVX2, from steps of the digits recipe."""

ATTACKED, ATTACK = 8, 0.6
"""Models that membership inference attacks, and seconds of an idle processor for one, likewise."""

BYTES_A_SECOND = 50e6
"""Ready-made features that are read, hashed and written in a second, likewise."""

ITERATIONS = 100
"""Passes over the rows that training a linear head to convergence is taken to need: 76 to 130 on data at hand."""

LOOKED_AT = 2
"""Looks at all forget rows, from their lists, that choosing N costs: some 20, each of a tenth of a search."""

TEACHER = 1.7
"""A step of SCRUB over one of plain training: a teacher's forward pass and two distances come on top."""


def parts(step: str, recipe: Recipe, size: Size, rates: Rates, images: float | None) -> dict[str, float]:
    """The parts of a step and the seconds of each. A part is an artifact, and named alike in all steps that make one.

    Args:
        images: images a second of the encoder; None for ready-made features.
    """
    if step in _STAGES:
        return _STAGES[step](recipe, size, rates, images)
    if step == "membership":  # another model, trained without a class, and three that never saw the forget class
        made = _quantize(recipe, size, rates, images) | _train(recipe, size, rates, images)
        again = _values(recipe, size, rates) + _head(recipe, size, rates) + _scrub(recipe, size, rates, "scrub-r")[0]
        masks = 3 * 3 * size.train / size.classes * recipe.keys.codebooks * rates.sweep
        return made | {"membership": again + masks + ATTACKED * ATTACK * rates.slowdown}
    forget, sweep, retraining = _METHODS.get(step, _measured)(recipe, size, rates, step)
    named = {f"{step} forget": forget, f"{step} sweep": sweep, f"{step} retraining": retraining}
    return {name: seconds for name, seconds in named.items() if seconds}


def _embed(recipe: Recipe, size: Size, rates: Rates, images: float | None) -> dict[str, float]:
    read = size.rows * size.width * 4 / BYTES_A_SECOND * rates.slowdown
    encoder = "" if recipe.data.features else recipe.encoder.name
    return {f"embed {encoder}".strip(): START * rates.slowdown + (size.rows / images if images else 0.0) + read}


def _quantize(recipe: Recipe, size: Size, rates: Rates, images: float | None) -> dict[str, float]:
    keys, aside = recipe.keys, round(size.train * recipe.data.validation)
    fitted = (size.train - aside) * keys.epochs * rates.fit
    coded = size.rows * rates.search + (size.test + aside) * rates.lists
    return {"quantize": START * rates.slowdown + keys.codebooks * (fitted + coded)}


def _train(recipe: Recipe, size: Size, rates: Rates, images: float | None) -> dict[str, float]:
    return {"values": _values(recipe, size, rates), "head": _head(recipe, size, rates)}


def _values(recipe: Recipe, size: Size, rates: Rates) -> float:
    """Training values, with a look at the test set after each epoch and one at all rows in the end."""
    steps = size.train / recipe.train.batch_size
    epoch = steps * rates.step + size.test * rates.decode
    return START * rates.slowdown + recipe.train.epochs * epoch + size.rows * rates.decode


def _head(recipe: Recipe, size: Size, rates: Rates) -> float:
    converged = size.train * rates.head_pass * ITERATIONS
    if recipe.linear.until == "converged":
        return START * rates.slowdown + converged
    steps = recipe.linear.epochs * size.train / recipe.linear.batch_size
    return START * rates.slowdown + steps * rates.head_step + (converged if recipe.linear.converged else 0.0)


def _masking(recipe: Recipe, size: Size, rates: Rates, step: str) -> tuple[float, float, float]:
    """Masking: N is chosen on the forget rows, the sweep is of the rows kept for measuring, and values are trained on
    under the mask with a look at all rows after each epoch."""
    books, aside = recipe.keys.codebooks, round(size.train * recipe.data.validation)
    choose = size.train / size.classes * books * (rates.lists + LOOKED_AT * rates.masked)
    seen = size.rows * books * rates.masked
    start = START * rates.slowdown
    steps = (size.train - aside) / recipe.train.batch_size
    on = recipe.unlearn.retrain * (steps * rates.step + size.rows * rates.decode)
    sweep = start + choose + (size.test + aside) * books * rates.sweep if recipe.unlearn.sweep else 0.0
    return start + choose + seen, sweep, start + seen + on if recipe.unlearn.retrain else 0.0


def _scrub(recipe: Recipe, size: Size, rates: Rates, step: str) -> tuple[float, float, float]:
    """SCRUB's epochs once for the sweep, once again to the chosen one, and once more to be trained on from there."""
    given = recipe.scrub.min_steps
    longest = max(LONGEST, 0 if given == "auto" else given)
    chosen = given if given != "auto" else longest if step == "scrub-r" else longest / 2
    values, start = step == "scrub-values", START * rates.slowdown
    one = TEACHER * size.train / recipe.scrub.batch_size * (rates.step if values else rates.head_step)
    look = size.rows * rates.decode if values else 0.0
    forget = start + chosen * one + 2 * look
    if step == "scrub-r":
        return forget, 0.0, 0.0
    swept, on = recipe.unlearn.sweep or given == "auto", recipe.unlearn.retrain
    return forget, swept * (start + longest * (one + look)), bool(on) * (start + (chosen + on) * (one + look))


def _retrain(recipe: Recipe, size: Size, rates: Rates, step: str) -> tuple[float, float, float]:
    """The models that never saw the forget class, and all rows looked at before and after."""
    books = recipe.keys.codebooks
    if step == "retrain-linear":
        return _head(recipe, size, rates) + START * rates.slowdown, 0.0, 0.0
    fitted = _quantize(recipe, size, rates, None)["quantize"] if step == "retrain-keys" else 0.0
    return fitted + _values(recipe, size, rates) + size.rows * books * rates.masked, 0.0, 0.0


def _measured(recipe: Recipe, size: Size, rates: Rates, step: str) -> tuple[float, float, float]:
    """A method that only has to be measured."""
    return START * rates.slowdown + size.rows * recipe.keys.codebooks * rates.masked, 0.0, 0.0


_STAGES: dict[str, Callable[[Recipe, Size, Rates, float | None], dict[str, float]]] = {
    "embed": _embed,
    "quantize": _quantize,
    "train": _train,
}

_METHODS: dict[str, Callable[[Recipe, Size, Rates, str], tuple[float, float, float]]] = {
    **{name: _masking for name, entry in methods().items() if entry.family == "masking"},
    **dict.fromkeys(("scrub", "scrub-r", "scrub-values"), _scrub),
    **dict.fromkeys(("retrain", "retrain-keys", "retrain-linear"), _retrain),
}
