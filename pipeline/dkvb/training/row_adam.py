"""Adam on the rows of values that a step selects, for values that are too many to pass over at every step.

Dense Adam moves every value at every step, selected or not, by moments that fade. Here what a row misses is made up
for when it is next selected, or an epoch ends. With moments m, v after step s, the n steps that follow without a
gradient move a value by

    -lr sum_i w_i m / (c_i sqrt(v) + eps),  w_i = b1^i / (1 - b1^(s+i)),  c_i = b2^(i/2) / sqrt(1 - b2^(s+i)),  i = 1..n

of which the sum over i is taken with c_i's harmonic mean, weighted by w_i: exact where sqrt(v) is far above eps or far
below it; in between a term of second order in c_i's spread is added, and what is left, up to 0.4% of a row's move, is
of the first steps, in which the correction of second moments changes fast. Rows that every step selects have dense
Adam's bits.

A step reads and writes the rows that it selects, twice; dense Adam reads and writes all, once. That saves the gradients
of all values, and lets values and moments lie on disk; time only where a step selects few of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from dkvb.bottleneck.decoder import Decoder, add_rows
from dkvb.training.adam import BETAS, EPSILON, fused_step
from dkvb.training.on_disk import room

FADED = 320
"""Steps after which a first moment is below a float32's rounding of what it was."""


BLOCK = 2**18
"""Values worked on at a time, so that arrays on the way stay in the processor's cache."""


class RowAdam:
    """Adam (0.9, 0.999, 1e-8) on a decoder's values (R, L), by rows.

    `state` holds of the values their moments "exp_avg" and "exp_avg_sq", of their shape, and the number of steps
    "step", a float32 scalar; it is whole after `settle`. Moments lie where the values do.
    """

    def __init__(self, decoder: Decoder, lr: float) -> None:
        self.values, self.lr = decoder.values, lr
        self._weights, self._width = decoder.weights, decoder.scale
        shape = decoder.values.shape
        self._moments = (room(shape, decoder.folder), room(shape, decoder.folder))
        self._arrays = tuple(each.detach().numpy() for each in (self.values, *self._moments))
        self._steps = 0
        self._last = np.zeros(shape[0], np.int32)
        """(R,) the step at which moments of a row were last made."""
        self._place = np.zeros(shape[0], np.int32)
        self._selected = np.zeros(shape[0], bool)
        self._rows, self._places = np.empty(0, np.int64), np.empty((0, 0), np.int32)
        self._gradient = torch.empty((0, shape[1]))
        decoder.by_rows = self

    @property
    def state(self) -> dict[torch.nn.Parameter, dict[str, torch.Tensor]]:
        steps = torch.tensor(float(self._steps))
        return {self.values: {"exp_avg": self._moments[0], "exp_avg_sq": self._moments[1], "step": steps}}

    def restore(self, parameter: torch.nn.Parameter, state: dict[str, torch.Tensor]) -> None:
        """Go on from a state as `state` gave it."""
        for mine, given in zip(self._moments, (state["exp_avg"], state["exp_avg_sq"]), strict=True):
            mine.copy_(given)
        self._steps = int(state["step"])
        self._last[:] = self._steps

    def zero_grad(self) -> None:
        """Nothing: a step's gradient begins anew where its rows are selected."""

    def bring(self, ids: torch.Tensor) -> None:
        """Before ids (B, J) int32 are looked up: move their rows by what they missed."""
        flat = ids.numpy()
        self._selected[flat] = True
        self._rows = np.flatnonzero(self._selected)
        self._selected[self._rows] = False
        self._place[self._rows] = np.arange(len(self._rows), dtype=np.int32)
        self._places = self._place[flat]
        self._catch_up(self._rows)

    def accumulate(self, gradient: torch.Tensor) -> None:
        """Gradients (B, L) of the logits of what `bring` was given, as gradients of its rows."""
        if len(self._gradient) < len(self._rows):
            self._gradient = torch.empty((len(self._rows), self.values.shape[1]))
        total = self._gradient[: len(self._rows)].zero_()
        weights = self._weights
        if weights is None:
            gradient = gradient * (self._width / self._places.shape[1])
        add_rows(
            total.numpy(), self._places, gradient.contiguous().numpy(), None if weights is None else weights.numpy()
        )

    @torch.no_grad()
    def step(self) -> None:
        """Change the rows of the step's gradient."""
        done = float(self._steps)
        for start, rows in self._blocks(self._rows):
            values, first, second = self._read(rows)
            gradients = self._gradient[start : start + len(rows)]
            fused_step([values], [gradients], [first], [second], [torch.tensor(done)], self.lr)
            self._write(rows, values, first, second)
        self._steps += 1
        self._last[self._rows] = self._steps

    def settle(self) -> None:
        """Move all rows by what they missed, so that values are those of dense Adam after as many steps."""
        self._catch_up(np.arange(len(self._last)))

    @torch.no_grad()
    def _catch_up(self, rows: np.ndarray) -> None:
        """Move rows (n,) by the steps they missed; one that was never selected has missed none."""
        last = self._last[rows]
        late = rows[(last > 0) & (last < self._steps)]
        since, which = np.unique(self._last[late], return_inverse=True)
        missed = _missed(since, self._steps)
        for start, part in self._blocks(late):
            of = which[start : start + len(part)]
            weight, mean, spread, fade, fade_square = (torch.from_numpy(each[of])[:, None] for each in missed)
            values, first, second = self._read(part)
            above = second.sqrt().mul_(mean)
            below = above + EPSILON
            share = above.div_(below)  # 1 where eps does not count, 0 where nothing else does
            between = share.mul_(1 - share).mul_(spread).neg_().add_(1.0)
            values.addcdiv_(between.mul_(first).mul_(weight * -self.lr), below)
            self._write(part, values, first.mul_(fade), second.mul_(fade_square))
        self._last[late] = self._steps

    def _read(self, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        values, first, second = (torch.from_numpy(of[rows]) for of in self._arrays)
        return values, first, second

    def _write(self, rows: np.ndarray, *parts: torch.Tensor) -> None:
        for of, part in zip(self._arrays, parts, strict=True):
            of[rows] = part.numpy()

    def _blocks(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Rows in blocks of about `BLOCK` values, each with where it starts."""
        size = max(1, BLOCK // self.values.shape[1])
        return ((start, rows[start : start + size]) for start in range(0, len(rows), size))


def _missed(since: np.ndarray, now: int) -> tuple[np.ndarray, ...]:
    """Of each last step (S,) until now: the sum of w_i, c_i's weighted harmonic mean and relative variance, and by what
    first and second moments fade; (S,) float32 each."""
    after = np.arange(1, FADED + 1)
    steps = since[:, None].astype(np.float64) + after
    weights = np.where(steps <= now, BETAS[0] ** after / (1 - BETAS[0] ** steps), 0.0)
    factors = BETAS[1] ** (after / 2) / np.sqrt(1 - BETAS[1] ** steps)
    total = weights.sum(1)
    mean = (weights * factors).sum(1) / total
    spread = (weights * (factors / mean[:, None] - 1) ** 2).sum(1) / total
    harmonic = total / (weights / factors).sum(1)
    gone = (now - since).astype(np.float64)
    return tuple(each.astype(np.float32) for each in (total, harmonic, spread, BETAS[0] ** gone, BETAS[1] ** gone))
