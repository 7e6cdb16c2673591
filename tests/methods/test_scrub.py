"""SCRUB on values, and SCRUB+R, against plain loops of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from conftest import trained_seed
from dkvb.bottleneck.decoder import Decoder
from dkvb.errors import DkvbError, UsageError
from dkvb.methods.scrub import NOISE, ScrubMethod, ScrubRewind, ScrubValues
from dkvb.methods.scrub_passes import scrub_epochs, scrub_passes
from dkvb.recipe import Recipe, Scrub
from dkvb.runtime.seeding import generator
from dkvb.stages import train, unlearn
from dkvb.workspace.artifacts import Workspace

Parameters = list[torch.Tensor]


def plain_scrub(
    start: list[np.ndarray],
    teacher: list[np.ndarray],
    logits_of: Callable[[Parameters, np.ndarray], torch.Tensor],
    y: np.ndarray,
    forget: np.ndarray,
    settings: Scrub,
    epochs: int,
    seed: int,
) -> list[list[np.ndarray]]:
    """SCRUB in float64 with torch's plain Adam and losses written out; the parameters after every pass."""
    student = [torch.tensor(array, dtype=torch.float64, requires_grad=True) for array in start]
    fixed = [torch.tensor(array, dtype=torch.float64) for array in teacher]
    adam = torch.optim.Adam(student, lr=settings.lr, foreach=False, fused=False)
    t, after = settings.temperature, []

    def log_shares(parameters: Parameters, rows: np.ndarray, temperature: float) -> torch.Tensor:
        logits = logits_of(parameters, rows) / temperature
        return logits - logits.exp().sum(1, keepdim=True).log()

    def divergence(rows: np.ndarray) -> torch.Tensor:
        p, q = log_shares(fixed, rows, t), log_shares(student, rows, t)
        return t * t * (p.exp() * (p - q)).sum() / len(rows)

    def passes(name: str, members: np.ndarray, epoch: int, maximise: bool) -> None:
        order = members[generator(seed, "scrub", name, epoch).permutation(len(members))]
        for start in range(0, len(order), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            adam.zero_grad()
            if maximise:
                loss = -divergence(rows)
            else:
                entropy = -log_shares(student, rows, 1.0)[torch.arange(len(rows)), torch.from_numpy(y[rows])].mean()
                loss = settings.gamma * entropy + settings.alpha * divergence(rows)
            loss.backward()
            adam.step()
        after.append([parameter.detach().numpy().copy() for parameter in student])

    for epoch in range(1, epochs + 1):
        if epoch <= settings.max_steps:
            passes("forget", np.flatnonzero(forget), epoch, maximise=True)
        passes("retain", np.flatnonzero(~forget), epoch, maximise=False)
    return after


SETTINGS = Scrub(max_steps=2, lr=0.05, alpha=0.3, gamma=0.8, temperature=2.0, batch_size=16)
PASSES = [("max", 1), ("min", 1), ("max", 2), ("min", 2), ("min", 3), ("min", 4)]


def test_scrub_on_a_linear_head_is_the_plain_loop_after_every_pass() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((70, 6)).astype(np.float32), rng.integers(4, size=70)
    student, teacher = torch.nn.Linear(6, 4), torch.nn.Linear(6, 4).requires_grad_(False)
    start, taught = (
        [parameter.detach().numpy().copy() for parameter in head.parameters()] for head in (student, teacher)
    )
    data = torch.from_numpy(x).double()
    expected = plain_scrub(
        start, taught, lambda head, rows: data[rows] @ head[0].T + head[1], y, y == 1, SETTINGS, 4, 5
    )
    course = scrub_passes(
        student,
        teacher,
        torch.from_numpy(x),
        torch.from_numpy(y),
        torch.from_numpy(y == 1),
        SETTINGS,
        len(PASSES) - 2,
        5,
    )
    for (kind, epoch), (name, number), (weight, bias) in zip(course, PASSES, expected, strict=True):
        assert (kind, epoch) == (name, number)
        np.testing.assert_allclose(student.weight.detach(), weight, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(student.bias.detach(), bias, rtol=1e-4, atol=1e-5)
    assert not np.allclose(expected[-1][0], start[0])
    np.testing.assert_array_equal(teacher.weight.numpy(), taught[0])


def test_scrub_on_values_is_the_plain_loop_after_every_pass() -> None:
    rng = np.random.default_rng(0)
    codebooks, pairs, top_k, classes, rows = 3, 5, 2, 4, 70
    nearest = np.argsort(rng.random((rows, codebooks, pairs)), axis=2)[:, :, :top_k]
    ids = (nearest + np.arange(codebooks)[:, None] * pairs).reshape(rows, -1).astype(np.int32)
    y = rng.integers(classes, size=rows)
    teacher = rng.standard_normal((codebooks * pairs, classes)).astype(np.float32)
    start = teacher + 0.1 * rng.standard_normal(teacher.shape).astype(np.float32)
    places = torch.from_numpy(ids.astype(np.int64))
    forget = y == 1
    expected = plain_scrub(
        [start], [teacher], lambda values, rows: values[0][places[rows]].mean(1), y, forget, SETTINGS, 4, 5
    )
    student = Decoder(torch.from_numpy(start.copy()), top_k, "mean")
    fixed = Decoder(torch.from_numpy(teacher.copy()), top_k, "mean").requires_grad_(False)
    course = scrub_passes(
        student, fixed, torch.from_numpy(ids), torch.from_numpy(y), torch.from_numpy(forget), SETTINGS, 4, 5
    )
    for found, at, (values,) in zip(course, PASSES, expected, strict=True):
        assert found == at
        np.testing.assert_allclose(student.values.detach().numpy(), values, rtol=1e-4, atol=1e-5)
    assert not np.allclose(expected[-1][0], start)
    np.testing.assert_array_equal(fixed.values.detach().numpy(), teacher)


def test_scrub_on_values_keeps_the_trained_model_and_starts_close_to_it(trained: Recipe, workspace: Workspace) -> None:
    one = trained_seed(trained, workspace)
    kept = one.bottleneck.values.copy()
    method = ScrubValues(one, [2])
    student = method.student()
    method._unsettle(student)
    moved = student.get_parameter("values").detach().numpy().reshape(kept.shape) - kept
    assert 0.5 * NOISE * kept.std() < moved.std() < 2 * NOISE * kept.std()
    (entry,) = unlearn.run(trained.with_(unlearn={"method": "scrub-values", "forget": ["cat"]}), workspace)
    np.testing.assert_array_equal(one.bottleneck.values, kept)
    weights = load_file(Path(entry.artifact) / "weights.safetensors")
    assert weights["values"].shape == kept.shape
    assert {"lr", "noise", "alpha"} <= set(entry.not_in_paper)
    assert entry.flops > 0


def test_scrub_r_rewinds_to_the_epoch_that_a_search_finds(trained: Recipe, workspace: Workspace) -> None:
    one = trained_seed(trained, workspace)
    splits = one.splits
    x, y = (
        {split: of(split) for split in ("train", "validation")}
        for of in (splits.features_of, lambda split: splits.labels[split])
    )
    (entry,) = unlearn.run(trained.with_(unlearn={"method": "scrub-r", "forget": ["cat"]}), workspace)
    teacher = torch.nn.Linear(12, 4)
    teacher.load_state_dict({name: torch.from_numpy(array) for name, array in one.linear.items()})
    student = torch.nn.Linear(12, 4)
    student.load_state_dict(teacher.state_dict())
    teacher.requires_grad_(False)
    states = [{name: tensor.clone() for name, tensor in student.state_dict().items()}]
    forget = torch.from_numpy(y["train"] == 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in scrub_epochs(
        scrub_passes(
            student, teacher, torch.from_numpy(x["train"]), torch.from_numpy(y["train"]), forget, trained.scrub, 6, 0
        )
    ):
        states.append({name: tensor.clone() for name, tensor in student.state_dict().items()})
    torch.set_num_threads(threads)

    def wrong(state: dict[str, torch.Tensor], split: str) -> float:
        rows = y[split] == 2
        logits = x[split][rows] @ state["weight"].numpy().T + state["bias"].numpy()
        return float((logits.argmax(1) != 2).mean())

    reference = wrong(states[-1], "validation")
    distances = [abs(wrong(state, "train") - reference) for state in states]
    best = distances.index(min(distances))
    kept = load_file(Path(entry.artifact) / "weights.safetensors")
    np.testing.assert_array_equal(kept["weight"], states[best]["weight"].numpy())
    assert entry.note.startswith(f"rewound to epoch {best} of 6")


def test_scrub_needs_what_it_compares_with(trained: Recipe, workspace: Workspace) -> None:
    bare = trained.with_(data={"validation": 0.0})
    train.run(bare, workspace)
    with pytest.raises(UsageError, match="scrub-r needs validation samples"):
        unlearn.run(bare.with_(unlearn={"method": "scrub-r", "forget": ["cat"]}), workspace)
    method = ScrubRewind(trained_seed(trained, workspace), [7])
    with pytest.raises(DkvbError, match="no training samples"):
        list(method.train(method.student(), method.inputs("train"), 1))
    everything = ScrubMethod(trained_seed(trained, workspace), [0, 1, 2, 3])
    with pytest.raises(DkvbError, match="Nothing is left for SCRUB to retain"):
        list(everything.train(everything.student(), everything.inputs("train"), 1))


def test_a_loss_that_is_not_finite_is_named_with_its_pass(trained: Recipe, workspace: Workspace) -> None:
    with pytest.raises(DkvbError, match=r"is nan in the max pass of epoch 1, step \d: a learning rate of 1e\+38"):
        unlearn.run(trained.with_(unlearn={"method": "scrub", "forget": ["cat"]}, scrub={"lr": 1e38}), workspace)
