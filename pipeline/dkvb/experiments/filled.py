"""The disk that a step's artifacts fill and the memory that its process takes, in bytes."""

from __future__ import annotations

from dkvb.evaluation.under_masks import LOGITS
from dkvb.experiments.sizes import Size
from dkvb.recipe import Recipe
from dkvb.registry import methods
from dkvb.runtime.parallel import cores
from dkvb.training.codes import PROCESS
from dkvb.training.values import BY_ROWS, DENSE

IMAGES = 2**30
"""An encoder, its activations and the images on their way."""


ON_HEAD = ("scrub", "scrub-r", "retrain-linear")
"""Methods of the linear head, which hold features twice: as they are, and in line."""


def disk(step: str, recipe: Recipe, size: Size) -> int:
    """Bytes that a step's artifacts fill."""
    keys = recipe.keys
    aside = round(size.train * recipe.data.validation)
    lists = (size.test + aside) * keys.codebooks * min(keys.neighbours, keys.pairs) * 2
    pairs = keys.codebooks * keys.pairs
    quantized = _codes(recipe, size) + lists + pairs * keys.dim * 4 + keys.codebooks * size.width * keys.dim * 4
    values = _values(recipe, size)
    return {
        "embed": size.rows * size.width * 4,
        "quantize": quantized,
        "train": values + values // 4,
        "retrain": values,
        "retrain-keys": values + quantized,
        "scrub-values": values,
        "membership": size.rows * size.width * 4 + quantized + 2 * values,
    }.get(step, pairs // 8 + 100_000)


def memory(step: str, recipe: Recipe, size: Size) -> int:
    """Bytes that a step's process takes at the most, `PROCESS` of them the interpreter and its libraries."""
    features, codes, values = size.rows * size.width * 4, _codes(recipe, size), _values(recipe, size)
    head = 2 * features
    held = DENSE if recipe.train.adam == "dense" else BY_ROWS
    # ids of training are int32, twice a code; a sweep holds the logits of all its points, and no more than LOGITS
    trained = held * values + 3 * codes
    seen = values + codes + min(LOGITS, 21 * size.test * size.classes * 4) + size.rows * size.classes * 4
    masked = max(seen, trained if recipe.unlearn.retrain else 0)
    quantized = min(_whole_pass(recipe, size), max(0, int(recipe.run.memory * 2**30) - PROCESS))
    own = {
        "embed": 0 if recipe.data.features else IMAGES,
        "quantize": quantized,
        "train": max(trained, head),
        "retrain": max(trained, seen),
        "retrain-keys": max(trained, seen, quantized),
        "scrub-values": trained + 2 * values,  # the teacher, and the student that is kept
        "membership": max(trained, masked, quantized, head),
    }
    masking = step in methods() and methods()[step].family == "masking"
    return PROCESS + own.get(step, masked if masking else head if step in ON_HEAD else seen)


def _values(recipe: Recipe, size: Size) -> int:
    return recipe.keys.codebooks * recipe.keys.pairs * size.classes * 4


def _codes(recipe: Recipe, size: Size) -> int:
    return size.rows * recipe.keys.codebooks * recipe.keys.top_k * 2


def _whole_pass(recipe: Recipe, size: Size) -> int:
    """Queries of all codebooks, and what each thread holds of one: see `training.codes.group_size`."""
    keys = recipe.keys
    thread = 3 * size.train * keys.dim * 4 + 16 * size.train + 6 * size.train * keys.top_k
    return size.rows * keys.dim * 4 * keys.codebooks + cores() * (thread + 6 * size.test * keys.neighbours)
