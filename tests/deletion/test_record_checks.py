"""The ledger is held against requests, masks, values and receipts, from both sides: every edit by hand is named."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from conftest import once, prepare, trained_seed
from dkvb.cli import app
from dkvb.deletion import exact, forget, ledger, purge, receipt, restore, verify
from dkvb.deletion.erased_checks import share_erased
from dkvb.deletion.reinit import Reinit
from dkvb.errors import SettingsClash
from dkvb.recipe import Recipe
from dkvb.stages import train
from dkvb.workspace import chain, request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.names import VALUES

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def asked(recipe: Recipe) -> Recipe:
    return recipe.with_(unlearn={"method": ["activations"], "counts": "last-epoch", "na": 60})


@pytest.fixture
def masks(asked: Recipe, workspace: Workspace) -> Recipe:
    return prepare(asked, workspace)


@pytest.fixture
def two(asked: Recipe, workspace: Workspace) -> Recipe:
    """Two requests, the first with a receipt."""

    def make(place: Workspace) -> None:
        prepare(asked, place)
        for name in ("cat", "dog"):
            forget.run(asked, place, [name])
        receipt.run(place, "r0001")
        assert ledger.verify(place).problems == []

    once("two requests, one receipt", workspace, make)
    return asked


def edited(workspace: Workspace, number: int, **fields: Any) -> None:
    """Change a request's JSON by hand."""
    path = requests.find(workspace, f"r000{number}").path / requests.REQUEST
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**record, **fields}), encoding="utf-8")


def gone(workspace: Workspace) -> None:
    shutil.rmtree(requests.find(workspace, "r0002").path)


def mask_emptied(workspace: Workspace) -> None:
    request = requests.find(workspace, "r0001")
    sha = request_writing.write_mask(request.path, np.zeros_like(request.mask()))
    edited(workspace, 1, mask_sha256=sha)


def mask_emptied_alone(workspace: Workspace) -> None:
    request = requests.find(workspace, "r0001")
    request_writing.write_mask(request.path, np.zeros_like(request.mask()))


def trained_elsewhere(workspace: Workspace) -> None:
    edited(workspace, 1, train="0" * 64)


def purged_on_paper(workspace: Workspace) -> None:
    edited(workspace, 1, state="purged")


def numbers_embellished(workspace: Workspace) -> None:
    record = requests.find(workspace, "r0001").record
    edited(workspace, 1, after=record.after.model_dump(mode="json") | {"forget_test": 0.0})


def counts_embellished(workspace: Workspace) -> None:
    correct = requests.find(workspace, "r0001").record.correct.model_dump(mode="json")
    edited(workspace, 1, correct=correct | {"test_after": [0, 0, 0, 0]})


def other_class(workspace: Workspace) -> None:
    edited(workspace, 1, classes=[0])


def other_name(workspace: Workspace) -> None:
    edited(workspace, 1, names=["airplane"])


def restored_on_paper(workspace: Workspace) -> None:
    edited(workspace, 1, state="restored")


def renamed(workspace: Workspace) -> None:
    path = requests.find(workspace, "r0001").path
    path.rename(path.with_name("r0009-cat"))


def receipt_embellished(workspace: Workspace) -> None:
    path = workspace.root / "receipts" / "r0001-cat.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"state": "masked"', '"state": "purged"'), encoding="utf-8"
    )


def receipt_gone(workspace: Workspace) -> None:
    (workspace.root / "receipts" / "r0001-cat.json").unlink()


def receipt_made_up(workspace: Workspace) -> None:
    (workspace.root / "receipts" / "r0002-dog.json").write_text("{}", encoding="utf-8")


def damaged(workspace: Workspace) -> None:
    (requests.find(workspace, "r0001").path / requests.REQUEST).write_text("{", encoding="utf-8")


