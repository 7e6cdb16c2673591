"""The ledger names the first entry that was changed, removed or reordered, and survives a kill at any instant."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deletion_records import a_masking
from dkvb.deletion import ledger
from dkvb.errors import DamagedArtifact
from dkvb.workspace import chain, request_writing, requests
from dkvb.workspace.artifacts import Workspace
from dkvb.workspace.facts import facts
from dkvb.workspace.files import canonical_hash
from dkvb.workspace.finished import Artifact


@pytest.fixture
def lines(workspace: Workspace) -> list[str]:
    """Three requests, and the ledger's lines."""
    train = Artifact(workspace.root, {"fingerprint": "f" * 64})
    for c in range(3):
        request = request_writing.open_request(workspace, train, a_masking(c), np.zeros((2, 8), bool))
        ledger.record(workspace, "masked", request)
    return path(workspace).read_text(encoding="utf-8").splitlines(keepends=True)


def path(workspace: Workspace) -> Path:
    return workspace.root / ledger.LEDGER


def problem(workspace: Workspace, lines: list[str]) -> str:
    path(workspace).write_text("".join(lines), encoding="utf-8")
    found = ledger.verify(workspace)
    assert not found.valid
    return str(found.problem)


def test_untouched(workspace: Workspace, lines: list[str]) -> None:
    found = ledger.verify(workspace)
    assert found.valid
    assert [entry.number for entry in found.ledger] == [1, 2, 3]
    assert found.ledger[1].previous == found.ledger[0].hash


def test_an_edited_line_is_named(workspace: Workspace, lines: list[str]) -> None:
    assert "entry 2 was changed" in problem(workspace, [lines[0], lines[1].replace("masked", "purged"), lines[2]])
    assert "entry 2 was changed" in problem(workspace, [lines[0], "nonsense\n", lines[2]])


def test_an_edited_line_with_its_hash_made_anew_breaks_the_chain(workspace: Workspace, lines: list[str]) -> None:
    entry = json.loads(lines[1])
    entry["event"] = "restored"
    entry.pop("hash")
    entry["hash"] = canonical_hash(entry)
    assert "entry 3 does not follow" in problem(workspace, [lines[0], json.dumps(entry) + "\n", lines[2]])
    assert "entry 3 was changed" in problem(workspace, [lines[0], lines[1], json.dumps(_forged(lines[2])) + "\n"])


def _forged(line: str) -> dict[str, object]:
    entry = json.loads(line)
    entry["classes"] = [9]
    entry.pop("hash")
    return entry | {"hash": canonical_hash(entry)}


def test_removed_and_reordered_lines_are_named(workspace: Workspace, lines: list[str]) -> None:
    assert "entry 1 does not follow" in problem(workspace, lines[1:])
    assert "entry 2 does not follow" in problem(workspace, [lines[0], lines[2]])
    assert "entry 2 does not follow" in problem(workspace, [lines[0], lines[2], lines[1]])


def test_a_cut_off_end_is_named(workspace: Workspace, lines: list[str]) -> None:
    assert "entry 3 was removed" in problem(workspace, lines[:2])
    assert "entry 1 was removed" in problem(workspace, [])
    assert "entry 3 was changed" in problem(workspace, [*lines[:2], lines[2][:30]])


def test_nothing_is_added_to_an_altered_ledger(workspace: Workspace, lines: list[str]) -> None:
    path(workspace).write_text(lines[0] + lines[2], encoding="utf-8")
    with pytest.raises(DamagedArtifact, match="entry 2"):
        ledger.append(workspace, "restored", requests.all_requests(workspace)[0])


def test_a_missing_ledger_is_told_from_the_requests(workspace: Workspace, lines: list[str]) -> None:
    path(workspace).unlink()
    (workspace.root / ledger.HEAD).unlink()
    assert "was removed" in str(ledger.verify(workspace).problem)


@pytest.mark.parametrize("written", [0, 40, None])
def test_a_line_that_a_killed_process_was_writing_is_finished(
    workspace: Workspace, lines: list[str], written: int | None
) -> None:
    head = workspace.root / ledger.HEAD
    entry = json.loads(lines[2])
    pending = {"entries": 2, "hash": entry["previous"], "pending": entry}
    head.write_text(json.dumps(pending), encoding="utf-8")
    path(workspace).write_text("".join(lines[:2]) + lines[2][:written], encoding="utf-8")
    assert ledger.verify(workspace).valid
    assert path(workspace).read_text(encoding="utf-8") == "".join(lines)
    ledger.append(workspace, "verified", requests.all_requests(workspace)[0])
    assert ledger.verify(workspace).valid


def test_an_event_that_was_not_recorded_is(workspace: Workspace, lines: list[str]) -> None:
    request = requests.all_requests(workspace)[1]
    request_writing.change(request, state="restored", unrecorded="restored")
    ledger.catch_up(workspace)
    ledger.catch_up(workspace)
    assert [entry.event for entry in ledger.entries(workspace)] == ["masked"] * 3 + ["restored"]


def test_an_entry_that_is_caught_up_with_is_complete(workspace: Workspace, lines: list[str]) -> None:
    train = Artifact(workspace.root, {"fingerprint": "f" * 64})
    killed = request_writing.open_request(workspace, train, a_masking(3), np.zeros((2, 8), bool))
    assert any("before it entered 'masked'" in one for one in ledger.verify(workspace).not_checked)
    ledger.catch_up(workspace)
    last = ledger.entries(workspace)[-1]
    assert (last.event, last.request, last.mask) == ("masked", killed.id, killed.record.mask_sha256)
    assert last.facts == facts(killed.record)
    found = ledger.verify(workspace)
    assert (found.valid, found.not_checked) == (True, [])


def test_a_clock_that_was_set_back_puts_no_entry_before_another(workspace: Workspace, lines: list[str]) -> None:
    late = json.loads(lines[2]) | {"time": "2999-01-01T00:00:00+00:00"}
    late["hash"] = chain.hash_of(late)
    head = {"entries": 3, "hash": late["hash"], "pending": None}
    (workspace.root / ledger.HEAD).write_text(json.dumps(head), encoding="utf-8")
    path(workspace).write_text("".join([*lines[:2], json.dumps(late) + "\n"]), encoding="utf-8")
    entry = ledger.append(workspace, "verified", requests.all_requests(workspace)[0])
    assert entry.time == late["time"]
    assert ledger.verify(workspace).valid


def test_a_backdated_entry_is_named(workspace: Workspace, lines: list[str]) -> None:
    early = json.loads(lines[2]) | {"time": "2001-01-01T00:00:00+00:00"}
    early["hash"] = chain.hash_of(early)
    head = {"entries": 3, "hash": early["hash"], "pending": None}
    (workspace.root / ledger.HEAD).write_text(json.dumps(head), encoding="utf-8")
    assert "entry 3 is dated 2001" in problem(workspace, [*lines[:2], json.dumps(early) + "\n"])


def test_an_announced_entry_is_not_made_a_second_time(
    workspace: Workspace, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the announcement of a line and the line itself, the next command finishes it, and adds none."""

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    request = request_writing.change(requests.find(workspace, "r0001"), state="restored", unrecorded="restored")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(chain, "_add", killed)
        ledger.record(workspace, "restored", request)
    assert len(ledger.entries(workspace)) == 3
    ledger.catch_up(workspace)
    assert [entry.event for entry in ledger.entries(workspace)] == ["masked"] * 3 + ["restored"]
    assert requests.find(workspace, "r0001").record.unrecorded is None
    assert ledger.verify(workspace).problems == []
