"""Doctor says what is known of devices and libraries without importing torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkvb.commands import doctor
from dkvb.recipe import load
from dkvb.records.status import DoctorCheck
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


def test_the_device_is_what_nvidia_smi_and_torchs_build_say(
    workspace: Workspace, smi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "version", lambda package: "9.1.0")
    assert checks(workspace)["device"].detail.startswith("cuda (nvidia-smi lists GPU of a Test; torch 9.1.0 is asked")
    assert checks(workspace, "cpu")["device"].detail.startswith("cpu (as --device or run.device says)")
    monkeypatch.setattr(doctor, "version", lambda package: "9.1.0+cpu")
    found = checks(workspace)["device"]
    assert found.ok
    assert found.detail.startswith("cpu (nvidia-smi lists GPU of a Test, and torch 9.1.0+cpu has no CUDA)")
    assert not checks(workspace, "cuda")["device"].ok
    smi.write_text("#!/bin/sh\nexit 9\n")
    assert checks(workspace)["device"].detail.startswith("cpu (nvidia-smi lists no GPU)")
    assert "lists no GPU" in checks(workspace, "cuda")["device"].detail


def test_libraries_that_do_not_fit_torch_are_named(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks(workspace)["libraries"].ok
    monkeypatch.setattr(doctor, "version", lambda package: "1.0.0")
    found = checks(workspace)["libraries"]
    assert not found.ok
    assert "torchvision (needs torch" in found.detail
    monkeypatch.setitem(doctor.ON_TORCH, "no_such_module", "no-such-package")
    assert "no_such_module (No module" in checks(workspace)["libraries"].detail
