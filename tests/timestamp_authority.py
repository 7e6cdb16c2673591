"""A time-stamping authority on loopback (RFC 3161): answers with a token that its own certificate signs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

SHA256 = "2.16.840.1.101.3.4.2.1"


def der(tag: int, *parts: bytes) -> bytes:
    """A value of a type, with its length."""
    body = b"".join(parts)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 128 + len(length)]) + length + body


def integer(value: int) -> bytes:
    return der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    raw = bytearray([40 * first + second])
    for number in rest:
        groups = [number & 127]
        while number := number >> 7:
            groups.append(number & 127 | 128)
        raw += bytes(reversed(groups))
    return der(6, bytes(raw))


def sequence(*parts: bytes) -> bytes:
    return der(0x30, *parts)


class Authority:
    """Its certificate, signed by a root of its own."""

    def __init__(self) -> None:
        self.root_key, self.key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = _certificate("root", self.root_key, "root", self.root_key, authority=True)
        self.certificate = _certificate("stamps", self.key, "root", self.root_key, authority=False)

    @property
    def roots(self) -> bytes:
        """The root's certificate, as PEM."""
        return self.root.public_bytes(Encoding.PEM)

    def answer(self, imprint: bytes, nonce: int) -> bytes:
        """A TimeStampResp for a MessageImprint (DER) and a nonce."""
        now = datetime.now(UTC).strftime("%Y%m%d%H%M%SZ").encode()
        told = sequence(integer(1), oid("1.2.3.4"), imprint, integer(7), der(0x18, now), integer(nonce))
        algorithm, content = sequence(oid(SHA256)), oid("1.2.840.113549.1.9.16.1.4")
        certificate = self.certificate.public_bytes(Encoding.DER)
        named = sequence(sequence(sequence(der(4, hashlib.sha256(certificate).digest()))))
        attributes = [
            sequence(oid("1.2.840.113549.1.9.3"), der(0x31, content)),
            sequence(oid("1.2.840.113549.1.9.4"), der(0x31, der(4, hashlib.sha256(told).digest()))),
            sequence(oid("1.2.840.113549.1.9.16.2.47"), der(0x31, named)),
        ]
        signature = self.key.sign(der(0x31, *sorted(attributes)), ec.ECDSA(hashes.SHA256()))
        issuer = self.certificate.issuer.public_bytes()
        info = sequence(
            integer(1),
            sequence(issuer, integer(self.certificate.serial_number)),
            algorithm,
            der(0xA0, *sorted(attributes)),
            sequence(oid("1.2.840.10045.4.3.2")),
            der(4, signature),
        )
        signed = sequence(
            integer(3),
            der(0x31, algorithm),
            sequence(content, der(0xA0, der(4, told))),
            der(0xA0, certificate),
            der(0x31, info),
        )
        return sequence(sequence(integer(0)), sequence(oid("1.2.840.113549.1.7.2"), der(0xA0, signed)))


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, by: ec.EllipticCurvePrivateKey, authority: bool
) -> x509.Certificate:
    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        called(issuer),
        called(name),
        key.public_key(),
        x509.random_serial_number(),
        now - timedelta(1),
        now + timedelta(1),
    )
    builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
    if not authority:
        stamping = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.TIME_STAMPING])
        builder = builder.add_extension(stamping, critical=True)
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = builder.add_extension(
        x509.KeyUsage(digital_signature=True, key_cert_sign=authority, **usage), critical=True
    )
    subject = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    issued = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key())
    return builder.add_extension(subject, False).add_extension(issued, False).sign(by, hashes.SHA256())


def _asked(query: bytes) -> tuple[bytes, int]:
    """MessageImprint (DER) and nonce of a TimeStampReq whose parts are all short."""

    def parts(body: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        while body:
            size = body[1]
            yield body[0], body[2 : 2 + size], body[: 2 + size]
            body = body[2 + size :]

    ((_, whole, _),) = parts(query)
    fields = list(parts(whole))
    integers = [int.from_bytes(content, "big") for tag, content, _ in fields if tag == 2]
    return next(raw for tag, _, raw in fields if tag == 0x30), integers[-1]


@contextmanager
def serving(authority: Authority, spoil: Any = lambda imprint, nonce: (imprint, nonce)) -> Iterator[str]:
    """The address of an authority that answers while the block runs. `spoil` alters what it stamps."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            answer = authority.answer(*spoil(*_asked(query)))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/tsr"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
