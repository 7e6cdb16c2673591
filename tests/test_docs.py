"""The README tells the truth: its commands run, its setup is what CI does, its map names real files."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from conftest import blobs
from dkvb import recipe as recipes
from dkvb.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks() -> dict[str, list[str]]:
    """Section title -> the dkvb commands in its shell block."""
    found = {}
    for section in README.split("\n## ")[1:]:
        for block in re.findall(r"```sh\n(.*?)```", section, re.S):
            found[section.splitlines()[0]] = [line.split("#")[0].strip() for line in block.splitlines() if line.strip()]
    return found


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Built-in recipes as they are, but for the encoder, which needs a download here, N_e, and training times."""
    original = recipes.builtin_text

    def text(name: str) -> str:
        changed = re.sub(r'name = "clip-vit-b32".*\n(weights = .*\n)?', 'name = "pixels"\n', original(name))
        changed = re.sub(r"(?m)^epochs = \d+", "epochs = 2", changed)
        changed = re.sub(r"(?m)^ne = \d+", "ne = 5", changed)
        if name in recipes.OWN_DATA:
            changed = re.sub(r"(?m)^pairs = \d+", "pairs = 16", changed)
        return re.sub(r"(?m)^seeds = .*", "seeds = [0]", changed)

    monkeypatch.setattr(recipes, "builtin_text", text)


def pictures(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 10)):
        for name in ("car", "truck"):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                shade = 60 if name == "car" else 190
                pixels = np.clip(rng.normal(shade, 20, (8, 8, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{i}.png")


def batches(folder: Path) -> None:
    """CIFAR-10's archive in its own format, with a few images a batch."""
    import pickle

    rng = np.random.default_rng(0)
    root = folder / "cifar-10-batches-py"
    root.mkdir(parents=True)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        labels = list(range(10)) * 2
        data = (rng.integers(0, 60, (20, 3072)) + 19 * np.array(labels)[:, None]).astype(np.uint8)
        (root / name).write_bytes(
            pickle.dumps({b"data": data, b"labels": labels, b"batch_label": b"a batch"}, protocol=2)
        )
    names = [b"airplane", b"automobile", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]
    (root / "batches.meta").write_bytes(pickle.dumps({b"label_names": names, b"num_vis": 3072}, protocol=2))


def test_there_is_a_block_for_each_way_of_use() -> None:
    assert set(blocks()) == {
        "CIFAR-10 with CLIP, as in the paper",
        "Your own images",
        "Your own embeddings",
        "Large data sets",
    }


@pytest.mark.parametrize("title", blocks())
def test_readme_commands_run(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    pictures(tmp_path / "images")
    blobs(tmp_path / "features")
    batches(tmp_path / "cache/dkvb/cifar10")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for line in blocks()[title]:
        words = shlex.split(line)
        assert words[0] == "dkvb"
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, f"{line}: {result.stderr}"
        assert "Traceback" not in result.stderr
    assert (tmp_path / "reports/index.html").is_file() or title == "Large data sets"


def test_ci_installs_and_tests_as_the_readme_says() -> None:
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    setup = [line.strip() for line in README.splitlines() if line.startswith("    python3 -m venv")]
    assert len(setup) == 2
    assert setup[0].endswith("dkvb run digits")
    for step in setup[1].split(" && "):
        assert step in ci, f"{step} is not in .ci/run"


def test_the_map_names_real_files() -> None:
    section = README.split("## Map")[1].split("\n## ")[0]
    for name in re.findall(r"`([\w./*]+)`", section):
        folders = (ROOT, ROOT / "pipeline/dkvb", ROOT / "tests")
        assert name == "run" or any(list(folder.glob(name)) for folder in folders), name


def test_every_module_says_what_it_is() -> None:
    for path in (ROOT / "pipeline/dkvb").rglob("*.py"):
        assert path.read_text(encoding="utf-8").startswith('"""'), path
