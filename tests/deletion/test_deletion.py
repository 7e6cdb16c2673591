"""Deletion requests: they add up, are taken back exactly, and the record of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import CLASSES, trained_seed
from dkvb.cli import app
from dkvb.commands import status
from dkvb.deletion import forget, receipt, restore
from dkvb.errors import DamagedArtifact, MissingStage, UsageError
from dkvb.recipe import Recipe
from dkvb.workspace import request_writing, requests
from dkvb.workspace.artifacts import Workspace


@pytest.fixture
def masks(trained: Recipe) -> Recipe:
    """The trained recipe, by which a request masks the 60 pairs that its class selected most in the last epoch."""
    return trained.with_(unlearn={"method": ["activations"], "counts": "last-epoch", "na": 60})


def union(recipe: Recipe, workspace: Workspace) -> requests.Union:
    return requests.forgotten(workspace, trained_seed(recipe, workspace).dkvb_artifact)


def test_masks_unite_and_measures_start_from_what_is_forgotten(masks: Recipe, workspace: Workspace) -> None:
    first = forget.run(masks, workspace, ["cat"])[0]
    second = forget.run(masks, workspace, ["#1"])[0]
    assert first.masked == second.masked == 60
    assert second.classes == [1]
    assert second.names == ["bird"]
    alone = [request.mask() for request in requests.all_requests(workspace)]
    together = union(masks, workspace)
    assert together.mask is not None
    assert (together.mask == (alone[0] | alone[1])).all()
    assert together.classes == [1, 2]
    assert second.newly_masked == together.mask.sum() - 60 == second.masked_together - 60
    # retain of the second request: the classes that neither forgets, measured under the first mask
    correct, total = second.correct.test_before, second.correct.test_total
    assert second.before.retain_test == pytest.approx((correct[0] + correct[3]) / (total[0] + total[3]))
    assert second.correct.test_before == first.correct.test_after


def test_a_class_is_forgotten_once(masks: Recipe, workspace: Workspace) -> None:
    opened = forget.run(masks, workspace, ["cat"])[0]
    again = forget.run(masks, workspace, ["cat"])
    assert [entry.request for entry in again] == [opened.request]
    assert again[0].skipped
    assert len(requests.all_requests(workspace)) == 1
    both = forget.run(masks, workspace, ["cat", "dog"])[0]
    assert both.classes == [3]


def test_what_is_asked_at_once_is_one_request(masks: Recipe, workspace: Workspace) -> None:
    entry = forget.run(masks, workspace, ["dog", "cat"])[0]
    assert entry.classes == [2, 3]
    assert len(requests.all_requests(workspace)) == 1


def test_plan_measures_the_same_and_writes_nothing(masks: Recipe, workspace: Workspace) -> None:
    before = {
        path: path.stat().st_mtime_ns
        for path in workspace.root.rglob("*.*")
        if path.is_file() and ".locks" not in path.parts
    }
    plan = forget.plan(masks, workspace, ["cat"])[0]
    after = {
        path: path.stat().st_mtime_ns
        for path in workspace.root.rglob("*.*")
        if path.is_file() and ".locks" not in path.parts
    }
    assert before == after
    done = forget.run(masks, workspace, ["cat"])[0]
    for name in ("masked", "before", "after", "per_class_test_after", "settings", "allowed"):
        assert getattr(plan, name) == getattr(done, name)
    assert all(row.lost > 0 and row.class_id != 2 for row in plan.harmed)


def test_auto_is_chosen_under_what_is_masked_already(masks: Recipe, workspace: Workspace) -> None:
    auto = masks.with_(unlearn={"na": "auto", "target": "zero"})
    for name in ("cat", "dog"):
        entry = forget.run(auto, workspace, [name])[0]
        assert entry.settings.given == "auto"
        assert entry.after.forget_validation == 0


def test_examples_can_be_the_method(masks: Recipe, workspace: Workspace) -> None:
    entry = forget.run(masks.with_(unlearn={"method": "examples", "ne": 10}), workspace, ["cat"])[0]
    assert entry.method == "examples"
    assert entry.masked > 0
    with pytest.raises(UsageError, match="--method votes"):
        forget.run(masks.with_(unlearn={"method": "scrub"}), workspace, ["dog"])


def test_restore_is_exact_and_leaves_other_masks(masks: Recipe, workspace: Workspace) -> None:
    first = forget.run(masks, workspace, ["cat"])[0]
    mask = union(masks, workspace).mask
    second = forget.run(masks, workspace, ["dog"])[0]
    assert restore.run(masks, workspace, second.request).state == "restored"
    left = union(masks, workspace)
    assert mask is not None
    assert left.mask is not None
    assert (left.mask == mask).all()
    assert left.classes == [2]
    assert restore.run(masks, workspace, second.request).skipped
    restore.run(masks, workspace, first.request)
    assert union(masks, workspace).mask is None
    again = forget.run(masks, workspace, ["cat"])[0]
    assert again.request != first.request
    assert again.after == first.after


def test_requests_in_sequence_until_one_class_is_left(masks: Recipe, workspace: Workspace) -> None:
    for name in CLASSES[:3]:
        forget.run(masks, workspace, [name])
    with pytest.raises(UsageError, match="would leave no class"):
        forget.run(masks, workspace, ["dog"])
    assert union(masks, workspace).classes == [0, 1, 2]


def test_errors_name_what_to_do(masks: Recipe, workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'cat'"):
        forget.run(masks, workspace, ["cats"])
    with pytest.raises(UsageError, match="dkvb forget CLASS"):
        restore.run(masks, workspace, "r0001")
    forget.run(masks, workspace, ["cat"])
    with pytest.raises(UsageError, match="did you mean 'r0001-cat'"):
        restore.run(masks, workspace, "r0001-dat")
    with pytest.raises(MissingStage, match="dkvb embed"):
        forget.run(masks, Workspace(tmp_path / "empty", tmp_path / "reports"), ["cat"])


@pytest.mark.parametrize("command", [["forget", "cats"], ["unlearn", "--forget", "cats"], ["run", "--forget", "cats"]])
def test_a_mistyped_class_is_refused_before_anything_heavy_is_imported(command: list[str], embedded: Recipe) -> None:
    code = (
        "import sys; from dkvb.cli import app; app(sys.argv[1:], standalone_mode=False);"
        "print(*{'torch', 'numpy', 'faiss', 'zarr', 'polars'} & set(sys.modules))"
    )
    call = [sys.executable, "-c", code, *command, "--recipe", "tiny.toml"]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stderr == "error: There is no class 'cats'; did you mean 'cat'?\n"
    assert done.stdout.split() == []


def test_a_mistyped_class_stops_a_run_once_the_classes_are_known(recipe: Recipe, workspace: Workspace) -> None:
    stopped = CliRunner().invoke(app, ["run", "--recipe", "tiny.toml", "--forget", "cats"])
    assert stopped.exit_code == 2
    assert "did you mean 'cat'" in stopped.stderr
    assert {path.name for path in workspace.root.iterdir()} == {".locks", "recipe.json", "embed"}


def test_an_altered_mask_is_refused(masks: Recipe, workspace: Workspace) -> None:
    forget.run(masks, workspace, ["cat"])
    file = requests.all_requests(workspace)[0].path / requests.MASK
    raw = bytearray(file.read_bytes())
    raw[-5] ^= 1
    file.write_bytes(raw)
    with pytest.raises(DamagedArtifact, match=r"dkvb restore r0001-cat"):
        union(masks, workspace)


def test_status_lists_requests_and_warns_before_a_codebook_runs_dry(masks: Recipe, workspace: Workspace) -> None:
    assert status.status(masks, workspace).requests == []
    forget.run(masks, workspace, ["cat"])
    found = status.status(masks, workspace)
    assert [(r.id, r.classes, r.state, r.masked) for r in found.requests] == [("r0001-cat", [2], "masked", 60)]
    assert found.capacity[0].allowed == pytest.approx(1 - 60 / 640)
    assert found.capacity[0].warning is None
    masked = np.zeros((3, 32), bool)
    masked[1, :29] = True
    room = status.room(masked, 2, 0, [])
    assert room.least == 3
    assert room.dry == [1]
    assert "codebook 1 has 3 of 32" in room.warning


def test_receipt_holds_measures_and_escapes_names(masks: Recipe, workspace: Workspace) -> None:
    forget.run(masks, workspace, ["cat"])
    request = requests.all_requests(workspace)[0]
    request_writing.change(request, names=["<script>alert(1)</script>"])
    made = receipt.run(workspace, "r0001")
    stored = json.loads(Path(made.path).read_text(encoding="utf-8"))
    found = {(m["what"], m["split"], m["when"]): m for m in stored["measures"]}
    after = found["forget", "test", "after"]
    assert after["low"] <= after["accuracy"] == request.record.after.forget_test <= after["high"]
    assert stored["model"]["before_sha256"] != stored["model"]["after_sha256"]
    html = Path(made.page).read_text(encoding="utf-8")
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert any("encoder is untouched" in line for line in stored["not_claimed"])
    rows = [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in re.findall(r"<tr>.*?</tr>", html, re.S)]
    assert any(row.startswith("forget test after, with the mask alone ") for row in rows)
    assert "forget test after, as the model answers 0.0% its label is left out" in rows
    assert receipt.run(workspace, "r0001").skipped


def test_commands(masks: Recipe, workspace: Workspace) -> None:
    common = ["--recipe", "tiny.toml", "--data-dir", str(workspace.root), "--reports-dir", str(workspace.reports)]

    def call(*arguments: str, code: int = 0) -> dict[str, object]:
        result = CliRunner().invoke(app, [*arguments, *common, "--json"])
        assert result.exit_code == code, result.output
        return dict(json.loads(result.stdout))

    entry = call("forget", "cat", "--na", "60")["forget"][0]
    assert entry["settings"]["counts"] == "last-epoch"
    assert set(entry["before"]) >= {"retain_test", "forget_test", "retain_train", "forget_train"}
    assert call("forget", "cat")["forget"][0]["skipped"]
    call("forget", "horse", code=2)
    call("purge", entry["request"], code=2)  # no terminal to ask at
    assert call("purge", entry["request"], "--yes")["purge"][0]["state"] == "purged"
    assert call("purge", entry["request"], "--yes")["purge"][0]["skipped"]
    assert "irreversible" in str(call("restore", entry["request"], code=4)["error"])
    assert call("receipt", entry["request"])["receipt"][0]["state"] == "purged"
    assert [e["event"] for e in call("ledger")["ledger"]] == ["masked", "purged", "receipt"]
    call("receipt", "r0009", code=2)
