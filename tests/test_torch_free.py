"""torch takes seconds to import: commands that train and encode nothing leave it, and what brings it, alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from dkvb.recipe import Recipe
from dkvb.runtime import device
from dkvb.workspace.artifacts import Workspace

MODULES = [
    "dkvb.sources.opening",
    "dkvb.encoders.recorded",
    "dkvb.methods.base",
    "dkvb.inference.export",
    "dkvb.stages.embed",
    "dkvb.stages.quantize",
    "dkvb.stages.report",
    "dkvb.deletion.forget",
]
"""What a command may need that neither trains nor encodes."""

HEAVY = ("torch", "torchvision", "timm", "open_clip")
COMMANDS = [
    "status",
    "doctor",
    "unlearn --method activations --method examples --method logit-mask --forget cat --sweep",
    "unlearn --method activations --na auto --forget dog --counts last-epoch",
    "unlearn --method examples --forget dog --counts proxy --proxy new.npz",
    "forget cat --plan",
    "forget cat",
    "forget bird --na auto",
    "restore r0002",
    "status",
    "receipt r0001",
    "ledger",
    "predict new.npz --top 2 --csv out.csv",
    "export exported",
    "predict new.npz --model exported",
    "report",
]
SCRIPT = """
import json, sys
from dkvb.runtime import device
device.GPU_DEVICES = ()
assert device.choose_device("auto") in [("cpu", device.NO_CUDA), ("cpu", device.NO_GPU)]
assert "torch" not in sys.modules, "choosing a device imports torch where there is no GPU"

heavy, modules, commands = json.loads(sys.argv[1])
for module in modules:
    __import__(module)
    assert not [name for name in heavy if name in sys.modules], module

from typer.testing import CliRunner
from dkvb.cli import app
for command in commands:
    result = CliRunner().invoke(app, command.split())
    if result.exit_code:
        sys.exit(f"dkvb {command} failed:\\n{result.output}\\n{result.exception!r}")
    if there := [name for name in heavy if name in sys.modules]:
        sys.exit(f"dkvb {command} imports {', '.join(there)}")
import dkvb
import numpy
model = dkvb.unlearn(dkvb.load("data"), "dog", na=20)
assert isinstance(model(numpy.load("new.npz")["x"]), numpy.ndarray)
assert not [name for name in heavy if name in sys.modules], "predicting on arrays imports torch"
"""


def test_modules_and_commands_that_train_and_encode_nothing_leave_torch_alone(
    trained: Recipe, workspace: Workspace, tmp_path: Path
) -> None:
    np.savez(tmp_path / "new.npz", x=np.random.default_rng(0).standard_normal((30, 12)).astype(np.float32))
    (tmp_path / "tiny.toml").rename(tmp_path / "dkvb.toml")
    words = [sys.executable, "-c", SCRIPT, json.dumps([HEAVY, MODULES, COMMANDS])]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_device_is_what_torch_finds() -> None:
    assert device.choose_device("auto")[0] == ("cuda" if torch.cuda.is_available() else "cpu")
