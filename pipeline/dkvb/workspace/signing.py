"""Signatures: Ed25519, over in-toto statements in DSSE envelopes, so that any program can check them.

The private key lies outside of the workspace, in the file that `DKVB_SIGNING_KEY` names. An envelope's signature is
over `DSSEv1 LENGTH TYPE LENGTH BODY`, the lengths in bytes as decimal numbers (DSSE 1.0).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dkvb.errors import UsageError
from dkvb.records.base import Record
from dkvb.workspace.artifacts import Workspace

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VARIABLE = "DKVB_SIGNING_KEY"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class Signer:
    """A private key."""

    key: Ed25519PrivateKey

    def envelope(self, statement: Record) -> dict[str, Any]:
        """A statement in a signed DSSE envelope."""
        body = json.dumps(statement.model_dump(mode="json"), ensure_ascii=False, sort_keys=True).encode()
        signature = {"keyid": key_id(self.key.public_key()), "sig": _text(self.key.sign(pae(PAYLOAD_TYPE, body)))}
        return {"payload": _text(body), "payloadType": PAYLOAD_TYPE, "signatures": [signature]}


def pae(kind: str, body: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding of a payload and its type."""
    return b"DSSEv1 %d %s %d %s" % (len(kind.encode()), kind.encode(), len(body), body)


def opened(envelope: Mapping[str, Any], keys: Sequence[Ed25519PublicKey]) -> dict[str, Any] | None:
    """The statement in an envelope; None where none of the keys has signed it, or it is no such envelope."""
    from cryptography.exceptions import InvalidSignature

    try:
        kind, body = str(envelope["payloadType"]), base64.b64decode(envelope["payload"], validate=True)
        for signature in envelope["signatures"]:
            raw = base64.b64decode(signature["sig"], validate=True)
            for key in keys:
                try:
                    key.verify(raw, pae(kind, body))
                except InvalidSignature:
                    continue
                return dict(json.loads(body)) if kind == PAYLOAD_TYPE else None
    except (ValueError, KeyError, TypeError):
        return None
    return None


def key_id(key: Ed25519PublicKey) -> str:
    """sha256 of a public key as DER (SubjectPublicKeyInfo)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def signer(workspace: Workspace) -> Signer | None:
    """The key of `DKVB_SIGNING_KEY`; None where that is not set.

    Raises:
        UsageError: it names no such key, one that others can read, or one inside of the workspace; or `cryptography` is
            not installed.
    """
    if not (named := os.environ.get(VARIABLE)):
        return None
    _need_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = Path(named).expanduser()
    _refuse_inside(workspace, path, VARIABLE)
    try:
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise UsageError(f"{VARIABLE}: others can read the private key {path}: `chmod 600 {path}`.")
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"{VARIABLE} names {path}, which is no private key ({error}): `dkvb ledger --keygen FILE`."
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{VARIABLE} names {path}, which is no Ed25519 key: `dkvb ledger --keygen FILE` makes one.")
    return Signer(key)


def keygen(workspace: Workspace, file: Path) -> tuple[Path, Path]:
    """Make a key pair: the private key in a file that only its owner can read, the public one beside it as `.pub`.

    Raises:
        UsageError: a file of that name is there, or it would lie in the workspace or the reports.
    """
    _need_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    private = file.expanduser()
    public = private.with_name(f"{private.name}.pub")
    _refuse_inside(workspace, private, "--keygen")
    key = Ed25519PrivateKey.generate()
    contents = {
        private: (key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600),
        public: (key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644),
    }
    for path in contents:
        if path.exists():
            raise UsageError(f"--keygen {file}: {path} is there already, and no key is overwritten: give another name.")
    for path, (content, mode) in contents.items():
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened_file:
                opened_file.write(content)
        except OSError as error:
            raise UsageError(f"--keygen {file}: {path} cannot be written ({error.strerror}).") from None
    return private, public


def public_keys(file: Path) -> list[Ed25519PublicKey]:
    """The public keys of a PEM file: one, or several where keys were changed.

    Raises:
        UsageError: there is none in it.
    """
    _need_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        blocks = re.findall(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", file.read_bytes(), re.S)
        keys = [load_pem_public_key(block) for block in blocks]
    except (OSError, ValueError) as error:
        raise UsageError(f"--public-key {file} cannot be read ({error}).") from None
    found = [key for key in keys if isinstance(key, Ed25519PublicKey)]
    if not found:
        raise UsageError(
            f"--public-key {file} holds no Ed25519 public key: give the .pub file of `dkvb ledger --keygen`."
        )
    return found


def _refuse_inside(workspace: Workspace, path: Path, asked: str) -> None:
    """Raise where a private key lies in what it is to vouch for."""
    for folder in (workspace.root, workspace.reports):
        if path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(
                f"{asked}: {path} lies in {folder}, where whoever edits the record finds it: keep the private key"
                " elsewhere."
            )


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise UsageError("Signatures need the package cryptography: `pip install 'dkvb[sign]'`.") from None


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
