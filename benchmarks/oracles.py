#!/usr/bin/env python3
"""Several models in one pass against one after another: what it costs to train oracles by the dozen.

    python benchmarks/oracles.py digits [--data-dir data] [--codebooks 64] [--models 4 10] [--rounds 3] [--epoch 0.3]

On a recipe's features and codes (made first, where they are not in --data-dir), a part of an epoch, one thread: values
on the same keys, and linear heads. Sides are one by one, as `dkvb.training.loop` trains; S models in one pass, each
with a batch order of its own; and S models in one pass that share their batches, which fair oracles may not do: a
table says how far apart such models are at the end, beside models of different orders. Seconds are those of the
processor, a model and epoch, so that what else the machine does counts little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional
from turns import Side, machine, show, take_turns

from dkvb.bottleneck.decoder import Decoder, flat_ids, start_values
from dkvb.evaluation.seed import TrainedSeed
from dkvb.recipe import Recipe, load
from dkvb.runtime import progress
from dkvb.runtime.seeding import generator
from dkvb.stages import embed, quantize, train
from dkvb.training.adam import Adam
from dkvb.training.linear_head import new_head
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.requests import need_features

Step = Callable[[int, torch.Tensor], torch.Tensor]
"""Number of a step, rows (S, B) of its S models -> the loss, summed over models."""


ASKED = 2000
"""Training rows on which models are compared."""


def orders(seeds: range, rows: int) -> torch.Tensor:
    """(S, N): each model's batch order."""
    return torch.stack([torch.from_numpy(generator(seed, "benchmark").permutation(rows)) for seed in seeds])


def processor_seconds(work: Callable[[], object], models: int, share: float) -> Side:
    """Of a model and epoch, from work on so many models for a share of an epoch."""

    def run() -> float:
        started = time.process_time()
        work()
        return (time.process_time() - started) / models / share

    return run


def run(module: torch.nn.Module, lr: float, batch: int, order: torch.Tensor, steps: int, loss: Step) -> None:
    adam = Adam(module, lr)
    for step in range(steps):
        value = loss(step, order[:, step * batch : (step + 1) * batch])
        adam.zero_grad()
        value.backward()
        adam.step()