EDITS: dict[Callable[[Workspace], None], str] = {
    gone: "request r0002-dog of entry 2 is gone",
    mask_emptied: "request r0001-cat: its mask differs from entry 1",
    mask_emptied_alone: "request r0001-cat: mask.safetensors is not the file that its record names",
    trained_elsewhere: "request r0001-cat: its model (train) differs from entry 1",
    purged_on_paper: "request r0001-cat is purged, and its entry 'purged' was removed",
    numbers_embellished: "request r0001-cat: its numbers differ from entry 1",
    counts_embellished: "request r0001-cat: its numbers differ from entry 1",
    other_class: "request r0001-cat: its classes differ from entry 1",
    other_name: "request r0001-cat: its classes or its model differ from entry 1",
    restored_on_paper: "request r0001-cat is restored, and its entry 'restored' was removed",
    renamed: "request r0001-cat lies in the folder r0009-cat",
    receipt_embellished: "receipt r0001-cat was changed since entry 3",
    receipt_gone: "receipt r0001-cat is gone: it was issued by entry 3",
    receipt_made_up: "receipt r0002-dog has no entry",
    damaged: "is damaged, and with it is lost what it forgets",
}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_an_edit_is_named(edit: Callable[[Workspace], None], two: Recipe, workspace: Workspace) -> None:
    edit(workspace)
    found = ledger.verify(workspace)
    assert not found.valid
    assert EDITS[edit] in str(found.problem)
    result = CliRunner().invoke(app, ["ledger", "--data-dir", str(workspace.root)])
    assert result.exit_code == 1
    assert EDITS[edit] in result.stderr


@pytest.mark.parametrize("edit", [numbers_embellished, receipt_gone, gone], ids=lambda edit: edit.__name__)
def test_verify_fails_by_it(edit: Callable[[Workspace], None], two: Recipe, workspace: Workspace) -> None:
    edit(workspace)
    (verdict,) = verify.run(two, workspace, quick=True)
    assert (verdict.verdict, verdict.passed, verdict.checks[0].name) == ("failed", False, "record of requests")
    assert EDITS[edit] in verdict.checks[0].sentence
    assert verdict.checks_failed == sum(check.state == "failed" for check in verdict.checks)


