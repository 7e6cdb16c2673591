"""Signed entries and receipts: what somebody without the key changes is found with the public key alone."""

from __future__ import annotations

import base64
import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from conftest import once, prepare
from dkvb.cli import app
from dkvb.deletion import forget, ledger, receipt, restore
from dkvb.deletion.ledger import Against
from dkvb.recipe import Recipe
from dkvb.records.ledger import Ledger
from dkvb.workspace import chain, signing
from dkvb.workspace.artifacts import Workspace

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def asked(recipe: Recipe) -> Recipe:
    return recipe.with_(unlearn={"method": ["activations"], "counts": "last-epoch", "na": 60})


@pytest.fixture
def public(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key that signs; the file of its public half."""
    private, public = signing.keygen(workspace, tmp_path / "key")
    monkeypatch.setenv("DKVB_SIGNING_KEY", str(private))
    return public


@pytest.fixture
def signed(asked: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two requests, one taken back, and a receipt: four signed entries. The public key."""

    def make(place: Workspace) -> None:
        private, _ = signing.keygen(place, place.root.parent / "key")
        monkeypatch.setenv("DKVB_SIGNING_KEY", str(private))
        prepare(asked, place)
        for name in ("cat", "dog"):
            forget.run(asked, place, [name])
        restore.run(asked, place, "r0002")
        receipt.run(place, "r0001")

    folder = once("signed requests", workspace, make)
    monkeypatch.setenv("DKVB_SIGNING_KEY", str(folder / "key"))
    return folder / "key.pub"


def checked(workspace: Workspace, public: Path, **more: Any) -> Ledger:
    return ledger.verify(workspace, Against(signing.public_keys(public), **more))


def lines(workspace: Workspace) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (workspace.root / chain.LEDGER).read_text("utf-8").splitlines()]


def rewritten(workspace: Workspace, entries: list[dict[str, Any]]) -> None:
    """Write a ledger as somebody would who knows how it is made: numbers, hashes and head all fit."""
    previous, made = chain.START, []
    for number, entry in enumerate(entries, 1):
        entry = {**entry, "number": number, "previous": previous}
        entry["hash"] = previous = chain.hash_of(entry)
        made.append(chain.text(entry))
    (workspace.root / chain.LEDGER).write_text("".join(made), encoding="utf-8")
    head = {"entries": len(made), "hash": previous, "pending": None}
    (workspace.root / chain.HEAD).write_text(json.dumps(head), encoding="utf-8")


def test_what_was_signed_holds(signed: Path, workspace: Workspace) -> None:
    found = checked(workspace, signed)
    assert (found.problems, found.not_checked) == ([], [])
    assert found.head == found.ledger[-1].hash


def dropped(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entries[0], entries[1], entries[3]]


def cut_off(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return entries[:3]


def reordered(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [entries[1], entries[0], *entries[2:]]


def backdated(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**entries[0], "time": "2020-01-01T00:00:00+00:00"}, *entries[1:]]


def reworded(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [*entries[:3], {**entries[3], "state": "purged"}]


ATTACKS: dict[Callable[..., Any], str] = {
    dropped: "entry 3 is not the one that was signed",
    cut_off: "entry 4 was dropped: its signature is there",
    reordered: "entry 1 is not the one that was signed",
    backdated: "entry 1 is not the one that was signed",
    reworded: "entry 4 is not the one that was signed",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_history_that_was_rewritten_is_told_by_the_public_key(
    attack: Callable[..., Any], signed: Path, workspace: Workspace
) -> None:
    rewritten(workspace, lines(workspace))
    assert checked(workspace, signed).valid, "nothing was changed"
    rewritten(workspace, attack(lines(workspace)))
    found = checked(workspace, signed)
    assert not found.valid
    assert any(ATTACKS[attack] in one for one in found.problems), found.problems
    asked = ["ledger", "--verify", "--public-key", str(signed), "--data-dir", str(workspace.root)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 1


def test_another_key_and_an_altered_envelope_are_told(signed: Path, workspace: Workspace, tmp_path: Path) -> None:
    _, other = signing.keygen(workspace, tmp_path / "other")
    assert checked(workspace, other).problems[0].startswith("the signature of entry 1 was not made with this key")
    both = tmp_path / "both.pub"
    both.write_bytes(other.read_bytes() + signed.read_bytes())
    assert checked(workspace, both).valid, "one of several keys may have signed"
    path = workspace.root / chain.SIGNATURES
    first, *rest = path.read_text(encoding="utf-8").splitlines(keepends=True)
    envelope = json.loads(first)
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["time"] = "2020-01-01T00:00:00+00:00"
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(envelope) + "\n" + "".join(rest), encoding="utf-8")
    assert checked(workspace, signed).problems == [
        "the signature of entry 1 was not made with this key, or what it covers was changed"
    ]
    path.unlink()
    assert "holds no signature" in str(checked(workspace, signed).problem)


def test_entries_without_the_key_are_named(
    asked: Recipe, signed: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DKVB_SIGNING_KEY")
    forget.run(asked, workspace, ["dog"])
    assert checked(workspace, signed).problems == ["entry 5 is not signed, while others are"]
    found = ledger.verify(workspace)
    assert found.valid
    assert found.not_checked == [
        "entry 5 is not signed, while others are",
        "signatures: give --public-key FILE to check them",
    ]


def test_entries_from_before_the_key_are_covered_by_the_first_that_is_signed(
    asked: Recipe, workspace: Workspace, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(asked, workspace)
    with monkeypatch.context() as without:
        without.delenv("DKVB_SIGNING_KEY")
        forget.run(asked, workspace, ["cat"])
    forget.run(asked, workspace, ["dog"])
    assert checked(workspace, public).problems == []
    rewritten(workspace, backdated(lines(workspace)))
    assert checked(workspace, public).problems[0].startswith("entry 2 is not the one that was signed")


def test_a_head_that_is_kept_elsewhere(signed: Path, workspace: Workspace) -> None:
    shown = receipt.run(workspace, "r0001")
    assert shown.head == ledger.entries(workspace)[-1].hash
    assert shown.head in Path(shown.page).read_text(encoding="utf-8")
    common = ["--data-dir", str(workspace.root), "--reports-dir", str(workspace.reports)]
    printed = CliRunner().invoke(app, ["receipt", "r0001", *common]).stdout
    assert shown.head in printed.replace("\n", "")
    assert CliRunner().invoke(app, ["ledger", "--expect", shown.head, *common]).exit_code == 0
    assert CliRunner().invoke(app, ["ledger", "--expect", "short", *common]).exit_code == 2
    # with signatures and requests cut off as well, nothing in the workspace shows it
    rewritten(workspace, lines(workspace)[:3])
    path = workspace.root / chain.SIGNATURES
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:3]), encoding="utf-8")
    for file in (workspace.root / "receipts").iterdir():
        file.unlink()
    assert checked(workspace, signed).valid
    result = CliRunner().invoke(app, ["ledger", "--expect", shown.head, *common])
    assert result.exit_code == 1
    assert "kept elsewhere" in result.stderr


def test_what_is_signed_follows_the_schema(signed: Path, workspace: Workspace) -> None:
    schema = json.loads((DOCS / "receipt.schema.json").read_text(encoding="utf-8"))
    made = runpy.run_path(str(DOCS / "make_schema.py"))["schema"]()
    assert (DOCS / "receipt.schema.json").read_text(encoding="utf-8") == made, "run `python docs/make_schema.py`"
    keys = signing.public_keys(signed)
    envelopes = [json.loads(line) for line in (workspace.root / chain.SIGNATURES).read_text("utf-8").splitlines()]
    envelopes.append(json.loads((workspace.root / "receipts" / "r0001-cat.dsse.json").read_bytes()))
    kinds = []
    for envelope in envelopes:
        statement = signing.opened(envelope, keys)
        assert statement is not None
        jsonschema.validate(statement, schema)
        kinds.append(statement["predicateType"].split(":")[-2])
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**statement, "predicate": {}}, schema)
    assert kinds == ["ledger-entry"] * 4 + ["deletion-receipt"]
    values = trained_seed_values(workspace)
    assert {"name": values[0], "digest": {"sha256": values[1]}} in statement["subject"]


