"""Floating point operations: two for every multiply-add of a matrix product, as torch's flop counter counts them, and
what dense Adam does to every parameter in every step, which torch's counter leaves out.

Ranking, masking, comparing and looking up are no floating point operations. Encoding images is left out throughout:
every method, and retraining the head as well, works on features that are kept.
"""

from __future__ import annotations

ADAM = 12
"""Operations of Adam on one parameter in one step, bias corrections folded into the step size (Kingma and Ba 2015,
section 2): 3 for the first moment, 4 for the second, 5 for root, epsilon, division, step size and subtraction."""


SGD = 4
"""Operations of SGD with momentum on one parameter in one step: 2 for the momentum, 2 for the parameter."""


def sgd_flops(parameters: int, steps: int) -> int:
    """SGD with momentum over some steps."""
    return SGD * parameters * steps


def adam_flops(parameters: int, samples: int, batch_size: int, epochs: int = 1) -> int:
    """Dense Adam over the batches of some epochs: every parameter is moved in every step, selected or not."""
    return ADAM * parameters * -(-samples // batch_size) * epochs


def selection_flops(samples: int, width: int, codebooks: int, pairs: int, dim: int) -> int:
    """Projecting samples and searching their keys, exhaustively as FAISS's flat index does: 2 N D C d + 2 N C M d."""
    return 2 * samples * codebooks * dim * (width + pairs)


def values_flops(samples: int, codebooks: int, top_k: int, classes: int, epochs: int = 1) -> int:
    """Training values on codes: 2 N C k L forward for the mean of the selected values, as much backward; an epoch."""
    return 4 * samples * codebooks * top_k * classes * epochs


def linear_flops(samples: int, width: int, classes: int, epochs: int = 1) -> int:
    """Training a linear head on features: 2 N D L forward, as much backward for its weights; an epoch."""
    return 4 * samples * width * classes * epochs
