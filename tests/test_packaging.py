"""What ships: the wheel's only top-level name is dkvb, with recipes and page templates inside."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import dkvb
from dkvb.recipe import builtin_names

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_the_only_top_level_name_is_dkvb(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"dkvb"}


def test_everything_the_package_reads_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    source = {
        path.relative_to(ROOT / "pipeline").as_posix()
        for path in (ROOT / "pipeline/dkvb").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    shipped = {name for name in wheel.namelist() if name.startswith("dkvb/")}
    assert source == shipped
    assert {f"dkvb/recipes/{name}.toml" for name in builtin_names()} <= shipped


def test_metadata(wheel: zipfile.ZipFile) -> None:
    metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("METADATA"))).decode()
    assert f"Version: {dkvb.__version__}" in metadata
    assert "Requires-Python: >=3.11" in metadata
    entry = wheel.read(next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))).decode()
    assert "dkvb = dkvb.cli:main" in entry


def test_faiss_comes_in_exactly_one_form_per_platform() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    markers = sorted(line.split(";")[1].strip() for line in project["dependencies"] if line.startswith("faiss"))
    assert markers == [
        "sys_platform != 'linux' or platform_machine != 'x86_64'",
        "sys_platform == 'linux' and platform_machine == 'x86_64'",
    ]
    assert {"test", "bench"} <= project["optional-dependencies"].keys()
