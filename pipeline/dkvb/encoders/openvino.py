"""An encoder's forward pass by OpenVINO (extra `dkvb[openvino]`): on a CPU twice as fast as torch, or more, for
networks of depthwise convolutions, a third faster for ResNet50, and hardly for ViT-B/32 (docs/measurements.md)."""

from __future__ import annotations

import threading
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dkvb.encoders.network_encoder import NetworkEncoder
from dkvb.errors import UsageError
from dkvb.runtime.parallel import cores

if TYPE_CHECKING:
    import torch
    from PIL import Image


class OpenVinoEncoder:
    """The image tower of a network, converted; transform and weights are the network's own.

    Each thread that encodes has one core of its own: no bit depends on how many there are.

    Raises:
        UsageError: OpenVINO is not installed, or the network is on a GPU.
    """

    device = "cpu"

    def __init__(self, network: NetworkEncoder) -> None:
        try:
            import openvino
        except ImportError:
            raise UsageError(
                'encoder.backend = "openvino" needs OpenVINO: pip install "dkvb[openvino]", or set it to "torch".'
            ) from None
        if network.device != "cpu":
            raise UsageError(
                'encoder.backend = "openvino" computes on the CPU: set run.device = "cpu", or the backend to "torch".'
            )
        self.network, self.name, self._openvino, self._own = network, network.name, openvino, threading.local()

    @property
    def weights_hash(self) -> str | None:
        return self.network.weights_hash

    @property
    def transform(self) -> Any:
        """The network's, as exports describe it."""
        return self.network.transform

    @cached_property
    def dim(self) -> int:
        return self.network.dim

    def preprocess(self, image: Image.Image) -> torch.Tensor:
        return self.network.preprocess(image)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        import torch

        # a request of its own for each thread: a model's answers one call at a time
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        found = self._own.request.infer([np.ascontiguousarray(images.numpy())])
        return torch.from_numpy(np.array(next(iter(found.values())), np.float32))

    @cached_property
    def _compiled(self) -> Any:
        precision = {"fp32": "f32", "bf16": "bf16"}[self.network.precision]
        each = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": cores(), "NUM_STREAMS": cores()}
        return self._openvino.Core().compile_model(self._converted, "CPU", each)

    @cached_property
    def _converted(self) -> Any:
        """The tower for batches of any size."""
        from PIL import Image

        example = self.preprocess(Image.new("RGB", (8, 8)))[None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of tracing
            model = self._openvino.convert_model(self.network.tower, example_input=example)
        model.reshape([-1, *example.shape[1:]])
        return model
