"""Rows of an image split to features, at the encoder's own speed: decoding and resizing happen beside the forward pass.

On a CPU both want the same cores, so nothing can be hidden: each core takes whole batches, from file to features, on
one thread. No core ever waits for another, neither for a slow file nor at the barriers inside a multi-threaded forward
pass. On a GPU, threads load batches into pinned memory, and two more feed the device, so that one batch is copied and
queued while the other is computed.

A row's features do not depend on timing, on the number of threads, or on other rows: batch i always holds rows i·B to
(i+1)·B, each at its own place, and has B places even where images are missing or rows run out (blank images fill them),
so that every forward pass has one shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dkvb.encoders.base import FrozenEncoder, stack
from dkvb.encoders.pixels import PixelEncoder
from dkvb.runtime.parallel import cores, in_order
from dkvb.sources.base import ImageSplit, UnreadableImage

if TYPE_CHECKING:
    from PIL import Image

IMAGES_AT_ONCE = 1024
"""On a CPU, images in forward passes at one time at most, whatever the number of cores: activations are what fills
memory."""


FEEDERS = 2
"""Threads that feed a GPU: while one waits for its features, the other's batch is queued behind it."""


@dataclass(frozen=True)
class Encoded:
    """Features of those rows whose images can be read."""

    features: np.ndarray
    """(n, D) float32; (0, 0) where no image can be read."""
    kept_rows: np.ndarray
    """(n,) int64, the row of each, in the order asked for."""
    bad: list[tuple[int, str]]
    """Row and message of each unreadable image, in the order asked for."""


@dataclass(frozen=True)
class _Batch:
    images: Any
    """(B, channels, H, W) float32 with blank images at the places not in `kept`, an array for the encoder "pixels" and
    else a tensor; None where that is all of them."""
    kept: list[int]
    """Places of readable images."""
    bad: list[tuple[int, str]]


def encode_rows(
    split: ImageSplit,
    rows: Sequence[int] | np.ndarray,
    encoder: FrozenEncoder,
    batch_size: int,
    advance: Callable[[int], None] = lambda rows: None,
    on_image: Callable[[int, Image.Image], None] | None = None,
) -> Encoded:
    """Features of some rows of a split; unreadable images are collected and stop nothing.

    Args:
        rows: (N,) rows in any order.
        batch_size: B images in every forward pass; no more than a few batches a core are in memory.
        advance: told the number of rows done, batch by batch, in the calling thread.
        on_image: called with the row and its decoded image in a loading thread, several at a time.

    Raises:
        DkvbError: images of more than one size, where the encoder does not resize.
    """
    chosen = [int(row) for row in rows]
    starts = range(0, len(chosen), batch_size)
    features: np.ndarray | None = None
    kept: list[int] = []
    bad: list[tuple[int, str]] = []

    def load(start: int) -> _Batch:
        return _load(split, chosen[start : start + batch_size], encoder, batch_size, on_image)

    for start, (batch, found) in zip(starts, _encoded(encoder, load, starts, batch_size), strict=True):
        bad += batch.bad
        if found is not None:
            features = np.empty((len(chosen), found.shape[1]), np.float32) if features is None else features
            features[len(kept) : len(kept) + len(found)] = found
            kept += [chosen[start + place] for place in batch.kept]
        advance(min(batch_size, len(chosen) - start))
    return Encoded(
        np.zeros((0, 0), np.float32) if features is None else features[: len(kept)], np.array(kept, np.int64), bad
    )


def _load(
    split: ImageSplit,
    rows: list[int],
    encoder: FrozenEncoder,
    batch_size: int,
    on_image: Callable[[int, Image.Image], None] | None,
) -> _Batch:
    prepare: Callable[[Image.Image], Any] = encoder.pixels if isinstance(encoder, PixelEncoder) else encoder.preprocess
    prepared: list[Any] = []
    kept: list[int] = []
    bad: list[tuple[int, str]] = []
    for place, row in enumerate(rows):
        try:
            image = split.read(row)
        except UnreadableImage as error:
            bad.append((row, str(error)))
            continue
        if on_image:
            on_image(row, image)
        prepared.append(prepare(image))
        kept.append(place)
    if not kept:
        return _Batch(None, kept, bad)
    if len(kept) == batch_size and encoder.device == "cpu":
        return _Batch(stack(prepared), kept, bad)
    images = _blank((batch_size, *prepared[0].shape), encoder)
    images[kept] = stack(prepared)
    return _Batch(images, kept, bad)


def _blank(shape: tuple[int, ...], encoder: FrozenEncoder) -> Any:
    """Zeros on the CPU, in pinned memory where they go to a GPU, so that the copy does not hold up the thread that asks
    for it."""
    if isinstance(encoder, PixelEncoder):
        return np.zeros(shape, np.float32)
    import torch

    return torch.zeros(shape, pin_memory=encoder.device != "cpu")


def _encoded(
    encoder: FrozenEncoder, load: Callable[[int], _Batch], starts: Sequence[int], batch_size: int
) -> Iterator[tuple[_Batch, np.ndarray | None]]:
    """Every batch, without its images, and the features of its readable ones, in order."""

    def encode(batch: _Batch) -> tuple[_Batch, np.ndarray | None]:
        if batch.images is None:
            return batch, None
        if isinstance(encoder, PixelEncoder):
            features = batch.images.reshape(batch_size, -1)
        else:
            features = encoder.encode(batch.images).numpy()
        return _Batch(None, batch.kept, batch.bad), features[batch.kept]

    def feed(loading: Future[_Batch]) -> tuple[_Batch, np.ndarray | None]:
        import torch

        # a stream of its own, or one thread's copy would queue behind the other's forward pass
        with torch.cuda.stream(torch.cuda.Stream()):
            return encode(loading.result())

    if encoder.device == "cpu":
        lanes = max(1, min(cores(), IMAGES_AT_ONCE // batch_size, len(starts)))
        threads = nullcontext() if isinstance(encoder, PixelEncoder) else _torch_threads(max(1, cores() // lanes))
        with threads, _pool(lanes) as pool:
            yield from in_order(pool, lambda start: encode(load(start)), starts, ahead=lanes)
    else:
        with _pool(cores()) as loaders, _pool(FEEDERS) as feeders:
            yield from in_order(
                feeders, feed, (loaders.submit(load, start) for start in starts), ahead=cores() + FEEDERS
            )


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that on an error drops what has not begun."""
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    """Threads that each of torch's operations uses in threads started from now on."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
