"""The pixels encoder: one size, standardised per image."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from dkvb.encoders.base import stack
from dkvb.encoders.networks import load_encoder
from dkvb.errors import DkvbError
from dkvb.recipe import Encoder
from tiny_clip import features, picture

pytestmark = pytest.mark.usefixtures("one_thread", "tiny_clip")


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_pixels_are_standardised_per_image(mode, channels):
    encoder = load_encoder(Encoder(name="pixels"), "cpu", mode)
    one, two = picture(seed=1, mode=mode), picture(seed=2, mode=mode)
    both = features(encoder, one, two)
    assert both.shape == (2, channels * 30 * 40)
    assert encoder.dim == channels * 30 * 40
    assert np.allclose(both.mean(1), 0, atol=1e-5)
    assert np.allclose(both.std(1), 1, atol=1e-3)
    assert (features(encoder, two)[0] == both[1]).all()
    expected = np.asarray(one, np.float64).reshape(30, 40, channels).transpose(2, 0, 1).ravel() / 255
    assert np.allclose(both[0], (expected - expected.mean()) / (expected.std() + 1e-6), atol=1e-5)


def test_pixels_of_a_flat_image_are_zero_not_nan():
    encoder = load_encoder(Encoder(name="pixels"), "cpu", "L")
    assert (features(encoder, Image.new("L", (5, 5), 77)) == 0).all()


def test_pixels_resize_makes_one_size_of_many():
    encoder = load_encoder(Encoder(name="pixels", size=8), "cpu", "RGB")
    assert encoder.dim == 192
    assert features(encoder, picture(40, 30), picture(9, 50)).shape == (2, 192)


def test_pixels_refuses_a_second_size_and_names_both():
    encoder = load_encoder(Encoder(name="pixels"), "cpu", "RGB")
    with pytest.raises(DkvbError, match="no width before"):
        _ = encoder.dim
    encoder.preprocess(picture(40, 30))
    with pytest.raises(DkvbError, match=r"(40×30 and 10×12|10×12 and 40×30).*encoder\.size = 32"):
        encoder.preprocess(picture(10, 12))


def test_pixels_agree_on_one_size_across_threads():
    encoder = load_encoder(Encoder(name="pixels"), "cpu", "RGB")
    refused, start = [], threading.Barrier(8)

    def work(i: int) -> None:
        start.wait()
        try:
            encoder.preprocess(picture(10 + i % 2, 10))
        except DkvbError:
            refused.append(i % 2)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 4
    assert len(set(refused)) == 1


def test_stack_names_the_sizes():
    import torch

    assert stack([torch.zeros(3, 4, 5)] * 2).shape == (2, 3, 4, 5)
    with pytest.raises(DkvbError, match=r"5×4 and 6×4.*encoder\.size"):
        stack([torch.zeros(3, 4, 5), torch.zeros(3, 4, 6)])


def test_pixels_ignore_precision():
    full, half = (
        features(load_encoder(Encoder(name="pixels", precision=p), "cpu", "RGB"), picture()) for p in ("fp32", "bf16")
    )
    assert (full == half).all()
