"""A whole new history, by somebody who knows how all hashes are made: nothing within the workspace shows it, as the
documentation says; the public key does, and so does a hash that was kept elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from attacked import Site, copied
from dkvb.deletion import ledger
from dkvb.records.deletion import RequestRecord
from dkvb.workspace import chain, requests, signing
from dkvb.workspace.facts import facts
from dkvb.workspace.files import write_json

Lines = list[dict[str, Any]]


def rewrite(site: Site, lines: Lines) -> None:
    """Write a ledger of these entries, every hash made anew, without signatures."""
    previous = chain.START
    for number, line in enumerate(lines, 1):
        line |= {"number": number, "previous": previous}
        line["hash"] = previous = chain.hash_of(line)
    root = site.folder / "data"
    (root / chain.LEDGER).write_text("".join(map(chain.text, lines)), encoding="utf-8")
    write_json(root / chain.HEAD, {"entries": len(lines), "hash": previous, "pending": None})
    (root / chain.SIGNATURES).unlink()


def edit(site: Site, lines: Lines, **fields: Any) -> None:
    """Change the record of the first request, and what its entries say of it."""
    request = requests.find(site.workspace, "r0001")
    write_json(request.path / "request.json", {**request.record.model_dump(mode="json"), **fields})
    record = RequestRecord.model_validate_json((request.path / "request.json").read_bytes())
    for line in lines:
        if line["request"] == request.id and line.get("facts"):
            line["facts"] = facts(record)


def dropped(site: Site, lines: Lines) -> Lines:
    """That somebody was told."""
    edit(site, lines, notified=None)
    return [line for line in lines if line["event"] != "notified"]


def reordered(site: Site, lines: Lines) -> Lines:
    first, second, *more = lines
    first["time"] = second["time"] = max(first["time"], second["time"])
    return [second, first, *more]


def backdated(site: Site, lines: Lines) -> Lines:
    for line in lines:
        line["time"] = (datetime.fromisoformat(line["time"]) - timedelta(days=30)).isoformat(timespec="seconds")
    return lines


def numbers(site: Site, lines: Lines) -> Lines:
    edit(site, lines, per_class_test_after=[0.0] * 4)
    return lines


def reason(site: Site, lines: Lines) -> Lines:
    lines[1]["reason"] = "another"
    request = requests.find(site.workspace, lines[1]["request"])
    changed = request.record.model_copy(update={"reason": "another"})
    write_json(request.path / "request.json", changed.model_dump(mode="json"))
    lines[1]["facts"] = facts(changed)
    return lines


FORGERIES: list[Callable[[Site, Lines], Lines]] = [dropped, reordered, backdated, numbers, reason]


@pytest.mark.parametrize(
    "forge",
    [pytest.param(one, marks=[] if one is backdated else pytest.mark.slow, id=one.__name__) for one in FORGERIES],
)
def test_a_rewritten_history_is_shown_by_the_key_and_by_a_hash_alone(
    forge: Callable[[Site, Lines], Lines],
    requested_site: Site,
    tmp_path: Path,
    ended: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = copied(requested_site, tmp_path / "site")
    private, public = signing.keygen(site.workspace, tmp_path / "key")
    with monkeypatch.context() as patched:
        patched.setenv("DKVB_SIGNING_KEY", str(private))
        for line in ("forget dog --reason asked", "requests r0001 --notified partner"):
            code, said = site.says(line)
            assert code == 0, said
    head = ledger.entries(site.workspace)[-1].hash
    assert site.says(f"ledger --verify --public-key {public}")[0] == 0
    assert site.says(f"ledger --expect {head}")[0] == 0
    lines = (site.folder / "data" / chain.LEDGER).read_text(encoding="utf-8").splitlines()
    rewrite(site, forge(site, [json.loads(line) for line in lines]))
    assert site.says("ledger")[0] == 0, "so says docs/deletion.md: without a key, it shows accidents"
    code, said = site.says(f"ledger --verify --public-key {public}")
    assert (code, "sign" in said) == (1, True), said
    code, said = site.says(f"ledger --expect {head}")
    assert (code, "cut off or rewritten" in " ".join(said.split())) == (1, True), said
    ended("named")