class Values:
    """S models of values on the codes of one seed."""

    def __init__(self, trained: TrainedSeed) -> None:
        model = trained.bottleneck
        self.settings, self.classes = trained.recipe.train, len(trained.splits.classes)
        self.ids = flat_ids(model.codes("train"), model.pairs)
        self.labels = torch.from_numpy(trained.splits.labels["train"])
        self.size, self.model = model.codebooks * model.pairs, model

    def start(self, seed: int) -> torch.Tensor:
        return start_values(self.settings.values, self.model.codebooks, self.model.pairs, self.classes, seed)

    def one(self, seed: int, steps: int, order: torch.Tensor) -> torch.Tensor:
        decoder = Decoder(self.start(seed), self.model.top_k, self.settings.pool)

        def loss(step: int, rows: torch.Tensor) -> torch.Tensor:
            return functional.cross_entropy(decoder(self.ids[rows[0]]), self.labels[rows[0]])

        run(decoder, self.settings.lr, self.settings.batch_size, order, steps, loss)
        return decoder.values.detach()

    def own_orders(self, seeds: range, steps: int, order: torch.Tensor) -> torch.Tensor:
        """One table of S parts, one sum of losses."""
        decoder = Decoder(torch.cat([self.start(s) for s in seeds]), self.model.top_k, self.settings.pool)
        parts = (torch.arange(len(seeds), dtype=torch.int32) * self.size)[:, None, None]

        def loss(step: int, rows: torch.Tensor) -> torch.Tensor:
            ids = (self.ids[rows] + parts).flatten(0, 1)
            return functional.cross_entropy(decoder(ids), self.labels[rows].flatten(), reduction="sum") / rows.shape[1]

        run(decoder, self.settings.lr, self.settings.batch_size, order, steps, loss)
        return decoder.values.detach().view(len(seeds), self.size, -1)

    def one_order(self, seeds: range, steps: int, order: torch.Tensor) -> torch.Tensor:
        """S times as many columns, looked up at once."""
        decoder = Decoder(torch.cat([self.start(s) for s in seeds], 1), self.model.top_k, self.settings.pool)

        def loss(step: int, rows: torch.Tensor) -> torch.Tensor:
            logits = decoder(self.ids[rows[0]]).view(-1, self.classes)
            labels = self.labels[rows[0]].repeat_interleave(len(seeds))
            return functional.cross_entropy(logits, labels, reduction="sum") / rows.shape[1]

        run(decoder, self.settings.lr, self.settings.batch_size, order[:1], steps, loss)
        return decoder.values.detach().view(self.size, len(seeds), -1).transpose(0, 1)

    def logits(self, values: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return Decoder(values.contiguous(), self.model.top_k, self.settings.pool)(self.ids[:ASKED])


class Stack(torch.nn.Module):
    """S linear heads: weight (S, D, L), bias (S, 1, L)."""

    def __init__(self, seeds: range, width: int, classes: int) -> None:
        super().__init__()
        heads = [new_head(seed, width, classes) for seed in seeds]
        self.weight = torch.nn.Parameter(torch.stack([head.weight.detach().T for head in heads]))
        self.bias = torch.nn.Parameter(torch.stack([head.bias.detach()[None] for head in heads]))


class Heads:
    """S linear heads on the features of one seed."""

    def __init__(self, trained: TrainedSeed) -> None:
        self.settings, self.classes = trained.recipe.linear, len(trained.splits.classes)
        self.features = torch.from_numpy(trained.splits.features_of("train"))
        self.labels = torch.from_numpy(trained.splits.labels["train"])

    def one(self, seed: int, steps: int, order: torch.Tensor) -> torch.Tensor:
        head = new_head(seed, self.features.shape[1], self.classes)

        def loss(step: int, rows: torch.Tensor) -> torch.Tensor:
            return functional.cross_entropy(head(self.features[rows[0]]), self.labels[rows[0]])

        run(head, self.settings.lr, self.settings.batch_size, order, steps, loss)
        return head.weight.detach()

    def own_orders(self, seeds: range, steps: int, order: torch.Tensor) -> torch.Tensor:
        """A batched product."""
        stack = Stack(seeds, self.features.shape[1], self.classes)

        def loss(step: int, rows: torch.Tensor) -> torch.Tensor:
            logits = torch.baddbmm(stack.bias, self.features[rows], stack.weight)
            labels = self.labels[rows].flatten()
            return functional.cross_entropy(logits.flatten(0, 1), labels, reduction="sum") / rows.shape[1]

        run(stack, self.settings.lr, self.settings.batch_size, order, steps, loss)
        return stack.weight.detach().transpose(1, 2)

    def one_order(self, seeds: range, steps: int, order: torch.Tensor) -> torch.Tensor:
        """One product with S times as many columns."""
        stack = Stack(seeds, self.features.shape[1], self.classes)

        def loss(step: int, rows: torch.Tensor) -> torch.Tensor:
            columns = stack.weight.permute(1, 0, 2).flatten(1)
            logits = self.features[rows[0]] @ columns + stack.bias.flatten()
            labels = self.labels[rows[0]].repeat_interleave(len(seeds))
            return functional.cross_entropy(logits.view(-1, self.classes), labels, reduction="sum") / rows.shape[1]

        run(stack, self.settings.lr, self.settings.batch_size, order[:1], steps, loss)
        return stack.weight.detach().transpose(1, 2)

    def logits(self, weight: torch.Tensor) -> torch.Tensor:
        return self.features[:ASKED] @ weight.T


def apart(logits: torch.Tensor) -> float:
    """Median over pairs of models of the mean total variation of their probabilities, from logits (S, N, L)."""
    p = logits.double().softmax(2).flatten(1)
    return float(torch.pdist(p, 1).median() / 2 / logits.shape[1])


def compare(title: str, work: Values | Heads, models: list[int], rounds: int, part: float) -> None:
    rows, batch = len(work.labels), work.settings.batch_size
    steps = max(1, int(part * rows / batch))
    share = min(1.0, steps * batch / rows)
    sides: dict[str, Side] = {}
    one_by_one = lambda: [work.one(seed, steps, orders(range(seed, seed + 1), rows)) for seed in range(2)]  # noqa: E731
    sides["one by one, own orders"] = processor_seconds(one_by_one, 2, share)
    for count in models:
        seeds = range(count)
        order = orders(seeds, rows)
        for name, at_once in (("own orders", work.own_orders), ("one order", work.one_order)):
            side = processor_seconds(lambda f=at_once, s=seeds, o=order: f(s, steps, o), count, share)  # type: ignore[misc]
            sides[f"{count} at once, {name}"] = side
    take_turns(sides, 1)
    show(
        f"{title}: milliseconds of the processor, a model and epoch",
        take_turns(sides, rounds),
        ["one by one, own orders"],
    )
    seeds = range(models[0])
    order = orders(seeds, rows)
    together, shared = work.own_orders(seeds, steps, order), work.one_order(seeds, steps, order)
    alone = torch.stack([work.one(seed, steps, order[seed : seed + 1]) for seed in seeds])
    print(f"at once and one by one differ by {float((together - alone).abs().max()):.1g} at most")
    own, one = (apart(torch.stack([work.logits(model) for model in models])) for models in (alone, shared))
    print(f"two models' probabilities are apart by {own:.2%} with own orders, by {one:.2%} with one order")


def prepared(name: str, folder: Path, codebooks: int | None) -> TrainedSeed:
    recipe: Recipe = load(name)
    if codebooks:
        recipe = recipe.with_(keys={"codebooks": codebooks})
    workspace = Workspace(folder, folder / "reports")
    progress.silence()
    for stage in (embed, quantize, train):
        stage.run(recipe.with_(run={"seeds": [0]}), workspace)
    return TrainedSeed(recipe, workspace, need_features(recipe, workspace), 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--codebooks", type=int)
    parser.add_argument("--models", type=int, nargs="+", default=[4, 10])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epoch", type=float, default=0.3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    trained = prepared(arguments.recipe, arguments.data_dir, arguments.codebooks)
    machine("torch", "numpy")
    for title, work in (("values, same keys", Values(trained)), ("linear heads", Heads(trained))):
        compare(title, work, arguments.models, arguments.rounds, arguments.epoch)


if __name__ == "__main__":
    main()
