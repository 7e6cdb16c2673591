"""What doctor says of devices, libraries and archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkvb.bottleneck.lookup import gpu_ready
from dkvb.commands import doctor
from dkvb.recipe import load
from dkvb.records.status import DoctorCheck
from dkvb.runtime.device import NO_GPU
from dkvb.runtime.network import GLANCE
from dkvb.workspace.artifacts import Workspace


def checks(workspace: Workspace, device: str = "auto") -> dict[str, DoctorCheck]:
    recipe = load("digits").with_(run={"device": device})
    return {entry.check: entry for entry in doctor.examine(recipe, workspace)}


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An nvidia-smi that lists one GPU."""
    program = tmp_path / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'GPU of a Test'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent) + ":/bin:/usr/bin")
    return program


def test_the_device_is_what_nvidia_smi_and_torch_say(
    workspace: Workspace, smi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "version", lambda package: "9.1.0")
    monkeypatch.setattr(doctor, "choose_device", lambda wanted: ("cuda", "torch sees GPU of a Test"))
    assert checks(workspace)["device"].detail.startswith("cuda (torch sees GPU of a Test); ")
    monkeypatch.setattr(doctor, "choose_device", lambda wanted: ("cpu", NO_GPU))
    listed = "cpu (nvidia-smi lists GPU of a Test, and torch sees no GPU (torch 9.1.0)); "
    assert checks(workspace)["device"].detail.startswith(listed)
    assert checks(workspace, "cpu")["device"].detail.startswith("cpu (as --device or run.device says)")
    monkeypatch.setattr(doctor, "version", lambda package: "9.1.0+cpu")
    found = checks(workspace)["device"]
    assert found.ok
    assert found.detail.startswith("cpu (nvidia-smi lists GPU of a Test, and torch 9.1.0+cpu has no CUDA)")
    assert not checks(workspace, "cuda")["device"].ok
    smi.write_text("#!/bin/sh\nexit 9\n")
    assert checks(workspace)["device"].detail.startswith("cpu (nvidia-smi lists no GPU)")
    assert "lists no GPU" in checks(workspace, "cuda")["device"].detail


def test_faiss_says_where_it_does_not_see_the_gpu(workspace: Workspace, smi: Path) -> None:
    if gpu_ready():
        pytest.skip("FAISS sees a GPU here")
    assert "sees 0 GPUs of 1: codes are looked up on the CPU" in checks(workspace)["FAISS"].detail
    smi.write_text("#!/bin/sh\nexit 9\n")
    assert checks(workspace)["FAISS"].detail.endswith("sees 0 GPUs")


def test_a_missing_archive_is_missing_and_a_copy_in_the_cache_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float]] = []

    def answers(url: str, timeout: float) -> str | None:
        asked.append((url, timeout))
        return "no route" if len(asked) == 1 else None

    monkeypatch.setattr(doctor, "unreachable", answers)
    recipe, folder = load("cifar10"), tmp_path / "cache/dkvb/cifar10"
    found = doctor._data(recipe)
    assert not found.ok
    assert found.detail.startswith(
        f"cifar10: cifar-10-python.tar.gz is not in {folder}, and www.cs.toronto.edu does not"
    )
    assert "fetch https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz on another machine" in found.detail
    assert "(no route)" in found.detail
    assert "www.cs.toronto.edu answers: `dkvb embed` downloads it" in doctor._data(recipe).detail
    assert {timeout for _, timeout in asked} == {GLANCE}
    elsewhere = doctor._data(recipe.with_(data={"path": str(tmp_path / "elsewhere")}))
    assert not elsewhere.ok
    assert "is not in" in elsewhere.detail
    assert len(asked) == 2, "a folder that the user named is not downloaded into"
    folder.mkdir(parents=True)
    (folder / "cifar-10-python.tar.gz").write_bytes(b"not an archive")
    found = doctor._data(recipe)
    assert not found.ok
    assert "is not in" not in found.detail


def test_libraries_that_do_not_fit_torch_are_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks(workspace)["libraries"].ok
    monkeypatch.setattr(doctor, "version", lambda package: "1.0.0")
    found = checks(workspace)["libraries"]
    assert not found.ok
    assert "torchvision (needs torch" in found.detail
    monkeypatch.setitem(doctor.ON_TORCH, "no_such_module", "no-such-package")
    assert "no_such_module (No module" in checks(workspace)["libraries"].detail
