"""Rivals that train a head on, each held against a plain loop or an answer that is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from dkvb.errors import DkvbError
from dkvb.methods.on_head import Head, HeadData, Setting
from dkvb.methods.rivals import bad_teacher, boundary_shrink, delete, random_labels, salun, unsir
from dkvb.methods.rivals.ascent import Ascent
from dkvb.methods.rivals.bad_teacher import BadTeacher
from dkvb.methods.rivals.boundary_expand import BoundaryExpand
from dkvb.methods.rivals.boundary_shrink import BoundaryShrink
from dkvb.methods.rivals.delete import Delete
from dkvb.methods.rivals.finetune import Finetune
from dkvb.methods.rivals.l1_sparse import L1Sparse
from dkvb.methods.rivals.neggrad_plus import NegGradPlus
from dkvb.methods.rivals.random_labels import RandomLabels
from dkvb.methods.rivals.salun import SalUn
from dkvb.methods.rivals.student import GradientRival, student_of
from dkvb.methods.rivals.unsir import Unsir
from dkvb.metrics.flops import sgd_flops
from rival_toys import (
    Gradient,
    assert_close,
    batches,
    cross_entropy_gradient,
    plain_sgd,
    recognised,
    softmax,
    toy,
)

RIVALS = [
    *(Finetune, Ascent, NegGradPlus, RandomLabels, SalUn, BadTeacher),
    *(BoundaryShrink, BoundaryExpand, Unsir, Delete, L1Sparse),
]


def retained(data: HeadData, name: str) -> Iterator[np.ndarray]:
    for epoch in range(5):
        yield from batches(data, name, np.flatnonzero(~data.forgotten), "retain", epoch)


def test_finetuning_is_sgd_on_the_retain_set() -> None:
    head, data = toy()
    steps = [cross_entropy_gradient(data, rows, data.labels) for rows in retained(data, "finetune")]
    assert len(steps) == 10, "two batches an epoch"
    assert_close(Finetune().unlearn(head, data, {"lr": 1}), plain_sgd(head, data, 1, steps))


def test_neggrad_plus_goes_down_on_one_batch_and_up_on_the_other() -> None:
    head, data = toy()

    def both(epoch: int) -> Iterator[Gradient]:
        lost = batches(data, "neggrad-plus", np.flatnonzero(data.forgotten), "forget", epoch)
        kept = batches(data, "neggrad-plus", np.flatnonzero(~data.forgotten), "retain", epoch)
        assert (len(lost), len(kept)) == (1, 2), "the forget batch is used twice"
        for rows in kept:
            down = cross_entropy_gradient(data, rows, data.labels)
            up = cross_entropy_gradient(data, lost[0], data.labels)
            yield lambda w, down=down, up=up: 0.95 * down(w) - 0.05 * up(w)

    steps = [step for epoch in range(5) for step in both(epoch)]
    assert_close(NegGradPlus().unlearn(head, data, {"a": 0.95, "lr": 1}), plain_sgd(head, data, 1, steps))


def test_the_penalty_of_l1_sparse_fades() -> None:
    head, data = toy()
    scale = float((data.train.astype(np.float64) ** 2).mean()) ** 0.5
    order = list(retained(data, "l1-sparse"))

    def penalised(place: int, rows: np.ndarray) -> Gradient:
        loss = cross_entropy_gradient(data, rows, data.labels)
        return lambda w: loss(w) + 0.05 * scale * (1 - place // 2 / 5) * np.sign(w)

    steps = [penalised(place, rows) for place, rows in enumerate(order)]
    found = L1Sparse().unlearn(head, data, {"a": 0.05, "lr": 0.1})
    assert_close(found, plain_sgd(head, data, 0.1, steps))
    assert np.abs(found.weight).sum() < np.abs(Finetune().unlearn(head, data, {"lr": 0.1}).weight).sum()


def test_ascent_stops_at_chance() -> None:
    head, data = toy()
    rows = np.flatnonzero(data.forgotten)
    one_step = [cross_entropy_gradient(data, rows, data.labels)]
    away = plain_sgd(head, data, -1e4, one_step)
    assert recognised(away, data)[0] == 0, "one such step is enough"
    found = Ascent().unlearn(head, data, {"lr": 1e4})
    assert_close(found, away)
    again = Ascent().unlearn(found, data, {"lr": 1e4})
    np.testing.assert_array_equal(again.weight, found.weight)


def test_random_labels_are_drawn_from_all_classes_or_from_those_that_stay() -> None:
    head, data = toy()
    student = student_of(head, data, "random-labels")
    for own, among in ((True, {0, 1, 2, 3}), (False, {0, 1, 3})):
        labels = random_labels.drawn(student, own, 0)
        gone, kept = labels[student.forget_rows], labels[student.retain_rows]
        assert set(gone.tolist()) == among
        assert torch.bincount(gone, minlength=4).max() < 2 * len(gone) / len(among)
        assert torch.equal(kept, student.labels[student.retain_rows])
    assert not torch.equal(random_labels.drawn(student, True, 0), random_labels.drawn(student, True, 1))
    forget, retain = recognised(RandomLabels().unlearn(head, data, {"own": 0, "lr": 10}), data)
    assert forget < 0.2
    assert retain > 0.95


def test_salun_leaves_all_but_the_salient_weights_to_the_bit() -> None:
    head, data = toy()
    rows = np.flatnonzero(data.forgotten)
    gradient = np.abs(
        cross_entropy_gradient(data, rows, data.labels)(np.concatenate([head.weight, head.bias[:, None]], 1))
    )
    for top in (0.5, 0.2):
        found = SalUn().unlearn(head, data, {"top": top, "lr": 1})
        moved = np.concatenate([found.weight != head.weight, (found.bias != head.bias)[:, None]], 1)
        wanted = gradient >= np.sort(gradient, axis=None)[::-1][round(top * gradient.size) - 1]
        np.testing.assert_array_equal(moved, wanted)
    free = [mask for _, mask in salun.salient(student_of(head, data, "salun"), 1.0)]
    assert all(mask.all() for mask in free)


def test_the_fixed_point_of_delete_is_the_logit_mask_on_the_forget_set() -> None:
    head, data = toy(each=25, width=40, spread=1.2)  # 20 rows of the class in 40 dimensions: any answers can be learned
    masked = head.logits(data.train[data.forgotten])
    masked[:, 2] = -np.inf
    found = Delete().unlearn(head, data, {"lr": 5, "epochs": 4000})
    distance = 0.5 * np.abs(softmax(found.logits(data.train[data.forgotten])) - softmax(masked)).sum(1)
    before = 0.5 * np.abs(softmax(head.logits(data.train[data.forgotten])) - softmax(masked)).sum(1)
    assert before.min() > 0.5
    assert distance.max() < 0.01
    at = Delete().unlearn(Head(head.weight, head.bias - 1e4 * (np.arange(4) == 2).astype(np.float32)), data, {"lr": 1})
    np.testing.assert_allclose(at.weight, head.weight, atol=1e-5)  # there is no gradient there


def test_a_bad_teacher_teaches_the_forget_set_alone() -> None:
    head, data = toy()
    student = student_of(head, data, "bad-teacher")
    rows = bad_teacher.taught(student)
    assert len(rows) == data.forgotten.sum() + round(0.3 * (~data.forgotten).sum())
    wanted, forgotten = bad_teacher.answers(student, rows).numpy(), data.forgotten[rows.numpy()]
    own = softmax(head.logits(data.train[rows.numpy()]))
    np.testing.assert_allclose(wanted[~forgotten], own[~forgotten], atol=1e-6)
    assert wanted[forgotten, 2].mean() < 0.6 < own[forgotten, 2].mean()
    assert forgotten.sum() == data.forgotten.sum()


def test_boundary_shrink_gives_the_class_beyond_the_nearest_boundary() -> None:
    head = Head(np.array([[-2, 0], [0, 0], [2, 0]], np.float32), np.array([-1, 0, -1], np.float32))
    x = np.array([[-0.3, 0], [0.3, 0], [-0.45, 0], [2, 0]], np.float32)  # class 1 lies between -0.5 and 0.5
    data = HeadData(x, np.array([1, 1, 1, 2]), x[:0], np.array([], int), [1], 0)
    for e in (0.01, 1.0):  # too small a step for the boundary, where the runner-up is taken; and one across it
        np.testing.assert_array_equal(boundary_shrink.nearest_labels(head, data, e), [0, 2, 0])


def test_boundary_expand_moves_the_class_and_drops_the_output() -> None:
    head, data = toy()
    found = BoundaryExpand().unlearn(head, data, {"lr": 1})
    assert (found.weight.shape, found.bias.shape) == (head.weight.shape, head.bias.shape)
    forget, retain = recognised(found, data)
    assert forget < 0.05
    assert retain > 0.9


def test_noise_of_unsir_has_the_length_of_data_and_is_far_from_the_class() -> None:
    head, data = toy(each=700)
    made = unsir.noise(head, data, 2)
    assert made.shape == (32, 16)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), data.mean_square**0.5, rtol=1e-5)
    assert softmax(head.logits(made))[:, 2].max() < 1e-3
    rows = unsir.sampled(student_of(head, data, "unsir")).numpy()
    assert np.bincount(data.labels[rows], minlength=4).tolist() == [500, 500, 0, 500]
    assert len(set(rows.tolist())) == 1500
    forget, _ = recognised(Unsir().unlearn(head, data, {"lr": 10}), data)
    assert forget < 0.5


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
def test_operations_are_those_that_torch_counts(rival: type[GradientRival]) -> None:
    head, data = toy()
    size, width = data.size(4), data.train.shape[1]
    setting: Setting = {**rival.settings_tried[0], "lr": 1e-6}  # ascent does not reach chance: its whole course
    counter = FlopCounterMode(display=False)
    with counter:
        rival().unlearn(head, data, setting)
    classes = 5 if rival is BoundaryExpand else 4
    products = rival().flops(size, setting) - sgd_flops(classes * (width + 1), rival().passes(size, setting).steps)
    by_numpy = {BoundaryShrink: 6 * size.forget * width * 4, Unsir: 4 * 32 * 25 * width * 4}.get(rival, 0)
    assert counter.get_total_flops() + by_numpy == pytest.approx(products, rel=0.02)


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
def test_the_same_bits_on_any_number_of_threads_and_the_head_is_left_alone(rival: type[GradientRival]) -> None:
    head, data = toy()
    weight, train, labels = head.weight.copy(), data.train.copy(), data.labels.copy()
    found = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(rival().unlearn(head, data, rival.settings_tried[-1]))
    torch.set_num_threads(1)
    np.testing.assert_array_equal(found[0].weight, found[1].weight)
    assert not np.array_equal(found[0].weight, weight)
    for now, before in ((head.weight, weight), (data.train, train), (data.labels, labels)):
        np.testing.assert_array_equal(now, before)


def test_a_loss_that_is_not_finite_is_said() -> None:
    head, data = toy()
    data.train[0] = np.inf
    with pytest.raises(DkvbError, match="loss of finetune"):
        Finetune().unlearn(head, data, {"lr": 1})


def test_of_several_classes_none_takes_the_place_of_another() -> None:
    head, data = toy(forget=(1, 2), spread=1.5)
    wanted = delete.without_labels(student_of(head, data, "delete")).numpy()
    assert (wanted[:, [1, 2]] == 0).all()
    np.testing.assert_allclose(wanted.sum(1), 1, rtol=1e-5)
    assert set(boundary_shrink.nearest_labels(head, data, 0.4).tolist()) == {0, 3}
