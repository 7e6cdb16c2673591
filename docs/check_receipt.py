"""Checks a signed receipt of dkvb without dkvb: `python check_receipt.py RECEIPT.dsse.json KEY.pub [WORKSPACE]`.

With the workspace's folder it also checks that the files of the model are those that the receipt is about.
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

envelope = json.loads(Path(sys.argv[1]).read_bytes())
key = load_pem_public_key(Path(sys.argv[2]).read_bytes())
kind, body = envelope["payloadType"].encode(), base64.b64decode(envelope["payload"])
signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
try:
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed)
except InvalidSignature:
    sys.exit("NOT signed with this key, or changed since")
statement = json.loads(body)
receipt = statement["predicate"]
print(f"request {receipt['request']}: {receipt['state']}, issued {receipt['times']['issued']}")
for subject in statement["subject"] if len(sys.argv) > 3 else []:
    file = Path(sys.argv[3], subject["name"])
    if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != subject["digest"]["sha256"]:
        sys.exit(f"{file} is not the file that the receipt is about")