def test_where_the_only_request_is_gone_verify_says_so(masks: Recipe, workspace: Workspace) -> None:
    forget.run(masks, workspace, ["cat"])
    shutil.rmtree(requests.find(workspace, "r0001").path)
    asked = ["verify", "--recipe", "tiny.toml", "--data-dir", str(workspace.root), "--reports-dir", "reports"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 5
    assert "request r0001-cat of entry 1 is gone" in result.stderr


def test_numbers_that_were_changed_between_two_entries_are_named(two: Recipe, workspace: Workspace) -> None:
    """An edit is no truth because a later command enters the request as it stands then."""
    numbers_embellished(workspace)
    restore.run(two, workspace, "r0001")
    assert ledger.verify(workspace).problem == "request r0001-cat: between entries 1 and 4, its numbers differ"


def append_raw(workspace: Workspace, **fields: Any) -> None:
    """Add an entry as somebody would who knows how hashes are made."""
    last = ledger.entries(workspace)[-1]
    line = {**last.model_dump(mode="json"), **fields, "number": last.number + 1, "previous": last.hash}
    line["hash"] = chain.hash_of(line)
    with open(workspace.root / chain.LEDGER, "a", encoding="utf-8") as file:
        file.write(chain.text(line))
    head = {"entries": line["number"], "hash": line["hash"], "pending": None}
    (workspace.root / chain.HEAD).write_text(json.dumps(head), encoding="utf-8")


def test_purged_with_an_entry_and_without_erasing_is_told(two: Recipe, workspace: Workspace) -> None:
    request_writing.change(requests.find(workspace, "r0001"), state="purged", unrecorded="purged")
    ledger.catch_up(workspace)
    problems = ledger.verify(workspace).problems
    assert "request r0001-cat is purged, and 110 of its rows are still among the features" in problems
    assert any("values that it masks are neither zero nor" in one for one in problems)


def test_an_entry_of_a_request_that_never_was_is_told(two: Recipe, workspace: Workspace) -> None:
    append_raw(workspace, request="r0007-bird", classes=[1], event="masked", receipt=None)
    assert ledger.verify(workspace).problem == "request r0007-bird of entry 4 is gone"


def test_all_that_commands_do_leaves_a_record_that_holds(masks: Recipe, workspace: Workspace) -> None:
    def holds() -> None:
        found = ledger.verify(workspace)
        assert (found.problems, found.not_checked) == ([], [])

    forget.run(masks, workspace, ["cat"])
    exact.samples(masks, workspace, np.array([0, 4, 9]))
    holds()
    exact.classes(masks, workspace, ["bird"])
    holds()
    restore.run(masks, workspace, "r0003")
    holds()
    purge.run(masks, workspace, "r0001", exact=True)
    holds()
    purge.run(masks, workspace, "r0002")
    holds()
    receipt.run(workspace, "r0002")
    holds()
    assert purge.run(masks, workspace, "r0002").skipped
    holds()


def test_new_keys_leave_a_record_that_holds(masks: Recipe, workspace: Workspace) -> None:
    opened = forget.run(masks, workspace, ["dog"])[0]
    restore.run(masks, workspace, opened.request)
    forget.run(masks, workspace, ["cat"])
    purge.run(masks, workspace, "r0002", Reinit(masks, workspace))
    found = ledger.verify(workspace)
    assert (found.problems, found.not_checked) == ([], [])
    assert [entry.event for entry in found.ledger] == ["masked", "restored", "masked", "reinit", "purged"]
    assert found.ledger[-1].values is not None


def test_values_that_are_there_again_after_a_purge_are_told(two: Recipe, workspace: Workspace) -> None:
    values = trained_seed(two, workspace).dkvb_artifact.path / VALUES
    before = values.read_bytes()
    purge.run(two, workspace, "r0001")
    assert share_erased(trained_seed(two, workspace).bottleneck.values, requests.find(workspace, "r0001").mask()) == 1
    with pytest.raises(SettingsClash, match="Rows were purged"):
        train.run(two, workspace, force=True)
    values.write_bytes(before)
    assert ledger.verify(workspace).problems == [
        "request r0001-cat is purged, and the values that it masks are neither zero nor those that a purge left"
    ]


def test_a_receipt_that_was_being_written_is_finished(two: Recipe, workspace: Workspace) -> None:
    path = workspace.root / "receipts" / "r0001-cat.json"
    path.rename(path.with_name("r0001-cat.json.new"))
    assert ledger.verify(workspace).valid
    assert receipt.run(workspace, "r0001").skipped
    assert path.is_file()


def test_what_killed_processes_left_half_written_goes(two: Recipe, workspace: Workspace) -> None:
    left = [
        workspace.root / "receipts" / ".tmp-1-r0001-cat.json.new",
        workspace.reports / "receipts" / ".tmp-1-r0001-cat.html",
        workspace.root / ".tmp-1-ledger.head.json",
    ]
    for path in left:
        path.write_text("half")
    receipt.run(workspace, "r0001")
    forget.run(two, workspace, ["bird"])
    assert [path for path in left if path.exists()] == []


def test_a_ledger_of_an_earlier_version_is_valid_and_says_what_was_not_checked(tmp_path: Path) -> None:
    with tarfile.open(GOLDEN / "workspace.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    old = Workspace(tmp_path / "data", tmp_path / "reports")
    found = ledger.verify(old)
    assert found.valid
    assert found.not_checked == [
        "request r0001-3: the numbers of its record were not checked: entry 1 was written by an earlier version"
    ]
    result = CliRunner().invoke(app, ["ledger", "--data-dir", str(old.root)])
    assert result.exit_code == 0
    assert "Not checked: request r0001-3" in " ".join(result.stdout.split())
    mask_emptied(old)
    assert ledger.verify(old).problem == "request r0001-3: its mask differs from entry 1"
