"""How fast an encoder is: what is counted, in which batches."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from dkvb.encoders import speed
from dkvb.encoders.networks import load_encoder
from dkvb.encoders.speed import Speed, time_encoder
from dkvb.recipe import Encoder


class Slow:
    """An encoder of 5 ms an image."""

    name, device, weights_hash, dim = "slow", "cpu", None, 3

    def __init__(self) -> None:
        self.batches: list[int] = []

    def preprocess(self, image):
        return torch.from_numpy(np.array(image, np.float32).transpose(2, 0, 1)[:, :2, :2])

    def encode(self, images):
        self.batches.append(len(images))
        time.sleep(0.005 * len(images))
        return images.flatten(1)[:, :3]


@pytest.mark.parametrize(("asked", "batch"), [(64, 8), (4, 4)])
def test_a_batch_for_each_core_after_a_first_pass(asked, batch, monkeypatch):
    monkeypatch.setattr(speed, "cores", lambda: 3)
    monkeypatch.setattr(speed, "LEAST", 0.0)
    encoder = Slow()
    found = time_encoder(encoder, asked)
    assert (found.images, found.batch) == (3 * batch, batch)
    assert encoder.batches == [1] * 3 + [batch] * 3
    assert found.seconds >= 0.005 * batch


def test_a_fast_encoder_gets_more_images(monkeypatch):
    monkeypatch.setattr(speed, "cores", lambda: 2)
    encoder = Slow()
    assert time_encoder(encoder, 2).images > 8, "four images of 5 ms each are no measurement"


def test_images_a_second():
    assert Speed(images=48, batch=8, seconds=1.5, cpu_seconds=3.0).rate == 32


def test_pixels_are_timed_without_a_size():
    assert time_encoder(load_encoder(Encoder(name="pixels"), "cpu", "RGB"), 64).rate > 0
