"""How many images a second an encoder takes on this machine: a batch for each core, through the very loop of `dkvb
embed`."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dkvb.encoders.base import FrozenEncoder
from dkvb.encoders.batches import encode_rows
from dkvb.runtime.parallel import cores
from dkvb.sources.base import ImageSplit

BATCH = 8
"""Images of a batch on a CPU, where larger ones are no faster."""

GPU_BATCHES = 4
"""Batches on a GPU: enough that copying one hides behind computing another."""

SIDE = 256
"""Pixels of a made-up image's side; of those that `pixels` takes as they are, `SMALL`."""

SMALL = 32

LEAST = 0.2
"""Seconds that are worth measuring: an encoder that needs less gets more images."""


@dataclass(frozen=True)
class Speed:
    """What encoding some images took, after a first one."""

    images: int
    batch: int
    seconds: float
    cpu_seconds: float
    """Of the processor, all cores together: where others use them too, less than wall time times cores."""

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.images / self.seconds


def time_encoder(encoder: FrozenEncoder, batch_size: int) -> Speed:
    """Encode made-up images, decoded already, and take the time.

    Args:
        batch_size: images of a batch on a GPU, and at most on a CPU.
    """
    on_cpu = encoder.device == "cpu"
    batch = min(batch_size, BATCH) if on_cpu else batch_size
    images = batch * (cores() if on_cpu else GPU_BATCHES)
    side = SMALL if encoder.name == "pixels" else SIDE
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))

    def encoded(images: int, batch: int) -> Speed:
        rows = [str(row) for row in range(images)]
        split = ImageSplit(rows, np.zeros(images, np.int64), lambda row: image)
        started, spent = time.perf_counter(), time.process_time()
        encode_rows(split, range(images), encoder, batch)
        return Speed(images, batch, time.perf_counter() - started, time.process_time() - spent)

    # what is made at the first pass: threads, kernels chosen for a shape, a GPU's context
    encoded(cores() if on_cpu else images, 1 if on_cpu else batch)
    speed = encoded(images, batch)
    if speed.seconds >= LEAST:
        return speed
    return encoded(batch * math.ceil(speed.rate * LEAST / batch), batch)
