"""`dkvb status --check` finds whatever was altered, and `--heal` makes again what can be made again."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from conftest import once, prepare
from dkvb.cli import app
from dkvb.deletion import forget, purge, receipt
from dkvb.inference import export
from dkvb.inference.load import load_seed
from dkvb.recipe import Recipe
from dkvb.stages import report, unlearn
from dkvb.workspace.artifacts import Workspace
from scenario import RECIPE

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def full(recipe: Recipe, workspace: Workspace) -> Workspace:
    """A workspace with one of everything that a check looks at."""
    once("one of everything", workspace, lambda place: _fill(recipe, place))
    return workspace


def _fill(recipe: Recipe, workspace: Workspace) -> None:
    prepare(recipe, workspace)
    unlearn.run(recipe.with_(unlearn={"forget": ["dog"], "method": ["activations", "retrain"]}), workspace)
    request = forget.run(recipe.with_(unlearn={"method": "votes"}), workspace, ["cat"])[0].request
    receipt.run(workspace, request)
    export.run(load_seed(recipe, workspace, 0, "cpu"), workspace.root / "exported", workspace)
    report.run(recipe, workspace)


def status(workspace: Workspace, *flags: str) -> tuple[int, dict[str, Any]]:
    places = ["--data-dir", str(workspace.root), "--reports-dir", str(workspace.reports), "--recipe", "tiny.toml"]
    done = CliRunner().invoke(app, ["status", *flags, *places, "--json"])
    assert done.exit_code in (0, 5), (done.exception, done.stderr)
    return done.exit_code, json.loads(done.stdout).get("check", {})


def swap(one: Path, other: Path) -> None:
    held = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(held)


def flip(file: Path) -> None:
    """Change a byte in the middle; size and times stay."""
    at, held = file.stat(), bytearray(file.read_bytes())
    held[len(held) // 2] ^= 1
    file.write_bytes(held)
    os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))


def values(file: Path) -> None:
    held = load_file(file)
    save_file({"values": held["values"] + np.float32(1)}, file)


def test_nothing_is_wrong_and_without_the_flag_nothing_is_looked_at(full: Workspace) -> None:
    code, check = status(full, "--check")
    assert (code, check["problems"], check["unchecked"]) == (0, [], [])
    listed = [path for path in full.root.glob("*/*/**/*") if path.is_file()]
    artifacts = [
        p for p in listed if (full.root / Path(*p.relative_to(full.root).parts[:2]) / "manifest.json").is_file()
    ]
    assert check["files"] == sum(path.name != "manifest.json" for path in artifacts)
    assert status(full) == (0, {})


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str, bool]] = {
    "keys": ("data/quantize/*/keys/c/3/0/0", flip, "quantize", True),
    "neighbours": ("data/quantize/*/test/neighbours/c/0/3/0", flip, "quantize", True),
    "projection": ("data/quantize/*/projection.safetensors", flip, "quantize", True),
    "labels": ("data/embed/*/train/labels/c/0", flip, "embed", True),
    "values": ("data/train/*dkvb*/values.safetensors", values, "train", True),
    "counts": ("data/train/*dkvb*/counts/c/1/0/0", flip, "train", True),
    "metadata of counts": ("data/train/*dkvb*/counts/zarr.json", lambda file: file.write_bytes(b"\xff"), "train", True),
    "a head": ("data/train/*linear*/linear.safetensors", flip, "train", True),
    "a retrained model": ("data/retrained/*/values.safetensors", values, "retrained", True),
    "a page": ("reports/compare-*.html", flip, "report", True),
    "a page's data": ("reports/data/*.parquet", flip, "report", True),
    "the charts' library": ("reports/assets/vega-*.js", flip, "report", True),
    "a mask of unlearning": ("data/unlearn/*activations*/mask.safetensors", flip, "unlearn", False),
    "a manifest": ("data/train/*dkvb*/manifest.json", flip, "train", False),
    "a request's mask": ("data/requests/*/mask.safetensors", flip, "requests", False),
    "a receipt's page": ("data/receipts/*.html", flip, "receipts", True),
    "a copy of a receipt": ("reports/receipts/*.json", flip, "receipts", True),
    "a copy of a receipt's page": ("reports/receipts/*.html", flip, "receipts", True),
    "the hashes of pages": ("reports/data/hashes.json", lambda file: file.write_text("{"), "report", True),
    "a receipt": ("data/receipts/*.json", flip, "receipts", False),
    "the ledger": ("data/ledger.jsonl", flip, "ledger", False),
    "an export's config": ("data/exported/config.json", lambda file: file.write_text("{"), "export", False),
    "an export's config, gone": ("data/exported/config.json", Path.unlink, "export", False),
    "an export": ("data/exported/model.safetensors", flip, "export", False),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_whatever_was_altered_is_found_and_what_can_be_is_healed(what: str, full: Workspace) -> None:
    place, damage, stage, heals = DAMAGE[what]
    file = next(iter(sorted(full.root.parent.glob(place))))
    before = file.read_bytes()
    damage(file)
    code, check = status(full, "--check")
    assert code == 5
    assert [problem["stage"] for problem in check["problems"]] == [stage, *(["ledger"] if stage == "requests" else [])]
    problem, *of_ledger = check["problems"]
    assert str(file).startswith(problem["where"])
    assert "`dkvb " in problem["remedy"] or "backup" in problem["remedy"]
    code, check = status(full, "--heal")
    assert code == (0 if heals else 5), check
    assert (check["healed"] == [problem]) is heals
    assert (check["problems"] == [problem, *of_ledger]) is not heals
    if heals and stage != "retrained":
        assert file.read_bytes() == before


def test_the_same_as_a_table(full: Workspace) -> None:
    keys = next(full.root.glob("quantize/*"))
    swap(keys / "keys/c/3/0/0", keys / "keys/c/7/0/0")
    places = ["--data-dir", str(full.root), "--reports-dir", str(full.reports), "--recipe", "tiny.toml"]
    done = CliRunner().invoke(app, ["status", "--check", *places])
    said = " ".join(done.stdout.split())
    assert done.exit_code == 5
    assert "2 problems" in said
    assert said.count("has changed since it was written") == 2
    assert said.count("`dkvb quantize` makes it again") == 1


def test_purged_it_still_checks_and_what_is_gone_is_not_made_again(full: Workspace, recipe: Recipe) -> None:
    purge.run(recipe, full, "r0001")
    shutil.rmtree(full.root / "exported")  # of before
    code, check = status(full, "--check")
    # the receipt is of before, and pages are made anew on demand; all artifacts fit
    assert (code, check["problems"]) == (0, [])
    flip(next(full.root.glob("quantize/*/keys/c/3/0/0")))
    code, check = status(full, "--heal")
    assert code == 5
    [problem] = check["problems"]
    assert "put it back from a backup" in problem["remedy"]


def test_an_earlier_version_s_workspace_is_not_checkable_until_it_is_sealed(tmp_path: Path) -> None:
    with tarfile.open(GOLDEN / "workspace.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    workspace = Workspace(tmp_path / "data", tmp_path / "reports")
    code, check = status(workspace, "--check")
    assert (code, check["problems"]) == (0, [])
    unsealed = {Path(one["where"]).parent.name for one in check["unchecked"]}
    assert {"embed", "quantize", "train"} <= unsealed
    code, check = status(workspace, "--heal")
    assert (code, check["unchecked"], len(check["sealed"])) == (0, [], len(check["sealed"]))
    assert {Path(one["where"]).parent.name for one in check["sealed"]} == unsealed
    keys = next((tmp_path / "data/quantize").iterdir()) / "keys/c"
    swap(keys / "3/0/0", keys / "5/0/0")
    code, check = status(workspace, "--check")
    assert (code, len(check["problems"])) == (5, 2)


def test_rot_in_an_earlier_version_s_chunks_is_found_by_their_checksums(tmp_path: Path) -> None:
    with tarfile.open(GOLDEN / "workspace.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    flip(next((tmp_path / "data/quantize").iterdir()) / "keys/c/3/0/0")
    code, check = status(Workspace(tmp_path / "data", tmp_path / "reports"), "--check")
    assert (code, len(check["problems"])) == (5, 1)
    assert "keys does not match its checksums" in check["problems"][0]["what"]
