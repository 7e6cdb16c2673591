"""Keys for signing: where they may lie, and what is said where one cannot be used."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dkvb.cli import app
from dkvb.deletion import forget
from dkvb.errors import UsageError
from dkvb.recipe import Recipe
from dkvb.workspace import signing
from dkvb.workspace.artifacts import Workspace


def test_a_private_key_is_kept_apart(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.root.mkdir()
    for inside in (workspace.root / "key", workspace.reports / "deep" / "key"):
        with pytest.raises(UsageError, match="keep the private key elsewhere"):
            signing.keygen(workspace, inside)
    result = CliRunner().invoke(app, ["ledger", "--keygen", "key", "--data-dir", str(workspace.root), "--json"])
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["keys"] == {"private": "key", "public": "key.pub"}
    assert stat.S_IMODE(Path("key").stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="no key is overwritten"):
        signing.keygen(workspace, Path("key"))
    monkeypatch.setenv("DKVB_SIGNING_KEY", "key")
    assert signing.signer(workspace) is not None
    Path("key").chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600 key"):
        signing.signer(workspace)
    monkeypatch.setenv("DKVB_SIGNING_KEY", "key.pub")
    Path("key.pub").chmod(0o600)
    with pytest.raises(UsageError, match="is no private key"):
        signing.signer(workspace)
    with pytest.raises(UsageError, match="holds no Ed25519 public key"):
        signing.public_keys(Path("key"))


def test_a_key_that_cannot_be_used_is_said_before_anything_is_done(
    trained: Recipe, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DKVB_SIGNING_KEY", "nowhere")
    with pytest.raises(UsageError, match="nowhere"):
        forget.run(trained, workspace, ["cat"])
    assert not (workspace.root / "requests").exists()


@pytest.mark.parametrize(
    ("package", "asked"), [("cryptography", ["--keygen", "key"]), ("rfc3161_client", ["--timestamp", "http://x"])]
)
def test_without_the_package_it_is_named(package: str, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = CliRunner().invoke(app, ["ledger", *asked])
    assert result.exit_code == 2
    assert "dkvb[sign]" in result.stderr
