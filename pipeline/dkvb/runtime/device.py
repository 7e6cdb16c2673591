"""Which device does the work, and why; and how exactly a GPU is made to work."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dkvb.errors import UsageError

NO_CUDA, NO_GPU = "this torch build has no CUDA", "torch sees no GPU"

GPU_DEVICES = ("nvidia*", "nvhost*", "nvgpu*", "nvmap", "dxg", "kfd")
"""Names under /dev of a GPU that torch calls "cuda": NVIDIA's, on boards and under Windows too, and AMD's."""


def choose_device(wanted: str) -> tuple[str, str]:
    """The device, "cpu" or "cuda", and the reason in words.

    Raises:
        UsageError: `wanted` is "cuda" and there is no GPU that torch can use.
    """
    if wanted == "cpu":
        return "cpu", "as --device or run.device says"
    reason = None if "torch" in sys.modules else _no_gpu()
    if reason is None:
        import torch

        if torch.cuda.is_available():
            return "cuda", f"torch sees {torch.cuda.get_device_name(0)}"
        reason = NO_CUDA if torch.version.cuda is None else NO_GPU
    if wanted == "cuda":
        raise UsageError(f"--device cuda: {reason}. Use --device auto or cpu, or see what `dkvb doctor` finds.")
    return "cpu", reason


def _no_gpu() -> str | None:
    """Why torch can use no GPU here, where that shows without importing torch, which takes seconds; else None."""
    if version("torch").endswith("+cpu"):
        return NO_CUDA
    if sys.platform == "linux" and not any(any(Path("/dev").glob(name)) for name in GPU_DEVICES):
        return NO_GPU
    return None


def gpus_listed() -> list[str]:
    """Names of the GPUs that `nvidia-smi` lists; none where it is not there or fails. Whether torch can use them, only
    torch knows."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        words = [program, "--query-gpu=name", "--format=csv,noheader"]
        listed = subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in listed.splitlines() if line.strip()]


def free_gpu_memory() -> int:
    """Bytes that are free on the GPU that torch uses."""
    import torch

    free, _ = torch.cuda.mem_get_info()
    return int(free)


class _FullPrecision:
    """Convolutions on a GPU in full single precision, deterministic: they would otherwise round their inputs to TF32.

    The switch is one for the whole process: the first thread inside turns it and the last one out turns it back.
    """

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.flags: AbstractContextManager[Any] = nullcontext()

    def __enter__(self) -> None:
        import torch

        with self.lock:
            if self.inside == 0:
                self.flags = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
                self.flags.__enter__()
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self.flags.__exit__(None, None, None)


full_precision = _FullPrecision()
