"""The loop from rows to features: its order, its batches, what it does with bad images, and that threads change
nothing."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from dkvb.encoders import batches
from dkvb.encoders.base import stack
from dkvb.encoders.batches import encode_rows
from dkvb.encoders.networks import load_encoder
from dkvb.errors import DkvbError
from dkvb.recipe import Encoder
from dkvb.sources.base import ImageSplit, UnreadableImage

N = 43


def picture(row: int, side: int = 6) -> Image.Image:
    return Image.fromarray(np.random.default_rng(row).integers(0, 256, (side, side, 3), np.uint8))


def split_of(bad: tuple[int, ...] = (), read=picture, n: int = N) -> ImageSplit:
    def checked(row: int) -> Image.Image:
        if row in bad:
            raise UnreadableImage(f"{row}.png", "the file is empty")
        return read(row)

    return ImageSplit([f"{row}.png" for row in range(n)], np.zeros(n, np.int64), checked)


class Network:
    """A small encoder that remembers the shapes of its forward passes."""

    name, device, weights_hash, dim = "network", "cpu", None, 5

    def __init__(self) -> None:
        import torch

        self.shapes: list[tuple[int, ...]] = []
        self.weights = torch.randn(108, 5, generator=torch.Generator().manual_seed(0))

    def preprocess(self, image):
        import torch

        return torch.from_numpy(np.array(image, np.float32).transpose(2, 0, 1)) / 255

    def encode(self, images):
        self.shapes.append(tuple(images.shape))
        return (images.flatten(1) @ self.weights).tanh()


@pytest.fixture(params=["cpu", "gpu"])
def network(request, monkeypatch):
    """With the threads of either device; the GPU's own parts are taken out."""
    import torch

    network = Network()
    if request.param == "gpu":
        network.device = "cuda"
        monkeypatch.setattr(torch.cuda, "Stream", lambda: None)
        monkeypatch.setattr(torch.cuda, "stream", nullcontext)
        monkeypatch.setattr(batches, "_blank", lambda shape, device: torch.zeros(shape))
    return network


def direct(network, rows):
    return np.concatenate([network.encode(stack([network.preprocess(picture(int(row)))])).numpy() for row in rows])


def test_rows_in_the_order_asked_for(network):
    rows = np.random.default_rng(1).permutation(N)[:30]
    done = []
    encoded = encode_rows(split_of(), rows, network, 8, done.append)
    assert encoded.features.dtype == np.float32
    assert np.allclose(encoded.features, direct(network, rows), atol=1e-6)
    assert (encoded.kept_rows == rows).all()
    assert encoded.bad == []
    assert done == [8, 8, 8, 6]


def test_every_forward_pass_has_one_shape(network):
    encode_rows(split_of(bad=(3, 9)), range(N), network, 16)
    assert network.shapes == [(16, 3, 6, 6)] * 3


def test_unreadable_images_are_collected_and_change_no_other_row(network):
    whole = encode_rows(split_of(), range(N), network, 8)
    bad = (0, 11, *range(16, 24), N - 1)
    encoded = encode_rows(split_of(bad), range(N), network, 8)
    kept = [row for row in range(N) if row not in bad]
    assert encoded.bad == [(row, f"{row}.png cannot be read as an image: the file is empty") for row in bad]
    assert encoded.kept_rows.tolist() == kept
    assert np.array_equal(encoded.features, whole.features[kept])


def test_nothing_readable_and_nothing_asked_for(network):
    encoded = encode_rows(split_of(tuple(range(N))), range(N), network, 8)
    assert encoded.features.shape == (0, 0)
    assert len(encoded.bad) == N
    assert len(encoded.kept_rows) == 0
    assert encode_rows(split_of(), [], network, 8).features.shape == (0, 0)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_timing_change_no_bit(threads, network, monkeypatch):
    expected = encode_rows(split_of(), range(N), network, 4).features

    def slow(row: int) -> Image.Image:
        time.sleep(0.01 * (row % 7 == threads % 7))
        return picture(row)

    monkeypatch.setattr(batches, "cores", lambda: threads)
    assert np.array_equal(encode_rows(split_of(read=slow), range(N), network, 4).features, expected)


def test_threads_change_no_bit_of_a_real_network(monkeypatch):
    encoder = load_encoder(Encoder(name="timm:resnet18", weights="random"), "cpu", "RGB")
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(batches, "cores", lambda threads=threads: threads)
        found.append(encode_rows(split_of((2,)), range(7), encoder, 4).features)
    assert found[0].shape == (6, 512)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_contents_are_shown_in_the_loading_threads(network):
    seen, threads = {}, set()

    def look(row: int, image: Image.Image) -> None:
        seen[row] = image.tobytes()
        threads.add(threading.current_thread())

    encode_rows(split_of(bad=(5,)), range(20), network, 4, on_image=look)
    assert seen == {row: picture(row).tobytes() for row in range(20) if row != 5}
    assert threading.current_thread() not in threads


def test_few_batches_are_in_memory(network, monkeypatch):
    monkeypatch.setattr(batches, "cores", lambda: 2)
    read, done, ahead = [], [], []

    def advance(rows: int) -> None:
        time.sleep(0.005)
        done.append(rows)
        ahead.append(len(read) - sum(done))

    encode_rows(split_of(read=lambda row: read.append(row) or picture(row), n=400), range(400), network, 4, advance)
    assert max(ahead) <= 4 * (2 * 2 + batches.FEEDERS + 1)


def test_an_error_ends_the_loop_and_restores_torch(network):
    import torch

    before = torch.get_num_threads()
    read = []

    def failing(row: int) -> Image.Image:
        read.append(row)
        if row == 9:
            raise DkvbError("enough")
        return picture(row)

    with pytest.raises(DkvbError, match="enough"):
        encode_rows(split_of(read=failing, n=4000), range(4000), network, 4)
    assert len(read) < 4000
    assert torch.get_num_threads() == before


def test_images_of_two_sizes_are_refused(network):
    with pytest.raises(DkvbError, match=r"6×6 and 7×7"):
        encode_rows(split_of(read=lambda row: picture(row, 6 + row // 42)), range(N), network, 8)


@pytest.mark.gpu
def test_on_a_gpu():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    cpu, gpu = (
        load_encoder(Encoder(name="timm:resnet18", weights="random"), device, "RGB") for device in ("cpu", "cuda")
    )
    one, two = (encode_rows(split_of((2,)), range(N), gpu, 4).features for _ in range(2))
    assert np.array_equal(one, two)
    assert np.allclose(one, encode_rows(split_of((2,)), range(N), cpu, 4).features, rtol=1e-3, atol=1e-3)