def trained_seed_values(workspace: Workspace) -> tuple[str, str]:
    """Path and hash of the file of values."""
    from dkvb.workspace.files import sha256

    (file,) = workspace.root.glob("train/*dkvb*/values.safetensors")
    return file.relative_to(workspace.root).as_posix(), sha256(file)


def test_another_program_checks_a_receipt(signed: Path, workspace: Workspace) -> None:
    envelope = workspace.reports / "receipts" / "r0001-cat.dsse.json"

    def checker(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, DOCS / "check_receipt.py", *map(str, words)], capture_output=True, text=True
        )

    done = checker(envelope, signed, workspace.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("request r0001-cat: masked, issued 20")
    (file,) = workspace.root.glob("train/*dkvb*/values.safetensors")
    file.write_bytes(file.read_bytes() + b"x")
    assert (
        "values.safetensors is not the file that the receipt is about"
        in checker(envelope, signed, workspace.root).stderr
    )
    assert checker(envelope, signed).returncode == 0
    altered = json.loads(envelope.read_bytes())
    altered["payload"] = base64.b64encode(base64.b64decode(altered["payload"]).replace(b"masked", b"purged")).decode()
    envelope.write_text(json.dumps(altered), encoding="utf-8")
    assert checker(envelope, signed).stderr.startswith("NOT signed")


def test_a_receipt_whose_signature_is_gone_or_of_another_is_told(signed: Path, workspace: Workspace) -> None:
    envelope = workspace.root / "receipts" / "r0001-cat.dsse.json"
    held = envelope.read_bytes()
    envelope.unlink()
    assert "receipt r0001-cat is not signed" in str(checked(workspace, signed).problem)
    assert receipt.run(workspace, "r0001").skipped
    assert json.loads(envelope.read_bytes()) == json.loads(held), "Ed25519 is deterministic"
    envelope.write_bytes(held.replace(b'"payload": "', b'"payload": "AAAA'))
    assert "signature of receipt r0001-cat" in str(checked(workspace, signed).problem)


@pytest.mark.parametrize("written", [0, 30, None])
def test_killed_while_it_signs_the_next_one_finishes_it(
    written: int | None, signed: Path, workspace: Workspace
) -> None:
    entry, path = lines(workspace)[3], workspace.root / chain.SIGNATURES
    *others, last = path.read_text(encoding="utf-8").splitlines(keepends=True)
    pending = {"entries": 3, "hash": entry["previous"], "pending": entry, "signature": json.loads(last)}
    (workspace.root / chain.HEAD).write_text(json.dumps(pending), encoding="utf-8")
    path.write_text("".join(others) + last[:written], encoding="utf-8")
    ledger_file = workspace.root / chain.LEDGER
    ledger_file.write_text("".join(map(chain.text, lines(workspace)[:3])), encoding="utf-8")
    assert checked(workspace, signed).problems == []
    assert path.read_text(encoding="utf-8") == "".join([*others, last])
