"""Time stamps of the ledger's head, by an authority on loopback."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from deletion_records import a_masking
from dkvb.cli import app
from dkvb.deletion import ledger, timestamps
from dkvb.deletion.ledger import Against
from dkvb.errors import DkvbError, UsageError
from dkvb.workspace import chain, request_writing
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.finished import Artifact
from timestamp_authority import Authority, serving


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def stamped(workspace: Workspace, authority: Authority, tmp_path: Path) -> Path:
    """A ledger of one entry that was stamped; the file of the authority's root."""
    opened = request_writing.open_request(
        workspace, Artifact(workspace.root, {"fingerprint": "f" * 64}), a_masking(1), np.zeros((2, 8), bool)
    )
    ledger.record(workspace, "masked", opened)
    with serving(authority) as url:
        asked = ["ledger", "--timestamp", url, "--data-dir", str(workspace.root), "--json"]
        result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["stamped"]["entry"], told["stamped"]["hash"]) == (1, told["head"])
    roots = tmp_path / "roots.pem"
    roots.write_bytes(authority.roots)
    return roots


def test_a_stamp_is_checked_against_its_authority(stamped: Path, workspace: Workspace, tmp_path: Path) -> None:
    found = ledger.verify(workspace, Against(authority=stamped))
    assert (found.problems, found.not_checked) == ([], [])
    assert "time stamps: give --tsa-certificate FILE to check who made them" in ledger.verify(workspace).not_checked
    other = tmp_path / "other.pem"
    other.write_bytes(Authority().roots)
    assert "was not made by this authority" in str(ledger.verify(workspace, Against(authority=other)).problem)
    with pytest.raises(UsageError, match="cannot be read"):
        ledger.verify(workspace, Against(authority=tmp_path / "nowhere"))


def test_an_entry_that_was_rewritten_after_it_was_stamped_is_told(stamped: Path, workspace: Workspace) -> None:
    (line,) = (workspace.root / chain.LEDGER).read_text(encoding="utf-8").splitlines()
    entry = json.loads(line) | {"time": "2020-01-01T00:00:00+00:00"}
    entry["hash"] = chain.hash_of(entry)
    (workspace.root / chain.LEDGER).write_text(chain.text(entry), encoding="utf-8")
    head = {"entries": 1, "hash": entry["hash"], "pending": None}
    (workspace.root / chain.HEAD).write_text(json.dumps(head), encoding="utf-8")
    assert "entry 1 is not the one that was stamped" in str(ledger.verify(workspace).problem)
    # and a stamp that is made to name the new hash is of the old one
    path = workspace.root / timestamps.STAMPS
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"hash": entry["hash"]}) + "\n", encoding="utf-8")
    assert ledger.verify(workspace).problem == "time stamp 1 is of another hash than it says"
    path.write_text("{}\n", encoding="utf-8")
    assert ledger.verify(workspace).problem == "time stamp 1 cannot be read"


def test_answers_that_stamp_something_else_are_refused(
    stamped: Path, workspace: Workspace, authority: Authority
) -> None:
    kept = (workspace.root / timestamps.STAMPS).read_bytes()
    for spoil in (
        lambda imprint, nonce: (imprint, nonce + 1),
        lambda imprint, nonce: (imprint[:-1] + bytes([imprint[-1] ^ 1]), nonce),
    ):
        with serving(authority, spoil) as url, pytest.raises(DkvbError, match="something else than was asked"):
            timestamps.stamp(workspace, url)
    with pytest.raises(DkvbError, match="no answer"):
        timestamps.stamp(workspace, "http://127.0.0.1:9/tsr")
    with pytest.raises(UsageError, match="https://"):
        timestamps.stamp(workspace, "file:///etc/hosts")
    assert (workspace.root / timestamps.STAMPS).read_bytes() == kept
    assert base64.b64decode(json.loads(kept)["response"])[0] == 0x30


def test_an_empty_ledger_is_not_stamped(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="no entry yet"):
        timestamps.stamp(workspace, "http://127.0.0.1:9/tsr")
