"""What a unit of each kind of work takes on this machine, as it is now: measured in about a second on made-up data of a
recipe's own shape, by the very functions that the stages run."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from dkvb.bottleneck.decoder import flat_ids
from dkvb.bottleneck.keys import fit_keys
from dkvb.bottleneck.lookup import CpuLookup
from dkvb.bottleneck.mask_order import NEVER
from dkvb.evaluation.growing_masks import Voter
from dkvb.recipe import Keys, Linear, Recipe, Train
from dkvb.runtime.parallel import cores, one_thread_per_worker
from dkvb.runtime.threads import one_thread
from dkvb.training.linear_head import new_head
from dkvb.training.loop import Schedule, Unit, fit
from dkvb.training.values import new_decoder

ROWS, BATCHES = 1024, 4
"""Made-up rows, and batches of training."""

PARAMETERS = 2**22
"""Values with which a step of training is measured at most: beyond the processor's caches, and in memory at once."""

MASKED = 0.15
"""Share of pairs that a measured mask holds: about what the paper masks to forget one of ten or a hundred classes."""

GRID = 21
"""Points of a measured sweep."""

SOLVER, TIMES = (3, 13), 3
"""Iterations of the linear head's solver whose difference is measured, and how often anything is: what comes first is
slower."""


@dataclass(frozen=True)
class Shape:
    """All that decides what a unit of work takes."""

    keys: Keys
    train: Train
    linear: Linear
    width: int
    classes: int

    @classmethod
    def of(cls, recipe: Recipe, width: int, classes: int) -> Shape:
        # what changes no unit of work is set to one value, so that shapes that are alike are measured once
        keys = recipe.keys.model_copy(update={"epochs": 1, "adapt": True})
        train = Train(batch_size=recipe.train.batch_size, pool=recipe.train.pool, adam=recipe.train.adam)
        return cls(keys, train, Linear(batch_size=recipe.linear.batch_size), width, classes)


@dataclass(frozen=True)
class Rates:
    """Seconds for a unit of work; of what is spread over cores, with all of them at work."""

    fit: float
    """Fitting a codebook's keys to a query, an epoch."""
    search: float
    """A query's codes in a codebook."""
    lists: float
    """A query's list of neighbours in a codebook."""
    sweep: float
    """A row's votes in a codebook under all masks of a sweep, from its list."""
    masked: float
    """A row's votes in a codebook without and with a mask, without a list."""
    step: float
    """A training step of all values."""
    decode: float
    """A row's logits from all values."""
    head_step: float
    """A training step of the linear head."""
    head_pass: float
    """A row in an iteration of the solver that trains the head to convergence."""
    slowdown: float
    """Wall time over time on the processor of one thread: above 1 where others use it too."""


