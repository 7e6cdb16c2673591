"""`dkvb export --check`: is a copy intact, and still what the workspace would export?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conftest import TOML, blobs, prepare
from dkvb.cli import app
from dkvb.recipe import load
from dkvb.runtime import progress
from dkvb.workspace import ledger_mark
from dkvb.workspace.artifacts import Workspace
from exports import config_of, forge, made_by_format_2


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which cat is forgotten, with an export from before, "before", and one from after it, "after"."""
    progress.silence()
    root = tmp_path_factory.mktemp("read-only-checked")
    blobs(root / "tiny-data")
    text = TOML.replace('"tiny-data"', f'"{root.as_posix()}/tiny-data"')  # the same place for a copy of the workspace
    (root / "tiny.toml").write_text(text, encoding="utf-8")
    prepare(load(str(root / "tiny.toml")), Workspace(root / "data", root / "reports"))
    for words in (
        ["export", "before"],
        ["forget", "cat", "--method", "activations", "--na", "150"],
        ["export", "after"],
    ):
        run(root, *words)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def run(root: Path, *words: str, code: int = 0, data: str = "data") -> Any:
    places = ["--recipe", str(root / "tiny.toml"), "--data-dir", str(root / data)]
    words = tuple(str(root / word) if word in ("before", "after") else word for word in words)
    result = CliRunner().invoke(app, [*words, *places])
    assert result.exit_code == code, f"{result.exit_code}: {result.output}{result.exception!r}"
    return result


def check(root: Path, name: str, code: int = 0, data: str = "data") -> dict[str, Any]:
    before = sorted(path for path in root.rglob("*") if ".locks" not in path.parts)
    (entry,) = json.loads(run(root, "export", "--check", name, "--json", code=code, data=data).stdout)["export"]
    assert sorted(path for path in root.rglob("*") if ".locks" not in path.parts) == before, "nothing is written"
    assert len(entry["not_checked"]) == 3
    return dict(entry)


def test_an_export_is_current_until_a_request_of_its_model_changes(root: Path) -> None:
    now = check(root, "after")
    assert (now["verdict"], now["problems"], now["since"]) == ("current", [], [])
    assert now["exported"] == now["now"] == ledger_mark.read(root / "data").model_dump()  # type: ignore[union-attr]
    assert config_of(root / "after")["ledger"] == now["now"]
    said = " ".join(run(root, "export", "--check", "after").stdout.split())
    assert "is intact, and no request that concerns it has changed" in said
    assert "Not checked:" in said
    stale = check(root, "before", code=1)
    assert stale["verdict"] == "stale"
    assert stale["exported"] == {"entries": 0, "hash": "0" * 64}
    assert stale["since"] == [{"request": "r0001-cat", "names": ["cat"], "events": ["masked"]}]
    said = run(root, "export", "--check", "before", code=1).stderr
    assert "is stale: since it was exported, r0001-cat (cat): masked." in said
    assert f"`dkvb export {root / 'before'} --force` renews it" in said


def test_receipts_and_verdicts_make_no_export_stale(root: Path) -> None:
    run(root, "receipt", "r0001")
    now = check(root, "after")
    assert (now["verdict"], now["now"]["entries"]) == ("current", now["exported"]["entries"] + 1)


def test_a_restored_and_a_purged_request_are_named(root: Path) -> None:
    run(root, "forget", "dog", "--method", "activations", "--na", "100")
    run(root, "restore", "r0002")
    (dog,) = check(root, "after", code=1)["since"]
    assert (dog["request"], dog["names"], dog["events"][0], dog["events"][-1]) == (
        *("r0002-dog", ["dog"]),
        *("masked", "restored"),
    )
    run(root, "purge", "r0001", "--yes")
    since = {one["request"]: one["events"] for one in check(root, "after", code=1)["since"]}
    assert "purged" in since["r0001-cat"]
    shutil.rmtree(root / "data/train")  # the ledger tells it without the model
    assert check(root, "after", code=1)["verdict"] == "stale"


def test_what_cannot_be_told_is_not_called_current(root: Path) -> None:
    told = check(root, "before", code=1, data="nowhere")
    assert told["verdict"] == "unknown"
    assert "knows nothing of the model" in told["problems"][0]
    told = check(root, "after", code=1, data="nowhere")
    assert "does not hold the entry with which it ended" in told["problems"][0]
    made_by_format_2(root / "after")
    told = check(root, "after", code=1)
    assert (told["verdict"], told["exported"]) == ("unknown", None)
    assert "before hashes of all files" in told["problems"][0]


def test_a_ledger_that_was_altered_is_named(root: Path) -> None:
    ledger = root / "data/ledger.jsonl"
    ledger.write_text(ledger.read_text().replace("masked", "purged", 1))
    told = check(root, "after", code=1)
    assert told["now"] is None
    assert any("was altered: entry 1 was changed" in problem for problem in told["problems"])


def test_damage_and_another_model_card_end_with_code_5(root: Path) -> None:
    shutil.copy(root / "before/labels.json", root / "after/labels.json")
    told = check(root, "after", code=5)
    assert told["verdict"] == "damaged"
    assert "labels.json" in told["problems"][0]
    assert "labels.json" in run(root, "export", "--check", "after", code=5).stderr
    shutil.copy(root / "after/README.md", root / "before/README.md")
    told = check(root, "before", code=5)
    assert "README.md is not the model card" in told["problems"][0]
    assert told["since"], "and it is stale"


def test_numbers_are_looked_at(root: Path) -> None:
    forge(root / "after", lambda config, tensors: tensors["values"].fill(float("nan")))
    assert "values holds NaN" in check(root, "after", code=5)["problems"][0]


def test_what_is_no_export_is_refused(root: Path) -> None:
    assert "is no folder" in run(root, "export", "--check", "nowhere", code=2).stderr
    assert "leave --model" in run(root, "export", "--check", "after", "--keep-labels", code=2).stderr


def test_an_export_of_an_export_ends_where_the_first_did(root: Path) -> None:
    run(root, "export", str(root / "again"), "--model", "before")
    assert config_of(root / "again")["ledger"] == {"entries": 0, "hash": "0" * 64}