def measure(shape: Shape) -> Rates:
    """The rates at a shape, in about a second on an idle machine."""
    bottleneck, queries = _Bottleneck(shape), _made_up(shape)
    with one_thread_per_worker() as pool:
        spread = _Spread(lambda work: list(pool.map(lambda _: work(), range(2 * cores()))))
        fitted = spread(lambda: _fit(shape, queries), len(queries))
        lookup, keys = CpuLookup(bottleneck.keys), shape.keys
        search = spread(lambda: lookup.search(queries, keys.top_k), len(queries))
        few = queries[: ROWS // 4]
        lists = spread(lambda: lookup.search(few, min(keys.neighbours, keys.pairs)), len(few)) if keys.neighbours else 0
        grid = [round(place / (GRID - 1) * MASKED * keys.pairs) for place in range(GRID)]
        sweep = spread(lambda: bottleneck.votes(queries, grid, listed=True), len(queries))
        masked = spread(lambda: bottleneck.votes(queries, [0, grid[-1]], listed=False), len(queries))
    step, decode = _values(shape)
    head_pass, slowdown = _head_pass(shape)
    return Rates(
        fit=fitted,
        search=search,
        lists=lists,
        sweep=sweep,
        masked=masked,
        step=step,
        decode=decode,
        head_step=_head_step(shape),
        head_pass=head_pass,
        slowdown=slowdown,
    )


class _Spread:
    """Seconds that a unit of some work takes where every core does the same."""

    def __init__(self, everywhere: Callable[[Callable[[], Any]], Sequence[Any]]) -> None:
        self.everywhere = everywhere

    def __call__(self, work: Callable[[], Any], units: int) -> float:
        work()
        started = time.perf_counter()
        times = len(self.everywhere(work))
        return (time.perf_counter() - started) / times / units


def _made_up(shape: Shape) -> np.ndarray:
    """Queries (n, d) float32."""
    rows = max(ROWS, BATCHES * shape.keys.batch_size)
    return np.random.default_rng(0).standard_normal((rows, shape.keys.dim), np.float32)


def _fit(shape: Shape, queries: np.ndarray) -> None:
    keys, rng = shape.keys, np.random.default_rng(1)
    settings: dict[str, Any] = {name: getattr(keys, name) for name in ("pairs", "batch_size", "decay", "init")}
    fit_keys(queries, epochs=1, order=lambda epoch: np.arange(len(queries)), rng=rng, **settings)


class _Bottleneck:
    """One codebook with random keys and values, some of them masked."""

    def __init__(self, shape: Shape) -> None:
        rng, pairs = np.random.default_rng(2), shape.keys.pairs
        self.keys = rng.standard_normal((pairs, shape.keys.dim), np.float32)
        values = rng.standard_normal((pairs, shape.classes), np.float32)
        self.model: Any = SimpleNamespace(keys=[self.keys], values=[values], pool=shape.train.pool)
        self.order = rng.permutation(pairs).astype(np.int32)
        self.order[self.order >= MASKED * pairs] = NEVER
        self.shape = shape

    def votes(self, queries: np.ndarray, grid: Sequence[int], listed: bool) -> None:
        """What a sweep does with a block of rows, of random codes."""
        keys, rng = self.shape.keys, np.random.default_rng(3)
        codes = rng.integers(0, keys.pairs, (len(queries), min(keys.top_k, keys.pairs)), np.uint16)
        length = min(keys.neighbours, keys.pairs)
        near = rng.integers(0, keys.pairs, (len(queries), length), np.uint16) if listed and length else None
        logits = np.zeros((len(grid), len(queries), self.shape.classes), np.float32)
        voter = Voter.under(self.model, 0, self.order, codes, grid, near)
        voter.queries = queries
        voter.add(logits, slice(0, len(queries)))


def _values(shape: Shape) -> tuple[float, float]:
    """A step of training, and a row's logits, measured on as many codebooks as `PARAMETERS` hold."""
    keys, batch = shape.keys, shape.train.batch_size
    some = max(1, min(keys.codebooks, PARAMETERS // (keys.pairs * shape.classes)))
    few = keys.model_copy(update={"codebooks": some, "top_k": min(keys.top_k, keys.pairs)})
    decoder = new_decoder(shape.train, few, shape.classes, 0)
    codes = np.random.default_rng(4).integers(0, keys.pairs, (some, BATCHES * batch, few.top_k), np.uint16)
    ids = flat_ids(codes, keys.pairs)
    step = _trained(decoder, ids, shape.classes, Schedule.of(shape.train))
    with torch.inference_mode():
        started = time.perf_counter()
        decoder(ids)
        decode = (time.perf_counter() - started) / len(ids)
    return step * keys.codebooks / some, decode * keys.codebooks / some


def _head_step(shape: Shape) -> float:
    inputs = torch.randn(BATCHES * shape.linear.batch_size, shape.width, generator=torch.Generator().manual_seed(0))
    return _trained(new_head(0, shape.width, shape.classes), inputs, shape.classes, Schedule.of(shape.linear))


def _trained(module: torch.nn.Module, inputs: torch.Tensor, classes: int, schedule: Schedule) -> float:
    """Seconds of a step, of the quickest of some epochs but the first, in which memory is taken."""
    ends: list[float] = []

    def at_end() -> dict[str, float]:
        ends.append(time.perf_counter())
        return {}

    labels = torch.arange(len(inputs)) % classes
    fit(module, inputs, labels, replace(schedule, epochs=1 + TIMES), Unit("calibration", 0), at_end)
    return min(after - before for before, after in pairwise(ends)) / BATCHES


def _head_pass(shape: Shape) -> tuple[float, float]:
    """A row in an iteration of the solver, without what a fit takes whatever its length; and, as this is one thread's
    work, how much others slow it down."""
    from sklearn.linear_model import LogisticRegression

    rows = max(ROWS, shape.classes)
    features = np.random.default_rng(5).standard_normal((rows, shape.width), np.float32)
    walls: list[float] = []
    spent: dict[int, list[float]] = {few: [] for few in SOLVER}
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that so few iterations do not converge
        for iterations in SOLVER * TIMES:
            started, before = time.perf_counter(), time.process_time()
            LogisticRegression(max_iter=iterations).fit(features, np.arange(rows) % shape.classes)
            walls.append(time.perf_counter() - started)
            spent[iterations].append(time.process_time() - before)
    slowdown = max(1.0, sum(walls) / max(sum(map(sum, spent.values())), 1e-9))
    few, many = SOLVER
    least, most = min(spent[few]), min(spent[many])
    each = (most - least) / (many - few) if most > least else most / many
    return each * slowdown / rows, slowdown
